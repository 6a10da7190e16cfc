//! The tables of a task: what came out, whether it is real, how it came about, and what it cost.

use super::Task;
use super::answer::ENOUGH;
use super::labels::Labels;
use super::learned::LearnedRow;
use crate::comparison::markdown::pair_table;
use crate::comparison::{Against, ArmFigures};
use crate::metric::Shown;
use crate::render::number::{ABSENT, bracket, fixed, grouped, percent, probability};
use crate::render::table::{Column, Table};
use crate::render::text::{escape, width, wrap};
use crate::statistics::{Crossed, LEVEL, mean, standard_deviation};
use crate::summary::{Arm, ExampleFigures};

/// Arms whose counts differ from the reference's by more than this share are marked.
const COUNT_TOLERANCE: f64 = 0.01;
/// Bytes.
const MIB: f64 = 1_048_576.0;
/// Columns of a relative time, whatever the times of an execution are.
const TIME_WIDTH: usize = 6;
/// Relative spread of training times up to which their ratios have two decimals.
const STEADY: f64 = 0.05;
/// A spread whose estimate is not above zero.
pub(super) const CUT_AT_ZERO: &str = "≈ 0";
const COUNT_MARK: &str = "†";

/// Names of the columns, as the legend explains them.
pub(super) mod header {
    use crate::metric::Shown;
    use record::Metric;

    pub(in super::super) const N: &str = "n";
    pub(in super::super) const SEEDS: &str = "seeds";
    pub(in super::super) const RELATIVE_TIME: &str = "time";
    pub(in super::super) const DIVERGED: &str = "diverged";
    pub(in super::super) const FAILED: &str = "failed";
    pub(in super::super) const INTERVAL: &str = "95 % interval";
    pub(in super::super) const PAIRS: &str = "pairs";
    pub(in super::super) const VALIDATION: &str = "validation (epoch)";
    pub(in super::super) const TARGET: &str = "steps to target";
    pub(in super::super) const P: &str = "p (Holm)";
    pub(in super::super) const RANKS: &str = "p (ranks)";
    pub(in super::super) const EQUIVALENT: &str = "p (equivalent)";
    pub(in super::super) const PROBABILITIES: &str = "P(worse / equivalent / better)";
    pub(in super::super) const EFFECT: &str = "d (pairs)";
    pub(in super::super) const CLIFF: &str = "Cliff's δ";
    pub(in super::super) const IMPROVES: &str = "P(better)";
    pub(in super::super) const EXAMPLES: &str = "Δ, seeds and examples";
    pub(in super::super) const SEED_SPREAD: &str = "sd, seeds";
    pub(in super::super) const EXAMPLE_SPREAD: &str = "sd, examples";
    pub(in super::super) const LIKELIHOOD: &str = "NLL";
    pub(in super::super) const CALIBRATION: &str = "ECE %";
    pub(in super::super) const DISAGREEMENT: &str = "disagreement %";
    pub(in super::super) const VOLATILITY: &str = "volatility";
    pub(in super::super) const DROP: &str = "largest drop";
    pub(in super::super) const FINAL: &str = "final − best";
    pub(in super::super) const PARAMETERS: &str = "parameters";
    pub(in super::super) const FLOPS: &str = "FLOPs";
    pub(in super::super) const DEAD: &str = "dead %";
    pub(in super::super) const ZERO: &str = "zero %";
    pub(in super::super) const SATURATED: &str = "saturated %";
    pub(in super::super) const MEAN: &str = "mean";
    pub(in super::super) const VARIANCE: &str = "variance";
    pub(in super::super) const SPEED: &str = "examples/s";
    pub(in super::super) const TIME: &str = "train, s";
    pub(in super::super) const MEMORY: &str = "peak MiB";
    pub(in super::super) const DEVICE_MEMORY: &str = "GPU MiB";
    pub(in super::super) const ENERGY: &str = "energy, J";
    pub(in super::super) const TARGET_TIME: &str = "to target, s";
    pub(in super::super) const SPREAD: &str = "of all trials";
    pub(in super::super) const DOMINATED: &str = "dominated by";

    pub(in super::super) fn test(metric: &Metric) -> String {
        metric.header("test")
    }

    pub(in super::super) fn score(metric: &Metric) -> String {
        format!("{} ± sd", metric.header("test"))
    }

