//! Activations as text: `gelu(approximate=tanh)`, or a formula.

#![no_main]

use activation::ActivationRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(request) = text.parse::<ActivationRequest>() else { return };
    let _ = activation::build(&request);
    // What is printed means the same.
    let again = request.to_string().parse::<ActivationRequest>();
    assert_eq!(again.as_ref(), Ok(&request));
});
