//! How well a network predicts: its loss in training, and its scores by example in evaluation.

use crate::data::{Answers, Targets};
use actlab_kernels::{log_probabilities, read_at_once};
use burn::Tensor;
use burn::tensor::{Int, TensorData, Transaction};

pub use actlab_kernels::cross_entropy;

/// What a network predicts of one example.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Cross-entropy in nats, −ln of the probability of what is right, summed over its rows.
    pub loss: f64,
    /// Rows of logits that are about it: one for a class, one for each token that is predicted.
    pub rows: usize,
    /// Rows whose largest logit is the right one's.
    pub correct: usize,
    /// What its loss is related to, as bytes of a text.
    pub units: f64,
    /// The right output of its first row.
    pub label: usize,
    /// The output with the largest logit in its first row.
    pub predicted: usize,
    /// Natural logarithm of the probability of `predicted`.
    pub log_confidence: f64,
}

/// What decides the scores of a batch, on its device.
#[derive(Debug)]
pub struct UnreadScores {
    /// ln of the probability of the right output of each row, `[rows, 1]`.
    right: Tensor<2>,
    /// The same of the output that is predicted.
    confidence: Tensor<2>,
    predicted: Tensor<2, Int>,
    answers: Answers,
}

impl UnreadScores {
    /// Those of a batch, by the logits `[rows, outputs]` of a network.
    #[must_use]
    pub fn of(logits: Tensor<2>, targets: Targets) -> Self {
        let [count, _] = logits.dims();
        let log_probabilities = log_probabilities(logits.clone());
        let of = |outputs: Tensor<2, Int>| log_probabilities.clone().gather(1, outputs);
        let predicted = logits.argmax(1);
        Self {
            right: of(targets.labels.reshape([count, 1])),
            confidence: of(predicted.clone()),
            predicted,
            answers: targets.answers,
        }
    }

    /// The scores of the examples of some batches, in their order, which are read at once.
    #[must_use]
    pub fn read(batches: Vec<Self>) -> Vec<Score> {
        if batches.is_empty() {
            return Vec::new();
        }
        let mut tensors = Transaction::default();
        let mut answers = Vec::with_capacity(batches.len());
        for batch in batches {
            // Three numbers of a row alone.
            tensors =
                tensors.register(batch.right).register(batch.confidence).register(batch.predicted);
            answers.push(batch.answers);
        }
        let read = read_at_once(tensors);
        answers
            .iter()
            .zip(read.chunks_exact(3))
            .flat_map(|(answers, read)| scores(answers, [&read[0], &read[1], &read[2]]))
            .collect()
    }
}

/// The scores of the examples of a batch.
fn scores(answers: &Answers, [right, confidence, predicted]: [&TensorData; 3]) -> Vec<Score> {
    let mut rows = answers
        .classes
        .iter()
        .zip(indices(predicted))
        .zip(right.iter::<f32>().zip(confidence.iter::<f32>()))
        .map(|((label, predicted), (right, confidence))| (*label, predicted, right, confidence));
    answers
        .examples
        .iter()
        .map(|example| {
            let mut score = Score {
                loss: 0.0,
                rows: 0,
                correct: 0,
                units: example.units,
                label: 0,
                predicted: 0,
                log_confidence: 0.0,
            };
            for (label, predicted, right, confidence) in rows.by_ref().take(example.rows) {
                if score.rows == 0 {
                    (score.label, score.predicted) = (label, predicted);
                    score.log_confidence = f64::from(confidence);
                }
                score.loss -= f64::from(right);
                score.rows += 1;
                score.correct += usize::from(label == predicted);
            }
            score
        })
        .collect()
}

/// Mean loss of a row in nats.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn mean_loss(scores: &[Score]) -> f64 {
    let rows: usize = scores.iter().map(|score| score.rows).sum();
    scores.iter().map(|score| score.loss).sum::<f64>() / rows.max(1) as f64
}

/// Fraction of the rows that were predicted rightly.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn accuracy(scores: &[Score]) -> f64 {
    let rows: usize = scores.iter().map(|score| score.rows).sum();
    let correct: usize = scores.iter().map(|score| score.correct).sum();
    correct as f64 / rows.max(1) as f64
}

/// Whole numbers that were read from a device, none of them negative.
pub(crate) fn indices(data: &TensorData) -> Vec<usize> {
    data.iter::<i64>().map(|index| usize::try_from(index).unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Share;
    use burn::tensor::Device;

    #[test]
    fn label_smoothing_is_spread_over_all_classes() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[1.0, 2.0, 3.0]], &device);
        let labels = Tensor::<1, Int>::from_ints([0], &device);
        // ln(e + e² + e³)
        let z = 3.407_605_964_444_38;
        let plain = cross_entropy(logits.clone(), labels.clone(), 0.0).into_scalar::<f32>();
        assert!((f64::from(plain) - (z - 1.0)).abs() < 1e-6);
        let smooth = cross_entropy(logits, labels, 0.3).into_scalar::<f32>();
        assert!((f64::from(smooth) - (z - (0.7 * 1.0 + 0.3 * 2.0))).abs() < 1e-6);
    }

    #[test]
    fn ties_go_to_the_first() {
        let logits = Tensor::<2>::from_floats([[1.0, 1.0], [0.0, 2.0]], &Device::flex());
        assert_eq!(indices(&logits.argmax(1).into_data()), [0, 1]);
    }

    /// softmax(1, 2, 3) and softmax(0, 1, 0).
    #[test]
    fn rows_are_summed_over_their_examples() {
        let logits = Tensor::<2>::from_floats(
            [[1.0, 2.0, 3.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]],
            &Device::flex(),
        );
        let share = |rows| Share { rows, units: 2.0 };
        let targets = Targets {
            labels: Tensor::from_ints([0, 1, 2], &Device::flex()),
            positions: None,
            answers: Answers { classes: vec![0, 1, 2], examples: vec![share(1), share(2)] },
        };
        let scores = UnreadScores::read(vec![UnreadScores::of(logits, targets)]);
        let [a, b, c] =
            [0.090_030_573_170_380_46_f64, 0.576_116_884_765_829_5, 0.211_941_557_617_085_25];
        assert!((scores[0].loss + libm::log(a)).abs() < 1e-6, "{:?}", scores[0]);
        assert!((scores[1].loss + libm::log(b) + libm::log(c)).abs() < 1e-6, "{:?}", scores[1]);
        assert_eq!((scores[0].predicted, scores[1].predicted, scores[1].correct), (2, 1, 1));
        assert!((libm::exp(scores[0].log_confidence) - 0.665_240_955_774_821_9).abs() < 1e-6);
        assert!(
            (mean_loss(&scores) + (libm::log(a) + libm::log(b) + libm::log(c)) / 3.0).abs() < 1e-6
        );
        assert!((accuracy(&scores) - 1.0 / 3.0).abs() < 1e-12);
    }
}
