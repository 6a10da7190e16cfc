//! Linear layers.

use crate::buffer::Buffer;
use crate::device;
use crate::host::{Host, Operation, Values, record};
use crate::matrix::{Matrix, Threads, multiply};
use ::activation::arch;
use burn::Tensor;
use rayon::prelude::*;

/// Rows whose column sums are one task's. They are fixed, since the sum of all is made of them.
const ROWS: usize = 64;

/// `x` `weight` + `bias` for `x` `[rows, input]`, `weight` `[input, output]` and `bias` `[output]`.
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let [rows, input] = x.dims();
    let [taken, output] = weight.dims();
    assert_eq!(taken, input, "weights for as many inputs as there are");
    let hosts = (Host::of(&x), Host::of(&weight), bias.as_ref().map(Host::of));
    let (Some(host_x), Some(host_weight), None | Some(Some(_))) = hosts.clone() else {
        return device::linear::linear(x, weight, bias);
    };
    let (x, weight) = (host_x.values(), host_weight.values());
    let bias = hosts.2.flatten();
    let saved = Saved { x, weight, rows, input, output };
    let y = saved.forward(bias.as_ref().map(Host::values).as_ref().map(Values::slice));
    match bias {
        Some(bias) => record([host_x, host_weight, bias], y, || Linear(saved)),
        None => record([host_x, host_weight], y, || Product(saved)),
    }
    .into_tensor()
}

/// Three linear layers of one input and one width, side by side: `[rows, 3 · output]`.
///
/// Takes weights `[input, output]` and biases `[output]`; see [`linear`].
///
/// # Panics
/// If the sizes do not agree.
#[must_use]
pub fn linear_three(x: Tensor<2>, weights: [Tensor<2>; 3], biases: [Tensor<1>; 3]) -> Tensor<2> {
    let [rows, input] = x.dims();
    let [_, output] = weights[0].dims();
    assert!(weights.iter().all(|weight| weight.dims() == [input, output]), "weights of one shape");
    assert!(biases.iter().all(|bias| bias.dims() == [output]), "a bias for each output");
    let hosts = (Host::of(&x), weights.each_ref().map(Host::of), biases.each_ref().map(Host::of));
    let (Some(x), [Some(w1), Some(w2), Some(w3)], [Some(b1), Some(b2), Some(b3)]) = hosts else {
        return device::linear::linear_three(x, weights, biases);
    };
    let mut weight = Buffer::take(3 * input * output);
    for (i, part) in [&w1, &w2, &w3].into_iter().enumerate() {
        let part = part.values();
        let columns = weight.chunks_exact_mut((3 * output).max(1));
        for (to, from) in columns.zip(part.slice().chunks_exact(output.max(1))) {
            to[i * output..(i + 1) * output].copy_from_slice(from);
        }
    }
    let bias: Vec<f32> =
        [&b1, &b2, &b3].into_iter().flat_map(|bias| bias.values().slice().to_vec()).collect();
    let output = 3 * output;
    let weight = Values::from_buffer(weight, &[input, output]);
    let saved = Saved { x: x.values(), weight, rows, input, output };
    let y = saved.forward(Some(&bias));
    record([x, w1, w2, w3, b1, b2, b3], y, || LinearThree(saved)).into_tensor()
}

#[derive(Debug, Clone)]
struct LinearThree(Saved);

impl Operation<7> for LinearThree {
    fn backward(self, gradient: Values, wanted: [bool; 7]) -> [Option<Values>; 7] {
        let Saved { input, output, .. } = self.0;
        let by_bias = column_sums(gradient.slice(), output);
        let [by_x, by_weight] = self.0.backward(&gradient, [wanted[0], true]);
        let by_weight = by_weight.as_ref().map_or(&[][..], Values::slice);
        let width = output / 3;
        let third = |numbers: &[f32], i: usize, rows: usize| {
            let mut part = Buffer::take(rows * width);
            for (to, from) in
                part.chunks_exact_mut(width.max(1)).zip(numbers.chunks_exact(output.max(1)))
            {
                to.copy_from_slice(&from[i * width..(i + 1) * width]);
            }
            part
        };
        let weight = |i: usize| {
            wanted[1 + i].then(|| Values::from_buffer(third(by_weight, i, input), &[input, width]))
        };
        let bias = |i: usize| {
            wanted[4 + i].then(|| Values::from_buffer(third(by_bias.slice(), i, 1), &[width]))
        };
        [by_x, weight(0), weight(1), weight(2), bias(0), bias(1), bias(2)]
    }
}

