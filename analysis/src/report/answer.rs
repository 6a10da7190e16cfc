//! The answer to the question of a task: which activation, how sure, and what to do next.
//!
//! Every claim comes from the verdicts and p values of the comparison; nothing is tested here.

use super::verdict::{
    at_guessing, but_baseline_diverged, but_these_diverged, diverged_more, list, nothing_learned,
    unlike,
};
use super::{Report, Task};
use crate::comparison::{ALPHA, Against, Pair, Verdict};
use crate::metric::Shown;
use crate::render::number::{equals, fixed};
use crate::render::text::escape;
use crate::summary::Arm;
use record::Metric;

/// Pairs below which results are exploratory, and their spread is too badly known to plan with.
pub(super) const ENOUGH: usize = 5;

/// The sentences of the answer.
pub(super) fn sentences(report: &Report, task: &Task) -> Vec<String> {
    let judged: Vec<&Arm> = task.arms.iter().filter(|arm| arm.test.is_some()).collect();
    let mut sentences = Vec::new();
    if judged.is_empty() {
        sentences.push(format!("**There is no result: {}.**", how_all_ended(task)));
        return sentences;
    }
    if let Some(nothing) = nothing_learned(task, &judged) {
        sentences.push(nothing);
        sentences.extend(without_scores(task, |_| true));
    } else if let Some(missing) = no_baseline(task) {
        sentences.push(missing);
        sentences.extend(without_scores(task, |arm| arm.activation != task.baseline));
    } else if let [only] = judged[..] {
        sentences.push(format!(
            "Only {} has a completed run: there is nothing to compare it with.",
            escape(&only.activation)
        ));
        sentences.extend(without_scores(task, |_| true));
    } else {
        let answer = Answer::new(report, task);
        sentences.extend(answer.claims());
        sentences.extend(answer.limits());
        sentences.extend(at_guessing(task, &judged));
    }
    sentences.extend(left_out(task));
    sentences.extend(unstable(task));
    sentences.extend(unlike(task));
    sentences
}

/// Mean loss in nats that no uncertain prediction has: a uniform guess among 10⁴³ classes.
const EXPLODED: f64 = 100.0;

/// Activations whose runs ended, but whose outputs have grown without bound.
fn unstable(task: &Task) -> Option<String> {
    let told = |arm: &Arm| {
        let loss = arm.test_loss.filter(|loss| *loss > EXPLODED)?;
        let loss = if loss < 1e5 { fixed(loss, 0) } else { format!("{loss:.1e}") };
        Some(format!("**{} was unstable**: its mean test loss is {loss}", escape(&arm.activation)))
    };
    let told: Vec<String> = task.arms.iter().filter_map(told).collect();
    (!told.is_empty()).then(|| {
        format!(
            "{}. Its outputs have grown without bound, so that its score is one of this recipe as much as of the activation: \
             try a lower `learning_rate`, or `clip_norm`.",
            told.join("; ")
        )
    })
}

/// How the runs of a task without any score ended.
fn how_all_ended(task: &Task) -> String {
    let total = |count: fn(&Arm) -> usize| task.arms.iter().map(count).sum::<usize>();
    match (total(|arm| arm.diverged), total(|arm| arm.failed)) {
        (diverged, 0) => format!("all {diverged} runs diverged"),
        (0, failed) => format!("all {failed} runs failed"),
        (diverged, failed) => format!("{diverged} runs diverged and {failed} failed"),
    }
}

fn no_baseline(task: &Task) -> Option<String> {
    let name = escape(&task.baseline);
    match task.baseline() {
        None => Some(format!("The baseline {name} has no run: nothing is compared.")),
        Some(arm) if arm.completed == 0 => {
            Some(format!("The baseline {}: nothing is compared.", how_it_ended(arm)))
        }
        Some(_) => None,
    }
}

/// How the runs of an activation without any score ended.
fn how_it_ended(arm: &Arm) -> String {
    let name = escape(&arm.activation);
    match (arm.diverged, arm.failed) {
        (diverged, 0) if diverged == arm.runs => format!("{name} diverged in {}", all_of(arm.runs)),
        (0, failed) if failed == arm.runs => format!("{name} failed in {}", all_of(arm.runs)),
        (diverged, failed) => {
            format!("{name} completed no run ({diverged} diverged, {failed} failed)")
        }
    }
}

/// How the activations ended that have no score, of those that are `wanted`.
fn without_scores(task: &Task, wanted: impl Fn(&Arm) -> bool) -> Option<String> {
    let arms = task.arms.iter().filter(|arm| arm.completed == 0 && arm.runs > 0 && wanted(arm));
    let how: Vec<String> = arms.map(how_it_ended).collect();
    (!how.is_empty()).then(|| format!("**{}.**", how.join("; ")))
}

