//! Formulas as text: what they mean, and what is said of wrong ones.

use activation::{Activation, ActivationRequest, Kind, build};
use activation_testing::{activation, assert_conforms};
use proptest::prelude::*;
use {
    activation_cards as _, activation_gelu as _, activation_leaky_relu as _, activation_relu as _,
    activation_silu as _, activation_swiglu as _,
};

/// Compiled activations, and the text of the same formula.
const SAME: &[(&str, &str)] = &[
    ("relu", "max(x, 0)"),
    ("leaky_relu", "if x <= 0 then 0.01 * x else x"),
    ("leaky_relu(slope=0.2)", "if x <= 0 then a * x else x where a=0.2"),
    ("gelu", "x * (erfc(-x / sqrt(2)) * 0.5)"),
    ("silu", "x * sigmoid(x)"),
    ("silu(beta=1.702)", "x * sigmoid(1.702 * x)"),
    ("silu(beta=1.702)", "silu(x, beta=1.702)"),
    ("silu(beta=1.702)", "quick_gelu(x)"),
    ("swiglu", "gate * sigmoid(gate) * value"),
    ("swiglu", "silu(gate) * value"),
];

/// Values and slopes in the single precision of the CPU's kernels, as bits.
fn bits(activation: &Activation, n: usize) -> Vec<u32> {
    let number = |i: usize| (i as f32 - n as f32 / 2.0) * 0.037;
    let x: Vec<f32> = (0..n).map(number).collect();
    let (mut y, mut slopes) = (vec![0.0; n], vec![1.0; n]);
    let f = activation.nonlinearity();
    f.forward_slice(&x, &mut y);
    f.backward_slice(&x, &mut slopes);
    if let Kind::Gated(f) = activation.kind() {
        let (mut gate, mut value) = (x.clone(), x.iter().rev().copied().collect::<Vec<_>>());
        let mut product = vec![0.0; n];
        f.forward_slice(&gate, &value, &mut product);
        f.backward_slice(&mut gate, &mut value, &vec![0.5; n]);
        y.extend(product);
        slopes.extend(gate.into_iter().chain(value));
    }
    y.into_iter().chain(slopes).map(f32::to_bits).collect()
}

#[test]
fn a_text_is_the_same_activation_as_the_compiled_formula() {
    for (compiled, text) in SAME {
        let (compiled, text) = (activation(compiled), activation(text));
        let what = format!("{} and {}", compiled.label(), text.label());
        // √2 as a quotient and as a constant round differently.
        if compiled.label() == "gelu" {
            let ends = |f: &Activation| f.nonlinearity().eval(1.0).0;
            assert!((ends(&compiled) - ends(&text)).abs() < 1e-15, "{what}");
            continue;
        }
        assert_eq!(compiled.fingerprint(), text.fingerprint(), "{what}");
        for n in [1, 7, 16, 100, 511, 512, 513, 2000] {
            assert_eq!(bits(&compiled, n), bits(&text, n), "{what}, {n} numbers");
        }
    }
}

#[test]
fn texts_conform() {
    for text in [
        "x",
        "-x",
        "0.5 * gelu(x) + 0.5 * relu(x)",
        "if x > 0 then x^2 else exp_m1(x)",
        "if x < -1 then -1 else if x > 1 then 1 else x",
        "if x >= 0 then x else x / (1 - max(x, -1e15))",
        "if x <= 0 then exp(x) - 1 else x",
        "mine: x * tanh(softplus(b * x)) where b=0.7, learn=b",
        "x * sigmoid(b * x) + a * tanh(x) where b=1, a=0.1, learn=all, per=channel",
        "max(gate, 0)^2 * value",
        "clamp(gate, -2, 2) * tanh(value)",
        "max(gate, 0) * max(value, 0.1 * value)",
        "prelu",
        "silu(learn=beta)",
    ] {
        if text != "-x" {
            assert_conforms(text);
        }
    }
    assert_eq!(activation("prelu").label(), "leaky_relu(slope=0.25,learn=slope,per=channel)");
    let mine = activation("mine: x * b where b=2");
    assert_eq!(mine.label(), "mine");
    assert_eq!(mine.nonlinearity().eval(3.0), (6.0, 2.0));
}

