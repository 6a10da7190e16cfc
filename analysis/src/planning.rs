//! How many seeds a difference takes, from the spread of pilot runs: before the runs that decide.

use crate::comparison::{ALPHA, Family, TaskScores, paired_scores};
use crate::statistics::{
    Looks, detectable_effect, pairs_needed, standard_deviation, upper_standard_deviation,
};
use serde::Serialize;

/// Confidence of the upper bound of a spread: few pilot runs know it badly.
const CONFIDENCE: f64 = 0.8;

/// Seeds beyond which a plan is no advice.
const MOST_SEEDS: usize = 10_000;

/// Seeds below which a spread is too badly known to decide anything by.
const LEAST_SEEDS: usize = 5;

/// What the pilot runs of an activation say of its comparison with the baseline on a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeedPlan {
    /// Name of the task.
    pub task: String,
    /// Label of the activation.
    pub activation: String,
    /// Pilot seeds that it shares with the baseline.
    pub pairs: usize,
    /// Sample standard deviation of the differences; absent of fewer than two pairs.
    pub standard_deviation: Option<f64>,
    /// Its upper bound, which holds with a probability of 0.8.
    pub upper_standard_deviation: Option<f64>,
    /// Seeds for each power asked for.
    pub needed: Vec<Needed>,
    /// Minimum detectable effect of the pilot seeds alone, with the first power asked for.
    pub detectable: Option<f64>,
}

/// Seeds that find an effect; absent where that takes more than 10,000, or no spread is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Needed {
    /// Probability of finding it.
    pub power: f64,
    /// By the spread as it was estimated.
    pub seeds: Option<usize>,
    /// By the upper bound of the spread.
    pub cautious: Option<usize>,
}

/// Plans the comparisons of every arm of `tasks` with `baseline`, so that a true difference of `effect` is found with
/// each of `powers`; and the level of a single test, which is 0.05 over all comparisons of the family, as the first
/// step of Holm's correction is. Where results are looked at after several numbers of seeds, `looks`, it is the share of the
/// last look. The effect is a size in units of the recorded scores.
///
/// Nothing here depends on the differences that the pilot shows, only on their spread.
#[must_use]
pub fn plan_seeds(
    tasks: &[TaskScores],
    baseline: &str,
    effect: f64,
    family: Family,
    looks: &[usize],
    powers: &[f64],
) -> (Vec<SeedPlan>, f64) {
    let others =
        |task: &TaskScores| task.arms.iter().filter(|arm| arm.activation != baseline).count();
    let comparisons = match family {
        Family::Report => tasks.iter().map(others).sum(),
        Family::Task => tasks.iter().map(others).max().unwrap_or(0),
    };
    let level = ALPHA / comparisons.max(1) as f64;
    let at_last = Looks::new(looks).and_then(|looks| looks.nominal_levels(level).pop());
    let level = at_last.unwrap_or(level);
    let mut plans = Vec::new();
    for task in tasks {
        let of = |label: &str| task.arms.iter().find(|arm| arm.activation == label);
        let baseline_arm = of(baseline);
        for arm in task.arms.iter().filter(|arm| arm.activation != baseline) {
            let pairs = baseline_arm.map(|other| paired_scores(arm, other)).unwrap_or_default();
            let sd = standard_deviation(&task.resolution.differences(&pairs));
            let spread = sd.filter(|sd| *sd > 0.0);
            let upper = spread.and_then(|sd| upper_standard_deviation(sd, pairs.len(), CONFIDENCE));
            let seeds = |spread: Option<f64>, power| {
                let needed = pairs_needed(effect / spread?, power, level, MOST_SEEDS)?;
                Some(needed.max(LEAST_SEEDS))
            };
            let needed = |power: &f64| Needed {
                power: *power,
                seeds: seeds(spread, *power),
                cautious: seeds(upper, *power),
            };
            plans.push(SeedPlan {
                task: task.task.clone(),
                activation: arm.activation.clone(),
                pairs: pairs.len(),
                standard_deviation: sd,
                upper_standard_deviation: upper,
                needed: powers.iter().map(needed).collect(),
                detectable: spread.zip(powers.first()).and_then(|(sd, power)| {
                    Some(detectable_effect(pairs.len(), *power, level)? * sd)
                }),
            });
        }
    }
    (plans, level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::ArmScores;
    use crate::statistics::Resolution;

    fn task(name: &str, gelu: [f64; 3]) -> TaskScores {
        let arm = |label: &str, scores: [f64; 3]| {
            let seeds = ["1", "2", "3"].map(str::to_owned);
            ArmScores::new(label.into(), seeds.into_iter().zip(scores).collect())
        };
        TaskScores {
            task: name.into(),
            arms: vec![arm("relu", [0.5, 0.5, 0.5]), arm("gelu", gelu)],
            guessing: None,
            resolution: Resolution::Rounding,
            metric: None,
        }
    }

    /// A spread of 0.01 and an effect of 0.01 are a paired d of 1: 10 pairs for 80 % at a level of 0.05
    /// (statsmodels' `TTestPower` gives 9.94).
    #[test]
    fn seeds_follow_from_the_spread_and_not_from_the_difference() {
        let seeds = |gelu: [f64; 3]| {
            let (plans, level) =
                plan_seeds(&[task("t", gelu)], "relu", 0.01, Family::Report, &[], &[0.8, 0.95]);
            assert!((level - 0.05).abs() < 1e-12);
            plans[0].needed.clone()
        };
        let near = seeds([0.50, 0.51, 0.52]);
        assert_eq!((near[0].seeds, near[0].power), (Some(10), 0.8));
        assert!(near[1].seeds > near[0].seeds && near[0].cautious > near[0].seeds, "{near:?}");
        assert_eq!(seeds([0.80, 0.81, 0.82]), near);
        // Without a spread nothing can be planned.
        assert_eq!(seeds([0.6, 0.6, 0.6])[0].seeds, None);
    }

    #[test]
    fn more_comparisons_take_more_seeds() {
        let tasks = [task("a", [0.50, 0.51, 0.52]), task("b", [0.50, 0.51, 0.52])];
        let of = |family| plan_seeds(&tasks, "relu", 0.01, family, &[], &[0.8]);
        let (report, level) = of(Family::Report);
        assert!((level - 0.025).abs() < 1e-12);
        let (task, _) = of(Family::Task);
        assert!(report[0].needed[0].seeds > task[0].needed[0].seeds);
    }

    /// Tails of the normal distribution beyond 1.96 / √part, by Python's `erfc`: the last of the looks after 3, 6 and 10 seeds
    /// has 0.809828 of the level.
    #[test]
    fn looks_take_more_seeds() {
        let tasks = [task("t", [0.50, 0.51, 0.52])];
        let of = |looks: &[usize]| plan_seeds(&tasks, "relu", 0.005, Family::Report, looks, &[0.8]);
        let (fixed, level) = of(&[]);
        let (sequential, at_last) = of(&[3, 6, 10]);
        assert!((at_last / level - 0.809_827_688).abs() < 1e-8, "{at_last}");
        assert!(sequential[0].needed[0].seeds > fixed[0].needed[0].seeds);
        assert_eq!(of(&[10]).1, level);
    }
}
