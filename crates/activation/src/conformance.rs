//! What every activation must satisfy: run by the tests of this workspace and by
//! `actlab check`.

mod agreement;

use crate::{Activation, ActivationRequest, Gated, Kind, LearnedFormula, Pointwise, Values, build};
use agreement::{F32, are_same, is_same, of_numbers};
use burn::Tensor;
use burn::tensor::Device;

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked.
    pub name: &'static str,
    /// What is wrong, where something is.
    pub outcome: Result<(), String>,
}

type Test = fn(&Activation, &Device) -> Result<(), String>;

/// Every check, in the order in which they run.
const CHECKS: &[(&str, Test)] = &[
    ("name and aliases are valid and unique", names),
    ("declared parameters are the formula's, defaults in range", parameters),
    ("derivative agrees with finite differences (f64)", finite_differences),
    ("derivative by each number agrees with finite differences (f64)", by_numbers),
    ("learned numbers on tensors and CPU kernels agree with f64", learned),
    ("tensor values agree with f64", tensor_values),
    ("autodiff gradients agree with f64", gradients),
    ("dual derivatives on tensors agree with f64", dual_tensors),
    ("CPU kernels agree with f64, values and gradients", kernels),
    ("shapes of rank 1 to 4, transposed ones too", shapes),
    ("finite values and gradients from -1e4 to 1e4", large_inputs),
    ("limits at -inf and +inf are no NaN", limits),
    ("-0 and +0 give the same value", signed_zero),
    ("NaN in gives NaN out", not_a_number),
    ("survives saving and loading", save_and_load),
];

/// Runs every check of `activation` on `device` (without autodiff; the checks add it where needed).
#[must_use]
pub fn check(activation: &Activation, device: &Device) -> Vec<Check> {
    CHECKS.iter().map(|(name, test)| Check { name, outcome: test(activation, device) }).collect()
}

/// Where the formula is NaN, in words, if it is so at a point of the grid. One check says so; others compare NaN with NaN.
fn nan(activation: &Activation) -> Option<String> {
    let f = activation.nonlinearity();
    let place = grid().into_iter().find(|x| f.eval(*x).0.is_nan()).map(|x| x.to_string());
    let Kind::Gated(f) = activation.kind() else { return place };
    let is_nan = |(gate, value): &(f64, f64)| f.eval(*gate, *value).0.is_nan();
    place.or_else(|| pairs().into_iter().find(is_nan).map(|pair| format!("{pair:?}")))
}

/// From −10 to 10 in steps of 1/16: exact in f32, and kinks at whole numbers are hit.
fn grid() -> Vec<f64> {
    (-160..=160).map(|i| f64::from(i) / 16.0).collect()
}

/// Pairs that cover the square from −10 to 10.
fn pairs() -> Vec<(f64, f64)> {
    grid()
        .into_iter()
        .enumerate()
        .map(|(i, gate)| (gate, f64::from((i as i32 * 37) % 161 - 80) / 8.0))
        .collect()
}

