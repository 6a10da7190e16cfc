#!/usr/bin/env bash
# Follows CONTRIBUTING.md in a copy of the checkout: a new activation is written as a crate and as a card, linked,
# checked, explained and trained; one outside of the checkout is type-checked.
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

# A crate in the checkout.
actlab new activation my_mish
actlab check my_mish
# The one line of formula.
sed -i 's/^        x$/        x.clone() * x.softplus().tanh()/' crates/activations/my-mish/src/lib.rs
grep -q 'softplus().tanh()' crates/activations/my-mish/src/lib.rs
# A card.
actlab new activation my_card --formula 'x * tanh(softplus(b * x))' --parameter b=1.0
cargo test --quiet -p activation-my-mish -p runner --lib
actlab list | grep '^my_mish '
actlab list | grep '^my_card '
actlab check my_mish my_card | tee check.log
if grep FAIL check.log; then exit 1; fi
for name in my_mish my_card; do
  actlab eval "$name" -- 1 | tee eval.log
  grep -q '0.8650983882673103' eval.log
done
actlab explain my_mish my_card
actlab sweep --set 'activations=["relu", "my_mish", "my_card"]' --set 'seeds=[1]' \
  --set tasks.fashion_resnet8.data.train_limit=128 --set tasks.reviews_bert_tiny.training.budget.steps=1 \
  > report.md
grep '^| my_mish' report.md
grep '^| my_card' report.md

# A crate outside of the checkout, with its program.
outside=$(mktemp -d)
trap 'rm -rf "$copy" "$outside"' EXIT
actlab new activation their_mish --external --path "$outside/their_mish"
cargo check --quiet --all-targets --manifest-path "$outside/their_mish/Cargo.toml"
echo 'a new activation goes from its name to a row of the table, as a crate, as a card, and outside of the checkout'