/// Runs without a score.
fn left_out(task: &Task) -> Option<String> {
    let arms: Vec<String> = task
        .arms
        .iter()
        .filter(|arm| arm.completed > 0)
        .flat_map(|arm| {
            let counts = [(arm.diverged, "diverged"), (arm.failed, "failed")];
            let shown = counts.into_iter().filter(|(count, _)| *count > 0);
            let label = escape(&arm.activation);
            shown.map(move |(count, how)| format!("{count} of {} runs of {label} {how}", arm.runs))
        })
        .collect();
    (!arms.is_empty()).then(|| format!("{}; the figures leave them out.", arms.join(", ")))
}

/// An activation, and how it compares with the baseline.
type Compared<'a> = (&'a Arm, &'a Against);

/// What the verdicts of a task say together.
struct Answer<'a> {
    report: &'a Report,
    task: &'a Task,
    arms: Vec<(&'a Arm, &'a Against)>,
    baseline: String,
}

impl<'a> Answer<'a> {
    fn new(report: &'a Report, task: &'a Task) -> Self {
        let arms = task.arms.iter().filter_map(|arm| Some((arm, arm.against.as_ref()?)));
        let mut arms: Vec<_> = arms.collect();
        let merit =
            |arm: &Arm| arm.test.map_or(f64::NEG_INFINITY, |one| task.metric.merit(one.mean));
        // The best first; equal ones in the order of the experiment.
        arms.sort_by(|(a, _), (b, _)| merit(b).total_cmp(&merit(a)));
        Self { report, task, arms, baseline: escape(&task.baseline) }
    }

    fn with(&self, verdict: Verdict) -> Vec<(&'a Arm, &'a Against)> {
        self.arms.iter().filter(|(_, against)| against.verdict == verdict).copied().collect()
    }

    /// Seeds of the comparisons without a significant difference: the fewest and the most.
    fn undecided_seeds(&self) -> Option<(usize, usize)> {
        let seeds = self.with(Verdict::Undecided);
        let seeds = || seeds.iter().map(|(arm, against)| self.seeds(arm, against));
        Some((seeds().min()?, seeds().max()?))
    }

    /// Seeds that a comparison is of: pairs, or the runs of the smaller side.
    fn seeds(&self, arm: &Arm, against: &Against) -> usize {
        compared_seeds(self.task, arm, against)
    }

    /// That too few runs show nothing, if they do.
    fn cannot_tell(&self) -> Option<String> {
        let open =
            |verdict| !matches!(verdict, Verdict::Better | Verdict::Worse | Verdict::Equivalent);
        let (fewest, most) = self.undecided_seeds().filter(|(_, most)| *most < ENOUGH)?;
        self.arms.iter().all(|(_, one)| open(one.verdict)).then(|| {
            let seeds =
                if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
            format!(
                "**These {seeds} seeds cannot tell**: no activation differs significantly from {}",
                self.baseline
            )
        })
    }

    /// The claims, the strongest first, in one sentence.
    fn claims(&self) -> Vec<String> {
        let [better, worse, undecided] =
            [Verdict::Better, Verdict::Worse, Verdict::Undecided].map(|verdict| self.with(verdict));
        let cannot_tell = self.cannot_tell();
        let mut claims = Vec::new();
        let winner = self.winner();
        // What the sentence of the winner says is not said again.
        let others =
            if winner.is_some() { better.get(1..).unwrap_or_default() } else { &better[..] };
        claims.extend(winner);
        if !others.is_empty() {
            claims.push(format!(
                "**{} {} better than {}**",
                self.with_figures(others),
                is(others.len()),
                self.baseline
            ));
        }
        if !worse.is_empty() && !self.baseline_wins() {
            claims.push(format!(
                "**{} {} worse than {}**{}",
                self.with_figures(&worse),
                is(worse.len()),
                self.baseline,
                but_baseline_diverged(self.task, &worse)
            ));
        }
        if cannot_tell.is_some() {
            claims.extend(cannot_tell);
        } else if !undecided.is_empty() {
            claims.push(format!(
                "**no significant difference from {}**: {}",
                self.baseline,
                names(&undecided)
            ));
        }
        claims.extend(self.equivalent());
        claims.extend(self.without_a_test());
        let mut sentences = Vec::new();
        if !claims.is_empty() {
            sentences.push(capital(&claims.join("; ")) + ".");
        }
        sentences.extend(self.not_separated(&better));
        sentences
    }

    /// Whether every other activation is worse than the baseline.
    fn baseline_wins(&self) -> bool {
        let scored = self.scored();
        scored.len() > 1 && scored.iter().all(|(_, one)| one.verdict == Verdict::Worse)
    }