fn tensor(values: impl IntoIterator<Item = f64>, device: &Device) -> Tensor<1> {
    #[expect(clippy::cast_possible_truncation, reason = "the grid is exact in f32")]
    let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
    Tensor::from_floats(values.as_slice(), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f64>, String> {
    let values: Vec<f32> = tensor
        .into_data()
        .convert::<f32>()
        .try_into_vec::<f32>()
        .map_err(|error| format!("cannot read the tensor: {error:?}"))?;
    Ok(values.into_iter().map(f64::from).collect())
}

/// Value and gradients of a pointwise activation over `xs`, by autodiff.
fn autodiff(
    f: &dyn Pointwise,
    xs: &[f64],
    device: &Device,
) -> Result<(Vec<f64>, Vec<f64>), String> {
    let x = tensor(xs.iter().copied(), &device.clone().autodiff()).require_grad();
    let y = f.forward(x.clone());
    let gradients = y.clone().sum().backward();
    let gradient = x.grad(&gradients).ok_or("no gradient reaches the input")?;
    Ok((numbers(y.inner())?, numbers(gradient)?))
}

/// Value and gradients of a gated activation over pairs, by autodiff.
fn autodiff_gated(
    f: &dyn Gated,
    pairs: &[(f64, f64)],
    device: &Device,
) -> Result<[Vec<f64>; 3], String> {
    let device = device.clone().autodiff();
    let gate = tensor(pairs.iter().map(|pair| pair.0), &device).require_grad();
    let value = tensor(pairs.iter().map(|pair| pair.1), &device).require_grad();
    let y = f.forward(gate.clone(), value.clone());
    let gradients = y.clone().sum().backward();
    let by_gate = gate.grad(&gradients).ok_or("no gradient reaches the gate")?;
    let by_value = value.grad(&gradients).ok_or("no gradient reaches the value")?;
    Ok([numbers(y.inner())?, numbers(by_gate)?, numbers(by_value)?])
}

fn names(activation: &Activation, _: &Device) -> Result<(), String> {
    let own = activation.registration();
    let variants = own.variants.iter().map(|(variant, _)| variant);
    for name in std::iter::once(&own.name).chain(&own.aliases).chain(variants) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(format!("`{name}` must have lower-case letters, digits and `_` only"));
        }
        for other in crate::all() {
            let same = std::ptr::eq(&raw const **other, own);
            let variant = || other.variants.iter().any(|(variant, _)| variant == name);
            if !same && (other.name == *name || other.aliases.contains(name) || variant()) {
                return Err(format!("`{name}` is a name of {} too", other.package));
            }
        }
    }
    for (variant, meaning) in &own.variants {
        let label = |text: &str| -> Result<String, String> {
            let request: ActivationRequest =
                text.parse().map_err(|error: crate::SyntaxError| error.to_string())?;
            Ok(build(&request).map_err(|error| error.to_string())?.label())
        };
        if label(variant)? != label(meaning)? {
            return Err(format!("`{variant}` is not `{meaning}`, but `{}`", label(variant)?));
        }
    }
    Ok(())
}

fn parameters(activation: &Activation, _: &Device) -> Result<(), String> {
    let registration = activation.registration();
    let defaults = registration.defaults();
    let choices = registration.parameters.iter().filter(|parameter| !parameter.domain.is_number());
    let declared: Vec<_> = choices.map(|parameter| parameter.name.to_string()).collect();
    let fields = registration.fields();
    if declared != fields {
        return Err(format!("PARAMETERS has the choices {declared:?}, the struct has {fields:?}"));
    }
    for parameter in &registration.parameters {
        let default = &defaults[parameter.name.as_ref()];
        if !parameter.domain.contains(default) {
            return Err(format!(
                "the default of `{}` is {default}, but must be {}",
                parameter.name, parameter.domain
            ));
        }
    }
    Ok(())
}

/// `derivative` must lie between the one-sided difference quotients, which at a smooth point are
/// nearly equal and at a kink enclose every sensible choice.
fn between_quotients(
    f: impl Fn(f64) -> f64,
    x: f64,
    derivative: f64,
    at: &[f64],
) -> Result<(), String> {
    let h = 1e-6 * x.abs().max(1.0);
    if [x - h, x, x + h].iter().any(|x| f(*x).is_nan()) {
        return Ok(());
    }
    let (left, right) = ((f(x) - f(x - h)) / h, (f(x + h) - f(x)) / h);
    if left.abs().max(right.abs()) * h > 1e-3 * (1.0 + f(x).abs()) {
        return Err(format!("the value jumps at {at:?}, and no derivative tells"));
    }
    let slack = 1e-5 * (1.0 + left.abs().max(right.abs()));
    if (left.min(right) - slack..=left.max(right) + slack).contains(&derivative) {
        return Ok(());
    }
    Err(format!(
        "derivative at {at:?} is {derivative}, difference quotients are {left} and {right}"
    ))
}

fn finite_differences(activation: &Activation, _: &Device) -> Result<(), String> {
    let f = activation.nonlinearity();
    for x in grid() {
        between_quotients(|x| f.eval(x).0, x, f.eval(x).1, &[x])?;
    }
    if let Kind::Gated(f) = activation.kind() {
        for (gate, value) in pairs() {
            let (_, by_gate, by_value) = f.eval(gate, value);
            between_quotients(|gate| f.eval(gate, value).0, gate, by_gate, &[gate, value])?;
            between_quotients(|value| f.eval(gate, value).0, value, by_value, &[gate, value])?;
        }
    }
    Ok(())
}

