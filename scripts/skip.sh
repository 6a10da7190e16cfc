# What checks share that need a program which may be missing. To be sourced.

# Ends the check without having checked anything, which is an error in CI, where everything is to be installed.
skip() {
  if [ -n "${CI:-}" ] && [ "$CI" != false ]; then
    echo "error: $(basename "$0"): $1 (CI is set, so nothing may be skipped)" >&2
    exit 1
  fi
  echo "$(basename "$0"): skipped: $1" >&2
  exit 0
}
