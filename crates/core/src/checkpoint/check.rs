//! Whether a checkpoint is one that its run can have left.
//!
//! The checksum in its name tells that a file is as it was written, not that this run has written it. Most of what is no
//! tensor follows from the spec, the data and the number of steps, and is compared with that: a run never continues
//! from a state that gives other numbers.

use super::{Progress, Stage, Unusable};
use crate::data::augment::augmentation_after;
use crate::data::files::sha256;
use crate::objective::{STREAM as OBJECTIVE, better};
use crate::recipe::Recipe;
use crate::steps::Steps;
use crate::stream::{Draws, Stream};
use record::{Evaluation, Precision, Summary};
use std::fmt::Display;

/// Name of the draws of dropout.
pub(crate) const DROPOUT: &str = "dropout";

/// Where a run draws from.
pub(crate) struct Streams {
    pub(crate) order: Stream,
    pub(crate) augmentation: Stream,
    pub(crate) dropout: Draws,
    pub(crate) objective: Stream,
    /// Training examples that are left of the epoch, the next one last.
    pub(crate) left: Vec<usize>,
}

/// SHA-256 of the examples that are left of an epoch.
pub(crate) fn checksum_of_order(left: &[usize]) -> String {
    let bytes: Vec<u8> = left.iter().flat_map(|example| (*example as u64).to_le_bytes()).collect();
    sha256(&bytes)
}

/// Refuses progress that the run of `recipe` cannot have made; its streams of order, augmentation, dropout and objective.
///
/// # Errors
/// The first value that is wrong, and what it would have to be.
pub(crate) fn check(progress: &Progress, recipe: &Recipe<'_>) -> Result<Streams, Unusable> {
    let steps = Steps::of(recipe.spec, recipe.data);
    let step = progress.summary.steps;
    within("steps", step, 1, steps.last)?;
    let state = State { progress, recipe, step, steps };
    state.counts()?;
    state.stage()?;
    state.evaluations()?;
    state.results()?;
    state.losses()?;
    state.times()?;
    state.streams()
}

struct State<'a> {
    progress: &'a Progress,
    recipe: &'a Recipe<'a>,
    /// Steps that were made.
    step: u64,
    steps: Steps,
}

