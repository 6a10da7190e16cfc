#!/usr/bin/env python3
"""Write the splits of the King James Bible, by books, from Debian's `bible-kjv-text`.

    apt-get install bible-kjv bible-kjv-text
    bible -f Gen1:1-Rev22:21 > kjv.txt
    python scripts/prepare_king_james.py kjv.txt --out crates/core/data/king-james-bible

A verse is a line without its reference, and an empty line stands between books.
No book is in two splits, so that no verse crosses. The script prints how many
bits per byte gzip and xz need for the test split: alone, and behind the training
split, which is what a model knows as well.
"""

import argparse
import gzip
import lzma
import os
import re

VALIDATION = ["Est", "Jas"]
TEST = ["Ruth", "Eccl", "Phi", "1Pet"]
VERSE = re.compile(r"^(\d?[A-Za-z]+)\d+:\d+ (.*)$")


def books(path):
    found = {}
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.strip():
                name, verse = VERSE.match(line.rstrip("\n")).groups()
                found.setdefault(name, []).append(verse.strip())
    assert len(found) == 66, f"{len(found)} books"
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("text")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    found = books(args.text)
    held = VALIDATION + TEST
    splits = {
        "train": [name for name in found if name not in held],
        "validation": VALIDATION,
        "test": TEST,
    }
    texts = {}
    for split, names in splits.items():
        text = "\n".join("".join(f"{verse}\n" for verse in found[name]) for name in names)
        texts[split] = text.encode("ascii")
        path = os.path.join(args.out, f"{split}.txt.gz")
        with open(path, "wb") as file, gzip.GzipFile(
            filename="", fileobj=file, mode="wb", compresslevel=9, mtime=0
        ) as packed:
            packed.write(texts[split])
        print(f"{split}: {len(names)} books, {len(texts[split]):,} bytes, {os.path.getsize(path):,} packed")

    packers = {
        "gzip -9": lambda text: len(gzip.compress(text, 9, mtime=0)),
        "xz -9": lambda text: len(lzma.compress(text, preset=9)),
    }
    train, test = texts["train"], texts["test"]
    for name, pack in packers.items():
        alone = 8 * pack(test) / len(test)
        behind = 8 * (pack(train + test) - pack(train)) / len(test)
        print(f"{name}: {alone:.3f} bits per byte alone, {behind:.3f} behind the training split")


if __name__ == "__main__":
    main()
