#!/usr/bin/env python3
"""Check what ActLab writes for W&B and TensorBoard with the tools of W&B and TensorBoard.

It trains a sweep of six runs of about a second (`actlab sweep --wandb offline
--tensorboard`) in a temporary folder, one pair of them with a learning rate at
which they diverge, so that NaN and infinity occur. Then it lets these read what
ActLab has written, and compares all of it with ActLab's own record, `metrics.jsonl`
and `record.json`:

  wandb sync          uploads each offline directory to a stand-in server on
                      127.0.0.1: every line of history once and in order, summary,
                      configuration, group, tags, system metrics, output, files,
                      exit code
  wandb leet inspect  W&B's own reader of `run-ID.wandb`, on the same directories
  TensorBoard         its readers of event files: scalars, histograms,
                      hyper-parameters, status

Nothing is sent to any other machine, and neither keys nor settings of W&B are read.

Run it from anywhere, with Python 3.11 or newer:

    python scripts/check_tracking.py
    python scripts/check_tracking.py --actlab target/release/actlab --keep

The first time it installs W&B's client and TensorBoard, in the versions below, into a
virtual environment, for which it needs PyPI: `actlab/tracking-venv` in XDG_CACHE_HOME
or ~/.cache, or --venv. After that it takes about a quarter of a minute. It prints a
line for everything it has checked. At the first thing that is not as recorded it says
which, and exits with 1.
"""

import argparse
import base64
import collections
import contextlib
import csv
import gzip
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from program import Failure, build_actlab, note

PACKAGES = {"wandb": "0.31.0", "tensorboard": "2.21.0"}

# The sweep of the program's tests, with one seed, system metrics at the shortest interval, a little
# more training, and a task that diverges.
EXPERIMENT = """
name = "tiny"
activations = ["relu", "gelu"]
seeds = [1]
system_metrics = 0.1

[tasks.images]
model = { name = "resnet", depth = 8, width = 4 }
data = { name = "fashion-mnist-mini", train_limit = 256 }

[tasks.images.training]
batch_size = 64
budget = { epochs = 3 }
optimizer = { name = "sgd", nesterov = true }
learning_rate = 0.1
schedule = "cosine"
warmup = 0.2
evaluate_every = 2

[tasks.text]
model = { name = "bert", size = "tiny", max_length = 8 }
data = { name = "movie-reviews", train_limit = 64 }

[tasks.text.training]
batch_size = 32
budget = { steps = 2 }
optimizer = { name = "adamw" }
learning_rate = 1e-3

[tasks.wild]
model = { name = "resnet", depth = 8, width = 4 }
data = { name = "fashion-mnist-mini", train_limit = 256 }

[tasks.wild.training]
batch_size = 64
budget = { epochs = 1 }
optimizer = { name = "sgd" }
learning_rate = 1e30
evaluate_every = 1
"""
SWEEP = "tiny"
RUNS = 6
REPORT_FILES = ("report.md", "report.html", "summary.csv", "runs.csv", "sweep.json")

# Names that events have in the record -> names that the metrics have elsewhere.
METRICS = {
    "train": {
        "epoch": "epoch", "loss": "train/loss", "accuracy": "train/accuracy",
        "learning_rate": "train/learning_rate", "gradient_norm": "train/gradient_norm",
        "seconds": "train/step_seconds",
    },
    "validation": {
        "epoch": "epoch", "loss": "validation/loss", "accuracy": "validation/accuracy",
    },
    "site": {
        name: f"sites/{{site}}/{name}"
        for name in ("dead", "zero", "mean", "variance", "saturated", "inputs", "outputs")
    },
}
MIB = 1 << 20
SYSTEM = {
    "process_cpu_percent": ("cpu", 1),
    "cpu_percent": ("cpu.total_percent", 1),
    "cpu_joules": ("cpu.energyJoules", 1),
    "memory_percent": ("memory_percent", 1),
    "memory_available_bytes": ("proc.memory.availableMB", MIB),
    "process_memory_bytes": ("proc.memory.rssMB", MIB),
    "process_threads": ("proc.cpu.threads", 1),
}
GPU = {
    "utilization_percent": "gpu",
    "memory_percent": "memoryAllocated",
    "memory_bytes": "memoryAllocatedBytes",
    "temperature_celsius": "temp",
    "power_watts": "powerWatts",
    "joules": "energyJoules",
}
# Hyper-parameters that TensorBoard's table must have, and where the configuration has them.
HPARAMS = {
    "activation": ("activation",),
    "task": ("task",),
    "model_name": ("model_name",),
    "seed": ("seed",),
    "learning_rate": ("training", "learning_rate"),
    "batch_size": ("training", "batch_size"),
    "optimizer": ("training", "optimizer", "name"),
}

