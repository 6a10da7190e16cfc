#!/usr/bin/env python3
"""Writes a Parquet table with columns of many types, which the tests of table data sets read.

    pip install pyarrow
    python scripts/parquet_fixture.py
"""

import datetime
import decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet

ROWS = 12
TARGET = Path(__file__).resolve().parent.parent / "crates/core/tests/fixtures/types.parquet"


def main() -> None:
    classes = [row % 2 for row in range(ROWS)]
    columns = {
        "text": pyarrow.array([f"film {row}" for row in range(ROWS)]),
        "category": pyarrow.array([["bad", "good"][one] for one in classes]).dictionary_encode(),
        "large_text": pyarrow.array([["bad", "good"][one] for one in classes], pyarrow.large_string()),
        "flag": pyarrow.array([bool(one) for one in classes]),
        "time": pyarrow.array([datetime.datetime(2020, 1, 1)] * ROWS, pyarrow.timestamp("ns", tz="Europe/Berlin")),
        "duration": pyarrow.array([datetime.timedelta(seconds=1)] * ROWS, pyarrow.duration("us")),
        "price": pyarrow.array([decimal.Decimal("1.50")] * ROWS, pyarrow.decimal128(10, 2)),
        "list": pyarrow.array([[1, 2]] * ROWS),
        "pair": pyarrow.array([[1.0, 2.0]] * ROWS, pyarrow.list_(pyarrow.float32(), 2)),
        "struct": pyarrow.array([{"a": 1}] * ROWS),
        "half": pyarrow.array([1.5] * ROWS, pyarrow.float16()),
    }
    for bits in (8, 16, 32, 64):
        for kind in ("int", "uint"):
            columns[f"{kind}{bits}"] = pyarrow.array(classes, getattr(pyarrow, f"{kind}{bits}")())
    for bits in (32, 64):
        columns[f"float{bits}"] = pyarrow.array([row + 0.5 for row in range(ROWS)], getattr(pyarrow, f"float{bits}")())
    pyarrow.parquet.write_table(pyarrow.table(columns), TARGET)


if __name__ == "__main__":
    main()
