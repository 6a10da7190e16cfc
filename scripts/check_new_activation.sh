#!/usr/bin/env bash
# Follows CONTRIBUTING.md word for word in a copy of the checkout: a new activation is written, linked,
# given its one line of formula, checked, and trained.
#
# Usage: scripts/check_new_activation.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# The working tree as git sees it, without build outputs.
(cd "$root" && git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done |
  tar --null -cf - -T -) | tar -C "$copy" -xf -
cd "$copy"
# Shares compiled dependencies with the checkout.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target}"
export CARGO_NET_OFFLINE=true

actlab() { cargo run --quiet -p runner -- "$@"; }

actlab new activation mish
actlab check mish
# The one line of formula.
sed -i 's/^        x$/        x.clone() * x.softplus().tanh()/' crates/activations/mish/src/lib.rs
grep -q 'softplus().tanh()' crates/activations/mish/src/lib.rs
cargo test --quiet -p activation-mish -p runner --lib
actlab list | grep -A1 '^mish$'
actlab check mish | tee check.log
if grep FAIL check.log; then exit 1; fi
actlab eval mish -- 1 | tee eval.log
grep -q '0.8650983882673103' eval.log
actlab sweep --set 'activations=["relu", "mish"]' --set 'seeds=[1]' \
  --set tasks.fashion_resnet8.data.train_limit=128 --set tasks.reviews_bert_mini.training.budget.steps=1 \
  > report.md
grep '^| mish' report.md
echo 'a new activation goes from its name to a row of the table'