fn by_numbers(activation: &Activation, _: &Device) -> Result<(), String> {
    let (f, numbers) = (activation.with_numbers(), activation.numbers());
    for inputs in inputs(&f) {
        let (_, derivatives) = f.eval(&inputs, &numbers);
        for (place, number) in numbers.iter().enumerate() {
            let at = |value: f64| {
                let mut numbers = numbers.clone();
                numbers[place] = value;
                f.eval(&inputs, &numbers).0
            };
            let derivative = derivatives[inputs.len() + place];
            between_quotients(at, *number, derivative, &[&inputs[..], &numbers].concat())?;
        }
    }
    Ok(())
}

/// Points for all inputs of `f`.
fn inputs(f: &LearnedFormula) -> Vec<Vec<f64>> {
    match f.inputs() {
        1 => grid().into_iter().map(|x| vec![x]).collect(),
        _ => pairs().into_iter().map(|(gate, value)| vec![gate, value]).collect(),
    }
}

fn learned(activation: &Activation, device: &Device) -> Result<(), String> {
    let (f, numbers) = (activation.with_numbers(), activation.numbers());
    if numbers.is_empty() {
        return Ok(());
    }
    let points = inputs(&f);
    let column = |place: usize| points.iter().map(move |point| point[place]);
    let columns: Vec<Vec<f32>> = (0..f.inputs()).map(|place| singles(column(place))).collect();
    let columns: Vec<&[f32]> = columns.iter().map(Vec::as_slice).collect();
    // Once for all elements, and once for each.
    let ones = singles(numbers.iter().copied());
    let each: Vec<Vec<f32>> = ones.iter().map(|one| vec![*one; points.len()]).collect();
    let (ones, each): (Vec<Values<'_>>, Vec<Values<'_>>) = (
        ones.iter().map(|one| Values::One(*one)).collect(),
        each.iter().map(|each| Values::Each(each)).collect(),
    );
    let tensors: Vec<Tensor<1>> = (0..f.inputs()).map(|i| tensor(column(i), device)).collect();
    let full = |number: &f64| tensor(std::iter::repeat_n(*number, points.len()), device);
    let on_tensors =
        self::numbers(f.forward(&tensors, &numbers.iter().map(full).collect::<Vec<_>>()))?;
    let outputs = f.inputs() + f.numbers();
    for values in [ones, each] {
        let mut y = vec![0.0; points.len()];
        f.forward_slice(&columns, &values, &mut y);
        let mut derivatives = vec![vec![0.0; points.len()]; outputs];
        let mut slices: Vec<&mut [f32]> = derivatives.iter_mut().map(Vec::as_mut_slice).collect();
        f.derivative_slices(&columns, &values, &mut slices);
        for (i, point) in points.iter().enumerate() {
            let (expected, expected_derivatives) = f.eval(point, &numbers);
            F32.check("value", point, f64::from(y[i]), expected)?;
            F32.check("value on tensors", point, on_tensors[i], expected)?;
            for (by, derivative) in expected_derivatives.into_iter().enumerate() {
                let tolerance = if by < f.inputs() { F32 } else { of_numbers(point) };
                let what = format!("derivative {by}");
                let found = f64::from(derivatives[by][i]);
                tolerance.check_slope(&what, point, found, [expected, derivative])?;
            }
        }
    }
    Ok(())
}

fn tensor_values(activation: &Activation, device: &Device) -> Result<(), String> {
    let f = activation.nonlinearity();
    let xs = grid();
    let ys = numbers(f.forward(tensor(xs.iter().copied(), device)))?;
    for (x, y) in xs.iter().zip(ys) {
        F32.check("value", &[*x], y, f.eval(*x).0)?;
    }
    if let Kind::Gated(f) = activation.kind() {
        let pairs = pairs();
        let gate = tensor(pairs.iter().map(|pair| pair.0), device);
        let value = tensor(pairs.iter().map(|pair| pair.1), device);
        for ((gate, value), y) in pairs.iter().zip(numbers(f.forward(gate, value))?) {
            F32.check("value", &[*gate, *value], y, f.eval(*gate, *value).0)?;
        }
    }
    Ok(())
}

fn gradients(activation: &Activation, device: &Device) -> Result<(), String> {
    let f = activation.nonlinearity();
    let xs = grid();
    let (_, gradients) = autodiff(f, &xs, device)?;
    for (x, gradient) in xs.iter().zip(gradients) {
        let (y, slope) = f.eval(*x);
        F32.check_slope("gradient", &[*x], gradient, [y, slope])?;
    }
    if let Kind::Gated(f) = activation.kind() {
        let pairs = pairs();
        let [_, by_gate, by_value] = autodiff_gated(f, &pairs, device)?;
        for (i, (gate, value)) in pairs.iter().enumerate() {
            let (at, expected) = ([*gate, *value], f.eval(*gate, *value));
            F32.check_slope("gradient by the gate", &at, by_gate[i], [expected.0, expected.1])?;
            F32.check_slope("gradient by the value", &at, by_value[i], [expected.0, expected.2])?;
        }
    }
    Ok(())
}

