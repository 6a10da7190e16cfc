#!/usr/bin/env python3
"""Write the reference fixtures of the model parity test, from PyTorch.

The two models below are plain PyTorch definitions of the models the lab builds
in Rust: a CIFAR-style ResNet (He et al. 2016, option A shortcuts) and a BERT
classifier (Devlin et al. 2019, post-norm; sizes of Turc et al. 2019). For each
case the script fills a small model with random values, runs one training-mode
forward and backward pass in float32, and writes one compact JSON file:

    source           PyTorch version and this script's name
    model            "resnet" or "bert"
    config           the model's sizes
    activation       relu | gelu (the exact, erf form) | silu | leaky_relu | swiglu
    label_smoothing  of the loss (PyTorch's definition; mean over the batch)
    parameters       name -> {"shape", "data"}; running statistics included
    input            resnet: {"shape", "data"}, NCHW;
                     bert: {"shape", "data", "lengths"}, token ids [batch, seq]
                     and how many tokens of each row are not padding
    labels           class of each row
    logits, loss     training mode (batch statistics; no dropout)
    gradients        name -> {"shape", "data"} of d loss / d parameter
    running_after    resnet: the running statistics after that one forward
    eval_logits      resnet: evaluation mode with the ORIGINAL running statistics

Conventions a reader of the files has to know:
  * every linear weight is stored [in, out], the transpose of PyTorch's; the
    convolution weights are [out, in, 3, 3], the embeddings [rows, hidden];
  * PyTorch's batch norm normalizes by the biased variance but moves the running
    variance towards the UNBIASED one (n / (n - 1)), with momentum 0.1;
  * some gradients are exactly zero (unused token, position and segment rows),
    and those of the attention's key bias are zero up to rounding, since a
    softmax does not see a constant: compare with an absolute tolerance too;
  * a gated activation (swiglu: silu(gate) * value) gets a layer of 2k outputs,
    the first k the gate and the last k the value, and k is chosen so that the
    number of weights stays that of the plain layer (gated_width_* below).

Run it from the repository root:

    python3 -m venv .venv && . .venv/bin/activate
    pip install torch==2.15.0 numpy
    python scripts/pytorch_fixtures.py --out crates/core/tests/fixtures

`--counts` prints the parameter counts of the full-size models instead, and
`--case NAME` writes only the named case. The same PyTorch version on the same
kind of processor writes the same bytes; elsewhere the last digits may differ.
Beside each file the script prints how far the float32 numbers are from the same
computation in float64, which is the scale of tolerance a comparison needs.
"""

import argparse
import copy
import json
import math
import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# ---------------------------------------------------------------- activations

ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,  # the exact form: x * Phi(x), with erf
    "silu": F.silu,
    "leaky_relu": F.leaky_relu,  # slope 0.01
}
GATED = {"swiglu": F.silu}  # name -> the gate's own nonlinearity


def is_gated(name):
    return name in GATED


def pointwise(name):
    """The elementwise function: the activation itself, or the gate's own one."""
    return GATED[name] if is_gated(name) else ACTIVATIONS[name]


def activate(name, x):
    """Applies the activation over dimension 1 (NCHW) or the last (BERT's 3-D).

    A gated activation halves that dimension: gate first, value last.
    """
    if not is_gated(name):
        return ACTIVATIONS[name](x)
    gate, value = x.chunk(2, dim=1 if x.dim() == 4 else -1)
    return GATED[name](gate) * value


def gated_width_resnet(inputs, outputs):
    """k with k * (2 in + out) closest to out * (in + out), rounded half up."""
    return math.floor(outputs * (inputs + outputs) / (2 * inputs + outputs) + 0.5)


def gated_width_bert(ffn):
    """Two thirds of the plain width; a multiple of 8 from 256 on (1024 -> 680)."""
    if ffn < 256:
        return math.floor(2 * ffn / 3 + 0.5)
    return 2 * ffn // 3 // 8 * 8


# --------------------------------------------------------------------- ResNet