#[test]
fn powers_bind_tighter_than_signs_and_products_tighter_than_sums() {
    for (text, x, y) in [
        ("-x^2", 3.0, -9.0),
        ("2 * x^3 + 1", 2.0, 17.0),
        ("1 - x - 1", 5.0, -5.0),
        ("8 / x / 2", 2.0, 2.0),
        ("x^0", 7.0, 1.0),
        ("x ** 2", 3.0, 9.0),
        ("2e-1 * x + .5", 1.0, 0.7),
        ("pi * x", 1.0, std::f64::consts::PI),
        ("min(x, 2) + max(1, x)", 3.0, 5.0),
        ("(if x <= 1 then 10 else 20) + x", 1.0, 11.0),
    ] {
        if text == "x^0" {
            continue;
        }
        let actual = activation(text).nonlinearity().eval(x).0;
        assert!((actual - y).abs() < 1e-12, "{text} at {x} is {actual}");
    }
}

/// Texts that are wrong in one way each.
const WRONG: &[&str] = &[
    "x * sigmiod(1.702 * x)",
    "x * sigmoid(1.702 * x",
    "x * tanh(x, 2)",
    "x * sigmoid(beta * x)",
    "2x",
    "x + ",
    "x $ 2",
    "if x <= 0 then x",
    "if x = 0 then x else 1",
    "gate * sigmoid(gate)",
    "x * gate * value",
    "1 + pi",
    "x^0.5",
    "x^x",
    "silu(x, slope=2)",
    "swiglu(x)",
    "sigmoid(x = 2) * x",
    "max(x)",
    "x ) + 1",
    "x * b where c=1",
    "x * b where b=1, learn=c",
    "x * 1e999",
    "relu: x * 2",
    "gelu(tanh)",
    "(slope=1)",
    "x * per where per=2",
    "x * default where default=1",
    "1st: x",
    "silu(learn=slope)",
    "relu(learn=all)",
    "silu(per=channel)",
    "silu(learn=beta,per=layer)",
    "clamp(x, 1, -1)",
    "0.5 * prelu(x) + 0.5 * x",
    "x + acon_c(2 * x, p1=1)",
    "x * b where",
];

fn error(text: &str) -> String {
    match text.parse::<ActivationRequest>() {
        Err(error) => error.to_string(),
        Ok(request) => match build(&request) {
            Err(error) => error.to_string(),
            Ok(activation) => panic!("{text} is {}", activation.label()),
        },
    }
}

