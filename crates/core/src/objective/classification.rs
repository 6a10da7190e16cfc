use super::score::{Score, accuracy};
use super::{Objective, Prepared};
use crate::Error;
use crate::component::Definition;
use crate::data::{Answers, Dataset, Part};
use crate::model::{Head, InputShape, Interface};
use crate::stream::Stream;
use record::{CLASSIFICATION, Evaluation, Metric, Metrics, Prediction, Predictions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One class for each example, judged by accuracy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Classification {}

/// Name of the metric.
const ACCURACY: &str = "accuracy";

impl Definition for Classification {
    const NAME: &'static str = CLASSIFICATION;
    const ABOUT: &'static str = "one class for each example, judged by accuracy";

    fn words(&self) -> String {
        "classification".to_owned()
    }
}

/// Part of the test split that has the class which is most frequent in training: what a network scores that always
/// says this class.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share_of_the_commonest(data: &Dataset) -> f64 {
    let mut counts = vec![0_u64; data.classes.len()];
    data.train.labels.iter().for_each(|class| counts[*class] += 1);
    let most = counts.iter().max().copied().unwrap_or_default();
    let commonest = counts.iter().position(|count| *count == most);
    let same = data.test.labels.iter().filter(|class| Some(**class) == commonest).count();
    same as f64 / data.test.labels.len().max(1) as f64
}

impl Objective for Classification {
    fn interface(&self, data: &Dataset) -> Result<Interface, Error> {
        if data.classes.is_empty() {
            let reason = format!(
                "`{}` has no classes: use an objective for text, as causal_lm or masked_lm",
                data.name
            );
            return Err(Error::spec("objective", reason));
        }
        let inputs = InputShape::of(&data.train.inputs);
        Ok(Interface { inputs, head: Head::Classes(data.classes.len()) })
    }

    fn primary(&self) -> Metric {
        Metric::accuracy(None)
    }

    fn guessing(&self, data: &Dataset) -> f64 {
        let by_chance = Metric::accuracy(Some(data.classes.len() as u64)).guessing;
        by_chance.max(share_of_the_commonest(data))
    }

    fn guessing_loss(&self, data: &Dataset) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "there are few classes")]
        let classes = data.classes.len() as f64;
        libm::log(classes)
    }

    fn prepare(&self, part: &Part, index: usize, _: &mut Stream) -> Prepared {
        Prepared { tokens: None, labels: vec![part.labels[index]], positions: None, units: 1.0 }
    }

    fn needs_predictions(&self) -> bool {
        true
    }

    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    fn step_metrics(&self, _: Option<f64>, predicted: &[usize], answers: &Answers) -> Metrics {
        let correct = predicted.iter().zip(&answers.classes).filter(|(a, b)| a == b).count();
        [(ACCURACY, correct as f64 / answers.classes.len() as f64)].into()
    }

    fn metrics(&self, scores: &[Score]) -> Metrics {
        [(ACCURACY, accuracy(scores))].into()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn check(&self, evaluation: &Evaluation, part: &Part) -> Result<(), String> {
        let found = evaluation.metrics.get(ACCURACY).unwrap_or(f64::NAN);
        let examples = part.len().max(1) as f64;
        let right = (found * examples).round().clamp(0.0, examples) / examples;
        if found == right {
            return Ok(());
        }
        Err(format!("accuracy is {found}, but must be {right}"))
    }

    fn predictions(&self, scores: &[Score]) -> Predictions {
        let line = |(index, score): (usize, &Score)| Prediction {
            index,
            label: score.label,
            predicted: score.predicted,
            probability: libm::exp(-score.loss),
            confidence: Some(libm::exp(score.log_confidence)),
        };
        Predictions::Classes(scores.iter().enumerate().map(line).collect())
    }
}
