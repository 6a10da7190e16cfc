//! A paragraph of methods, as a paper needs it: what varied, how many runs, which tests, and on what machine.

use super::Report;
use super::markdown::plural;
use crate::comparison::{ALPHA, AllPairs, Family, TukeyBlocks};
use crate::metric::{self, Shown};
use crate::render::number::{fixed, grouped, percent};
use crate::render::text::escape;
use record::StoredRun;
use std::collections::BTreeSet;

/// What was fixed before the first run, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// SHA-256 of the experiment as it was before its first run ended.
    pub sha256: String,
    /// What has changed since, a sentence each.
    pub changes: Vec<String>,
}

/// The sweep whose best arms are trained again on fresh seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirms {
    /// Folder of that sweep.
    pub sweep: String,
    /// What was stated before the first run, in a sentence.
    pub statement: String,
}

/// Where and with what the runs were made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Made {
    programs: BTreeSet<String>,
    processors: BTreeSet<String>,
    devices: BTreeSet<String>,
    /// Wall time of all runs, in seconds.
    seconds: f64,
    /// When the first run began and the last one ended, in seconds since 1970 (UTC).
    period: [f64; 2],
    fewest_seeds: usize,
    most_seeds: usize,
    /// Runs that the machine trains at once, as far as the records tell.
    pub(super) side_by_side: usize,
}

impl Made {
    pub(super) fn of(runs: &[&StoredRun]) -> Self {
        let mut made = Self {
            programs: BTreeSet::new(),
            processors: BTreeSet::new(),
            devices: BTreeSet::new(),
            seconds: 0.0,
            period: [f64::INFINITY, f64::NEG_INFINITY],
            fewest_seeds: usize::MAX,
            most_seeds: 0,
            side_by_side: 1,
        };
        let parallel = |run: &&StoredRun| {
            let environment = &run.record.environment;
            match environment.device.as_str() {
                "cpu" => environment.cores / environment.threads.max(1),
                _ => 1,
            }
        };
        made.side_by_side = runs.iter().map(parallel).min().unwrap_or(1).max(1);
        for run in runs {
            let environment = &run.record.environment;
            let commit = environment.git.as_ref().map(|git| {
                let commit: String = git.commit.chars().take(12).collect();
                format!(", commit {commit}{}", if git.dirty { " with changes" } else { "" })
            });
            made.programs.insert(format!(
                "ActLab {}{}, {}",
                environment.actlab,
                commit.unwrap_or_default(),
                environment.rustc
            ));
            made.processors.insert(environment.cpu.clone());
            made.devices.insert(environment.device.clone());
            let timing = &run.record.timing;
            let seconds = Some(timing.total_seconds).filter(|seconds| seconds.is_finite());
            let seconds = seconds.unwrap_or(0.0);
            made.seconds += seconds;
            let [first, last] = made.period;
            let began = timing.started_unix;
            let ended = Some(timing.ended()).filter(|ended| ended.is_finite()).unwrap_or(began);
            made.period = [first.min(began), last.max(ended)];
        }
        for arm in runs.chunk_by(|a, b| {
            let key = |run: &StoredRun| {
                (run.record.spec.task.clone(), run.record.spec.activation.label.clone())
            };
            key(a) == key(b)
        }) {
            made.fewest_seeds = made.fewest_seeds.min(arm.len());
            made.most_seeds = made.most_seeds.max(arm.len());
        }
        made
    }
}

/// The paragraphs, in the words of the Markdown report: what was done, and with what.
pub(super) fn paragraphs(report: &Report) -> [String; 2] {
    [sentences(report).join(" "), compute(report)]
}

fn compute(report: &Report) -> String {
    let made = &report.made;
    let list = |values: &BTreeSet<String>| {
        values.iter().map(|value| escape(value)).collect::<Vec<_>>().join("; ")
    };
    format!(
        "Compute: {} of wall time over all runs{}, on {} ({}); {}.",
        wall_time(made.seconds),
        period(made.period).unwrap_or_default(),
        list(&made.devices),
        list(&made.processors),
        list(&made.programs)
    )
}

/// The days of `period`, in UTC.
fn period(period: [f64; 2]) -> Option<String> {
    let day = |seconds: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
        let time = chrono::DateTime::from_timestamp(seconds as i64, 0)?;
        Some(time.format("%Y-%m-%d").to_string())
    };
    let [first, last] = period.map(|seconds| day(seconds).filter(|_| seconds.is_finite()));
    Some(match (first?, last?) {
        (first, last) if first == last => format!(" (on {first}, UTC)"),
        (first, last) => format!(" (from {first} to {last}, UTC)"),
    })
}

fn wall_time(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{}\u{a0}s", fixed(seconds, 0)),
        ..7200.0 => format!("{}\u{a0}min", fixed(seconds / 60.0, 1)),
        _ => format!("{}\u{a0}h", fixed(seconds / 3600.0, 1)),
    }
}

