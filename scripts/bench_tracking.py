#!/usr/bin/env python3
"""Measure what it costs to log a run: to W&B, to TensorBoard, and the system's metrics.

  overhead  trains the same run with every sink on (W&B online, to a stand-in server on
            127.0.0.1; TensorBoard; system metrics) and with none, by turns, the order
            reversed every other time. Compared are the seconds of its training steps and
            of the whole command, which ends when everything has arrived.
  long      trains a very small network for --points steps, each of which is a line of
            history: once online, where it shows the memory of the program over time and how
            far the server is behind; once offline, and uploads the directory by
            `actlab sync` and by W&B's own `wandb sync`.

The stand-in server runs on the same machine and takes its share of it. Run it from
anywhere, with Python 3.11 or newer; the first time it installs W&B's client, as
check_tracking.py does:

    python scripts/bench_tracking.py
    python scripts/bench_tracking.py --what long --points 20000

Figures are only good on a machine that does nothing else.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, SCRIPTS)
sys.dont_write_bytecode = True

import check_tracking as tracking
from program import ROOT, Failure, build_actlab, note

MIB = 1 << 20
NONE = ("--wandb", "disabled", "--set", "system_metrics=0")
ALL = ("--wandb", "online", "--tensorboard")

# A step of about a millisecond.
LONG = """
name = "long"
activations = ["relu"]
seeds = [1]

[tasks.tiny]
model = {{ name = "resnet", depth = 8, width = 1 }}
data = {{ name = "fashion-mnist-mini", train_limit = 64 }}

