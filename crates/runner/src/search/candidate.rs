//! Which formulas are worth training: those that can be trained at all, and were not seen before.

use super::grammar::Rules;
use crate::arm::{Arm, ArmRequest};
use crate::guard::guarded;
use activation::{Activation, ActivationRequest, Kind, Parameters, Pointwise, Symbol, Tree};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;

/// Why a formula is not trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    /// The reader of formulas refuses it.
    Invalid,
    /// The same value for every input.
    Constant,
    /// A straight line, which adds nothing to a linear layer.
    Affine,
    /// An infinite value, or none, between −100 and 100, in single or double precision.
    NotFinite,
    /// The same of its slope.
    SlopeNotFinite,
    /// The value jumps, or has a pole.
    Jumps,
    /// The same function as one that was trained before, but perhaps for signs of input and output.
    Duplicate,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "not a valid formula",
            Self::Constant => "constant",
            Self::Affine => "affine in x",
            Self::NotFinite => "not finite between -100 and 100",
            Self::SlopeNotFinite => "slope not finite between -100 and 100",
            Self::Jumps => "jump or pole",
            Self::Duplicate => "equal to an earlier formula up to signs",
        })
    }
}

/// Inputs up to which a function must be finite.
const FAR: f64 = 100.0;

/// Inputs up to which it must not jump.
const NEAR: f64 = 16.0;

/// Distance of neighbouring inputs near 0: exact in single precision.
const STEP: f64 = 1.0 / 128.0;

/// Part of its range by which a function may differ from a straight line and still count as one.
const STRAIGHT: f64 = 1e-6;

/// Digits of the values that tell two functions apart: decimals of small values, significant ones of large values.
const DIGITS: i32 = 8;

/// Range of the values of a function that counts as constant.
const FLAT: f64 = 1e-6;

/// Values at fixed inputs to a few digits: those of two functions are equal where the functions are, however they are
/// written and rounded. (The fingerprint of an activation tells functions apart by the last bit.)
pub(super) type Values = Vec<String>;

/// The values of `f` with these signs of input and output.
fn signed(f: &dyn Pointwise, input: f64, output: f64) -> Values {
    let shown = |y: f64| match y.abs() < 1.0 {
        // What cancels near 0 is not known to more digits; and 0 and -0 are one.
        true => (y * 10f64.powi(DIGITS)).round() + 0.0,
        false => format!("{y:.7e}").parse().unwrap_or(y),
    };
    let near = (-32..=32).map(|i| f64::from(i) / 4.0 + 0.03);
    let inputs = near.chain([-60.0, -20.0, 20.0, 60.0]);
    inputs.map(|x| shown(output * f.eval(input * x).0).to_string()).collect()
}

/// The values of `f`.
fn values(f: &dyn Pointwise) -> Values {
    signed(f, 1.0, 1.0)
}

/// The values of `f` whatever its signs: f(x), -f(x), f(-x) and -f(-x) have the same. The layers before and behind an
/// activation have weights of either sign, so that a network learns the same with each.
fn unsigned(f: &dyn Pointwise) -> Values {
    let signs = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
    let all = signs.map(|[input, output]| signed(f, input, output));
    all.into_iter().min().unwrap_or_default()
}

/// A formula that can be trained.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    /// As it is written, simplified where that stays in the grammar.
    pub(super) tree: Tree,
    pub(super) text: String,
    pub(super) arm: Arm,
    /// Deterministic cost: [`Activation::cost`].
    pub(super) cost: u32,
    /// The registered activation that is the same function, perhaps with other signs.
    pub(super) same_as: Option<String>,
}

/// Decides which formulas are trained, and remembers those that were.
pub(super) struct Filter {
    rules: Rules,
    /// The functions that were proposed before, and why those that were not trained were not.
    seen: HashMap<Values, Option<Refusal>>,
    /// Registered activations with their defaults by their values whatever the signs, each with the values themselves.
    registered: HashMap<Values, Vec<(String, Values)>>,
}

/// The text formula called `name`.
pub(super) fn arm(name: &str, text: &str) -> Option<Arm> {
    let mut parameters = Parameters::new();
    parameters.insert("formula".to_owned(), text.into());
    let default = ActivationRequest { name: name.to_owned(), parameters };
    ArmRequest { default, sites: Vec::new() }.build().ok()
}

