//! Links the activations that the program knows. A crate that nothing names is dropped by the linker,
//! and its registration with it.

use activation_cards as _;
use activation_gelu as _;
use activation_leaky_relu as _;
use activation_relu as _;
use activation_silu as _;
use activation_swiglu as _;
