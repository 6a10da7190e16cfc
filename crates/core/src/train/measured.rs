//! What training steps measure, read from their device at once: every read waits for the device.

use crate::objective::indices;
use crate::optimizer::{GradientNorm, GradientSquares};
use actlab_kernels::read_at_once;
use burn::Tensor;
use burn::tensor::{Int, TensorData, Transaction};

/// What a training step measures.
#[derive(Debug)]
pub(crate) struct Measured {
    /// Mean over the batch.
    pub(crate) loss: f64,
    /// The output that is predicted of each row; none where they were not asked for.
    pub(crate) predicted: Vec<usize>,
    /// Of the gradient.
    pub(crate) norm: GradientNorm,
}

/// The same on its device, on no tape.
#[derive(Debug)]
pub(crate) struct Unread {
    /// `[1]`.
    pub(crate) loss: Tensor<1>,
    /// `[rows, 1]`; none where it is not asked for.
    pub(crate) predicted: Option<Tensor<2, Int>>,
    /// Of the gradient of `loss_scale` times the loss.
    pub(crate) squares: GradientSquares,
    pub(crate) loss_scale: f64,
}

/// What a step measures, read or not.
#[derive(Debug)]
pub(crate) enum Figures {
    OnDevice(Box<Unread>),
    Read(Measured),
}

impl Figures {
    /// What several steps measure, in their order; what is not read yet is read at once.
    pub(crate) fn read(steps: Vec<Self>) -> Vec<Measured> {
        let unread = steps.iter().filter_map(|step| match step {
            Self::OnDevice(unread) => Some(&**unread),
            Self::Read(_) => None,
        });
        let tensors = unread.fold(None, |tensors: Option<Transaction>, unread| {
            Some(unread.register(tensors.unwrap_or_default()))
        });
        let mut read = tensors.map(read_at_once).unwrap_or_default().into_iter();
        let measured = |step| match step {
            Self::OnDevice(unread) => unread.measured(&mut read),
            Self::Read(measured) => measured,
        };
        steps.into_iter().map(measured).collect()
    }
}

impl Unread {
    /// Reads it alone.
    pub(crate) fn read(self) -> Measured {
        let mut read = read_at_once(self.register(Transaction::default())).into_iter();
        self.measured(&mut read)
    }

    fn register(&self, tensors: Transaction) -> Transaction {
        let mut tensors = tensors.register(self.loss.clone());
        if let Some(sums) = self.squares.sums.on_device() {
            tensors = tensors.register(sums.clone());
        }
        match &self.predicted {
            Some(predicted) => tensors.register(predicted.clone()),
            None => tensors,
        }
    }

    /// What was read of it, which comes next, in the order of [`Unread::register`].
    fn measured(self, read: &mut impl Iterator<Item = TensorData>) -> Measured {
        let Self { predicted, squares, loss_scale, .. } = self;
        let mut numbers = || -> Vec<f64> {
            read.next().map(|data| data.iter::<f64>().collect()).unwrap_or_default()
        };
        let loss = numbers().first().copied().unwrap_or(f64::NAN);
        let on_device = squares.sums.on_device().is_some();
        let sums = squares.sums.numbers(&if on_device { numbers() } else { Vec::new() });
        let sums: Vec<f64> = sums.into_iter().map(|sum| sum / (loss_scale * loss_scale)).collect();
        let predicted = predicted.and_then(|_| read.next()).map(|data| indices(&data));
        Measured { loss, predicted: predicted.unwrap_or_default(), norm: squares.norm(&sums) }
    }
}
