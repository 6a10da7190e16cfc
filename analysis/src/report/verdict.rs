//! What the figures of a task allow one to say, in sentences.

use super::Task;
use crate::comparison::{ALPHA, Against, Family, LookPlan, Verdict, luck, margin_of};
use crate::metric::Shown;
use crate::render::number::{equals, grouped};
use crate::render::text::escape;
use crate::summary::Arm;
use record::Metric;

/// Runs of an activation below which a result is called exploratory.
const ENOUGH_RUNS: usize = 5;

/// What holds for all tasks of a report.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// Over which tests the error rate is held.
    pub(super) family: Family,
    /// Comparisons in the family.
    pub(super) comparisons: usize,
    /// Differences that do not matter, as a fraction; it applies to metrics in percent.
    pub(super) margin: Option<f64>,
    /// Whether the report is about arms that an earlier sweep has chosen.
    pub(super) confirms: bool,
    /// Seeds that the next look at the results takes, and those that all activations have finished; where there are looks,
    /// and before the last.
    pub(super) next_look: Option<NextLook>,
}

/// The next look at the results of a sweep that may end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NextLook {
    first: bool,
    seeds: usize,
    finished: usize,
}

impl NextLook {
    /// The look after those that are made; nothing after the last.
    pub(super) fn of(plan: &LookPlan) -> Option<Self> {
        let place = plan.seeds.iter().position(|seeds| *seeds > plan.finished)?;
        Some(Self { first: place == 0, seeds: plan.seeds[place], finished: plan.finished })
    }

    /// When it is, in words that follow a colon.
    pub(super) fn words(self) -> String {
        format!(
            "the {} look is after {} seeds that all activations have finished; {} {} there",
            if self.first { "first" } else { "next" },
            self.seeds,
            self.finished,
            if self.finished == 1 { "is" } else { "are" }
        )
    }
}

impl Frame {
    /// The margin on a task, in units of its values.
    pub(super) fn margin_of(&self, task: &Task) -> Option<f64> {
        margin_of(self.margin, Some(&task.metric))
    }

    /// Before the first look, when that is.
    pub(super) fn before_first_look(&self) -> Option<String> {
        self.next_look.filter(|look| look.first).map(NextLook::words)
    }
}

/// The verdict on a task, a paragraph each.
pub(super) fn sentences(task: &Task, frame: &Frame) -> Vec<String> {
    let mut sentences = Vec::new();
    let judged: Vec<&Arm> = task.arms.iter().filter(|arm| arm.test.is_some()).collect();
    sentences.extend(all_diverged(task));
    if judged.is_empty() {
        sentences.push("No run completed: there is nothing to compare.".into());
    } else {
        match nothing_learned(task, &judged) {
            Some(sentence) => sentences.push(sentence),
            None => {
                sentences.push(leaders(task, &judged, frame));
                sentences.extend(at_guessing(task, &judged));
            }
        }
        sentences.extend(baseline_missing(task));
        sentences.extend(verdicts(task, frame));
    }
    sentences.extend(some_diverged(task));
    sentences.extend(failed(task));
    sentences.extend(exploratory(&judged));
    sentences.extend(unlike(task));
    sentences
}

fn all_diverged(task: &Task) -> Option<String> {
    let arms: Vec<&Arm> =
        task.arms.iter().filter(|arm| arm.diverged == arm.runs && arm.runs > 0).collect();
    let how = |arm: &&Arm| match arm.runs {
        1 => format!("{} diverged in its only run", escape(&arm.activation)),
        runs => format!("{} diverged in all {runs} runs", escape(&arm.activation)),
    };
    let how: Vec<String> = arms.iter().map(how).collect();
    (!how.is_empty()).then(|| format!("**{}.**", how.join("; ")))
}

/// The best value that guessing reaches by luck on the test examples.
fn by_luck(task: &Task) -> Option<f64> {
    let guessing = task.metric.known_guessing()?;
    Some(guessing + task.metric.merit(luck(Some(&task.metric), guessing, task.test_examples)))
}