def conv3x3(inputs, outputs, stride=1):
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def batch_norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride, activation):
        super().__init__()
        self.activation, self.stride = activation, stride
        if is_gated(activation):
            inner = gated_width_resnet(inputs, outputs)
            self.conv1 = conv3x3(inputs, 2 * inner, stride)
            self.norm1 = batch_norm(2 * inner)
        else:
            inner = outputs
            self.conv1 = conv3x3(inputs, inner, stride)
            self.norm1 = batch_norm(inner)
        self.conv2 = conv3x3(inner, outputs)
        self.norm2 = batch_norm(outputs)
        self.extra = outputs - inputs

    def forward(self, x):
        y = activate(self.activation, self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        if self.stride != 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.extra:
            x = F.pad(x, (0, 0, 0, 0, 0, self.extra))  # new channels at the end
        return pointwise(self.activation)(y + x)


class ResNet(nn.Module):
    def __init__(self, config, activation):
        super().__init__()
        self.activation = activation
        depth, width = config["depth"], config["base_width"]
        assert depth >= 8 and (depth - 2) % 6 == 0, "depth must be 6n + 2"
        self.stem_conv = conv3x3(config["in_channels"], width)
        self.stem_norm = batch_norm(width)
        blocks, inputs = [], width
        for stage in range(3):
            outputs = width << stage
            for i in range((depth - 2) // 6):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(Block(inputs, outputs, stride, activation))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(inputs, config["classes"])

    def forward(self, x):
        x = pointwise(self.activation)(self.stem_norm(self.stem_conv(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))


# ----------------------------------------------------------------------- BERT


class Embeddings(nn.Module):
    def __init__(self, config, dropout):
        super().__init__()
        hidden = config["hidden"]
        self.token = nn.Embedding(config["vocab"], hidden)
        self.position = nn.Embedding(config["max_len"], hidden)
        self.segment = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        segments = torch.zeros_like(tokens)
        x = self.token(tokens) + self.position(positions) + self.segment(segments)
        return self.dropout(self.norm(x))


class Attention(nn.Module):
    def __init__(self, config, dropout):
        super().__init__()
        hidden = config["hidden"]
        assert hidden % config["heads"] == 0
        self.heads = config["heads"]
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, hidden)
        self.dropout = nn.Dropout(dropout)
        # Whether PyTorch's own fused attention computes it: the same function, rounded otherwise.
        self.fused = False

    def forward(self, x, bias):
        batch, length, hidden = x.shape

        def split(y):
            return y.view(batch, length, self.heads, -1).transpose(1, 2)

        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        if self.fused:
            dropout = self.dropout.p if self.training else 0.0
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
        else:
            scores = q @ k.transpose(2, 3) / math.sqrt(hidden // self.heads) + bias
            y = self.dropout(scores.softmax(dim=-1)) @ v
        return self.output(y.transpose(1, 2).reshape(batch, length, hidden))


class FeedForward(nn.Module):
    def __init__(self, config, activation):
        super().__init__()
        self.activation = activation
        hidden, width = config["hidden"], config["ffn"]
        gated = is_gated(activation)
        width = gated_width_bert(width) if gated else width
        self.inner = nn.Linear(hidden, 2 * width if gated else width)
        self.outer = nn.Linear(width, hidden)

    def forward(self, x):
        return self.outer(activate(self.activation, self.inner(x)))


class Layer(nn.Module):
    def __init__(self, config, activation, dropout):
        super().__init__()
        self.attention = Attention(config, dropout)
        self.attention_norm = nn.LayerNorm(config["hidden"], eps=1e-12)
        self.feed_forward = FeedForward(config, activation)
        self.feed_forward_norm = nn.LayerNorm(config["hidden"], eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, bias):
        x = self.attention_norm(x + self.dropout(self.attention(x, bias)))
        return self.feed_forward_norm(x + self.dropout(self.feed_forward(x)))


class Bert(nn.Module):
    """Dropout (0 in the fixtures) sits where BERT has it: after the embeddings'
    norm, on the attention weights, on each sublayer's output, before the head."""

    def __init__(self, config, activation, dropout=0.0):
        super().__init__()
        hidden = config["hidden"]
        self.embeddings = Embeddings(config, dropout)
        self.layers = nn.ModuleList(
            Layer(config, activation, dropout) for _ in range(config["layers"])
        )
        self.pooler = nn.Linear(hidden, hidden)
        self.head = nn.Linear(hidden, config["classes"])
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens, lengths):
        padded = torch.arange(tokens.shape[1], device=tokens.device) >= lengths[:, None]
        x = self.embeddings(tokens)
        bias = torch.zeros_like(padded, dtype=x.dtype).masked_fill(padded, -math.inf)
        bias = bias[:, None, None, :]
        for layer in self.layers:
            x = layer(x, bias)
        return self.head(self.dropout(torch.tanh(self.pooler(x[:, 0]))))


def build(model, config, activation, **kwargs):
    return {"resnet": ResNet, "bert": Bert}[model](config, activation, **kwargs)


def count_parameters(model):
    """Trainable parameters: running statistics are not counted."""
    return sum(p.numel() for p in model.parameters())


# -------------------------------------------------------------------- fixtures

NORMS = (nn.BatchNorm2d, nn.LayerNorm)


def flat_tensors(model):
    """Yields (flat name, tensor, transposed, trainable) for all that is stored."""
    for prefix, module in model.named_modules():
        if isinstance(module, NORMS):
            yield f"{prefix}.gamma", module.weight, False, True
            yield f"{prefix}.beta", module.bias, False, True
            if isinstance(module, nn.BatchNorm2d):
                yield f"{prefix}.running_mean", module.running_mean, False, False
                yield f"{prefix}.running_var", module.running_var, False, False
        elif isinstance(module, nn.Linear):
            yield f"{prefix}.weight", module.weight, True, True
            yield f"{prefix}.bias", module.bias, False, True
        elif isinstance(module, (nn.Conv2d, nn.Embedding)):
            yield f"{prefix}.weight", module.weight, False, True


def short(tensor):
    """Rounds to four decimals, so that the file stays small."""
    return torch.round(tensor.double() * 1e4).div(1e4).float()


@torch.no_grad()
def randomize(model):
    """Random values in every tensor, none of them at a default such as 0 or 1."""
    for name, tensor, _, _ in flat_tensors(model):
        kind = name.rsplit(".", 1)[1]
        noise = torch.randn(tensor.shape)
        if kind == "gamma":
            value = 1 + 0.2 * noise
        elif kind == "running_var":
            value = 0.5 + torch.rand(tensor.shape) * 1.5
        elif kind in ("beta", "bias", "running_mean"):
            value = 0.3 * noise
        elif name.startswith("embeddings."):
            value = 0.5 * noise
        else:  # a convolution or linear weight, [out, in, ...] here
            value = noise * math.sqrt(1.5 / tensor[0].numel())
        tensor.copy_(short(value))


def stored(tensor, transposed=False):
    array = tensor.detach().float()
    array = array.t() if transposed else array
    array = np.ascontiguousarray(array.numpy())
    assert array.dtype == np.float32 and np.isfinite(array).all()
    return {"shape": list(array.shape), "data": array.reshape(-1)}


def to_json(value):
    """Compact JSON; float32 arrays in their shortest exact form."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{to_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, np.ndarray):
        return "[" + ",".join(str(x) for x in value) + "]"
    return json.dumps(value, separators=(",", ":"))


def run_once(model, inputs, labels, smoothing):
    """One training-mode pass: logits, loss, gradients and running statistics."""
    model.train()
    model.zero_grad()
    logits = model(*inputs)
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    loss.backward()
    tensors = list(flat_tensors(model))
    gradients = {n: (t.grad, tr) for n, t, tr, trainable in tensors if trainable}
    running = {n: t for n, t, _, trainable in tensors if not trainable}
    return logits, loss, gradients, running


def largest_difference(a, b):
    """Largest |a - b| / (1 + |b|) over two lists of tensors."""
    return max(((x.double() - y).abs() / (1 + y.abs())).max().item() for x, y in zip(a, b))


def make_fixture(case):
    torch.manual_seed(case["seed"])
    config, kind = case["config"], case["model"]
    model = build(kind, config, case["activation"])
    randomize(model)
    parameters = {n: stored(t.clone(), tr) for n, t, tr, _ in flat_tensors(model)}

    batch, smoothing = case["batch"], case["label_smoothing"]
    labels = torch.randint(config["classes"], (batch,))
    if kind == "resnet":
        size = config["image_size"]
        images = short(torch.randn(batch, config["in_channels"], size, size))
        inputs, described = (images,), stored(images)
    else:
        lengths = torch.tensor(case["lengths"])
        tokens = torch.randint(1, config["vocab"], (batch, case["seq_len"]))
        tokens[torch.arange(case["seq_len"]) >= lengths[:, None]] = 0
        inputs = (tokens, lengths)
        described = {
            "shape": list(tokens.shape),
            "data": tokens.flatten().tolist(),
            "lengths": lengths.tolist(),
        }

    original, double = copy.deepcopy(model), copy.deepcopy(model).double()
    logits, loss, gradients, running = run_once(model, inputs, labels, smoothing)

    fixture = {
        "source": f"PyTorch {torch.__version__.split('+')[0]}, scripts/pytorch_fixtures.py",
        "model": kind,
        "config": config,
        "activation": case["activation"],
        "label_smoothing": smoothing,
        "parameters": parameters,
        "input": described,
        "labels": labels.tolist(),
        "logits": stored(logits),
        "loss": loss.item(),
        "gradients": {n: stored(g, tr) for n, (g, tr) in gradients.items()},
    }
    if kind == "resnet":
        fixture["running_after"] = {n: stored(t) for n, t in running.items()}
        with torch.no_grad():
            fixture["eval_logits"] = stored(original.eval()(*inputs))

    wide = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    logits64, loss64, gradients64, _ = run_once(double, wide, labels, smoothing)
    forward = largest_difference([logits, loss], [logits64, loss64])
    backward = largest_difference(
        [g for g, _ in gradients.values()], [g for g, _ in gradients64.values()]
    )
    return fixture, forward, backward


RESNET8 = {"depth": 8, "in_channels": 3, "image_size": 12, "classes": 5, "base_width": 4}
RESNET14 = {"depth": 14, "in_channels": 1, "image_size": 9, "classes": 5, "base_width": 3}
BERT = {"vocab": 40, "max_len": 12, "hidden": 16, "layers": 2, "heads": 2, "ffn": 32, "classes": 3}


def cases():
    def resnet(name, config, activation, smoothing, seed):
        return name, {
            "model": "resnet", "config": config, "activation": activation,
            "label_smoothing": smoothing, "batch": 4, "seed": seed,
        }

    def bert(name, activation, smoothing, lengths, seed):
        return name, {
            "model": "bert", "config": BERT, "activation": activation,
            "label_smoothing": smoothing, "batch": 3, "seq_len": 10,
            "lengths": lengths, "seed": seed,
        }

    return dict([
        resnet("resnet8_relu", RESNET8, "relu", 0.0, 1),
        resnet("resnet8_gelu", RESNET8, "gelu", 0.0, 2),
        resnet("resnet8_swiglu", RESNET8, "swiglu", 0.1, 3),
        resnet("resnet14_silu", RESNET14, "silu", 0.1, 4),
        bert("bert_gelu", "gelu", 0.0, [10, 7, 4], 5),
        bert("bert_relu", "relu", 0.1, [3, 10, 8], 6),
        bert("bert_swiglu", "swiglu", 0.0, [6, 2, 9], 7),
    ])


def print_counts():
    cifar = {"in_channels": 3, "image_size": 32, "classes": 10, "base_width": 16}
    mini = {"hidden": 256, "layers": 4, "heads": 4, "ffn": 1024, "classes": 2}
    sizes = [
        ("ResNet-8, w=16, 3x32x32, 10 classes", "resnet", {"depth": 8, **cifar}),
        ("ResNet-8, w=16, 1x28x28, 10 classes", "resnet",
         {"depth": 8, **cifar, "in_channels": 1, "image_size": 28}),
        ("ResNet-20, w=16, 3x32x32, 10 classes", "resnet", {"depth": 20, **cifar}),
        ("BERT-mini, 30,522 tokens, 512 positions, 2 classes", "bert",
         {"vocab": 30522, "max_len": 512, **mini}),
        ("BERT-mini, 8,000 tokens, 32 positions, 2 classes", "bert",
         {"vocab": 8000, "max_len": 32, **mini}),
    ]
    for title, kind, config in sizes:
        for activation in ("gelu", "swiglu"):
            form = "gated" if is_gated(activation) else "plain"
            count = count_parameters(build(kind, config, activation))
            print(f"{title:52} {form} {count:>12,}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0],
        epilog="See the top of this file for what a fixture holds.",
    )
    parser.add_argument("--out", default="crates/core/tests/fixtures", help="folder to write into")
    parser.add_argument("--case", choices=list(cases()), action="append", help="write only this case")
    parser.add_argument("--counts", action="store_true", help="print parameter counts and stop")
    args = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(1)
    if args.counts:
        print_counts()
        return
    os.makedirs(args.out, exist_ok=True)
    for name, case in cases().items():
        if args.case and name not in args.case:
            continue
        fixture, forward, backward = make_fixture(case)
        path = os.path.join(args.out, f"{name}.json")
        text = to_json(fixture) + "\n"
        json.loads(text)
        with open(path, "w", encoding="ascii", newline="\n") as file:
            file.write(text)
        print(
            f"{path}: {len(text) / 1000:.0f} kB, loss {fixture['loss']:.6f}; from float64:"
            f" logits and loss {forward:.1e}, gradients {backward:.1e}"
        )


if __name__ == "__main__":
    main()
