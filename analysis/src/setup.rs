//! The conditions under which the runs of a task were made, and where they differ.

use crate::metric::Shown;
use crate::render::number;
use record::{
    Budget, CLASSIFICATION, Component, Described, Metric, Outcome, RunRecord, RunSpec, StoredRun,
    TrainingSpec,
};
use serde_json::json;

/// One condition, as in the model or the budget.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    /// What it is.
    pub(crate) name: &'static str,
    /// Each value that occurs, in words, with the labels of the activations that ran under it.
    pub(crate) values: Vec<(String, Vec<String>)>,
    /// Whether arms may differ in it and still be compared like for like, as in a tuned learning rate.
    pub(crate) tunable: bool,
}

impl Condition {
    fn of(name: &'static str, runs: &[&StoredRun], words: impl Fn(&RunSpec) -> String) -> Self {
        let words = runs.iter().map(|run| words(&run.record.spec));
        Self::with_words(name, runs, words.collect())
    }

    /// A condition whose words come from the records. One of an early record, which has none, takes those of a run
    /// whose `key` is the same: the same component must not look like two.
    fn described(
        name: &'static str,
        runs: &[&StoredRun],
        key: impl Fn(&RunSpec) -> serde_json::Value,
        words: impl Fn(&RunSpec, &Described) -> String,
    ) -> Self {
        let keys: Vec<serde_json::Value> = runs.iter().map(|run| key(&run.record.spec)).collect();
        let words = keys.iter().zip(runs).map(|(key, run)| {
            let own = &run.record;
            let same = keys.iter().zip(runs).filter(|(other, _)| *other == key);
            let described = same.map(|(_, run)| &run.record).find(|run| !run.described.is_empty());
            words(&own.spec, &described.unwrap_or(own).described.or_names(&own.spec))
        });
        Self::with_words(name, runs, words.collect())
    }

    /// A condition of `runs`, whose values are `words`.
    fn with_words(name: &'static str, runs: &[&StoredRun], words: Vec<String>) -> Self {
        let mut values: Vec<(String, Vec<String>)> = Vec::new();
        for (run, value) in runs.iter().zip(words) {
            let spec = &run.record.spec;
            let place = values.iter().position(|(known, _)| *known == value).unwrap_or_else(|| {
                values.push((value, Vec::new()));
                values.len() - 1
            });
            let labels = &mut values[place].1;
            if !labels.contains(&spec.activation.label) {
                labels.push(spec.activation.label.clone());
            }
        }
        Self { name, values, tunable: false }
    }

    /// Whether all runs share it.
    pub(crate) fn uniform(&self) -> bool {
        self.values.len() == 1
    }
}

/// Name of the condition that is the first to be tuned.
pub(crate) const LEARNING_RATE: &str = "learning rate";

/// Keys that say something of a condition, and its name.
const KEYS: &[(&str, &str)] = &[
    ("model.", "model"),
    ("objective", "objective"),
    ("data.", "data"),
    ("training.batch_size", "budget"),
    ("training.budget", "budget"),
    ("training.replicas", "budget"),
    ("training.sync_batch_norm", "budget"),
    ("training.optimizer", "optimizer"),
    ("training.schedule", "schedule"),
    ("training.warmup", "schedule"),
    ("training.weight_decay", "regularization"),
    ("training.label_smoothing", "regularization"),
    ("training.clip_norm", "regularization"),
    ("training.evaluate_every", "validation"),
    ("training.patience", "validation"),
    ("training.divergence", "divergence"),
];

/// A run of each recipe: runs that differ in their seed alone have one.
fn recipes<'a>(runs: &[&'a StoredRun]) -> Vec<&'a StoredRun> {
    let mut found: Vec<&StoredRun> = Vec::new();
    for run in runs {
        let spec = &run.record.spec;
        let same =
            |other: &&StoredRun| RunSpec { seed: spec.seed, ..other.record.spec.clone() } == *spec;
        // Runs of an arm stand together.
        match found.iter().rposition(same) {
            None => found.push(run),
            // A later program says more of the same spec.
            Some(place) if found[place].record.described.is_empty() => found[place] = run,
            Some(_) => {}
        }
    }
    found
}

