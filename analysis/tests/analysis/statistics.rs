//! Statistics against NumPy and SciPy, and the properties that they must have whatever the values.

use analysis::statistics::{Bootstrap, Estimate, mean, median, standard_deviation};
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `fixtures/statistics.json`, which `fixtures/statistics.py` computes.
#[derive(Deserialize)]
struct Oracle {
    scores: BTreeMap<String, Vec<[f64; 2]>>,
    overall_mean: BTreeMap<String, f64>,
    arms: BTreeMap<String, [Figures; 2]>,
    differences: BTreeMap<String, [Figures; 2]>,
}

#[derive(Deserialize)]
struct Figures {
    mean: f64,
    sd: f64,
    median: f64,
    low: f64,
    high: f64,
    low_bca: f64,
    high_bca: f64,
}

impl Oracle {
    fn load() -> Self {
        serde_json::from_str(include_str!("fixtures/statistics.json"))
            .expect("the fixture has these fields")
    }

    fn values(&self, activation: &str, task: usize) -> Vec<f64> {
        self.scores[activation].iter().map(|scores| scores[task]).collect()
    }

    /// Every sample of the oracle, with its name and figures: arms, then paired differences to relu.
    fn samples(&self) -> Vec<(String, Vec<f64>, &Figures)> {
        let mut samples = Vec::new();
        for (name, tasks) in &self.arms {
            for (task, figures) in tasks.iter().enumerate() {
                samples.push((format!("{name} {task}"), self.values(name, task), figures));
            }
        }
        for (name, tasks) in &self.differences {
            for (task, figures) in tasks.iter().enumerate() {
                let pairs = self.values(name, task).into_iter().zip(self.values("relu", task));
                let differences = pairs.map(|(a, b)| a - b).collect();
                samples.push((format!("{name} − relu {task}"), differences, figures));
            }
        }
        assert_eq!(samples.len(), 5 * 2 + 4 * 2);
        samples
    }
}

#[track_caller]
fn assert_close(name: &str, ours: f64, theirs: f64, tolerance: f64) {
    assert!((ours - theirs).abs() <= tolerance, "{name}: {ours} instead of {theirs} ± {tolerance}");
}

#[test]
fn means_spreads_and_medians_are_those_of_numpy() {
    let oracle = Oracle::load();
    for (name, values, figures) in oracle.samples() {
        assert_close(&name, mean(&values).unwrap(), figures.mean, 1e-12);
        assert_close(&name, standard_deviation(&values).unwrap(), figures.sd, 1e-12);
        assert_close(&name, median(&values).unwrap(), figures.median, 1e-12);
    }
    for (name, theirs) in &oracle.overall_mean {
        let all: Vec<f64> = oracle.scores[name].iter().flatten().copied().collect();
        assert_close(name, mean(&all).unwrap(), *theirs, 1e-12);
    }
}

/// Bounds of two independent sets of resamples differ by their Monte-Carlo error. A percentile p of R
/// values has the standard error √(p(1 − p)/R) / f(p); for a nearly normal distribution of means of
/// standard error s this is 2.7 s/√R at the 2.5th. The tolerance is five of it.
#[test]
fn intervals_are_those_of_scipy_within_monte_carlo_error() {
    for resamples in [10_000, 100_000] {
        let bootstrap = Bootstrap { resamples, seed: 1 };
        for (name, values, figures) in Oracle::load().samples() {
            let estimate = Estimate::of(&values, &bootstrap).unwrap();
            let interval = estimate.bootstrap.unwrap();
            let standard_error = figures.sd / (values.len() as f64).sqrt();
            // The oracle's own million resamples have an error too.
            let tolerance = 5.0 * 2.7 * standard_error * (1.0 / resamples as f64 + 1e-6).sqrt();
            assert_eq!(estimate.n, 10);
            assert_close(&name, interval.low, figures.low, tolerance);
            assert_close(&name, interval.high, figures.high, tolerance);
            // Its bias is estimated too, and its percentiles lie further out.
            let bca = bootstrap.mean_bca(&values).unwrap();
            assert_close(&name, bca.low, figures.low_bca, 2.0 * tolerance);
            assert_close(&name, bca.high, figures.high_bca, 2.0 * tolerance);
        }
    }
}

