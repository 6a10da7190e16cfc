#!/usr/bin/env python3
"""Write PyTorch's values of the activation cards that name a PyTorch expression.

The output has the form of crates/activation-testing/oracle/pytorch.json, in
double precision: under `pointwise` a card's x, y and dy_dx, under `gated` its
gate, value, y, dy_dgate and dy_dvalue. The entries of the file that is there
are kept, and their inputs are used for the new ones. Under `learned` stand
activations with parameters over x of shape [rows, channels]: y, and the
gradients by x and by the parameter for a gradient by y.

Run it from the repository root:

    python3 -m venv .venv && .venv/bin/pip install torch==2.15.0 numpy
    .venv/bin/python scripts/pytorch_values.py > pytorch.json
    mv pytorch.json crates/activation-testing/oracle/pytorch.json
"""

import json
import pathlib
import sys
import tomllib

import torch

CARDS = pathlib.Path("crates/activations/cards")
ORACLE = pathlib.Path("crates/activation-testing/oracle/pytorch.json")


def leaf(values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def evaluate(expression, **inputs):
    """The values of a card's expression and its derivative by each input."""
    y = eval(expression, {"torch": torch, **inputs})
    return y.tolist(), [g.tolist() for g in torch.autograd.grad(y.sum(), list(inputs.values()))]


def learned(function, parameter, seed):
    """An activation with a parameter, one value or one a channel, and its gradients."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(37, 5, generator=generator, dtype=torch.float64).mul(2).requires_grad_()
    gradient = torch.randn(37, 5, generator=generator, dtype=torch.float64)
    parameter = leaf(parameter)
    y = function(x, parameter)
    y.backward(gradient)
    return {
        "x": x.tolist(),
        "parameter": parameter.tolist(),
        "gradient": gradient.tolist(),
        "y": y.tolist(),
        "by_x": x.grad.tolist(),
        "by_parameter": parameter.grad.tolist(),
    }


CHANNELS = [0.25, 0.1, -0.2, 0.7, 1.0]


def main():
    oracle = json.loads(ORACLE.read_text())
    xs = oracle["pointwise"]["relu"]["x"]
    gates, values = (oracle["gated"]["swiglu"][key] for key in ("gate", "value"))
    for path in sorted(CARDS.glob("*.toml")):
        card = tomllib.loads(path.read_text())
        expression = card.get("pytorch")
        if expression is None:
            continue
        if "gate" in expression:
            y, (by_gate, by_value) = evaluate(expression, gate=leaf(gates), value=leaf(values))
            entry = {"gate": gates, "value": values, "y": y, "dy_dgate": by_gate, "dy_dvalue": by_value}
            oracle["gated"].setdefault(card["name"], entry)
        else:
            y, (slope,) = evaluate(expression, x=leaf(xs))
            oracle["pointwise"].setdefault(card["name"], {"x": xs, "y": y, "dy_dx": slope})
    swish = lambda x, beta: x * torch.sigmoid(beta * x)
    oracle["learned"] = {
        "prelu": learned(torch.nn.functional.prelu, [0.25], 1),
        "prelu per channel": learned(torch.nn.functional.prelu, CHANNELS, 2),
        "swish": learned(swish, [1.5], 3),
        "swish per channel": learned(swish, CHANNELS, 4),
    }
    oracle["source"] = f"PyTorch {torch.__version__.split('+')[0]}, float64"
    json.dump(oracle, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
