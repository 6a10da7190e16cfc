#!/usr/bin/env python3
"""Train the shipped tasks in PyTorch: a yardstick for scores and time.

The models are those of pytorch_fixtures.py and pytorch_model_fixtures.py, in the
sizes of the tasks that ship:

  resnet  ResNet-8 (--depth 20: ResNet-20; base width 16, option A shortcuts) on
          Fashion-MNIST-mini: no augmentation, pixels normalized with the training
          images' mean and deviation, batch 128, SGD with Nesterov momentum 0.9,
          weight decay 5e-4, peak rate 0.1, linear warmup over 20 % of the steps,
          cosine to 0, 3 epochs
  bert    BERT-mini (4 layers, hidden 256; 8,000 tokens, 32 positions; --size tiny:
          BERT-tiny, 2 layers, hidden 128) on the movie reviews: rows cut or padded to 32 tokens, dropout 0.1, batch 32,
          AdamW (0.9, 0.999), weight decay 0.01, peak rate 5e-4, linear warmup
          over 10 % of the steps, linear to 0, 265 steps (--steps 120: the
          variant)
  gpt     GPT (2 layers, width 128, 4 heads, the output tied to the embedding)
          on the King James Bible: a token is a byte, pieces of 64 bytes, the first
          8,000 of the training split, no dropout, batch 16, AdamW (0.9, 0.99),
          weight decay 0.1, peak rate 2e-3, gradient norm at most 1, linear warmup
          over 10 % of the steps, cosine to 0, 500 steps

The validation split is evaluated every so many steps (--evaluate-every: resnet after each
epoch, bert every 53, gpt every 125) and after the last one, the test split once, by the
weights that were best on the validation split (the earlier ones of equals): as often as
the tasks that ship say.

bert --unpadded computes the rows of real tokens alone, as ActLab does: only attention sees
texts of one length.

Weight decay leaves out the norms and the biases. Weights start as ActLab's do.
Convolutions start from a normal distribution of deviation sqrt(2 / fan_in), the
head of resnet from one of deviation sqrt(1 / fan_in); linear weights and
embeddings of the others from one of deviation 0.02, which bert cuts at two
deviations and gpt divides by sqrt(2 * layers) at the end of each residual
branch. Biases start from 0.

Run it from the repository root, in the environment of pytorch_fixtures.py:

    python scripts/pytorch_yardstick.py --task resnet --activation relu --seeds 1 2
    python scripts/pytorch_yardstick.py --task bert --activation gelu --lr 3e-4
    python scripts/pytorch_yardstick.py --task gpt --activation silu

One line a run: the scores of the best weights (accuracy; of gpt bits per byte), the median time of a training
step (data preparation left out), the time of training, and that of evaluation. Times are only
comparable on a machine that runs nothing else: a build beside it can double them.
"""

import argparse
import csv
import gzip
import math
import os
import statistics
import struct
import sys
import time
import unicodedata

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import pytorch_fixtures as models  # noqa: E402
from pytorch_model_fixtures import Gpt  # noqa: E402

SPLITS = ("train", "validation", "test")
PAD, UNK, CLS, SEP = 0, 1, 2, 3
BYTES = 256  # entries of the vocabulary where a token is a byte
IGNORED = -100  # the label of a place that is not predicted

# ------------------------------------------------------------------------ data


def read_idx(path):
    """An IDX file of unsigned bytes (the MNIST format), gzipped."""
    with gzip.open(path, "rb") as file:
        data = file.read()
    zero, kind, rank = struct.unpack(">HBB", data[:4])
    assert zero == 0 and kind == 8, f"{path}: not an IDX file of unsigned bytes"
    shape = struct.unpack(f">{rank}I", data[4 : 4 + 4 * rank])
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load_images(folder):
    raw = {
        split: (
            read_idx(os.path.join(folder, f"{split}-images-idx3-ubyte.gz")).astype(np.float32),
            read_idx(os.path.join(folder, f"{split}-labels-idx1-ubyte.gz")).astype(np.int64),
        )
        for split in SPLITS
    }
    mean, std = raw["train"][0].mean(dtype=np.float64), raw["train"][0].std(dtype=np.float64)
    return {
        split: ((torch.from_numpy(((x - mean) / std).astype(np.float32))[:, None],), torch.from_numpy(y))
        for split, (x, y) in raw.items()
    }


