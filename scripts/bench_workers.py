#!/usr/bin/env python3
"""How much faster two workers are than one: the same sweep of single-threaded runs, with --jobs 1 and --jobs 2.

    python scripts/bench_workers.py [--rounds 3] [--json]

The two alternate; the median time of each and the ratio are printed. Needs two processors that are idle.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from program import build_actlab

SWEEP = """
name = "workers"
activations = ["relu", "gelu"]
seeds = [1, 2, 3]
threads = 1
[tasks.images]
model = { name = "resnet", depth = 8 }
data = { name = "fashion-mnist-mini" }
[tasks.images.training]
batch_size = 128
budget = { steps = 60 }
optimizer = { name = "sgd", momentum = 0.9 }
learning_rate = 0.1
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    program = build_actlab()
    seconds = {1: [], 2: []}
    for _ in range(arguments.rounds):
        for jobs in (1, 2):
            with tempfile.TemporaryDirectory() as place:
                file = Path(place) / "workers.toml"
                file.write_text(SWEEP)
                command = [program, "sweep", file, "--jobs", str(jobs), "--output", place]
                began = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                seconds[jobs].append(time.perf_counter() - began)
    one, two = (statistics.median(seconds[jobs]) for jobs in (1, 2))
    if arguments.json:
        print(json.dumps({"one_worker_seconds": one, "two_workers_seconds": two, "ratio": two / one}))
    else:
        print(f"one worker   {one:6.1f} s\ntwo workers  {two:6.1f} s\nratio        {two / one:6.3f}")


if __name__ == "__main__":
    main()