impl Filter {
    pub(super) fn new(rules: &Rules) -> Self {
        let mut registered: HashMap<Values, Vec<(String, Values)>> = HashMap::new();
        for entry in activation::all() {
            let request =
                ActivationRequest { name: entry.name.clone(), parameters: Parameters::new() };
            // A plugin that panics, and a card that is broken, are equal to no formula.
            let found = guarded(|| {
                let activation = activation::build(&request).ok()?;
                let plain = activation.learned().is_none() && is_gated(&activation) == rules.gated;
                let f = activation.nonlinearity();
                plain.then(|| (unsigned(f), values(f)))
            });
            if let Ok(Some((unsigned, values))) = found {
                registered.entry(unsigned).or_default().push((entry.name.clone(), values));
            }
        }
        Self { rules: rules.clone(), seen: HashMap::new(), registered }
    }

    /// The formula `tree` as an arm called `name`, if it can be trained and was not seen before.
    pub(super) fn accept(&mut self, tree: &Tree, name: &str) -> Result<Accepted, Refusal> {
        if !tree.symbols().contains(&Symbol::X) {
            return Err(Refusal::Constant);
        }
        let (mut tree, mut text) = (tree.clone(), self.rules.text(tree));
        let mut arm = self::arm(name, &text).ok_or(Refusal::Invalid)?;
        let own = values(arm.activations.main().nonlinearity());
        let unsigned = unsigned(arm.activations.main().nonlinearity());
        if let Some(before) = self.seen.get(&unsigned) {
            return Err(before.unwrap_or(Refusal::Duplicate));
        }
        if let Some(simple) = arm.activations.main().simplified()
            && simple != tree
            && self.rules.has(&simple)
            && simple.operations() <= tree.operations()
            && simple.symbols().contains(&Symbol::X)
        {
            let simple_text = self.rules.text(&simple);
            let other = self::arm(name, &simple_text);
            // What cancels is another function once it is rounded.
            if let Some(other) =
                other.filter(|other| values(other.activations.main().nonlinearity()) == own)
            {
                (tree, text, arm) = (simple, simple_text, other);
            }
        }
        let activation = arm.activations.main();
        let looked = look(activation.nonlinearity());
        let cost = activation.cost();
        let same = self.registered.get(&unsigned).map_or(&[][..], Vec::as_slice);
        let exact = same.iter().find(|(_, values)| *values == own).map(|(name, _)| name.clone());
        let other = same.first().map(|(name, _)| format!("{name} with other signs"));
        let same_as = exact.or(other);
        self.seen.insert(unsigned, looked.err());
        looked.map(|()| Accepted { tree, text, arm, cost, same_as })
    }

    /// Whether `accepted` and `arm` are one function, whatever the signs.
    pub(super) fn is_arm(accepted: &Accepted, arm: &Arm) -> bool {
        let [a, b] = [&accepted.arm, arm].map(|arm| arm.activations.main());
        let same = || {
            guarded(|| unsigned(a.nonlinearity()) == unsigned(b.nonlinearity())).unwrap_or(false)
        };
        arm.spec.sites.is_empty() && b.learned().is_none() && is_gated(a) == is_gated(b) && same()
    }
}

fn is_gated(activation: &Activation) -> bool {
    matches!(activation.kind(), Kind::Gated(_))
}

/// Refuses a function that cannot be trained.
fn look(f: &dyn Pointwise) -> Result<(), Refusal> {
    let near: Vec<f64> = inputs(NEAR, STEP);
    let far: Vec<f64> = inputs(FAR, 0.5);
    let points =
        |inputs: &[f64]| -> Vec<(f64, f64)> { inputs.iter().map(|x| f.eval(*x)).collect() };
    let (at_near, at_far) = (points(&near), points(&far));
    let all = || at_near.iter().chain(&at_far);
    let single = in_single_precision(f, &[&near[..], &far[..]].concat());
    if !(all().all(|(y, _)| y.is_finite()) && single.0) {
        return Err(Refusal::NotFinite);
    }
    let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (y, _)| {
        (low.min(*y), high.max(*y))
    });
    if high - low <= FLAT {
        return Err(Refusal::Constant);
    }
    let line = |inputs: &[f64], points: &[(f64, f64)]| {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return true };
        let slope = (last.0 - first.0) / (inputs[inputs.len() - 1] - inputs[0]);
        let off = |(x, (y, _)): (&f64, &(f64, f64))| (y - first.0 - slope * (x - inputs[0])).abs();
        let most = inputs.iter().zip(points).map(off).fold(0.0, f64::max);
        most <= STRAIGHT * (high - low)
    };
    if line(&far, &at_far) && line(&near, &at_near) {
        return Err(Refusal::Affine);
    }
    if !(all().all(|(_, slope)| slope.is_finite()) && single.1) {
        return Err(Refusal::SlopeNotFinite);
    }
    // Between neighbours a function goes as far as its slopes say, but for a kink.
    let jumps = |points: &[(f64, f64)]| {
        let [(y, slope), (next, next_slope)] = [points[0], points[1]];
        let expected = STEP * (slope + next_slope) / 2.0;
        (next - y - expected).abs() > 0.1 + 0.5 * y.abs().max(next.abs())
    };
    if at_near.windows(2).any(jumps) {
        return Err(Refusal::Jumps);
    }
    Ok(())
}

