//! What the columns mean.

use super::Report;
use super::columns::header;
use crate::comparison::{AllPairs, Family};
use crate::curve::LAST;
use crate::metric::{self, Shown};
use record::{Direction, Metric};

/// What a report says of some columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Their headers.
    terms: Vec<String>,
    /// For Markdown.
    pub(super) text: String,
}

/// Around a term.
const TERM: char = '\u{1}';

/// A header that an entry explains.
fn term(header: &str) -> String {
    format!("{TERM}{header}{TERM}")
}

impl Entry {
    /// An entry in which terms are marked.
    fn of(marked: &str) -> Self {
        let terms = marked.split(TERM).skip(1).step_by(2).map(str::to_owned).collect();
        Self { terms, text: marked.replace(TERM, "") }
    }
}

/// What `entries` say of the column `header`.
pub(super) fn explanation<'a>(entries: &'a [Entry], header: &str) -> Option<&'a str> {
    // A spread is explained with its value.
    let header = header.strip_suffix(" ± sd").unwrap_or(header);
    let explains = |entry: &&Entry| entry.terms.iter().any(|term| term == header);
    entries.iter().find(explains).map(|entry| entry.text.as_str())
}

/// An explanation of every column that some table of `report` has.
pub(super) fn entries(report: &Report) -> Vec<Entry> {
    let words = Words { metrics: report.metrics() };
    let labels = words.labels();
    // What guessing scores is not always known.
    let unscored = report.tasks.iter().any(super::Task::has_unscored);
    let mut entries = vec![format!(
        "{}, {}: runs that completed; figures are means over them unless stated otherwise.",
        term(header::N),
        term(header::SEEDS)
    )];
    if !report.unfinished.is_empty() {
        entries.push(format!(
            "{}, {}: runs that did not complete, of all that ended. A run diverges when its loss \
             or gradient becomes NaN or infinite (or, where the recipe has `training.divergence`, when its \
             training loss ends above that of guessing); it fails when the program does.",
            term(header::DIVERGED),
            term(header::FAILED)
        ));
    }
    entries.extend([
        format!(
            "{}: {labels} on the test split, evaluated once, with the weights with the best validation \
             {labels}; mean ± sample standard deviation over runs.",
            words.terms(header::test)
        ),
        format!(
            "{}: training time relative to the baseline's; ≈ where the times of an activation's runs vary by more than 5\u{a0}%, \
             as they do on a busy machine, or are of one run.",
            term(header::RELATIVE_TIME)
        ),
        "Next: the number of seeds follows from the spread of these runs and the level of the corrected test. Decide on it \
         once: adding seeds until a difference is significant raises the error rate."
            .to_owned(),
        format!("{}: of the mean, Student's. Bootstrap intervals are in summary.csv.", term(header::INTERVAL)),
        format!(
            "{}: test {labels} minus the baseline's under the same seed{}, as the mean over the \
             seeds that both completed. Such a pair starts from the same initialization and sees the same batches. In \
             brackets: the interval of the corrected test, whose level depends on the row: it excludes 0 where the \
             verdict is better or worse, contains it where there is no significant difference, and lies within the \
             margin where they are equivalent. The 95\u{a0}% interval without correction is in summary.csv. {}: how many seeds, in a column of its own where it is not n.",
            words.terms(header::difference),
            words.in_units_in_full(),
            term(header::PAIRS)
        ),
        format!("{}: best validation {}, and its epoch.", term(header::VALIDATION), words.values()),
    ]);
    if report.tasks.iter().any(super::Task::has_target) {
        entries.push(format!(
            "{}: median over runs of the first evaluation whose validation {labels} reached the target, as an optimizer \
             step; it is as coarse as the distance between evaluations. Where not every run reached it, how many of all \
             did and completed.",
            term(header::TARGET)
        ));
    }
    if report.tasks.iter().any(super::Task::has_spread) {
        entries.push(format!(
            "{}: mean of the middle half of the runs. {}, {}: single runs and their seeds.",
            words.terms(header::iqm),
            words.terms(header::worst),
            words.terms(header::best)
        ));
    }
    if report.tasks.iter().any(super::Task::has_tests) {
        entries.push(format!(
            "{}: of the paired t test of these differences (Welch's of all runs where seeds do not match), after \
             Holm's correction over the {}. {}: of Wilcoxon's signed-rank test (or the Mann–Whitney U test), exact, \
             uncorrected. {}: Cohen's d, the mean difference by its standard deviation. {} and {}: how often a run \
             beats one of the baseline, with a 95\u{a0}% interval (Newcombe 2006). {}: minimum detectable effect, the \
             true difference that as many pairs of this spread find with a probability of 0.8, at the level of the \
             corrected test.",
            term(header::P),
            match report.frame.family {
                Family::Report => "comparisons of all tasks",
                Family::Task => "comparisons of the task",
            },
            term(header::RANKS),
            term(header::EFFECT),
            term(header::CLIFF),
            term(header::IMPROVES),
            words.terms(header::found)
        ));
    }
    let with_margin: Vec<&Metric> = report
        .tasks
        .iter()
        .filter(|task| report.frame.margin_of(task).is_some())
        .map(|task| &task.metric)
        .collect();
    if !with_margin.is_empty() {
        let sides = metric::alternatives(&with_margin, |metric| match metric.direction {
            Direction::Higher => "below, within and above".into(),
            Direction::Lower => "above, within and below".into(),
        });
        entries.push(format!(
            "{}: of two one-sided tests of a difference as large as the margin, corrected. {}: probabilities that the \
             true difference is {} the margin (Bayesian t test with a flat prior).",
            term(header::EQUIVALENT),
            term(header::PROBABILITIES),
            sides.join(" or ")
        ));
    }
    if report.has_pairs() {
        entries.push(format!(
            "All pairs: row minus column{}, with p after {}'s correction over all pairs{}; bold: at most 0.05{}; no p: too few \
             runs, or differences without a spread.",
            words.in_differences(),
            report.all_pairs.map_or("Holm", AllPairs::name),
            match report.all_pairs {
                Some(AllPairs::Tukey) => ", both of the seeds of the test",
                _ => "",
            },
            match report.tasks.iter().any(|task| task.nothing_learned) {
                true => ", on tasks where something was learned",
                false => "",
            }
        ));
    }
    if report
        .tasks
        .iter()
        .flat_map(|task| &task.arms)
        .any(|arm| arm.examples.log_likelihood.is_some())
    {
        entries.push(format!(
            "{}: negative log-likelihood of the true class on the test split, in nats. {}: expected calibration error \
             (15 bins). {}: share of test examples that two seeds of the activation classify differently. Means over \
             runs.",
            term(header::LIKELIHOOD),
            term(header::CALIBRATION),
            term(header::DISAGREEMENT)
        ));
    }
    let points = words.in_differences();
    let comma = if points.is_empty() { String::new() } else { format!(",{points}") };
    if report.tasks.iter().any(super::Task::has_examples) {
        entries.push(format!(
            "{}: interval of the difference{points}, were the test split drawn anew as well: seeds and examples are \
             both taken as random (crossed random effects), at the level of the corrected test. {}, {}: the spread of \
             differences between seeds and between examples{comma}; ≈ 0: the estimate is not above zero.",
            term(header::EXAMPLES),
            term(header::SEED_SPREAD),
            term(header::EXAMPLE_SPREAD)
        ));
    }
    if report.tasks.iter().any(super::Task::has_curves) {
        entries.push(format!(
            "{}: mean validation {labels} over the steps from the first evaluation to the last. {}: \
             standard deviation of the last {LAST} evaluations around their trend{comma}, from four evaluations on. {}: largest loss against the best \
             evaluation before{comma}. {}: last evaluation against the best{comma}.",
            words.terms(header::area),
            term(header::VOLATILITY),
            term(header::DROP),
            term(header::FINAL)
        ));
    }
    if let Some(overall) = &report.overall {
        entries.push(format!(
            "Over all tasks: a run that diverged scores as guessing does{}. IQM: mean of the middle half of all runs{}.{}",
            if unscored {
                "; where what guessing scores is not known, it has no score and is left out"
            } else {
                ""
            },
            if overall.tasks > 1 {
                ", normalized: guessing is 0 on each task, the best activation's mean 1"
            } else {
                ""
            },
            // Empty where differences have no common spread.
            if overall.components.is_empty() {
                String::new()
            } else {
                format!(
                    " sd of Δ: how differences to the baseline spread between tasks, and between the seeds of a \
                     task{comma}; they are not normalized; ≈ 0: the estimate is not above zero."
                )
            }
        ));
    }
    entries.extend([
        format!(
            "{}: trainable ones. {}: floating-point operations of one example's forward pass, a \
             multiply-add counting two.",
            term(header::PARAMETERS),
            term(header::FLOPS)
        ),
        format!(
            "{}: units (channels or features) whose largest |f′(x)| over a sample of validation data \
             is below 10⁻³. {}: outputs that are exactly zero. {}: inputs at which |f′(x)| is below \
             10⁻³. {} (the mean shift) and {}: of the outputs. All are taken at the last evaluation \
             and averaged over the activation sites, each counting the same.",
            term(header::DEAD),
            term(header::ZERO),
            term(header::SATURATED),
            term(header::MEAN),
            term(header::VARIANCE)
        ),
        format!(
            "{}, {}: over the training steps alone, the latter ± standard deviation over runs. They depend on the machine and on what else ran \
             on it; everything else is reproducible.",
            term(header::SPEED),
            term(header::TIME)
        ),
        format!("{}: largest resident size of a run's process, mean over runs.", term(header::MEMORY)),
    ]);
    if report.tuning.is_some() {
        entries.push(format!(
            "Tuning: {}: best validation {labels} of the values that were chosen, the median over the seeds of \
             tuning, a run that diverged counting as {}; {}: the worst and the best of all trials, and how many runs \
             {}.",
            words.terms(header::tuned),
            metric::alternatives(&words.metrics, |metric| match metric.direction {
                Direction::Higher => "0".into(),
                Direction::Lower => "the worst".into(),
            })
            .join(" or "),
            term(header::SPREAD),
            term(header::DIVERGED)
        ));
    }
    if report.tasks.iter().any(super::Task::has_target) {
        entries.push(format!("{}: median training time to the target.", term(header::TARGET_TIME)));
    }
    if report.tasks.iter().any(|task| task.arms.len() > 1) {
        entries.push(format!(
            "{}: {} and faster, each beyond the 95\u{a0}% \
             intervals of the means; none: there is no such activation.",
            term(header::DOMINATED),
            words.dominating()
        ));
    }
    if report.tasks.iter().any(super::Task::uses_gpus) {
        entries.push(format!(
            "{}: what a run's process held on its GPU when it ended, mean over runs.",
            term(header::DEVICE_MEMORY)
        ));
    }
    if report.tasks.iter().any(super::Task::has_energy) {
        entries.push(format!(
            "{}: what processors and GPU took during a run, where the system tells: of the processors in \
             proportion to the processor time that it used, of a GPU an even share among its runs.",
            term(header::ENERGY)
        ));
    }
    entries.into_iter().map(|entry| Entry::of(&entry)).collect()
}