#[derive(Debug, Clone)]
struct Saved {
    x: Values,
    weight: Values,
    rows: usize,
    input: usize,
    output: usize,
}

impl Saved {
    /// The value; the product is added to the `bias` where there is one.
    fn forward(&self, bias: Option<&[f32]>) -> Values {
        let Self { rows, input, output, .. } = *self;
        let mut y = Buffer::take(rows * output);
        match bias {
            Some(bias) => {
                assert_eq!(bias.len(), output, "a bias for each output");
                y.par_chunks_mut((ROWS * output).max(1)).for_each(|rows| {
                    rows.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(bias));
                });
            }
            None if input == 0 => y.fill(0.0),
            None => {}
        }
        if input > 0 {
            let x = Matrix::new(self.x.slice(), rows, input);
            let weight = Matrix::new(self.weight.slice(), input, output);
            multiply(x, weight, &mut y, output, 1.0, bias.is_some(), Threads::All);
        }
        Values::from_buffer(y, &[rows, output])
    }

    fn backward(&self, gradient: &Values, [by_x, by_weight]: [bool; 2]) -> [Option<Values>; 2] {
        let Self { rows, input, output, .. } = *self;
        let g = Matrix::new(gradient.slice(), rows, output);
        let product = |a: Matrix<'_>, b: Matrix<'_>, shape: [usize; 2]| {
            let mut c = Buffer::take(shape[0] * shape[1]);
            if a.columns == 0 {
                c.fill(0.0);
            } else {
                multiply(a, b, &mut c, shape[1], 1.0, false, Threads::All);
            }
            Values::from_buffer(c, &shape)
        };
        [
            by_x.then(|| {
                let weight = Matrix::new(self.weight.slice(), input, output);
                product(g, weight.transpose(), [rows, input])
            }),
            by_weight.then(|| {
                let x = Matrix::new(self.x.slice(), rows, input);
                product(x.transpose(), g, [input, output])
            }),
        ]
    }
}

#[derive(Debug, Clone)]
struct Linear(Saved);

impl Operation<3> for Linear {
    fn backward(self, gradient: Values, [x, weight, bias]: [bool; 3]) -> [Option<Values>; 3] {
        let by_bias = bias.then(|| column_sums(gradient.slice(), self.0.output));
        let [by_x, by_weight] = self.0.backward(&gradient, [x, weight]);
        [by_x, by_weight, by_bias]
    }
}

#[derive(Debug, Clone)]
struct Product(Saved);

impl Operation<2> for Product {
    fn backward(self, gradient: Values, wanted: [bool; 2]) -> [Option<Values>; 2] {
        self.0.backward(&gradient, wanted)
    }
}

/// Sums over rows of `columns` numbers each, in an order that follows from the shape.
pub(crate) fn column_sums(numbers: &[f32], columns: usize) -> Values {
    let mut sums = Buffer::zeros(columns);
    if columns > 0 {
        let parts: Vec<Vec<f32>> = numbers
            .par_chunks(ROWS * columns)
            .map(|rows| {
                let mut sums = vec![0.0; columns];
                add_rows(rows, &mut sums);
                sums
            })
            .collect();
        for part in parts {
            add_rows(&part, &mut sums);
        }
    }
    Values::from_buffer(sums, &[columns])
}

fn add_rows(rows: &[f32], sums: &mut [f32]) {
    arch().dispatch(
        #[inline(always)]
        || {
            for row in rows.chunks_exact(sums.len()) {
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        },
    );
}
