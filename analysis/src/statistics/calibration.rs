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
    if predictions.is_empty() {
        return None;
    }
    // Sums of confidence minus correctness.
    let mut gaps = [0.0_f64; BINS];
    for (confidence, correct) in predictions {
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        gaps[bin] += confidence - f64::from(u8::from(*correct));
    }
    Some(gaps.iter().map(|gap| gap.abs()).sum::<f64>() / predictions.len() as f64)
}

/// The share of examples that two runs classify differently, as the mean over all pairs of runs: also called churn,
/// or prediction difference (Shamir and Coviello 2020). `classes[run][example]` is what a run says.
///
/// [`None`] of fewer than two runs, or where runs differ in their examples.
#[must_use]
pub fn disagreement(classes: &[impl AsRef<[usize]>]) -> Option<f64> {
    let classes: Vec<&[usize]> = classes.iter().map(AsRef::as_ref).collect();
    let examples = classes.first()?.len();
    if classes.len() < 2 || examples == 0 || classes.iter().any(|run| run.len() != examples) {
        return None;
    }
    let pairs = (classes.len() * (classes.len() - 1) / 2) as f64;
    let mut differing = 0_u64;
    // How many runs say what, of an example. Runs agree mostly: few classes are looked through.
    let mut counts: Vec<(usize, u64)> = Vec::new();
    for example in 0..examples {
        counts.clear();
        for run in &classes {
            let class = run[example];
            match counts.iter_mut().find(|(known, _)| *known == class) {
                Some((_, count)) => *count += 1,
                None => counts.push((class, 1)),
            }
        }
        let alike: u64 = counts.iter().map(|(_, n)| n * (n - 1) / 2).sum();
        differing += (classes.len() * (classes.len() - 1) / 2) as u64 - alike;
    }
    Some(differing as f64 / pairs / examples as f64)
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
    }

    #[test]
    fn disagreement_is_over_pairs_of_runs() {
        let runs = [vec![0, 1, 2, 2], vec![0, 1, 1, 2], vec![0, 0, 0, 2]];
        // Of three pairs: two differ on the second example, three on the third.
        assert!((disagreement(&runs).unwrap() - 5.0 / 3.0 / 4.0).abs() < 1e-12);
        assert_eq!(disagreement(&runs[..1]), None);
        assert_eq!(disagreement(&[vec![1], vec![1, 2]]), None);
    }
}
