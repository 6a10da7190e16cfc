#!/usr/bin/env bash
# Builds the program for GPUs as scripts/build_cuda.sh does, and runs what a machine without a GPU can run of it: the answer
# to `--device cuda`, and on a Vulkan driver that computes on the processor every check, training against the CPU, and a
# sweep.
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
actlab="$folder/actlab"
"$actlab" env | grep '^device'
# Vulkan promises no NaN, and few digits of functions such as atan and erf: these fail there, and no others may.
cat >"$folder/known" <<'EOF'
arctan
atlu
erfact
gish
glu
gtu
pserf
serf
sigmoid
sinlu
xatlu
EOF
"$actlab" check --device wgpu >"$folder/check.log" || true
echo "$(grep -c '^  ok' "$folder/check.log") checks passed on wgpu, $(grep -c '^  FAIL' "$folder/check.log") failed"
if awk '/^[^ ]/ { name = $1 } /^  FAIL/ { print name }' "$folder/check.log" | sort -u | grep -vxF -f "$folder/known"; then
  grep -A 1 '^  FAIL' "$folder/check.log"
  exit 1
fi
"$actlab" check relu --device wgpu --training scripts/check_gpu.toml | sed -n '/first/,$p'
"$actlab" sweep scripts/check_gpu.toml --device wgpu --output "$folder/results" >"$folder/sweep.log"
grep -E '^[0-9]+ runs? of ' "$folder/sweep.log"
