//! The same operations on devices other than the CPU, by burn's operations; most have a backward of their own.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod batch_norm;
pub(crate) mod convolution;
pub(crate) mod dropout;
pub(crate) mod embedding;
#[cfg(feature = "gpu")]
pub(crate) mod gpu;
#[cfg(not(feature = "gpu"))]
#[path = "no_gpu.rs"]
pub(crate) mod gpu;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod loss;
pub(crate) mod product;
pub(crate) mod reduce;
pub(crate) mod row;
pub(crate) mod rule;
pub(crate) mod shortcut;
pub(crate) mod tape;
