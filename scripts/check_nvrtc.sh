#!/usr/bin/env bash
# Lets NVRTC compile every CUDA kernel that training launches, on a machine without a GPU: the driver is a stand-in that
# computes nothing (scripts/cuda_stand_in.c), so that the program goes through its steps, in f32, bf16 and f16.
#
# Usage: scripts/check_nvrtc.sh PROGRAM     [a program of scripts/build_cuda.sh]
#
# The first time it installs NVRTC and CUDA's headers from PyPI into `actlab/nvrtc-venv` in XDG_CACHE_HOME or ~/.cache.
set -euo pipefail
program="$(realpath "$1")"
cd "$(dirname "$0")/.."
source scripts/skip.sh

version=13.0.88
venv="${XDG_CACHE_HOME:-$HOME/.cache}/actlab/nvrtc-venv"
if ! grep -qsx "$version" "$venv/version"; then
  python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check \
    "nvidia-cuda-nvrtc==$version" "nvidia-cuda-runtime==$version" "nvidia-cuda-crt==$version" nvidia-cuda-cccl ||
    skip "NVRTC cannot be installed from PyPI"
  echo "$version" >"$venv/version"
fi
cuda="$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)"

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cc -O1 -shared -fPIC scripts/cuda_stand_in.c -o "$folder/libcuda.so.1"
ln -s libcuda.so.1 "$folder/libcuda.so"
ln -s "$cuda/lib/libnvrtc.so.13" "$folder/libnvrtc.so"
# Parts of a batch launch the kernels of a whole one.
sed '/^# Batches in parts/,$d' scripts/check_gpu.toml >"$folder/tasks.toml"
# What it reads is 2 everywhere, so that no number is right; a kernel that is not compiled ends a run before there is one.
LD_LIBRARY_PATH="$folder:$cuda/lib" CUDA_PATH="$cuda" CUDA_STAND_IN_LAUNCHES="$folder/launches" \
  ACTLAB_PRECISIONS='["f32", "bf16", "f16"]' ACTLAB_ACTIVATIONS='["gelu"]' ACTLAB_BASELINE=gelu \
  "$program" check relu --device cuda --training "$folder/tasks.toml" >"$folder/log" 2>&1 || true
runs=$(($(grep -c '^\[tasks\.[a-z_]*\]$' "$folder/tasks.toml") * 3))
ended=$(grep -c '^  FAIL  gelu-.*: loss .*; reads in ' "$folder/log" || true)
if [ "$ended" != "$runs" ] || [ ! -s "$folder/launches" ]; then
  cat "$folder/log"
  echo "error: $ended of $runs runs have launched their kernels" >&2
  exit 1
fi
echo "NVRTC $version has compiled the kernels of $runs runs, which launched $(cat "$folder/launches")"
