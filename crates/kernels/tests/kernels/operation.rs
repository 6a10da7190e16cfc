//! Each operation of the crate as a [`Case`]: the plain ways are written here, with burn's operations
//! alone, and not taken from the crate.

mod images;

pub(crate) use images::{
    Sizes, batch_norm_inference, batch_norm_training, convolution, plain_batch_norm,
    plain_convolution, shortcut,
};

use crate::case::{Case, Draw, Tape};
use crate::formula::Name;
use crate::reduction;
use actlab_kernels::{self as kernels, Dropout, Seen, Sequences};
use burn::Tensor;
use burn::tensor::activation::softmax as plain_softmax;
use burn::tensor::{Bool, Device, Int, TensorData};

const EPSILON: f64 = 1e-5;

pub(crate) fn nonlinearity(draw: &mut Draw, f: Name, shape: [usize; 3]) -> Case {
    let activation = f.activation();
    Case::new(
        format!("nonlinearity {f:?} {shape:?}"),
        vec![draw.input(&shape, 4.0)],
        move |tape| kernels::nonlinearity(&activation, tape.input::<3>(0)),
        move |tape| f.plain(tape.input::<3>(0)),
    )
}

/// A gated one takes twice `width`.
pub(crate) fn activation(draw: &mut Draw, f: Name, [a, b, width]: [usize; 3]) -> Case {
    let activation = f.activation();
    let gated = f == Name::Gated;
    let shape = [a, b, if gated { 2 * width } else { width }];
    Case::new(
        format!("activation {f:?} {shape:?}"),
        vec![draw.input(&shape, 4.0)],
        move |tape| kernels::activation(&activation, tape.input::<3>(0)),
        move |tape| {
            let x = tape.input::<3>(0);
            if !gated {
                return f.plain(x);
            }
            f.plain(x.clone().narrow(2, 0, width)) * x.narrow(2, width, width)
        },
    )
}

/// Formulas with learned numbers, and the same in plain operations of inputs and numbers of one shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Learned {
    /// Slope of a leaky rectifier.
    Slope,
    /// β of Swish and a shift.
    Two,
    /// β of a gate.
    Gated,
}

impl Learned {
    fn text(self) -> &'static str {
        match self {
            Self::Slope => "if x <= 0 then slope * x else x where slope=0.1, learn=slope",
            Self::Two => "x * sigmoid(beta * x) + shift where beta=1, shift=0, learn=all",
            Self::Gated => "gate * sigmoid(beta * gate) * value where beta=1, learn=all",
        }
    }

    fn plain(self, inputs: &[Tensor<3>], numbers: &[Tensor<3>]) -> Tensor<3> {
        let x = inputs[0].clone();
        let swish =
            || x.clone() * burn::tensor::activation::sigmoid(x.clone() * numbers[0].clone());
        match self {
            Self::Slope => {
                let below = x.clone() * numbers[0].clone();
                x.clone().mask_where(x.lower_equal_scalar(0.0), below)
            }
            Self::Two => swish() + numbers[1].clone(),
            Self::Gated => swish() * inputs[1].clone(),
        }
    }
}

/// A gated one takes twice `width`; numbers are one for all, or one for each channel.
pub(crate) fn learned(
    draw: &mut Draw,
    f: Learned,
    [a, b, width]: [usize; 3],
    per_channel: bool,
) -> Case {
    let activation = activation_testing::activation(f.text());
    let inputs = if f == Learned::Gated { 2 } else { 1 };
    let count = if f == Learned::Two { 2 } else { 1 };
    let each = if per_channel { width } else { 1 };
    let shape = [a, b, inputs * width];
    Case::new(
        format!("learned {f:?} {shape:?}, per channel {per_channel}"),
        vec![draw.input(&shape, 4.0), draw.input(&[count, each], 1.0)],
        move |tape| kernels::learned(&activation, inputs, tape.input::<3>(0), tape.input::<2>(1)),
        move |tape| {
            let (x, numbers) = (tape.input::<3>(0), tape.input::<2>(1));
            let part = |i: usize| x.clone().narrow(2, i * width, width);
            let number = |i: usize| {
                let row = numbers.clone().narrow(0, i, 1).reshape([1, 1, each]);
                row.expand([a, b, width])
            };
            let inputs: Vec<_> = (0..inputs).map(part).collect();
            f.plain(&inputs, &(0..count).map(number).collect::<Vec<_>>())
        },
    )
}

