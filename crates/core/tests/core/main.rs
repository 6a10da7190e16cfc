//! Models against PyTorch, and the training loop against the design's promises.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod checkpoint;
mod divergence;
mod golden;
mod mlp;
mod packed;
mod paired;
mod parity;
mod pretrained;
mod reading;
mod replicas;
mod runs;
mod size;
mod training;

use activation_cards as _;
use activation_gelu as _;
use activation_leaky_relu as _;
use activation_relu as _;
use activation_silu as _;
use activation_swiglu as _;
