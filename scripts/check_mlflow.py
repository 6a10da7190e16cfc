#!/usr/bin/env python3
"""Check what ActLab logs to MLflow with MLflow's own server.

It starts `mlflow server` on 127.0.0.1, with an SQLite database and artifacts in a temporary
folder, and trains the sweep of check_tracking.py, six runs of about a second, three times:

  logged   with a table `mlflow` in the experiment
  killed   with --mlflow=URI; the program is killed when the server has heard of a run, and
           the same command resumes the sweep
  later    without MLflow; `actlab sync --mlflow=URI` sends the runs from their records

Each time it compares what the server returns with ActLab's own record, `metrics.jsonl` and
`record.json`: experiment, status, times, parameters, tags, every value of every metric once
and in order, the last values, and the artifacts, byte by byte.

Nothing is sent to any other machine. Run it from anywhere, with Python 3.11 or newer:

    python scripts/check_mlflow.py
    python scripts/check_mlflow.py --actlab target/release/actlab --keep

The first time it installs MLflow, in the version below, into a virtual environment, for
which it needs PyPI: `actlab/mlflow-venv` in XDG_CACHE_HOME or ~/.cache, or --venv. Where
that fails it is skipped, which is an error where CI is set. At the first thing that is not
as recorded it says which, and exits with 1.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import check_tracking
from check_tracking import EXPERIMENT, clean_environment, expect, expect_names, expect_that, plain
from program import Failure, build_actlab, note, skip

MLFLOW = "3.17.2"

# Parameters that each run must have, and where its configuration has them.
PARAMETERS = {
    "activation": ("activation",),
    "task": ("task",),
    "model_name": ("model_name",),
    "seed": ("seed",),
    "data.name": ("data", "name"),
    "training.learning_rate": ("training", "learning_rate"),
    "training.batch_size": ("training", "batch_size"),
    "training.optimizer.name": ("training", "optimizer", "name"),
    "parameters": ("parameters",),
    "run_id": ("run_id",),
}
# The database of the server has no infinities.
LARGEST = sys.float_info.max


# ---------------------------------------------------------------------- server


def default_venv():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "actlab", "mlflow-venv")


def installed(python):
    """The version of MLflow that this Python has, if it has one."""
    ask = "from importlib.metadata import version; print(version('mlflow'))"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def install(venv):
    """The Python of an environment that has MLflow."""
    python = check_tracking.python_of(venv)
    if installed(python) != MLFLOW:
        note(f"installing mlflow=={MLFLOW} into {venv}")
        reason = check_tracking.run_quietly(sys.executable, "-m", "venv", venv)
        reason = reason or check_tracking.run_quietly(
            python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
            "--retries", "1", "--timeout", "20", f"mlflow=={MLFLOW}",
        )
        if reason or installed(python) != MLFLOW:
            skip(f"mlflow=={MLFLOW} is not in {venv} and cannot be installed there: {reason}")
    return python


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def serving(python, folder):
    """A server, while this lasts; its address."""
    port = free_port()
    store = os.path.join(folder, "server")
    os.makedirs(store)
    command = [
        python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{store}/mlflow.db", "--artifacts-destination", f"{store}/artifacts",
    ]
    env = clean_environment(folder, MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    log = os.path.join(store, "log")
    with open(log, "w", encoding="utf-8") as output:
        server = subprocess.Popen(
            command, cwd=store, env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 180
        while not answers(f"{url}/health"):
            if server.poll() is not None or time.monotonic() > deadline:
                with open(log, encoding="utf-8") as file:
                    raise Failure(f"the server does not start: {file.read()[-2000:]}")
            time.sleep(0.2)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def answers(url):
    try:
        with OPENER.open(url, timeout=5):
            return True
    except OSError:
        return False


# Past any proxy.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with OPENER.open(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise Failure(f"{url}: {error}: {error.read()[:500]}") from error


def ask(url, method, body=None, **query):
    query = f"?{urllib.parse.urlencode(query)}" if query else ""
    return json.loads(fetch(f"{url}/api/2.0/mlflow/{method}{query}", body))


def runs_of(url, experiment):
    found = ask(url, "experiments/search", {"max_results": 100}).get("experiments", [])
    ids = [one["experiment_id"] for one in found if one["name"] == experiment]
    if not ids:
        return []
    return ask(url, "runs/search", {"experiment_ids": ids, "max_results": 1000}).get("runs", [])


# ---------------------------------------------------------------------- ActLab


def write_experiment(folder, name, line=""):
    """The experiment of check_tracking.py under another name."""
    text = EXPERIMENT.replace('name = "tiny"', f'name = "{name}"\n{line}')
    expect_that("the experiment", text != EXPERIMENT, "it has another name")
    with open(os.path.join(folder, f"{name}.toml"), "w", encoding="utf-8") as file:
        file.write(text)


def actlab(program, folder, *args):
    done = subprocess.run(
        [program, *args], cwd=folder, env=clean_environment(folder), text=True, capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        note(done.stderr.strip())
        raise Failure(f"`actlab {' '.join(args)}` failed with status {done.returncode}")
    return done.stderr


def kill_in_the_middle(program, folder, name, url):
    """Begins a sweep, and kills it as soon as the server has metrics of a run."""
    process = subprocess.Popen(
        [program, "sweep", f"{name}.toml", f"--mlflow={url}"], cwd=folder, env=clean_environment(folder),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )
    try:
        while process.poll() is None:
            if any(run["data"].get("metrics") for run in runs_of(url, name)):
                process.kill()
                process.wait()
                return
            time.sleep(0.05)
        raise Failure("the sweep ended before the server had metrics of a run")
    finally:
        if process.poll() is None:
            process.kill()


class Run(check_tracking.Run):
    """What ActLab has recorded of a run, and where it is on the server."""

    def read_wandb(self, folder):
        self.note = check_tracking.read_json(os.path.join(self.folder, "mlflow.json"))


def read_record(folder, name):
    check_tracking.SWEEP, check_tracking.Run = name, Run
    return check_tracking.read_record(folder)


# --------------------------------------------------------------------- compare


def number(value):
    value = plain(value, check_tracking.RECORDED)
    return max(-LARGEST, min(LARGEST, value)) if value == value else value


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


def milliseconds(seconds):
    return round(seconds * 1000)


def history(run):
    """Time, step and value of each metric, in order."""
    metrics = {}
    for row in run.history:
        for key, value in row.items():
            if not key.startswith("_") and not check_tracking.is_histogram(value):
                point = [milliseconds(row["_timestamp"]), row["_step"], number(value)]
                metrics.setdefault(key, []).append(point)
    for i, sample in enumerate(run.system):
        for key, value in sample["items"].items():
            metrics.setdefault(f"system/{key}", []).append([milliseconds(sample["time"]), i, value])
    return metrics


def check_run(url, run, sweep, experiment):
    where = f"MLflow: {sweep}: {run.label}"
    expect(f"{where}: mlflow.json", True, run.note["complete"], "complete")
    expect(f"{where}: mlflow.json", len(run.history), run.note["lines"], "lines")
    expect(f"{where}: mlflow.json", experiment, run.note["experiment"], "experiment")
    answer = ask(url, "runs/get", run_id=run.note["id"])["run"]
    info, data = answer["info"], answer["data"]
    expect(f"{where}: name", run.label, info["run_name"])
    expect(f"{where}: status", "FAILED" if run.exit_code else "FINISHED", info["status"])
    expect_that(where, info["end_time"] >= info["start_time"] > 1.7e12, f"times: {info}")

    parameters = {one["key"]: one["value"] for one in data["params"]}
    for name, path in PARAMETERS.items():
        value = run.config
        for key in path:
            value = value[key]
        expect(f"{where}: parameters", text(value), parameters.get(name), name)
    tags = {one["key"]: one["value"] for one in data["tags"]}
    activation, task, model = run.tags
    wanted = {
        "actlab.run_id": run.config["run_id"], "sweep": sweep, "activation": activation, "task": task,
        "model": model, "seed": str(run.config["seed"]), "job_type": "train", "mlflow.runName": run.label,
        "actlab.outcome": run.summary["outcome"],
    }
    expect(f"{where}: tags", wanted, {key: tags.get(key) for key in wanted})

    metrics = history(run)
    last_step = run.history[-1]["_step"]
    summary = {key: plain(value, check_tracking.RECORDED) for key, value in run.summary.items() if key not in metrics}
    summary = {
        key: number(value) for key, value in summary.items()
        if check_tracking.is_number(value) and not key.startswith("_")
    }
    last = {one["key"]: one for one in data["metrics"]}
    expect_names(f"{where}: metrics", [*metrics, *summary], last)
    values = 0
    for key, points in metrics.items():
        got = ask(url, "metrics/get-history", run_id=info["run_id"], metric_key=key)["metrics"]
        got = sorted([one["timestamp"], one["step"], number_of(one["value"])] for one in got)
        if len(got) != len(points):
            raise Failure(f"{where}, {key}: {len(got)} values, but by the record {len(points)}")
        # A run that was trained again after its values had arrived has them under their first times.
        expect(where, [point[1:] for point in points], [point[1:] for point in got], key)
        expect(f"{where}: last value", points[-1][1:], [last[key]["step"], number_of(last[key]["value"])], key)
        values += len(got)
    for key, value in summary.items():
        expect(f"{where}: summary", [last_step, value], [last[key]["step"], number_of(last[key]["value"])], key)

    listed = ask(url, "artifacts/list", run_id=info["run_id"]).get("files", [])
    files = [name for name in ("spec.json", "record.json", "predictions.csv") if os.path.exists(os.path.join(run.folder, name))]
    expect_names(f"{where}: artifacts", files, [file["path"] for file in listed])
    for name in files:
        query = urllib.parse.urlencode({"run_id": info["run_id"], "path": name})
        same = fetch(f"{url}/get-artifact?{query}") == run.document(name)
        expect_that(where, same, f"{name} is not the file of the record")
    return values, len(files)


def number_of(value):
    return float(value) if isinstance(value, str) else value


def check_sweep(url, folder, sweep, experiment):
    runs = read_record(folder, sweep)
    on_server = runs_of(url, experiment)
    ids = [run.note["id"] for run in runs]
    report = [run["info"]["run_id"] for run in on_server if run["info"]["run_name"] == f"{sweep}-report"]
    expect_that(f"MLflow: {sweep}", len(report) == 1, f"{len(report)} reports")
    expect_names(f"MLflow: {sweep}: runs", [*ids, *report], [run["info"]["run_id"] for run in on_server])
    values = files = 0
    for run in runs:
        counts = check_run(url, run, sweep, experiment)
        values, files = values + counts[0], files + counts[1]
    print(
        f"MLflow: {sweep}: {len(runs)} runs, {values:,} values of metrics and {files} files as recorded,"
        " parameters, tags, status of each",
        flush=True,
    )


# ------------------------------------------------------------------------ main


def check(args, folder):
    python = install(os.path.abspath(args.venv))
    program = os.path.abspath(args.actlab) if args.actlab else build_actlab()
    with serving(python, folder) as url:
        line = f'mlflow = {{ tracking_uri = "{url}", experiment = "shared" }}'
        write_experiment(folder, "logged", line)
        actlab(program, folder, "sweep", "logged.toml")
        check_sweep(url, folder, "logged", "shared")
        said = actlab(program, folder, "sync", "results/logged")
        expect_that("actlab sync", "0 runs uploaded; 7 had been uploaded before" in said, said)
        check_sweep(url, folder, "logged", "shared")

        write_experiment(folder, "killed")
        kill_in_the_middle(program, folder, "killed", url)
        actlab(program, folder, "sweep", "killed.toml", f"--mlflow={url}")
        check_sweep(url, folder, "killed", "killed")

        write_experiment(folder, "later")
        actlab(program, folder, "sweep", "later.toml")
        expect_that("later", not runs_of(url, "later"), "the server has runs that were not to be logged")
        said = actlab(program, folder, "sync", "results/later", f"--mlflow={url}")
        expect_that("actlab sync", "7 runs uploaded" in said, said)
        check_sweep(url, folder, "later", "later")


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
        help="the virtual environment with MLflow (%(default)s)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder, and say where it is")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="actlab-mlflow-")
    try:
        check(args, folder)
    finally:
        if args.keep:
            note(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except Failure as error:
        sys.exit(f"check_mlflow.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
