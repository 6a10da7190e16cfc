#!/usr/bin/env bash
# Builds ActLab for NVIDIA GPUs into a folder to carry to a machine with one. Needs neither a GPU, nor CUDA, nor LLVM,
# nor network once `cargo fetch` has run.
#
# Usage: scripts/build_cuda.sh [FOLDER]     [default: target/actlab-cuda]
#
# The folder holds the program, the experiments and gpu_check.sh. The other machine needs NVIDIA's driver and the NVRTC
# and headers of a CUDA toolkit: kernels are compiled there, from CUDA C++. CUDARC_CUDA_VERSION names its version (12080
# and later), 13.0 where it is not set.
#
# CubeCL has a second compiler that is made of LLVM, and links it although nothing calls it here. In place of its
# functions stand stubs, each of which says its name and aborts.
set -euo pipefail
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
folder="${1:-$target/actlab-cuda}"
features="${ACTLAB_FEATURES:-cuda}"
# `dist` is optimized whole and stripped; `dev` is quicker to build.
profile="${ACTLAB_PROFILE:-dist}"
built="$target/$([ "$profile" = dev ] && echo debug || echo "$profile")"

# The build script of CubeCL's LLVM fetches nothing where it believes that only documentation is built.
export DOCS_RS=1
# The version of CUDA whose functions the program knows; each is looked up when it is called.
export CUDARC_CUDA_VERSION="${CUDARC_CUDA_VERSION:-13000}"

arguments=(--package runner --profile "$profile" --features "$features" --locked)
cargo build --lib "${arguments[@]}"

stubs="$built/llvm-stubs"
mkdir -p "$stubs"
# Names that the crates around LLVM call, without Rust's own.
nm --undefined-only "$built"/deps/lib{cubecl_llvm,pliron_llvm}-*.rlib 2>/dev/null |
  awk '$1 == "U" && $2 ~ /^(LLVM|cubecl_)/ { print $2 }' | sort -u >"$stubs/names"
[ -s "$stubs/names" ] || { echo "error: no function of LLVM is called; are the stubs still needed?" >&2; exit 1; }
{
  echo '#include <stdio.h>'
  echo '#include <stdlib.h>'
  echo 'static void absent(const char *name) {'
  echo '  fprintf(stderr, "actlab: %s of LLVM was called, which this program was built without\n", name);'
  echo '  abort();'
  echo '}'
  awk '{ printf "void %s(void) { absent(\"%s\"); }\n", $1, $1 }' "$stubs/names"
} >"$stubs/stubs.c"
cc -O1 -c "$stubs/stubs.c" -o "$stubs/stubs.o"
cargo rustc --bin actlab "${arguments[@]}" -- -C link-arg="$(realpath "$stubs/stubs.o")"

mkdir -p "$folder"
cp "$built/actlab" scripts/gpu_check.sh "$folder/"
cp -r experiments "$folder/"
bytes() { stat --format %s "$1"; }
echo "$folder/actlab: $(($(bytes "$folder/actlab") / 1048576)) MiB, $(wc -l <"$stubs/names") functions of LLVM stubbed"
