#!/usr/bin/env python3
"""Write the reference values of the activation cards.

Each function is written by hand from its paper, independently of the formulas
of the cards, and evaluated with mpmath at 400 digits (so many that the tails of
erf and tanh down to 1e-300 survive the sums of the papers). For each card, at the
default parameters, the output holds

    pointwise   {"points": [[x, y, dy/dx, {parameter: dy/dparameter}], ...]}
    gated       {"gated": [[gate, value, y, dy/dgate, dy/dvalue], ...]}

Inputs and parameters are the exact values of the doubles. Results are rounded
to the nearest double; a magnitude below 1e-300 is written as 0. Points where a
function has no derivative are left out.

Run it from the repository root; it needs mpmath:

    python3 -m venv .venv && .venv/bin/pip install mpmath
    .venv/bin/python scripts/activation_values.py > crates/activations/cards/values.json
"""

import json
import sys

from mpmath import (
    atan, cos, diff, e, erf, erfc, exp, expm1, fabs, log, log1p, mp, mpf, ncdf, pi, sin, sqrt, tanh,
)

mp.dps = 400

POINTS = [-20, -8, -5, -2, -1, -0.5, -0.1, 0, 0.1, 0.5, 1, 2, 5, 8, 20]
PAIRS = [
    (-8, 1.5), (-2, -3), (-0.5, 2), (-0.1, 0.4), (0.3, -0.7),
    (1, 1), (2.5, 0.5), (5, -8.5), (8.5, 3), (20, -0.25),
]


# ---------------------------------------------------------- common functions


def sigmoid(x):
    return 1 / (1 + exp(-x))


def softplus(x):
    return log1p(exp(x))


def relu(x):
    return max(x, mpf(0))


def silu(x):
    return x * sigmoid(x)


def gelu(x):
    return x * ncdf(x)


def clamp(x, low, high):
    return min(max(x, low), high)


# -------------------------------------------------------- pointwise functions

# name -> (function, defaults of its parameters, points without a derivative)
POINTWISE = {}


def card(name, function, kinks=(), **defaults):
    assert name not in POINTWISE, name
    POINTWISE[name] = (function, defaults, kinks)


card("identity", lambda x: x)
card("sigmoid", sigmoid)
card("tanh", tanh)
card("lecun_tanh", lambda x, amplitude, slope: amplitude * tanh(slope * x), amplitude=1.7159, slope=2 / 3)
card("penalized_tanh", lambda x, a: tanh(x) if x > 0 else a * tanh(x), kinks=[0], a=0.25)
card("arctan", atan)
card("softsign", lambda x: x / (1 + fabs(x)))
card("scaled_softsign", lambda x, alpha, beta: alpha * x / (beta + fabs(x)), alpha=1, beta=1)
card("isru", lambda x, alpha: x / sqrt(1 + alpha * x**2), alpha=1)
card("isrlu", lambda x, alpha: x if x >= 0 else x / sqrt(1 + alpha * x**2), alpha=1)

card("relu6", lambda x: clamp(x, 0, 6), kinks=[0, 6])
card("relun", lambda x, n: min(relu(x), n), kinks=[0, 1], n=1)
card("shifted_relu", lambda x: max(x, mpf(-1)), kinks=[-1])
card("shilu", lambda x, alpha, beta: alpha * relu(x) + beta, kinks=[0], alpha=1, beta=1)
card("lelelu", lambda x, alpha: alpha * x if x >= 0 else alpha * x / 10, kinks=[0], alpha=1)
card("relu_squared", lambda x: relu(x) ** 2)
card("leaky_relu_squared", lambda x, slope: x**2 if x > 0 else (slope * x) ** 2, slope=0.5)
card("star_relu", lambda x, scale, bias: scale * relu(x) ** 2 + bias, scale=0.8944, bias=-0.4472)
card("smoothed_relu_squared", lambda x, a: x * (x + sqrt(x**2 + a**2)) / 2, a=0.2)
card(
    "polyrelu",
    lambda x, w0, w1, w2, b: w0 * relu(x) ** 3 + w1 * relu(x) ** 2 + w2 * relu(x) + b,
    kinks=[0], w0=1 / 3, w1=1 / 3, w2=1 / 3, b=0,
)
card("squareplus", lambda x, b: (x + sqrt(x**2 + b)) / 2, b=4)


