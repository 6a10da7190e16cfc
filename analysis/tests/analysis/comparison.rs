//! Comparisons against SciPy, rliable, scikit-posthocs and statsmodels.

use analysis::statistics::{
    Bootstrap, Ranks, Test, cliffs_delta, cohen_d, holm, interquartile_mean, mann_whitney,
    mann_whitney_asymptotic, optimality_gap, paired_t, probability_of_improvement, welch, wilcoxon,
    wilcoxon_asymptotic,
};
use analysis::{ArmScores, Comparison, Rules, TaskScores, Verdict};
use serde_json::Value;

/// Ten seeds of five activations on two tasks, and what others make of them.
struct Oracle {
    scores: Value,
    figures: Value,
}

const ACTIVATIONS: [&str; 5] = ["relu", "leaky_relu", "gelu", "silu", "swiglu"];

impl Oracle {
    fn load() -> Self {
        let scores: Value = serde_json::from_str(include_str!("fixtures/statistics.json")).unwrap();
        let figures = serde_json::from_str(include_str!("fixtures/comparison.json")).unwrap();
        Self { scores: scores["scores"].clone(), figures }
    }

    fn values(&self, activation: &str, task: usize) -> Vec<f64> {
        let runs = self.scores[activation].as_array().unwrap();
        runs.iter().map(|scores| scores[task].as_f64().unwrap()).collect()
    }

    fn differences(&self, activation: &str, task: usize) -> Vec<f64> {
        let pairs = self.values(activation, task).into_iter().zip(self.values("relu", task));
        // Scores have four decimals, and so have their differences.
        pairs.map(|(a, b)| ((a - b) * 1e4).round() / 1e4).collect()
    }

    fn test(&self, name: &str) -> Test {
        let figure = &self.figures[name];
        Test { statistic: figure[0].as_f64().unwrap(), p: figure[1].as_f64().unwrap() }
    }

    fn tasks(&self) -> Vec<TaskScores> {
        let arm = |activation: &str, task| ArmScores {
            activation: activation.to_owned(),
            runs: (0..)
                .map(|seed: u32| seed.to_string())
                .zip(self.values(activation, task))
                .collect(),
        };
        (0..2)
            .map(|task| TaskScores {
                task: format!("task {task}"),
                arms: ACTIVATIONS.map(|activation| arm(activation, task)).to_vec(),
            })
            .collect()
    }
}

#[track_caller]
fn assert_close(name: &str, ours: f64, theirs: f64) {
    let tolerance = 1e-9 * theirs.abs().max(1.0);
    assert!((ours - theirs).abs() <= tolerance, "{name}: {ours} instead of {theirs}");
}

/// p values are compared relative to their size: small ones matter.
#[track_caller]
fn assert_test(name: &str, ours: Test, theirs: Test) {
    assert_close(name, ours.statistic, theirs.statistic);
    assert!((ours.p / theirs.p - 1.0).abs() < 1e-9, "{name}: {} instead of {}", ours.p, theirs.p);
}

#[test]
fn pairwise_tests() {
    let oracle = Oracle::load();
    let (gelu, relu) = (oracle.values("gelu", 0), oracle.values("relu", 0));
    let differences = oracle.differences("gelu", 0);
    assert_test("welch", welch(&gelu, &relu).unwrap(), oracle.test("welch"));
    assert_test("paired t", paired_t(&differences).unwrap(), oracle.test("paired_t"));
    assert_test("wilcoxon", wilcoxon(&differences).unwrap(), oracle.test("wilcoxon_exact"));
    assert_test("mwu", mann_whitney(&gelu, &relu).unwrap(), oracle.test("mwu_exact"));
    let asymptotic = mann_whitney_asymptotic(&gelu, &relu).unwrap();
    assert_test("mwu asymptotic", asymptotic, oracle.test("mwu_asym"));
    assert_close("d", cohen_d(&gelu, &relu).unwrap(), oracle.figures["cohen_d"].as_f64().unwrap());
    let delta = oracle.figures["cliffs_delta"].as_f64().unwrap();
    assert_close("cliff", cliffs_delta(&gelu, &relu).unwrap(), delta);
}

