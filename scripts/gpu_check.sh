#!/usr/bin/env bash
# Proves on a machine with a GPU what needs one, without network, and writes a Markdown table.
#
# Usage: gpu_check.sh [DEVICE] [TABLE]     [default: cuda gpu_check.md]
#
# Lies beside the program `actlab` and the folder `experiments`, as scripts/build_cuda.sh leaves them. Logs are kept in
# gpu_check/. Every part has its row; one that fails does not end the others, and the exit code is then 1.
set -uo pipefail
cd "$(dirname "$0")"
device="${1:-cuda}"
table="${2:-gpu_check.md}"
mkdir -p gpu_check
failed=0
rows=()

# part NAME COMMAND…: runs it, and keeps its seconds; `figure` is what the table says of it.
part() {
  local name="$1" started ended status
  shift
  started=$(date +%s.%N)
  "$@" >"gpu_check/$name.log" 2>&1
  status=$?
  ended=$(date +%s.%N)
  if [ $status -ne 0 ]; then failed=1; fi
  rows+=("| $name | $([ $status = 0 ] && echo passed || echo "**failed** ($status)") | $(figure "$name") | $(echo "$started $ended" | awk '{ printf "%.1f", $2 - $1 }') |")
  echo "${rows[-1]}"
  {
    echo "| part | result | figure | seconds |"
    echo "| --- | --- | --- | --: |"
    printf '%s\n' "${rows[@]}"
  } >"$table"
}

# What a part found, from its log.
figure() {
  local log="gpu_check/$1.log"
  case "$1" in
  devices) grep '^device' "$log" | sed 's/^device *//' | paste -sd ';' ;;
  check) echo "$(grep -c '^  ok' "$log") checks passed, $(grep -c '^  FAIL' "$log") failed" ;;
  training) echo "$(grep -c '^  ok .*: loss' "$log") of $(grep -c ': loss' "$log") agree with the CPU" ;;
  step-*) awk '/^median/ { m = $2 } /^examples/ { e = $2 } END { printf "%s ms a step, %s examples/s", m, e }' "$log" ;;
  sweep* | resumed) grep -E '^[0-9]+ runs? of .* completed' "$log" | tail -n 1 ;;
  same) tail -n 1 "$log" ;;
  operations) awk '/%/ { share = $(NF - 1); sub(/  .*/, ""); printf "%s%s %s %%", gap, $0, share; gap = "; " }' "$log" ;;
  esac
}

small=(--set 'seeds=[1]' --set 'activations=["relu","gelu"]' --set 'tasks.fashion_resnet8.training.budget={epochs=1}'
  --set 'tasks.reviews_bert_tiny.training.budget={steps=60}' --set tasks.reviews_bert_tiny.training.evaluate_every=30
  --set checkpoint_every=1 --device "$device")

sweep() { ./actlab sweep experiments/quick.toml "${small[@]}" --output "gpu_check/$1" "${@:2}"; }

# A sweep that is killed and continues.
killed_and_resumed() {
  ./actlab sweep experiments/quick.toml "${small[@]}" --output gpu_check/resumed &
  local program=$!
  for _ in $(seq 600); do
    if find gpu_check/resumed -name 'checkpoint-*.safetensors' | grep -q .; then break; fi
    if ! kill -0 $program 2>/dev/null; then echo "it ended before there was a checkpoint"; return 1; fi
    sleep 0.2
  done
  kill -9 $program
  wait $program 2>/dev/null
  # Its worker stops when it is gone.
  sleep 2
  sweep resumed
}

# Whether both sweeps have the same scores.
same() {
  local a b
  a=$(cut -d , -f 1-3,12,13 gpu_check/whole/quick/runs.csv)
  b=$(cut -d , -f 1-3,12,13 gpu_check/resumed/quick/runs.csv)
  if [ "$a" = "$b" ]; then echo "the same scores to the last digit"; else
    diff <(echo "$a") <(echo "$b")
    echo "scores differ: see same.log"
    return 1
  fi
}

rm -rf gpu_check/whole gpu_check/resumed gpu_check/half gpu_check/replicas
part devices ./actlab env
for model in resnet20 bert-mini; do
  for activation in relu gelu swiglu; do
    part "step-$model-$activation" ./actlab bench step --model "$model" --activation "$activation" --device "$device" --rounds "${ROUNDS:-30}"
  done
done
part training timeout 600 ./actlab check relu --device "$device" --training experiments/quick.toml
part sweep sweep whole
part resumed killed_and_resumed
part same same
part sweep-bf16 sweep half --set 'precisions=["bf16"]' --set 'activations=["gelu"]' --set baseline=gelu
# Two replicas: on two GPUs where there are as many, or on one.
part sweep-replicas sweep replicas --set tasks.fashion_resnet8.training.replicas=2 --tasks fashion_resnet8 \
  --set tasks.fashion_resnet8.training.sync_batch_norm=true --set 'activations=["gelu"]' --set baseline=gelu
part operations ./actlab bench ops --device "$device" --activation relu --activation gelu --activation silu \
  --activation 'x * sigmoid(1.702 * x)' --rounds 10
part check timeout 1200 ./actlab check --device "$device"
exit $failed