def smelu(x, beta):
    if x <= -beta:
        return mpf(0)
    return x if x >= beta else (x + beta) ** 2 / (4 * beta)


card("smelu", smelu, beta=1)

card("elu", lambda x, alpha: x if x > 0 else alpha * (exp(x) - 1), alpha=1)
card("celu", lambda x, alpha: max(x, mpf(0)) + min(mpf(0), alpha * (exp(x / alpha) - 1)), alpha=1)


def selu(x):
    """The constants are those that keep mean 0 and variance 1 (appendix of the paper)."""
    c = erfc(1 / sqrt(mpf(2)))
    alpha = -sqrt(2 / pi) / (c * exp(mpf(1) / 2) - 1)
    scale = (1 - c * sqrt(e)) * sqrt(2 * pi) / sqrt(
        2 * erfc(sqrt(mpf(2))) * e**2 + pi * c**2 * e - 2 * (2 + pi) * c * sqrt(e) + pi + 2
    )
    return scale * (x if x > 0 else alpha * (exp(x) - 1))


card("selu", selu, kinks=[0])
card("pelu", lambda x, a, b: a / b * x if x >= 0 else a * (exp(x / b) - 1), a=1, b=1)
card("softplus", softplus)
card("shifted_softplus", lambda x: log(exp(x) / 2 + mpf(1) / 2))
card("logsigmoid", lambda x: log(sigmoid(x)))

card("hardtanh", clamp, kinks=[-1, 1], low=-1, high=1)
card("hardsigmoid", lambda x: clamp(x + 3, 0, 6) / 6, kinks=[-3, 3])
card("hardswish", lambda x: x * clamp(x + 3, 0, 6) / 6, kinks=[-3, 3])
card("hard_mish", lambda x: x / 2 * min(mpf(2), max(mpf(0), x + 2)), kinks=[-2])
card(
    "softshrink",
    lambda x, threshold: mp.sign(x) * max(fabs(x) - threshold, mpf(0)),
    kinks=[-0.5, 0.5], threshold=0.5,
)
card("tanhshrink", lambda x: x - tanh(x))

