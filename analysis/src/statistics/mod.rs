//! Statistics of the few runs that a sweep affords.
//!
//! Everything here takes plain slices and knows no table: a missing run is left out by the caller.
//! What cannot be estimated from so few values is [`None`], never a zero or a NaN.

mod bayes;
mod bootstrap;
mod calibration;
mod components;
mod describe;
mod distribution;
mod effect;
mod estimate;
mod multiple;
mod pairwise;
mod profile;
mod ranks;
mod resolution;
mod sequential;
mod student;

pub use bayes::{Probabilities, posterior_t, signed_rank_posterior};
pub use bootstrap::{Bootstrap, FEW, Interval, LEVEL};
pub(crate) use calibration::Calibration;
pub use calibration::{disagreement, expected_calibration_error, negative_log_likelihood};
pub use components::{Crossed, Nested};
pub use describe::{Moments, interquartile_mean, mean, median, optimality_gap, standard_deviation};
pub(crate) use describe::{interquartile_mean_of_drawn, quantile};
pub use effect::{
    cliffs_delta, cohen_d, cohen_d_paired, detectable_effect, pairs_needed, power,
    probability_of_improvement, probability_of_improvement_interval, upper_standard_deviation,
};
pub(crate) use effect::{improvement_of_places, places};
pub use estimate::Estimate;
pub use multiple::{Adjusted, holm, tukey};
pub use pairwise::{
    Test, mann_whitney, mann_whitney_asymptotic, paired_t, welch, wilcoxon, wilcoxon_asymptotic,
};
pub use profile::{performance_profile, time_to_target_score};
pub use ranks::Ranks;
pub use resolution::Resolution;
pub use sequential::Looks;
pub use student::{t_interval, t_interval_of, welch_interval};