/// From −`end` to `end`.
fn inputs(end: f64, step: f64) -> Vec<f64> {
    let mut inputs = vec![-end];
    let mut x = -end;
    while x < end {
        x += step;
        inputs.push(x);
    }
    inputs
}

/// Whether values and slopes are finite as the CPU trains.
#[expect(clippy::cast_possible_truncation, reason = "inputs are exact in single precision")]
fn in_single_precision(f: &dyn Pointwise, inputs: &[f64]) -> (bool, bool) {
    let x: Vec<f32> = inputs.iter().map(|x| *x as f32).collect();
    let (mut y, mut slope) = (vec![0.0; x.len()], vec![1.0; x.len()]);
    f.forward_slice(&x, &mut y);
    f.backward_slice(&x, &mut slope);
    let finite = |numbers: &[f32]| numbers.iter().all(|one| one.is_finite());
    (finite(&y), finite(&slope))
}

#[cfg(test)]
mod tests {
    use super::super::grammar::Grammar;
    use super::*;

    fn filter() -> Filter {
        let functions = ["max", "exp", "tanh", "sigmoid", "ln", "if", "sqrt", "sin", "softplus"];
        let functions = functions.map(str::to_owned).to_vec();
        Filter::new(
            &Grammar { functions, max_operations: 20, depth: 10, ..Grammar::default() }
                .rules()
                .unwrap(),
        )
    }

    fn tree(text: &str) -> Tree {
        activation::build(&text.parse().unwrap()).unwrap().tree().unwrap()
    }

    #[test]
    fn what_cannot_be_trained_is_refused_with_a_reason() {
        for (text, reason) in [
            ("x - x", Refusal::Constant),
            ("exp(tanh(x) * 0)", Refusal::Constant),
            ("2 * x + 1", Refusal::Affine),
            ("max(x, 0) - max(-x, 0)", Refusal::Affine),
            ("max(x + 1000, 0)", Refusal::Affine),
            ("exp(x)", Refusal::NotFinite),
            ("ln(x)", Refusal::NotFinite),
            ("1 / x", Refusal::NotFinite),
            ("x / (1 + exp(x * x))", Refusal::SlopeNotFinite),
            ("x / (x - 0.3)", Refusal::Jumps),
            ("if x <= 0.1 then 0 else x + 1", Refusal::Jumps),
        ] {
            assert_eq!(filter().accept(&tree(text), "f").err(), Some(reason), "{text}");
        }
        for text in [
            "max(x, 0)",
            "x * sigmoid(x)",
            "x * x * x",
            "if x <= 0.1 then 0.1 else x",
            "sin(x)",
            "x + 0.01 * tanh(x)",
            "x * sigmoid(x * x)",
        ] {
            assert!(filter().accept(&tree(text), "f").is_ok(), "{text}");
        }
    }

    #[test]
    fn a_function_is_trained_once_however_it_is_written() {
        let mut filter = filter();
        let silu = filter.accept(&tree("1 * x * sigmoid(x) + 0"), "f").unwrap();
        assert_eq!((silu.text.as_str(), silu.same_as.as_deref()), ("x * sigmoid(x)", Some("silu")));
        for text in
            ["x / (1 + exp(-max(x, -40)))", "sigmoid(x) * x", "x * (0.5 + 0.5 * tanh(x / 2))"]
        {
            assert_eq!(filter.accept(&tree(text), "f").err(), Some(Refusal::Duplicate), "{text}");
        }
        // Neighbouring weights take over the signs.
        for text in ["-(x * sigmoid(x))", "x * sigmoid(-x)", "-x * sigmoid(-x)"] {
            assert_eq!(filter.accept(&tree(text), "f").err(), Some(Refusal::Duplicate), "{text}");
        }
        let other = filter.accept(&tree("-tanh(x)"), "f").unwrap();
        assert_eq!(other.same_as.as_deref(), Some("tanh with other signs"));
        let other = filter.accept(&tree("softplus(x)"), "f").unwrap();
        assert_eq!(other.same_as.as_deref(), Some("softplus"));
        let relu = activation::build(&"relu".parse().unwrap()).unwrap();
        let arm = "relu".parse::<ArmRequest>().unwrap().build().unwrap();
        let accepted = filter.accept(&relu.tree().unwrap(), "g").unwrap();
        assert!(Filter::is_arm(&accepted, &arm));
        assert!(accepted.cost < silu.cost);
    }
}
