use super::{Bootstrap, Interval, LEVEL, mean, standard_deviation, t_interval};

/// A mean of runs and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Runs.
    pub n: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n − 1); of two values and more.
    pub standard_deviation: Option<f64>,
    /// Student's 95 % interval of the mean; of two values and more that differ.
    pub interval: Option<Interval>,
    /// 95 % percentile bootstrap interval of the mean, which is too narrow of few runs.
    pub bootstrap: Option<Interval>,
}

impl Estimate {
    /// Estimates the mean of `values`; [`None`] of nothing.
    #[must_use]
    pub fn of(values: &[f64], bootstrap: &Bootstrap) -> Option<Self> {
        Some(Self { bootstrap: bootstrap.mean(values), ..Self::without_bootstrap(values)? })
    }

    /// The same without the bootstrap interval.
    pub(crate) fn without_bootstrap(values: &[f64]) -> Option<Self> {
        Some(Self {
            n: values.len(),
            mean: mean(values)?,
            standard_deviation: standard_deviation(values),
            interval: t_interval(values, LEVEL),
            bootstrap: None,
        })
    }
}