/// With five values there are only 5⁵ resamples: all of them give the exact percentiles.
#[test]
fn the_interval_approaches_the_exact_one() {
    let values = [0.8325, 0.8412, 0.8257, 0.8391, 0.8303];
    let mut means = Vec::new();
    for code in 0..5usize.pow(5) {
        let total: f64 = (0..5).map(|draw| values[code / 5usize.pow(draw) % 5]).sum();
        means.push(total / 5.0);
    }
    means.sort_by(f64::total_cmp);
    // Between the exact 2.4th and 2.6th percentile: √(p(1 − p)/R) is 0.016 % of 10⁶ resamples.
    let at = |probability: f64| means[(probability * 3124.0).round() as usize];
    let interval = Bootstrap { resamples: 1_000_000, seed: 3 }.mean(&values).unwrap();
    assert!(at(0.024) <= interval.low && interval.low <= at(0.026), "{interval:?}");
    assert!(at(0.974) <= interval.high && interval.high <= at(0.976), "{interval:?}");
}

const QUICK: Bootstrap = Bootstrap { resamples: 500, seed: 11 };

fn accuracies() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(0.0..1.0f64, 2..12)
}

proptest! {
    #[test]
    fn an_interval_lies_within_the_values(values in accuracies()) {
        let interval = QUICK.mean(&values).unwrap();
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        prop_assert!(least <= interval.low);
        prop_assert!(interval.low <= interval.high);
        prop_assert!(interval.high <= greatest);
    }

    #[test]
    fn an_interval_ignores_the_order_of_values(
        (values, shuffled) in accuracies().prop_flat_map(|values| {
            (Just(values.clone()), Just(values).prop_shuffle())
        })
    ) {
        prop_assert_eq!(QUICK.mean(&values), QUICK.mean(&shuffled));
    }

    #[test]
    fn an_interval_moves_with_its_values(values in accuracies(), by in -10.0..10.0f64) {
        let moved: Vec<f64> = values.iter().map(|value| value + by).collect();
        let (interval, moved) = (QUICK.mean(&values).unwrap(), QUICK.mean(&moved).unwrap());
        prop_assert!((moved.low - interval.low - by).abs() < 1e-12);
        prop_assert!((moved.high - interval.high - by).abs() < 1e-12);
    }

    #[test]
    fn an_interval_stretches_with_its_values(values in accuracies(), by in 0.01..100.0f64) {
        let stretched: Vec<f64> = values.iter().map(|value| value * by).collect();
        let (interval, stretched) = (QUICK.mean(&values).unwrap(), QUICK.mean(&stretched).unwrap());
        prop_assert!((stretched.low - interval.low * by).abs() < 1e-12 * by);
        prop_assert!((stretched.high - interval.high * by).abs() < 1e-12 * by);
    }

    #[test]
    fn equal_values_have_an_interval_of_no_width(value in 0.0..1.0f64, n in 2usize..12) {
        let interval = QUICK.mean(&vec![value; n]).unwrap();
        prop_assert_eq!((interval.low, interval.high), (value, value));
    }

    #[test]
    fn spread_is_that_of_the_definition(values in accuracies(), by in -10.0..10.0f64) {
        let centre = mean(&values).unwrap();
        let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
        let expected = (squares / (values.len() - 1) as f64).sqrt();
        let moved: Vec<f64> = values.iter().map(|value| value + by).collect();
        prop_assert!((standard_deviation(&values).unwrap() - expected).abs() < 1e-12);
        prop_assert!((standard_deviation(&moved).unwrap() - expected).abs() < 1e-12);
    }
}