#[test]
fn corrections() {
    let figures = &Oracle::load().figures["holm_vs_relu"];
    let names = ["leaky_relu", "gelu", "silu", "swiglu"];
    let raw = names.map(|name| figures["raw"][name].as_f64().unwrap());
    for (name, adjusted) in names.iter().zip(holm(&raw)) {
        assert_close(name, adjusted, figures["adj"][name].as_f64().unwrap());
    }
    // The raw ones: exact where no two differences are of one size, else by the normal distribution.
    let oracle = Oracle::load();
    for name in names {
        let both = [oracle.differences(name, 0), oracle.differences(name, 1)].concat();
        let expected = figures["raw"][name].as_f64().unwrap();
        let exact = wilcoxon(&both).unwrap().p;
        let normal = wilcoxon_asymptotic(&both).unwrap().p;
        let closest = if (exact / expected - 1.0).abs() < 1e-9 { exact } else { normal };
        assert!((closest / expected - 1.0).abs() < 1e-9, "{name}: {exact} {normal} {expected}");
        // Both are of one kind.
        assert!((exact - normal).abs() < 2e-3, "{name}: {exact} {normal}");
    }
}

#[test]
fn ranks_over_blocks() {
    let oracle = Oracle::load();
    let mut blocks = Vec::new();
    for seed in 0..10 {
        for task in 0..2 {
            blocks.push(ACTIVATIONS.map(|name| oracle.values(name, task)[seed]).to_vec());
        }
    }
    let ranks = Ranks::of(&blocks).unwrap();
    for (name, rank) in ACTIVATIONS.iter().zip(&ranks.mean) {
        assert_close(name, *rank, oracle.figures["avg_ranks"][name].as_f64().unwrap());
    }
    assert_test("friedman", ranks.friedman, oracle.test("friedman"));
    assert_test("iman-davenport", ranks.iman_davenport, oracle.test("iman_davenport"));
    let difference = ranks.critical_difference(0.05);
    assert_close("cd", difference, oracle.figures["nemenyi_cd"].as_f64().unwrap());
    let p = oracle.figures["nemenyi_p_relu_gelu"].as_f64().unwrap();
    assert!((ranks.nemenyi(0, 2) - p).abs() < 1e-9, "{} {p}", ranks.nemenyi(0, 2));

    // Critical values for 2 to 10 arms: the critical difference of so many blocks that the error is 1.
    for (k, expected) in oracle.figures["nemenyi_q05_k"].as_object().unwrap() {
        let k: usize = k.parse().unwrap();
        if k < 3 {
            continue;
        }
        let blocks: Vec<Vec<f64>> =
            (0..6).map(|i| (0..k).map(|j| ((i * 7 + j * 3) % 11) as f64).collect()).collect();
        let error = ((k * (k + 1)) as f64 / 36.0).sqrt();
        let ours = Ranks::of(&blocks).unwrap().critical_difference(0.05) / error;
        assert_close(&format!("q of {k}"), ours, expected.as_f64().unwrap());
    }
}

#[test]
fn figures_over_tasks() {
    let oracle = Oracle::load();
    for name in ACTIVATIONS {
        let both = [oracle.values(name, 0), oracle.values(name, 1)].concat();
        let expected = |figure: &str| oracle.figures[figure][name].as_f64().unwrap();
        assert_close(name, interquartile_mean(&both).unwrap(), expected("iqm"));
        assert_close(name, optimality_gap(&both, 1.0).unwrap(), expected("optimality_gap"));
    }
    let improvement: f64 = (0..2)
        .map(|task| {
            let (gelu, relu) = (oracle.values("gelu", task), oracle.values("relu", task));
            probability_of_improvement(&gelu, &relu).unwrap() / 2.0
        })
        .sum();
    assert_close(
        "improvement",
        improvement,
        oracle.figures["poi_gelu_over_relu"].as_f64().unwrap(),
    );
}