    pub(in super::super) fn median(metric: &Metric) -> String {
        metric.header("median")
    }

    pub(in super::super) fn iqm(metric: &Metric) -> String {
        metric.header("IQM")
    }

    pub(in super::super) fn area(metric: &Metric) -> String {
        metric.header("area")
    }

    pub(in super::super) fn tuned(metric: &Metric) -> String {
        metric.header("validation")
    }

    pub(in super::super) fn difference(metric: &Metric) -> String {
        metric.difference_header("Δ to baseline")
    }

    pub(in super::super) fn found(metric: &Metric) -> String {
        metric.difference_header("MDE")
    }

    pub(in super::super) fn best(metric: &Metric) -> String {
        format!("{} (seed)", metric.header("best"))
    }

    pub(in super::super) fn worst(metric: &Metric) -> String {
        format!("{} (seed)", metric.header("worst"))
    }
}

/// The answer: scores and their differences to the baseline, the best first.
pub(super) fn answer(task: &Task, labels: &Labels) -> Table {
    let metric = &task.metric;
    let merit = |arm: &Arm| arm.test.map_or(f64::NEG_INFINITY, |one| metric.merit(one.mean));
    let mut arms: Vec<&Arm> = task.arms.iter().collect();
    arms.sort_by(|a, b| merit(b).total_cmp(&merit(a)));
    let column = |header: &str, cell: &dyn Fn(&Arm) -> String| {
        Column::numbers(header, arms.iter().map(|arm| cell(arm)).collect())
    };
    let best = metric.best(arms.iter().filter_map(|arm| arm.test).map(|one| one.mean));
    // Where nothing was learned, nothing is best.
    let best = best.filter(|_| !task.nothing_learned).map(|best| metric.last_digits(best));
    let is_baseline = |arm: &Arm| arm.activation == task.baseline;
    let score = column(&header::score(metric), &|arm| {
        let Some(value) = arm.test else { return ABSENT.into() };
        let spread = value.standard_deviation.map(|sd| format!(" ± {}", metric.number(sd)));
        let text = format!("{}{}", metric.number(value.mean), spread.unwrap_or_default());
        if Some(metric.last_digits(value.mean)) == best { format!("**{text}**") } else { text }
    });
    let against = |arm: &Arm, cell: &dyn Fn(&Against) -> Option<String>| match &arm.against {
        Some(against) => cell(against).unwrap_or(ABSENT.into()),
        None if is_baseline(arm) => String::new(),
        None => ABSENT.into(),
    };
    let mut columns = vec![score];
    let compared =
        |get: fn(&Against) -> bool| arms.iter().any(|arm| arm.against.as_ref().is_some_and(get));
    if compared(|one| one.difference.is_some()) {
        columns.push(column(&header::difference(metric), &|arm| {
            if is_baseline(arm) {
                return "baseline".into();
            }
            against(arm, &|one| {
                let interval = one.interval.map(|interval| {
                    format!(" {}", bracket(Some(interval), |bound| metric.difference(bound)))
                });
                Some(metric.difference(one.difference?) + &interval.unwrap_or_default())
            })
        }));
    }
    if compared(|one| one.t_test.is_some()) {
        let cell = |arm: &Arm| against(arm, &|one| Some(probability(one.p_holm?)));
        columns.push(column(header::P, &cell).dropped(1));
    }
    let seeds = |arm: &Arm| {
        if arm.completed == arm.runs { arm.runs.to_string() } else { k_of_n(arm.completed, arm) }
    };
    columns.push(column(header::SEEDS, &seeds).dropped(2));
    let seconds = |arm: &Arm| arm.train_seconds.map(|seconds| seconds.mean);
    let reference = task.baseline().and_then(seconds).filter(|seconds| *seconds > 0.0);
    if let Some(reference) = reference {
        let vary = times_vary(task);
        let time = |arm: &Arm| match seconds(arm).map(|own| own / reference) {
            None => ABSENT.into(),
            Some(ratio) if vary && !is_baseline(arm) => format!("≈{}×", fixed(ratio, 1)),
            Some(ratio) => format!("{}×", fixed(ratio, 2)),
        };
        columns.push(column(header::RELATIVE_TIME, &time).reserve(TIME_WIDTH).dropped(3));
    }
    let key = arms.iter().map(|arm| labels.cell(&arm.activation)).collect();
    Table { key: Column::words("activation", key), blocks: vec![columns] }
}

