#!/usr/bin/env python3
"""Write what PyTorch's autocast on the CPU makes of two fixtures of the model parity test.

For the models, weights and inputs of `pytorch_fixtures.py` the script runs one
training-mode pass under `torch.autocast` in bfloat16 and in float16 and writes
logits, loss and gradients, four digits each, by case and precision.

Run it from the repository root, in the environment of pytorch_fixtures.py:

    python scripts/pytorch_autocast.py --out crates/core/tests/fixtures/autocast.json
"""

import argparse
import sys

sys.dont_write_bytecode = True

import torch
import torch.nn.functional as F

import pytorch_fixtures as fixtures

CASES = ("resnet8_gelu", "bert_gelu", "bert_swiglu")
PRECISIONS = {"bf16": torch.bfloat16, "f16": torch.float16}

# What the loss is multiplied with in float16, as a gradient scaler would.
SCALE = 1024.0


def inputs_of(case):
    """The model and inputs of a case, drawn in the order of make_fixture."""
    torch.manual_seed(case["seed"])
    config, kind = case["config"], case["model"]
    model = fixtures.build(kind, config, case["activation"])
    fixtures.randomize(model)
    batch = case["batch"]
    labels = torch.randint(config["classes"], (batch,))
    if kind == "resnet":
        size = config["image_size"]
        images = torch.randn(batch, config["in_channels"], size, size)
        return model, (fixtures.short(images),), labels
    lengths = torch.tensor(case["lengths"])
    tokens = torch.randint(1, config["vocab"], (batch, case["seq_len"]))
    tokens[torch.arange(case["seq_len"]) >= lengths[:, None]] = 0
    return model, (tokens, lengths), labels


def rounded(tensor, transposed=False):
    array = tensor.detach().double()
    array = array.t() if transposed else array
    numbers = [float(f"{x:.4g}") for x in array.reshape(-1).tolist()]
    return {"shape": list(array.shape), "data": numbers}


def run(case, dtype):
    model, inputs, labels = inputs_of(case)
    model.train()
    with torch.autocast("cpu", dtype=dtype):
        logits = model(*inputs)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=case["label_smoothing"])
    scale = SCALE if dtype is torch.float16 else 1.0
    (loss * scale).backward()
    gradients = {
        name: rounded(tensor.grad / scale, transposed)
        for name, tensor, transposed, trainable in fixtures.flat_tensors(model)
        if trainable
    }
    return {"logits": rounded(logits), "loss": loss.item(), "gradients": gradients}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", required=True)
    path = parser.parse_args().out
    cases = fixtures.cases()
    result = {
        name: {word: run(cases[name], dtype) for word, dtype in PRECISIONS.items()}
        for name in CASES
    }
    version = torch.__version__.split("+")[0]
    result["source"] = f"PyTorch {version}, scripts/pytorch_autocast.py"
    with open(path, "w") as file:
        file.write(fixtures.to_json(result) + "\n")


if __name__ == "__main__":
    main()