def is_punctuation(char):
    code = ord(char)
    ascii_symbol = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_symbol or unicodedata.category(char).startswith("P")


def is_cjk(char):
    code = ord(char)
    return any(
        low <= code <= high
        for low, high in (
            (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
            (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
        )
    )


def basic_tokens(text):
    """BERT's basic tokenizer: lower case, no accents, punctuation on its own."""
    cleaned = []
    for char in text:
        category = unicodedata.category(char)
        if char in "\t\n\r" or category == "Zs":
            cleaned.append(" ")
        elif category.startswith("C") or char == "\ufffd":
            continue
        else:
            cleaned.append(f" {char} " if is_cjk(char) else char)
    text = unicodedata.normalize("NFD", "".join(cleaned).lower())
    pieces = []
    for char in text:
        if unicodedata.category(char) == "Mn":
            continue
        pieces.append(f" {char} " if is_punctuation(char) else char)
    return "".join(pieces).split()


class WordPiece:
    """Greedy longest match first; a word that cannot be cut becomes [UNK]."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            tokens = [line.rstrip("\r\n") for line in file]
        assert tokens[:4] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]"], f"{path}: special tokens"
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.size = len(tokens)

    def word(self, word):
        if len(word) > 100:
            return [UNK]
        ids, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = word[start:end] if start == 0 else "##" + word[start:end]
                if piece in self.ids:
                    break
            else:
                return [UNK]
            ids.append(self.ids[piece])
            start = end
        return ids

    def encode(self, text, length):
        """Token ids padded to `length`, and how many of them are not padding."""
        ids = [i for word in basic_tokens(text) for i in self.word(word)]
        ids = [CLS] + ids[: length - 2] + [SEP]
        return ids + [PAD] * (length - len(ids)), len(ids)


def load_reviews(folder, length):
    vocab = WordPiece(os.path.join(folder, "vocab.txt"))
    data, names = {}, None
    for split in SPLITS:
        path = os.path.join(folder, f"{split}.tsv.gz")
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        if names is None:
            names = sorted({row["label"] for row in rows})
        encoded = [vocab.encode(row["sentence"], length) for row in rows]
        tokens = torch.tensor([ids for ids, _ in encoded])
        lengths = torch.tensor([count for _, count in encoded])
        data[split] = ((tokens, lengths), torch.tensor([names.index(row["label"]) for row in rows]))
    return data, vocab.size, len(names)


def load_text(folder, length, train_limit):
    """Each split in pieces of `length` bytes to predict, each seen from the byte before it on."""
    data = {}
    for split in SPLITS:
        with gzip.open(os.path.join(folder, f"{split}.txt.gz"), "rb") as file:
            text = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()
        # Padding behind the last piece changes nothing: no byte sees a later one.
        count = math.ceil((len(text) - 1) / length)
        padding = (0, count * length + 1 - len(text))
        tokens = F.pad(text, padding)[:-1].view(count, length)
        labels = F.pad(text, padding, value=IGNORED)[1:].view(count, length)
        limit = train_limit if split == "train" else None
        data[split] = ((tokens[:limit],), labels[:limit])
    return data


# ----------------------------------------------------------------------- model


class UnpaddedBert(models.Bert):
    """The same network over the rows of real tokens, [rows, hidden]."""

    def forward(self, tokens, lengths):
        padded = torch.arange(tokens.shape[1]) >= lengths[:, None]
        rows = (~padded).flatten().nonzero().squeeze(1)
        bias = torch.zeros(padded.shape).masked_fill(padded, -math.inf)[:, None, None, :]
        x = self.embed(tokens.flatten()[rows], rows % tokens.shape[1])
        for layer in self.layers:
            x = layer.attention_norm(x + layer.dropout(self.attend(layer.attention, x, rows, bias)))
            x = layer.feed_forward_norm(x + layer.dropout(layer.feed_forward(x)))
        first = x[lengths.cumsum(0) - lengths]
        return self.head(self.dropout(torch.tanh(self.pooler(first))))

    def embed(self, tokens, positions):
        parts = self.embeddings
        x = parts.token(tokens) + parts.position(positions) + parts.segment(torch.zeros_like(tokens))
        return parts.dropout(parts.norm(x))

    @staticmethod
    def attend(attention, x, rows, bias):
        batch, length, hidden = bias.shape[0], bias.shape[3], x.shape[1]

        def split(y):
            y = y.new_zeros(batch * length, hidden).index_copy(0, rows, y)
            return y.view(batch, length, attention.heads, -1).transpose(1, 2)

        q, k, v = split(attention.query(x)), split(attention.key(x)), split(attention.value(x))
        scores = q @ k.transpose(2, 3) / math.sqrt(hidden // attention.heads) + bias
        y = attention.dropout(scores.softmax(dim=-1)) @ v
        return attention.output(y.transpose(1, 2).reshape(batch * length, hidden)[rows])


# -------------------------------------------------------------------- training


@torch.no_grad()
def initialize(model, std):
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=math.sqrt(2 / module.weight[0].numel()))
        elif isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
    if isinstance(model, models.ResNet):
        nn.init.normal_(model.head.weight, std=model.head.in_features**-0.5)


@torch.no_grad()
def initialize_gpt(model, std):
    """As GPT-2: the ends of the residual branches are smaller, since so many branches are summed."""
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            branch = name.endswith(("output.weight", "outer.weight"))
            nn.init.normal_(parameter, std=std / math.sqrt(2 * len(model.layers)) if branch else std)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


def parameter_groups(model, decay):
    """Matrices, kernels and embeddings decay; norms and biases do not."""
    parameters = list(model.parameters())
    return [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]


def rate_factor(step, steps, warmup, shape):
    """The share of the peak rate at a step, counted from 0."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 1 - done if shape == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def batches(count, size, generator):
    """Endless batches of indices: every epoch in a new order, its rest included."""
    while True:
        yield from torch.randperm(count, generator=generator).split(size)


@torch.no_grad()
def accuracy(model, inputs, labels, size=256):
    model.eval()
    right = 0
    for rows in torch.arange(len(labels)).split(size):
        logits = model(*(x[rows] for x in inputs))
        right += (logits.argmax(dim=1) == labels[rows]).sum().item()
    return right / len(labels)


@torch.no_grad()
def bits_per_byte(model, inputs, labels, size=256):
    model.eval()
    nats = 0.0
    for rows in torch.arange(len(labels)).split(size):
        logits = model(*(x[rows] for x in inputs))
        right = labels[rows].flatten()
        nats += F.cross_entropy(logits, right, ignore_index=IGNORED, reduction="sum").item()
    return nats / math.log(2) / (labels != IGNORED).sum().item()


class Best:
    """The weights that were best on the validation split until now."""

    def __init__(self, args, data):
        self.data, self.seconds = data, 0.0
        self.score, self.sign = (bits_per_byte, -1) if args.task == "gpt" else (accuracy, 1)
        self.validation, self.weights = None, None

    def evaluate(self, model):
        began = time.perf_counter()
        found = self.score(model, *self.data["validation"])
        if self.validation is None or self.sign * found > self.sign * self.validation:
            self.validation = found
            self.weights = {name: value.clone() for name, value in model.state_dict().items()}
        self.seconds += time.perf_counter() - began

    def test(self, model):
        began = time.perf_counter()
        model.load_state_dict(self.weights)
        found = self.score(model, *self.data["test"])
        self.seconds += time.perf_counter() - began
        return found


def train(args, data, model, optimizer, steps, best, seed):
    inputs, labels = data["train"]
    order = batches(len(labels), args.batch, torch.Generator().manual_seed(seed))
    warmup = max(1, round(steps * args.warmup))
    schedule = "linear" if args.task == "bert" else "cosine"
    peak = optimizer.param_groups[0]["lr"]
    every = args.evaluate_every or math.ceil(len(labels) / args.batch)
    seconds, began = [], time.perf_counter()
    for step in range(steps):
        model.train()
        rows = next(order)
        x, y = tuple(part[rows] for part in inputs), labels[rows]
        start = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = peak * rate_factor(step, steps, warmup, schedule)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(*x), y.flatten(), ignore_index=IGNORED)
        loss.backward()
        if args.clip:
            nn.utils.clip_grad_norm_(model.parameters(), args.clip)
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        if (step + 1) % every == 0 or step + 1 == steps:
            best.evaluate(model)
    return loss.item(), statistics.median(seconds), time.perf_counter() - began


def network(args, config, activation):
    if args.task == "resnet":
        return models.ResNet(config, activation)
    if args.task == "gpt":
        return Gpt(config, activation)
    return (UnpaddedBert if args.unpadded else models.Bert)(config, activation, dropout=args.dropout)


def run(args, data, config, activation, seed):
    torch.manual_seed(seed)
    model = network(args, config, activation)
    (initialize_gpt if args.task == "gpt" else initialize)(model, args.init_std)
    groups = parameter_groups(model, args.weight_decay)
    if args.task == "resnet":
        optimizer = torch.optim.SGD(groups, lr=args.lr, momentum=0.9, nesterov=True)
    else:
        optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, args.beta2))
    per_epoch = math.ceil(len(data["train"][1]) / args.batch)
    steps = args.steps or round(args.epochs * per_epoch)
    best = Best(args, data)
    loss, step, total = train(args, data, model, optimizer, steps, best, seed)
    during = best.seconds
    validation, test = best.validation, best.test(model)
    extra = f" dropout {args.dropout:g}" if args.task == "bert" else ""
    extra += " unpadded" if args.unpadded else ""
    extra += f" batch {args.batch} init {args.init_std:g}"
    if args.task == "gpt":
        scores = f"validation {validation:.4f} test {test:.4f} bits/byte"
    else:
        scores = f"validation {100 * validation:.2f} % test {100 * test:.2f} %"
    print(
        f"{args.task} {activation:10} seed {seed} lr {args.lr:g}{extra} steps {steps}"
        f" | last loss {loss:.3f} | {scores}"
        f" | step {1000 * step:.1f} ms, training {total - during:.1f} s, evaluation {best.seconds:.1f} s"
        f" | {models.count_parameters(model):,} parameters",
        flush=True,
    )


