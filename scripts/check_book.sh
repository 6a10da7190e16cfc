#!/usr/bin/env bash
# Builds the book by mdBook, and checks the links between all Markdown files.
#
# Usage: scripts/check_book.sh
#
# The first time it builds mdBook, in the version below, which takes some minutes; it is kept in `actlab/tools` in
# XDG_CACHE_HOME or ~/.cache.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/skip.sh

version=0.5.4
tools="${XDG_CACHE_HOME:-$HOME/.cache}/actlab/tools"

python3 scripts/check_links.py

if [ "$("$tools/bin/mdbook" --version 2>/dev/null)" != "mdbook v$version" ]; then
  echo "building mdBook $version"
  CARGO_TARGET_DIR="$tools/target" cargo install --quiet --locked --root "$tools" --version "=$version" \
    --no-default-features mdbook || skip "mdBook $version cannot be built from crates.io"
  rm -rf "$tools/target"
fi
book="$(mktemp -d)"
trap 'rm -rf "$book"' EXIT
"$tools/bin/mdbook" build docs --dest-dir "$book"
for page in docs/src/*.md; do
  page="$(basename "$page" .md)"
  [ "$page" = SUMMARY ] || [ -s "$book/$page.html" ] || { echo "mdBook wrote no page for $page.md" >&2; exit 1; }
done
echo "the book has $(ls "$book"/*.html | wc -l) pages"