pub(crate) fn softmax(draw: &mut Draw, shape: [usize; 3]) -> Case {
    // Far beyond where exp overflows, now and then.
    let bound = if draw.below(4) == 0 { 300.0 } else { 3.0 };
    Case::new(
        format!("softmax {shape:?}"),
        vec![draw.input(&shape, bound)],
        |tape| kernels::softmax(tape.input::<3>(0)),
        |tape| plain_softmax(tape.input::<3>(0), 2),
    )
}

pub(crate) fn layer_norm(draw: &mut Draw, shape: [usize; 3], residual: bool) -> Case {
    let width = shape[2];
    let mut inputs =
        vec![draw.spread(&shape, 1), draw.input(&[width], 2.0), draw.input(&[width], 2.0)];
    if residual {
        inputs.push(draw.input(&shape, 0.5));
    }
    Case::new(
        format!("layer norm {shape:?}, residual {residual}"),
        inputs,
        move |tape| {
            let residual = residual.then(|| tape.input::<3>(3));
            kernels::layer_norm(tape.input::<3>(0), residual, tape.input(1), tape.input(2), EPSILON)
        },
        move |tape| {
            let residual = residual.then(|| tape.input::<3>(3));
            plain_layer_norm(tape.input::<3>(0), residual, tape.input(1), tape.input(2))
        },
    )
}

pub(crate) fn plain_layer_norm<const D: usize>(
    x: Tensor<D>,
    residual: Option<Tensor<D>>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
) -> Tensor<D> {
    let x = match residual {
        Some(residual) => x + residual,
        None => x,
    };
    let centered = x.clone() - x.mean_dim(D - 1);
    let deviation = (centered.clone().square().mean_dim(D - 1) + EPSILON).sqrt();
    centered / deviation * gamma.unsqueeze() + beta.unsqueeze()
}

pub(crate) fn linear(draw: &mut Draw, [rows, input, output]: [usize; 3], bias: bool) -> Case {
    let mut inputs = vec![draw.input(&[rows, input], 2.0), draw.input(&[input, output], 1.0)];
    if bias {
        inputs.push(draw.input(&[output], 1.0));
    }
    Case::new(
        format!("linear {rows} × {input} → {output}, bias {bias}"),
        inputs,
        move |tape| {
            let bias = bias.then(|| tape.input::<1>(2));
            kernels::linear(tape.input(0), tape.input(1), bias)
        },
        move |tape| {
            let bias = bias.then(|| tape.input::<1>(2));
            plain_linear(tape.input(0), tape.input(1), bias)
        },
    )
}

pub(crate) fn plain_linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let y = x.matmul(weight);
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}

pub(crate) fn linear_three(draw: &mut Draw, [rows, input, output]: [usize; 3]) -> Case {
    let mut inputs = vec![draw.input(&[rows, input], 2.0)];
    inputs.extend((0..3).map(|_| draw.input(&[input, output], 1.0)));
    inputs.extend((0..3).map(|_| draw.input(&[output], 1.0)));
    Case::new(
        format!("linear three {rows} × {input} → {output}"),
        inputs,
        |tape| {
            let weights = [1, 2, 3].map(|i| tape.input::<2>(i));
            kernels::linear_three(tape.input(0), weights, [4, 5, 6].map(|i| tape.input::<1>(i)))
        },
        |tape| {
            let one = |i| plain_linear(tape.input(0), tape.input(i), Some(tape.input(i + 3)));
            Tensor::cat([1, 2, 3].map(one).into(), 1)
        },
    )
}

/// Where the tokens of sequences are in their padded form, `[sequences · longest]`, flattened, and the opposite: which
/// row is at each place, 0 where there is none.
fn places(lengths: &[usize], tape: &Tape<'_>) -> (Tensor<1, Int>, Tensor<1, Int>) {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut tokens = Vec::new();
    let mut rows = vec![0_i64; lengths.len() * longest];
    for (i, length) in lengths.iter().enumerate() {
        for place in i * longest..i * longest + length {
            rows[place] = tokens.len() as i64;
            tokens.push(place as i64);
        }
    }
    let [tokens, rows] = [tokens, rows].map(|all| {
        let count = all.len();
        Tensor::from_data(TensorData::new(all, [count]), tape.device())
    });
    (tokens, rows)
}

