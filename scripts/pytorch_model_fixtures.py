#!/usr/bin/env python3
"""Write the parity fixtures of the MLP, the GPT and BERT's masked-LM head, from PyTorch.

The companion of `pytorch_fixtures.py`, whose helpers and conventions it shares.
The models below are plain PyTorch definitions of `crates/core/src/model/{mlp,
gpt,bert}.rs`. A fixture holds, beside what that script describes,

    positions   for each row of logits its place in the flattened [batch · tokens]
                input; absent where every place has a row, or an example has one

    pip install torch==2.15.0 numpy
    python scripts/pytorch_model_fixtures.py --out crates/core/tests/fixtures
"""

import argparse
import copy
import math
import os

import torch
import torch.nn.functional as F
from torch import nn

import pytorch_fixtures as base
from pytorch_fixtures import activate, flat_tensors, gated_width_bert, is_gated, pointwise, stored


class MlpLayer(nn.Module):
    def __init__(self, inputs, width, norm, activation):
        super().__init__()
        self.activation = activation
        made = 2 * width if is_gated(activation) else width
        self.linear = nn.Linear(inputs, made)
        if norm == "batch":
            self.batch_norm = nn.BatchNorm1d(made, eps=1e-5, momentum=0.1)
        if norm == "layer":
            self.layer_norm = nn.LayerNorm(made, eps=1e-5)
        self.norm = norm

    def forward(self, x):
        x = self.linear(x)
        if self.norm != "none":
            x = getattr(self, f"{self.norm}_norm")(x)
        return activate(self.activation, x)


class Mlp(nn.Module):
    def __init__(self, config, activation):
        super().__init__()
        inputs, layers = config["inputs"], []
        # Widths as the Rust model has them: a gated one's are in the configuration.
        for width in config["hidden_widths"]:
            layers.append(MlpLayer(inputs, width, config["norm"], activation))
            inputs = width
        self.hidden = nn.ModuleList(layers)
        self.head = nn.Linear(inputs, config["classes"])

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.hidden:
            x = layer(x)
        return self.head(x)


def rotated(x):
    """Rotary positions (Su et al. 2021) of [batch, heads, tokens, width], pairs (i, i + width / 2)."""
    _, _, tokens, width = x.shape
    half = width // 2
    rates = 10000.0 ** (-2 * torch.arange(half, dtype=torch.float64) / width)
    angles = (torch.arange(tokens, dtype=torch.float64)[:, None] * rates).to(x.dtype)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class CausalAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["width"]
        self.heads, self.rotary = config["heads"], config["positions"] == "rotary"
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        batch, length, width = x.shape
        split = lambda y: y.view(batch, length, self.heads, -1).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(x)), split(self.value(x))
        if self.rotary:
            q, k = rotated(q), rotated(k)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.output(y.transpose(1, 2).reshape(batch, length, width))


class GptFeedForward(nn.Module):
    def __init__(self, width, activation):
        super().__init__()
        self.activation = activation
        inner = gated_width_bert(4 * width) if is_gated(activation) else 4 * width
        self.inner = nn.Linear(width, 2 * inner if is_gated(activation) else inner)
        self.outer = nn.Linear(inner, width)

    def forward(self, x):
        return self.outer(activate(self.activation, self.inner(x)))


class GptLayer(nn.Module):
    def __init__(self, config, activation):
        super().__init__()
        width = config["width"]
        self.attention_norm = nn.LayerNorm(width, eps=1e-5)
        self.attention = CausalAttention(config)
        self.feed_forward_norm = nn.LayerNorm(width, eps=1e-5)
        self.feed_forward = GptFeedForward(width, activation)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.feed_forward(self.feed_forward_norm(x))


