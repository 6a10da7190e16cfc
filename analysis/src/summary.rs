//! From rows to arms: an arm is all runs of one activation on one task.

use crate::comparison::{Against, ArmFigures};
use crate::frame::Status;
use crate::parallel;
use crate::statistics::{Crossed, Estimate, Interval, mean, median};
use polars::prelude::{DataFrame, DataType, PolarsError, PolarsResult};
use record::Metric;

/// What the runs of one activation on one task showed. Means are over the runs that completed and
/// measured the thing; values are those of the task's metric, as they were recorded, and shares are fractions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arm {
    pub(crate) task: String,
    pub(crate) activation: String,
    /// Finished runs, however they ended.
    pub(crate) runs: usize,
    pub(crate) completed: usize,
    pub(crate) diverged: usize,
    pub(crate) failed: usize,
    pub(crate) test: Option<Estimate>,
    /// Test value set against the baseline's; absent for the baseline itself, and where either has no
    /// completed run.
    pub(crate) against: Option<Against>,
    /// What single test examples show.
    pub(crate) examples: ExampleFigures,
    /// How the test values of completed runs are spread.
    pub(crate) spread: Option<ArmFigures>,
    pub(crate) test_loss: Option<f64>,
    pub(crate) best_validation: Option<f64>,
    pub(crate) best_validation_epoch: Option<f64>,
    pub(crate) last_validation: Option<f64>,
    pub(crate) validation_area: Option<f64>,
    pub(crate) validation_volatility: Option<f64>,
    pub(crate) largest_drop: Option<f64>,
    pub(crate) final_minus_best: Option<f64>,
    /// The largest target that a run was given; all runs of an arm share it.
    pub(crate) target: Option<f64>,
    /// Completed runs that reached their target. A run that reached it and then diverged did not.
    pub(crate) reached: usize,
    /// Median step at which the target was reached; absent unless every run reached it.
    pub(crate) steps_to_target: Option<f64>,
    /// The same in seconds of training.
    pub(crate) seconds_to_target: Option<f64>,
    /// Median step at which the validation value reached what the baseline's runs reach; infinite where
    /// most of the runs never do, absent where there is no such target.
    pub(crate) steps_to_baseline: Option<f64>,
    /// The best arm of those that are both better and faster, each beyond the 95 % intervals of the means.
    pub(crate) dominated_by: Option<String>,
    /// Least and greatest number of parameters; they differ only where the model does.
    pub(crate) parameters: Option<(u64, u64)>,
    /// Least and greatest number of operations of one example's forward pass.
    pub(crate) flops: Option<(u64, u64)>,
    pub(crate) dead: Option<f64>,
    pub(crate) zero: Option<f64>,
    pub(crate) saturated: Option<f64>,
    pub(crate) mean_shift: Option<f64>,
    pub(crate) absolute_mean_shift: Option<f64>,
    pub(crate) variance: Option<f64>,
    /// In bytes.
    pub(crate) peak_memory: Option<f64>,
    /// Of a GPU, in bytes.
    pub(crate) device_memory: Option<f64>,
    pub(crate) energy_joules: Option<f64>,
    pub(crate) total_seconds: Option<f64>,
    pub(crate) train_seconds: Option<Estimate>,
    pub(crate) examples_per_second: Option<f64>,
}

/// Figures from the test predictions of an arm's runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ExampleFigures {
    /// Difference to the baseline over seeds and examples, both taken as drawn at random.
    pub(crate) crossed: Option<Crossed>,
    /// Its 95 % interval by the multi-bootstrap, which is too narrow of few seeds.
    pub(crate) bootstrap: Option<Interval>,
    /// Negative log-likelihood of the true class in nats, mean over runs.
    pub(crate) log_likelihood: Option<f64>,
    /// Expected calibration error, mean over runs.
    pub(crate) calibration: Option<f64>,
    /// Share of test examples that two runs of the arm classify differently, mean over pairs of runs.
    pub(crate) disagreement: Option<f64>,
}

impl Arm {
    /// The same arm as it compares with another baseline.
    pub(crate) fn beside_another_baseline(&self, against: Option<Against>) -> Self {
        // These are differences to the first baseline, and of no other.
        let examples = ExampleFigures { crossed: None, bootstrap: None, ..self.examples };
        Self { against, examples, steps_to_baseline: None, ..self.clone() }
    }

    /// Whether no arm of the task is both better and faster beyond doubt.
    pub(crate) fn on_front(&self) -> bool {
        self.train_seconds.is_some() && self.test.is_some() && self.dominated_by.is_none()
    }

    /// Intervals of time and of merit, where both are known.
    fn cost(&self, metric: &Metric) -> Option<(Interval, Interval)> {
        let value = self.test?.interval?;
        let (a, b) = (metric.merit(value.low), metric.merit(value.high));
        Some((self.train_seconds?.interval?, Interval { low: a.min(b), high: a.max(b) }))
    }
}

