//! What a tape is owed: gradients of all uses add up, and no gradient is worked on in place that
//! has another owner. (That inputs, outputs and given gradients stay as they were is asserted in
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

fn assert_all_near(case: &Case, given: &[Option<Numbers>], expected: &[Option<Numbers>]) {
    assert_eq!(given.len(), expected.len(), "{}", case.name);
    for (i, (given, expected)) in given.iter().zip(expected).enumerate() {
        assert_eq!(given.is_some(), expected.is_some(), "{}: gradient {i}", case.name);
        if let (Some(given), Some(expected)) = (given, expected) {
            given.assert_near(&format!("{}: gradient {i}", case.name), expected, SINGLE);
        }
    }
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
        // Without another owner, so that it could be worked on in place.
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
        assert_all_near(&case, &fused, &plain);
    }
}

/// The gradient by a tensor that is turned round lies the other way round.
#[test]
fn gradients_that_are_turned() {
    for case in operation::small() {
        let [fused, plain] = [(&case.fused, true), (&case.plain, false)].map(|(way, fused)| {
            let tape = tape(&case);
            let y = way(&tape).y.reversed();
            let (root, _) = y.root(&case.gradient(&y.shape()), fused);
            let gradients = tape.gradients(&root.backward());
            tape.assert_unchanged(&case.name);
            gradients
        });
        assert_all_near(&case, &fused, &plain);
    }
}

/// What an operation keeps of its output stays, whatever is made of the output in its own memory.
#[test]
fn outputs_that_are_used_up() {
    for case in operation::small() {
        let once = case.run_fused(&Device::flex().autodiff(), DType::F32);
        let tape = tape(&case);
        let mut gradient = case.gradient(&once.y.shape);
        gradient.shape = vec![gradient.numbers.len()];
        let gradient = gradient.tensor::<1>(tape.device(), DType::F32);
        // The output itself has no owner.
        let after = (case.fused)(&tape).y.flat() * 4.0 + 1.0;
        let gradients = tape.gradients(&with_gradient(after, gradient).backward());
        assert_all_near(&case, &gradients, &times(&once.gradients, 4.0));
        tape.assert_unchanged(&case.name);
    }
}