/// The conditions of a task that is judged by `metric`, those that readers ask for first at the top, of which the keys
/// `tuned` were tuned for each arm.
pub(crate) fn conditions(
    runs: &[&StoredRun],
    metric: &Metric,
    tuned: &[(String, bool)],
) -> Vec<Condition> {
    let recipes = recipes(runs);
    let mut conditions = vec![Condition::described(
        "model",
        &recipes,
        |spec| json!(spec.model),
        |_, words| {
            let words = [&words.model_details, &words.model];
            words.into_iter().find(|words| !words.is_empty()).cloned().unwrap_or_default()
        },
    )];
    let plain = Component::named(CLASSIFICATION);
    if recipes.iter().any(|run| run.record.spec.objective != plain) {
        conditions.push(Condition::of("objective", &recipes, |spec| spec.objective.to_string()));
    }
    conditions.extend([Condition::described("data", &recipes, |spec| json!(spec.data), data)]);
    conditions.extend(test_split(&recipes, runs, metric));
    conditions.extend([
        Condition::of("budget", &recipes, |spec| budget(spec, runs)),
        Condition::described(
            "optimizer",
            &recipes,
            |spec| json!(spec.training.optimizer),
            |_, words| words.optimizer.clone(),
        ),
        Condition {
            tunable: true,
            ..Condition::of(LEARNING_RATE, &recipes, |spec| spec.training.learning_rate.to_string())
        },
        Condition::described(
            "schedule",
            &recipes,
            |spec| json!([spec.training.schedule, spec.training.warmup]),
            |spec, words| schedule(&spec.training, &words.schedule),
        ),
        Condition::of("regularization", &recipes, |spec| regularization(&spec.training)),
        Condition::of("validation", &recipes, |spec| validation(&spec.training, metric)),
        Condition::of("divergence", &recipes, |spec| divergence(&spec.training)),
        Condition::of("site statistics", &recipes, |spec| sites(&spec.training)),
        Condition::of("device", &recipes, |spec| spec.device.clone()),
    ]);
    // A hash tells a reader nothing, unless there are two.
    let files = Condition::of("data files (SHA-256)", &recipes, |spec| spec.data_sha256.clone());
    let weights = Condition::of("initial weights (SHA-256)", &recipes, |spec| {
        spec.weights_sha256.clone().unwrap_or_else(|| "drawn by the seed".to_owned())
    });
    conditions.extend([files, weights].into_iter().filter(|condition| !condition.uniform()));
    for condition in &mut conditions {
        let says = |key: &str| {
            KEYS.iter().any(|(part, name)| *name == condition.name && key.starts_with(part))
        };
        condition.tunable |= tuned.iter().any(|(key, _)| says(key));
    }
    conditions
}

fn data(spec: &RunSpec, described: &Described) -> String {
    let mut words = spec.data.component().to_string();
    if let Some(limit) = spec.data.train_limit {
        words += &format!(", first {} training examples", number::grouped(limit as u64));
    }
    if !described.augmentation.is_empty() {
        words += &format!(", {}", described.augmentation);
    }
    words
}

/// How many examples the scores are of; nothing where no record says it.
fn test_split(recipes: &[&StoredRun], runs: &[&StoredRun], metric: &Metric) -> Option<Condition> {
    let examples = |run: &StoredRun| run.record.summary.as_ref()?.test_examples;
    // A run that did not come so far had the examples of the others.
    let of = |recipe: &&StoredRun| {
        let same = runs.iter().filter(|run| run.record.spec.data == recipe.record.spec.data);
        same.filter_map(|run| examples(run)).next()
    };
    let counts: Vec<u64> = recipes.iter().map(of).collect::<Option<_>>()?;
    let classified =
        recipes.iter().all(|run| run.record.spec.objective == Component::named(CLASSIFICATION));
    let words = counts.iter().map(|examples| {
        let all = count(*examples, "example");
        if !classified || !metric.is_share() || *examples == 0 {
            return all;
        }
        let one = 100.0 / metric.scale / *examples as f64;
        format!("{all}, each of which is {}", metric.size(one))
    });
    let words = words.collect();
    Some(Condition::with_words("test split", recipes, words))
}

