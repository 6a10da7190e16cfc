#!/usr/bin/env python3
"""Measure ActLab beside PyTorch: operations, training steps, runs an hour.

Both do the same work on the same machine, by turns: ActLab measures while PyTorch
waits, then the other way round, --repeats times, the order reversed every other
time. Each side warms up on every turn. What is compared are medians: of the calls
of a turn, then of the turns. Every ratio is PyTorch's time over ActLab's: above 1,
ActLab is the faster one.

  ops    forward, and forward + backward, of the operations that the two models are
         made of. A backward pass is the gradient by input and weights for a given
         output gradient. Convolution and batch norm are measured in PyTorch in both
         memory formats, contiguous (NCHW) and channels_last, and the faster counts.
         "copy" and "gemm" are what the machine can do at best; the last table says
         which share of it ActLab's operations reach.
  steps  forward, backward and one plain SGD update on random data: ResNet-20 (128
         images of 3x32x32, 10 classes) and BERT-mini (32 rows of 64 tokens, 30,522
         entries, 2 classes, no dropout). The models are those of pytorch_fixtures.py.
         PyTorch runs them eagerly, eagerly in channels_last (ResNet), and through
         torch.compile; BERT-mini both ways with attention written out and with
         scaled_dot_product_attention (sdpa). The fastest counts. Each variant has a
         process of its own, whose peak memory is that of the variant alone. --device
         cuda measures both sides on a GPU, PyTorch without TF32 (--tf32: with it);
         memory is that of the host, and --threads has no meaning.
  sweep  runs an hour where two runs train side by side, one thread each: `actlab
         sweep` beside two processes of pytorch_yardstick.py. The tasks are those of
         experiments/quick.toml (fashion_resnet8, reviews_bert_tiny), reviews_bert_mini of
         bert_mini.toml, bible_gpt of language.toml, and fashion_resnet20: fashion_resnet8 with depth 20, one
         epoch and a peak rate of 0.1. Both sides evaluate equally often. Start-up, reading the data and
         evaluation count on both sides; only ActLab writes records and statistics of the
         activations. PyTorch trains a BERT padded and by rows of real tokens alone; the faster
         counts. Both sides must train equally many parameters; test scores stand beside the times.

Run it from anywhere, in the environment of pytorch_fixtures.py (Python 3.11 or
newer). torch.compile needs a C++ compiler; where it fails the script says so once
and continues without:

    python scripts/bench_pytorch.py
    python scripts/bench_pytorch.py --what ops --threads 1 --operations "gelu forward"
    python scripts/bench_pytorch.py --what steps --models resnet20 --activations relu
    python scripts/bench_pytorch.py --what steps --device cuda --actlab ./actlab
    python scripts/bench_pytorch.py --what sweep --repeats 1
    python scripts/bench_pytorch.py --what sweep --tasks bible_gpt --activations relu
    python scripts/bench_pytorch.py --torch-env LD_PRELOAD=/usr/lib/libjemalloc.so

Figures are only good on a machine that does nothing else.
"""

import argparse
import contextlib
import csv
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib

sys.dont_write_bytecode = True
# PyTorch is imported by the workers alone. Linux counts the memory of the process that starts another
# towards the peak of the one started, so this one has to stay small.

SCRIPTS = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, SCRIPTS)

from program import ROOT, Failure, build_actlab, note
from pytorch_tables import report
from pytorch_worker import (
    ACTIVATIONS, MODELS, OPERATIONS, PEAKS, POINTWISE, STEP_VARIANTS, train_runs, work,
)


# ------------------------------------------------------- processes with PyTorch


def start_python(args, threads, *arguments, **pipes):
    """This script, in a process of its own that may import PyTorch."""
    return subprocess.Popen(
        [sys.executable, os.path.abspath(__file__), *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), **args.torch_env},
        **pipes,
    )