fn sentences(report: &Report) -> Vec<String> {
    let made = &report.made;
    let seeds = if made.fewest_seeds == made.most_seeds {
        plural(made.most_seeds, "seed")
    } else {
        format!("{} to {} seeds", made.fewest_seeds, made.most_seeds)
    };
    let mut sentences = vec![format!(
        "{} were trained on {} with {seeds} each ({} runs). A seed fixes initialization, data order, augmentation and \
         dropout, so that runs of different activations under one seed are pairs; data splits were the same for all.",
        plural(report.activations(), "activation"),
        plural(report.tasks.len(), "task"),
        grouped(report.runs.height() as u64),
    )];
    let metrics = report.metrics();
    sentences.push(format!(
        "The checkpoint with the best validation {} was evaluated once on the test split.",
        metric::alternatives(&metrics, |metric| metric.label.clone()).join(" or ")
    ));
    sentences.extend(tests(report));
    sentences.push(format!(
        "Values are means ± sample standard deviations over seeds, with Student's 95\u{a0}% intervals; those of \
         differences are at the level of the corrected test. Runs that diverged or failed are counted and left out of \
         means{}.",
        match &report.overall {
            Some(_) if report.tasks.iter().any(super::Task::has_unscored) => {
                "; in ranks a diverged run scores as guessing does, and is left out where it is not known what that is"
            }
            Some(_) => "; in ranks a diverged run scores as guessing does",
            None => "",
        }
    ));
    if let Some(tuning) = &report.tuning {
        sentences.push(format!(
            "Hyper-parameters were tuned for each activation by {} on validation data, on {} that no reported run has.",
            escape(&tuning.method),
            plural(tuning.seeds.len(), "seed")
        ));
    }
    if let Some(search) = &report.search {
        sentences.push(format!(
            "An evolutionary search found {} of the activations: it trained {} on {} that no reported run has, and chose by \
             validation data.",
            grouped(search.finalists.len() as u64),
            plural(search.formulas.len(), "formula"),
            plural(search.seeds.len(), "seed")
        ));
    }
    sentences.extend(registration(report));
    sentences
}

fn tests(report: &Report) -> Vec<String> {
    let frame = &report.frame;
    if let Some(waiting) = frame.before_first_look().filter(|_| frame.comparisons == 0) {
        return vec![format!("No difference was tested yet: {waiting}.")];
    }
    if frame.comparisons == 0 {
        return vec![
            "No difference was tested: there were too few runs, or the differences had no spread."
                .to_owned(),
        ];
    }
    let scope = match frame.family {
        Family::Report => format!("all {} comparisons of the report", frame.comparisons),
        Family::Task => format!("the comparisons of each task (at most {})", frame.comparisons),
    };
    let mut sentences = vec![format!(
        "Each activation was compared with {} by two-sided paired t tests (Welch's where seeds do not match); \
         p values were corrected by Holm's procedure over {scope}, at level {ALPHA}.",
        baselines(report)
    )];
    if let Some(stated) = &report.stated_baseline {
        sentences.push(format!(
            "The baseline was chosen for this report; the experiment states {}.",
            escape(stated)
        ));
    }
    let shares = report.tasks.iter().filter(|task| task.metric.is_share()).count();
    if let Some(margin) = frame.margin.filter(|_| shares > 0) {
        sentences.push(format!(
            "Equivalence within {}\u{a0}percentage points was tested by two one-sided t tests in the same family \
             (Schuirmann 1987; Shaffer 1986){}.",
            percent(margin),
            if shares < report.tasks.len() {
                ", on tasks whose metric is in percent; others have no margin and no test of equivalence"
            } else {
                ""
            }
        ));
    }
    if let Some(looks) = &report.looks {
        let seeds: Vec<String> = looks.seeds.iter().map(usize::to_string).collect();
        sentences.push(format!(
            "The design was group-sequential: looks at the results were planned after {} seeds, with shares of the level \
             in the proportions of O'Brien–Fleming bounds, so that the error rate holds over all looks (looks made: {}).",
            seeds.join(", "),
            looks.seeds.iter().filter(|seeds| **seeds <= looks.finished).count()
        ));
    }
    match report.all_pairs {
        Some(AllPairs::Holm) if report.has_pairs() => sentences.push(
            "All pairs of activations were compared by the same tests, with Holm's correction over all pairs as a \
             family of their own."
                .to_owned(),
        ),
        Some(AllPairs::Tukey) if report.has_pairs() => sentences.extend(tukey(report)),
        _ => {}
    }
    sentences
}

/// How Tukey's test compares all pairs.
fn tukey(report: &Report) -> Vec<String> {
    let tests = || report.tasks.iter().filter_map(|task| task.tukey.as_ref());
    let tasks = tests().map(|test| test.tasks).max().unwrap_or(1);
    let correction = match tasks {
        ..2 => String::new(),
        _ => format!("; p values were multiplied by the number of tasks, {tasks} (Bonferroni)"),
    };
    let mut sentences = vec![format!(
        "All pairs of activations were compared by Tukey's test with seeds as blocks, as a family of their \
         own{correction}."
    )];
    if tests().any(TukeyBlocks::lacks_runs) {
        sentences.push(
            "A block is a seed under which every activation of the test has a score; activations that lack seeds were \
             left out, the one that shares fewest first, as far as this gave the test more degrees of freedom. The \
             choice follows from the seeds, not from the scores."
                .to_owned(),
        );
    }
    sentences
}

/// What everything is compared with.
fn baselines(report: &Report) -> String {
    let mut labels: Vec<String> = Vec::new();
    for task in report.tasks_by_baseline() {
        let label = escape(&task.baseline);
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    labels.join(" and with ")
}

fn registration(report: &Report) -> Vec<String> {
    let mut sentences = Vec::new();
    if let Some(confirms) = &report.confirms {
        sentences.push(format!(
            "A confirmation run of {}, {}",
            escape(&confirms.sweep),
            escape(&confirms.statement)
        ));
    }
    if let Some(registration) = &report.registration {
        let short: String = registration.sha256.chars().take(16).collect();
        sentences.push(format!(
            "The experiment had the SHA-256 {short}… before its first run ended{}.",
            if registration.changes.is_empty() {
                ", and has not changed since".to_owned()
            } else {
                format!("; changed since: {}", registration.changes.join("; "))
            }
        ));
    }
    sentences
}
