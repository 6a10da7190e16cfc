//! The state of a run: what a checkpoint holds, and how it resumes from one.

use super::feed::{Feed, Feeder};
use super::measured::Figures;
use super::parts::Replicas;
use super::step::Made;
use super::{LossScaler, Monitor, Stopped, Trainer};
use crate::Error;
use crate::checkpoint::{self, Checkpoint, DROPOUT, Progress, Tensors, Unusable};
use crate::data::Batches;
use crate::model::Network;
use crate::optimizer::Optimizer;
use crate::parameters::trained_names;
use crate::recipe::Recipe;
use crate::sites::LearnedSite;
use crate::steps::Steps;
use crate::stream::Draws;
use burn::tensor::Device;
use record::{Evaluation, Precision};
use std::time::Instant;

/// Prefixes of the names of tensors in a checkpoint.
const MODEL: &str = "model/";
const BEST: &str = "best/";

/// Why there is a network.
pub(super) const WHOLE: &str = "the network is away during an update only";

/// A run while it is trained.
pub(super) struct Run<'a, N> {
    pub(super) recipe: &'a Recipe<'a>,
    /// Where to compute, without autodiff.
    pub(super) device: &'a Device,
    pub(super) replicas: Replicas<'a>,
    pub(super) steps: Steps,
    pub(super) feeder: Feeder<'a>,
    /// It is away during an update, which writes over parameters that nothing else holds.
    pub(super) network: Option<N>,
    /// What its activations learn.
    pub(super) learned: Vec<LearnedSite>,
    pub(super) optimizer: Optimizer,
    pub(super) dropout: Draws,
    /// In f16 alone.
    pub(super) scaler: Option<LossScaler>,
    /// Steps that were made since what they measure was read.
    pub(super) unrecorded: Vec<(Made, Figures)>,
    /// How many there may be.
    pub(super) read_every: usize,
    /// Wall time of a step, as those took that were read last; infinite before.
    pub(super) step_seconds: f64,
    /// Of what is recorded.
    pub(super) train_seconds: f64,
    pub(super) train_examples: u64,
}

/// The best weights so far.
pub(super) struct Best<N> {
    pub(super) evaluation: Evaluation,
    pub(super) network: N,
}

/// How far training has come.
pub(super) struct Course<N> {
    pub(super) progress: Progress,
    pub(super) best: Option<Best<N>>,
    /// The step at which it diverged, and why.
    pub(super) diverged: Option<(u64, String)>,
    started: Instant,
    /// Wall time before it was stopped and resumed, in seconds.
    seconds_before: f64,
}

impl<N> Course<N> {
    /// Steps that are recorded.
    pub(super) fn recorded(&self) -> u64 {
        self.progress.summary.steps
    }

    /// Wall time so far.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }
}

impl<'a, N: Network> Run<'a, N> {
    /// A run that has not begun, of `network` with the weights that it starts from.
    pub(super) fn new(
        recipe: &'a Recipe<'a>,
        (network, learned): (N, Vec<LearnedSite>),
        trainer: Trainer<'a>,
    ) -> Result<Self, Error> {
        let Recipe { spec, data, .. } = *recipe;
        let batches = Batches::new(data, &*recipe.objective, &*recipe.augmentation);
        let size = spec.training.batch_size;
        Ok(Self {
            recipe,
            device: trainer.device(),
            replicas: Replicas::new(trainer)?,
            steps: Steps::of(spec, data),
            feeder: Feeder::new(batches, data.train.len(), size, Feed::new(spec.seed)),
            optimizer: Optimizer::new(recipe.update_rule()?, spec.training.weight_decay)
                .with_learned(&learned),
            learned,
            network: Some(network),
            dropout: Draws::new(spec.seed, DROPOUT),
            scaler: (spec.training.precision == Precision::F16).then(LossScaler::new),
            unrecorded: Vec::new(),
            read_every: trainer.read_every,
            step_seconds: f64::INFINITY,
            train_seconds: 0.0,
            train_examples: 0,
        })
    }

    /// The network.
    pub(super) fn network(&self) -> &N {
        self.network.as_ref().expect(WHOLE)
    }