/// Finds out which of `arms`, all of one task that is judged by `metric`, are dominated in it and in training time at
/// once.
pub(crate) fn find_front(arms: &mut [Arm], metric: &Metric) {
    for i in 0..arms.len() {
        let Some((seconds, merit)) = arms[i].cost(metric) else { continue };
        let dominates = |other: &&Arm| {
            let beyond = |(s, m): (Interval, Interval)| s.high < seconds.low && m.low > merit.high;
            other.cost(metric).is_some_and(beyond)
        };
        let mean = |arm: &&Arm| arm.test.map_or(f64::NEG_INFINITY, |one| metric.merit(one.mean));
        let best = arms.iter().filter(dominates).max_by(|a, b| mean(a).total_cmp(&mean(b)));
        arms[i].dominated_by = best.map(|arm| arm.activation.clone());
    }
}

/// The arms in the order in which `runs`, a table of [`crate::frame::of_runs`], first shows them.
pub(crate) fn arms(runs: &DataFrame) -> PolarsResult<Vec<Arm>> {
    let arms = runs.partition_by_stable(["task", "activation"], true)?;
    parallel::map(&arms, arm).into_iter().collect()
}

/// The arm that `runs`, which are not empty, are of.
fn arm(runs: &DataFrame) -> PolarsResult<Arm> {
    let status = runs.column("status")?.str()?;
    let ended = |how: Status| status.iter().filter(|status| *status == Some(how.name())).count();
    let completed = Completed {
        rows: status.iter().map(|status| status == Some(Status::Completed.name())).collect(),
        runs,
    };
    let average = |name| Ok::<_, PolarsError>(mean(&completed.values(name)?));
    let steps_to_target = completed.values("steps_to_target")?;
    let reached = steps_to_target.len();
    let all_reached = reached == runs.height();
    Ok(Arm {
        task: text(runs, "task")?,
        activation: text(runs, "activation")?,
        runs: runs.height(),
        completed: ended(Status::Completed),
        diverged: ended(Status::Diverged),
        failed: ended(Status::Failed),
        test: Estimate::without_bootstrap(&completed.values("test")?),
        against: None,
        examples: ExampleFigures::default(),
        spread: None,
        test_loss: average("test_loss")?,
        best_validation: average("best_validation")?,
        best_validation_epoch: average("best_validation_epoch")?,
        last_validation: average("last_validation")?,
        validation_area: average("validation_area")?,
        validation_volatility: average("validation_volatility")?,
        largest_drop: average("largest_drop")?,
        final_minus_best: average("final_minus_best")?,
        target: runs.column("target")?.f64()?.iter().flatten().reduce(f64::max),
        reached,
        steps_to_target: if all_reached { median(&steps_to_target) } else { None },
        seconds_to_target: if all_reached {
            median(&completed.values("seconds_to_target")?)
        } else {
            None
        },
        steps_to_baseline: None,
        dominated_by: None,
        parameters: range(runs, "parameters")?,
        flops: range(runs, "flops")?,
        dead: average("dead")?,
        zero: average("zero")?,
        saturated: average("saturated")?,
        mean_shift: average("mean_shift")?,
        absolute_mean_shift: average("absolute_mean_shift")?,
        variance: average("variance")?,
        peak_memory: average("peak_memory")?,
        device_memory: average("device_memory")?,
        energy_joules: average("energy_joules")?,
        total_seconds: average("total_seconds")?,
        train_seconds: Estimate::without_bootstrap(&completed.values("train_seconds")?),
        examples_per_second: average("examples_per_second")?,
    })
}

/// Those of an arm's runs that completed.
struct Completed<'a> {
    runs: &'a DataFrame,
    /// Whether the run of a row completed.
    rows: Vec<bool>,
}

impl Completed<'_> {
    /// What they measured in column `name`, in the order of the runs.
    ///
    /// Values are listed and not averaged by polars because it may add them up in an order that depends
    /// on the number of threads.
    fn values(&self, name: &str) -> PolarsResult<Vec<f64>> {
        let column = self.runs.column(name)?.cast(&DataType::Float64)?;
        let values = column.f64()?.iter().zip(&self.rows);
        Ok(values.filter_map(|(value, completed)| value.filter(|_| *completed)).collect())
    }
}

/// Of the first row, since all are of one arm.
fn text(runs: &DataFrame, name: &str) -> PolarsResult<String> {
    Ok(runs.column(name)?.str()?.get(0).unwrap_or_default().to_owned())
}

