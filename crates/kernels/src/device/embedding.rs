//! Embeddings on devices other than the CPU.

use crate::device::gpu;
use crate::device::tape::{AnyRank, Derivative, record, untaped};
use burn::Tensor;
use burn::tensor::{IndexingUpdateOp, Int};

/// See [`embedding`](crate::embedding()).
pub(crate) fn embedding(weight: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<2> {
    let tokens = if tokens.device().is_autodiff() { tokens.inner() } else { tokens };
    let [entries, _] = weight.dims();
    let y = untaped(&weight).select(0, tokens.clone());
    record([weight.into()], y, || Embedding { tokens, entries })
}

#[derive(Debug, Clone)]
struct Embedding {
    tokens: Tensor<1, Int>,
    entries: usize,
}

impl Derivative<1> for Embedding {
    fn backward(self, gradient: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        let Self { tokens, entries } = self;
        let gradient = gradient.tensor::<2>();
        let by_weight = gpu::sums_by_token(&tokens, &gradient, entries).unwrap_or_else(|| {
            let [_, width] = gradient.dims();
            let zeros = Tensor::zeros([entries, width], (&gradient.device(), gradient.dtype()));
            zeros.select_assign(0, tokens, gradient.clone(), IndexingUpdateOp::Add)
        });
        [Some(by_weight.into())]
    }
}
