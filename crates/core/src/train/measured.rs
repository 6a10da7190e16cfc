//! What a training step measures, read from its device at once: every read waits for the device.

use crate::objective::indices;
use crate::optimizer::{GradientNorm, Squares};
use actlab_kernels::read_at_once;
use burn::Tensor;
use burn::tensor::{Int, Transaction};

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

impl Measured {
    /// Reads `loss` `[1]`, `predicted` `[rows, 1]`, and the squares of the gradient of `loss_scale` times the loss,
    /// none of them on a tape.
    pub(crate) fn read(
        loss: Tensor<1>,
        predicted: Option<Tensor<2, Int>>,
        squares: &Squares,
        loss_scale: f64,
    ) -> Self {
        let on_device = squares.sums.on_device();
        let (sums_read, asked) = (on_device.is_some(), predicted.is_some());
        let mut transaction = Transaction::default().register(loss);
        if let Some(sums) = on_device {
            transaction = transaction.register(sums);
        }
        if let Some(predicted) = predicted {
            transaction = transaction.register(predicted);
        }
        let mut read = read_at_once(transaction).into_iter();
        let mut numbers = || -> Vec<f64> {
            read.next().map(|data| data.iter::<f64>().collect()).unwrap_or_default()
        };
        let loss = numbers().first().copied().unwrap_or(f64::NAN);
        let sums = squares.sums.sums(&if sums_read { numbers() } else { Vec::new() });
        let sums: Vec<f64> = sums.into_iter().map(|sum| sum / (loss_scale * loss_scale)).collect();
        let predicted = read.next().filter(|_| asked).map(|data| indices(&data));
        Self { loss, predicted: predicted.unwrap_or_default(), norm: squares.norm(&sums) }
    }
}