fn learned(arm: &Arm, metric: &Metric, luck: f64) -> bool {
    arm.test.is_some_and(|value| metric.is_better(value.mean, luck))
}

pub(super) fn nothing_learned(task: &Task, judged: &[&Arm]) -> Option<String> {
    let metric = &task.metric;
    let guessing = metric.known_guessing().filter(|_| task.nothing_learned)?;
    let best = metric.best(judged.iter().filter_map(|arm| arm.test).map(|one| one.mean))?;
    Some(format!(
        "**Nothing was learned:** the {} mean test {}, {}, is no better than guessing ({}). There is no winner.",
        metric.best_word(),
        metric.label,
        metric.quantity(best),
        metric.quantity(guessing)
    ))
}

pub(super) fn at_guessing(task: &Task, judged: &[&Arm]) -> Option<String> {
    let luck = by_luck(task)?;
    let arms: Vec<&Arm> =
        judged.iter().copied().filter(|arm| !learned(arm, &task.metric, luck)).collect();
    (!arms.is_empty()).then(|| {
        let verb = if arms.len() == 1 { "is" } else { "are" };
        format!("{} {verb} no better than guessing.", list(&arms))
    })
}

/// Which activation has the best mean.
fn leaders(task: &Task, judged: &[&Arm], frame: &Frame) -> String {
    let metric = &task.metric;
    let label = &metric.label;
    let shown = |arm: &Arm| arm.test.map_or(f64::NAN, |value| metric.last_digits(value.mean));
    let best = metric.best(judged.iter().map(|arm| shown(arm))).unwrap_or(f64::NAN);
    let leads = |arm: &&Arm| shown(arm) == best;
    let leaders: Vec<&Arm> = judged.iter().copied().filter(leads).collect();
    let mean = leaders.first().and_then(|arm| arm.test).map_or(f64::NAN, |value| value.mean);
    let value = metric.quantity(mean);
    if let [only] = judged {
        return format!(
            "Only {} has completed runs, with a mean test {label} of {value} ({}).",
            escape(&only.activation),
            size(only)
        );
    }
    let word = metric.best_word();
    let [leader] = leaders[..] else {
        let names = list(&leaders);
        return format!("{names} share the {word} mean test {label}, {value}.");
    };
    let name = escape(&leader.activation);
    let whose = if leader.activation == task.baseline { ", the baseline," } else { "" };
    let mut text =
        format!("{name}{whose} has the {word} mean test {label}, {value} ({}).", size(leader));
    let most = judged.iter().map(|arm| arm.completed).max().unwrap_or(0);
    if judged.len() > 2 && !frame.confirms && 2 * leader.completed < most {
        text +=
            " Most of its runs did not complete: `actlab confirm` takes the best of the others.";
    } else if judged.len() > 2 && !frame.confirms && !can_be_confirmed(task, leader) {
        text += &format!(" The best of {} is likely to be overestimated.", judged.len());
    } else if judged.len() > 2 && !frame.confirms {
        text += &format!(
            " The best of {} is likely to be overestimated: `actlab confirm` tests it on fresh seeds.",
            judged.len()
        );
    }
    text
}

/// Whether `actlab confirm` compares an activation: it is not the baseline, which has a score.
fn can_be_confirmed(task: &Task, arm: &Arm) -> bool {
    arm.activation != task.baseline && task.baseline().is_some_and(|arm| arm.completed > 0)
}

/// How many runs a mean is over, and how many it leaves out.
fn size(arm: &Arm) -> String {
    let mut size = format!("n\u{a0}=\u{a0}{}", arm.completed);
    for (count, how) in [(arm.diverged, "diverged"), (arm.failed, "failed")] {
        if count > 0 {
            size += &format!("; {count} of {} {how}", arm.runs);
        }
    }
    size
}

fn baseline_missing(task: &Task) -> Option<String> {
    let name = escape(&task.baseline);
    match task.baseline() {
        None => Some(format!(
            "The baseline {name} has no run on this task: nothing is compared with it."
        )),
        Some(arm) if arm.completed == 0 => {
            Some(format!("No run of the baseline {name} completed: nothing is compared with it."))
        }
        Some(_) => None,
    }
}