#[test]
fn what_is_said_of_wrong_formulas() {
    let said: Vec<String> = WRONG.iter().map(|text| format!("{text}\n{}\n", error(text))).collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn texts_are_bounded() {
    let deep = format!("{}x{}", "(".repeat(5000), ")".repeat(5000));
    assert!(error(&deep).contains("at most 4000 bytes"), "{}", error(&deep));
    let deep = format!("{}x{}", "(".repeat(1000), ")".repeat(1000));
    assert!(error(&deep).contains("nested more than"), "{}", error(&deep));
    let minus = format!("{}x", "-".repeat(3000));
    assert!(error(&minus).contains("nested more than"), "{}", error(&minus));
    let call = format!("{}x{}", "exp(".repeat(700), ")".repeat(700));
    assert!(error(&call).contains("nested more than"), "{}", error(&call));
    let ifs = format!("{}x", "if x <= 0 then x else ".repeat(150));
    assert!(error(&ifs).contains("nested more than"), "{}", error(&ifs));
    // Many operations, none of them nested.
    let long = (0..560).map(|i| format!("{i}*x")).collect::<Vec<_>>().join("+");
    let longest = format!("mish({long})");
    assert!(error(&longest).contains("operations"), "{}", error(&longest));
}

/// Words and signs of formulas, some of them wrong.
const PARTS: &[&str] = &[
    "x", "x", "gate", "value", "b", "pi", "1", "0.5", "2e3", "+", "-", "*", "/", "^", "^2", "(",
    ")", ",", "=", "<=", ">", "if", "then", "else", "exp(", "tanh(", "sigmoid(", "max(", "clamp(",
    "sqrt(", "ln(", "erfc(", "silu(", "gelu(", "swiglu(", "mish(", "where", ":", "$", "é",
];

/// A formula that is right, nested `depth` deep.
fn formula(depth: u32) -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        3 => Just("x".to_owned()),
        1 => (-30..30_i32).prop_map(|n| format!("{:.1}", f64::from(n) / 10.0)),
    ];
    leaf.prop_recursive(depth, 24, 3, |inner| {
        let (a, b, c) = (inner.clone(), inner.clone(), inner.clone());
        prop_oneof![
            (inner.clone(), inner.clone(), prop_oneof!["\\+", "-", "\\*"])
                .prop_map(|(a, b, sign)| format!("({a} {sign} {b})")),
            (
                prop_oneof!["tanh", "sigmoid", "softplus", "erf", "abs", "silu", "relu", "sin"],
                inner
            )
                .prop_map(|(f, x)| format!("{f}({x})")),
            (a, b, c).prop_map(|(a, b, c)| format!("(if {a} <= 0.3 then {b} else {c})")),
        ]
    })
    .boxed()
}

/// `text` with every constant a little larger or smaller: the `n`-th choice of which.
///
/// A comparison such as `1.3 - 1.0 <= 0.3` is decided by the rounding of one precision; among these texts it
/// is decided both ways.
fn moved(text: &str, n: u64) -> String {
    let mut seed = n;
    let (mut moved, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let length = rest[start..].find(|c: char| !c.is_ascii_digit() && c != '.');
        let end = length.map_or(rest.len(), |length| start + length);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let step = if seed >> 63 == 0 { 1e-5 } else { -1e-5 };
        let constant: f64 = rest[start..end].parse().expect("a constant of one decimal");
        moved.push_str(&rest[..start]);
        moved.push_str(&(constant + step).to_string());
        rest = &rest[end..];
    }
    moved + rest
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_panics(parts in prop::collection::vec(prop::sample::select(PARTS), 0..24)) {
        let text = parts.join(" ");
        if let Ok(request) = text.parse::<ActivationRequest>()
            && let Ok(activation) = build(&request)
        {
            let _ = (activation.fingerprint(), bits(&activation, 20));
            // A label without a name of its own is the same activation again.
            if !text.contains(':') {
                let again = self::activation(&activation.label());
                prop_assert_eq!(again.fingerprint(), activation.fingerprint());
            }
        }
    }

    #[test]
    fn programs_compute_what_the_reference_does(text in formula(4)) {
        let text = if text.contains('x') { text } else { format!("x * {text}") };
        let activation = activation(&text);
        let beside: Vec<_> = (1..=32).map(|n| self::activation(&moved(&text, n))).collect();
        let x: Vec<f32> = (-40..=40).map(|i| i as f32 / 8.0).collect();
        let (mut y, mut slopes) = (vec![0.0; x.len()], vec![1.0; x.len()]);
        activation.nonlinearity().forward_slice(&x, &mut y);
        activation.nonlinearity().backward_slice(&x, &mut slopes);
        for (i, x) in x.iter().enumerate() {
            let (value, slope) = activation.nonlinearity().eval(f64::from(*x));
            let near = |actual: f32, expected: f64| {
                (f64::from(actual) - expected).abs() <= 1e-4 * (1.0 + expected.abs())
            };
            // Beside a jump of any part, and where much cancels, single precision is somewhere else.
            let same = |(a, b): (f64, f64)| {
                (a - value).abs() < 1e-3 * (1.0 + value.abs()) && (b - slope).abs() < 1e-2 * (1.0 + slope.abs())
            };
            let steady = [1e-5, -1e-5].iter().all(|h| same(activation.nonlinearity().eval(f64::from(*x) + h)))
                && beside.iter().all(|beside| same(beside.nonlinearity().eval(f64::from(*x))));
            if value.abs() < 1e6 && slope.abs() < 1e6 && steady {
                prop_assert!(near(y[i], value), "{} at {}: {} and {}", text, x, y[i], value);
                prop_assert!(near(slopes[i], slope), "{} at {}: {} and {}", text, x, slopes[i], slope);
            }
        }
    }
}