/// Sizes of an attention.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    pub(crate) lengths: Vec<usize>,
    pub(crate) heads: usize,
    pub(crate) width: usize,
    pub(crate) dropout: bool,
    pub(crate) causal: bool,
}

/// What attention's weights `[sequences, heads, longest, longest]` are multiplied with: what comes out where all
/// queries and keys are zero, and the values are the rows of an identity.
fn attention_mask(lengths: &[usize], heads: usize, dropout: Dropout) -> Vec<f32> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let hidden = heads * longest;
    let sequences = Sequences::new(vec![longest; lengths.len()]);
    let mut inputs = vec![0.0_f32; lengths.len() * longest * 3 * hidden];
    for (row, inputs) in inputs.chunks_exact_mut((3 * hidden).max(1)).enumerate() {
        for head in 0..heads {
            inputs[2 * hidden + head * longest + row % longest] = longest as f32;
        }
    }
    let inputs = TensorData::new(inputs, [sequences.rows(), 3 * hidden]);
    let inputs = Tensor::from_data(inputs, &Device::flex());
    let mask = kernels::attention(inputs, heads, &sequences, Seen::All, Some(dropout));
    let mask = mask.reshape([lengths.len(), longest, heads, longest]).swap_dims(1, 2);
    mask.into_data().iter::<f32>().map(|x| if x == 0.0 { 0.0 } else { 4.0 / 3.0 }).collect()
}

pub(crate) fn attention(draw: &mut Draw, sizes: Heads) -> Case {
    let name = format!("attention {sizes:?}");
    let Heads { lengths, heads, width, dropout, causal } = sizes;
    let hidden = heads * width;
    let (batch, tokens) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0));
    let inputs = vec![draw.input(&[lengths.iter().sum::<usize>(), 3 * hidden], 2.0)];
    let dropout =
        dropout.then(|| Dropout { key: draw.next(), draw: draw.next(), p: 0.25, first: 1 });
    let sequences = Sequences::new(lengths.clone());
    Case::new(
        name,
        inputs,
        move |tape| {
            let seen = if causal { Seen::Earlier } else { Seen::All };
            kernels::attention(tape.input(0), heads, &sequences, seen, dropout)
        },
        move |tape| {
            let (places, rows) = places(&lengths, tape);
            let padded = tape.input::<2>(0).select(0, rows);
            let part = |i: usize| {
                let part = padded.clone().narrow(1, i * hidden, hidden);
                part.reshape([batch, tokens, heads, width]).swap_dims(1, 2)
            };
            let scores = part(0).matmul(part(1).swap_dims(2, 3)) / (width as f64).sqrt();
            let unseen = (0..batch * tokens * tokens).map(|i| {
                let (sequence, query, key) =
                    (i / (tokens * tokens), i / tokens % tokens, i % tokens);
                // What is padding itself sees the first token: a softmax of nothing is NaN.
                key > 0 && (key >= lengths[sequence] || causal && key > query)
            });
            let unseen = TensorData::new(unseen.collect::<Vec<_>>(), [batch, 1, tokens, tokens]);
            let unseen = Tensor::<4, Bool>::from_data(unseen, tape.device());
            let unseen = unseen.expand(scores.dims());
            let mut weights = plain_softmax(scores.mask_fill(unseen, f32::NEG_INFINITY), 3);
            if let Some(dropout) = dropout {
                let mask = attention_mask(&lengths, heads, dropout);
                let mask = TensorData::new(mask, [batch, heads, tokens, tokens]);
                let mask = Tensor::<4>::from_data(mask, tape.device()).cast(weights.dtype());
                weights = weights * mask;
            }
            let mixed = weights.matmul(part(2)).swap_dims(1, 2);
            mixed.reshape([batch * tokens, hidden]).select(0, places)
        },
    )
}