# Times go through formats that count micro- or nanoseconds.
CLOCK = 2e-6
KEY = "0123456789" * 4


# ------------------------------------------------------------------ environment


def default_venv():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "actlab", "tracking-venv")


def python_of(venv):
    folder, name = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return os.path.join(venv, folder, name)


def installed(python):
    """Versions of the packages that this Python has, as far as it has them."""
    ask = (
        "from importlib.metadata import version, PackageNotFoundError\n"
        f"for name in {list(PACKAGES)}:\n"
        "    try: print(name, version(name))\n"
        "    except PackageNotFoundError: pass\n"
    )
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    except OSError:
        return {}
    return dict(line.split() for line in done.stdout.splitlines())


def run_quietly(*command):
    """Why a command failed, if it did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = (done.stderr + done.stdout).strip().splitlines() or [f"status {done.returncode}"]
    if any("Retrying (" in line for line in lines):
        return "PyPI cannot be reached"
    return ([line for line in lines if line.startswith("ERROR")] or lines)[-1].strip()


def enter(venv):
    """Goes on in the virtual environment, which is made where it is missing."""
    python = python_of(venv)
    inside = os.path.realpath(sys.prefix) == os.path.realpath(venv)
    if installed(python) != PACKAGES:
        wanted = [f"{name}=={version}" for name, version in PACKAGES.items()]
        note(f"installing {' and '.join(wanted)} into {venv}")
        reason = None if inside else run_quietly(sys.executable, "-m", "venv", venv)
        reason = reason or run_quietly(
            python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--retries", "1", "--timeout", "20", *wanted,
        )
        if reason or installed(python) != PACKAGES:
            raise Failure(
                f"{' and '.join(wanted)} are not in {venv} and cannot be installed there:"
                f" {reason or 'pip installed something else'}"
            )
    if inside:
        return
    command = [python, os.path.abspath(sys.argv[0]), *sys.argv[1:]]
    if os.name == "nt":
        sys.exit(subprocess.run(command).returncode)
    os.execv(python, command)


def clean_environment(folder, **more):
    """Nothing that the user has set up for themselves: no settings, no keys, no proxy."""
    own = ("WANDB_", "MLFLOW_", "ACTLAB_", "NETRC")
    env = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    home = os.path.join(folder, "home")
    os.makedirs(home, exist_ok=True)
    return env | {"HOME": home, "NO_COLOR": "1", "NO_PROXY": "*", "no_proxy": "*", **more}


# --------------------------------------------------------------------- compare

ABSENT = object()
# Texts for numbers that JSON does not have: of ActLab's record, and of W&B's reader. On the wire W&B has
# NaN, Infinity and -Infinity without quotes, which Python reads as numbers.
RECORDED = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
INSPECTED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def plain(value, names):
    """JSON with numbers where it has texts for them."""
    if isinstance(value, dict):
        return {key: plain(part, names) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def equal(want, got, tolerance=0.0):
    if is_number(want) and is_number(got):
        if math.isnan(want) or math.isnan(got):
            return math.isnan(want) and math.isnan(got)
        return want == got or abs(want - got) <= tolerance
    return type(want) is type(got) and want == got


def difference(want, got, key=""):
    """The first place where two values differ, and both values there."""
    if isinstance(want, dict) and isinstance(got, dict):
        for name in [*want, *(name for name in got if name not in want)]:
            inner = f"{key}.{name}" if key else str(name)
            found = difference(want.get(name, ABSENT), got.get(name, ABSENT), inner)
            if found:
                return found
        return None
    if isinstance(want, list) and isinstance(got, list):
        for i in range(max(len(want), len(got))):
            parts = [side[i] if i < len(side) else ABSENT for side in (want, got)]
            found = difference(*parts, f"{key}[{i}]")
            if found:
                return found
        return None
    # The system's clock is a float of seconds in the record and a count of nanoseconds elsewhere.
    tolerance = CLOCK if key in ("time", "runtime") else 0.0
    return None if equal(want, got, tolerance) else (key, want, got)


def shown(value):
    text = "nothing" if value is ABSENT else repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


def expect(where, want, got, key="", names=()):
    """Fails where `got` is not `want`, which is what the record says."""
    found = difference(plain(want, RECORDED), plain(got, dict(names)), key)
    if found:
        key, want, got = found
        place = f"{where}, {key}" if key else where
        raise Failure(f"{place}: {shown(got)}, but by the record {shown(want)}")


def expect_names(where, want, got):
    """Fails where `got` does not have the names of `want`, each once."""
    want, got = collections.Counter(list(want)), collections.Counter(list(got))
    wrong = [f"{name} is missing" for name in want - got] + [f"{name} is too much" for name in got - want]
    if wrong:
        raise Failure(f"{where}: {', '.join(wrong)}")


def expect_that(where, truth, what):
    if not truth:
        raise Failure(f"{where}: {what}")


# ---------------------------------------------------------------------- ActLab


def train(program, folder):
    experiment = f"{SWEEP}.toml"
    with open(os.path.join(folder, experiment), "w", encoding="utf-8") as file:
        file.write(EXPERIMENT)
    command = [program, "sweep", experiment, "--wandb", "offline", "--tensorboard"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=clean_environment(folder), text=True, capture_output=True,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise Failure(f"{program} cannot be run: {error}") from error
    if done.returncode != 0:
        note(done.stderr.strip())
        raise Failure(f"`{' '.join(command)}` failed with status {done.returncode}")


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        raise Failure(f"{path} cannot be read: {error}") from error


def read_bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error}") from error


def history_of(events, started):
    """All metrics of a step in one row, in the order of steps."""
    rows = {}
    for event in events:
        names = METRICS.get(event["event"], {})
        layers = event.get("layers", [])
        if not names and not layers:
            continue
        step, time = event["step"], event["time"]
        row = rows.setdefault(step, {"_step": step, "_timestamp": time, "_runtime": time - started})
        for layer in layers:
            row.setdefault(f"gradients/{layer['layer']}/norm", layer["norm"])
        for name, key in names.items():
            if name in event:
                row.setdefault(key.format(site=event.get("site")), event[name])
    return list(rows.values())


def system_of(event):
    figures = {
        key: event[name] / scale for name, (key, scale) in SYSTEM.items() if event.get(name) is not None
    }
    for gpu in event.get("gpus", []):
        for name, key in GPU.items():
            if gpu.get(name) is not None:
                figures[f"gpu.{gpu['index']}.{key}"] = gpu[name]
    return figures


def summary_of(record, history):
    last = {}
    for row in history:
        last |= row
    last["outcome"] = record["outcome"]["status"]
    if "reason" in record["outcome"]:
        last["reason"] = record["outcome"]["reason"]
    summary = record.get("summary") or {}
    for name in ("test", "best_validation", "last_validation"):
        evaluation = summary.get(name) or {}
        for what in ("accuracy", "loss", *(["step"] if name == "best_validation" else [])):
            last[f"{name}/{what}"] = evaluation.get(what)
    last["steps_to_target"] = summary.get("steps_to_target")
    for what in (
        "total_seconds", "train_seconds", "examples_per_second", "peak_memory_bytes", "energy_joules",
    ):
        last[what] = record["timing"].get(what)
    return {key: value for key, value in last.items() if value is not None}


def config_of(spec, start, run_id, model_name):
    activation = spec["activation"]
    copied = ("task", "model", "data", "data_sha256", "training", "seed", "device", "numerics")
    return {
        "activation": activation["label"],
        "activation_name": activation["name"],
        "activation_parameters": activation["parameters"],
        "model_name": model_name,
        "run_id": run_id,
        # Left out of a spec where it is what it always was.
        "objective": spec.get("objective", {"name": "classification"}),
        **{key: spec[key] for key in copied},
        **{key: start[key] for key in ("sweep", "parameters", "flops", "steps")},
    }


def edges(histogram):
    counts = len(histogram["counts"])
    first, last = histogram["min"], histogram["max"]
    if first == last:
        first, last = first - 0.5, last + 0.5
    width = (last - first) / counts
    return [first + width * i for i in range(counts)] + [last]


def is_histogram(value):
    return isinstance(value, dict)


def for_wandb(row):
    """A row in W&B's form."""
    return {
        key: {"_type": "histogram", "bins": edges(value), "values": value["counts"]}
        if is_histogram(value) else value
        for key, value in row.items()
    }


