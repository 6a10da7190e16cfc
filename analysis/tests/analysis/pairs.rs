//! All pairs by Tukey's test: difference, sign and p are of the same seeds. The figures are SciPy's.

use crate::common::{IMAGES, diverge, run};
use analysis::statistics::{Bootstrap, Moments, Resolution};
use analysis::{
    AllPairs, ArmScores, Comparison, Family, Pair, Report, ReportOptions, Rules, TaskComparison,
    TaskScores,
};
use record::StoredRun;

/// gelu and tanh are far above relu; between them, the first three seeds and the others disagree. silu is near relu.
const RELU: [f64; 6] = [0.6035, 0.6065, 0.609, 0.6125, 0.6155, 0.6165];
const GELU: [f64; 6] = [0.6525, 0.6555, 0.661, 0.6615, 0.6665, 0.67];
const TANH: [f64; 6] = [0.6695, 0.6735, 0.679, 0.6295, 0.63, 0.637];
const SILU: [f64; 3] = [0.603, 0.6095, 0.607];

fn arm(label: &str, scores: &[f64]) -> ArmScores {
    let seeds = (1..).map(|seed: u32| seed.to_string());
    ArmScores::new(label.into(), seeds.zip(scores.iter().copied()).collect())
}

fn task(arms: Vec<ArmScores>) -> TaskScores {
    let (task, resolution) = ("t".into(), Resolution::Rounding);
    TaskScores { task, arms, guessing: None, resolution, metric: None }
}

fn rules(family: Family) -> Rules {
    Rules {
        baseline: "relu".into(),
        margin: None,
        bootstrap: Bootstrap { resamples: 0, seed: 0 },
        family,
        all_pairs: Some(AllPairs::Tukey),
        looks: None,
    }
}

fn compared(arms: Vec<ArmScores>) -> TaskComparison {
    Comparison::new(&[task(arms)], &rules(Family::Report)).tasks.remove(0)
}

#[track_caller]
fn assert_pair(task: &TaskComparison, a: &str, b: &str, difference: f64, p: Option<f64>) {
    let pair: &Pair = task.pairs.iter().find(|pair| pair.a == a && pair.b == b).unwrap();
    assert!((pair.difference.unwrap() - difference).abs() < 1e-12, "{pair:?}");
    match p {
        Some(p) => assert!((pair.p.unwrap() / p - 1.0).abs() < 1e-6, "{pair:?} {p}"),
        None => assert_eq!(pair.p, None, "{pair:?}"),
    }
}

#[test]
fn an_arm_that_lacks_seeds_leaves_them_to_the_others() {
    let arms = vec![arm("relu", &RELU), arm("gelu", &GELU), arm("tanh", &TANH), arm("silu", &SILU)];
    let task = compared(arms);
    assert_pair(&task, "relu", "gelu", -0.303_5 / 6.0, Some(7.743_188_457_662e-4));
    assert_pair(&task, "relu", "tanh", -0.255 / 6.0, Some(2.737_645_632_992e-3));
    assert_pair(&task, "gelu", "tanh", 0.048_5 / 6.0, Some(0.672_410_188_749));
    for (label, difference) in [("relu", -0.000_5), ("gelu", 0.149_5), ("tanh", 0.202_5)] {
        assert_pair(&task, label, "silu", difference / 3.0, None);
    }
    let tukey = task.tukey.unwrap();
    assert_eq!((tukey.seeds, tukey.all_seeds, tukey.left_out), (6, 6, vec!["silu".to_owned()]));
}

/// With two arms of many seeds and one of few, the test is the paired t test of the two.
#[test]
fn two_arms_that_are_left_are_compared_by_the_paired_t_test() {
    let relu = [0.5013, 0.5026, 0.5065, 0.5003, 0.5043, 0.5000, 0.5072, 0.5095, 0.5003, 0.5054];
    let gelu = [0.5530, 0.5535, 0.5581, 0.4020, 0.4059, 0.4009, 0.4077, 0.4113, 0.4004, 0.4073];
    let silu = [0.5129, 0.5134, 0.5167];
    let task = compared(vec![arm("relu", &relu), arm("gelu", &gelu), arm("silu", &silu)]);
    assert_pair(&task, "relu", "gelu", 0.053_73, Some(0.043_877_390_804));
    assert_pair(&task, "relu", "silu", -0.010_866_666_666_667, None);
}