/// Dropout against a product with the mask of numbers that are all one.
pub(crate) fn dropout(draw: &mut Draw, lengths: Vec<usize>, width: usize) -> Case {
    let rule = Dropout { key: draw.next(), draw: draw.next(), p: 0.25, first: 1 };
    let sequences = Sequences::new(lengths.clone());
    let same = sequences.clone();
    Case::new(
        format!("dropout {lengths:?} of {width}"),
        vec![draw.input(&[lengths.iter().sum::<usize>(), width], 2.0)],
        move |tape| kernels::dropout(tape.input::<2>(0), &sequences, rule),
        move |tape| {
            let x = tape.input::<2>(0);
            let ones = Tensor::<2>::ones(x.dims(), &Device::flex());
            let mask = kernels::dropout(ones, &same, rule).into_data();
            x.clone() * Tensor::<2>::from_data(mask, tape.device()).cast(x.dtype())
        },
    )
}

/// Rotary positions against turned pairs of numbers.
pub(crate) fn rotary(draw: &mut Draw, lengths: Vec<usize>, [heads, width]: [usize; 2]) -> Case {
    let (rows, hidden) = (lengths.iter().sum::<usize>(), heads * width);
    let half = width / 2;
    let sequences = Sequences::new(lengths.clone());
    Case::new(
        format!("rotary {lengths:?} × {heads} × {width}"),
        vec![draw.input(&[rows, 3 * hidden], 2.0)],
        move |tape| kernels::rotary(tape.input(0), heads, &sequences),
        move |tape| {
            let places: Vec<usize> = lengths.iter().flat_map(|length| 0..*length).collect();
            let table = |f: fn(f64) -> f64| {
                let angle = |i: usize| {
                    let (place, pair) = (places[i / half], i % half);
                    place as f64 * libm::pow(10_000.0, -2.0 * pair as f64 / width as f64)
                };
                let numbers: Vec<f64> = (0..rows * half).map(|i| f(angle(i))).collect();
                let numbers = TensorData::new(numbers, [rows, 1, half]);
                Tensor::<3>::from_data(numbers, tape.device())
            };
            let x = tape.input::<2>(0);
            let turned = x.clone().narrow(1, 0, 2 * hidden).reshape([rows, 2 * heads, width]);
            let (a, b) = (turned.clone().narrow(2, 0, half), turned.narrow(2, half, half));
            let (cos, sin) = (table(libm::cos), table(libm::sin));
            let (cos, sin) = (cos.cast(x.dtype()), sin.cast(x.dtype()));
            let first = a.clone() * cos.clone() - b.clone() * sin.clone();
            let second = b * cos + a * sin;
            let turned = Tensor::cat(vec![first, second], 2).reshape([rows, 2 * hidden]);
            Tensor::cat(vec![turned, x.narrow(1, 2 * hidden, hidden)], 1)
        },
    )
}

pub(crate) fn embedding(draw: &mut Draw, [entries, width]: [usize; 2], rows: usize) -> Case {
    let weight = draw.input(&[entries, width], 2.0);
    let tokens: Vec<i64> = (0..rows).map(|_| draw.below(entries) as i64).collect();
    let tokens = move |tape: &Tape<'_>| {
        Tensor::<1, Int>::from_data(TensorData::new(tokens.clone(), [rows]), tape.device())
    };
    let same = tokens.clone();
    Case::new(
        format!("embedding {entries} × {width} of {rows}"),
        vec![weight],
        move |tape| kernels::embedding(tape.input(0), tokens(tape)),
        move |tape| tape.input::<2>(0).select(0, same(tape)),
    )
}

