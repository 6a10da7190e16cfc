#!/usr/bin/env bash
# The project speaks of itself alone and in plain terms: no path of a machine, nothing left behind, no words that stand in
# for a term of the field.
#
# Usage: scripts/check_words.sh
set -euo pipefail
cd "$(dirname "$0")/.."
if git grep -nE 'todo!\(|unimplemented!\(|FIXME|dbg!\(|/root/|/tmp/[a-z]|\.\./shared' -- \
  '*.rs' '*.toml' '*.md' '*.sh' '*.py' ':!scripts/check_words.sh'; then
  echo 'the lines above do not belong in the tree' >&2
  exit 1
fi
# Patterns, each with the term to use.
words=(
  'somebody|nobody|whoever: name the user, the process or the caller'
  'goes on from|go on from: resume'
  'not to be had: not available, not supported'
  'told apart: differ significantly, distinguish'
  'laid upon: merged into'
  'film review: movie review'
  'stands there twice: duplicate'
  '(normal|initial|random|regular|general|serial|summar|minim|maxim|optim)is(e|ed|es|ing|ation)\b: the ending in -ize, as in optimizer'
)
wrong=0
for entry in "${words[@]}"; do
  pattern=${entry%%:*}
  if git grep -niE "$pattern" -- '*.rs' '*.toml' '*.md' '*.sh' ':!scripts/check_words.sh'; then
    echo "write instead of \"$pattern\":${entry#*:}" >&2
    wrong=1
  fi
done
[ "$wrong" = 0 ] || exit 1
echo 'nothing left behind'