def without_empty(value):
    """What W&B's client leaves of a configuration: it has no empty objects."""
    if not isinstance(value, dict):
        return value
    return {key: without_empty(part) for key, part in value.items() if part != {}}


class Run:
    """What ActLab has recorded of a run, and what the others must have of it."""

    job_type = "train"

    def __init__(self, folder, path, models):
        self.folder = os.path.join(folder, path)
        with open(os.path.join(self.folder, "metrics.jsonl"), encoding="utf-8") as file:
            self.events = [json.loads(line) for line in file]
        spec = read_json(os.path.join(self.folder, "spec.json"))
        record = read_json(os.path.join(self.folder, "record.json"))
        self.read_wandb(folder)
        self.label, _, run_id = os.path.basename(path).rpartition("-")
        start = self.events[0]
        expect_that(self.label, start["event"] == "start", "the record does not begin with a start")
        self.started = start["time"]
        model_name = models[run_id]
        self.tags = [spec["activation"]["label"], spec["task"], model_name]
        self.config = config_of(spec, start, run_id, model_name)
        self.history = history_of(self.events, self.started)
        self.summary = summary_of(record, self.history)
        self.system = [
            {"time": event["time"], "runtime": event["time"] - self.started, "items": system_of(event)}
            for event in self.events if event["event"] == "system"
        ]
        self.output = [event["line"] for event in self.events if event["event"] == "output"]
        self.exit_code = int(record["outcome"]["status"] == "failed")
        self.files = ("spec.json", "record.json")

    def read_wandb(self, folder):
        written = read_json(os.path.join(self.folder, "wandb.json"))
        self.id, self.offline = written["id"], os.path.join(folder, written["offline"])

    def document(self, name):
        return read_bytes(os.path.join(self.folder, name))


