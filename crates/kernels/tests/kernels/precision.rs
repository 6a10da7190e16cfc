//! What is not f32 takes the plain way, in its own precision.

use crate::case::{Case, DOUBLE, Draw, SINGLE};
use crate::operation::{self, Heads};
use actlab_kernels as kernels;
use burn::tensor::{DType, Device};

#[test]
fn double_precision_stays() {
    for case in operation::small() {
        let taped = Device::flex().autodiff();
        let expected = case.run_plain(&taped, DType::F64);
        let given = case.run_fused(&taped, DType::F64);
        // Burn rounds the gradient of a division by a number, as of scores by √width, to f32.
        let divides = case.name.starts_with("attention");
        case.assert_near(&given, &expected, if divides { 1e-7 } else { DOUBLE });
        let single = case.run_fused(&taped, DType::F32);
        case.assert_near(&single, &expected, SINGLE);
    }
}

/// The plain way beside the kernel, where a sequence has no token, or fewer than another.
#[test]
fn sequences_without_tokens() {
    let draw = &mut Draw::new(5);
    let taped = Device::flex().autodiff();
    for lengths in [vec![0, 3], vec![2, 0, 5], vec![1, 4, 0]] {
        for (dropout, causal) in [(false, false), (true, false), (false, true), (true, true)] {
            let heads = Heads { lengths: lengths.clone(), heads: 2, width: 5, dropout, causal };
            let case = operation::attention(draw, heads);
            let plain = case.run_fused(&taped, DType::F64);
            case.assert_near(&case.run_fused(&taped, DType::F32), &plain, SINGLE);
        }
    }
}

#[test]
fn copies_of_double_precision() {
    let numbers = Draw::new(1).input(&[3, 5], 2.0);
    let case = Case::new(
        "copy",
        vec![numbers],
        |tape| kernels::copy(&tape.input::<2>(0)),
        |tape| tape.input::<2>(0),
    );
    let cpu = Device::flex();
    assert_eq!(case.run_fused(&cpu, DType::F64), case.run_plain(&cpu, DType::F64));
}
