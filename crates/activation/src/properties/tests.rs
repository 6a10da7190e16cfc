//! What is said of formulas, against what is known of them.

use super::{Features, Monotone, Pole, Properties};

fn properties(text: &str) -> Properties {
    Properties::of(&crate::build(&text.parse().unwrap()).unwrap())
}

fn features(text: &str) -> Features {
    properties(text).features
}

/// Values and whether each is attained.
fn range(features: &Features) -> [(f64, bool); 2] {
    [features.infimum, features.supremum].map(|bound| (bound.value, bound.at.is_some()))
}

fn close(found: &[f64], right: &[f64], text: &str) {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * (1.0 + b.abs()) || a == b;
    let same = found.len() == right.len() && found.iter().zip(right).all(near);
    assert!(same, "{text}: {found:?}, not {right:?}");
}

const ENDLESS: (f64, bool) = (f64::INFINITY, false);
const BELOW: (f64, bool) = (f64::NEG_INFINITY, false);

#[test]
fn what_lies_far_from_zero_is_found() {
    for (text, right, monotone, kinks, zeros) in [
        (
            "min(relu(x), 100)",
            [(0.0, true), (100.0, true)],
            Monotone::NonDecreasing,
            &[0.0, 100.0][..],
            &[][..],
        ),
        (
            "clamp(x, -50, 50)",
            [(-50.0, true), (50.0, true)],
            Monotone::NonDecreasing,
            &[-50.0, 50.0],
            &[0.0],
        ),
        ("x - 50", [BELOW, ENDLESS], Monotone::Increasing, &[], &[50.0]),
        ("min(x, 25)", [BELOW, (25.0, true)], Monotone::NonDecreasing, &[25.0], &[0.0]),
        (
            "clamp(x + 30, 0, 6)",
            [(0.0, true), (6.0, true)],
            Monotone::NonDecreasing,
            &[-30.0, -24.0],
            &[],
        ),
        (
            "0.01 * square(relu(x)) - 10",
            [(-10.0, true), ENDLESS],
            Monotone::NonDecreasing,
            &[],
            &[1000.0_f64.sqrt()],
        ),
        (
            "min(x, 50) * sigmoid(min(x, 50))",
            [(-0.278_464_542_761_073_8, true), (50.0, true)],
            Monotone::No,
            &[50.0],
            &[0.0],
        ),
        (
            "if x <= 300 then 0 else x - 300",
            [(0.0, true), ENDLESS],
            Monotone::NonDecreasing,
            &[300.0],
            &[],
        ),
    ] {
        let text = text.replace("relu(x)", "max(x, 0)");
        let found = features(&text);
        for (a, b) in range(&found).into_iter().zip(right) {
            assert!(
                (a.0 == b.0 || (a.0 - b.0).abs() < 1e-9) && a.1 == b.1,
                "{text}: {:?}",
                range(&found)
            );
        }
        assert_eq!(found.monotone, monotone, "{text}");
        close(&found.kinks.iter().map(|kink| kink.at).collect::<Vec<_>>(), kinks, &text);
        close(&found.zeros, zeros, &text);
    }
    assert_eq!(features("if x <= 300 then 0 else x - 300").dead.len(), 1);
    // A least value that is a limit too is reached where the slope is 0.
    let both = features("x * tanh(x * sigmoid(2 * x))");
    assert_eq!(range(&both), [(0.0, true), ENDLESS]);
    // Nothing is said of what oscillates far away.
    assert!(features("x + sin(x)^2").saturated.is_empty());
    // Where a slope is lost in rounding, nothing is flat.
    for text in ["tanh(50 * x)", "sigmoid(x)", "x * tanh(softplus(x)) + x", "x * (1 + erf(x))"] {
        let found = features(text);
        assert!(found.kinks.is_empty(), "{text}: {:?}", found.kinks);
        assert!(found.zeros.len() <= 1, "{text}: {:?}", found.zeros);
    }
    assert_eq!(features("tanh(50 * x)").monotone, Monotone::Increasing);
}