class Report(Run):
    """The report of a sweep, which is a run to W&B."""

    job_type = "report"

    def __init__(self, folder):
        self.folder = os.path.join(folder, "results", SWEEP)
        self.read_wandb(folder)
        self.label = f"{SWEEP}-report"
        self.tags = ["report"]
        self.config = {"sweep": SWEEP}
        self.summary, self.history, self.system, self.output = {}, [], [], []
        self.exit_code = 0
        self.files = REPORT_FILES


def read_record(folder):
    results = os.path.join("results", SWEEP)
    try:
        with open(os.path.join(folder, results, "runs.csv"), encoding="utf-8", newline="") as file:
            models = {row["id"]: row["model"] for row in csv.DictReader(file)}
        names = sorted(os.listdir(os.path.join(folder, results, "runs")))
        runs = [Run(folder, os.path.join(results, "runs", name), models) for name in names]
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"ActLab's record cannot be read: {error!r}") from error
    expect_that("the record", len(runs) == RUNS, f"{len(runs)} runs, not {RUNS}")
    for what, found in {
        "system metrics": any(run.system for run in runs),
        "output": all(run.output for run in runs),
        "NaN": any(v == "nan" for run in runs for row in run.history for v in row.values()),
        "histograms": any(is_histogram(v) for run in runs for row in run.history for v in row.values()),
    }.items():
        expect_that("the record", found, f"no {what}, so nothing can be said of them")
    return runs


# -------------------------------------------------------------- stand-in server


class Arrived:
    """What has arrived of a run."""

    def __init__(self):
        self.upserts = []
        self.lines = {"wandb-history.jsonl": [], "wandb-events.jsonl": []}
        self.summary = {}
        self.output = {}
        self.uploads = {}
        self.ends = []
        self.problems = []

    def stream(self, request):
        for name, part in request.get("files", {}).items():
            offset, content = part["offset"], part["content"]
            if name in self.lines:
                lines = self.lines[name]
                if offset != len(lines):
                    self.problems.append(f"{name}: line {offset} was sent after {len(lines)} lines")
                lines += [json.loads(line) for line in content]
            elif name == "wandb-summary.json":
                self.summary = json.loads(content[-1])
            elif name == "output.log":
                # The client may write a line anew: it emulates a terminal.
                self.output |= {offset + i: line for i, line in enumerate(content)}
            else:
                self.problems.append(f"an unknown file was sent: {name}")
        if self.ends and request:
            self.problems.append("something was sent after the end of the run")
        if request.get("complete"):
            self.ends.append(request.get("exitcode"))


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def answer(self):
        body = self.body()
        with self.server.lock:
            reply = self.server.reply(self.command, self.path, self.headers, body)
        content = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = answer


