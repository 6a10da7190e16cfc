//! Dynamic loss scaling (Micikevicius et al. 2018, arXiv:1710.03740, section 3.2): the loss is multiplied before the
//! backward pass, so that small gradients do not vanish in f16, and the gradient is divided before the update.

use serde::{Deserialize, Serialize};

/// The scale, and what has become of it. Its rule is that of PyTorch's `GradScaler`, but for the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct LossScaler {
    /// What the loss is multiplied with: a power of two, so that nothing is rounded.
    pub(crate) scale: f64,
    /// Steps with a finite gradient since it changed.
    pub(crate) good_steps: u64,
    /// Steps whose gradient was not finite, and which changed nothing.
    pub(crate) skipped: u64,
}

/// The scale at the first step.
const FIRST: f64 = 65_536.0;

/// Steps with a finite gradient after which the scale doubles.
const GROWS_AFTER: u64 = 2_000;

/// The largest scale.
const LARGEST: f64 = 16_777_216.0;

impl LossScaler {
    /// That of a run that has not begun.
    pub(crate) fn new() -> Self {
        Self { scale: FIRST, good_steps: 0, skipped: 0 }
    }

    /// Goes on after a step; a scale that was too large is halved, and one that has done for long doubles.
    pub(crate) fn update(&mut self, finite: bool) {
        if !finite {
            *self = Self { scale: self.scale / 2.0, good_steps: 0, skipped: self.skipped + 1 };
            return;
        }
        self.good_steps += 1;
        if self.good_steps == GROWS_AFTER {
            self.scale = (self.scale * 2.0).min(LARGEST);
            self.good_steps = 0;
        }
    }

    /// Whether the gradient was not finite at a scale of 1, so that no scale would help.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.scale < 1.0
    }

    /// Why it is none that `steps` steps can have left.
    pub(crate) fn error(&self, steps: u64) -> Option<String> {
        let power = libm::log2(self.scale);
        let whole = power.fract() == 0.0 && (1.0..=LARGEST).contains(&self.scale);
        let known =
            self.good_steps < GROWS_AFTER && self.good_steps.saturating_add(self.skipped) <= steps;
        (!whole || !known).then(|| format!("the loss scale is {self:?} after {steps} steps"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_halves_and_doubles() {
        let mut scaler = LossScaler::new();
        scaler.update(false);
        assert_eq!(scaler, LossScaler { scale: 32_768.0, good_steps: 0, skipped: 1 });
        for _ in 0..GROWS_AFTER - 1 {
            scaler.update(true);
        }
        assert_eq!(scaler.scale, 32_768.0);
        scaler.update(true);
        assert_eq!(scaler, LossScaler { scale: 65_536.0, good_steps: 0, skipped: 1 });
        for _ in 0..100 * GROWS_AFTER {
            scaler.update(true);
        }
        assert_eq!(scaler.scale, LARGEST);
        assert_eq!(scaler.error(1_000_000), None);
        for _ in 0..25 {
            scaler.update(false);
        }
        assert!(scaler.is_exhausted());
    }

    #[test]
    fn a_scale_that_no_run_leaves_is_refused() {
        let scaler = LossScaler { scale: 1024.0, good_steps: 3, skipped: 6 };
        assert_eq!(scaler.error(9), None);
        for wrong in [
            LossScaler { scale: 1000.0, ..scaler },
            LossScaler { scale: f64::NAN, ..scaler },
            LossScaler { scale: -2.0, ..scaler },
            LossScaler { skipped: 7, ..scaler },
            LossScaler { good_steps: GROWS_AFTER, ..scaler },
        ] {
            assert!(wrong.error(9).is_some(), "{wrong:?}");
        }
    }
}