BERT_SIZES = {
    "tiny": {"layers": 2, "hidden": 128, "heads": 2, "ffn": 512},
    "mini": {"layers": 4, "hidden": 256, "heads": 4, "ffn": 1024},
}

DEFAULTS = {
    "resnet": {
        "lr": 0.1, "batch": 128, "epochs": 3, "steps": None, "weight_decay": 5e-4, "warmup": 0.2,
        "clip": 0.0, "evaluate_every": None,
    },
    "bert": {
        "lr": 5e-4, "batch": 32, "epochs": None, "steps": 265, "weight_decay": 0.01, "warmup": 0.1,
        "clip": 0.0, "beta2": 0.999, "length": 32, "evaluate_every": 53,
    },
    "gpt": {
        "lr": 2e-3, "batch": 16, "epochs": None, "steps": 500, "weight_decay": 0.1, "warmup": 0.1,
        "clip": 1.0, "beta2": 0.99, "length": 64, "evaluate_every": 125,
    },
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], epilog="See the top of this file for the tasks."
    )
    parser.add_argument("--task", choices=list(DEFAULTS), required=True)
    parser.add_argument(
        "--activation", nargs="+", default=["relu"],
        choices=[*models.ACTIVATIONS, *models.GATED], help="one run each (default: relu)",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[1], help="one run each")
    parser.add_argument("--lr", type=float, help="peak rate (resnet 0.1, bert 5e-4, gpt 2e-3)")
    parser.add_argument("--steps", type=int, help="training steps (bert 265, gpt 500)")
    parser.add_argument("--epochs", type=float, help="instead of steps (resnet: 3)")
    parser.add_argument("--batch", type=int, help="rows a step (resnet 128, bert 32, gpt 16)")
    parser.add_argument("--weight-decay", type=float, help="resnet 5e-4, bert 0.01, gpt 0.1")
    parser.add_argument("--warmup", type=float, help="share of the steps (resnet 0.2, others 0.1)")
    parser.add_argument("--beta2", type=float, help="of AdamW (bert 0.999, gpt 0.99)")
    parser.add_argument("--dropout", type=float, default=0.1, help="bert only (0.1)")
    parser.add_argument("--init-std", type=float, default=0.02, help="bert, gpt: linear, embeddings (0.02)")
    parser.add_argument("--clip", type=float, help="gradient norm limit, 0 for none (gpt: 1)")
    parser.add_argument("--depth", type=int, default=8, help="resnet: layers (8)")
    parser.add_argument("--size", choices=list(BERT_SIZES), default="mini", help="bert (mini)")
    parser.add_argument(
        "--unpadded", action="store_true", help="bert: rows of real tokens alone, as in ActLab"
    )
    parser.add_argument(
        "--evaluate-every", type=int, help="steps from one evaluation to the next (resnet: an epoch, bert 53, gpt 125)"
    )
    parser.add_argument("--length", type=int, help="tokens a row (bert 32, gpt 64)")
    parser.add_argument(
        "--train-limit", type=int, default=8000, help="gpt: pieces of training text (8000)"
    )
    parser.add_argument("--threads", type=int, help="PyTorch's threads")
    parser.add_argument("--data", default="crates/core/data", help="folder of the data sets")
    args = parser.parse_args()
    if args.epochs and args.steps:
        parser.error("give --epochs or --steps, not both")
    if args.unpadded and args.task != "bert":
        parser.error("--unpadded is for bert")
    defaults = dict(DEFAULTS[args.task])
    if args.epochs or args.steps:
        defaults.update(epochs=None, steps=None)
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)

    if args.task == "resnet":
        data = load_images(os.path.join(args.data, "fashion-mnist-mini"))
        size = data["train"][0][0].shape[-1]
        classes = int(data["train"][1].max()) + 1
        config = {
            "depth": args.depth, "in_channels": 1, "image_size": size, "classes": classes,
            "base_width": 16,
        }
    elif args.task == "bert":
        folder = os.path.join(args.data, "movie-reviews")
        data, vocab, classes = load_reviews(folder, args.length)
        config = {
            "vocab": vocab, "max_len": args.length, "classes": classes, **BERT_SIZES[args.size],
        }
    else:
        folder = os.path.join(args.data, "king-james-bible")
        data = load_text(folder, args.length, args.train_limit)
        config = {
            "vocab": BYTES, "max_length": args.length, "layers": 2, "width": 128, "heads": 4,
            "positions": "learned", "tied": True,
        }
    rows = ", ".join(f"{split} {len(data[split][1]):,}" for split in SPLITS)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads; rows: {rows}")
    for activation in args.activation:
        for seed in args.seeds:
            run(args, data, config, activation, seed)


if __name__ == "__main__":
    main()