/// Least and greatest number of a column.
fn range(runs: &DataFrame, name: &str) -> PolarsResult<Option<(u64, u64)>> {
    let column = runs.column(name)?.cast(&DataType::UInt64)?;
    let numbers = || column.u64().map(|numbers| numbers.iter().flatten());
    Ok(numbers()?.min().zip(numbers()?.max()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::tests::bits_per_byte;
    use polars::prelude::{Column, NamedFrom, Series};

    /// Columns whose values over the completed runs an arm is made of.
    const MEASURED: [&str; 23] = [
        "test",
        "test_loss",
        "best_validation",
        "best_validation_epoch",
        "last_validation",
        "steps_to_target",
        "seconds_to_target",
        "validation_area",
        "validation_volatility",
        "largest_drop",
        "final_minus_best",
        "dead",
        "zero",
        "saturated",
        "mean_shift",
        "absolute_mean_shift",
        "variance",
        "peak_memory",
        "device_memory",
        "energy_joules",
        "total_seconds",
        "train_seconds",
        "examples_per_second",
    ];

    /// Four runs: a baseline that diverged under seed 1, and an arm that completed both.
    fn runs() -> DataFrame {
        let mut columns: Vec<Column> = vec![
            Series::new("task".into(), ["t"; 4]).into(),
            Series::new("activation".into(), ["relu", "relu", "gelu", "gelu"]).into(),
            Series::new("seed".into(), [0u64, 1, 0, 1]).into(),
            Series::new("status".into(), ["completed", "diverged", "completed", "completed"])
                .into(),
            Series::new("target".into(), [Some(0.5); 4]).into(),
            Series::new("parameters".into(), [10u64; 4]).into(),
            Series::new("flops".into(), [Some(20u64), None, Some(20), Some(22)]).into(),
        ];
        // The diverged run shows what must not enter anywhere.
        let values = [Some(0.5), Some(0.99), Some(0.75), Some(1.0)];
        for name in MEASURED {
            columns.push(Series::new(name.into(), values).into());
        }
        DataFrame::new(4, columns).unwrap()
    }

    fn both() -> (Arm, Arm) {
        let mut arms = arms(&runs()).unwrap();
        let gelu = arms.pop().unwrap();
        (arms.pop().unwrap(), gelu)
    }

    #[test]
    fn a_diverged_run_is_counted_and_enters_no_mean() {
        let (relu, _) = both();
        assert_eq!((relu.runs, relu.completed, relu.diverged, relu.failed), (2, 1, 1, 0));
        assert_eq!(relu.test.unwrap().mean, 0.5);
        assert_eq!(relu.best_validation, Some(0.5));
        assert_eq!((relu.reached, relu.steps_to_target), (1, None));
    }

    #[test]
    fn an_arm_is_dominated_beyond_the_intervals_alone() {
        let (relu, gelu) = both();
        let of = |seconds: [f64; 2], values: [f64; 2], arm: &Arm| Arm {
            train_seconds: Estimate::without_bootstrap(&seconds),
            test: Estimate::without_bootstrap(&values),
            ..arm.clone()
        };
        let dominated = |a: Arm, b: Arm, metric: &Metric| {
            let mut arms = [a, b];
            find_front(&mut arms, metric);
            arms.map(|arm| arm.dominated_by)
        };
        let slow = of([20.0, 20.1], [0.5, 0.501], &relu);
        let sure = of([10.0, 10.1], [0.7, 0.701], &gelu);
        let accuracy = Metric::accuracy(None);
        let gelu_dominates = [Some("gelu".into()), None];
        assert_eq!(dominated(slow.clone(), sure.clone(), &accuracy), gelu_dominates);
        // Higher in the mean, but two runs reach far.
        let unsure = of([10.0, 10.1], [0.6, 0.8], &gelu);
        assert_eq!(dominated(slow.clone(), unsure, &accuracy), [None, None]);
        // Higher bits per byte are worse: neither is both faster and better.
        assert_eq!(dominated(slow.clone(), sure, &bits_per_byte()), [None, None]);
        let lower = of([10.0, 10.1], [0.4, 0.401], &gelu);
        assert_eq!(dominated(slow.clone(), lower.clone(), &bits_per_byte()), gelu_dominates);
        assert_eq!(dominated(slow, lower, &accuracy), [None, None]);
    }

    #[test]
    fn medians_are_of_the_runs_that_reached_the_target() {
        let (_, gelu) = both();
        assert_eq!(gelu.test.unwrap().n, 2);
        assert_eq!(gelu.steps_to_target, Some(0.875));
    }

    #[test]
    fn counts_that_vary_within_an_arm_become_a_range() {
        let (relu, gelu) = both();
        assert_eq!(relu.flops, Some((20, 20)));
        assert_eq!(gelu.flops, Some((20, 22)));
        assert_eq!(gelu.parameters, Some((10, 10)));
    }
}
