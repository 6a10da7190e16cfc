//! Dropout on devices other than the CPU: the mask is drawn where it is used, or made on the host where there is no
//! kernel for that.

use crate::device::gpu;
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use crate::dropout::{Dropout, Place};
use crate::sequences::Sequences;
use burn::Tensor;
use burn::tensor::TensorData;
use rayon::prelude::*;

/// Which place each row of a matrix has.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// The tokens of sequences, one behind another.
    Packed(Sequences),
    /// So many tokens of each head of each sequence.
    Heads {
        /// Heads of a sequence.
        heads: usize,
        /// Rows of a head.
        tokens: usize,
        /// Position of the first one.
        from: usize,
    },
}

/// Numbers of the rows that are dropped together.
#[derive(Debug, Clone)]
pub(crate) struct Dropped {
    pub(crate) rows: Rows,
    pub(crate) dropout: Dropout,
}

/// See [`dropout`](crate::dropout()).
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, dropped: Dropped) -> Tensor<D> {
    let y = dropped.apply(untaped(&x));
    record([x.into()], y, || Taped::<D>(dropped))
}

impl Dropped {
    /// `x` with numbers dropped; its last dimension is a row.
    pub(crate) fn apply<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        let width = shape[D - 1];
        let rows = shape[..D - 1].iter().product();
        if self.dropout.p == 0.0 || rows * width == 0 {
            return x;
        }
        match gpu::dropped(&x.clone().reshape([rows, width]), self) {
            Some(y) => y.reshape(shape),
            None => {
                x.clone()
                    * Tensor::from_data(self.mask(rows, width, shape), (&x.device(), x.dtype()))
            }
        }
    }

    /// What the numbers are multiplied with.
    fn mask<const D: usize>(&self, rows: usize, width: usize, shape: [usize; D]) -> TensorData {
        let mask = match &self.rows {
            Rows::Packed(sequences) => self.dropout.mask(sequences, width),
            Rows::Heads { heads, tokens, from } => {
                let mut mask = vec![1.0; rows * width];
                let each = (tokens * width).max(1);
                mask.par_chunks_mut(each).enumerate().for_each(|(i, mask)| {
                    let place = Place { sequence: i / heads, token: *from, head: i % heads };
                    self.dropout.apply(place, width, mask);
                });
                mask
            }
        };
        TensorData::new(mask, shape)
    }
}

/// The same of a tensor of `D` dimensions, on the tape.
#[derive(Debug, Clone)]
struct Taped<const D: usize>(Dropped);

impl<const D: usize> Derivative<1> for Taped<D> {
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        [Some(self.0.apply(gradient.tensor::<D>()).into())]
    }
}
