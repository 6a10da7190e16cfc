use serde::{Deserialize, Serialize};

/// What a run said about one test example: a line of `predictions.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Position of the example in the test split, from 0.
    pub index: usize,
    /// True class.
    pub label: usize,
    /// Class with the largest logit.
    pub predicted: usize,
    /// Probability (softmax) given to the true class.
    pub probability: f64,
}

impl Prediction {
    /// Header of `predictions.csv`.
    pub(crate) const HEADER: &'static str = "index,label,predicted,probability";

    /// This prediction as a line of comma-separated values.
    pub(crate) fn to_csv(&self) -> String {
        format!("{},{},{},{}", self.index, self.label, self.predicted, self.probability)
    }
}
