#!/usr/bin/env bash
# Builds the program for GPUs as scripts/build_cuda.sh does, and runs what a machine without a GPU can run of it: the answer
# to `--device cuda`, NVRTC over all its kernels (scripts/check_nvrtc.sh), the same kernels in an emulator of CUDA's driver
# (scripts/check_cuda.sh), and on a Vulkan driver that computes on the processor every check, training against the CPU, and a
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
  scripts/check_nvrtc.sh "$folder/actlab"
  scripts/check_cuda.sh "$folder/actlab"
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
grep ' operations: ' "$folder/check.log"
"$actlab" check relu --device wgpu --training scripts/check_gpu.toml >"$folder/training.log" || { cat "$folder/training.log"; exit 1; }
sed -n '/first/,$p' "$folder/training.log"
# The five steps wait for their device once, where no replicas exchange statistics.
if grep -E '^  ok .*-(images|text)-s' "$folder/training.log" | grep -vE 'reads in 5 steps: 1$'; then
  echo "error: these steps wait for their device more than once in all" >&2
  exit 1
fi
# Evaluations of the odd tasks would take minutes here.
"$actlab" sweep scripts/check_gpu.toml --tasks images,text,images_in_parts,text_in_parts --device wgpu \
  --output "$folder/results" >"$folder/sweep.log"
grep -E '^[0-9]+ runs? of ' "$folder/sweep.log"

# Kernels that a training step launches, at most: those of a run with one step more, less those of one without it.
launches() {
  local at="$folder/launches-$1-$2"
  mkdir "$at"
  printf '[profiling]\nlogger = { level = "minimal", file = "log" }\n' >"$at/cubecl.toml"
  cp scripts/check_gpu.toml "$at"
  (cd "$at" && "$actlab" sweep check_gpu.toml --set 'activations=["gelu"]' --set baseline=gelu --tasks "$1" \
    --set "tasks.$1.training.budget={steps=$2}" --device wgpu --output results >"$at/sweep.log" 2>&1) || return 1
  wc -l <"$at/log"
}
while read -r task most; do
  more="$(launches "$task" 3)" && fewer="$(launches "$task" 2)" || { echo "error: a sweep of $task failed" >&2; exit 1; }
  count=$((more - fewer))
  echo "$task: $count kernels a step (at most $most)"
  if [ "$count" -le 0 ] || [ "$count" -gt "$most" ]; then exit 1; fi
done <<'EOF'
images 108
text 172
EOF

# A sweep that is killed and resumed has the scores of one that was not.
long=(--set tasks.text.training.budget={steps=24} --set checkpoint_every=1 --tasks text --device wgpu)
sweep() { "$actlab" sweep scripts/check_gpu.toml "${long[@]}" --output "$folder/$1" >>"$folder/$1.log" 2>&1; }
sweep whole
"$actlab" sweep scripts/check_gpu.toml "${long[@]}" --output "$folder/resumed" >"$folder/resumed.log" 2>&1 &
killed=$!
for _ in $(seq 600); do
  if find "$folder/resumed" -name 'checkpoint-*.safetensors' 2>/dev/null | grep -q .; then break; fi
  sleep 0.1
done
kill -9 $killed || { echo "error: the sweep ended before it was killed" >&2; exit 1; }
find "$folder/resumed" -name 'checkpoint-*.safetensors' | grep -q . || { echo "error: there was no checkpoint" >&2; exit 1; }
wait $killed 2>/dev/null || true
# Its worker stops when it is gone.
sleep 2
sweep resumed
scores() { cut -d , -f 1-3,12,13 "$folder/$1/device/runs.csv"; }
diff <(scores whole) <(scores resumed)
echo "killed and resumed: the same scores to the last digit"
