#!/usr/bin/env python3
"""Print the reference trajectories of the optimizer tests, from PyTorch.

    pip install torch==2.15.0 numpy
    python scripts/optimizer_references.py

The values go into the constants `PYTORCH` of `crates/core/src/optimizer/*.rs`.
Linear weights are [inputs, outputs] there, and [outputs, inputs] in PyTorch.
"""

import torch


def trajectory(optimizer, start, gradients):
    parameter = torch.nn.Parameter(start)
    rule = optimizer([parameter])
    values = []
    for gradient in gradients:
        parameter.grad = gradient
        rule.step()
        values.append(parameter.detach().clone())
    return values


def show(name, values):
    print(f"{name}:")
    for value in values:
        print("    [" + ", ".join(f"{x:.12}" for x in value.flatten().tolist()) + "],")


def main():
    double = lambda x: torch.tensor(x, dtype=torch.float64)
    gradients = [double(g) for g in [[1.0, -3.0], [-4.0, 0.01], [0.5, 2.0]]]
    adam = lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.5)
    show("adam", trajectory(adam, double([1.0, -2.0]), gradients))

    matrix = lambda x: torch.tensor(x).reshape(2, 3).T.contiguous()
    gradients = [
        matrix(g)
        for g in [[0.5, -1.0, 2.0, 0.25, 1.5, -0.75], [1.0, 0.5, -0.5, 2.0, -1.0, 0.1]]
    ]
    muon = lambda p: torch.optim.Muon(p, lr=0.1, weight_decay=0.5, adjust_lr_fn="match_rms_adamw")
    values = trajectory(muon, matrix([0.1, 0.2, 0.3, -0.4, 0.5, -0.6]), gradients)
    show("muon", [value.T for value in values])


if __name__ == "__main__":
    main()