class GptEmbeddings(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.token = nn.Embedding(config["vocab"], config["width"])
        if config["positions"] == "learned":
            self.position = nn.Embedding(config["max_length"], config["width"])

    def forward(self, tokens):
        x = self.token(tokens)
        if hasattr(self, "position"):
            x = x + self.position.weight[: tokens.shape[1]]
        return x


class Gpt(nn.Module):
    def __init__(self, config, activation):
        super().__init__()
        self.embeddings = GptEmbeddings(config)
        self.layers = nn.ModuleList(GptLayer(config, activation) for _ in range(config["layers"]))
        self.norm = nn.LayerNorm(config["width"], eps=1e-5)
        if not config["tied"]:
            self.head = nn.Linear(config["width"], config["vocab"], bias=False)

    def forward(self, tokens):
        x = self.embeddings(tokens)
        for layer in self.layers:
            x = layer(x)
        x = self.norm(x).flatten(0, 1)
        matrix = self.head.weight if hasattr(self, "head") else self.embeddings.token.weight
        return x @ matrix.T


class TokenHead(nn.Module):
    def __init__(self, config, activation):
        super().__init__()
        self.activation = activation
        self.transform = nn.Linear(config["hidden"], config["hidden"])
        self.norm = nn.LayerNorm(config["hidden"], eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(config["vocab"]))


class MaskedBert(base.Bert):
    def __init__(self, config, activation):
        super().__init__({**config, "classes": 1}, activation)
        del self.pooler, self.head
        self.tokens = TokenHead(config, activation)

    def forward(self, tokens, lengths, positions):
        padded = torch.arange(tokens.shape[1]) >= lengths[:, None]
        x = self.embeddings(tokens)
        bias = torch.zeros_like(padded, dtype=x.dtype).masked_fill(padded, -math.inf)
        for layer in self.layers:
            x = layer(x, bias[:, None, None, :])
        x = x.flatten(0, 1)[positions]
        head = self.tokens
        x = head.norm(pointwise(head.activation)(head.transform(x)))
        return x @ self.embeddings.token.weight.T + head.bias


base.NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


def tensors(model):
    """As `flat_tensors`, with what PyTorch's modules lack there."""
    for name, tensor, transposed, trainable in flat_tensors(model):
        if tensor is not None:
            yield name, tensor, transposed, trainable
    for prefix, module in model.named_modules():
        if isinstance(module, nn.BatchNorm1d):
            yield f"{prefix}.running_mean", module.running_mean, False, False
            yield f"{prefix}.running_var", module.running_var, False, False
    if isinstance(model, MaskedBert):
        yield "tokens.bias", model.tokens.bias, False, True


@torch.no_grad()
def randomize(model):
    for name, tensor, _, _ in tensors(model):
        kind, noise = name.rsplit(".", 1)[1], torch.randn(tensor.shape)
        if kind == "gamma":
            value = 1 + 0.2 * noise
        elif kind == "running_var":
            value = 0.5 + torch.rand(tensor.shape) * 1.5
        elif kind in ("beta", "bias", "running_mean"):
            value = 0.3 * noise
        elif name.startswith("embeddings."):
            value = 0.5 * noise
        else:
            value = noise * math.sqrt(1.5 / tensor[0].numel())
        tensor.copy_(base.short(value))


def run_once(model, inputs, labels, smoothing):
    model.train()
    model.zero_grad()
    logits = model(*inputs)
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    loss.backward()
    all_tensors = list(tensors(model))
    gradients = {n: (t.grad, tr) for n, t, tr, trainable in all_tensors if trainable}
    running = {n: t for n, t, _, trainable in all_tensors if not trainable}
    return logits, loss, gradients, running


def inputs_of(case):
    """What the model takes, as the fixture describes it, and the right output of each row."""
    config, batch = case["config"], case["batch"]
    if case["model"] == "mlp":
        channels, size = config["channels"], config["image_size"]
        images = base.short(torch.randn(batch, channels, size, size))
        return (images,), stored(images), torch.randint(config["classes"], (batch,)), None
    tokens = torch.randint(1, config["vocab"], (batch, case["seq_len"]))
    described = {"shape": list(tokens.shape)}
    lengths = torch.tensor(case.get("lengths", [case["seq_len"]] * batch))
    tokens[torch.arange(case["seq_len"]) >= lengths[:, None]] = 0
    described |= {"data": tokens.flatten().tolist(), "lengths": lengths.tolist()}
    if case["model"] == "gpt":
        return (tokens,), described, torch.randint(config["vocab"], (tokens.numel(),)), None
    positions = torch.tensor(case["positions"])
    labels = torch.randint(config["vocab"], (len(positions),))
    return (tokens, lengths, positions), described, labels, positions.tolist()


MODELS = {"mlp": Mlp, "gpt": Gpt, "masked_lm": MaskedBert}


def make_fixture(case):
    torch.manual_seed(case["seed"])
    config, smoothing = case["config"], case["label_smoothing"]
    model = MODELS[case["model"]](config, case["activation"])
    randomize(model)
    parameters = {n: stored(t.clone(), tr) for n, t, tr, _ in tensors(model)}
    inputs, described, labels, positions = inputs_of(case)
    original, double = copy.deepcopy(model), copy.deepcopy(model).double()
    logits, loss, gradients, running = run_once(model, inputs, labels, smoothing)
    fixture = {
        "source": f"PyTorch {torch.__version__.split('+')[0]}, scripts/pytorch_model_fixtures.py",
        "model": case["model"],
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
    if positions is not None:
        fixture["positions"] = positions
    if running:
        fixture["running_after"] = {n: stored(t) for n, t in running.items()}
        with torch.no_grad():
            fixture["eval_logits"] = stored(original.eval()(*inputs))
    wide = tuple(x.double() if x.is_floating_point() else x for x in inputs)
    logits64, loss64, gradients64, _ = run_once(double, wide, labels, smoothing)
    forward = base.largest_difference([logits, loss], [logits64, loss64])
    backward = base.largest_difference(
        [g for g, _ in gradients.values()], [g for g, _ in gradients64.values()]
    )
    return fixture, forward, backward


MLP = {"channels": 2, "image_size": 3, "inputs": 18, "classes": 4}
GPT = {"vocab": 40, "max_length": 9, "layers": 2, "width": 16, "heads": 2}
BERT = {"vocab": 40, "max_len": 12, "hidden": 16, "layers": 2, "heads": 2, "ffn": 32}


def case(model, config, activation, seed, **more):
    return {"model": model, "config": config, "activation": activation, "seed": seed,
            "label_smoothing": 0.0, "batch": 3, **more}


def cases():
    plain = {"widths": [10, 12], "hidden_widths": [10, 12]}
    # The widths of the gated network follow from those of the plain one.
    gated = {"widths": [10, 12], "hidden_widths": [6, 7]}
    gpt = lambda **more: {**GPT, "positions": "learned", "tied": True, **more}
    yield "mlp_relu", case("mlp", MLP | plain | {"norm": "none"}, "relu", 11, label_smoothing=0.1)
    yield "mlp_gelu_batch", case("mlp", MLP | plain | {"norm": "batch"}, "gelu", 12, batch=6)
    yield "mlp_swiglu_layer", case("mlp", MLP | gated | {"norm": "layer"}, "swiglu", 13)
    yield "gpt_gelu", case("gpt", gpt(), "gelu", 14, seq_len=9)
    rotary = gpt(positions="rotary", tied=False)
    yield "gpt_swiglu_rotary", case("gpt", rotary, "swiglu", 15, seq_len=7)
    masked = {"seq_len": 12, "lengths": [12, 7, 9], "positions": [1, 4, 13, 14, 31]}
    yield "masked_lm_gelu", case("masked_lm", BERT, "gelu", 16, **masked)
    yield "masked_lm_swiglu", case("masked_lm", BERT, "swiglu", 17, **masked)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--case")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name, one in cases():
        if args.case in (None, name):
            fixture, forward, backward = make_fixture(one)
            path = os.path.join(args.out, f"{name}.json")
            with open(path, "w") as file:
                file.write(base.to_json(fixture) + "\n")
            print(f"{path}: forward {forward:.1e}, backward {backward:.1e} from float64")


if __name__ == "__main__":
    main()
