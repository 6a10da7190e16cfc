//! Batches of nothing: shapes as always, and gradients of zero. Burn's own operations do not all take
//! them, but there is nothing to compute.

use crate::case::{Case, Draw, Input};
use crate::formula::Name;
use crate::operation::{self, Heads, Learned, Sizes};
use burn::tensor::{DType, Device};

fn check(case: &Case, shape: &[usize]) {
    let name = &case.name;
    let outcome = case.run_fused(&Device::flex().autodiff(), DType::F32);
    assert_eq!(outcome.y.shape, shape, "{name}");
    for other in &outcome.others {
        assert!(other.numbers.iter().all(|x| x.is_finite()), "{name}: {other:?}");
    }
    for (gradient, Input { shape, tracked, .. }) in outcome.gradients.iter().zip(&case.inputs) {
        if !tracked {
            continue;
        }
        let gradient = gradient.as_ref().unwrap();
        assert_eq!(gradient.shape, *shape, "{name}");
        assert!(gradient.numbers.iter().all(|x| *x == 0.0), "{name}: {gradient:?}");
    }
    let outcome = case.run_fused(&Device::flex(), DType::F32);
    assert_eq!(outcome.y.shape, shape, "{name}");
}

#[test]
fn empty_batches() {
    let draw = &mut Draw::new(3);
    let image = [0, 5, 4, 7];
    check(&operation::nonlinearity(draw, Name::Smooth, [0, 5, 7]), &[0, 5, 7]);
    check(&operation::activation(draw, Name::Gated, [0, 5, 7]), &[0, 5, 7]);
    check(&operation::learned(draw, Learned::Gated, [0, 5, 7], true), &[0, 5, 7]);
    check(&operation::activation(draw, Name::Gated, [3, 0, 7]), &[3, 0, 7]);
    check(&operation::softmax(draw, [0, 5, 7]), &[0, 5, 7]);
    check(&operation::linear_three(draw, [0, 5, 7]), &[0, 21]);
    check(&operation::embedding(draw, [5, 7], 0), &[0, 7]);
    check(&operation::rotary(draw, vec![], [2, 4]), &[0, 24]);
    check(&operation::dropout(draw, vec![0, 0], 7), &[0, 7]);
    check(&operation::dropout(draw, vec![3, 2], 0), &[5, 0]);
    check(&operation::shortcut(draw, image, 2, 3), &[0, 3, 2, 10]);
    for either in [false, true] {
        check(&operation::layer_norm(draw, [0, 5, 7], either), &[0, 5, 7]);
        check(&operation::linear(draw, [0, 5, 7], either), &[0, 7]);
        let f = either.then_some(Name::Smooth);
        check(&operation::batch_norm_training(draw, image, either, f), &image);
        for lengths in [vec![], vec![0, 0]] {
            let heads = Heads { lengths, heads: 2, width: 5, dropout: either, causal: false };
            check(&operation::attention(draw, heads), &[0, 10]);
        }
    }
    for kernel in [1, 3, 5] {
        for stride in 1..=3 {
            for (input, output) in [(7, 18), (64, 64)] {
                let sizes = Sizes { batch: 0, height: 5, width: 4, input, output, kernel, stride };
                let shape = [0, 5_usize.div_ceil(stride), 4_usize.div_ceil(stride), output];
                check(&operation::convolution(draw, sizes), &shape);
            }
        }
    }
}

/// At inference there is no tape, and burn's operations are not used.
#[test]
fn empty_batches_at_inference() {
    let draw = &mut Draw::new(4);
    for residual in [false, true] {
        let f = residual.then_some(Name::Smooth);
        let case = operation::batch_norm_inference(draw, [0, 5, 4, 7], residual, f);
        let outcome = case.run_fused(&Device::flex(), DType::F32);
        assert_eq!(outcome.y.shape, [0, 5, 4, 7]);
    }
}