/// Where every arm stands to the baseline: a sentence for each kind of verdict.
fn verdicts(task: &Task, frame: &Frame) -> Vec<String> {
    let compared = Compared::new(task, frame);
    let mut sentences = Vec::new();
    let metric = &task.metric;
    let baseline = escape(&task.baseline);
    let correction = compared.correction();
    for (verdict, words) in [(Verdict::Better, "Better"), (Verdict::Worse, "Worse")] {
        if let Some(arms) =
            compared.list(verdict, &|arm, against| compared.with_divergence(arm, against))
        {
            let but = match verdict {
                Verdict::Worse => compared.but_baseline_diverged(verdict),
                _ => String::new(),
            };
            sentences.push(format!(
                "**{words} than {baseline}** at level {ALPHA}{correction}: {arms}{but}."
            ));
        }
    }
    if let Some(arms) =
        compared.list(Verdict::Equivalent, &|arm, against| compared.equivalence(arm, against))
    {
        let margin = frame.margin_of(task).map(|margin| format!(" within {}", metric.size(margin)));
        let margin = margin.unwrap_or_default();
        let but = compared.but_baseline_diverged(Verdict::Equivalent);
        sentences.push(format!("**Equivalent to {baseline}**{margin}{correction}: {arms}{but}."));
    }
    let judged = |arm: &Arm, against: &Against| {
        format!("{} ({})", escape(&arm.activation), figures(metric, against))
    };
    if let Some(arms) = compared.list(Verdict::NothingLearned, &judged) {
        sentences
            .push(format!("Not judged against {baseline}, since nothing was learned: {arms}."));
    }
    if let Some(arms) =
        compared.list(Verdict::Undecided, &|arm, against| compared.with_divergence(arm, against))
    {
        let but = compared.but_baseline_diverged(Verdict::Undecided);
        let mut text =
            format!("No significant difference from {baseline}{correction}: {arms}{but}.");
        text += &compared.power();
        sentences.push(text);
    }
    let seeds = |against: &Against| match against.paired {
        true => format!("{}\u{a0}shared seeds", against.pairs),
        false => "all runs, unpaired".to_owned(),
    };
    let shared =
        |arm: &Arm, against: &Against| format!("{} ({})", escape(&arm.activation), seeds(against));
    if let Some(arms) = compared.list(Verdict::Identical, &shared) {
        sentences.push(format!("Identical to {baseline} in every run that is compared: {arms}."));
    }
    let exact = |arm: &Arm, against: &Against| {
        let size = against.difference.map(|size| difference(metric, size)).unwrap_or_default();
        let within = frame.margin_of(task).zip(against.difference);
        let within = within.is_some_and(|(margin, difference)| difference.abs() <= margin);
        format!(
            "{} (exactly {size}, {}{})",
            escape(&arm.activation),
            seeds(against),
            if within { "; within the margin" } else { "" }
        )
    };
    if let Some(arms) = compared.list(Verdict::Constant, &exact) {
        sentences.push(format!(
            "The same difference from {baseline} in every run that is compared, so that there is no spread to test: {arms}."
        ));
    }
    if let Some(arms) =
        compared.list(Verdict::TooFew, &|arm, against| too_few(metric, arm, against))
    {
        sentences.push(match frame.before_first_look() {
            Some(waiting) => format!("Not compared with {baseline} yet, since {waiting}: {arms}."),
            None => format!("Too few runs to compare with {baseline}: {arms}."),
        });
    }
    sentences.extend(compared.loose());
    let tested = compared.arms.iter().any(|(_, against)| against.t_test.is_some());
    if tested && frame.margin.is_some() && frame.margin_of(task).is_none() {
        sentences.push(format!(
            "The margin is in percentage points and does not apply to {}: equivalence is not tested on this task.",
            metric.label
        ));
    }
    sentences
}

/// The arms that are compared with the baseline.
struct Compared<'a> {
    task: &'a Task,
    frame: &'a Frame,
    arms: Vec<(&'a Arm, &'a Against)>,
}

