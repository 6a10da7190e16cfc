//! Comparisons against SciPy, rliable, scikit-posthocs and statsmodels.

use analysis::statistics::{
    Bootstrap, Moments, Ranks, Resolution, Test, cliffs_delta, cohen_d, holm, interquartile_mean,
    mann_whitney, mann_whitney_asymptotic, optimality_gap, paired_t, probability_of_improvement,
    welch, wilcoxon, wilcoxon_asymptotic,
};
use analysis::{Against, ArmScores, Comparison, Family, LookPlan, Rules, TaskScores, Verdict};
use proptest::prelude::*;
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
        Resolution::Rounding.differences(&pairs.collect::<Vec<_>>())
    }

    fn test(&self, name: &str) -> Test {
        let figure = &self.figures[name];
        Test { statistic: figure[0].as_f64().unwrap(), p: figure[1].as_f64().unwrap() }
    }

    fn tasks(&self) -> Vec<TaskScores> {
        let arm = |activation: &str, task| {
            let seeds = (0..).map(|seed: u32| seed.to_string());
            ArmScores::new(
                activation.to_owned(),
                seeds.zip(self.values(activation, task)).collect(),
            )
        };
        (0..2)
            .map(|task| TaskScores {
                task: format!("task {task}"),
                arms: ACTIVATIONS.map(|activation| arm(activation, task)).to_vec(),
                guessing: Some(0.1),
                resolution: Resolution::Rounding,
                metric: None,
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
    let moments = [&gelu, &relu].map(|values| Moments::of(values).unwrap());
    assert_test("welch", welch(&moments[0], &moments[1]).unwrap(), oracle.test("welch"));
    assert_test("paired t", paired_t(&differences).unwrap(), oracle.test("paired_t"));
    assert_test("wilcoxon", wilcoxon(&differences).unwrap(), oracle.test("wilcoxon_exact"));
    assert_test("mwu", mann_whitney(&gelu, &relu).unwrap(), oracle.test("mwu_exact"));
    let asymptotic = mann_whitney_asymptotic(&gelu, &relu).unwrap();
    assert_test("mwu asymptotic", asymptotic, oracle.test("mwu_asym"));
    let d = cohen_d(&moments[0], &moments[1]).unwrap();
    assert_close("d", d, oracle.figures["cohen_d"].as_f64().unwrap());
    let delta = oracle.figures["cliffs_delta"].as_f64().unwrap();
    assert_close("cliff", cliffs_delta(&gelu, &relu).unwrap(), delta);
}

#[test]
fn corrections() {
    let figures = &Oracle::load().figures["holm_vs_relu"];
    let names = ["leaky_relu", "gelu", "silu", "swiglu"];
    let raw = names.map(|name| figures["raw"][name].as_f64().unwrap());
    let tests: Vec<(usize, f64)> = raw.into_iter().enumerate().collect();
    for (name, adjusted) in names.iter().zip(holm(&tests, 0.05)) {
        assert_close(name, adjusted.p, figures["adj"][name].as_f64().unwrap());
    }
    // The raw ones: exact where no two differences are of one size, else by the normal distribution.
    let oracle = Oracle::load();
    for name in names {
        let both = [oracle.differences(name, 0), oracle.differences(name, 1)].concat();
        let expected = figures["raw"][name].as_f64().unwrap();
        let exact = wilcoxon(&both).unwrap().p;
        let normal = wilcoxon_asymptotic(&both).unwrap().p;
        // SciPy takes the exact distribution where no two differences are of one size and none is 0.
        let mut sizes: Vec<u64> = both.iter().map(|size| size.abs().to_bits()).collect();
        sizes.sort_unstable();
        let tied = sizes[0] == 0 || sizes.windows(2).any(|pair| pair[0] == pair[1]);
        let same = if tied { normal } else { exact };
        assert!((same / expected - 1.0).abs() < 1e-9, "{name}: {exact} {normal} {expected}");
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
    Rules {
        baseline: "relu".into(),
        margin,
        bootstrap: Bootstrap { resamples: 1_000, seed: 0 },
        family: Family::Report,
        all_pairs: None,
        looks: None,
    }
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
    assert_eq!(verdicts[1], Some(Verdict::Undecided));
    assert_eq!(verdicts[2], Some(Verdict::Better));
    assert_eq!(comparison.comparisons, 8);
    // Two tasks are too few for a test of ranks.
    let overall = comparison.overall.unwrap();
    assert_eq!((overall.blocks, overall.tasks, overall.tests), (2, 2, None));

    // The other way round, and with a margin that swallows every difference.
    let worse = Rules { baseline: "gelu".into(), ..rules(None) };
    let relu = Comparison::new(&oracle.tasks(), &worse).tasks[0].arms[0].against.clone().unwrap();
    assert_eq!(relu.verdict, Verdict::Worse);
    let alike = Comparison::new(&oracle.tasks(), &rules(Some(0.05)));
    let all = alike.tasks.iter().flat_map(|task| &task.arms).filter_map(|arm| arm.against.as_ref());
    assert!(all.clone().all(|against| against.verdict == Verdict::Equivalent));
    assert_eq!(all.count(), 8);
}

/// gelu minus relu by seed, after looks at 3, 5 and 8 seeds with a margin of 2.
fn after_looks(differences: &[f64]) -> Against {
    let arm = |name: &str, scores: Vec<f64>| {
        let seeds = (1..).map(|seed: u64| seed.to_string());
        ArmScores::new(name.to_owned(), seeds.zip(scores).collect())
    };
    let task = TaskScores {
        task: "t".into(),
        arms: vec![
            arm("relu", vec![50.0; differences.len()]),
            arm("gelu", differences.iter().map(|difference| 50.0 + difference).collect()),
        ],
        guessing: None,
        resolution: Resolution::Rounding,
        metric: None,
    };
    let looks = LookPlan {
        seeds: vec![3, 5, 8],
        order: (1..=8).map(|seed: u64| seed.to_string()).collect(),
        finished: differences.len(),
    };
    let comparison = Comparison::new(&[task], &Rules { looks: Some(looks), ..rules(Some(2.0)) });
    comparison.tasks[0].arms[1].against.clone().unwrap()
}

/// What the first look shows and the last contradicts is not claimed.
#[test]
fn a_claim_after_several_looks_has_the_direction_of_the_difference_that_is_shown() {
    let better = after_looks(&[5.01, 5.0, 4.99]);
    assert_eq!(better.verdict, Verdict::Better);
    let turned = after_looks(&[5.01, 5.0, 4.99, 5.0, 5.0, -30.0, -30.0, -30.0]);
    assert_eq!(turned.verdict, Verdict::Undecided);
    // Smaller than at the first look, and still of its direction.
    let smaller = after_looks(&[5.01, 5.0, 4.99, 1.0, 0.0]);
    assert_eq!(smaller.verdict, Verdict::Better);
    assert!(smaller.interval.unwrap().low > 0.0);
}

proptest! {
    #[test]
    fn figures_after_several_looks_do_not_contradict_each_other(
        scale in prop_oneof![Just(0.02), Just(1.0), Just(20.0)],
        shift in -1.0..1.0_f64,
        noise in proptest::collection::vec(-1.0..1.0_f64, 3..=8),
    ) {
        let differences: Vec<f64> =
            noise.iter().map(|noise| 5.0 * shift + scale * noise.powi(3)).collect();
        let against = after_looks(&differences);
        let (difference, interval) = (against.difference.unwrap(), against.interval.unwrap());
        prop_assert!(interval.low <= difference && difference <= interval.high, "{against:?}");
        match against.verdict {
            Verdict::Better => prop_assert!(interval.low > 0.0, "{against:?}"),
            Verdict::Worse => prop_assert!(interval.high < 0.0, "{against:?}"),
            Verdict::Equivalent => {
                prop_assert!(interval.low >= -2.0 && interval.high <= 2.0, "{against:?}");
            }
            Verdict::Undecided => {
                prop_assert!(interval.low <= 0.0 && 0.0 <= interval.high, "{against:?}");
            }
            other => prop_assert!(false, "{other:?}"),
        }
    }
}

/// An interval excludes 0 exactly where the verdict says so, and lies within the margin where it is equivalent.
#[test]
fn intervals_and_verdicts_agree() {
    let oracle = Oracle::load();
    for (margin, family) in [
        (None, Family::Report),
        (None, Family::Task),
        (Some(0.003), Family::Report),
        (Some(0.006), Family::Task),
        (Some(0.02), Family::Report),
    ] {
        for baseline in ACTIVATIONS {
            let rules = Rules { baseline: baseline.into(), family, ..rules(margin) };
            let comparison = Comparison::new(&oracle.tasks(), &rules);
            let arms = comparison.tasks.iter().flat_map(|task| &task.arms);
            for against in arms.filter_map(|arm| arm.against.as_ref()) {
                let interval = against.interval.unwrap();
                match against.verdict {
                    Verdict::Better => assert!(interval.low > 0.0, "{against:?}"),
                    Verdict::Worse => assert!(interval.high < 0.0, "{against:?}"),
                    Verdict::Equivalent => {
                        let margin = margin.unwrap();
                        let within = -margin <= interval.low && interval.high <= margin;
                        assert!(within, "{against:?}");
                    }
                    _ => assert!(interval.contains(0.0), "{against:?}"),
                }
                assert!(against.interval_level.unwrap() >= 0.9);
            }
        }
    }
}

fn arm(activation: &str, runs: &[(&str, f64)]) -> ArmScores {
    let runs = runs.iter().map(|(seed, score)| ((*seed).to_owned(), *score));
    ArmScores::new(activation.into(), runs.collect())
}

fn one_task(arms: Vec<ArmScores>) -> Vec<TaskScores> {
    let (task, resolution) = ("t".into(), Resolution::Rounding);
    vec![TaskScores { task, arms, guessing: None, resolution, metric: None }]
}

#[test]
fn seeds_that_do_not_match_are_compared_unpaired() {
    let relu = arm("relu", &[("1", 0.5), ("2", 0.52), ("3", 0.51)]);
    let gelu = arm("gelu", &[("4", 0.6), ("5", 0.61), ("6", 0.62)]);
    let comparison = Comparison::new(&one_task(vec![relu.clone(), gelu]), &rules(None));
    let against = comparison.tasks[0].arms[1].against.clone().unwrap();
    assert_eq!((against.pairs, against.unpaired, against.paired), (0, 6, false));
    assert_eq!(against.t_test.unwrap().name, "Welch t");
    assert_eq!(against.verdict, Verdict::Better);

    let single = Comparison::new(&one_task(vec![relu, arm("gelu", &[("1", 0.6)])]), &rules(None));
    let gelu = &single.tasks[0].arms[1];
    let against = gelu.against.clone().unwrap();
    assert_eq!((against.verdict, against.t_test), (Verdict::TooFew, None));
    assert_eq!(against.difference, Some(0.1));
    // A single run has no spread, and no interval of any kind.
    assert_eq!((gelu.interval, against.interval, against.probability_interval), (None, None, None));
    assert_eq!(single.overall, None);
}

/// The verdict on gelu against relu, whose scores under shared seeds these are.
fn verdict(relu: &[f64], gelu: &[f64], margin: Option<f64>) -> analysis::Against {
    let seeds: Vec<String> = (1..=relu.len()).map(|seed| seed.to_string()).collect();
    let runs = |scores: &[f64]| -> Vec<(String, f64)> {
        seeds.iter().cloned().zip(scores.iter().copied()).collect()
    };
    let arms = [("relu", relu), ("gelu", gelu)]
        .map(|(name, scores)| ArmScores::new(name.into(), runs(scores)));
    let compared = Comparison::new(&one_task(arms.to_vec()), &rules(margin));
    compared.tasks[0].arms[1].against.clone().unwrap()
}

#[test]
fn equal_differences_are_no_evidence() {
    for (relu, gelu) in [([0.1, 0.7], [0.2, 0.8]), ([0.75, 0.7505], [0.7545, 0.755])] {
        let against = verdict(&relu, &gelu, None);
        assert_eq!(against.verdict, Verdict::Constant);
        assert_eq!((against.t_test, against.p_holm, against.cohen_d_paired), (None, None, None));
        assert_eq!((against.interval, against.power), (None, None));
        assert_eq!(against.rank_test.unwrap().p, 0.5);
    }
    let same = verdict(&[0.1 + 0.2, 0.5, 0.7], &[0.3, 0.5, 0.7], Some(0.05));
    assert_eq!((same.verdict, same.difference), (Verdict::Identical, Some(0.0)));
    // One that is nearly, but not exactly, the same has a spread: t = √3 · 18.
    let near = verdict(&[0.9121, 0.9154, 0.9087], &[0.9140, 0.9171, 0.9105], None);
    assert_test(
        "near",
        test_of(&near),
        Test { statistic: 31.176_914_536_239_8, p: 0.001_027_221_637_320_6 },
    );
    assert_eq!(near.verdict, Verdict::Better);
}

fn test_of(against: &analysis::Against) -> Test {
    let figures = against.t_test.unwrap();
    Test { statistic: figures.statistic, p: figures.p }
}

#[test]
fn ties_of_either_sign_share_a_rank() {
    let relu = [0.1, 0.2, 0.4, 0.5, 0.3, 0.7];
    let gelu = [0.2, 0.3, 0.5, 0.6, 0.2, 0.8];
    let wilcoxon = verdict(&relu, &gelu, None).rank_test.unwrap();
    assert_eq!((wilcoxon.statistic, wilcoxon.p), (3.5, 0.21875));
}

#[test]
fn the_unit_of_a_score_does_not_matter() {
    for scale in [1e-300, 1e-180, 1e-161, 1.0, 1e180, 1e300] {
        let against = verdict(&[scale; 3], &[3.0 * scale, 4.0 * scale, 5.0 * scale], None);
        let expected = Test { statistic: 5.196_152_422_706_632, p: 0.035_098_718_645_984_65 };
        let test = test_of(&against);
        assert!((test.statistic / expected.statistic - 1.0).abs() < 1e-12, "{scale}: {test:?}");
        assert!((test.p / expected.p - 1.0).abs() < 1e-12, "{scale}: {test:?}");
        assert!((against.cohen_d_paired.unwrap() - 3.0).abs() < 1e-12);
        assert_eq!(against.verdict, Verdict::Better);
    }
}

#[test]
fn one_rate_holds_over_the_report() {
    let oracle = Oracle::load();
    let p = |family| -> Vec<f64> {
        let comparison = Comparison::new(&oracle.tasks(), &Rules { family, ..rules(None) });
        let arms = comparison.tasks.iter().flat_map(|task| &task.arms);
        arms.filter_map(|arm| arm.against.as_ref()?.p_holm).collect()
    };
    let (report, task) = (p(Family::Report), p(Family::Task));
    assert!(report.iter().zip(&task).all(|(report, task)| report >= task));
    assert_ne!(report, task);
}

/// Published means alone: the same figures of 3 and of 23 runs (README of digantamisra98/Mish).
#[test]
fn published_means_tell_two_stories() {
    let p = |n| {
        let published = |activation: &str, mean, standard_deviation| ArmScores {
            published: Some(Moments { n, mean, standard_deviation }),
            ..arm(activation, &[])
        };
        let arms = vec![
            published("mish", 87.48, 0.397),
            published("swish", 87.32, 0.414),
            published("gelu", 87.37, 0.472),
            published("relu", 86.66, 0.584),
        ];
        let rules = Rules { baseline: "mish".into(), ..rules(None) };
        let comparison = Comparison::new(&one_task(arms), &rules);
        let arms = comparison.tasks[0].arms.iter().filter_map(|arm| arm.against.clone());
        arms.map(|against| (against.t_test.unwrap().p, against.verdict)).collect::<Vec<_>>()
    };
    let (three, many) = (p(3), p(23));
    assert!(three.iter().all(|(_, verdict)| *verdict == Verdict::Undecided), "{three:?}");
    // The repository itself gives 0.20 and 0.40 for Swish and GELU, and p < 10⁻⁴ for ReLU.
    assert!((many[0].0 - 0.188).abs() < 0.02 && (many[1].0 - 0.397).abs() < 0.02, "{many:?}");
    assert!(many[2].0 < 1e-4);
    let verdicts: Vec<Verdict> = many.into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts, [Verdict::Undecided, Verdict::Undecided, Verdict::Worse]);
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

/// Single runs under different seeds are scores, and too few.
#[test]
fn a_single_run_a_side_is_too_few() {
    let arms =
        vec![arm("relu", &[("1", 0.5)]), arm("gelu", &[("2", 0.5)]), arm("silu", &[("3", 0.7)])];
    let comparison = Comparison::new(&one_task(arms), &rules(None));
    for (place, difference) in [(1, 0.0), (2, 0.2)] {
        let against = comparison.tasks[0].arms[place].against.clone().unwrap();
        assert_eq!((against.verdict, against.paired), (Verdict::TooFew, false));
        assert!((against.difference.unwrap() - difference).abs() < 1e-12, "{against:?}");
        assert_eq!((against.t_test, against.interval, against.cohen_d), (None, None, None));
        assert_eq!((against.interval_uncorrected, against.interval_bootstrap), (None, None));
    }
    let text = comparison.markdown(120);
    assert!(text.contains("gelu: too few runs to compare with relu (0.0000)."), "{text}");
    let none = Comparison::new(
        &one_task(vec![arm("relu", &[("1", 0.5)]), arm("gelu", &[])]),
        &rules(None),
    );
    assert_eq!(none.tasks[0].arms[1].against.clone().unwrap().verdict, Verdict::NoScores);
}

/// A published mean of one run has no spread, which is not a spread of 0.
#[test]
fn a_published_single_run_is_too_few() {
    let published = |activation: &str, mean, n| ArmScores {
        published: Some(Moments { n, mean, standard_deviation: 0.0 }),
        ..arm(activation, &[])
    };
    let of = |n| {
        let arms = vec![published("relu", 86.0, n), published("gelu", 87.0, n)];
        let task = Comparison::new(&one_task(arms), &rules(None)).tasks.remove(0);
        (task.arms[1].against.clone().unwrap().verdict, task.arms[1].standard_deviation)
    };
    assert_eq!(of(1), (Verdict::TooFew, None));
    assert_eq!(of(2), (Verdict::Constant, Some(0.0)));
}

/// What is less bad than guessing less badly is no claim.
#[test]
fn nothing_is_claimed_where_nothing_was_learned() {
    let relu = arm("relu", &[("1", 0.060), ("2", 0.061), ("3", 0.062), ("4", 0.060)]);
    let gelu = arm("gelu", &[("1", 0.100), ("2", 0.1), ("3", 0.1), ("4", 0.100)]);
    let silu = arm("silu", &[("1", 0.060), ("2", 0.062), ("3", 0.061), ("4", 0.061)]);
    let of = |guessing| {
        let mut tasks = one_task(vec![relu.clone(), gelu.clone(), silu.clone()]);
        tasks[0].guessing = guessing;
        let all_pairs = Some(analysis::AllPairs::Holm);
        let comparison = Comparison::new(&tasks, &Rules { all_pairs, ..rules(Some(0.01)) });
        let arms = comparison.tasks[0].arms[1..].iter();
        let verdicts = arms.map(|arm| arm.against.as_ref().unwrap().verdict);
        (verdicts.collect::<Vec<_>>(), comparison.markdown(120))
    };
    let (verdicts, text) = of(Some(0.1));
    assert_eq!(verdicts, [Verdict::NothingLearned; 2]);
    assert!(text.contains("- **Nothing was learned**"), "{text}");
    assert_eq!(text.matches("**").count(), 2, "{text}");
    assert!(
        text.contains("- gelu: not judged against relu, since nothing was learned: +0.03"),
        "{text}"
    );
    for guessing in [None, Some(0.05)] {
        assert_eq!(of(guessing).0, [Verdict::Better, Verdict::Equivalent]);
    }
}
