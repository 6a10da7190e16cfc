"""Reads what `actlab report results/quick --parquet` has written, with polars (pip install polars).

    python docs/read_records.py results/quick
"""

import sys

import polars as pl

folder = sys.argv[1] if len(sys.argv) > 1 else "results/quick"
records = pl.read_parquet(f"{folder}/records.parquet")
metrics = pl.read_parquet(f"{folder}/metrics.parquet")

# One row a run: what it was, how it ended.
print(
    records.group_by("task", "activation", maintain_order=True).agg(
        pl.len().alias("runs"), pl.col("test_accuracy").mean(), pl.col("examples_per_second").mean()
    )
)

# One row a number: validation accuracy at every evaluation, mean over seeds.
curves = (
    metrics.filter(pl.col("metric") == "validation/accuracy")
    .join(records.select("id", "task", "activation", "seed"), left_on="run", right_on="id")
    .group_by("task", "activation", "step", maintain_order=True)
    .agg(pl.col("value").mean())
)
print(curves)
