#!/usr/bin/env bash
# Checks by cargo-deny what `deny.toml` asks of dependencies: licences, sources, duplicate versions, advisories.
#
# Usage: scripts/check_dependencies.sh
#
# The first time it builds cargo-deny, in the version below, which takes some minutes; it is kept in `actlab/tools` in
# XDG_CACHE_HOME or ~/.cache. Advisories are a repository on github.com: where that cannot be reached, the copy of
# the last time is used, and without one advisories are not checked, which is said and is no failure.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/skip.sh

version=0.20.2
tools="${XDG_CACHE_HOME:-$HOME/.cache}/actlab/tools"
deny() { "$tools/bin/cargo-deny" --locked "$@"; }

if [ "$("$tools/bin/cargo-deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
  echo "building cargo-deny $version"
  CARGO_TARGET_DIR="$tools/target" cargo install --quiet --locked --root "$tools" --version "=$version" cargo-deny ||
    skip "cargo-deny $version cannot be built from crates.io"
  rm -rf "$tools/target"
fi

# Every crate of the lock file is needed to read its licence, those of other platforms too.
cargo fetch --quiet --locked
deny check --hide-inclusion-graph licenses sources bans

if GIT_TERMINAL_PROMPT=0 timeout 120 "$tools/bin/cargo-deny" fetch db >"$tools/fetch.log" 2>&1; then
  deny check --hide-inclusion-graph advisories
elif deny --offline check --hide-inclusion-graph advisories >"$tools/advisories.log" 2>&1; then
  echo "advisories ok, by the copy of the last time: github.com/RustSec/advisory-db cannot be reached"
elif grep -q '^error\[' "$tools/advisories.log"; then
  cat "$tools/advisories.log"
  exit 1
else
  echo "advisories are not checked: github.com/RustSec/advisory-db cannot be reached, and there is no copy of it"
fi
