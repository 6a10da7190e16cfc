//! What a network says of examples, and how good that is.

use burn::Tensor;
use burn::tensor::{Int, activation::log_softmax};
use record::{Evaluation, Prediction};

/// What the network says about one example.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    label: usize,
    predicted: usize,
    /// Cross-entropy in nats: −ln of the probability of the true class.
    loss: f64,
    /// Natural logarithm of the probability of the predicted class.
    log_confidence: f64,
}

/// What `logits`, `[batch, classes]`, say about examples whose true classes are `labels`.
pub(crate) fn said(logits: Tensor<2>, labels: &[usize]) -> Vec<Said> {
    let [_, classes] = logits.dims();
    let log_probabilities: Vec<f32> =
        log_softmax(logits.clone(), 1).into_data().convert::<f32>().iter::<f32>().collect();
    labels
        .iter()
        .zip(largest(logits))
        .zip(log_probabilities.chunks_exact(classes))
        .map(|((label, predicted), row)| Said {
            label: *label,
            predicted,
            loss: -f64::from(row[*label]),
            log_confidence: f64::from(row[predicted]),
        })
        .collect()
}

impl Said {
    /// As a line of `predictions.csv`, of the example at `index` of the test split.
    pub(crate) fn prediction(&self, index: usize) -> Prediction {
        Prediction {
            index,
            label: self.label,
            predicted: self.predicted,
            probability: libm::exp(-self.loss),
            confidence: Some(libm::exp(self.log_confidence)),
        }
    }
}

/// Mean loss and accuracy over what was said.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub(crate) fn evaluation(step: u64, epoch: f64, said: &[Said]) -> Evaluation {
    let n = said.len().max(1) as f64;
    let loss = said.iter().map(|said| said.loss).sum::<f64>() / n;
    let correct = said.iter().filter(|said| said.predicted == said.label).count();
    Evaluation { step, epoch, loss, accuracy: correct as f64 / n }
}

/// Higher accuracy, then lower loss; an equal one that comes later is not better.
pub(crate) fn better(candidate: &Evaluation, best: &Evaluation) -> bool {
    candidate.accuracy > best.accuracy
        || (candidate.accuracy >= best.accuracy && candidate.loss < best.loss)
}

/// Cross-entropy of each example, `[batch]`, in nats; `smoothing` is spread evenly over all classes
/// (Szegedy et al. 2016).
///
/// Takes logits of shape `[batch, classes]` and classes of shape `[batch]`.
#[must_use]
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, smoothing: f64) -> Tensor<1> {
    let [batch, _] = logits.dims();
    let log_probabilities = log_softmax(logits, 1);
    let target = log_probabilities.clone().gather(1, labels.reshape([batch, 1])).reshape([batch]);
    if smoothing == 0.0 {
        return target.neg();
    }
    let mean = log_probabilities.mean_dim(1).reshape([batch]);
    (target * (1.0 - smoothing) + mean * smoothing).neg()
}

/// The class with the largest logit of each example, for logits `[batch, classes]`; the first of equal ones.
pub(crate) fn largest(logits: Tensor<2>) -> Vec<usize> {
    let [_, classes] = logits.dims();
    let values: Vec<f32> = logits.into_data().iter::<f32>().collect();
    values
        .chunks_exact(classes)
        .map(|row| {
            let mut best = 0;
            for (class, logit) in row.iter().enumerate() {
                if *logit > row[best] {
                    best = class;
                }
            }
            best
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(largest(logits), [0, 1]);
        let evaluation = |accuracy, loss| Evaluation { step: 1, epoch: 1.0, loss, accuracy };
        assert!(better(&evaluation(0.6, 2.0), &evaluation(0.5, 1.0)));
        assert!(better(&evaluation(0.5, 0.9), &evaluation(0.5, 1.0)));
        assert!(!better(&evaluation(0.5, 1.0), &evaluation(0.5, 1.0)));
    }

    #[test]
    fn probabilities_of_the_true_and_of_the_predicted_class() {
        let logits = Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]], &Device::flex());
        let said = said(logits.clone(), &[0, 1]);
        let labels = Tensor::<1, Int>::from_ints([0, 1], &Device::flex());
        let losses: Vec<f32> = cross_entropy(logits, labels, 0.0).into_data().iter().collect();
        for (index, (said, loss)) in said.iter().zip(losses).enumerate() {
            assert_eq!(said.loss, f64::from(loss));
            let Prediction { probability, confidence, predicted, .. } = said.prediction(index);
            // softmax(1, 2, 3) and softmax(0, 1, 0)
            let (by_label, by_predicted, class) = [
                (0.090_030_573_170_380_46, 0.665_240_955_774_821_9, 2),
                (0.576_116_884_765_829_5, 0.576_116_884_765_829_5, 1),
            ][index];
            assert!((probability - by_label).abs() < 1e-7, "{probability}");
            assert!((confidence.unwrap() - by_predicted).abs() < 1e-7, "{confidence:?}");
            assert_eq!(predicted, class);
        }
    }
}
