//! What is known of an activation as a function of one number: moments under N(0, 1), range, slope, limits.
//!
//! Of a gated activation the nonlinearity of its gate is looked at. Everything is computed in double precision from
//! [`Pointwise::eval`]; what is said of a whole line is found on a grid that is dense near 0 and reaches ±10⁶, and
//! refined between its points.

mod features;
mod gauss;
mod places;
mod relatives;
mod singular;
#[cfg(test)]
mod tests;

pub use features::{Bound, Features, Interval, Kink, Monotone};
pub use gauss::expectation;
pub use relatives::Samples;
pub use singular::Pole;

use crate::{Activation, Pointwise};

/// Beyond ±12 the standard normal distribution has a probability of 4·10⁻³³.
const TAIL: f64 = 12.0;

/// Moments of f(z) and f′(z) for z ~ N(0, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// E[f].
    pub mean: f64,
    /// E[f²].
    pub second: f64,
    /// E[f′²]: the factor of the variance of gradients.
    pub slope: f64,
}

impl Moments {
    /// Those of `f`, which is smooth between `changes`, to about 10⁻¹² of their size; infinite where such an expectation
    /// is, as E[f′²] of a root.
    #[must_use]
    pub fn of(f: &dyn Pointwise, changes: &[f64]) -> Self {
        let mut moments = expectation(changes, |x| {
            let (y, slope) = f.eval(x);
            [y, y * y, slope * slope]
        });
        let is_finite = |x: &f64| f.eval(*x).0.is_finite() && f.eval(*x).1.is_finite();
        let infinite = (-24..=24).map(|i| 0.5 * f64::from(i)).filter(|x| !is_finite(x));
        let inside = changes.iter().copied().filter(|at| at.abs() < TAIL).chain(infinite);
        for singular in singular::singular(&|x| f.eval(x), inside) {
            for (moment, right) in moments.iter_mut().zip(singular.moments()) {
                *moment =
                    right.filter(|_| !moment.is_nan()).map_or(*moment, |right| match *moment {
                        infinite if infinite.is_infinite() => infinite + right,
                        _ => right,
                    });
            }
        }
        let [mean, second, slope] = moments;
        Self { mean, second, slope }
    }

    /// 1/√E[f²], the standard deviation of weights times √fan-in that keeps the variance of layers at 1.
    #[must_use]
    pub fn gain(&self) -> f64 {
        1.0 / self.second.sqrt()
    }

    /// Var[f] = E[f²] − E[f]².
    #[must_use]
    pub fn variance(&self) -> f64 {
        self.second - self.mean * self.mean
    }

    /// The factor by which the variance of gradients changes in a layer with the gain of [`Moments::gain`].
    #[must_use]
    pub fn gradient_factor(&self) -> f64 {
        self.slope / self.second
    }
}

/// Moments and features of one activation.
#[derive(Debug, Clone, PartialEq)]
pub struct Properties {
    /// Under N(0, 1).
    pub moments: Moments,
    /// On the whole line.
    pub features: Features,
}

impl Activation {
    /// The changes `near` 0 with those beyond: where a condition or the sign of a divisor changes, up to ±10⁶.
    fn changes_of_all(&self, near: &[f64]) -> Vec<f64> {
        let far: Vec<f64> =
            std::iter::once(features::NEAR).chain(features::far_inputs(1.005)).collect();
        let mirrored: Vec<f64> = far.iter().rev().map(|x| -x).collect();
        let [below, above] = [mirrored, far].map(|places| self.changes_between(&places));
        let mut all: Vec<f64> =
            below.into_iter().chain(near.iter().copied()).chain(above).collect();
        all.dedup_by(|a, b| (*a - *b).abs() < 1e-12 * (1.0 + b.abs()));
        all
    }
}

impl Properties {
    /// Those of the nonlinearity of `activation`.
    #[must_use]
    pub fn of(activation: &Activation) -> Self {
        let f = activation.nonlinearity();
        let near = activation.changes(features::NEAR);
        let oscillates = activation.is_periodic();
        let changes = if oscillates { near.clone() } else { activation.changes_of_all(&near) };
        let features = Features::of(&|x| f.eval(x), &changes, oscillates);
        Self { moments: Moments::of(f, &near), features }
    }
}
