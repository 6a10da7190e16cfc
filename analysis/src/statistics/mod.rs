//! Statistics of the few runs that a sweep affords.
//!
//! Everything here takes plain slices and knows no table: a missing run is left out by the caller.
//! What cannot be estimated from so few values is [`None`], never a zero or a NaN.

mod bootstrap;
mod describe;
mod estimate;

pub use bootstrap::{Bootstrap, Interval, LEVEL};
pub use describe::{mean, median, standard_deviation};
pub use estimate::Estimate;
