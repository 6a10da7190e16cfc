use super::score::Score;
use super::{Objective, Prepared};
use crate::Error;
use crate::component::Definition;
use crate::data::{Answers, Dataset, Inputs, Part};
use crate::model::{Head, InputShape, Interface};
use crate::stream::Stream;
use record::{Direction, Evaluation, ExampleLoss, Metric, Metrics, Predictions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;

/// The next token of a text, judged by bits per byte.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CausalLm {}

/// Names of the metrics.
const BITS_PER_BYTE: &str = "bits_per_byte";
const PERPLEXITY: &str = "perplexity";

/// Pieces of text of a batch in evaluations, whose logits are many.
const EVALUATION_BATCH: usize = 16;

impl Definition for CausalLm {
    const NAME: &'static str = "causal_lm";
    const ABOUT: &'static str = "the next token of a text, judged by bits per byte";
    const CITATION: &'static str =
        "Radford et al. 2019; bits per byte: Gao et al. 2020, arXiv:2101.00027";

    fn words(&self) -> String {
        "causal language model".to_owned()
    }
}

/// Tokens that are predicted in all pieces of `part`, and bytes of their text.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn lengths(part: &Part) -> (f64, f64) {
    let Inputs::Text(text) = &part.inputs else { return (0.0, 0.0) };
    let tokens: usize = text.tokens.iter().map(|piece| piece.len().saturating_sub(1)).sum();
    (tokens as f64, text.bytes.iter().map(|bytes| f64::from(*bytes)).sum())
}

impl Objective for CausalLm {
    fn interface(&self, data: &Dataset) -> Result<Interface, Error> {
        match &data.train.inputs {
            Inputs::Text(text) if text.bytes.len() == text.tokens.len() => {
                Ok(Interface { inputs: InputShape::of(&data.train.inputs), head: Head::NextToken })
            }
            inputs => {
                let holds = match inputs {
                    Inputs::Text(_) => "single sentences",
                    other => InputShape::of(other).holds(),
                };
                let reason = format!(
                    "causal_lm needs one long text, but `{}` holds {holds}: use a data set of plain text",
                    data.name
                );
                Err(Error::spec("objective", reason))
            }
        }
    }

    fn primary(&self) -> Metric {
        Metric {
            name: BITS_PER_BYTE.to_owned(),
            label: "bits per byte".to_owned(),
            unit: "bits/byte".to_owned(),
            scale: 1.0,
            digits: 4,
            direction: Direction::Lower,
            guessing: f64::NAN,
        }
    }

    fn guessing(&self, data: &Dataset) -> f64 {
        let (tokens, bytes) = lengths(&data.validation);
        self.guessing_loss(data) / LN_2 * tokens / bytes
    }

    fn guessing_loss(&self, data: &Dataset) -> f64 {
        let Inputs::Text(text) = &data.train.inputs else { return f64::NAN };
        #[expect(clippy::cast_precision_loss, reason = "vocabularies are small")]
        let vocabulary = text.vocabulary as f64;
        libm::log(vocabulary)
    }

    fn evaluation_batch(&self) -> usize {
        EVALUATION_BATCH
    }

    fn prepare(&self, part: &Part, index: usize, _: &mut Stream) -> Prepared {
        let Inputs::Text(text) = &part.inputs else {
            unreachable!("CausalLm::interface refuses other inputs")
        };
        let piece = &text.tokens[index];
        let (seen, next) = (&piece[..piece.len() - 1], &piece[1..]);
        Prepared {
            tokens: Some(seen.to_vec()),
            labels: next.iter().map(|token| *token as usize).collect(),
            positions: Some((0..seen.len()).collect()),
            units: f64::from(text.bytes[index]),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "batches are small")]
    fn step_metrics(&self, loss: Option<f64>, _: &[usize], answers: &Answers) -> Metrics {
        let Some(loss) = loss else { return Metrics::default() };
        let bytes: f64 = answers.examples.iter().map(|share| share.units).sum();
        let nats = loss * answers.classes.len() as f64;
        [(BITS_PER_BYTE, nats / LN_2 / bytes)].into()
    }

    fn metrics(&self, scores: &[Score]) -> Metrics {
        let nats: f64 = scores.iter().map(|score| score.loss).sum();
        let bytes: f64 = scores.iter().map(|score| score.units).sum();
        let perplexity = libm::exp(super::mean_loss(scores));
        [(BITS_PER_BYTE, nats / LN_2 / bytes), (PERPLEXITY, perplexity)].into()
    }

    fn check(&self, evaluation: &Evaluation, part: &Part) -> Result<(), String> {
        let (tokens, bytes) = lengths(part);
        let right = evaluation.loss * tokens / LN_2 / bytes;
        let found = evaluation.metrics.get(BITS_PER_BYTE).unwrap_or(f64::NAN);
        if (found - right).abs() <= 1e-9 * right.abs() {
            return Ok(());
        }
        Err(format!("{BITS_PER_BYTE} is {found}, but must be {right}"))
    }

    /// Losses in bits, so that their mean by bytes is the metric.
    fn predictions(&self, scores: &[Score]) -> Predictions {
        let line = |(index, score): (usize, &Score)| ExampleLoss {
            index,
            loss: score.loss / LN_2,
            units: score.units,
        };
        Predictions::Losses(scores.iter().enumerate().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Text;

    fn part() -> Part {
        let text = Text {
            vocabulary: 256,
            tokens: vec![vec![1, 2, 3], vec![3, 4]],
            bytes: vec![2, 1],
            mask: None,
        };
        Part { inputs: Inputs::Text(text), labels: Vec::new() }
    }

    #[test]
    fn each_token_is_predicted_from_those_before() {
        let prepared = CausalLm {}.prepare(&part(), 0, &mut Stream::new(0, "test"));
        assert_eq!(prepared.tokens.as_deref(), Some(&[1, 2][..]));
        assert_eq!(prepared.labels, [2, 3]);
        assert_eq!(prepared.positions.as_deref(), Some(&[0, 1][..]));
    }

    /// Two bytes of 3 and 5 bits and one of 1 bit: 9 bits over 3 bytes.
    #[test]
    fn bits_per_byte_are_all_bits_over_all_bytes() {
        let score = |bits: f64, rows, units| Score {
            loss: bits * LN_2,
            rows,
            correct: 0,
            units,
            label: 0,
            predicted: 0,
            log_confidence: 0.0,
        };
        let scores = [score(8.0, 2, 2.0), score(1.0, 1, 1.0)];
        let metrics = CausalLm {}.metrics(&scores);
        assert!((metrics.get(BITS_PER_BYTE).unwrap() - 3.0).abs() < 1e-12);
        assert!((metrics.get(PERPLEXITY).unwrap() - 8.0).abs() < 1e-12);
        let predictions = CausalLm {}.predictions(&scores).scores();
        assert!((predictions.iter().sum::<f64>() / 2.0 - 3.0).abs() < 1e-12);
    }

    /// Bytes that are all equally likely take 8 bits each.
    #[test]
    fn guessing_bytes_takes_eight_bits() {
        let data = Dataset {
            name: "test".into(),
            classes: Vec::new(),
            train: part(),
            validation: part(),
            test: part(),
            sha256: String::new(),
            differences: Vec::new(),
        };
        assert!((CausalLm {}.metric(&data).guessing - 8.0).abs() < 1e-12);
    }
}