class Server(ThreadingHTTPServer):
    """As much of a W&B server as its client needs to upload runs."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()
        self.runs = collections.defaultdict(Arrived)
        self.unknown = []
        self.authorization = "Basic " + base64.b64encode(f"api:{KEY}".encode()).decode()

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """The client drops connections when it ends. Anything else shows in what has not arrived."""

    def reply(self, method, path, headers, body):
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        if method == "PUT" and parts[0] == "upload":
            self.runs[parts[1]].uploads["/".join(parts[2:])] = body
            return {}
        if headers.get("Authorization") != self.authorization:
            self.unknown.append(f"{method} {path} without the key")
        if method == "POST" and parts == ["graphql"]:
            request = json.loads(body)
            operation = request.get("operationName") or request["query"].split("(")[0].strip()
            return {"data": self.query(operation, request.get("variables") or {})}
        if method == "POST" and parts[0] == "files" and parts[-1] == "file_stream":
            self.runs[parts[-2]].stream(json.loads(body))
            return {}
        self.unknown.append(f"{method} {path}")
        return {}

    def query(self, operation, variables):
        if operation == "Viewer":
            return {"viewer": {"id": "viewer", "entity": "nobody", "username": "nobody", "flags": "{}"}}
        if operation == "ServerFeaturesQuery":
            return {"serverInfo": {"features": []}}
        if operation == "UpsertBucket":
            return {"upsertBucket": self.upsert(variables)}
        if operation == "CreateRunFiles":
            run = variables["run"]
            files = [
                {"name": name, "uploadUrl": f"{self.url}/upload/{run}/{urllib.parse.quote(name)}"}
                for name in variables["files"]
            ]
            return {"createRunFiles": {"runID": run, "uploadHeaders": [], "files": files}}
        self.unknown.append(operation)
        return {}

    def upsert(self, variables):
        name = variables["name"]
        run = self.runs[name]
        run.upserts.append(variables)
        entity = {"id": "entity", "name": variables.get("entity") or "nobody"}
        project = {"id": "project", "name": variables.get("project"), "entity": entity}
        bucket = {
            "id": f"bucket-{name}",
            "name": name,
            "displayName": run.upserts[0].get("displayName"),
            "description": None,
            "config": variables.get("config"),
            "sweepName": None,
            "historyLineCount": len(run.lines["wandb-history.jsonl"]),
            "project": project,
        }
        return {"inserted": len(run.upserts) == 1, "bucket": bucket}


# ------------------------------------------------------------------- wandb sync


def wandb(folder, *arguments, **more):
    """Runs W&B's program; its standard output and standard error."""
    # Reports of its own errors would go to W&B.
    env = clean_environment(folder, WANDB_ERROR_REPORTING="false", **more)
    command = [sys.executable, "-m", "wandb", *arguments]
    shown = f"wandb {' '.join(arguments)}"
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, text=True, encoding="utf-8", capture_output=True,
            stdin=subprocess.DEVNULL, timeout=60,
        )
    except subprocess.TimeoutExpired as error:
        raise Failure(f"`{shown}` did not end within a minute") from error
    if done.returncode != 0:
        note((done.stdout + done.stderr).strip())
        raise Failure(f"`{shown}` failed with status {done.returncode}")
    return done.stdout, done.stderr


def upload(folder, server, run):
    # It writes into the directory, and the reader is to see what ActLab wrote.
    copy = os.path.join(folder, "synced", os.path.basename(run.offline))
    shutil.copytree(run.offline, copy)
    out, err = wandb(folder, "sync", copy, WANDB_BASE_URL=server.url, WANDB_API_KEY=KEY)
    # Its status is 0 even where it could not read the file.
    if not os.path.exists(os.path.join(copy, f"run-{run.id}.wandb.synced")):
        note((out + err).strip())
        asked = f"; it asked for {', '.join(server.unknown)}" if server.unknown else ""
        raise Failure(f"wandb sync: {run.label}: it did not take {os.path.basename(copy)}{asked}")


def wrapped(config):
    return {key: value["value"] for key, value in json.loads(config).items() if key != "_wandb"}


def check_arrived(run, arrived):
    where = f"wandb sync: {run.label}"
    expect_that(where, not arrived.problems, "; ".join(arrived.problems))
    expect_that(where, arrived.upserts, "it never reached the server")

    rows = arrived.lines["wandb-history.jsonl"]
    steps = [row.get("_step") for row in rows]
    expect(f"{where}: lines of history", [row["_step"] for row in run.history], steps, "_step")
    for want, got in zip(run.history, rows):
        expect(f"{where}, step {want['_step']}", for_wandb(want), got)
    own = {key: value for key, value in arrived.summary.items() if key != "_wandb"}
    expect(f"{where}: summary", for_wandb(run.summary), own)

    first = arrived.upserts[0]
    wanted = {
        "name": run.id, "displayName": run.label, "groupName": SWEEP, "jobType": run.job_type,
        "tags": run.tags, "project": "actlab", "entity": None, "sweep": None,
    }
    expect(where, wanted, {key: first.get(key, ABSENT) for key in wanted})
    for upsert in arrived.upserts:
        if upsert.get("config"):
            expect(f"{where}: configuration", without_empty(run.config), wrapped(upsert["config"]))

    lines = arrived.lines["wandb-events.jsonl"]
    expect(f"{where}: lines of system metrics", len(run.system), len(lines))
    for want, got in zip(run.system, lines):
        got = dict(got)
        row = {
            "_wandb": got.pop("_wandb", ABSENT), "time": got.pop("_timestamp", ABSENT),
            "runtime": got.pop("_runtime", ABSENT), "items": got,
        }
        items = {f"system.{key}": value for key, value in want["items"].items()}
        expect(f"{where}: system metrics", {"_wandb": True, **want, "items": items}, row)

    # The client puts a time of its own before each line.
    stamp = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+ ")
    output = [stamp.sub("", line) for _, line in sorted(arrived.output.items())]
    expect(f"{where}: output", run.output, output)
    expect(f"{where}: exit codes", [run.exit_code], arrived.ends)
    check_uploads(run, arrived.uploads, where)