[tasks.tiny.training]
batch_size = 1
budget = {{ steps = {steps} }}
optimizer = {{ name = "sgd" }}
learning_rate = 1e-5
evaluate_every = {every}
site_statistics = {{ examples = 8 }}
"""


def train(args, folder, experiment, flags, **environment):
    """Starts a run."""
    shutil.rmtree(os.path.join(folder, "results"), ignore_errors=True)
    return subprocess.Popen(
        [args.actlab, "train", experiment, "--activation", "relu", *flags], cwd=folder, text=True,
        env=tracking.clean_environment(folder, **environment),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )


def finish(process):
    _, err = process.communicate()
    if process.returncode != 0:
        note(err.strip())
        raise Failure(f"`actlab train` failed with status {process.returncode}")
    if "did not arrive" in err:
        raise Failure(err.strip())


def run_folder(folder, sweep):
    runs = os.path.join(folder, "results", sweep, "runs")
    return os.path.join(runs, os.listdir(runs)[0])


def credentials(server):
    return {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": tracking.KEY}


# -------------------------------------------------------------------- overhead


def measure_overhead(args, folder, threads):
    experiment = os.path.join(ROOT, "experiments", "quick.toml")
    size = ("--threads", str(threads))
    sides = {"none": [], "all": []}

    def turn(name):
        with contextlib.ExitStack() as stack:
            flags, environment = NONE, {}
            if name == "all":
                server = stack.enter_context(tracking.Server())
                flags, environment = ALL, credentials(server)
            began = time.perf_counter()
            finish(train(args, folder, experiment, (*size, *flags), **environment))
            whole = time.perf_counter() - began
            if name == "all":
                (arrived,) = server.runs.values()
                if not arrived.ends or arrived.problems:
                    raise Failure(f"not everything arrived: {arrived.problems}")
        with open(os.path.join(run_folder(folder, "quick"), "record.json"), encoding="utf-8") as file:
            timing = json.load(file)["timing"]
        sides[name].append((timing["train_seconds"], whole))

    turn("none")
    sides["none"].clear()
    for repeat in range(args.repeats):
        note(f"{threads} threads: turn {repeat + 1} of {args.repeats}")
        for name in ("none", "all") if repeat % 2 == 0 else ("all", "none"):
            turn(name)
    for position, what in enumerate(("training steps", "whole command")):
        none = [figures[position] for figures in sides["none"]]
        everything = [figures[position] for figures in sides["all"]]
        ratio = statistics.median(everything) / statistics.median(none)
        pairs = [a / b for a, b in zip(everything, none)]
        print(
            f"| {what} | {threads} | {statistics.median(none):.2f} | {statistics.median(everything):.2f} |"
            f" {ratio:.3f} ({min(pairs):.3f}–{max(pairs):.3f}) |",
            flush=True,
        )


def overhead(args, folder):
    print("| seconds of | threads | no sink | all sinks | ratio |\n| --- | --: | --: | --: | --: |")
    for threads in args.threads:
        measure_overhead(args, folder, threads)


# ------------------------------------------------------------------------ long


def resident(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def lines_of(server):
    return sum(len(run.lines["wandb-history.jsonl"]) for run in server.runs.values())


def long_online(args, folder, experiment):
    with tracking.Server() as server:
        process = train(args, folder, experiment, ALL, **credentials(server))
        # What it says is read while it runs, or it would wait for room to say it.
        said = []
        reader = threading.Thread(target=lambda: said.extend(process.stderr))
        reader.start()
        print("| lines written | on the server | resident, MiB |\n| --: | --: | --: |")
        shown = 0
        while process.poll() is None:
            time.sleep(0.2)
            with contextlib.suppress(OSError, IndexError):
                stream = os.path.join(run_folder(folder, "long"), "metrics.jsonl")
                if not os.path.exists(stream):
                    continue
                # A line has about the same length all along.
                with open(stream, "rb") as file:
                    head = file.read(1 << 16)
                    written = int(os.path.getsize(stream) / len(head) * head.count(b"\n"))
                if written * 8 // args.points >= shown:
                    shown += 1
                    print(f"| {written} | {lines_of(server)} | {resident(process.pid) / MIB:.0f} |", flush=True)
        reader.join()
        if process.returncode != 0:
            raise Failure("".join(said))
        (arrived,) = server.runs.values()
        check(args, arrived)
        print(f"\nonline: {lines_of(server)} lines on the server when the command ended", flush=True)


def check(args, arrived):
    steps = [line["_step"] for line in arrived.lines["wandb-history.jsonl"]]
    if arrived.problems or steps != list(range(1, args.points + 1)):
        raise Failure(f"the history is not whole: {len(steps)} lines; {arrived.problems}")


def long_offline(args, folder, experiment):
    finish(train(args, folder, experiment, ("--wandb", "offline")))
    with open(os.path.join(run_folder(folder, "long"), "wandb.json"), encoding="utf-8") as file:
        directory = os.path.join(folder, json.load(file)["offline"])
    log = next(name for name in os.listdir(directory) if name.endswith(".wandb"))
    size = os.path.getsize(os.path.join(directory, log))
    print(f"offline: {log[-6:]} file of {size / MIB:.0f} MiB")
    tools = {
        "wandb sync": [sys.executable, "-m", "wandb", "sync"],
        "actlab sync": [args.actlab, "sync"],
    }
    for name, command in tools.items():
        copy = os.path.join(folder, "copy")
        shutil.copytree(directory, os.path.join(copy, os.path.basename(directory)))
        with tracking.Server() as server:
            began = time.perf_counter()
            subprocess.run(
                [*command, os.path.join(copy, os.path.basename(directory))], cwd=folder, check=True,
                env=tracking.clean_environment(folder, **credentials(server)), capture_output=True,
            )
            seconds = time.perf_counter() - began
            (arrived,) = server.runs.values()
            check(args, arrived)
        shutil.rmtree(copy)
        print(f"{name}: {args.points} lines in {seconds:.1f} s", flush=True)


def long(args, folder):
    experiment = os.path.join(folder, "long.toml")
    with open(experiment, "w", encoding="utf-8") as file:
        file.write(LONG.format(steps=args.points, every=max(args.points // 40, 1)))
    long_online(args, folder, experiment)
    long_offline(args, folder, experiment)


# ------------------------------------------------------------------------ main


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--what", nargs="+", choices=("overhead", "long"), default=["overhead", "long"])
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="overhead: turns a side (%(default)s)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="N", help="overhead: of the run")
    parser.add_argument("--points", type=int, default=200_000, metavar="N", help="long: steps (%(default)s)")
    parser.add_argument("--actlab", metavar="PATH", help="the program (default: built by cargo)")
    parser.add_argument("--venv", metavar="DIR", default=tracking.default_venv(), help="see check_tracking.py")
    args = parser.parse_args()
    tracking.enter(os.path.abspath(args.venv))
    args.actlab = os.path.abspath(args.actlab) if args.actlab else build_actlab()

    with tempfile.TemporaryDirectory(prefix="actlab-tracking-") as folder:
        for what in args.what:
            {"overhead": overhead, "long": long}[what](args, folder)


if __name__ == "__main__":
    try:
        main()
    except Failure as error:
        sys.exit(f"bench_tracking.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