impl<'a> Compared<'a> {
    fn new(task: &'a Task, frame: &'a Frame) -> Self {
        let arms = task.arms.iter().filter_map(|arm| Some((arm, arm.against.as_ref()?)));
        Self { task, frame, arms: arms.collect() }
    }

    /// The arms with a verdict in `words`, if there are any.
    fn list(&self, verdict: Verdict, words: &dyn Fn(&Arm, &Against) -> String) -> Option<String> {
        let of = self.arms.iter().filter(|(_, against)| against.verdict == verdict);
        let parts: Vec<String> = of.map(|(arm, against)| words(arm, against)).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn correction(&self) -> String {
        match (self.task.comparisons, self.frame.family) {
            (0 | 1, _) => String::new(),
            (n, Family::Report) => format!(" (Holm-adjusted, {n} comparisons in this report)"),
            (n, Family::Task) => format!(" (Holm-adjusted, {n} comparisons on this task)"),
        }
    }

    /// A difference with its figures, and with what it leaves out where that is more than the baseline does.
    fn with_divergence(&self, arm: &Arm, against: &Against) -> String {
        self.but_diverged(arm, figures(&self.task.metric, against))
    }

    /// The same of an equivalence.
    fn equivalence(&self, arm: &Arm, against: &Against) -> String {
        let p = against.equivalence.map(|one| equals(one.p_holm).replace(' ', "\u{a0}"));
        let p = p.map(|p| format!(", {p}")).unwrap_or_default();
        self.but_diverged(arm, interval(&self.task.metric, against) + &p)
    }

    /// That the baseline diverged more often than an activation of this verdict.
    fn but_baseline_diverged(&self, verdict: Verdict) -> String {
        let of = self.arms.iter().filter(|(_, against)| against.verdict == verdict);
        but_baseline_diverged(self.task, &of.copied().collect::<Vec<_>>())
    }

    fn but_diverged(&self, arm: &Arm, mut text: String) -> String {
        if let Some(baseline) = self.task.baseline()
            && diverged_more(self.task, arm)
        {
            text += &format!(
                "; but {} of {} runs diverged, {} of {} of {}",
                arm.diverged,
                arm.runs,
                baseline.diverged,
                baseline.runs,
                escape(&baseline.activation)
            );
        }
        format!("{} ({text})", escape(&arm.activation))
    }

    /// What the undecided comparisons could have found.
    fn power(&self) -> String {
        let undecided = self.arms.iter().filter(|(_, one)| one.verdict == Verdict::Undecided);
        let power: Vec<_> = undecided.filter_map(|(_, against)| against.power).collect();
        let metric = &self.task.metric;
        let sizes = || power.iter().map(|power| power.detectable);
        let (Some(low), Some(high)) = (sizes().reduce(f64::min), sizes().reduce(f64::max)) else {
            return String::new();
        };
        let (low, high) = (metric.detectable(low), metric.detectable(high));
        let range = if low == high { high } else { format!("{low} to {high}") };
        let mut text = format!(
            " Minimum detectable effect of so many seeds (80\u{a0}% power): {}.",
            metric.with_difference_unit(&range)
        );
        let needed = power.iter().filter_map(|power| power.seeds_for_margin).max();
        if let Some((margin, seeds)) = self.frame.margin_of(self.task).zip(needed) {
            text += &format!(
                " A difference as large as the margin, {}, takes {}\u{a0}seeds or more.",
                metric.size(margin),
                grouped(seeds as u64)
            );
        }
        text
    }

    fn loose(&self) -> Option<String> {
        let arms: Vec<&Arm> = self
            .arms
            .iter()
            .filter(|(arm, against)| against.unpaired > 0 && arm.completed > 0)
            .map(|(arm, _)| *arm)
            .collect();
        (!arms.is_empty() && self.task.baseline().is_some_and(|arm| arm.completed > 0)).then(|| {
            format!(
                "Seeds completed by {} and by {} do not all match: the shared ones are compared where there are two \
                 or more, else all runs, unpaired.",
                list(&arms),
                escape(&self.task.baseline)
            )
        })
    }
}

fn diverged_share(arm: &Arm) -> f64 {
    arm.diverged as f64 / arm.runs.max(1) as f64
}

/// Whether more runs of `arm` diverged than of the baseline, as shares.
pub(super) fn diverged_more(task: &Task, arm: &Arm) -> bool {
    diverged_share(arm) > task.baseline().map_or(0.0, diverged_share)
}

/// That more runs of the baseline diverged than of one of `arms`, in words that continue a claim.
pub(super) fn but_baseline_diverged(task: &Task, arms: &[(&Arm, &Against)]) -> String {
    let Some(baseline) = task.baseline() else { return String::new() };
    let more = arms.iter().any(|(arm, _)| diverged_share(baseline) > diverged_share(arm));
    if more { but_these_diverged(&[baseline]) } else { String::new() }
}

/// That runs of `arms` diverged, in words that continue a claim.
pub(super) fn but_these_diverged(arms: &[&Arm]) -> String {
    let counts = arms.iter().map(|arm| {
        format!("{} of {} runs of {} diverged", arm.diverged, arm.runs, escape(&arm.activation))
    });
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() { String::new() } else { format!("; but {}", counts.join(", ")) }
}

fn too_few(metric: &Metric, arm: &Arm, against: &Against) -> String {
    match against.difference {
        Some(size) => format!("{} ({})", escape(&arm.activation), difference(metric, size)),
        None => escape(&arm.activation),
    }
}

/// A difference, its interval and its p.
fn figures(metric: &Metric, against: &Against) -> String {
    let p = against.p_holm.map(|p| format!(", {}", equals(p).replace(' ', "\u{a0}")));
    format!("{}{}", interval(metric, against), p.unwrap_or_default())
}

/// A signed difference with its unit.
fn difference(metric: &Metric, size: f64) -> String {
    metric.with_difference_unit(&metric.difference(size))
}

fn interval(metric: &Metric, against: &Against) -> String {
    let mut text = against.difference.map(|size| difference(metric, size)).unwrap_or_default();
    if let Some(interval) = against.interval {
        let [low, high] = [interval.low, interval.high].map(|bound| metric.difference(bound));
        text += &format!(" [{low},\u{a0}{high}]");
    }
    text
}

fn some_diverged(task: &Task) -> Option<String> {
    let arms = counts(task, |arm| if arm.diverged < arm.runs { arm.diverged } else { 0 })?;
    Some(format!(
        "Runs that diverged: {arms}; the means leave these runs out, which flatters the activation."
    ))
}

fn failed(task: &Task) -> Option<String> {
    let arms = counts(task, |arm| arm.failed)?;
    Some(format!("Runs that failed: {arms}; the means leave these runs out."))
}

fn counts(task: &Task, count: impl Fn(&Arm) -> usize) -> Option<String> {
    let arms: Vec<String> = task
        .arms
        .iter()
        .filter(|arm| count(arm) > 0)
        .map(|arm| format!("{} ({} of {})", escape(&arm.activation), count(arm), arm.runs))
        .collect();
    (!arms.is_empty()).then(|| arms.join(", "))
}

fn exploratory(judged: &[&Arm]) -> Option<String> {
    let least = judged.iter().map(|arm| arm.completed).min()?;
    match least {
        ENOUGH_RUNS.. => None,
        1 => Some(
            "Exploratory: an activation has a single completed run, which shows no spread. Use at least 5 seeds, \
             preferably 10."
                .into(),
        ),
        _ => Some(format!(
            "Exploratory: an activation has only {least} completed runs. Use at least 5 seeds, preferably 10."
        )),
    }
}

/// Conditions that should have been the same for all arms.
pub(super) fn unlike(task: &Task) -> Option<String> {
    let names: Vec<&str> = task
        .conditions
        .iter()
        .filter(|condition| !condition.uniform() && !condition.tunable)
        .map(|condition| condition.name)
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "**Not like for like:** the runs of this task differ in {} (see below).",
            names.join(", ")
        )
    })
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(arms: &[&Arm]) -> String {
    let names: Vec<String> = arms.iter().map(|arm| escape(&arm.activation)).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}
