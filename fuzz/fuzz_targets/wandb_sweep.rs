//! Sweep files of W&B, of which each varies one small experiment.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = runner::fuzzing::wandb_sweep(text);
});
