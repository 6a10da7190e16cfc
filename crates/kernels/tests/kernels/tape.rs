//! What a tape is owed: gradients of all uses add up, and no gradient is worked on in place that
//! somebody else holds. (That inputs, outputs and given gradients stay as they were is asserted in
//! every case, wherever one runs.)

use crate::case::{Case, Numbers, SINGLE, Tape};
use crate::operation;
use actlab_kernels::with_gradient;
use burn::tensor::{DType, Device};

fn tape(case: &Case) -> Tape<'_> {
    Tape::new(&case.inputs, Device::flex().autodiff(), DType::F32)
}

fn times(gradients: &[Option<Numbers>], factor: f64) -> Vec<Option<Numbers>> {
    let scaled = |gradient: &Numbers| Numbers {
        shape: gradient.shape.clone(),
        numbers: gradient.numbers.iter().map(|x| x * factor).collect(),
    };
    gradients.iter().map(|gradient| gradient.as_ref().map(scaled)).collect()
}

#[test]
fn gradients_of_two_uses_add_up() {
    for case in operation::small() {
        let once = case.run_fused(&Device::flex().autodiff(), DType::F32);
        let tape = tape(&case);
        let (first, second) = ((case.fused)(&tape), (case.fused)(&tape));
        let gradient = case.gradient(&once.y.shape);
        let (root, given) = first.y.root(&gradient, true);
        let (other, _) = second.y.root(&gradient, true);
        let gradients = tape.gradients(&(root + other).backward());
        // Twice a number is exact.
        assert_eq!(gradients, times(&once.gradients, 2.0), "{}", case.name);
        assert_eq!(given.numbers(), first.y.root(&gradient, true).1.numbers(), "{}", case.name);
        tape.assert_unchanged(&case.name);
    }
}

/// The gradient of a sum goes to both of its terms as one tensor.
#[test]
fn a_gradient_of_two_is_left_alone() {
    for case in operation::small() {
        let once = case.run_fused(&Device::flex().autodiff(), DType::F32);
        let tapes = [tape(&case), tape(&case)];
        let [first, second] = tapes.each_ref().map(|tape| (case.fused)(tape));
        let mut gradient = case.gradient(&once.y.shape);
        gradient.shape = vec![gradient.numbers.len()];
        let gradient = gradient.tensor::<1>(tapes[0].device(), DType::F32);
        // Held by nobody else, so that it could be worked on in place.
        let root = with_gradient(first.y.flat() + second.y.flat(), gradient);
        let gradients = root.backward();
        for tape in tapes {
            assert_eq!(tape.gradients(&gradients), once.gradients, "{}", case.name);
            tape.assert_unchanged(&case.name);
        }
    }
}

/// The gradient by a sum of all numbers is one number, seen as many.
#[test]
fn gradients_that_are_expanded() {
    for case in operation::small() {
        let [fused, plain] = [&case.fused, &case.plain].map(|way| {
            let tape = tape(&case);
            let gradients = tape.gradients(&way(&tape).y.flat().sum().backward());
            tape.assert_unchanged(&case.name);
            gradients
        });
        for (i, (fused, plain)) in fused.iter().zip(&plain).enumerate() {
            assert_eq!(fused.is_some(), plain.is_some(), "{}: gradient {i}", case.name);
            if let (Some(fused), Some(plain)) = (fused, plain) {
                fused.assert_near(&format!("{}: gradient {i}", case.name), plain, SINGLE);
            }
        }
    }
}

/// An output that outlives its tape, and one that is changed behind it.
#[test]
fn outputs_are_their_own() {
    for case in operation::small() {
        let tape = tape(&case);
        let output = (case.fused)(&tape);
        let before = output.y.numbers();
        // In place, if burn thinks that it may.
        let changed = output.y.flat().detach() * 3.0 + 1.0;
        assert_eq!(output.y.numbers(), before, "{}", case.name);
        drop(changed);
        tape.assert_unchanged(&case.name);
    }
}