/// An arm that lacks a single seed stays, and the differences are of the seeds that all have.
#[test]
fn differences_are_of_the_seeds_of_the_test() {
    let task = compared(vec![arm("relu", &RELU), arm("gelu", &GELU), arm("tanh", &TANH[..5])]);
    assert_pair(&task, "relu", "gelu", -0.25 / 5.0, task.pairs[0].p);
    let tukey = task.tukey.clone().unwrap();
    assert_eq!((tukey.seeds, tukey.all_seeds, tukey.left_out.len()), (5, 6, 0));
    let text = Comparison::new(
        &[self::task(vec![arm("relu", &RELU), arm("gelu", &GELU), arm("tanh", &TANH[..5])])],
        &rules(Family::Report),
    )
    .markdown(120);
    let note = "Tukey's test, and the differences, are of 5 of 6 seeds: those under which each activation has a score.";
    assert!(flat(&text).contains(note), "{text}");
    let ranks = "Ranks over 5 of 6 seeds of one task, those under which each of these activations has a score:";
    assert!(flat(&text).contains(ranks), "{text}");
}

#[test]
fn several_tasks_are_corrected_by_bonferroni() {
    let tasks =
        [(); 2].map(|()| task(vec![arm("relu", &RELU), arm("gelu", &GELU), arm("tanh", &TANH)]));
    let p = |family| Comparison::new(&tasks, &rules(family)).tasks[0].pairs[0].p.unwrap();
    assert_eq!(p(Family::Report), 2.0 * p(Family::Task));
    let text = Comparison::new(&tasks, &rules(Family::Report)).markdown(120);
    assert!(flat(&text).contains("multiplied by the number of tasks, 2 (Bonferroni)"), "{text}");
    let text = Comparison::new(&tasks, &rules(Family::Task)).markdown(120);
    assert!(!text.contains("Bonferroni"), "{text}");
}

#[test]
fn published_means_have_no_blocks() {
    let published = |label: &str, mean| ArmScores {
        published: Some(Moments { n: 23, mean, standard_deviation: 0.4 }),
        ..arm(label, &[])
    };
    let arms = vec![published("relu", 86.66), published("gelu", 87.37), published("mish", 87.48)];
    let comparison = Comparison::new(&[task(arms)], &rules(Family::Report));
    assert!(comparison.tasks[0].pairs.iter().all(|pair| pair.p.is_none()));
    let text = comparison.markdown(120);
    let note = "Tukey's test takes the scores of runs: pairs of published means have no p.";
    assert!(flat(&text).contains(note), "{text}");
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Neither gelu nor tanh is better than the other, whatever three of the seeds say.
#[test]
fn a_report_says_which_runs_the_pairs_are_of() {
    let mut runs: Vec<StoredRun> = Vec::new();
    let silu = [&SILU[..], &[0.6; 3]].concat();
    for (label, scores) in
        [("relu", &RELU[..]), ("gelu", &GELU), ("swiglu", &TANH), ("silu", &silu)]
    {
        for (seed, score) in (1..).zip(scores) {
            let mut run = run(IMAGES, label, seed);
            let test = run.record.summary.as_mut().unwrap().test.as_mut().unwrap();
            test.metrics = [("accuracy", *score)].into();
            if label == "silu" && seed > 3 {
                diverge(&mut run.record, 10);
            }
            runs.push(run);
        }
    }
    let options = ReportOptions {
        baseline: Some("relu".into()),
        all_pairs: Some(AllPairs::Tukey),
        width: 120,
        ..ReportOptions::default()
    };
    let text = flat(&Report::from_runs(&runs, &options).unwrap().markdown());
    assert!(!text.contains("better than every other activation"), "{text}");
    assert!(text.contains("No significant difference between gelu and swiglu."), "{text}");
    assert!(
        text.contains("| gelu | | **+5.06** (p < 0.001) | +4.98 | +0.81 (p = 0.672) |"),
        "{text}"
    );
    let note = "Tukey's test, and the differences that have a p, are of the 6 seeds under which each of gelu, relu and \
                swiglu has a score. silu lacks some of these seeds and is left out: its pairs have no p.";
    assert!(text.contains(note), "{text}");
    assert!(
        text.contains("A block is a seed under which every activation of the test has a score")
    );
}