fn rules(margin: Option<f64>) -> Rules {
    let bootstrap = Bootstrap { resamples: 1_000, seed: 0 };
    Rules { baseline: "relu".into(), margin, bootstrap }
}

#[test]
fn verdicts_follow_from_the_figures() {
    let oracle = Oracle::load();
    let comparison = Comparison::new(&oracle.tasks(), &rules(None));
    let verdicts: Vec<_> = comparison.tasks[0]
        .arms
        .iter()
        .map(|arm| arm.against.as_ref().map(|against| against.verdict))
        .collect();
    assert_eq!(verdicts[0], None);
    assert!(
        matches!(verdicts[1], Some(Verdict::Undecided { pairs_needed: Some(_) })),
        "{verdicts:?}"
    );
    assert_eq!(verdicts[2], Some(Verdict::Better));
    let overall = comparison.overall.unwrap();
    assert_eq!((overall.blocks, overall.tasks, overall.exploratory), (20, 2, false));

    // The other way round, and with a margin that swallows every difference.
    let worse = Rules { baseline: "gelu".into(), ..rules(None) };
    let relu = Comparison::new(&oracle.tasks(), &worse).tasks[0].arms[0].against.clone().unwrap();
    assert_eq!(relu.verdict, Verdict::Worse);
    let alike = Comparison::new(&oracle.tasks(), &rules(Some(0.05)));
    let all = alike.tasks.iter().flat_map(|task| &task.arms).filter_map(|arm| arm.against.as_ref());
    assert!(all.clone().all(|against| against.verdict == Verdict::Equivalent));
    assert_eq!(all.count(), 8);
}

#[test]
fn seeds_that_do_not_pair_up_are_compared_unpaired() {
    let arm = |activation: &str, runs: &[(&str, f64)]| ArmScores {
        activation: activation.into(),
        runs: runs.iter().map(|(seed, score)| ((*seed).to_owned(), *score)).collect(),
    };
    let task = |arms| vec![TaskScores { task: "t".into(), arms }];
    let relu = arm("relu", &[("1", 0.5), ("2", 0.52), ("3", 0.51)]);
    let comparison = Comparison::new(
        &task(vec![relu.clone(), arm("gelu", &[("4", 0.6), ("5", 0.61), ("6", 0.62)])]),
        &rules(None),
    );
    let against = comparison.tasks[0].arms[1].against.clone().unwrap();
    assert_eq!((against.pairs, against.unpaired, against.paired), (0, 6, false));
    assert_eq!(against.t_test.unwrap().name, "Welch t");
    assert_eq!(against.verdict, Verdict::Better);

    let single = Comparison::new(&task(vec![relu, arm("gelu", &[("1", 0.6)])]), &rules(None));
    let against = single.tasks[0].arms[1].against.clone().unwrap();
    assert_eq!((against.verdict, against.t_test), (Verdict::TooFew, None));
    assert!((against.difference.unwrap() - 0.1).abs() < 1e-12);
    assert_eq!(single.overall, None);
}

#[test]
fn improvement_is_the_share_of_pairs_that_are_won() {
    let mut state = 1_u32;
    // Few different values, so that many are tied.
    let mut draw = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 28) / 4.0 - 2.0
    };
    for size in [1, 2, 7, 40] {
        let a: Vec<f64> = (0..size).map(|_| draw()).collect();
        let b: Vec<f64> = (0..2 * size + 1).map(|_| draw()).collect();
        let won = |x: f64, y: f64| if x == y { 0.5 } else { f64::from(u8::from(x > y)) };
        let wins: f64 = a.iter().flat_map(|x| b.iter().map(move |y| won(*x, *y))).sum();
        let share = wins / (a.len() * b.len()) as f64;
        assert_eq!(probability_of_improvement(&a, &b), Some(share));
        let lost = probability_of_improvement(&b, &a).unwrap();
        assert!((lost + share - 1.0).abs() < 1e-12, "{lost}");
    }
    assert_eq!(probability_of_improvement(&[], &[1.0]), None);
}
