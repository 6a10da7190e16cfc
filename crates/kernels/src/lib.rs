//! Tensor operations that a training step spends its time in.
//!
//! Each function takes and gives burn tensors. On the CPU (`Device::flex()`, with or without
//! autodiff) it runs a kernel of its own: SIMD registers of whatever instruction set the machine has,
//! one pass over memory where general operations make several, and a backward written by hand. On
//! every other device the same function is burn operations with a backward of their own, or a kernel in CubeCL.
//!
//! Results depend neither on the number of threads nor on the instruction set, to the last bit: how a sum is split
//! follows from the shape alone, and a multiply-add is rounded once.
//!
//! Functions that are generic over the rank convert tensors and nothing more: they are compiled in the crate that calls them,
//! at its level of optimization. The work is in functions that are not generic, and is compiled at this crate's level.

mod activation;
mod attention;
mod batch_norm;
mod buffer;
mod convolution;
mod device;
mod dropout;
mod embedding;
mod host;
mod lanes;
mod layer_norm;
mod learned;
mod linear;
mod loss;
mod matrix;
mod mixed;
mod padded;
mod philox;
mod product;
mod read;
mod reduce;
mod replica;
mod rotary;
mod row;
mod sequences;
mod shortcut;
mod softmax;
mod squares;
mod tanh;
mod transpose;
mod update;
mod winograd;

pub use activation::{activation, gated_slopes, nonlinearity, slope};
pub use attention::{Seen, attention};
pub use batch_norm::{
    BatchNormTraining, batch_norm_inference, batch_norm_training, running_averages,
};
pub use convolution::convolution;
pub use dropout::{Dropout, dropout};
pub use embedding::embedding;
pub use host::{copy, with_gradient};
pub use layer_norm::layer_norm;
pub use learned::{learned, learned_derivatives, with_initial_numbers};
pub use linear::{linear, linear_three};
pub use loss::{cross_entropy, log_probabilities};
pub use mixed::Precision;
pub use read::{read, read_at_once, reads};
pub use reduce::{mean, pixel_means};
pub use replica::{Abandoned, Replica};
pub use rotary::rotary;
pub use row::plus_row;
pub use sequences::Sequences;
pub use shortcut::shortcut;
pub use softmax::softmax;
pub use squares::{SquareSums, Squares};
pub use tanh::tanh;
pub use update::{AdamW, Sgd, UpdateGroup};
