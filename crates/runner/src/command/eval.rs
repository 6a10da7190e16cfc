use crate::Error;
use crate::cli::{EvalArgs, EvalPath};
use crate::console::{self, out, outln};
use activation::{Activation, ActivationRequest, Kind};
use actlab_kernels as kernels;
use burn::Tensor;
use burn::tensor::Device;
use serde_json::{Value, json};
use std::sync::Arc;

/// Columns with their names: inputs, value, derivatives.
struct Columns {
    names: Vec<String>,
    rows: Vec<Vec<f64>>,
}

/// Points where none are given.
const POINTS: [&str; 9] = ["-3", "-2", "-1", "-0.5", "0", "0.5", "1", "2", "3"];

/// Gates and values where none are given.
const PAIRS: [&str; 7] = ["-2,1", "-1,1", "-0.5,1", "0,1", "0.5,1", "1,1", "2,1"];

pub(crate) fn run(args: &EvalArgs) -> Result<(), Error> {
    let activation = activation::build(&args.activation.parse::<ActivationRequest>()?)?;
    let points = |default: &[&str]| -> Vec<String> {
        if args.points.is_empty() {
            return default.iter().map(|point| (*point).to_owned()).collect();
        }
        args.points.clone()
    };
    let columns = match activation.kind() {
        Kind::Pointwise(_) => pointwise(&activation, &points(&POINTS), args)?,
        Kind::Gated(_) => gated(&activation, &points(&PAIRS), args)?,
    };
    if args.json {
        let rows: Vec<Value> = columns
            .rows
            .iter()
            .map(|row| {
                let pairs = columns.names.iter().zip(row);
                Value::Object(pairs.map(|(name, x)| (name.clone(), number(*x))).collect())
            })
            .collect();
        outln!("{}", Value::Array(rows));
    } else {
        let rows: Vec<Vec<String>> = columns
            .rows
            .iter()
            .map(|row| row.iter().map(|x| display(*x, args.path())).collect())
            .collect();
        let names: Vec<&str> = columns.names.iter().map(String::as_str).collect();
        out!("{}", console::table(&names, &rows));
    }
    Ok(())
}

/// JSON has no NaN and no infinity: they are text.
fn number(x: f64) -> Value {
    if x.is_finite() { json!(x) } else { json!(x.to_string()) }
}

/// Sizes that are printed without an exponent.
const PLAIN: std::ops::Range<f64> = 1e-5..1e6;

/// As many digits as the type holds; a single-precision result is not padded with doubtful ones.
fn display(x: f64, path: EvalPath) -> String {
    let plain = x == 0.0 || !x.is_finite() || PLAIN.contains(&x.abs());
    #[expect(clippy::cast_possible_truncation, reason = "the value came from f32")]
    let text = match (path == EvalPath::F64, plain) {
        (true, true) => x.to_string(),
        (true, false) => format!("{x:e}"),
        (false, true) => (x as f32).to_string(),
        (false, false) => format!("{:e}", x as f32),
    };
    if x >= 0.0 { format!(" {text}") } else { text }
}

fn parse(text: &str) -> Result<f64, Error> {
    text.trim().parse().map_err(|_| Error::Usage(format!("point `{text}` is not a number")))
}