class Worker:
    """A process with PyTorch that is idle until it is asked."""

    def __init__(self, args, threads, **job):
        job["threads"] = threads
        self.process = start_python(
            args, threads, "--worker", json.dumps(job),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def ask(self, **request):
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Failure(f"the PyTorch process ended by itself (status {self.process.wait()})")
        reply = json.loads(line)
        if "error" in reply:
            raise Failure(reply["error"])
        return reply


# ---------------------------------------------------------------------- ActLab


def actlab(args, *arguments):
    """Standard output of one call."""
    command = [args.actlab, *map(str, arguments)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
        )
    except OSError as error:
        raise Failure(f"{args.actlab} cannot be run: {error}") from error
    if done.returncode != 0:
        raise Failure(f"`{' '.join(command)}` failed with status {done.returncode}")
    return done.stdout


def actlab_json(args, *arguments):
    text = actlab(args, *arguments)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Failure(f"`actlab {' '.join(map(str, arguments))}` printed no JSON: {error}") from error


# ------------------------------------------------------------------ comparisons


def take_turns(repeats, sides):
    """Lets each side measure, one at a time, in the given order and then in reverse."""
    for repeat in range(repeats):
        for side in sides if repeat % 2 == 0 else reversed(sides):
            # OpenMP's threads spin for a moment after their last work.
            time.sleep(0.3)
            side()


class Turns:
    """What one side measured of one thing, a turn each."""

    def __init__(self):
        self.medians, self.bests = [], []

    def add(self, median, best):
        self.medians.append(median)
        self.bests.append(best)

    def add_seconds(self, seconds):
        self.add(statistics.median(seconds), min(seconds))

    def figures(self):
        return {
            "median_seconds": statistics.median(self.medians),
            "best_seconds": min(self.bests),
            "turn_medians": self.medians,
        }


def compared(variants, ours):
    """The fastest variant of PyTorch beside ActLab."""
    pytorch = {name: turns.figures() for name, turns in variants.items()}
    actlab_figures = ours.figures()
    fastest = min(pytorch, key=lambda name: pytorch[name]["median_seconds"])
    theirs = pytorch[fastest]
    best = min(figures["best_seconds"] for figures in pytorch.values())
    turns = [a / b for a, b in zip(theirs["turn_medians"], actlab_figures["turn_medians"])]
    return {
        "pytorch": pytorch,
        "fastest": fastest,
        "actlab": actlab_figures,
        "ratio": theirs["median_seconds"] / actlab_figures["median_seconds"],
        "best_ratio": best / actlab_figures["best_seconds"],
        "turn_ratios": turns,
    }


def compare_operations(args, threads):
    rounds = args.rounds or 50
    only = []
    if args.operations:
        # Shares of a peak need the peaks.
        only = [f for name in dict.fromkeys((*PEAKS, *args.operations)) for f in ("--only", name)]
    ours, rows, theirs = {}, {}, {}
    expected = set(args.operations or OPERATIONS) | set(PEAKS)

    def measure_actlab():
        command = ("bench", "ops", "--threads", threads, "--rounds", rounds, "--json", *only)
        for row in actlab_json(args, *command):
            name = row["operation"]
            ours.setdefault(name, Turns()).add(row["median_seconds"], row["best_seconds"])
            rows.setdefault(name, []).append(row)

    with Worker(args, threads) as worker:

        def measure_pytorch():
            for name, variants in OPERATIONS.items():
                if name not in expected:
                    continue
                for variant in variants:
                    reply = worker.ask(do="operation", operation=name, variant=variant, rounds=rounds)
                    turns = theirs.setdefault(name, {}).setdefault(variant, Turns())
                    turns.add_seconds(reply["seconds"])

        note(f"operations, threads {threads}")
        take_turns(args.repeats, [measure_actlab, measure_pytorch])

    for name in sorted(expected ^ set(ours)):
        note(f"operations: {name!r} is known to {'ActLab' if name in ours else 'PyTorch'} alone; left out")
    results = []
    for name in ours:
        if name not in theirs:
            continue
        last = rows[name][-1]
        shares = [row["share_of_peak"] for row in rows[name] if row.get("share_of_peak") is not None]
        results.append({
            "operation": name,
            "threads": threads,
            **{key: last.get(key) for key in ("shape", "gflop", "bytes", "peak")},
            "share_of_peak": statistics.median(shares) if shares else None,
            **compared(theirs[name], ours[name]),
        })
    return results


def compare_steps(args, model, activation, threads):
    rounds = args.rounds or 8
    size = MODELS[model]
    batch = args.batch or size["batch"]
    ours, theirs = Turns(), {}
    memory, examples, import_bytes, parameters = {}, [], 0, 0
    title = f"{model}, {activation}, threads {threads}"

    def measure_actlab():
        row = actlab_json(
            args, "bench", "step", "--model", model, "--activation", activation, "--batch", batch,
            "--threads", threads, "--rounds", rounds, "--device", args.device, "--json",
        )
        ours.add(row["median_seconds"], row["best_seconds"])
        memory["actlab"] = max(memory.get("actlab", 0), row["peak_memory_bytes"] or 0)
        examples.append(row["examples_per_second"])

    def measured_by(variant, worker):
        def measure():
            nonlocal import_bytes
            reply = worker.ask(do="step", rounds=rounds)
            theirs.setdefault(variant, Turns()).add_seconds(reply["seconds"])
            memory[variant] = max(memory.get(variant, 0), reply["peak_bytes"])
            import_bytes = max(import_bytes, reply["import_bytes"])

        return measure

    with contextlib.ExitStack() as workers:
        sides = [measure_actlab]
        for variant in size["variants"]:
            if variant in args.skip:
                continue
            note(f"{title}: preparing {variant}")
            worker = workers.enter_context(
                Worker(
                    args, threads, model=model, activation=activation, batch=batch, variant=variant,
                    device=args.device, tf32=args.tf32,
                )
            )
            try:
                prepared = worker.ask(do="prepare")
            except Failure as error:
                if not variant.startswith("compile"):
                    raise
                note(f"torch.compile does not work here and is left out: {error}")
                args.compile_error = str(error)
                args.skip.extend(name for name in STEP_VARIANTS if name.startswith("compile"))
                continue
            parameters = prepared["parameters"]
            expected = size["parameters"][activation not in POINTWISE]
            if parameters != expected:
                raise Failure(f"{model} with {activation} has {parameters:,} parameters, not {expected:,}")
            sides.append(measured_by(variant, worker))
        note(f"{title}: measuring")
        take_turns(args.repeats, sides)

    return {
        "model": model,
        "activation": activation,
        "threads": threads,
        "batch": batch,
        "device": args.device,
        "parameters": parameters,
        "actlab_examples_per_second": statistics.median(examples),
        "peak_bytes": memory,
        "import_bytes": import_bytes,
        **compared(theirs, ours),
    }


def inline_toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


# Name -> the experiment that ships, its task, and what differs from it.
TASKS = {
    "fashion_resnet8": ("quick", "fashion_resnet8", {}),
    # One epoch, so that it takes about a minute, and half the rate: at 0.2 the loss of so deep a network
    # rises above its first value, and scores after one epoch are chance on both sides.
    "fashion_resnet20": (
        "quick", "fashion_resnet8",
        {"model": {"depth": 20}, "training": {"budget": {"epochs": 1}, "learning_rate": 0.1}},
    ),
    "reviews_bert_tiny": ("quick", "reviews_bert_tiny", {}),
    "reviews_bert_mini": ("bert_mini", "reviews_bert_mini", {}),
    "bible_gpt": ("language", "bible_gpt", {}),
}


# Model -> variants of PyTorch's runs, with their options.
PADDED = {"eager": []}
SWEEP_VARIANTS = {"resnet": PADDED, "gpt": PADDED, "bert": {**PADDED, "unpadded": ["--unpadded"]}}


def shipped_task(name):
    """The experiment of a task, and the task as it is compared."""
    experiment, shipped, changes = TASKS[name]
    path = os.path.join("experiments", f"{experiment}.toml")
    with open(os.path.join(ROOT, path), "rb") as file:
        task = tomllib.load(file)["tasks"][shipped]
    for part, values in changes.items():
        task[part] |= values
    return path, task


def recipe_of(task, activation):
    """The options of pytorch_yardstick.py for a task; its other settings are those of the shipped tasks."""
    training, model, optimizer = task["training"], task["model"], task["training"]["optimizer"]
    options = {
        "--task": model["name"], "--activation": activation, "--threads": 1,
        "--lr": training["learning_rate"], "--batch": training["batch_size"],
        "--weight-decay": training["weight_decay"], "--warmup": training["warmup"],
        "--clip": training.get("clip_norm", 0),
    }
    options |= {f"--{unit}": amount for unit, amount in training["budget"].items()}
    found = {
        "--depth": model.get("depth"), "--dropout": model.get("dropout"),
        "--size": model["size"] if model["name"] == "bert" else None,
        "--length": model.get("max_length"), "--beta2": optimizer.get("beta2"),
        "--train-limit": task["data"].get("train_limit"),
        "--evaluate-every": training.get("evaluate_every"),
    }
    options |= {option: value for option, value in found.items() if value is not None}
    return [str(word) for option in options.items() for word in option]


def actlab_scores(path):
    """Metric, test scores and numbers of parameters of the runs of a sweep; a diverged run has no score."""
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    name, direction = rows[0]["metric"], rows[0]["direction"]
    scores = [float(row[f"test_{name}"]) for row in rows if row[f"test_{name}"]]
    return {"name": name, "direction": direction}, scores, {int(row["parameters"]) for row in rows}


def pytorch_scores(printed):
    """Test scores and numbers of parameters, of what pytorch_yardstick.py printed."""
    found = re.findall(r" test ([0-9.]+) (%|bits/byte)", printed)
    scores = [float(score) / 100 if unit == "%" else float(score) for score, unit in found]
    counts = re.findall(r"([0-9,]+) parameters", printed)
    return scores, {int(count.replace(",", "")) for count in counts}


def compare_sweeps(args, name, activation):
    """Runs an hour, two at a time, one thread each."""
    experiment, task = shipped_task(name)
    training = task["training"]
    if args.epochs:
        training["budget"] = {"epochs": args.epochs}
    settings = {
        "name": "comparison", "activations": [activation], "baseline": activation,
        "seeds": list(range(1, args.runs + 1)), "tasks": {name: task},
    }
    seeds = [str(seed) for seed in settings["seeds"]]
    changes = [f for key, value in settings.items() for f in ("--set", f"{key}={inline_toml(value)}")]
    recipe = recipe_of(task, activation)
    variants = SWEEP_VARIANTS[task["model"]["name"]]
    ours, theirs = Turns(), {variant: Turns() for variant in variants}
    metric, scores, parameters = {}, {}, {}

    def measure_actlab():
        with tempfile.TemporaryDirectory() as output:
            began = time.perf_counter()
            actlab(
                args, "sweep", experiment, *changes, "--jobs", 2, "--threads", 1,
                "--output", output,
            )
            ours.add_seconds([time.perf_counter() - began])
            path = os.path.join(output, "comparison", "runs.csv")
            found, scores["actlab"], parameters["actlab"] = actlab_scores(path)
            metric.update(found)

    def measured_by(variant):
        def measure():
            began = time.perf_counter()
            processes = [
                start_python(
                    args, 1, "--yardstick", json.dumps([*recipe, *variants[variant], "--seeds", *half]),
                    stdout=subprocess.PIPE, text=True,
                )
                for half in (seeds[0::2], seeds[1::2])
            ]
            printed = [process.communicate()[0] for process in processes]
            statuses = [process.returncode for process in processes]
            if any(statuses):
                raise Failure(f"pytorch_yardstick.py failed (statuses {statuses})")
            theirs[variant].add_seconds([time.perf_counter() - began])
            # They drop other units by dropout, whose masks have other shapes.
            scores[variant], parameters[variant] = pytorch_scores("".join(printed))

        return measure

    note(f"sweep: {len(seeds)} runs of {name}, {activation}")
    take_turns(args.repeats, [measure_actlab, *map(measured_by, variants)])
    if len(set().union(*parameters.values())) != 1:
        raise Failure(f"{name} with {activation}: the sides differ in parameters: {parameters}")
    result = compared(theirs, ours)
    fastest = result["pytorch"][result["fastest"]]
    scores["pytorch"] = scores[result["fastest"]]
    hourly = {
        side: 3600 * len(seeds) / figures["median_seconds"]
        for side, figures in (("pytorch", fastest), ("actlab", result["actlab"]))
    }
    return {
        "task": name, "activation": activation, "runs": len(seeds), "budget": training["budget"],
        "parameters": parameters["actlab"].pop(), "metric": metric, "scores": scores,
        "runs_an_hour": hourly, **result,
    }


# ------------------------------------------------------------------------ main


def cpu_model():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def measure(args):
    with Worker(args, 1) as worker:
        machine = worker.ask(do="describe", device=args.device)
    machine |= {"cpu": cpu_model(), "processors": os.cpu_count()}
    options = {
        key: getattr(args, key)
        for key in (
            "what", "threads", "device", "tf32", "repeats", "rounds", "batch", "torch_env", "runs",
            "epochs", "tasks",
        )
    }
    figures = {"machine": machine, "options": options, "operations": [], "steps": [], "sweeps": []}

    def keep():
        # After every comparison, so that a run that is broken off leaves what it has.
        if args.json:
            with open(args.json, "w", encoding="utf-8") as file:
                json.dump(figures, file, indent=1)
                file.write("\n")

    if "ops" in args.what:
        for threads in args.threads:
            figures["operations"] += compare_operations(args, threads)
            keep()
    if "steps" in args.what:
        for model in args.models:
            for activation in args.activations:
                for threads in args.threads:
                    figures["steps"].append(compare_steps(args, model, activation, threads))
                    figures["compile_error"] = args.compile_error
                    keep()
    if "sweep" in args.what:
        for name in args.tasks:
            for activation in args.activations:
                figures["sweeps"].append(compare_sweeps(args, name, activation))
                keep()
    return figures


def setting(text):
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text}: must be NAME=VALUE")
    return name, value


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="See the top of this file for what is measured, how, and for examples.",
    )
    parser.add_argument(
        "--what", nargs="+", choices=["ops", "steps", "sweep"], default=["ops", "steps"],
        help="what to compare (default: ops steps)",
    )
    parser.add_argument(
        "--threads", nargs="+", type=positive, default=[1, 2], metavar="N",
        help="ops, steps: threads of each side, one comparison each (default: 1 2)",
    )
    parser.add_argument(
        "--operations", nargs="+", choices=list(OPERATIONS), metavar="NAME",
        help="ops: only these, as in 'gelu forward' (default: all)",
    )
    parser.add_argument(
        "--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="steps: default both"
    )
    parser.add_argument(
        "--activations", nargs="+", choices=ACTIVATIONS, default=list(ACTIVATIONS),
        help="steps, sweep: default all",
    )
    parser.add_argument(
        "--device", default="cpu", metavar="DEVICE",
        help="steps: where both sides compute, as cuda; needs --actlab, a program built for it (cpu)",
    )
    parser.add_argument("--tf32", action="store_true", help="PyTorch may use TF32 on a GPU")
    parser.add_argument("--repeats", type=positive, default=3, help="turns of each side (3)")
    parser.add_argument("--rounds", type=positive, help="measured calls a turn (ops 50, steps 8)")
    parser.add_argument("--batch", type=positive, help="steps: rows a step (resnet20 128, bert-mini 32)")
    parser.add_argument(
        "--skip", nargs="+", choices=STEP_VARIANTS[1:], default=[],
        help="steps: variants of PyTorch to leave out",
    )
    parser.add_argument("--runs", type=positive, default=2, help="sweep: runs, each with a seed (2)")
    parser.add_argument(
        "--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="sweep: default all"
    )
    parser.add_argument("--epochs", type=positive, help="sweep: epochs a run (as the task has them)")
    parser.add_argument(
        "--actlab", metavar="PATH", help="the program (default: built by cargo, and found by it)"
    )
    parser.add_argument(
        "--torch-env", nargs="+", type=setting, default=[], metavar="NAME=VALUE",
        help="environment of PyTorch's processes, as in another allocator",
    )
    parser.add_argument("--json", metavar="FILE", help="write every figure")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables (default: print them)")
    # The processes with PyTorch are this script too: a worker, or a run of the sweep.
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--yardstick", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker is not None:
        work(args.worker)
        return
    if args.yardstick is not None:
        train_runs(args.yardstick)
        return
    if "sweep" in args.what and args.runs < 2:
        parser.error("--runs must be 2 or more: a sweep has two runs side by side")
    if args.device != "cpu":
        if args.what != ["steps"] or not args.actlab:
            parser.error("--device is for --what steps, and needs --actlab")
        args.threads = [1]
    args.torch_env = dict(args.torch_env)
    args.compile_error = None
    args.actlab = os.path.abspath(args.actlab) if args.actlab else build_actlab()

    text = report(measure(args))
    if args.markdown:
        with open(args.markdown, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    try:
        main()
    except Failure as error:
        sys.exit(f"bench_pytorch.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