def check_uploads(run, uploads, where):
    made = ["config.yaml", "wandb-metadata.json", "wandb-summary.json"]
    made += ["output.log"] if run.output else []
    expect_names(f"{where}: files", [*made, *run.files], uploads)
    for name in run.files:
        same = uploads[name] == run.document(name)
        expect_that(where, same, f"{name} is not the one in {run.folder}")
    if run.output:
        log = uploads["output.log"].decode()
        expect(f"{where}: output.log", run.output, log.removesuffix("\n").split("\n"))
    own = json.loads(uploads["wandb-summary.json"])
    own.pop("_wandb", None)
    expect(f"{where}: wandb-summary.json", for_wandb(run.summary), own)
    metadata = json.loads(uploads["wandb-metadata.json"])
    expect(f"{where}: wandb-metadata.json", "actlab", metadata.get("program", ABSENT), "program")


def check_sync(folder, runs):
    with Server() as server:
        for run in runs:
            upload(folder, server, run)
        for run in runs:
            check_arrived(run, server.runs[run.id])
        expect_names("wandb sync: runs", [run.id for run in runs], server.runs)
        expect_that("wandb sync", not server.unknown, f"it asked for {', '.join(server.unknown)}")
        uploads = sum(len(arrived.uploads) for arrived in server.runs.values())
    print(
        f"wandb sync: {len(runs)} runs, {count(runs, 'history')} history lines, each once and in order,"
        f" {values(runs):,} values as recorded"
    )
    print(
        f"wandb sync: {sum(len(run.summary) for run in runs)} summary values,"
        f" {sum(len(run.config) for run in runs)} configuration keys;"
        " names, groups, job types, tags, exit codes"
    )
    print(
        f"wandb sync: {count(runs, 'system')} lines of system metrics, {count(runs, 'output')} lines of"
        f" output, {uploads} files"
    )


def count(runs, what):
    return sum(len(getattr(run, what)) for run in runs)


def values(runs):
    return sum(len(row) for run in runs for row in run.history)


# ----------------------------------------------------------- wandb leet inspect


def seconds(text):
    return datetime.fromisoformat(text).timestamp()


def check_log(folder, run):
    where = f"wandb leet inspect: {run.label}"
    path = os.path.join(run.offline, f"run-{run.id}.wandb")
    out, err = wandb(folder, "leet", "inspect", "--json", path)
    expect_that(where, not err.strip(), err.strip())
    records = [json.loads(line) for line in out.splitlines()]
    by_type = collections.defaultdict(list)
    for record in records:
        by_type[record["type"]].append(record.get(record["type"]) or {})
    kinds = [record["type"] for record in records]
    expect(where, ["header", "run"], kinds[:2], "records")
    expect(where, ["exit"], kinds[-1:], "last record")
    expect(where, list(range(1, len(records) + 1)), [record["num"] for record in records], "num")
    known = {"header", "run", "files", "history", "stats", "output_raw", "summary", "exit"}
    expect_that(where, known.issuperset(kinds), f"unknown records: {set(kinds) - known}")
    for kind in ("header", "run", "summary", "exit"):
        expect(f"{where}: records of type {kind}", 1, len(by_type[kind]))

    info = by_type["run"][0]
    wanted = {
        "run_id": run.id, "project": "actlab", "display_name": run.label, "run_group": SWEEP,
        "job_type": run.job_type, "tags": run.tags,
    }
    expect(where, wanted, {key: info.get(key, ABSENT) for key in wanted})
    started = seconds(info["start_time"])
    if isinstance(run, Report):
        run.started = started
    expect(f"{where}: start", run.started, started, "time")
    config = {key: value for key, value in info["config"]["update"].items() if key != "_wandb"}
    expect(f"{where}: configuration", run.config, config)

    rows = by_type["history"]
    steps = [row["step"].get("num") for row in rows]
    expect(f"{where}: history", [row["_step"] for row in run.history], steps, "step")
    for want, got in zip(run.history, rows):
        expect(f"{where}, step {want['_step']}", for_wandb(want), got["item"], names=INSPECTED)
    summary = by_type["summary"][0].get("update", {})
    summary = {key: value for key, value in summary.items() if not key.startswith("_wandb")}
    expect(f"{where}: summary", for_wandb(run.summary), summary, names=INSPECTED)

    expect(f"{where}: system metrics", len(run.system), len(by_type["stats"]))
    for want, got in zip(run.system, by_type["stats"]):
        want = {"time": want["time"], "items": want["items"]}
        got = {"time": seconds(got["timestamp"]), "items": got["item"]}
        expect(f"{where}: system metrics", want, got)
    printed = [event for event in getattr(run, "events", []) if event["event"] == "output"]
    for want, got in zip(printed, by_type["output_raw"]):
        want = {"line": want["line"] + "\n", "time": want["time"], "type": "STDOUT"}
        got = {"line": got["line"], "time": seconds(got["timestamp"]), "type": got["output_type"]}
        for key in want:
            expect(f"{where}: output", want[key], got[key], key)
    expect(f"{where}: lines of output", len(printed), len(by_type["output_raw"]))

    files = [item["path"] for record in by_type["files"] for item in record["files"]]
    made = ["config.yaml", "wandb-metadata.json", "wandb-summary.json"]
    expect_names(f"{where}: files", [*run.files, *made], files)
    for name in files:
        path = os.path.join(run.offline, "files", name)
        expect_that(where, os.path.isfile(path), f"{path} is missing")
    expect(f"{where}: exit code", run.exit_code, by_type["exit"][0].get("exit_code", 0))
    return len(records)