/// Every operation once, on few numbers.
pub(crate) fn small() -> Vec<Case> {
    let draw = &mut Draw::new(7);
    let image = [3, 5, 4, 7];
    let convolutions = [(3, 1), (3, 2), (1, 2)].map(|(kernel, stride)| Sizes {
        batch: 3,
        height: 5,
        width: 4,
        input: 7,
        output: 18,
        kernel,
        stride,
    });
    let heads = Heads { lengths: vec![5, 2, 3], heads: 2, width: 3, dropout: false, causal: false };
    let mut cases = vec![
        nonlinearity(draw, Name::Smooth, [3, 5, 7]),
        nonlinearity(draw, Name::Gated, [3, 5, 7]),
        activation(draw, Name::Kinked, [3, 5, 7]),
        activation(draw, Name::Gated, [3, 5, 7]),
        learned(draw, Learned::Slope, [3, 5, 7], true),
        learned(draw, Learned::Two, [3, 5, 7], false),
        learned(draw, Learned::Gated, [3, 5, 7], false),
        softmax(draw, [3, 5, 19]),
        layer_norm(draw, [3, 5, 19], false),
        layer_norm(draw, [3, 5, 19], true),
        linear(draw, [5, 7, 18], false),
        linear(draw, [5, 7, 18], true),
        linear_three(draw, [5, 7, 9]),
        attention(draw, heads.clone()),
        attention(draw, Heads { dropout: true, ..heads.clone() }),
        attention(draw, Heads { causal: true, ..heads.clone() }),
        attention(draw, Heads { dropout: true, causal: true, ..heads }),
        dropout(draw, vec![5, 2, 3], 70),
        rotary(draw, vec![5, 2, 3], [2, 4]),
        embedding(draw, [6, 7], 20),
        batch_norm_training(draw, image, false, None),
        batch_norm_training(draw, image, false, Some(Name::Smooth)),
        batch_norm_training(draw, image, true, Some(Name::Gated)),
        batch_norm_inference(draw, image, false, None),
        batch_norm_inference(draw, image, true, Some(Name::Smooth)),
    ];
    cases.extend(convolutions.map(|sizes| convolution(draw, sizes)));
    cases.push(shortcut(draw, image, 2, 6));
    cases.push(shortcut(draw, image, 2, 0));
    cases.extend(reduction::small(draw));
    cases
}

/// Every operation on more numbers than one task takes on, with a rest behind the last whole one.
pub(crate) fn large() -> Vec<Case> {
    let draw = &mut Draw::new(11);
    let image = [19, 9, 8, 33];
    let sizes =
        Sizes { batch: 19, height: 9, width: 8, input: 19, output: 33, kernel: 3, stride: 1 };
    let lengths = vec![33, 1, 0, 30, 7, 33, 12];
    let heads =
        Heads { lengths: lengths.clone(), heads: 3, width: 17, dropout: false, causal: false };
    let mut cases = vec![
        nonlinearity(draw, Name::Smooth, [7, 201, 131]),
        activation(draw, Name::Kinked, [7, 201, 131]),
        activation(draw, Name::Gated, [7, 201, 67]),
        learned(draw, Learned::Slope, [7, 201, 131], true),
        learned(draw, Learned::Two, [7, 201, 131], false),
        learned(draw, Learned::Gated, [7, 201, 67], true),
        softmax(draw, [11, 51, 67]),
        layer_norm(draw, [3, 67, 71], false),
        layer_norm(draw, [3, 67, 71], true),
        linear(draw, [301, 131, 97], true),
        linear(draw, [97, 1301, 33], false),
        linear(draw, [1301, 67, 99], true),
        linear_three(draw, [301, 131, 65]),
        attention(draw, heads.clone()),
        attention(draw, Heads { dropout: true, ..heads.clone() }),
        attention(draw, Heads { causal: true, ..heads.clone() }),
        attention(draw, Heads { dropout: true, causal: true, ..heads }),
        dropout(draw, lengths.clone(), 401),
        rotary(draw, lengths, [3, 18]),
        embedding(draw, [1003, 71], 17 * 129),
        batch_norm_training(draw, image, false, Some(Name::Gated)),
        batch_norm_training(draw, image, true, Some(Name::Smooth)),
        batch_norm_training(draw, [19, 9, 8, 16], true, None),
        batch_norm_inference(draw, image, true, Some(Name::Smooth)),
        shortcut(draw, image, 2, 31),
        convolution(draw, sizes),
        convolution(draw, Sizes { stride: 2, ..sizes }),
        convolution(draw, Sizes { kernel: 5, output: 16, ..sizes }),
        convolution(draw, Sizes { input: 16, output: 16, ..sizes }),
        convolution(draw, Sizes { input: 16, output: 22, ..sizes }),
        convolution(draw, Sizes { input: 19, output: 32, height: 8, width: 6, ..sizes }),
        convolution(draw, Sizes { input: 48, output: 49, ..sizes }),
        convolution(draw, Sizes { input: 64, output: 64, batch: 17, ..sizes }),
    ];
    cases.extend(reduction::large(draw));
    cases
}
