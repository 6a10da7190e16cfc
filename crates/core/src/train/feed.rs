//! Training batches in their order, one of them prepared ahead.

use super::parts::Replicas;
use crate::checkpoint::Streams;
use crate::data::augment::STREAM as AUGMENTATION;
use crate::data::{Batch, Batches};
use crate::objective::STREAM as OBJECTIVE;
use crate::stream::Stream;
use std::sync::Arc;

/// What decides the batches that are still to come.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    /// The order of an epoch, its first example last.
    order: Arc<[usize]>,
    /// How many examples of it are left, those at its beginning.
    left: usize,
    order_stream: Stream,
    augmentation: Stream,
    objective: Stream,
}

impl Feed {
    /// That of a run that has not begun.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            order: Arc::from([]),
            left: 0,
            order_stream: Stream::new(seed, "order"),
            augmentation: Stream::new(seed, AUGMENTATION),
            objective: Stream::new(seed, OBJECTIVE),
        }
    }

    /// That of a run to resume.
    pub(super) fn resumed(streams: &Streams) -> Self {
        Self {
            order: streams.left.as_slice().into(),
            left: streams.left.len(),
            order_stream: streams.order.clone(),
            augmentation: streams.augmentation.clone(),
            objective: streams.objective.clone(),
        }
    }

    /// Training examples that are left of the epoch, the next one last.
    pub(super) fn left(&self) -> &[usize] {
        &self.order[..self.left]
    }

    /// Positions of the streams of order, augmentation and objective.
    pub(super) fn positions(&self) -> [String; 3] {
        [&self.order_stream, &self.augmentation, &self.objective].map(Stream::position)
    }

    /// The next batch of at most `size` examples, in a part for each replica; a new epoch is a new permutation.
    fn next(
        &mut self,
        examples: usize,
        size: usize,
        batches: &Batches<'_>,
        replicas: &Replicas<'_>,
    ) -> Vec<Batch> {
        if self.left == 0 {
            let mut order = self.order_stream.permutation(examples);
            order.reverse();
            (self.left, self.order) = (order.len(), order.into());
        }
        let begin = self.left - size.min(self.left);
        let indices: Vec<usize> = self.order[begin..self.left].iter().rev().copied().collect();
        self.left = begin;
        let sizes = replicas.sizes(indices.len());
        batches.parts(&indices, sizes, (&mut self.augmentation, &mut self.objective))
    }
}

/// Gives the training batches. Another device computes while the processor prepares the batch after.
#[derive(Debug)]
pub(super) struct Feeder<'a> {
    batches: Batches<'a>,
    examples: usize,
    size: usize,
    /// Where the batches that were given end.
    pub(super) feed: Feed,
    /// The batch after these, and what comes behind it.
    ahead: Option<(Vec<Batch>, Feed)>,
}

impl<'a> Feeder<'a> {
    /// Gives what `feed` decides: of so many training `examples`, `size` a batch at most.
    pub(super) fn new(batches: Batches<'a>, examples: usize, size: usize, feed: Feed) -> Self {
        Self { batches, examples, size, feed, ahead: None }
    }

    /// What makes batches.
    pub(super) fn batches(&self) -> &Batches<'a> {
        &self.batches
    }

    /// Goes to where `feed` is.
    pub(super) fn restart(&mut self, feed: Feed) {
        (self.feed, self.ahead) = (feed, None);
    }

    /// Prepares the batch that [`Feeder::next`] will give.
    pub(super) fn prepare(&mut self, replicas: &Replicas<'_>) {
        if self.ahead.is_none() {
            let mut feed = self.feed.clone();
            let batch = feed.next(self.examples, self.size, &self.batches, replicas);
            self.ahead = Some((batch, feed));
        }
    }

    /// The next batch, in a part for each replica.
    pub(super) fn next(&mut self, replicas: &Replicas<'_>) -> Vec<Batch> {
        self.prepare(replicas);
        let (batch, feed) = self.ahead.take().expect("it was prepared");
        self.feed = feed;
        batch
    }
}
