"""What the scripts that run ActLab share: where the program is, and how they say things."""

import json
import os
import subprocess
import sys

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(SCRIPTS)


class Failure(Exception):
    """Something that ends the script; shown without a traceback."""


def note(text):
    print(text, file=sys.stderr, flush=True)


def skip(reason):
    """Ends the check without having checked anything, which is an error in CI, where everything is to be installed."""
    if os.environ.get("CI", "false") not in ("", "false"):
        raise Failure(f"{reason} (CI is set, so nothing may be skipped)")
    note(f"{os.path.basename(sys.argv[0])}: skipped: {reason}")
    sys.exit(0)


def build_actlab():
    """Builds the program; its path."""
    note("building ActLab")
    try:
        subprocess.run(["cargo", "build", "--quiet", "-p", "runner"], cwd=ROOT, check=True)
        metadata = subprocess.run(
            ["cargo", "metadata", "--format-version", "1", "--no-deps"],
            cwd=ROOT, check=True, stdout=subprocess.PIPE,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise Failure(f"ActLab cannot be built: {error}") from error
    return os.path.join(json.loads(metadata.stdout)["target_directory"], "debug", "actlab")