fn dual_tensors(activation: &Activation, device: &Device) -> Result<(), String> {
    let f = activation.nonlinearity();
    let xs = grid();
    let slopes = numbers(f.derivative(tensor(xs.iter().copied(), device)))?;
    for (x, slope) in xs.iter().zip(slopes) {
        let (y, expected) = f.eval(*x);
        F32.check_slope("derivative", &[*x], slope, [y, expected])?;
    }
    if let Kind::Gated(f) = activation.kind() {
        let pairs = pairs();
        let gate = tensor(pairs.iter().map(|pair| pair.0), device);
        let value = tensor(pairs.iter().map(|pair| pair.1), device);
        let (by_gate, by_value) = f.derivatives_flat(gate, value);
        let (by_gate, by_value) = (numbers(by_gate)?, numbers(by_value)?);
        for (i, (gate, value)) in pairs.iter().enumerate() {
            let (at, expected) = ([*gate, *value], f.eval(*gate, *value));
            F32.check_slope("derivative by the gate", &at, by_gate[i], [expected.0, expected.1])?;
            F32.check_slope("derivative by the value", &at, by_value[i], [expected.0, expected.2])?;
        }
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "the points are exact in f32, or large")]
fn singles(numbers: impl IntoIterator<Item = f64>) -> Vec<f32> {
    numbers.into_iter().map(|x| x as f32).collect()
}

fn doubles(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().map(|x| f64::from(*x)).collect()
}

/// Values and slopes over SIMD registers.
fn kernel(f: &dyn Pointwise, xs: &[f64]) -> [Vec<f64>; 2] {
    let x = singles(xs.iter().copied());
    let (mut y, mut slopes) = (vec![0.0; x.len()], vec![1.0; x.len()]);
    f.forward_slice(&x, &mut y);
    f.backward_slice(&x, &mut slopes);
    [doubles(&y), doubles(&slopes)]
}

/// Values and slopes by gate and value over SIMD registers.
fn gated_kernel(f: &dyn Gated, pairs: &[(f64, f64)]) -> [Vec<f64>; 3] {
    let mut gate = singles(pairs.iter().map(|pair| pair.0));
    let mut value = singles(pairs.iter().map(|pair| pair.1));
    let mut y = vec![0.0; pairs.len()];
    f.forward_slice(&gate, &value, &mut y);
    f.backward_slice(&mut gate, &mut value, &vec![1.0; pairs.len()]);
    [doubles(&y), doubles(&gate), doubles(&value)]
}

fn kernels(activation: &Activation, _: &Device) -> Result<(), String> {
    let f = activation.nonlinearity();
    // Of every length up to a few registers: the last ones are not full.
    for xs in (0..=40).map(|n| grid()[..n].to_vec()).chain([grid()]) {
        let [ys, slopes] = kernel(f, &xs);
        for (i, x) in xs.iter().enumerate() {
            let (y, slope) = f.eval(*x);
            F32.check("value", &[*x], ys[i], y)?;
            F32.check_slope("gradient", &[*x], slopes[i], [y, slope])?;
        }
    }
    if let Kind::Gated(f) = activation.kind() {
        let pairs = pairs();
        for pairs in [&pairs[..], &pairs[..7]] {
            let [ys, by_gate, by_value] = gated_kernel(f, pairs);
            for (i, (gate, value)) in pairs.iter().enumerate() {
                let (y, dy_dgate, dy_dvalue) = f.eval(*gate, *value);
                let at = [*gate, *value];
                F32.check("value", &at, ys[i], y)?;
                F32.check_slope("gradient by the gate", &at, by_gate[i], [y, dy_dgate])?;
                F32.check_slope("gradient by the value", &at, by_value[i], [y, dy_dvalue])?;
            }
        }
    }
    Ok(())
}