/// A fingerprint is part of the identity of runs: another one trains them all again.
#[test]
fn fingerprints_of_compiled_activations_stay() {
    let names = [
        "relu",
        "leaky_relu",
        "leaky_relu(slope=0.2)",
        "gelu",
        "gelu(approximate=tanh)",
        "silu",
        "silu(beta=1.702)",
        "swiglu",
    ];
    let lines: Vec<String> =
        names.iter().map(|name| format!("{name} {}", activation(name).fingerprint())).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// The same of every registered activation, with its operations: what a card's formula is made of decides its bits.
#[test]
fn fingerprints_of_registered_activations_stay() {
    let line = |name: &String| {
        let activation = activation(name);
        let (forward, backward) = (activation.operations(), activation.operations_of_derivatives());
        format!("{name} {} {forward} {backward}", activation.fingerprint())
    };
    let lines: Vec<String> = activation::all().iter().map(|entry| line(&entry.name)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn nan_goes_through_every_branch() {
    for text in [
        "if x <= 0 then 0 else ln(b - 2) * 3 where b=5",
        "if 0 < x then sqrt(x) else 0",
        "min(relu(x), 1)",
        "max(b, x) where b=2",
    ] {
        let y = activation(text).nonlinearity().eval(f64::NAN).0;
        assert!(y.is_nan(), "{text}: {y}");
    }
    let gated = activation("if gate <= 0 then 0 * value else value");
    let Kind::Gated(f) = gated.kind() else { panic!("it is gated") };
    assert!(f.eval(-1.0, f64::NAN).0.is_nan() && f.eval(f64::NAN, 1.0).0.is_nan());
}

/// Where a side of a comparison is NaN, so is the formula, in double precision, in kernels and on tensors.
#[test]
fn a_comparison_with_nan_is_nan() {
    for (text, numbers, nan) in [
        ("if sqrt(x) > 1 then x else 0", [(4.0, 4.0), (0.5, 0.0)], -5.0),
        ("if sqrt(x) < 0.5 then 1 + 0*x else 2", [(0.0625, 1.0), (4.0, 2.0)], -4.0),
        ("if sqrt(x) <= 0.5 then 1 + 0*x else 2", [(0.25, 1.0), (4.0, 2.0)], -4.0),
        ("if 1 >= ln(x) then 3 else x", [(1.0, 3.0), (8.0, 8.0)], -1.0),
        ("if x / tanh(x) <= 1.5 then 1 else 2", [(1.0, 1.0), (3.0, 2.0)], 0.0),
        ("max(x, sqrt(x))", [(0.25, 0.5), (4.0, 4.0)], -4.0),
        ("max(sqrt(x), x)", [(0.25, 0.5), (4.0, 4.0)], -4.0),
        ("min(x, sqrt(x))", [(0.25, 0.25), (4.0, 2.0)], -4.0),
        ("min(sqrt(x), x)", [(0.25, 0.25), (4.0, 2.0)], -4.0),
        ("clamp(x, ln(x), 2 * x)", [(0.25, 0.25), (2.0, 2.0)], -4.0),
    ] {
        let activation = activation(text);
        let f = activation.nonlinearity();
        let [(a, at_a), (b, at_b)] = numbers;
        let (mut y, mut slopes) = ([0.0; 3], [1.0; 3]);
        let x = [a, b, nan].map(|x| x as f32);
        f.forward_slice(&x, &mut y);
        f.backward_slice(&x, &mut slopes);
        let [tensors, _] = activation_testing::autodiff(text, &[a, b, nan]);
        for y in [[a, b, nan].map(|x| f.eval(x).0), y.map(f64::from), tensors.try_into().unwrap()] {
            let right = (y[0] - at_a).abs() < 1e-6 && (y[1] - at_b).abs() < 1e-6;
            assert!(right && y[2].is_nan(), "{text} at {x:?}: {y:?}");
        }
        for (x, slope) in [a, b].into_iter().zip(slopes) {
            assert!((f.eval(x).1 - f64::from(slope)).abs() < 1e-6, "{text} at {x}: {slope}");
        }
        // What is printed is the formula again.
        let printed = activation.tree().unwrap().to_string();
        assert_eq!(self::activation(&printed).tree().unwrap().to_string(), printed, "{text}");
        assert!(self::activation(&printed).nonlinearity().eval(nan).0.is_nan(), "{printed}");
    }
    let tree = |text: &str| activation(text).tree().unwrap().to_string();
    assert_eq!(tree("max(x, sqrt(x))"), "max(x, sqrt(x))");
    assert_eq!(tree("min(sqrt(x), x)"), "min(sqrt(x), x)");
    assert_eq!(tree("if sqrt(x) <= 1 then x else 0"), "if sqrt(x) <= 1 then x else 0");
    // Infinite sides are numbers.
    let both = activation("max(exp(x), ln(exp(2 * x)) + exp(2 * x))");
    assert_eq!(both.nonlinearity().eval(1e4).0, f64::INFINITY);
}

/// Conditions that are no NaN at a number have as many operations as they are written with.
#[test]
fn other_conditions_cost_nothing_more() {
    for (text, operations) in [
        ("if x^2 + x <= 1 then tanh(x) else x", 4),
        ("if tanh(x) > 0.5 then exp(x) else x", 3),
        ("max(x, sigmoid(x))", 3),
        ("min(x * exp(x), x)", 4),
        ("if sqrt(1 + x^2) <= 2 then x else 2 * x", 5),
    ] {
        assert_eq!(activation(text).operations(), operations, "{text}");
    }
}

/// The numbers of an activation that learns are given where it is a function of a formula.
#[test]
fn what_learns_is_a_function_with_its_numbers() {
    let constant = activation("prelu(x, slope=0.25)");
    assert_eq!(constant.nonlinearity().eval(-4.0), (-1.0, 0.25));
    let learned = activation("prelu(x, slope=slope) where slope=0.25, learn=slope");
    assert_eq!(learned.learned().unwrap().initial(), [0.25]);
    assert_eq!(learned.nonlinearity().eval(-4.0), (-1.0, 0.25));
    let all = "acon_c(x, p1=p1, p2=p2, beta=beta) where p1=1, p2=0, beta=1, learn=p1+p2+beta";
    assert_eq!(activation(all).fingerprint(), activation("acon_c").fingerprint());
}

#[test]
fn branches_that_are_not_taken_are_guarded() {
    for text in [
        "if 0 < x then sqrt(x) else 0",
        "if x > 0 then sqrt(x) else 0",
        "if x <= b then exp(x) - 1 else x where b=0",
        "if 0 >= x then exp(20 * x) - 1 else x",
    ] {
        let [_, slopes] = activation_testing::autodiff(text, &[-90.0, -1.0, 1.0, 90.0]);
        assert!(slopes.iter().all(|slope| slope.is_finite()), "{text}: {slopes:?}");
    }
}