card("mish", lambda x: x * tanh(softplus(x)))
card("mila", lambda x, beta: x * tanh(softplus(beta + x)), beta=-0.25)
card("mish_goe", lambda x: x * (tanh(softplus(x)) + mpf("0.4") * exp(-2 * x**2)))
card("telu", lambda x: x * tanh(exp(x)))
card("tanhsoft_1", lambda x, alpha: tanh(alpha * x) * log(1 + exp(x)), alpha=0.87)
card("tanhsoft_2", lambda x, beta, gamma: x * tanh(beta * exp(gamma * x)), beta=0.6, gamma=1)
card(
    "golu",
    lambda x, alpha, beta, gamma: x * alpha * exp(-beta * exp(-gamma * x)),
    alpha=1, beta=1, gamma=1,
)
# With the digits that 2 - exp(-exp(x)) loses for x far below 0.
card("gish", lambda x: x * log1p(-expm1(-exp(x))))
card("logish", lambda x: x * log(1 + sigmoid(x)))
card("smish", lambda x: x * tanh(log(1 + sigmoid(x))))
card("phish", lambda x: x * tanh(gelu(x)))
card("serf", lambda x: x * erf(log(1 + exp(x))))
card("erfact", lambda x, alpha, beta: x * erf(alpha * exp(beta * x)), alpha=0.75, beta=0.75)
card("pserf", lambda x, gamma, delta: x * erf(gamma * log(1 + exp(delta * x))), gamma=1.25, delta=0.85)
card(
    "smu",
    lambda x, alpha, mu: ((1 + alpha) * x + (1 - alpha) * x * erf(mu * (1 - alpha) * x)) / 2,
    alpha=0.25, mu=1,
)
card(
    "acon_c",
    lambda x, p1, p2, beta: (p1 - p2) * x * sigmoid(beta * (p1 - p2) * x) + p2 * x,
    p1=1, p2=0, beta=1,
)
card("swish_t", lambda x, alpha, beta: x * sigmoid(beta * x) + alpha * tanh(x), alpha=0.1, beta=1)
card("swish_t_a", lambda x, alpha: sigmoid(x) * (x + 2 * alpha) - alpha, alpha=0.1)
card("swish_t_b", lambda x, alpha, beta: sigmoid(beta * x) * (x + 2 * alpha) - alpha, alpha=0.1, beta=1)
card(
    "swish_t_c",
    lambda x, alpha, beta: sigmoid(beta * x) * (x + 2 * alpha / beta) - alpha / beta,
    alpha=0.1, beta=1,
)
card("e_swish", lambda x, beta: beta * x * sigmoid(x), beta=1.25)
card("dsilu", lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))))
card("elish", lambda x: silu(x) if x >= 0 else (exp(x) - 1) * sigmoid(x))
card(
    "hard_elish",
    lambda x: (x if x >= 0 else exp(x) - 1) * max(mpf(0), min(mpf(1), (x + 1) / 2)),
    kinks=[-1, 1],
)
card("b_silu", lambda x, alpha: (x + alpha) * sigmoid(x) - alpha / 2, alpha=1.67)
card("flatten_t_swish", lambda x, t: silu(x) + t if x >= 0 else t, kinks=[0], t=-0.2)
card("lisht", lambda x: x * tanh(x))
card("aptx", lambda x, alpha, beta, gamma: (alpha + tanh(beta * x)) * gamma * x, alpha=1, beta=1, gamma=0.5)
card("eis_1", lambda x, delta: x * log(1 + exp(x)) / (x + delta * exp(-x)), delta=1.16)
card("eis_2", lambda x: x * log(1 + exp(x)) / sqrt(1 + x**2))


def ulu_half(x, alpha):
    return x * (tanh(alpha * x) + 1) / 2


card(
    "ulu",
    lambda x, alpha_neg, alpha_pos: ulu_half(x, alpha_neg if x < 0 else alpha_pos),
    alpha_neg=1, alpha_pos=1,
)
card(
    "aulu",
    lambda x, beta_neg, beta_pos: ulu_half(x, beta_neg**2 if x < 0 else beta_pos**2),
    beta_neg=1, beta_pos=1,
)


def xielu(x, alpha_p, alpha_n, beta):
    positive, negative = softplus(alpha_p), beta + softplus(alpha_n)
    return positive * x**2 + beta * x if x > 0 else negative * (exp(x) - 1 - x) + beta * x


def xiprelu(x, alpha_p, alpha_n, beta):
    return softplus(alpha_p if x > 0 else alpha_n) * x**2 + beta * x


# What a softplus maps to 0.8 and to 0.3, as the nearest doubles.
INITIAL_08, INITIAL_03 = float(log(expm1(mpf("0.8")))), float(log(expm1(mpf("0.3"))))
card("xielu", xielu, alpha_p=INITIAL_08, alpha_n=INITIAL_03, beta=0.5)
card("xiprelu", xiprelu, alpha_p=INITIAL_08, alpha_n=INITIAL_08, beta=0.5)


def expanded(gate):
    """x times a gate whose range is (-alpha, 1 + alpha)."""
    return lambda x, alpha: x * (gate(x) * (1 + 2 * alpha) - alpha)


def arctan_gate(x):
    return (atan(x) + pi / 2) / pi


card("xgelu", expanded(ncdf), alpha=0)
card("xsilu", expanded(sigmoid), alpha=0)
card("xatlu", expanded(arctan_gate), alpha=0)
card("atlu", lambda x: x * arctan_gate(x))