/// The budget in steps and epochs: one of them is in the spec, the other was measured.
fn budget(spec: &RunSpec, runs: &[&StoredRun]) -> String {
    let budget = spec.training.budget;
    // A run on the same data with the same batches makes the same number of steps.
    let alike = runs.iter().map(|run| &run.record).filter(|run| {
        let training = &run.spec.training;
        run.outcome == Outcome::Completed
            && training.budget == budget
            && training.batch_size == spec.training.batch_size
            && run.spec.data == spec.data
            // One that may have ended early tells nothing.
            && training.patience.is_none()
    });
    let words = match budget {
        Budget::Epochs(epochs) => {
            let epochs = count(epochs, "epoch");
            match alike.filter_map(|run| Some(run.summary.as_ref()?.steps)).max() {
                Some(steps) => format!("{} ({epochs})", count(steps, "optimizer step")),
                None => epochs,
            }
        }
        Budget::Steps(steps) => {
            let epochs = alike.filter_map(epochs).reduce(f64::max);
            let epochs = epochs.map(|epochs| format!(" ({} epochs)", number::fixed(epochs, 2)));
            format!("{}{}", count(steps, "optimizer step"), epochs.unwrap_or_default())
        }
    };
    let most = if spec.training.patience.is_some() { "at most " } else { "" };
    let replicas = match (spec.training.replicas, spec.training.sync_batch_norm) {
        (1, _) => String::new(),
        (replicas, false) => format!(" in {replicas} replicas"),
        (replicas, true) => format!(" in {replicas} replicas that share batch statistics"),
    };
    let examples = number::grouped(spec.training.batch_size as u64);
    format!("{most}{words} of {examples} examples a step{replicas}")
}

/// Passes over the data that the whole run made, from where it last evaluated.
fn epochs(run: &RunRecord) -> Option<f64> {
    let summary = run.summary.as_ref()?;
    let last = summary.last_validation.as_ref().filter(|last| last.step > 0)?;
    Some(last.epoch * summary.steps as f64 / last.step as f64)
}

fn schedule(training: &TrainingSpec, shape: &str) -> String {
    if training.warmup == 0.0 {
        return shape.into();
    }
    format!("linear warm-up over {}\u{a0}% of the steps, then {shape}", training.warmup * 100.0)
}

fn regularization(training: &TrainingSpec) -> String {
    let mut parts = Vec::new();
    if training.weight_decay != 0.0 {
        parts.push(format!("weight decay {}", training.weight_decay));
    }
    if training.label_smoothing != 0.0 {
        parts.push(format!("label smoothing {}", training.label_smoothing));
    }
    if let Some(norm) = training.clip_norm {
        parts.push(format!("gradient norm clipped at {norm}"));
    }
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

fn validation(training: &TrainingSpec, metric: &Metric) -> String {
    let every = match training.evaluate_every {
        None => "every epoch".into(),
        Some(1) => "every step".into(),
        Some(steps) => format!("every {} steps", number::grouped(steps)),
    };
    let target = training.target();
    let target = target.map(|target| format!(", target {}", metric.quantity(target)));
    let patience = training.patience.map(|patience| {
        format!(", stops after {} without improvement", count(patience, "evaluation"))
    });
    format!("{every}{}{}", target.unwrap_or_default(), patience.unwrap_or_default())
}

fn divergence(training: &TrainingSpec) -> String {
    match training.divergence {
        None => "NaN or infinity".into(),
        Some(rule) => format!(
            "NaN, infinity, or a mean loss of the last {} above {} times that of guessing",
            count(rule.window, "step"),
            rule.ratio
        ),
    }
}

fn sites(training: &TrainingSpec) -> String {
    match training.site_statistics.examples {
        0 => "off".into(),
        examples => format!("of {}", count(examples as u64, "validation example")),
    }
}

fn count(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", number::grouped(n), if n == 1 { "" } else { "s" })
}