/// Whether training times differ between the runs of an activation by more than [`STEADY`] (the pooled relative standard
/// deviation), or are of one run each: then the second decimal of a ratio says nothing.
fn times_vary(task: &Task) -> bool {
    let relative = |arm: &Arm| {
        let seconds = arm.train_seconds?;
        Some((arm.completed.checked_sub(1)? as f64, seconds.standard_deviation? / seconds.mean))
    };
    let spreads: Vec<(f64, f64)> = task.arms.iter().filter_map(relative).collect();
    let freedom: f64 = spreads.iter().map(|(freedom, _)| freedom).sum();
    let squares: f64 = spreads.iter().map(|(freedom, spread)| freedom * spread.powi(2)).sum();
    !(freedom > 0.0 && (squares / freedom).sqrt() <= STEADY)
}

/// What makes a row of the first table less sure, and how the way there was.
pub(super) fn results(task: &Task, labels: &Labels) -> Table {
    let metric = &task.metric;
    let number = |value: f64| metric.number(value);
    let mut sizes = vec![numbers(task, header::N, |arm| arm.completed.to_string())];
    if task.arms.iter().any(|arm| arm.diverged > 0) {
        sizes.push(numbers(task, header::DIVERGED, |arm| k_of_n(arm.diverged, arm)));
    }
    if task.arms.iter().any(|arm| arm.failed > 0) {
        sizes.push(numbers(task, header::FAILED, |arm| k_of_n(arm.failed, arm)));
    }
    let mut values = vec![numbers(task, header::INTERVAL, |arm| {
        bracket(arm.test.and_then(|value| value.interval), number)
    })];
    let pairs = |arm: &Arm| arm.against.as_ref().map(|against| against.pairs);
    if task.arms.iter().any(|arm| pairs(arm).is_some_and(|pairs| pairs != arm.completed)) {
        values.push(numbers(task, header::PAIRS, |arm| {
            pairs(arm).map_or(String::new(), |pairs| pairs.to_string())
        }));
    }
    let mut progress = vec![numbers(task, header::VALIDATION, |arm| {
        let Some(value) = arm.best_validation else { return ABSENT.into() };
        let epoch = arm.best_validation_epoch.map(|epoch| format!(" ({})", fixed(epoch, 1)));
        format!("{}{}", number(value), epoch.unwrap_or_default())
    })];
    if task.has_target() {
        progress.push(numbers(task, header::TARGET, |arm| match arm.steps_to_target {
            _ if arm.target.is_none() => ABSENT.into(),
            None => k_of_n(arm.reached, arm),
            // The median of an even number of runs can lie halfway between two steps.
            Some(steps) => fixed(steps, usize::from(steps.fract() != 0.0)),
        }));
    }
    Table { key: key(task, labels), blocks: vec![sizes, values, progress] }
}

/// How the test values of runs are spread.
pub(super) fn spread(task: &Task, labels: &Labels) -> Option<Table> {
    if !task.has_spread() {
        return None;
    }
    let metric = &task.metric;
    let figure = |header: &str, cell: fn(&ArmFigures) -> Option<f64>| {
        numbers(task, header, |arm| {
            let value = arm.spread.as_ref().and_then(cell);
            value.map_or(ABSENT.into(), |value| metric.number(value))
        })
    };
    let run = |run: &(String, f64)| format!("{} ({})", metric.number(run.1), run.0);
    let middle = vec![
        figure(&header::median(metric), |spread| spread.median),
        figure(&header::iqm(metric), |spread| spread.interquartile_mean),
    ];
    let ends = vec![
        numbers(task, &header::worst(metric), |arm| {
            let worst = arm.spread.as_ref().and_then(|spread| spread.worst.as_ref());
            worst.map_or(ABSENT.into(), run)
        }),
        numbers(task, &header::best(metric), |arm| {
            let best = arm.spread.as_ref().and_then(|spread| spread.best.as_ref());
            best.map_or(ABSENT.into(), run)
        }),
    ];
    Some(Table { key: key(task, labels), blocks: vec![middle, ends] })
}