fn shapes(activation: &Activation, device: &Device) -> Result<(), String> {
    const LENGTH: usize = 240;
    let f = activation.nonlinearity();
    let x = tensor(grid().into_iter().take(LENGTH), device);
    let flat = numbers(f.forward(x.clone()))?;

    fn same<const D: usize>(
        f: &dyn Pointwise,
        x: &Tensor<1>,
        shape: [usize; D],
        flat: &[f64],
    ) -> Result<(), String> {
        let y = f.forward(x.clone().reshape(shape));
        if y.dims() != shape {
            return Err(format!("shape {shape:?} became {:?}", y.dims()));
        }
        if !are_same(&numbers(y)?, flat) {
            return Err(format!("values in shape {shape:?} differ from the flat ones"));
        }
        Ok(())
    }
    same(f, &x, [LENGTH], &flat)?;
    same(f, &x, [8, 30], &flat)?;
    same(f, &x, [4, 5, 12], &flat)?;
    same(f, &x, [2, 3, 5, 8], &flat)?;

    let square = x.clone().reshape([8, 30]);
    let transposed = numbers(f.forward(square.clone().transpose()).transpose())?;
    if !are_same(&transposed, &flat) {
        return Err("values of a transposed tensor differ from the flat ones".into());
    }
    if let Kind::Gated(f) = activation.kind() {
        let flat = numbers(f.forward(x.clone(), x.clone() + 0.5))?;
        let y = f.forward(square.clone().transpose(), square.transpose() + 0.5);
        if y.dims() != [30, 8] || !are_same(&numbers(y.transpose())?, &flat) {
            return Err("gate and value of a transposed shape differ from the flat ones".into());
        }
    }
    Ok(())
}

fn large_inputs(activation: &Activation, device: &Device) -> Result<(), String> {
    if let Some(place) = nan(activation) {
        return Err(format!("the formula is NaN at {place}"));
    }
    let magnitudes =
        (-8..=8).map(|e| libm::pow(10.0, f64::from(e) / 2.0)).chain([1e4, 88.0, 89.0, 104.0]);
    let xs: Vec<f64> = magnitudes.flat_map(|x| [x, -x]).collect();
    let finite = |what: &str, at: &[f64], numbers: &[f64]| {
        if numbers.iter().all(|number| number.is_finite()) {
            return Ok(());
        }
        Err(format!("{what} at {at:?}: {numbers:?}"))
    };
    let f = activation.nonlinearity();
    let (ys, gradients) = autodiff(f, &xs, device)?;
    let slopes = numbers(f.derivative(tensor(xs.iter().copied(), device)))?;
    let [kernel_ys, kernel_slopes] = kernel(f, &xs);
    for (i, x) in xs.iter().enumerate() {
        let (y, slope) = f.eval(*x);
        finite("f64 value and derivative", &[*x], &[y, slope])?;
        finite("kernel value and gradient", &[*x], &[kernel_ys[i], kernel_slopes[i]])?;
        finite("tensor value, gradient, derivative", &[*x], &[ys[i], gradients[i], slopes[i]])?;
    }
    if let Kind::Gated(f) = activation.kind() {
        let pairs: Vec<_> =
            xs.iter().flat_map(|gate| xs.iter().map(|value| (*gate, *value))).collect();
        let [ys, by_gate, by_value] = autodiff_gated(f, &pairs, device)?;
        let kernel = gated_kernel(f, &pairs);
        for (i, (gate, value)) in pairs.iter().enumerate() {
            let (y, dy_dgate, dy_dvalue) = f.eval(*gate, *value);
            let kernel = kernel.each_ref().map(|numbers| numbers[i]);
            finite("kernel value and gradients", &[*gate, *value], &kernel)?;
            finite("f64 value and derivatives", &[*gate, *value], &[y, dy_dgate, dy_dvalue])?;
            let tensors = [ys[i], by_gate[i], by_value[i]];
            finite("tensor value and gradients", &[*gate, *value], &tensors)?;
        }
    }
    Ok(())
}