card("helu", lambda x: silu(x) if x <= 0 else x / 2 + fabs(exp(-x) - 1), kinks=[0])
card("delu", lambda x, n: silu(x) if x <= 0 else (n + mpf(1) / 2) * x + fabs(exp(-x) - 1), kinks=[0], n=0)
card("sinlu", lambda x, a, b: (x + a * sin(b * x)) * sigmoid(x), a=1, b=1)
card("coslu", lambda x, a, b: (x + a * cos(b * x)) * sigmoid(x), a=1, b=1)
card("gelu_sine", lambda x: gelu(x) + sin(x) / 10)
card("gelu_sinc", lambda x: gelu(x) * (1 + mp.sincpi(x) / 2))
card("gcu", lambda x: x * cos(x))
card("sine", lambda x, omega: sin(omega * x), omega=1)
card("gaussian", lambda x, sigma: exp(-(x**2) / (2 * sigma**2)), sigma=1)
card("snake", lambda x, alpha: x + sin(alpha * x) ** 2 / alpha, alpha=1)
card("snake_beta", lambda x, alpha, beta: x + sin(exp(alpha) * x) ** 2 / exp(beta), alpha=0, beta=0)


def pau(x, **p):
    above = sum(p[f"a{j}"] * x**j for j in range(6))
    return above / (1 + fabs(sum(p[f"b{k}"] * x**k for k in range(1, 5))))


card(
    "pau", pau, kinks=[0],
    a0=0.02979246, a1=0.61837738, a2=2.32335207, a3=3.0520266, a4=1.48548002, a5=0.25103717,
    b1=1.14201226, b2=4.39322834, b3=0.8715445, b4=0.34720652,
)

# Names of parameters that Python or a shared function above spells otherwise.
SPELLED = {
    "hardtanh": {"low": "min_value", "high": "max_value"},
    "softshrink": {"threshold": "lambda"},
}

# ------------------------------------------------------------ gated functions


def gelu_tanh(x):
    return x / 2 * (1 + tanh(sqrt(2 / pi) * (x + mpf("0.044715") * x**3)))


def clamped_swiglu(gate, value, alpha=mpf(1.702), limit=7):
    gate = min(gate, limit)
    return gate * sigmoid(alpha * gate) * (clamp(value, -limit, limit) + 1)


GATED = {
    "glu": lambda gate, value: sigmoid(gate) * value,
    "gtu": lambda gate, value: sigmoid(gate) * tanh(value),
    "reglu": lambda gate, value: relu(gate) * value,
    "geglu": lambda gate, value: gelu(gate) * value,
    "geglu_tanh": lambda gate, value: gelu_tanh(gate) * value,
    "bilinear": lambda gate, value: gate * value,
    "relu_relu": lambda gate, value: relu(gate) * relu(value),
    "clamped_swiglu": clamped_swiglu,
}

# ---------------------------------------------------------------- the output


def number(y):
    """The nearest double; 0 where it would be tiny; an integer without a fraction."""
    y = 0.0 if fabs(y) < mpf("1e-300") else float(y)
    return int(y) if y.is_integer() and abs(y) < 2**53 else y


def points(name):
    function, defaults, kinks = POINTWISE[name]
    defaults = {key: mpf(value) for key, value in defaults.items()}
    spelled = SPELLED.get(name, {})
    rows = []
    for x in POINTS:
        if x in kinks:
            continue
        at = mpf(x)
        by_parameter = {
            spelled.get(key, key): number(diff(lambda p: function(at, **{**defaults, key: p}), value))
            for key, value in defaults.items()
        }
        slope = diff(lambda z: function(z, **defaults), at)
        rows.append([x, number(function(at, **defaults)), number(slope), by_parameter])
    return rows


def gated(name):
    function = GATED[name]
    rows = []
    for gate, value in PAIRS:
        g, v = mpf(gate), mpf(value)
        slopes = diff(lambda z: function(z, v), g), diff(lambda z: function(g, z), v)
        rows.append([gate, value, *map(number, (function(g, v), *slopes))])
    return rows


def main():
    cards = {name: {"points": points(name)} for name in POINTWISE}
    cards |= {name: {"gated": gated(name)} for name in GATED}
    lines = [
        f"{json.dumps(name)}: {json.dumps(cards[name], separators=(',', ':'))}" for name in sorted(cards)
    ]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
