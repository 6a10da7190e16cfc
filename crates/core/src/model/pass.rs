use crate::site_statistics::{Place, measure};
use crate::sites::same;
use crate::stream::Draws;
use activation::{Activation, Kind};
use actlab_kernels::{self as kernels, Dropout, Precision, Replica, Sequences};
use burn::Tensor;
use record::Site;
use std::sync::Arc;

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Batch norms take the statistics of the batch, and gather them; dropout is on.
    Training,
    /// Batch norms take the gathered statistics; dropout is off.
    Evaluation,
}

/// One forward pass through a model: what it is for, the precision of its products, where its dropout comes from, whether
/// its batch norms share their statistics with other replicas, and what measures its activation sites.
#[derive(Debug)]
pub struct Pass<'a> {
    mode: Mode,
    precision: Precision,
    dropout: Option<&'a mut Draws>,
    replica: Option<Replica>,
    probe: Option<&'a mut Probe>,
    /// Numbers that sites share, by their activation.
    shared: Vec<(Arc<Activation>, Tensor<2>)>,
}

impl<'a> Pass<'a> {
    /// A pass that trains, with dropout by `draws`.
    #[must_use]
    pub fn training(draws: &'a mut Draws) -> Self {
        Self { mode: Mode::Training, dropout: Some(draws), ..Self::evaluation() }
    }

    /// A pass that evaluates.
    #[must_use]
    pub fn evaluation() -> Self {
        Self {
            mode: Mode::Evaluation,
            precision: Precision::F32,
            dropout: None,
            replica: None,
            probe: None,
            shared: Vec::new(),
        }
    }

    /// A pass that evaluates, and measures every activation site.
    #[must_use]
    pub fn probed(probe: &'a mut Probe) -> Self {
        Self { probe: Some(probe), ..Self::evaluation() }
    }

    /// The same pass with products of a precision.
    #[must_use]
    pub fn with_precision(self, precision: record::Precision) -> Self {
        let precision = match precision {
            record::Precision::F32 => Precision::F32,
            record::Precision::Bf16 => Precision::Bf16,
            record::Precision::F16 => Precision::F16,
        };
        Self { precision, ..self }
    }

    /// The same pass of a replica whose batch norms take the statistics of the whole batch.
    #[must_use]
    pub fn with_replica(self, replica: Option<Replica>) -> Self {
        Self { replica, ..self }
    }

    /// What the next batch norm shares its statistics with, if anything.
    pub(crate) fn next_replica(&mut self) -> Option<Replica> {
        self.replica.as_mut().map(Replica::for_next_operation)
    }

    /// What computes products.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// What the pass is for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Zeroes elements of `x` `[batch, …]` with probability `p` and scales the others by 1/(1 − p), where the pass
    /// trains (Srivastava et al. 2014).
    #[must_use]
    pub fn dropout<const D: usize>(&mut self, x: Tensor<D>, p: f64) -> Tensor<D> {
        let shape = x.dims();
        let rows: usize = shape[..D - 1].iter().product();
        let batch = if D > 1 { shape[0] } else { 1 };
        let each = rows / batch.max(1);
        self.dropout_of(x, &Sequences::new(std::iter::repeat_n(each, batch)), p)
    }

    /// [`Pass::dropout`] of `x` `[rows, width]`, whose rows are the tokens of `sequences`: as if each sequence were
    /// padded to any length.
    #[must_use]
    pub fn dropout_of<const D: usize>(
        &mut self,
        x: Tensor<D>,
        sequences: &Sequences,
        p: f64,
    ) -> Tensor<D> {
        match self.next_dropout(p) {
            Some(dropout) => kernels::dropout(x, sequences, dropout),
            None => x,
        }
    }

    /// What a kernel drops with probability `p`, if anything; each call is a draw of its own.
    #[must_use]
    pub fn next_dropout(&mut self, p: f64) -> Option<Dropout> {
        let draws = self.dropout.as_mut()?;
        (p != 0.0).then(|| draws.dropout(p))
    }