    /// The arms that have a score.
    fn scored(&self) -> Vec<(&'a Arm, &'a Against)> {
        self.arms.iter().filter(|(_, one)| one.verdict != Verdict::NoScores).copied().collect()
    }

    /// The activation that is better than all others: than the baseline by its verdict, and than the others by the
    /// comparison of all pairs, which has a correction of its own.
    fn winner(&self) -> Option<String> {
        if self.baseline_wins() {
            let scored = self.scored();
            return Some(format!(
                "**{}, the baseline, is better than every other activation**: {}{}",
                self.baseline,
                self.with_figures(&scored),
                but_baseline_diverged(self.task, &scored)
            ));
        }
        let scored = self.scored();
        let [(best, against), others @ ..] = &scored[..] else { return None };
        if against.verdict != Verdict::Better || others.is_empty() {
            return None;
        }
        let wins = |other: &str| {
            self.task.pairs.iter().any(|pair| {
                let gain = match (pair.a == best.activation, pair.b == best.activation) {
                    (true, _) if pair.b == other => pair.difference,
                    (_, true) if pair.a == other => pair.difference.map(|one| -one),
                    _ => None,
                };
                pair.significant() && gain.is_some_and(|gain| self.task.metric.merit(gain) > 0.0)
            })
        };
        let beaten = others.iter().all(|(arm, _)| wins(&arm.activation));
        (beaten && wins(&self.task.baseline)).then(|| {
            format!(
                "**{} is better than every other activation** (difference to {}: {}; to each of the others significant \
                 at level {ALPHA} over all pairs{})",
                escape(&best.activation),
                self.baseline,
                figures(&self.task.metric, against),
                self.but_diverged(best),
            )
        })
    }

    /// Better activations that the comparison of all pairs does not order.
    fn not_separated(&self, better: &[(&Arm, &Against)]) -> Option<String> {
        let [(first, _), rest @ ..] = better else { return None };
        let open = |arm: &&(&Arm, &Against)| {
            let both = [first.activation.as_str(), arm.0.activation.as_str()];
            let pair =
                self.task.pairs.iter().find(|pair| {
                    both.contains(&pair.a.as_str()) && both.contains(&pair.b.as_str())
                });
            // Of a pair without a test it is not known, unless its scores are the same.
            let tested = |pair: &Pair| pair.p.is_some() || pair.difference == Some(0.0);
            pair.is_some_and(|pair| tested(pair) && !pair.significant())
        };
        let open: Vec<_> = rest.iter().filter(open).copied().collect();
        (!open.is_empty()).then(|| {
            format!(
                "No significant difference between {} and {}.",
                escape(&first.activation),
                names(&open)
            )
        })
    }

    fn equivalent(&self) -> Option<String> {
        let arms = self.with(Verdict::Equivalent);
        let margin = self.report.frame.margin_of(self.task)?;
        (!arms.is_empty()).then(|| {
            let diverged: Vec<&Arm> = arms.iter().map(|(arm, _)| *arm).collect();
            let diverged: Vec<&Arm> =
                diverged.into_iter().filter(|arm| diverged_more(self.task, arm)).collect();
            format!(
                "**{} {} equivalent to {}** within {}{}{}",
                names(&arms),
                is(arms.len()),
                self.baseline,
                self.task.metric.size(margin),
                but_these_diverged(&diverged),
                but_baseline_diverged(self.task, &arms)
            )
        })
    }