/// x (a x + ½) turns at −1/(4 a), where it is −1/(16 a), and is 0 at 0 and −1/(2 a).
#[test]
fn what_rises_again_far_away_is_no_endless_fall() {
    let a = libm::log1p(libm::exp(-10.0));
    let found =
        features("if x <= 0 then x * (softplus(-10) * x + 0.5) else x * (softplus(0.8) * x + 0.5)");
    assert!((found.infimum.value + 1.0 / (16.0 * a)).abs() < 1e-6, "{:?}", found.infimum);
    assert_eq!(range(&found)[1], ENDLESS);
    let turn = found.turns[..].first().copied().unwrap();
    assert!((turn + 1.0 / (4.0 * a)).abs() < 1e-3, "{turn}");
    close(&found.zeros, &[-1.0 / (2.0 * a), 0.0], "xiprelu");
    assert_eq!(found.limits, [Some(f64::INFINITY); 2]);
    assert_eq!(found.monotone, Monotone::No);
    assert_eq!(found.lipschitz, f64::INFINITY);
    // Steep far away, and bounded.
    assert_eq!(features("max(x, 100 * (x - 5000))").lipschitz, 100.0);
}

#[test]
fn poles_are_no_zeros() {
    let pole = |at: f64, below: f64, above: f64| Pole { at, below, above };
    const UP: f64 = f64::INFINITY;
    for (text, poles, zeros, right) in [
        ("1 / x", &[pole(0.0, -UP, UP)][..], &[][..], [BELOW, ENDLESS]),
        ("1 / (1 - x)", &[pole(1.0, UP, -UP)], &[], [BELOW, ENDLESS]),
        ("x / (x - 2)", &[pole(2.0, -UP, UP)], &[0.0], [BELOW, ENDLESS]),
        ("1 / x^2", &[pole(0.0, UP, UP)], &[], [(0.0, false), ENDLESS]),
        ("1 / (x - 0.3)^2", &[pole(0.3, UP, UP)], &[], [(0.0, false), ENDLESS]),
        ("1 / (1 - 3 * x)", &[pole(1.0 / 3.0, UP, -UP)], &[], [BELOW, ENDLESS]),
        ("ln(abs(x))", &[pole(0.0, -UP, -UP)], &[-1.0, 1.0], [BELOW, ENDLESS]),
        ("1 / (x - 70)", &[pole(70.0, -UP, UP)], &[], [BELOW, ENDLESS]),
    ] {
        let found = features(text);
        assert_eq!(found.poles.len(), poles.len(), "{text}: {:?}", found.poles);
        for (a, b) in found.poles.iter().zip(poles) {
            assert!(
                (a.at - b.at).abs() < 1e-9 && (a.below, a.above) == (b.below, b.above),
                "{text}: {a:?}"
            );
        }
        close(&found.zeros, zeros, text);
        assert_eq!(range(&found), right, "{text}");
        assert_eq!(found.monotone, Monotone::No, "{text}");
        assert!(found.turns.is_empty() && found.kinks.is_empty(), "{text}: {found:?}");
        assert_eq!(found.lipschitz, f64::INFINITY, "{text}");
    }
    // From one side alone.
    let logarithm = features("ln(x)");
    assert!(
        matches!(logarithm.poles[..], [Pole { at: 0.0, below, above }] if below.is_nan() && above == -UP)
    );
    assert_eq!(logarithm.zeros, [1.0]);
    // What overflows has no pole.
    for text in ["exp(x)", "exp(x^2)", "x^2", "x * exp(x)", "1 / (1 + exp(-x))", "sqrt(abs(x))"] {
        assert!(features(text).poles.is_empty(), "{text}: {:?}", features(text).poles);
    }
}

#[test]
fn jumps_are_no_zeros() {
    let found = features("atan(1 / x)");
    assert!(found.zeros.is_empty() && found.poles.is_empty(), "{found:?}");
    let [jump] = found.kinks[..] else { panic!("{:?}", found.kinks) };
    assert!(jump.at == 0.0 && (jump.jump - std::f64::consts::PI).abs() < 1e-9, "{jump:?}");
    assert_eq!(found.monotone, Monotone::No);
    let sign = features("if x < 0 then -1 else 1 + 0 * x");
    assert!(sign.zeros.is_empty(), "{:?}", sign.zeros);
    assert_eq!((sign.kinks[0].at, sign.kinks[0].jump), (0.0, 2.0));
    assert_eq!(features("if x < 0 then -1 else x").zeros, [0.0]);
    assert!(features("if x <= 0 then -1 else x").zeros.is_empty());
}