    /// Whether activation sites are measured.
    #[must_use]
    pub fn is_probed(&self) -> bool {
        self.probe.is_some()
    }

    /// Applies the activation's nonlinearity of one input to `x`, whose last dimension holds units.
    #[must_use]
    pub(crate) fn nonlinearity<const D: usize>(
        &mut self,
        activation: &Arc<Activation>,
        site: &str,
        x: Tensor<D>,
    ) -> Tensor<D> {
        let y = kernels::nonlinearity(activation, x.clone());
        if let Some(probe) = &mut self.probe {
            let slope = kernels::slope(activation, x.clone());
            probe.add(site, &x, &[slope], &y);
        }
        y
    }

    /// Applies the activation to `x`, whose last dimension holds units; a gated one takes its first
    /// half as gate and the second as value, and halves it.
    #[must_use]
    pub(crate) fn activation<const D: usize>(
        &mut self,
        activation: &Arc<Activation>,
        site: &str,
        x: Tensor<D>,
    ) -> Tensor<D> {
        let Kind::Gated(gated) = activation.kind() else {
            return self.nonlinearity(activation, site, x);
        };
        let y = kernels::activation(activation, x.clone());
        if let Some(probe) = &mut self.probe {
            let half = x.dims()[D - 1] / 2;
            let gate = x.clone().narrow(D - 1, 0, half);
            let value = x.narrow(D - 1, half, half);
            let slopes = kernels::gated_slopes(gated, gate.clone(), value);
            probe.add(site, &gate, &slopes, &y);
        }
        y
    }

    /// The numbers that all sites with `activation` share: `own` where the site keeps them, and otherwise those of the site
    /// that does.
    ///
    /// # Panics
    /// If no site kept them until now: sites are to be computed in the order in which they were asked for.
    pub(crate) fn shared(
        &mut self,
        activation: &Arc<Activation>,
        own: Option<Tensor<2>>,
    ) -> Tensor<2> {
        if let Some(own) = own {
            self.shared.retain(|(other, _)| !same(other, activation));
            self.shared.push((Arc::clone(activation), own.clone()));
            return own;
        }
        let kept = self.shared.iter().find(|(other, _)| same(other, activation));
        let (_, numbers) = kept.expect("the site that was asked for first is computed first");
        numbers.clone()
    }

    /// Applies an activation that learns `numbers` to `x`, whose last dimension holds units; where it has two `inputs`,
    /// the first half is the gate and the second the value.
    #[must_use]
    pub(crate) fn learned<const D: usize>(
        &mut self,
        activation: &Arc<Activation>,
        site: &str,
        inputs: usize,
        x: Tensor<D>,
        numbers: Tensor<2>,
    ) -> Tensor<D> {
        let y = kernels::learned(activation, inputs, x.clone(), numbers.clone());
        if let Some(probe) = &mut self.probe {
            let units = x.dims()[D - 1] / inputs;
            let slopes = kernels::learned_derivatives(activation, inputs, x.clone(), numbers);
            probe.add(site, &x.narrow(D - 1, 0, units), &slopes, &y);
        }
        y
    }
}

/// Collects statistics of activation sites in the order in which a pass meets them.
#[derive(Debug, Default)]
pub struct Probe {
    step: u64,
    sites: Vec<Site>,
}

impl Probe {
    /// An empty probe for the state after `step` optimizer steps.
    #[must_use]
    pub fn new(step: u64) -> Self {
        Self { step, sites: Vec::new() }
    }

    /// What was collected.
    #[must_use]
    pub fn into_sites(self) -> Vec<Site> {
        self.sites
    }

    fn add<const D: usize>(
        &mut self,
        site: &str,
        inputs: &Tensor<D>,
        slopes: &[Tensor<D>],
        outputs: &Tensor<D>,
    ) {
        let place = Place { step: self.step, site, depth: self.sites.len() };
        self.sites.push(measure(place, inputs, slopes, outputs));
    }
}