    /// Activations whose scores are the baseline's, by the number of seeds that show it.
    fn identical(&self) -> Vec<String> {
        let mut groups: Vec<(Option<usize>, Vec<Compared<'_>>)> = Vec::new();
        for (arm, one) in self.with(Verdict::Identical) {
            let pairs = one.paired.then_some(one.pairs);
            match groups.iter_mut().find(|(known, _)| *known == pairs) {
                Some((_, group)) => group.push((arm, one)),
                None => groups.push((pairs, vec![(arm, one)])),
            }
        }
        let claim = |(pairs, group): &(Option<usize>, Vec<Compared<'_>>)| {
            let has = if group.len() == 1 { "has" } else { "have" };
            let under = match pairs {
                Some(pairs) => format!("under each of {pairs} shared seeds"),
                None => "in every run, unpaired".to_owned(),
            };
            format!("{} {has} the same score as {} {under}", names(group), self.baseline)
        };
        groups.iter().map(claim).collect()
    }

    /// Comparisons that have no test.
    fn without_a_test(&self) -> Vec<String> {
        let mut claims = Vec::new();
        claims.extend(self.identical());
        for (arm, against) in self.with(Verdict::Constant) {
            claims.push(format!(
                "{} differs from {} by exactly {} {}, which leaves no spread to test",
                escape(&arm.activation),
                self.baseline,
                against.difference.map(|size| signed(&self.task.metric, size)).unwrap_or_default(),
                match against.paired {
                    true => format!("under each of {} seeds", against.pairs),
                    false => "between all runs, unpaired".to_owned(),
                }
            ));
        }
        let few = self.with(Verdict::TooFew);
        if let Some(waiting) = self.report.frame.before_first_look().filter(|_| !few.is_empty()) {
            claims.push(format!("**no look yet**: {waiting}"));
        } else if !few.is_empty()
            && few.len() == self.arms.len()
            && few.iter().all(|(arm, _)| arm.completed == 1)
        {
            claims.push("**one seed cannot tell**: a test needs at least 2".to_owned());
        } else if !few.is_empty() {
            claims.push(format!("too few runs to compare {} with {}", names(&few), self.baseline));
        }
        let none = self.with(Verdict::NoScores);
        if !none.is_empty() {
            let how: Vec<String> = none.iter().map(|(arm, _)| how_it_ended(arm)).collect();
            claims.push(format!("**{}**", how.join("; ")));
        }
        claims
    }

    /// How small a difference such runs detect, and how few they are.
    fn limits(&self) -> Vec<String> {
        let metric = &self.task.metric;
        let mut limits = Vec::new();
        let undecided = self.with(Verdict::Undecided);
        let power: Vec<f64> =
            undecided.iter().filter_map(|(_, one)| Some(one.power?.detectable)).collect();
        let [low, high] = [f64::min, f64::max].map(|of| power.iter().copied().reduce(of));
        if let Some((low, high)) = low.zip(high) {
            let (low, high) = (metric.detectable(low), metric.detectable(high));
            let range = if low == high { high } else { format!("{low} to {high}") };
            limits.push(format!(
                "Minimum detectable difference (80\u{a0}% power): {}; smaller differences may exist.",
                metric.with_difference_unit(&range)
            ));
        }
        let claimed = self.arms.iter().filter(|(_, one)| {
            matches!(one.verdict, Verdict::Better | Verdict::Worse | Verdict::Equivalent)
        });
        let least = claimed.map(|(arm, one)| self.seeds(arm, one)).min();
        if let Some(pairs @ 2..ENOUGH) = least {
            limits.push(format!("Exploratory: only {pairs} seeds."));
        }
        limits
    }

    /// That more runs of an arm diverged than of the baseline, in words that continue its figures.
    fn but_diverged(&self, arm: &Arm) -> String {
        match diverged_more(self.task, arm) {
            true => format!("; but {} of {} runs diverged", arm.diverged, arm.runs),
            false => String::new(),
        }
    }

    fn with_figures(&self, arms: &[(&Arm, &Against)]) -> String {
        let one = |(arm, against): &(&Arm, &Against)| {
            let but = self.but_diverged(arm);
            format!("{} ({}{but})", escape(&arm.activation), figures(&self.task.metric, against))
        };
        conjunction(&arms.iter().map(one).collect::<Vec<_>>())
    }
}

/// Seeds that a comparison is of: pairs, or the runs of the smaller side.
pub(super) fn compared_seeds(task: &Task, arm: &Arm, against: &Against) -> usize {
    if against.paired {
        return against.pairs;
    }
    task.baseline().map_or(0, |baseline| baseline.completed).min(arm.completed)
}

/// A difference with its unit, and its p.
fn figures(metric: &Metric, against: &Against) -> String {
    let size = against.difference.map(|size| signed(metric, size)).unwrap_or_default();
    let p = against.p_holm.map(|p| format!(", {}", equals(p).replace(' ', "\u{a0}")));
    size + &p.unwrap_or_default()
}

pub(super) fn signed(metric: &Metric, size: f64) -> String {
    metric.with_difference_unit(&metric.difference(size))
}

fn all_of(runs: usize) -> String {
    if runs == 1 { "its only run".to_owned() } else { format!("all {runs} runs") }
}

fn is(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

pub(super) fn names(arms: &[(&Arm, &Against)]) -> String {
    list(&arms.iter().map(|(arm, _)| *arm).collect::<Vec<_>>())
}

/// `a`, `a and b`, `a, b and c`.
fn conjunction(words: &[String]) -> String {
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// With a capital, but for a sentence that begins with the name of an activation.
fn capital(text: &str) -> String {
    let words = ["**no ", "too ", "**one "];
    let Some(word) = words.iter().find(|word| text.starts_with(**word)) else {
        return text.to_owned();
    };
    let place = word.find(|c: char| c.is_alphabetic()).unwrap_or(0);
    let (before, rest) = text.split_at(place);
    let mut rest = rest.chars();
    let first: String = rest.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{before}{first}{}", rest.as_str())
}
