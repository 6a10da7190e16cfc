//! Statistics of the few runs that a sweep affords.
//!
//! Everything here takes plain slices and knows no table: a missing run is left out by the caller.
//! What cannot be estimated from so few values is [`None`], never a zero or a NaN.

mod bootstrap;
mod describe;
mod distribution;
mod effect;
mod estimate;
mod multiple;
mod pairwise;
mod profile;
mod ranks;

pub use bootstrap::{Bootstrap, FEW, Interval, LEVEL};
pub(crate) use describe::quantile;
pub use describe::{interquartile_mean, mean, median, optimality_gap, standard_deviation};
pub use effect::{
    cliffs_delta, cohen_d, cohen_d_of_summaries, cohen_d_paired, detectable_effect, pairs_needed,
    power, probability_of_improvement,
};
pub(crate) use effect::{improvement_of_places, places};
pub use estimate::Estimate;
pub use multiple::holm;
pub use pairwise::{
    Test, mann_whitney, mann_whitney_asymptotic, paired_t, welch, wilcoxon, wilcoxon_asymptotic,
};
pub use profile::{performance_profile, time_to_target_score};
pub use ranks::Ranks;
