#!/usr/bin/env bash
# Trains with the CUDA kernels on a machine without a GPU: scripts/cuda_emulator stands in the place of NVIDIA's driver and
# NVRTC, compiles CUDA C++ with g++, and computes on the processor, with the layouts of memory that CUDA gets. Values,
# gradients and training in f32 are compared with the CPU's, on one emulated GPU and on two; an access beyond a buffer, a
# barrier that not all threads reach, an address that is not aligned, and a launch beyond the limits of a GPU are faults.
#
# Usage: scripts/check_cuda.sh PROGRAM     [a program of scripts/build_cuda.sh]
#
# Needs g++ on x86-64, and the headers of CUDA that scripts/check_nvrtc.sh installs. Kernels that are compiled are kept in
# `actlab/cuda-kernels` in XDG_CACHE_HOME or ~/.cache.
set -euo pipefail
program="$(realpath "$1")"
cd "$(dirname "$0")/.."
source scripts/skip.sh
if [ "$(uname -m)" != x86_64 ] || ! command -v g++ >/dev/null; then skip "there is no g++ for x86-64"; fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/actlab"
cuda="$(echo "$cache"/nvrtc-venv/lib/python3*/site-packages/nvidia/cu13)"
if [ ! -d "$cuda" ]; then skip "CUDA's headers are not installed: run scripts/check_nvrtc.sh first"; fi

# Kernels of another emulator are of no use.
kernels="$cache/cuda-kernels/$(cat scripts/cuda_emulator/* | sha256sum | cut -c 1-16)"
mkdir -p "$kernels"
find "$cache/cuda-kernels" -mindepth 1 -maxdepth 1 ! -path "$kernels" -exec rm -rf {} +
cp scripts/cuda_emulator/kernel.h "$kernels/"

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
g++ -std=c++20 -O2 -Wall -Wextra -Werror -Wno-missing-field-initializers -shared -fPIC -Wl,-soname,libcuda.so.1 scripts/cuda_emulator/driver.cpp -o "$folder/libcuda.so.1" -ldl
ln -s libcuda.so.1 "$folder/libcuda.so"
ln -s libcuda.so.1 "$folder/libnvrtc.so"

# emulated GPUS ARGUMENT…: runs the program with so many GPUs; its output goes to the log.
emulated() {
  rm -f "$folder/launches"
  CUDA_EMULATOR_DEVICES="$1" CUDA_EMULATOR_KERNELS="$kernels" CUDA_EMULATOR_FAULTS="$folder/faults" \
    CUDA_EMULATOR_LAUNCHES="$folder/launches" LD_LIBRARY_PATH="$folder" CUDA_PATH="$cuda" XDG_RUNTIME_DIR="$folder" \
    "$program" "${@:2}" --device cuda >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
  if [ -s "$folder/faults" ]; then
    head -n 20 "$folder/faults"
    exit 1
  fi
  if [ ! -s "$folder/launches" ] || [ "$(cat "$folder/launches")" = 0 ]; then
    cat "$folder/log"
    echo "error: no kernel was launched" >&2
    exit 1
  fi
}

emulated 1 check
tail -n 1 "$folder/log"
emulated 1 check relu --training scripts/check_gpu.toml
sed -n '/first/,$p' "$folder/log"
# Replicas of the network, each on a GPU of its own.
{ sed -n '1,/^$/p' scripts/check_gpu.toml | sed 's/^activations = .*/activations = ["gelu"]/'; sed -n '/^# Batches in parts/,$p' scripts/check_gpu.toml; } >"$folder/parts.toml"
emulated 2 check relu --training "$folder/parts.toml"
grep 'in_parts' "$folder/log" | sed 's/: loss/, on two GPUs: loss/'
# Runs side by side, one on each.
emulated 2 sweep scripts/check_gpu.toml --tasks text --output "$folder/results"
grep -E '^[0-9]+ runs? of ' "$folder/log"
