//! Tables of scores, and the comparison of what they hold.

#![no_main]

use analysis::statistics::Bootstrap;
use analysis::{Comparison, Family, Rules, read_scores};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(tasks) = read_scores(bytes) else { return };
    let Some(arm) = tasks.first().and_then(|task| task.arms.first()) else { return };
    let rules = Rules {
        baseline: arm.activation.clone(),
        margin: Some(0.05),
        bootstrap: Bootstrap { resamples: 20, seed: 0 },
        family: Family::Report,
        all_pairs: None,
        looks: None,
    };
    let _ = Comparison::new(&tasks, &rules).markdown(120);
});