#[test]
fn a_bound_beside_a_jump_is_approached() {
    let found = features("if x > 0 then x else 1");
    assert_eq!(range(&found), [(0.0, false), ENDLESS]);
    let found = features("if x >= 0 then x + 2 else 1 - x");
    assert_eq!(range(&found), [(1.0, false), ENDLESS]);
    let found = features("if x >= 0 then x else 1 - x");
    assert_eq!(range(&found), [(0.0, true), ENDLESS]);
    let found = features("if x < 3 then tanh(x) else 5 - x");
    assert_eq!(range(&found), [BELOW, (2.0, true)]);
}

/// What is NaN at infinity by ∞/∞ has the limit of its values far away.
#[test]
fn limits_are_those_of_values_far_away() {
    let found = features("x / (x - 2)").limits.map(Option::unwrap);
    close(&found, &[1.0, 1.0], "x / (x - 2)");
    assert_eq!(features("ln(x)").limits, [None, Some(f64::INFINITY)]);
    let step = features("if x < 0 then -1 else 1 + 0 * x");
    assert_eq!(range(&step), [(-1.0, true), (1.0, true)]);
    // Beside 0 it overflows, and beside that it is 0.
    let essential = features("exp(1 / x)");
    assert_eq!(range(&essential)[1], ENDLESS);
    assert!(essential.zeros.is_empty(), "{:?}", essential.zeros);
    // The quotient is known to few digits near 0.
    assert!(features("(exp(x) - 1) / x").kinks.is_empty());
}

#[test]
fn slopes_without_bound_are_infinite() {
    let root = properties("sqrt(abs(x))");
    assert_eq!((root.moments.slope, root.features.lipschitz), (f64::INFINITY, f64::INFINITY));
    // E[|z|] = √(2/π).
    assert!((root.moments.second - (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-9);
    let [kink] = root.features.kinks[..] else { panic!("{:?}", root.features.kinks) };
    assert_eq!((kink.below, kink.above, kink.jump), (f64::NEG_INFINITY, f64::INFINITY, 0.0));
    let half = properties("sqrt(max(x, 0))");
    assert_eq!((half.moments.slope, half.features.lipschitz), (f64::INFINITY, f64::INFINITY));
    let [kink] = half.features.kinks[..] else { panic!("{:?}", half.features.kinks) };
    assert_eq!((kink.below, kink.above, kink.jump), (0.0, f64::INFINITY, 0.0));
    let logarithm = properties("ln(abs(x))");
    assert_eq!(
        (logarithm.moments.slope, logarithm.features.lipschitz),
        (f64::INFINITY, f64::INFINITY)
    );
    // E[ln|z|] = −(γ + ln 2)/2, E[ln²|z|] = π²/8 + that squared.
    let mean = -0.5 * (0.577_215_664_901_532_9 + std::f64::consts::LN_2);
    assert!((logarithm.moments.mean - mean).abs() < 1e-4, "{}", logarithm.moments.mean);
    let pole = properties("1 / x").moments;
    assert!(
        pole.mean.is_nan() && pole.second == f64::INFINITY && pole.slope == f64::INFINITY,
        "{pole:?}"
    );
    assert_eq!(properties("ln(x)").moments.slope, f64::INFINITY);
    // Unbounded, with a square that has an integral: (|x|^0.8)′.
    let power = properties("exp(0.8 * ln(abs(x)))");
    assert_eq!(power.features.lipschitz, f64::INFINITY);
    assert!(power.moments.slope.is_finite());
    // Bounded slopes stay so.
    for (text, right) in [("abs(x)", 1.0), ("sqrt(x^2 + 1)", 1.0), ("x / (1 + abs(x))", 1.0)] {
        assert!((features(text).lipschitz - right).abs() < 1e-6, "{text}");
    }
}