fn pointwise(
    activation: &Arc<Activation>,
    points: &[String],
    args: &EvalArgs,
) -> Result<Columns, Error> {
    let f = activation.nonlinearity();
    let xs = points
        .iter()
        .map(|point| {
            if point.contains(',') {
                let label = activation.label();
                return Err(Error::Usage(format!(
                    "point `{point}`: `{label}` takes one number a point, not a pair"
                )));
            }
            parse(point)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let exact = args.path() == EvalPath::F64;
    let by_numbers = by_numbers(activation);
    let rows = if exact {
        xs.iter()
            .map(|x| {
                let (y, dy_dx) = f.eval(*x);
                [vec![*x, y, dy_dx], by_numbers(&[*x])].concat()
            })
            .collect()
    } else {
        let x = tensor(&xs);
        let y = match args.path() {
            EvalPath::Tensor => f.forward(x.clone()),
            EvalPath::Kernel | EvalPath::F64 => {
                kernels::with_initial_numbers(activation, 1, x.clone())
            }
        };
        let gradients = y.clone().sum().backward();
        rows(vec![xs, numbers(y.inner()), gradient(&x, &gradients)])
    };
    Ok(Columns { names: names(activation, &["x", "y", "dy_dx"], exact), rows })
}

fn gated(
    activation: &Arc<Activation>,
    points: &[String],
    args: &EvalArgs,
) -> Result<Columns, Error> {
    let Kind::Gated(f) = activation.kind() else {
        return Ok(Columns { names: Vec::new(), rows: Vec::new() });
    };
    let pairs = points
        .iter()
        .map(|point| {
            let (gate, value) = point.split_once(',').ok_or_else(|| {
                let label = activation.label();
                Error::Usage(format!(
                    "point `{point}`: `{label}` takes gate,value pairs, as in 1,2"
                ))
            })?;
            Ok((parse(gate)?, parse(value)?))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    let (gates, values): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let exact = args.path() == EvalPath::F64;
    let by_numbers = by_numbers(activation);
    let rows = if exact {
        gates
            .iter()
            .zip(&values)
            .map(|(gate, value)| {
                let (y, dy_dgate, dy_dvalue) = f.eval(*gate, *value);
                let own = vec![*gate, *value, y, dy_dgate, dy_dvalue];
                [own, by_numbers(&[*gate, *value])].concat()
            })
            .collect()
    } else {
        let (gate, value) = (tensor(&gates), tensor(&values));
        let y = match args.path() {
            EvalPath::Tensor => f.forward(gate.clone(), value.clone()),
            EvalPath::Kernel | EvalPath::F64 => {
                let pairs = Tensor::stack::<2>(vec![gate.clone(), value.clone()], 1);
                kernels::with_initial_numbers(activation, 2, pairs).flatten::<1>(0, 1)
            }
        };
        let gradients = y.clone().sum().backward();
        let (by_gate, by_value) = (gradient(&gate, &gradients), gradient(&value, &gradients));
        rows(vec![gates, values, numbers(y.inner()), by_gate, by_value])
    };
    let own = ["gate", "value", "y", "dy_dgate", "dy_dvalue"];
    Ok(Columns { names: names(activation, &own, exact), rows })
}

/// Names of columns: `own`, and on the reference's path one for the derivative by each number of the formula.
fn names(activation: &Activation, own: &[&str], exact: bool) -> Vec<String> {
    let numbers = activation.registration().numbers().filter(|_| exact);
    let by_numbers = numbers.map(|number| format!("dy_d{}", number.name));
    own.iter().map(|name| (*name).to_owned()).chain(by_numbers).collect()
}

/// What gives the derivatives by the numbers of the formula at some inputs.
fn by_numbers(activation: &Activation) -> impl Fn(&[f64]) -> Vec<f64> {
    let (formula, numbers) = (activation.with_numbers(), activation.numbers());
    move |inputs| formula.eval(inputs, &numbers).1.split_off(inputs.len())
}

fn rows(columns: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    (0..columns[0].len()).map(|i| columns.iter().map(|column| column[i]).collect()).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the tensor path is single precision")]
fn tensor(values: &[f64]) -> Tensor<1> {
    let values: Vec<f32> = values.iter().map(|x| *x as f32).collect();
    Tensor::from_floats(values.as_slice(), &Device::flex().autodiff()).require_grad()
}

fn gradient(x: &Tensor<1>, gradients: &burn::tensor::Gradients) -> Vec<f64> {
    x.grad(gradients).map(numbers).unwrap_or_default()
}

fn numbers(tensor: Tensor<1>) -> Vec<f64> {
    tensor.into_data().iter::<f32>().map(f64::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_and_small_numbers_have_exponents_and_all_their_digits() {
        for (x, text) in [
            (0.0, " 0"),
            (-0.0, " -0"),
            (1.5, " 1.5"),
            (-0.158_655_253_931_457_07, "-0.15865525393145707"),
            (999_999.5, " 999999.5"),
            (1e6, " 1e6"),
            (-1_234_567.8, "-1.2345678e6"),
            (1e308, " 1e308"),
            (1e-5, " 0.00001"),
            (-9.9e-6, "-9.9e-6"),
            (5e-324, " 5e-324"),
            (f64::INFINITY, " inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(display(x, EvalPath::F64), text);
            let number: f64 = text.trim().parse().unwrap();
            assert!(number == x || x.is_nan(), "{text} is {number}, not {x}");
        }
        assert_eq!(display(f64::from(0.1_f32), EvalPath::Kernel), " 0.1");
        assert_eq!(display(f64::from(1e-7_f32), EvalPath::Kernel), " 1e-7");
        assert_eq!(display(1e308, EvalPath::Kernel), " inf");
    }
}