/// Value and slope at ±∞ are no NaN, and are what those far out lead to; a sine has no limit.
fn limits(activation: &Activation, _: &Device) -> Result<(), String> {
    const FAR: f64 = 1e30;
    if activation.is_periodic() {
        return Ok(());
    }
    let f = activation.nonlinearity();
    let agrees = |limit: f64, far: f64| {
        limit.is_infinite() && far.abs() > 1e3 && limit.signum() == far.signum()
            || (limit - far).abs() <= 1e-3 * (1.0 + limit.abs())
    };
    let [ys, slopes] = kernel(f, &[f64::NEG_INFINITY, f64::INFINITY]);
    for (i, sign) in [-1.0, 1.0].into_iter().enumerate() {
        let x = sign * f64::INFINITY;
        let (far, (y, slope)) = (f.eval(sign * FAR), f.eval(x));
        for (what, limit, far) in [
            ("the value", y, far.0),
            ("the slope", slope, far.1),
            ("a kernel's value", ys[i], far.0),
            ("a kernel's slope", slopes[i], far.1),
        ] {
            if limit.is_nan() && far.is_nan() && nan(activation).is_some() {
                continue;
            }
            if limit.is_nan() {
                return Err(format!("{what} at {x} is NaN"));
            }
            if !agrees(limit, far) {
                return Err(format!(
                    "{what} at {x} is {limit}, but at {:e} it is {far}",
                    sign * FAR
                ));
            }
        }
    }
    Ok(())
}

fn signed_zero(activation: &Activation, device: &Device) -> Result<(), String> {
    let f = activation.nonlinearity();
    if !is_same(f.eval(0.0).0, f.eval(-0.0).0) {
        return Err(format!("f(+0) = {}, f(-0) = {}", f.eval(0.0).0, f.eval(-0.0).0));
    }
    let ys = numbers(f.forward(tensor([0.0, -0.0], device)))?;
    if !is_same(ys[0], ys[1]) {
        return Err(format!("on tensors f(+0) = {}, f(-0) = {}", ys[0], ys[1]));
    }
    let [ys, _] = kernel(f, &[0.0, -0.0]);
    if !is_same(ys[0], ys[1]) {
        return Err(format!("in kernels f(+0) = {}, f(-0) = {}", ys[0], ys[1]));
    }
    Ok(())
}

fn not_a_number(activation: &Activation, device: &Device) -> Result<(), String> {
    let f = activation.nonlinearity();
    if !f.eval(f64::NAN).0.is_nan() {
        return Err(format!("f(NaN) = {}", f.eval(f64::NAN).0));
    }
    let is_wrong = |ys: &[f64]| ys[0].is_nan() != f.eval(1.0).0.is_nan() || !ys[1].is_nan();
    let ys = numbers(f.forward(tensor([1.0, f64::NAN], device)))?;
    if is_wrong(&ys) {
        return Err(format!("f of the tensor [1, NaN] = {ys:?}"));
    }
    let [ys, _] = kernel(f, &[1.0, f64::NAN]);
    if is_wrong(&ys) {
        return Err(format!("f of [1, NaN] in a kernel = {ys:?}"));
    }
    if let Kind::Gated(f) = activation.kind() {
        for (gate, value) in [(f64::NAN, 1.0), (1.0, f64::NAN)] {
            let y = numbers(f.forward(tensor([gate], device), tensor([value], device)))?;
            let [kernel, ..] = gated_kernel(f, &[(gate, value)]);
            if !f.eval(gate, value).0.is_nan() || !y[0].is_nan() || !kernel[0].is_nan() {
                return Err(format!("({gate}, {value}) does not give NaN"));
            }
        }
    }
    Ok(())
}

fn save_and_load(activation: &Activation, _: &Device) -> Result<(), String> {
    let saved =
        serde_json::to_string(activation.parameters()).map_err(|error| error.to_string())?;
    let parameters = serde_json::from_str(&saved).map_err(|error| error.to_string())?;
    let name = activation.registration().name.clone();
    let by_parameters = build(&ActivationRequest { name, parameters });
    let label = activation.label();
    // A formula with a name of its own is called by that alone.
    let named =
        activation.registration().is_of_experiment() && !label.contains(char::is_whitespace);
    let by_label = label.parse().map_err(|error: crate::SyntaxError| error.to_string());
    let by_label = if named { None } else { Some(build(&by_label?)) };
    for loaded in [Some(by_parameters), by_label].into_iter().flatten() {
        let loaded = loaded.map_err(|error| error.to_string())?;
        if loaded.label() != label {
            return Err(format!("`{label}` came back as `{}`", loaded.label()));
        }
        for x in grid() {
            let (before, after) =
                (activation.nonlinearity().eval(x), loaded.nonlinearity().eval(x));
            if !is_same(before.0, after.0) || !is_same(before.1, after.1) {
                return Err(format!("f({x}) was {before:?} and came back as {after:?}"));
            }
        }
    }
    Ok(())
}