def check_logs(folder, runs):
    records = sum(check_log(folder, run) for run in runs)
    directories = [name for name in os.listdir(os.path.join(folder, "wandb")) if "run-" in name]
    expect_names("W&B's folder", [os.path.basename(run.offline) for run in runs], directories)
    print(
        f"wandb leet inspect: {len(runs)} files, {records} records:"
        f" {count(runs, 'history')} history lines, {values(runs):,} values as recorded"
    )


# ------------------------------------------------------------------ TensorBoard


def single(value):
    """The number in single precision, as TensorBoard has it."""
    import numpy as np

    with np.errstate(over="ignore"):
        return float(np.float32(plain(value, RECORDED)))


def points_of(run):
    """What each tag must have: scalars and histograms with time and step, in order."""
    scalars, histograms = collections.defaultdict(list), collections.defaultdict(list)
    for row in run.history:
        step, time = row["_step"], row["_timestamp"]
        for key, value in row.items():
            if key.startswith("_"):
                continue
            if is_histogram(value):
                histograms[key].append((time, step, value))
            else:
                scalars[key].append((time, step, single(value)))
    return scalars, histograms


def steps_of(events):
    return [event.step for event in events]


def check_scalars(run, events, where):
    wanted, _ = points_of(run)
    system = collections.defaultdict(list)
    for sample in run.system:
        for key, value in sample["items"].items():
            system[f"system/{key}"].append([sample["time"], single(value)])
    expect_names(f"{where}: scalars", [*wanted, *system], events.Tags()["scalars"])
    for tag, points in wanted.items():
        found = events.Scalars(tag)
        expect(f"{where}, {tag}", [step for _, step, _ in points], steps_of(found), "step")
        for (time, step, value), event in zip(points, found):
            expect(f"{where}, step {step}", value, event.value, tag)
            expect(f"{where}, step {step}, {tag}", time, event.wall_time, "time")
    last = run.history[-1]["_step"]
    for tag, points in system.items():
        found = events.Scalars(tag)
        steps = steps_of(found)
        expect(f"{where}, {tag}", points, [[event.wall_time, event.value] for event in found])
        in_order = steps == sorted(steps) and all(0 <= step <= last for step in steps)
        expect_that(where, in_order, f"{tag} is at steps {steps} of {last}")
    return sum(map(len, wanted.values())) + sum(map(len, system.values()))


def check_histograms(run, events, where):
    _, wanted = points_of(run)
    expect_names(f"{where}: histograms", wanted, events.Tags()["histograms"])
    for tag, points in wanted.items():
        found = events.Histograms(tag)
        expect(f"{where}, {tag}", [step for _, step, _ in points], steps_of(found), "step")
        for (time, step, histogram), event in zip(points, found):
            got = event.histogram_value
            want = {
                "min": histogram["min"], "max": histogram["max"], "sum": histogram["sum"],
                "sum_squares": histogram["sum_of_squares"], "num": sum(histogram["counts"]),
                "bucket_limit": edges(histogram)[1:], "bucket": histogram["counts"],
            }
            expect(
                f"{where}, step {step}, {tag}", want | {"time": time},
                {key: getattr(got, key) for key in want} | {"time": event.wall_time},
            )
    return sum(map(len, wanted.values()))


def hparam(value):
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind else ABSENT