/// What differs between the metrics of a report's tasks.
struct Words<'a> {
    metrics: Vec<&'a Metric>,
}

impl Words<'_> {
    fn labels(&self) -> String {
        metric::alternatives(&self.metrics, |metric| metric.label.clone()).join(" or ")
    }

    /// A column's header on every task, as terms.
    fn terms(&self, header: fn(&Metric) -> String) -> String {
        let headers = metric::alternatives(&self.metrics, header);
        headers.iter().map(|header| term(header)).collect::<Vec<_>>().join("; ")
    }

    /// Names with units, as of a single value.
    fn values(&self) -> String {
        let value = |metric: &Metric| match metric.unit.as_str() {
            "%" => format!("{} in percent", metric.label),
            _ => metric.named_with_unit(),
        };
        metric::alternatives(&self.metrics, value).join(" or ")
    }

    /// The units of differences, as in `, in points`; nothing where one has none.
    fn in_units(&self, name: impl Fn(&Metric) -> String) -> String {
        let units = metric::alternatives(&self.metrics, name);
        if units.iter().any(String::is_empty) {
            return String::new();
        }
        format!(", in {}", units.join(" or "))
    }

    /// The same, as in `, in percentage points`.
    fn in_units_in_full(&self) -> String {
        self.in_units(|metric| match metric.is_share() {
            true => "percentage points".to_owned(),
            false => metric.difference_unit().to_owned(),
        })
    }

    fn in_differences(&self) -> String {
        let units = self.in_units(|metric| metric.difference_unit().to_owned());
        units.trim_start_matches(',').to_owned()
    }

    /// The activations that dominate another. Of shares in percent, which are of right answers or of wrong ones, better
    /// is more accurate.
    fn dominating(&self) -> &'static str {
        if self.metrics.iter().all(|metric| metric.is_share()) {
            return "the most accurate of the activations that are both more accurate";
        }
        "the best of the activations that are both better"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_find_their_explanation_and_no_other() {
        let entries = [
            format!("{}: of the mean, for planned seeds.", term("95 % interval")),
            format!("{}, {}: runs.", term("n"), term("seeds")),
            format!("{}: units. {} (the mean shift): of outputs.", term("dead %"), term("mean")),
            format!("{}: accuracy.", term("test %")),
        ];
        let entries = entries.map(|entry| Entry::of(&entry));
        for (header, place) in
            [("mean", 2), ("seeds", 1), ("n", 1), ("test % ± sd", 3), ("95 % interval", 0)]
        {
            assert_eq!(explanation(&entries, header), Some(entries[place].text.as_str()));
        }
        assert_eq!(entries[2].text, "dead %: units. mean (the mean shift): of outputs.");
        for header in ["outputs", "relu", "sd", ""] {
            assert_eq!(explanation(&entries, header), None, "{header}");
        }
    }
}
