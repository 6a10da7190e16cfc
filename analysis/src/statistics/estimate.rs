use super::{Bootstrap, Interval, mean, standard_deviation};

/// A mean and how sure it is.
///
/// For a paired comparison, estimate the differences: one value for each seed that both arms
/// completed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Values.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n − 1); of two values and more.
    pub standard_deviation: Option<f64>,
    /// 95 % percentile bootstrap interval of the mean; of two values and more.
    pub interval: Option<Interval>,
}

impl Estimate {
    /// Estimates the mean of `values`; [`None`] of nothing.
    #[must_use]
    pub fn of(values: &[f64], bootstrap: &Bootstrap) -> Option<Self> {
        Some(Self {
            n: values.len(),
            mean: mean(values)?,
            standard_deviation: standard_deviation(values),
            interval: bootstrap.mean(values),
        })
    }
}