    /// Trains from where the monitor has a checkpoint, or from the beginning.
    pub(super) fn begin(&mut self, monitor: &mut dyn Monitor) -> Result<Course<N>, Stopped> {
        let (progress, best) = match monitor.resume() {
            Some(checkpoint) => self.restore(checkpoint)?,
            None => (Progress::new(self.recipe), None),
        };
        let seconds_before = progress.seconds;
        Ok(Course { progress, best, diverged: None, started: Instant::now(), seconds_before })
    }

    /// Goes to where `checkpoint` was taken; the best weights until then.
    fn restore(&mut self, checkpoint: Checkpoint) -> Result<(Progress, Option<Best<N>>), Unusable> {
        let Checkpoint { progress, mut tensors } = checkpoint;
        let streams = checkpoint::check(&progress, self.recipe)?;
        self.unchanged_without_updates(&progress, &tensors)?;
        let best = match &progress.best {
            Some(evaluation) => {
                let network = tensors.load_module(BEST, self.network().valid())?;
                Some(Best { evaluation: evaluation.clone(), network })
            }
            None => None,
        };
        self.network = Some(tensors.load_module(MODEL, self.network().clone())?);
        let network = self.network.as_ref().expect(WHOLE);
        self.optimizer.load(network, &mut tensors, &progress.updates, self.device)?;
        if let Some(name) = tensors.left() {
            return Err(Unusable::new(format!("the tensor `{name}` belongs to nothing")));
        }
        self.feeder.restart(Feed::resumed(&streams));
        self.dropout = streams.dropout;
        self.scaler = progress.scaler;
        self.train_seconds = progress.train_seconds;
        self.train_examples = progress.train_examples;
        Ok((progress, best))
    }

    /// Refuses weights that differ from the initial ones though they were never updated.
    fn unchanged_without_updates(
        &self,
        progress: &Progress,
        tensors: &Tensors,
    ) -> Result<(), Unusable> {
        let mut initial = Tensors::default();
        initial.add_module(MODEL, &self.network().valid());
        for name in trained_names(self.network()) {
            let updated = progress.updates.contains_key(&name);
            if !updated && !tensors.agrees(&initial, &format!("{MODEL}{name}")) {
                return Err(Unusable::new(format!(
                    "`updates` lacks `{name}`, which is not as it was initialized"
                )));
            }
        }
        Ok(())
    }

    /// Training as it stands, to resume from.
    fn checkpoint(
        &self,
        progress: Progress,
        best: Option<&Best<N>>,
    ) -> Result<Checkpoint, Unusable> {
        let mut tensors = Tensors::default();
        // Running statistics belong to the network without autodiff.
        tensors.add_module(MODEL, &self.network().valid());
        if let Some(best) = best {
            tensors.add_module(BEST, &best.network);
        }
        let updates = self.optimizer.save(self.network(), &mut tensors);
        // Of the batches that were trained on: one that is prepared ahead is prepared again.
        let [order, augmentation, objective] = self.feeder.feed.positions();
        let streams = [order, augmentation, self.dropout.position(), objective];
        Ok(Checkpoint {
            progress: Progress {
                best: best.map(|best| best.evaluation.clone()),
                order: checkpoint::checksum_of_order(self.feeder.feed.left()),
                streams,
                updates,
                scaler: self.scaler,
                train_seconds: self.train_seconds,
                train_examples: self.train_examples,
                ..progress
            },
            tensors,
        })
    }

    /// Hands the state of training to the monitor.
    pub(super) fn save(
        &self,
        course: &mut Course<N>,
        monitor: &mut dyn Monitor,
    ) -> Result<(), Unusable> {
        course.progress.seconds = course.seconds();
        let checkpoint = self.checkpoint(course.progress.clone(), course.best.as_ref())?;
        monitor.checkpoint(course.recorded(), checkpoint.to_bytes()?);
        Ok(())
    }

    /// `result`, after the state has been saved where an evaluation was interrupted: it is done anew later.
    pub(super) fn saved_where_interrupted<T>(
        &self,
        result: Result<T, Stopped>,
        course: &mut Course<N>,
        monitor: &mut dyn Monitor,
    ) -> Result<T, Stopped> {
        if let Err(Stopped::Interrupted) = result {
            self.save(course, monitor)?;
        }
        result
    }
}
