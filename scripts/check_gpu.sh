#!/usr/bin/env bash
# Builds the program for GPUs as scripts/build_cuda.sh does, and runs what a machine without a GPU can run of it: the answer
# to `--device cuda`, and scripts/gpu_check.sh on a Vulkan driver that computes on the processor.
#
# Needs Debian's `mesa-vulkan-drivers`; without it the second part is skipped, which fails where CI is set.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/skip.sh

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
ACTLAB_PROFILE=dev ACTLAB_FEATURES=cuda,wgpu scripts/build_cuda.sh "$folder"

if [ ! -e /dev/nvidiactl ]; then
  status=0
  answer="$("$folder/actlab" check relu --device cuda 2>&1)" || status=$?
  echo "$answer"
  [ "$status" = 2 ]
  grep -q "cannot be used; it needs an NVIDIA driver" <<<"$answer"
fi

if ! ls /usr/share/vulkan/icd.d/lvp_icd.* >/dev/null 2>&1; then
  skip "there is no Vulkan driver for the processor: install mesa-vulkan-drivers"
fi
export VK_DRIVER_FILES="$(ls /usr/share/vulkan/icd.d/lvp_icd.* | head -n 1)"
export VK_ICD_FILENAMES="$VK_DRIVER_FILES"
status=0
"$folder/gpu_check.sh" wgpu || status=$?
cat "$folder/gpu_check.md"
if [ "$status" != 0 ]; then
  tail -n 20 "$folder"/gpu_check/*.log
fi
exit "$status"