impl State<'_> {
    /// What the number of steps alone decides.
    fn counts(&self) -> Result<(), Unusable> {
        let Progress { summary, updates, train_examples, scaler, .. } = self.progress;
        let Recipe { spec, data, layout, .. } = self.recipe;
        let size = layout.size;
        equal("parameters", summary.parameters, size.parameters)?;
        equal("flops", summary.flops, size.flops)?;
        equal("classes", summary.classes.unwrap_or(0), data.classes.len() as u64)?;
        let (batch, all) = (spec.training.batch_size as u64, data.train.len() as u64);
        let begun = self.step % self.steps.per_epoch * batch;
        equal("train_examples", *train_examples, self.step / self.steps.per_epoch * all + begun)?;
        let skipped = scaler.map_or(0, |scaler| scaler.skipped);
        for (name, count) in updates {
            equal(&format!("updates of {name}"), *count, self.step.saturating_sub(skipped))?;
        }
        let scaled = spec.training.precision == Precision::F16;
        match scaler {
            Some(scaler) if scaled => {
                scaler.error(self.step).map_or(Ok(()), |e| Err(Unusable::new(e)))
            }
            None if !scaled => Ok(()),
            _ => Err(Unusable::new("a loss scale belongs to f16 alone".into())),
        }
    }

    /// Evaluations that were made; one may be due.
    fn evaluated(&self) -> u64 {
        let due = matches!(self.progress.stage, Stage::Evaluate { .. });
        self.steps.evaluations(self.step) - u64::from(due)
    }

    fn stage(&self) -> Result<(), Unusable> {
        let after = self.steps.evaluates_after(self.step);
        let patience = self.recipe.spec.training.patience;
        match &self.progress.stage {
            Stage::Step => Ok(()),
            Stage::Evaluate { .. } if !after => {
                Err(wrong("stage", &"an evaluation", &"a step: no evaluation is due"))
            }
            // A step in f16 that was skipped has a gradient that is not finite.
            Stage::Evaluate { .. }
                if self
                    .progress
                    .scaler
                    .is_some_and(|scaler| scaler.good_steps == 0 && scaler.skipped > 0) =>
            {
                Ok(())
            }
            Stage::Evaluate { layers } => {
                layers.iter().try_for_each(|layer| real("norm of a gradient", layer.norm))
            }
            Stage::Ended if after && patience.is_some() => Ok(()),
            Stage::Ended => Err(wrong("stage", &"ended", &"a step: training cannot end here")),
        }
    }

    fn evaluations(&self) -> Result<(), Unusable> {
        let Progress { summary, best, evaluations, stage, .. } = self.progress;
        let Summary { best_validation, last_validation, .. } = summary;
        let made = self.evaluated();
        equal("evaluations", *evaluations, made)?;
        if best_validation != best {
            return Err(Unusable::new("`best_validation` is not `best`".to_owned()));
        }
        for (name, value) in [("best_validation", best), ("last_validation", last_validation)] {
            if value.is_some() != (made > 0) {
                let there = if made > 0 { "missing" } else { "there" };
                return Err(Unusable::new(format!("`{name}` is {there} after {made} evaluations")));
            }
        }
        let (Some(best), Some(last)) = (best, last_validation) else { return Ok(()) };
        for (name, evaluation) in [("best_validation", best), ("last_validation", last)] {
            self.evaluation(name, evaluation)?;
        }
        equal("evaluations until last_validation", self.steps.evaluations(last.step), made)?;
        if best.step > last.step
            || (best.step == last.step && best != last)
            || better(&self.recipe.metric, last, best)
        {
            let reason = "`best_validation` is not the best evaluation until then";
            return Err(Unusable::new(reason.to_owned()));
        }
        if let Some(patience) = self.recipe.spec.training.patience {
            let over = self.steps.in_vain(best.step, last.step) >= patience;
            equal("training ended by early stopping", *stage == Stage::Ended, over)?;
        }
        Ok(())
    }

    /// A result on the validation split.
    fn evaluation(&self, name: &str, evaluation: &Evaluation) -> Result<(), Unusable> {
        let Evaluation { step, epoch, loss, .. } = *evaluation;
        within(&format!("step of {name}"), step, 1, self.step)?;
        if !self.steps.evaluates_after(step) {
            return Err(wrong(&format!("step of {name}"), &step, &"one that is evaluated"));
        }
        equal(&format!("epoch of {name}"), epoch, self.steps.epoch(step))?;
        real(&format!("loss of {name}"), loss)?;
        let wrong = |reason| Unusable::new(format!("in `{name}`, {reason}"));
        self.recipe.objective.check(evaluation, &self.recipe.data.validation).map_err(wrong)
    }

    fn results(&self) -> Result<(), Unusable> {
        let Summary { initial_loss, test, test_examples, steps_to_target, sites, .. } =
            &self.progress.summary;
        let training = &self.recipe.spec.training;
        real("initial_loss", *initial_loss)?;
        if test.is_some() || test_examples.is_some() {
            let reason = "`test` or `test_examples` is there before the end of training";
            return Err(Unusable::new(reason.to_owned()));
        }
        let best = self.progress.best.as_ref();
        let metric = &self.recipe.metric;
        let value = best.map_or(f64::NAN, |best| best.value(metric));
        let reached = training.target().is_some_and(|target| metric.reaches(value, target));
        equal("target reached", steps_to_target.is_some(), reached)?;
        if let Some(step) = steps_to_target {
            within("steps_to_target", *step, 1, best.map_or(0, |best| best.step))?;
            if !self.steps.evaluates_after(*step) {
                return Err(wrong("steps_to_target", step, &"a step that is evaluated"));
            }
        }
        if training.site_statistics.examples == 0 {
            equal("number of sites", sites.len(), 0)?;
        }
        for site in sites {
            within(&format!("step of site {}", site.site), site.step, 1, self.step)?;
        }
        Ok(())
    }

    fn losses(&self) -> Result<(), Unusable> {
        let losses = &self.progress.recent_losses;
        let rule = self.recipe.spec.training.divergence;
        let kept = rule.map_or(0, |rule| rule.window.min(self.step));
        equal("number of recent_losses", losses.len() as u64, kept)?;
        losses.iter().try_for_each(|loss| real("recent loss", *loss))
    }

    fn times(&self) -> Result<(), Unusable> {
        let Progress { seconds, train_seconds, .. } = self.progress;
        for (name, time) in [("seconds", *seconds), ("train_seconds", *train_seconds)] {
            real(name, time)?;
            if time < 0.0 {
                return Err(wrong(name, &time, &"0 or more"));
            }
        }
        Ok(())
    }

    /// Streams as the seed and the examples so far leave them, with the order that is left of the epoch. How many
    /// numbers dropout and the objective take is the matter of network and texts: their positions are taken as they are.
    fn streams(&self) -> Result<Streams, Unusable> {
        let Recipe { spec, data, augmentation, .. } = self.recipe;
        let [order_position, augmentation_position, dropout_position, objective_position] =
            &self.progress.streams;
        let mut order = Stream::new(spec.seed, "order");
        let mut left = Vec::new();
        for _ in 0..self.step.div_ceil(self.steps.per_epoch) {
            left = order.permutation(data.train.len());
        }
        let batches = usize::try_from((self.step - 1) % self.steps.per_epoch + 1);
        let used = batches.unwrap_or(usize::MAX).saturating_mul(spec.training.batch_size);
        left.drain(..used.min(left.len()));
        left.reverse();
        if self.progress.order != checksum_of_order(&left) {
            let count = left.len();
            return Err(Unusable::new(format!(
                "`order` is not the checksum of the {count} examples that the seed leaves of the epoch"
            )));
        }
        equal("position of the stream of order", order_position, &order.position())?;
        let examples = self.progress.train_examples;
        let augmentation = augmentation_after(&**augmentation, spec.seed, examples);
        let position = augmentation.position();
        equal("position of the stream of augmentation", augmentation_position, &position)?;
        let seek = |name: &str, sought: Option<()>, found: String, position: &str, bits: u32| {
            if sought.is_some() && found == position {
                return Ok(());
            }
            let name = format!("position of the stream of {name}");
            Err(wrong(&name, &position, &format!("a number below 2^{bits}")))
        };
        let mut dropout = Draws::new(spec.seed, DROPOUT);
        let sought = dropout.seek(dropout_position);
        seek(DROPOUT, sought, dropout.position(), dropout_position, 64)?;
        let mut objective = Stream::new(spec.seed, OBJECTIVE);
        let sought = objective.seek(objective_position);
        seek(OBJECTIVE, sought, objective.position(), objective_position, 68)?;
        Ok(Streams { order, augmentation, dropout, objective, left })
    }
}

fn wrong(name: &str, found: &dyn Display, right: &dyn Display) -> Unusable {
    Unusable::new(format!("`{name}` is {found}, but must be {right}"))
}

fn equal<T: PartialEq + Display>(name: &str, found: T, right: T) -> Result<(), Unusable> {
    if found == right { Ok(()) } else { Err(wrong(name, &found, &right)) }
}

fn within(name: &str, found: u64, least: u64, most: u64) -> Result<(), Unusable> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Unusable::new(format!("`{name}` is {found}, but must be from {least} to {most}")))
}

fn real(name: &str, found: f64) -> Result<(), Unusable> {
    if found.is_finite() { Ok(()) } else { Err(wrong(name, &found, &"a number")) }
}