def check_hparams(run, events, where):
    from tensorboard.plugins.hparams import api_pb2, error, metadata

    contents = events.PluginTagToContent(metadata.PLUGIN_NAME)
    tags = [metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG]
    expect_names(where, tags, contents)
    try:
        start = metadata.parse_session_start_info_plugin_data(contents[tags[0]])
        end = metadata.parse_session_end_info_plugin_data(contents[tags[1]])
    except error.HParamsError as fault:
        raise Failure(f"{where}: hparams: {fault}") from fault
    wanted = {}
    for name, path in HPARAMS.items():
        wanted[name] = run.config
        for key in path:
            wanted[name] = wanted[name][key]
    got = {name: hparam(start.hparams[name]) if name in start.hparams else ABSENT for name in wanted}
    expect(f"{where}: hyper-parameters", wanted, got)
    expect(f"{where}: start", run.started, start.start_time_secs, "time")
    status = "STATUS_FAILURE" if run.exit_code else "STATUS_SUCCESS"
    expect(f"{where}: status", status, api_pb2.Status.Name(end.status))
    expect_that(where, end.end_time_secs >= run.started, "the run ended before it began")
    return len(start.hparams)


def check_pages(run, path, where):
    """The same file by the reader of today's TensorBoard, which turns everything into tensors."""
    from tensorboard.backend.event_processing import event_file_loader
    from tensorboard.util import tensor_util

    _, wanted = points_of(run)
    wanted = {(tag, step): value for tag, points in wanted.items() for _, step, value in points}
    events = list(event_file_loader.EventFileLoader(path).Load())
    expect(f"{where}: version", "brain.Event:2", events[0].file_version if events else ABSENT)
    for event in events[1:]:
        expect_that(where, event.HasField("summary"), "an event without a summary")
        for value in event.summary.value:
            expect_that(where, value.HasField("tensor"), f"{value.tag} has no value")
            histogram = wanted.pop((value.tag, event.step), None)
            if histogram is None:
                continue
            buckets = tensor_util.make_ndarray(value.tensor)
            want = [histogram["min"], histogram["max"], sum(histogram["counts"])]
            got = [float(number) for number in (buckets[0, 0], buckets[-1, 1], buckets[:, 2].sum())]
            expect(f"{where}, step {event.step}, {value.tag}: least, greatest, number", want, got)
    expect_that(where, not wanted, f"{len(wanted)} histograms are missing")


def check_tensorboard(folder, runs):
    # Its warnings of a missing TensorFlow are of no use.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tensorboard.backend.event_processing import event_accumulator

    root = os.path.join(folder, "results", SWEEP, "tensorboard")
    names = [os.path.basename(run.folder) for run in runs]
    expect_names("TensorBoard's folder", names, os.listdir(root))
    everything = {
        event_accumulator.SCALARS: 0, event_accumulator.HISTOGRAMS: 0, event_accumulator.TENSORS: 0,
    }
    scalars = histograms = hparams = 0
    for run in runs:
        where = f"TensorBoard: {run.label}"
        path = os.path.join(root, os.path.basename(run.folder))
        names = os.listdir(path)
        one = len(names) == 1 and names[0].startswith("events.out.tfevents.")
        expect_that(where, one, f"not one event file: {', '.join(names)}")
        events = event_accumulator.EventAccumulator(path, size_guidance=everything)
        events.Reload()
        scalars += check_scalars(run, events, where)
        histograms += check_histograms(run, events, where)
        hparams += check_hparams(run, events, where)
        check_pages(run, os.path.join(path, names[0]), where)
    print(
        f"TensorBoard: {len(runs)} runs, {scalars:,} scalars and {histograms} histograms as recorded,"
        f" {hparams} hyper-parameters, status of each"
    )


# ------------------------------------------------------------------------ main


def check(args, folder):
    program = os.path.abspath(args.actlab) if args.actlab else build_actlab()
    train(program, folder)
    runs = read_record(folder)
    print(
        f"ActLab: {len(runs)} runs, {count(runs, 'history')} steps, {count(runs, 'system')} samples of the"
        f" system, {count(runs, 'output')} lines of output",
        flush=True,
    )
    everything = [*runs, Report(folder)]
    check_sync(folder, everything)
    check_logs(folder, everything)
    check_tensorboard(folder, runs)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="See the top of this file for what is checked, and how.",
    )
    parser.add_argument(
        "--actlab", metavar="PATH", help="the program (default: built by cargo, and found by it)"
    )
    parser.add_argument(
        "--venv", metavar="DIR", default=default_venv(),
        help="the virtual environment with W&B's client and TensorBoard (%(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder, and say where it is")
    args = parser.parse_args()
    enter(os.path.abspath(args.venv))

    folder = tempfile.mkdtemp(prefix="actlab-tracking-")
    try:
        check(args, folder)
    finally:
        if args.keep:
            note(f"kept: {folder}")
        else:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)


if __name__ == "__main__":
    try:
        main()
    except Failure as error:
        sys.exit(f"check_tracking.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
