//! What predictions for single examples show beyond accuracy.

/// Bins of confidence in [`expected_calibration_error`], as in Guo et al. 2017.
const BINS: usize = 15;

/// Probabilities below this count as it: single precision knows none between it and 0.
const LEAST: f64 = 1e-38;

/// Negative log-likelihood in nats: the mean of −ln of the probabilities that were given to the true classes.
#[must_use]
pub fn negative_log_likelihood(probabilities: &[f64]) -> Option<f64> {
    let logs: Vec<f64> = probabilities.iter().map(|p| -libm::log(p.max(LEAST))).collect();
    super::mean(&logs)
}

/// Expected calibration error (Naeini et al. 2015; Guo et al. 2017): how far confidence lies off accuracy in bins
/// of equal width, averaged over examples. Takes the probability given to the predicted class, and whether it was
/// right.
#[must_use]
pub fn expected_calibration_error(predictions: &[(f64, bool)]) -> Option<f64> {
    let mut calibration = Calibration::default();
    predictions.iter().for_each(|(confidence, correct)| calibration.add(*confidence, *correct));
    calibration.error()
}

/// What [`expected_calibration_error`] is made of, while predictions are read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calibration {
    /// Sums of confidence minus correctness.
    gaps: [f64; BINS],
    examples: usize,
}

impl Calibration {
    /// Adds an example.
    pub(crate) fn add(&mut self, confidence: f64, correct: bool) {
        let scaled = confidence * BINS as f64;
        // Towards zero, and one more where that leaves something: as rounded up, of what is not negative.
        let whole = scaled as usize;
        let bin = whole.saturating_add(usize::from(scaled > whole as f64)).clamp(1, BINS) - 1;
        self.gaps[bin] += confidence - f64::from(u8::from(correct));
        self.examples += 1;
    }

    /// The error of the examples so far; nothing of none.
    pub(crate) fn error(&self) -> Option<f64> {
        let gaps = self.gaps.iter().map(|gap| gap.abs()).sum::<f64>();
        (self.examples > 0).then(|| gaps / self.examples as f64)
    }
}

/// Classes up to which each has a count for every example.
const FEW_CLASSES: usize = 64;

/// The share of examples that two runs classify differently, as the mean over all pairs of runs: also called churn,
/// or prediction difference (Shamir and Coviello 2020). `classes[run][example]` is what a run says.
///
/// [`None`] of fewer than two runs, or where runs differ in their examples.
#[must_use]
pub fn disagreement(classes: &[impl AsRef<[u32]>]) -> Option<f64> {
    let classes: Vec<&[u32]> = classes.iter().map(AsRef::as_ref).collect();
    let examples = classes.first()?.len();
    if classes.len() < 2 || examples == 0 || classes.iter().any(|run| run.len() != examples) {
        return None;
    }
    let pairs = classes.len() as u64 * (classes.len() as u64 - 1) / 2;
    let largest = classes.iter().map(|run| run.iter().copied().fold(0, u32::max)).max()?;
    let alike: u64 = if (largest as usize) < FEW_CLASSES {
        alike_of_few(&classes, largest as usize + 1)
    } else {
        (0..examples).map(|example| alike_at(&classes, example)).sum()
    };
    let differing = pairs * examples as u64 - alike;
    Some(differing as f64 / pairs as f64 / examples as f64)
}

/// Pairs of runs that say the same of an example, summed over all examples, of which there are so many classes. Runs
/// are gone through one after the other, as they lie in memory.
fn alike_of_few(classes: &[&[u32]], count: usize) -> u64 {
    let examples = classes.first().map_or(0, |run| run.len());
    let mut times = vec![0_u32; examples * count];
    for run in classes {
        for (times, class) in times.chunks_exact_mut(count).zip(*run) {
            times[*class as usize] += 1;
        }
    }
    times.into_iter().map(u64::from).map(|n| n * n.saturating_sub(1) / 2).sum()
}

/// The same for one example of any classes. Runs agree mostly: few classes are looked through.
fn alike_at(classes: &[&[u32]], example: usize) -> u64 {
    let mut counts: Vec<(u32, u64)> = Vec::new();
    for run in classes {
        let class = run[example];
        match counts.iter_mut().find(|(known, _)| *known == class) {
            Some((_, count)) => *count += 1,
            None => counts.push((class, 1)),
        }
    }
    counts.iter().map(|(_, n)| n * (n - 1) / 2).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likelihood_of_what_is_sure_and_of_what_is_not() {
        let nll = negative_log_likelihood(&[1.0, 0.5]).unwrap();
        assert!((nll - 0.5 * std::f64::consts::LN_2).abs() < 1e-12);
        assert!(negative_log_likelihood(&[0.0]).unwrap().is_finite());
        assert_eq!(negative_log_likelihood(&[]), None);
    }

    #[test]
    fn calibration_is_the_gap_in_each_bin() {
        // Four examples at 0.75, three of them right: perfect. Two at 0.95, one right: a gap of 0.45.
        let mut predictions = vec![(0.75, true), (0.75, true), (0.75, true), (0.75, false)];
        assert!(expected_calibration_error(&predictions).unwrap() < 1e-12);
        predictions.extend([(0.95, true), (0.95, false)]);
        let error = expected_calibration_error(&predictions).unwrap();
        assert!((error - 0.9 / 6.0).abs() < 1e-12, "{error}");
        assert_eq!(expected_calibration_error(&[(1.0, true), (0.0, false)]), Some(0.0));
        assert_eq!(expected_calibration_error(&[]), None);
    }

    /// A bin holds its upper edge. What is no probability is in the bin next to it.
    #[test]
    fn confidence_is_rounded_up() {
        for place in 0..=3000 {
            let confidence = f64::from(place) / 3000.0;
            for confidence in [confidence, confidence.next_up(), confidence.next_down()] {
                let expected = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
                let mut calibration = Calibration::default();
                calibration.add(confidence, false);
                if confidence != 0.0 {
                    assert_eq!(calibration.gaps[expected], confidence, "{confidence}");
                }
            }
        }
        for confidence in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let mut calibration = Calibration::default();
            calibration.add(confidence, false);
            let expected = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            assert_eq!(calibration.gaps[expected].to_bits(), confidence.to_bits());
        }
    }

    #[test]
    fn disagreement_is_over_pairs_of_runs() {
        let runs = [[0, 1, 2, 2], [0, 1, 1, 2], [0, 0, 0, 2]];
        // Of three pairs: two differ on the second example, three on the third.
        assert!((disagreement(&runs).unwrap() - 5.0 / 3.0 / 4.0).abs() < 1e-12);
        assert_eq!(disagreement(&runs[..1]), None);
        let many = runs.map(|run| run.map(|class| class * 30_000));
        assert_eq!(disagreement(&many), disagreement(&runs));
        assert_eq!(disagreement(&[vec![1], vec![1, 2]]), None);
    }
}
