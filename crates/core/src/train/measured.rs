//! What a training step measures, read from its device at once: every read waits for the device.

use crate::objective::indices;
use crate::optimizer::{GradientNorm, Squares};
use actlab_kernels::Scalar;
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
        let on_device = |scalar: &Scalar| match scalar {
            Scalar::OnHost(_) => None,
            Scalar::OnDevice(sum) => Some(sum.clone()),
        };
        let mut numbers = vec![loss];
        numbers.extend(squares.sums.iter().filter_map(on_device));
        let asked = predicted.is_some();
        let mut transaction = Transaction::default().register(Tensor::cat(numbers, 0));
        if let Some(predicted) = predicted {
            transaction = transaction.register(predicted);
        }
        let read = transaction.execute();
        let mut numbers = read[0].iter::<f32>().map(f64::from);
        let mut next = || numbers.next().unwrap_or(f64::NAN);
        let loss = next();
        let sums: Vec<f64> = squares
            .sums
            .iter()
            .map(|scalar| match scalar {
                Scalar::OnHost(sum) => *sum,
                Scalar::OnDevice(_) => next(),
            })
            .map(|sum| sum / (loss_scale * loss_scale))
            .collect();
        let predicted = if asked { indices(&read[1]) } else { Vec::new() };
        Self { loss, predicted, norm: squares.norm(&sums) }
    }
}