/// Whether the differences are real, and how large they are.
pub(super) fn tests(task: &Task, labels: &Labels) -> Option<Table> {
    if !task.has_tests() {
        return None;
    }
    let figure = |header: &str, cell: &dyn Fn(&Against) -> Option<String>| {
        numbers(task, header, |arm| match &arm.against {
            Some(against) => cell(against).unwrap_or(ABSENT.into()),
            None if arm.activation == task.baseline => String::new(),
            None => ABSENT.into(),
        })
    };
    let mut tests = vec![
        figure(header::P, &|against| Some(probability(against.p_holm?))),
        figure(header::RANKS, &|against| Some(probability(against.rank_test?.p))),
    ];
    let has = |get: fn(&Against) -> bool| {
        task.arms.iter().any(|arm| arm.against.as_ref().is_some_and(get))
    };
    if has(|against| against.equivalence.is_some()) {
        tests.push(figure(header::EQUIVALENT, &|against| {
            Some(probability(against.equivalence?.p_holm))
        }));
    }
    tests.push(figure(&header::found(&task.metric), &|against| {
        Some(task.metric.detectable(against.power?.detectable))
    }));
    let effects = vec![
        figure(header::EFFECT, &|against| {
            // Of a few pairs it is mostly chance.
            let enough = against.pairs >= ENOUGH;
            against.cohen_d_paired.filter(|_| enough).map(|d| fixed(d, 2))
        }),
        figure(header::CLIFF, &|against| Some(fixed(against.cliffs_delta?, 2))),
    ];
    let improvement = vec![figure(header::IMPROVES, &|against| {
        let probability = against.probability_of_improvement?;
        Some(match against.probability_interval {
            Some(interval) => {
                format!("{probability:.2} {}", bracket(Some(interval), |x| format!("{x:.2}")))
            }
            None => format!("{probability:.2}"),
        })
    })];
    let mut blocks = vec![tests, effects, improvement];
    if has(|against| against.probabilities.is_some()) {
        blocks.push(vec![figure(header::PROBABILITIES, &|against| {
            Some(against.probabilities?.words())
        })]);
    }
    Some(Table { key: key(task, labels), blocks })
}

/// What the predictions for single test examples show.
pub(super) fn examples(task: &Task, labels: &Labels) -> Option<Table> {
    let figure = |header, cell: fn(&ExampleFigures) -> Option<String>| {
        numbers(task, header, |arm| cell(&arm.examples).unwrap_or(ABSENT.into()))
    };
    let mut blocks = Vec::new();
    if task.arms.iter().any(|arm| arm.examples.log_likelihood.is_some()) {
        blocks.push(vec![
            figure(header::LIKELIHOOD, |examples| Some(fixed(examples.log_likelihood?, 4))),
            figure(header::CALIBRATION, |examples| Some(percent(examples.calibration?))),
            figure(header::DISAGREEMENT, |examples| Some(percent(examples.disagreement?))),
        ]);
    }
    if task.has_examples() {
        let of = |header, cell: &dyn Fn(&Arm, &Crossed) -> String| {
            numbers(task, header, |arm| match &arm.examples.crossed {
                Some(crossed) => cell(arm, crossed),
                None if arm.activation == task.baseline => String::new(),
                None => ABSENT.into(),
            })
        };
        blocks.push(vec![
            of(header::EXAMPLES, &|arm, crossed| {
                // At the level of the corrected test, so that it cannot claim what the verdict does not.
                let level = arm.against.as_ref().and_then(|against| against.interval_level);
                bracket(crossed.interval(level.unwrap_or(LEVEL)), |x| task.metric.difference(x))
            }),
            of(header::SEED_SPREAD, &|_, crossed| component(task, crossed.seeds)),
            of(header::EXAMPLE_SPREAD, &|_, crossed| component(task, crossed.examples)),
        ]);
    }
    (!blocks.is_empty()).then(|| Table { key: key(task, labels), blocks })
}

/// A component of variance as a deviation; an estimate that was cut at zero is not a measured zero.
fn component(task: &Task, deviation: f64) -> String {
    if deviation == 0.0 { CUT_AT_ZERO.to_owned() } else { task.metric.number(deviation) }
}

/// Every activation against every other.
pub(super) fn pairs(task: &Task, labels: &Labels) -> Option<Table> {
    let cells: Vec<String> = task.arms.iter().map(|arm| labels.cell(&arm.activation)).collect();
    (!task.pairs.is_empty()).then(|| {
        pair_table(&cells, &task.pairs, !task.nothing_learned, &|x| task.metric.difference(x))
    })
}

