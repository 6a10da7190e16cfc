//! Profiles over tasks: how often a score or a time is reached.

/// Ratio to the fastest at which a time-to-target profile ends, as in AlgoPerf.
const LONGEST: f64 = 4.0;

/// The performance profile of runs (Dolan and Moré 2002; as score distributions, Agarwal et al. 2021): for each
/// of `thresholds` the share of runs that score more, averaged over `tasks`, each counting the same.
///
/// A task without a run counts nothing; without any run every share is 0.
#[must_use]
pub fn performance_profile(tasks: &[Vec<f64>], thresholds: &[f64]) -> Vec<f64> {
    let counted = tasks.iter().filter(|runs| !runs.is_empty()).count().max(1) as f64;
    let mut shares = vec![0.0; thresholds.len()];
    for runs in tasks.iter().filter(|runs| !runs.is_empty()) {
        let mut sorted = runs.clone();
        sorted.sort_by(f64::total_cmp);
        for (share, threshold) in shares.iter_mut().zip(thresholds) {
            let above = sorted.len() - sorted.partition_point(|score| score <= threshold);
            *share += above as f64 / sorted.len() as f64 / counted;
        }
    }
    shares
}

/// The score of AlgoPerf (Dahl et al. 2023) for times to a target: the share of tasks on which an arm's time is
/// at most τ times the fastest arm's, averaged over τ from 1 to 4. 1 is the fastest on every task; 0 takes more
/// than four times as long on every task, or misses the targets.
///
/// `times[task][arm]`; a target that is missed is [`None`], or infinite. One score an arm.
#[must_use]
pub fn time_to_target_score(times: &[Vec<Option<f64>>]) -> Vec<f64> {
    let arms = times.first().map_or(0, Vec::len);
    let mut scores = vec![0.0; arms];
    for task in times {
        let time = |time: &Option<f64>| time.unwrap_or(f64::INFINITY);
        let fastest = task.iter().map(time).fold(f64::INFINITY, f64::min);
        for (score, arm) in scores.iter_mut().zip(task) {
            // 0 / 0: a target that is met before the first step.
            let ratio = if time(arm) <= fastest { 1.0 } else { time(arm) / fastest };
            if fastest.is_finite() && ratio < LONGEST {
                *score += (LONGEST - ratio) / (LONGEST - 1.0) / times.len() as f64;
            }
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_falls_from_one_to_zero() {
        let tasks = [vec![0.5, 0.7, 0.7, 0.9], vec![0.6, 0.8]];
        let shares = performance_profile(&tasks, &[0.0, 0.5, 0.6, 0.7, 0.85, 0.9]);
        // A score of just the threshold is not above it.
        assert_eq!(shares, [1.0, 0.875, 0.625, 0.375, 0.125, 0.0]);
        assert_eq!(performance_profile(&[vec![]], &[0.1]), [0.0]);
    }

    #[test]
    fn the_area_under_a_time_to_target_profile() {
        // On the first task 1 and 2 times the fastest, on the second a miss and 1.
        let scores = time_to_target_score(&[
            vec![Some(100.0), Some(200.0), Some(500.0)],
            vec![None, Some(50.0), Some(f64::INFINITY)],
        ]);
        assert!((scores[0] - 0.5).abs() < 1e-12);
        assert!((scores[1] - 0.5 * (2.0 / 3.0 + 1.0)).abs() < 1e-12);
        assert_eq!(scores[2], 0.0);
    }

    #[test]
    fn targets_that_no_activation_meets_count_for_none() {
        assert_eq!(time_to_target_score(&[vec![None, None]]), [0.0, 0.0]);
        assert_eq!(time_to_target_score(&[vec![Some(0.0), Some(0.0)]]), [1.0, 1.0]);
        assert!(time_to_target_score(&[]).is_empty());
    }
}
