//! The correction of all tests that share one error rate.

use super::against::Effects;
use super::{ALPHA, Against, Family, Rules};
use crate::statistics::holm;

/// Corrects the tests of `tasks`, and judges every arm that was tested.
pub(super) fn correct(tasks: &mut [Vec<Option<Against>>], rules: &Rules) {
    match rules.family {
        Family::Report => correct_together(tasks.iter_mut().flatten().flatten()),
        Family::Task => {
            for task in tasks {
                correct_together(task.iter_mut().flatten());
            }
        }
    }
}

fn correct_together<'a>(arms: impl Iterator<Item = &'a mut Against>) {
    // Arms without a test pay for nothing.
    let mut tested: Vec<&mut Against> = arms.filter(|arm| arm.p().is_some()).collect();
    let mut tests = Vec::new();
    for (comparison, arm) in tested.iter().enumerate() {
        tests.extend(arm.p().map(|p| (comparison, p)));
        tests.extend(arm.equivalence.map(|equivalence| (comparison, equivalence.p)));
    }
    let mut adjusted = holm(&tests, ALPHA).into_iter();
    // Power is planned at the level of the first step: it must not depend on what was seen.
    let level = ALPHA / tested.len().max(1) as f64;
    let mut effects = Effects::default();
    for arm in &mut tested {
        let Some(differs) = adjusted.next() else { return };
        let within = arm.equivalence.and_then(|_| adjusted.next());
        arm.correct(differs, within);
        arm.power = effects.power(arm, level);
    }
}