/// How the runs came to their results.
pub(super) fn convergence(task: &Task, labels: &Labels) -> Option<Table> {
    if !task.has_curves() {
        return None;
    }
    let metric = &task.metric;
    let value = |header: &str, get: fn(&Arm) -> Option<f64>| {
        numbers(task, header, |arm| get(arm).map_or(ABSENT.into(), |value| metric.number(value)))
    };
    let block = vec![
        value(&header::area(metric), |arm| arm.validation_area),
        value(header::VOLATILITY, |arm| arm.validation_volatility),
        value(header::DROP, |arm| arm.largest_drop),
        value(header::FINAL, |arm| arm.final_minus_best),
    ];
    Some(Table { key: key(task, labels), blocks: vec![block] })
}

/// What activations have learned; nothing where none learns.
pub(super) fn learned(task: &Task, labels: &Labels) -> Option<Table> {
    let rows = &task.learned;
    if rows.is_empty() {
        return None;
    }
    let each = |cell: &dyn Fn(&LearnedRow) -> String| rows.iter().map(cell).collect::<Vec<_>>();
    let four = |value: f64| fixed(value, 4);
    let of_site = |(site, value): &(String, f64)| format!("{} ({})", four(*value), escape(site));
    let end = |row: &LearnedRow| {
        let Some(average) = mean(&row.runs) else { return ABSENT.to_owned() };
        let spread = standard_deviation(&row.runs).map(|sd| format!(" ± {}", four(sd)));
        four(average) + &spread.unwrap_or_default()
    };
    Some(Table {
        key: Column::words("activation", each(&|row| labels.cell(&row.activation))),
        blocks: vec![
            vec![
                Column::words("learned", each(&|row| escape(&row.number))),
                Column::numbers("start", each(&|row| row.start.map_or(ABSENT.into(), four))),
                Column::numbers("end ± sd", each(&end)),
            ],
            vec![
                Column::numbers("lowest site", each(&|row| of_site(&row.least))),
                Column::numbers("highest site", each(&|row| of_site(&row.greatest))),
            ],
        ],
    })
}

/// What the activation sites do at the end of training.
pub(super) fn sites(task: &Task, labels: &Labels) -> Table {
    let share = |header, get: fn(&Arm) -> Option<f64>| {
        numbers(task, header, |arm| get(arm).map_or(ABSENT.into(), percent))
    };
    let units = vec![
        share(header::DEAD, |arm| arm.dead),
        share(header::ZERO, |arm| arm.zero),
        share(header::SATURATED, |arm| arm.saturated),
    ];
    let outputs = vec![
        rounded(task, header::MEAN, |arm| arm.mean_shift, 3),
        rounded(task, header::VARIANCE, |arm| arm.variance, 3),
    ];
    Table { key: key(task, labels), blocks: vec![units, outputs] }
}

/// Size and, behind it, what depends on the machine.
pub(super) fn cost(task: &Task, labels: &Labels) -> Table {
    let reference = reference(task);
    let size = vec![
        count(task, header::PARAMETERS, |arm| arm.parameters, grouped, reference),
        count(task, header::FLOPS, |arm| arm.flops, operations, reference),
    ];
    let value = |header, get, decimals| rounded(task, header, get, decimals);
    let speed = vec![
        value(header::SPEED, |arm| arm.examples_per_second, 1).reserve(10),
        numbers(task, header::TIME, |arm| {
            let Some(seconds) = arm.train_seconds else { return ABSENT.into() };
            let spread = seconds.standard_deviation.map(|sd| format!(" ± {}", fixed(sd, 1)));
            format!("{}{}", fixed(seconds.mean, 1), spread.unwrap_or_default())
        })
        .reserve(14),
    ];
    let mut machine =
        vec![value(header::MEMORY, |arm| arm.peak_memory.map(|bytes| bytes / MIB), 0).reserve(8)];
    if task.uses_gpus() {
        let memory = |arm: &Arm| arm.device_memory.map(|bytes| bytes / MIB);
        machine.push(value(header::DEVICE_MEMORY, memory, 0).reserve(8));
    }
    if task.has_energy() {
        machine.push(value(header::ENERGY, |arm| arm.energy_joules, 0).reserve(9));
    }
    if task.has_target() {
        machine.push(value(header::TARGET_TIME, |arm| arm.seconds_to_target, 1).reserve(12));
    }
    let mut front = Vec::new();
    if task.arms.len() > 1 {
        let longest = task.arms.iter().map(|arm| width(&labels.cell(&arm.activation))).max();
        front.push(
            numbers(task, header::DOMINATED, |arm| match &arm.dominated_by {
                Some(label) => labels.cell(label),
                None if arm.on_front() => "none".into(),
                None => ABSENT.into(),
            })
            .reserve(longest.unwrap_or(0)),
        );
    }
    Table { key: key(task, labels), blocks: vec![size, speed, machine, front] }
}

