"""The tables of bench_pytorch.py, in Markdown."""

import statistics

from pytorch_worker import OPERATIONS, PEAKS, STEP_VARIANTS

MIB = 1 << 20


def table(header, rows, words):
    """A Markdown table; the first `words` columns are set left, the others right."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in [header, *rows])) for i in range(len(header))]

    def line(cells):
        aligned = (
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths))
        )
        return "| " + " | ".join(aligned) + " |"

    rule = ["-" * w if i < words else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)]) + "\n"


def of(figures, scale=1.0):
    """Median, and the best in brackets."""
    if figures is None:
        return "–"
    median, best = figures["median_seconds"] * scale, figures["best_seconds"] * scale
    return f"{median:.3f} ({best:.3f})"


def ratio(result):
    """Of the medians; in brackets the least and greatest of the turns, where there are several."""
    low, high = min(result["turn_ratios"]), max(result["turn_ratios"])
    if len(result["turn_ratios"]) == 1:
        return f"{result['ratio']:.2f}"
    return f"{result['ratio']:.2f} ({low:.2f}–{high:.2f})"


def rate(result, seconds):
    """What was done in a second, in the unit of the peak."""
    if result["peak"] == "gemm" and result["gflop"]:
        return f"{result['gflop'] / seconds:.1f} GFLOP/s"
    if result["peak"] == "copy" and result["bytes"]:
        return f"{result['bytes'] / seconds / 1e9:.1f} GB/s"
    return "–"


def by_operation(results):
    names = list(OPERATIONS)
    return sorted(results, key=lambda r: (names.index(r["operation"]), r["threads"]))


def operations_markdown(results):
    results = by_operation(results)
    rows = [
        [
            r["operation"], r["fastest"], r["threads"], of(r["pytorch"][r["fastest"]], 1e3),
            of(r["actlab"], 1e3), ratio(r), f"{r['best_ratio']:.2f}",
        ]
        for r in results
    ]
    header = ["operation", "PyTorch", "threads", "PyTorch, ms", "ActLab, ms", "ratio", "ratio of bests"]
    return "## Operations\n\n" + table(header, rows, 2)


def peaks_markdown(results):
    # Of a peak the program need not say what its peak is.
    results = by_operation(results)
    results = [r | {"peak": r["operation"] if r["operation"] in PEAKS else r["peak"]} for r in results]
    rows = [
        [
            r["operation"], r["peak"], r["threads"], f"{1e3 * r['actlab']['median_seconds']:.3f}",
            rate(r, r["actlab"]["median_seconds"]),
            "–" if r["share_of_peak"] is None else f"{100 * r['share_of_peak']:.0f} %",
            rate(r, r["pytorch"][r["fastest"]]["median_seconds"]),
        ]
        for r in results
        if r["peak"]
    ]
    header = [
        "operation", "peak", "threads", "ActLab, ms", "ActLab's rate", "of its peak", "PyTorch's rate",
    ]
    return (
        "## Share of the machine's peak\n\nThe peak is ActLab's own: of its matrix product, or of a copy."
        " PyTorch's rate is that of the same count of operations or bytes.\n\n" + table(header, rows, 2)
    )


def steps_markdown(results):
    rows = []
    for r in results:
        memory = dict(r["peak_bytes"])
        own = memory.pop("actlab", 0)
        rows.append([
            r["model"], r["activation"], r["threads"],
            *(of(r["pytorch"].get(variant)) for variant in STEP_VARIANTS), of(r["actlab"]),
            ratio(r), f"{r['best_ratio']:.2f}",
            f"{min(memory.values()) / MIB:.0f}", f"{r['import_bytes'] / MIB:.0f}",
            f"{own / MIB:.0f}" if own else "–",
        ])
    header = [
        "model", "activation", "threads", *(f"{variant}, s" for variant in STEP_VARIANTS), "ActLab, s",
        "ratio", "ratio of bests", "PyTorch, MiB", "of which import", "ActLab, MiB",
    ]
    return (
        "## Training steps\n\nThe ratio is to PyTorch's fastest variant. Memory is the peak of the process:"
        " the least of PyTorch's variants, and how much of it importing PyTorch takes.\n\n"
        + table(header, rows, 2)
    )


# Metric -> its name in the table, the factor of what is shown, and its digits.
METRICS = {"accuracy": ("accuracy, %", 100, 2), "bits_per_byte": ("bits per byte", 1, 4)}


def sweeps_markdown(results):
    def score(result, side):
        _, factor, digits = METRICS.get(result["metric"]["name"], (None, 1, 4))
        values = [factor * value for value in result["scores"][side]]
        if not values:
            return "–"
        spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.{digits}f}{spread}"

    def seconds(result, variant):
        figures = result["pytorch"].get(variant)
        return f"{figures['median_seconds']:.1f}" if figures else "–"

    def padded(result):
        variants = result["pytorch"]
        if len(variants) == 1:
            return "–"
        return f"{variants['eager']['median_seconds'] / result['actlab']['median_seconds']:.2f}"

    def metric(result):
        name = result["metric"]["name"]
        return f"{METRICS.get(name, (name,))[0]} ({result['metric']['direction']} is better)"

    rows = [
        [
            r["task"], r["activation"], metric(r), r["runs"],
            seconds(r, "eager"), seconds(r, "unpadded"), f"{r['actlab']['median_seconds']:.1f}",
            f"{r['runs_an_hour']['pytorch']:.0f}", f"{r['runs_an_hour']['actlab']:.0f}", ratio(r), padded(r),
            score(r, "pytorch"), score(r, "actlab"), f"{r['parameters']:,}",
        ]
        for r in results
    ]
    header = [
        "task", "activation", "metric", "runs", "PyTorch, s", "unpadded, s", "ActLab, s", "PyTorch, runs an hour",
        "ActLab, runs an hour", "ratio", "ratio, padded", "PyTorch, test", "ActLab, test", "parameters",
    ]
    return (
        "## Runs an hour\n\nTwo runs at a time, one thread each, from the start of the program to its end:"
        " start-up, reading the data and evaluation count on both sides, which evaluate equally often."
        " ActLab writes records and statistics too. PyTorch (eager) trains a BERT padded and by rows of"
        " real tokens alone (unpadded); the ratio and PyTorch's test scores are those of the faster one. Test scores: mean ± sample"
        " standard deviation over the runs. Both sides train equally many parameters.\n\n"
        + table(header, rows, 3)
    )


def report(figures):
    machine = figures["machine"]
    options = figures["options"]
    parts = [k for k in ("mkl", "onednn", "openmp") if machine[k]]
    gpu = []
    if machine["gpu"]:
        gpu = [f"- {options['device']}: {machine['gpu']}, TF32 {'on' if options['tf32'] else 'off'}"]
    lines = [
        f"- PyTorch {machine['torch']}: {machine['capability']}, {', '.join(parts)}; one interop thread"
        + "".join(f"; {name}={value}" for name, value in options["torch_env"].items()),
        f"- {machine['cpu']}, {machine['processors']} processors",
        *gpu,
        f"- turns a side: {options['repeats']}; threads: "
        + (", ".join(map(str, options["threads"])) if options["what"] != ["sweep"] else "one a run"),
        "- Times are medians, the best in brackets. Ratios are PyTorch / ActLab, in brackets the least and"
        " the greatest of the turns: above 1, ActLab is faster.",
    ]
    if figures.get("compile_error"):
        lines.append(f"- torch.compile did not work: {figures['compile_error']}")
    sections = ["# ActLab beside PyTorch\n\n" + "\n".join(lines) + "\n"]
    if figures["operations"]:
        sections.append(operations_markdown(figures["operations"]))
    if figures["steps"]:
        sections.append(steps_markdown(figures["steps"]))
    if figures["operations"]:
        sections.append(peaks_markdown(figures["operations"]))
    if figures["sweeps"]:
        sections.append(sweeps_markdown(figures["sweeps"]))
    return "\n".join(sections)
