//! The same operations on devices other than the CPU, by burn's operations; most have a backward of their own.

pub(crate) mod attention;
pub(crate) mod batch_norm;
pub(crate) mod convolution;
pub(crate) mod layer_norm;
pub(crate) mod row;
pub(crate) mod tape;