/// What the marks in [`cost`] mean, if there are any.
pub(super) fn count_note(task: &Task, columns: usize) -> Option<String> {
    let reference = reference(task)?;
    let marked = |get: fn(&Arm) -> Option<(u64, u64)>| {
        task.arms.iter().any(|arm| differs(get(arm), get(reference)))
    };
    if !marked(|arm| arm.parameters) && !marked(|arm| arm.flops) {
        return None;
    }
    let name = escape(&reference.activation);
    let note = format!("differs from {name} by more than {}\u{a0}%.", COUNT_TOLERANCE * 100.0);
    Some(wrap(&note, &format!("{COUNT_MARK} "), columns))
}

/// The arm that sizes are compared with: the baseline, or in its absence the first that has any.
fn reference(task: &Task) -> Option<&Arm> {
    let measured = |arm: &&Arm| arm.parameters.is_some();
    task.baseline().filter(measured).or_else(|| task.arms.iter().find(measured))
}

fn differs(count: Option<(u64, u64)>, reference: Option<(u64, u64)>) -> bool {
    let Some(((low, high), (reference_low, reference_high))) = count.zip(reference) else {
        return false;
    };
    let beyond = |a: u64, b: u64| a.abs_diff(b) as f64 > COUNT_TOLERANCE * b as f64;
    beyond(low, reference_low) || beyond(high, reference_high)
}

fn count(
    task: &Task,
    header: &str,
    get: fn(&Arm) -> Option<(u64, u64)>,
    words: fn(u64) -> String,
    reference: Option<&Arm>,
) -> Column {
    let differs = |arm: &Arm| differs(get(arm), reference.and_then(get));
    // Where one cell is marked, the others get a space in the mark's place, so that digits line up.
    let marked = task.arms.iter().any(differs);
    let mark = |arm: &Arm| match (marked, differs(arm)) {
        (false, _) => String::new(),
        (true, false) => " ".repeat(width(COUNT_MARK) + 1),
        (true, true) => format!(" {COUNT_MARK}"),
    };
    numbers(task, header, |arm| {
        let Some((low, high)) = get(arm) else { return ABSENT.into() };
        let range = if low == high { String::new() } else { format!("–{}", words(high)) };
        format!("{}{range}{}", words(low), mark(arm))
    })
}

/// Operations in the largest unit that leaves a digit before the point: `12.35 M`.
fn operations(count: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let value = count as f64;
    let unit = UNITS.iter().find(|(size, _)| value >= *size);
    unit.map_or_else(|| count.to_string(), |(size, name)| format!("{:.2} {name}", value / size))
}

fn key(task: &Task, labels: &Labels) -> Column {
    let cells = task.arms.iter().map(|arm| labels.cell(&arm.activation)).collect();
    Column::words("activation", cells)
}

fn numbers(task: &Task, header: &str, cell: impl Fn(&Arm) -> String) -> Column {
    Column::numbers(header, task.arms.iter().map(cell).collect())
}

fn rounded(task: &Task, header: &str, get: fn(&Arm) -> Option<f64>, decimals: usize) -> Column {
    numbers(task, header, |arm| get(arm).map_or(ABSENT.into(), |value| fixed(value, decimals)))
}

fn k_of_n(k: usize, arm: &Arm) -> String {
    format!("{k} of {}", arm.runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_two_decimals_and_a_unit() {
        assert_eq!(operations(950), "950");
        assert_eq!(operations(12_345_678), "12.35 M");
        assert_eq!(operations(3_200_000_000), "3.20 G");
    }

    #[test]
    fn counts_differ_beyond_one_percent_either_way() {
        let reference = Some((1000, 1000));
        assert!(!differs(Some((1010, 1010)), reference));
        assert!(differs(Some((1011, 1011)), reference));
        assert!(differs(Some((989, 989)), reference));
        assert!(!differs(None, reference));
    }
}
