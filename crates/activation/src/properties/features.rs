//! Range, slope, zeros, flat regions and limits of a function.

use super::places::{direction, is_flat, kinks, regions, tidy, turns, zeros};
use super::singular::{Pole, Singular, peak, singular, suspects};

/// Inputs up to which a function is looked at closely, and up to which places of one that oscillates are looked for.
pub(super) const NEAR: f64 = 20.0;

/// Inputs up to which a function is looked at.
pub(super) const FAR: f64 = 1e6;

/// Steps to the next whole number in the dense part of the grid.
const DENSITY: i32 = 256;

/// |f′| below which a function is saturated.
const SATURATED: f64 = 1e-3;

/// Width that a saturated region exceeds.
const NARROW: f64 = 0.1;

/// An input from where to where something holds; ends may be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub from: f64,
    /// Upper end.
    pub to: f64,
}

/// Least or greatest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// The value; infinite where there is none.
    pub value: f64,
    /// An input that has it; none where it is only approached.
    pub at: Option<f64>,
}

/// Where the slope jumps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kink {
    /// The input.
    pub at: f64,
    /// Slope below it.
    pub below: f64,
    /// Slope above it.
    pub above: f64,
    /// By how much the value jumps: 0 where the function is continuous.
    pub jump: f64,
}

/// In which direction a function goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monotone {
    /// Greater for each greater input.
    Increasing,
    /// Never less for a greater input.
    NonDecreasing,
    /// Less for each greater input.
    Decreasing,
    /// Never greater for a greater input.
    NonIncreasing,
    /// Both.
    No,
}

impl Monotone {
    /// In words.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Increasing => "increasing",
            Self::NonDecreasing => "non-decreasing",
            Self::Decreasing => "decreasing",
            Self::NonIncreasing => "non-increasing",
            Self::No => "no",
        }
    }
}

/// What a function does on the whole line.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Greatest lower bound of the values.
    pub infimum: Bound,
    /// Least upper bound of the values.
    pub supremum: Bound,
    /// Whether it goes in one direction.
    pub monotone: Monotone,
    /// Inputs where it turns.
    pub turns: Vec<f64>,
    /// Least upper bound of |f′|; infinite where there is none, or where the value jumps.
    pub lipschitz: f64,
    /// Isolated zeros.
    pub zeros: Vec<f64>,
    /// Where the value grows without bound at a finite input.
    pub poles: Vec<Pole>,
    /// Where f = 0 and f′ = 0, in double precision.
    pub dead: Vec<Interval>,
    /// Where |f′| < 10⁻³, over more than 0.1.
    pub saturated: Vec<Interval>,
    /// Where the slope or the value jumps.
    pub kinks: Vec<Kink>,
    /// Turns, zeros, poles and kinks are looked for at inputs from minus to plus this.
    pub searched: f64,
    /// Limits at −∞ and ∞; none where there is none.
    pub limits: [Option<f64>; 2],
    /// Whether some value is NaN.
    pub has_nan: bool,
}

/// An input with value and slope.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) slope: f64,
}

pub(super) type Function<'a> = &'a dyn Fn(f64) -> (f64, f64);

pub(super) fn point(f: Function<'_>, x: f64) -> Point {
    let (y, slope) = f(x);
    Point { x, y, slope }
}

/// How far beside a change a function is looked at: so far that rounding on the way to a condition does not matter.
pub(super) fn step_beside(at: f64) -> f64 {
    1e-9 * (1.0 + at.abs())
}

impl Features {
    /// Those of `f`, which gives value and slope and is smooth between `changes`; `oscillates` where it may have no limit.
    #[must_use]
    pub fn of(f: Function<'_>, changes: &[f64], oscillates: bool) -> Self {
        let searched = if oscillates { NEAR } else { FAR };
        let grid: Vec<Point> = inputs(changes).into_iter().map(|x| point(f, x)).collect();
        let within = |x: &f64| x.abs() <= searched;
        let suspects = suspects(f, &grid).into_iter().chain(changes.iter().copied());
        let singular = singular(f, suspects.filter(within));
        let poles: Vec<Pole> = singular.iter().filter_map(|one| one.pole(f)).collect();
        let kinks = kinks(f, changes, &singular, &poles);
        let limits = [-1.0, 1.0].map(|side| limit(f, side, oscillates));
        let mut turns = turns(f, &grid, &poles);
        let mut flat = regions(f, &grid, |point| point.slope == 0.0);
        let mut dead = regions(f, &grid, |point| point.y == 0.0 && point.slope == 0.0);
        // What begins far away is rounding, if the formula does not change there.
        let is_near = |one: &Interval| one.from < NEAR && one.to > -NEAR;
        dead.retain(|one| is_near(one) || is_flat(f, one, changes));
        flat.retain(|one| is_flat(f, one, changes));
        let shape =
            Shape { f, grid: &grid, kinks: &kinks, poles: &poles, flat: &flat, limits, oscillates };
        let [infimum, supremum] = [-1.0, 1.0].map(|sign| shape.bound(&turns, sign));
        turns.retain(within);
        let mut zeros = zeros(f, &grid);
        zeros.retain(within);
        Self {
            infimum,
            supremum,
            monotone: shape.monotone(),
            turns,
            lipschitz: shape.lipschitz(&singular),
            zeros,
            dead,
            saturated: shape.saturated(),
            has_nan: grid.iter().any(|point| point.y.is_nan()),
            kinks,
            poles,
            searched,
            limits,
        }
    }
}

/// Inputs beyond ±20 at which a function is looked at, on the positive side: ever wider by `factor`.
pub(super) fn far_inputs(factor: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(NEAR * factor), move |x| (*x < FAR).then_some(x * factor))
}

/// The grid: dense within ±20, and then ever wider; on both sides of each change.
fn inputs(changes: &[f64]) -> Vec<f64> {
    let dense = DENSITY * 20;
    let mut inputs: Vec<f64> =
        (-dense..=dense).map(|i| f64::from(i) / f64::from(DENSITY)).collect();
    inputs.extend(far_inputs(1.02).flat_map(|x| [-x, x]));
    for at in changes {
        let step = step_beside(*at);
        inputs.extend([at - step, *at, at + step]);
    }
    inputs.sort_by(f64::total_cmp);
    inputs.dedup();
    inputs
}

/// The limit for x → `side` · ∞.
fn limit(f: Function<'_>, side: f64, oscillates: bool) -> Option<f64> {
    let at_infinity = f(side * f64::INFINITY).0;
    if !oscillates && !at_infinity.is_nan() {
        return Some(at_infinity);
    }
    let [far, farther] = [1e12, 1e15].map(|x| f(side * x).0);
    if !oscillates && (farther - far).abs() <= 1e-9 * (1.0 + far.abs()) {
        return Some(farther);
    }
    // Uneven steps meet every part of a period.
    let values = |from: f64| {
        let values = (0..200).map(|i| f(side * from * (1.0 + 0.005_123 * f64::from(i))).0);
        values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], y| [low.min(y), high.max(y)])
    };
    let ([low, high], [far_low, far_high]) = (values(50.0), values(5e3));
    if far_low > far_high {
        // There are no values.
        return None;
    }
    if far_high - far_low < 1e-6 {
        return Some(0.5 * (far_low + far_high));
    }
    if far_low > 10.0 * high.abs() {
        return Some(f64::INFINITY);
    }
    (far_high < -10.0 * low.abs()).then_some(f64::NEG_INFINITY)
}

/// What the features of a whole are made of.
struct Shape<'a> {
    f: Function<'a>,
    grid: &'a [Point],
    kinks: &'a [Kink],
    poles: &'a [Pole],
    flat: &'a [Interval],
    limits: [Option<f64>; 2],
    oscillates: bool,
}

impl Shape<'_> {
    fn monotone(&self) -> Monotone {
        let across = |sign: f64| {
            self.kinks.iter().any(|kink| kink.jump * sign > 0.0)
                || self.poles.iter().any(|pole| (pole.above - pole.below) * sign > 0.0)
        };
        let rises = self.grid.iter().any(|point| direction(point) > 0) || across(1.0);
        let falls = self.grid.iter().any(|point| direction(point) < 0) || across(-1.0);
        match (rises, falls) {
            (true, true) => Monotone::No,
            (true, false) if self.flat.is_empty() => Monotone::Increasing,
            (true, false) => Monotone::NonDecreasing,
            (false, true) if self.flat.is_empty() => Monotone::Decreasing,
            (false, _) => Monotone::NonIncreasing,
        }
    }

    fn saturated(&self) -> Vec<Interval> {
        let mut saturated = regions(self.f, self.grid, |point| point.slope.abs() < SATURATED);
        // Around a turn the slope is small as well.
        saturated.retain(|one| one.to - one.from > NARROW);
        // What grows slowly without end, as a logarithm, is not saturated; what oscillates is not known so far away.
        let there = |side: usize, ends: bool| {
            self.limits[side].is_some_and(|limit| ends && !self.oscillates || limit.is_finite())
        };
        saturated.retain(|one| {
            (one.from < NEAR || there(1, one.to.is_finite()))
                && (one.to > -NEAR || there(0, one.from.is_finite()))
        });
        saturated
    }

    /// The limits of values on the sides of jumps.
    fn beside_jumps(&self) -> impl Iterator<Item = f64> {
        let jumps = self.kinks.iter().filter(|kink| kink.jump != 0.0);
        jumps.flat_map(|kink| {
            [-1.0, 1.0].map(|side| {
                let step = side * step_beside(kink.at);
                let beside = point(self.f, kink.at + step);
                beside.y - step * beside.slope
            })
        })
    }

    /// Whether a point lies beside a jump, to look at the side, or is infinite.
    fn is_aside(&self, point: &Point) -> bool {
        let beside = |kink: &Kink| {
            kink.jump != 0.0
                && point.x != kink.at
                && (point.x - kink.at).abs() < 2.0 * step_beside(kink.at)
        };
        !point.y.is_finite() || self.kinks.iter().any(beside)
    }

    /// The supremum of `sign` · f, times `sign`.
    fn bound(&self, turns: &[f64], sign: f64) -> Bound {
        let turning = turns.iter().map(|x| point(self.f, *x));
        let candidates = self.grid.iter().copied().chain(turning);
        let mut best: Option<Point> = None;
        for candidate in candidates.filter(|candidate| !self.is_aside(candidate)) {
            let better = |best: Point| {
                let (new, old) = (sign * candidate.y, sign * best.y);
                new > old || new == old && candidate.x.abs() < best.x.abs()
            };
            if best.is_none_or(better) {
                best = Some(candidate);
            }
        }
        let Some(best) = best else { return Bound { value: f64::NAN, at: None } };
        let limits = self.limits.iter().flatten().map(|limit| sign * limit);
        let limit = limits.fold(f64::NEG_INFINITY, f64::max);
        let infinite = sign * f64::INFINITY;
        let is_infinite = |pole: &Pole| [pole.below, pole.above].contains(&infinite);
        let at_pole = self.poles.iter().any(is_infinite)
            || self.grid.iter().any(|point| point.y == infinite && self.poles.is_empty());
        let endless = self.limits.contains(&None) && grows(self.grid, sign);
        if limit == f64::INFINITY || at_pole || endless {
            return Bound { value: sign * f64::INFINITY, at: None };
        }
        let (value, noise) = (sign * best.y, 1e-12 * (1.0 + best.y.abs()));
        let beside = self.beside_jumps().map(|y| sign * y).fold(f64::NEG_INFINITY, f64::max);
        if beside > value.max(limit) + noise {
            return Bound { value: tidy(sign * beside), at: None };
        }
        // At the beginning of a constant part the slope may be that of the other side.
        let reached =
            best.slope == 0.0 || self.flat.iter().any(|part| (self.f)(part.inside()).0 == best.y);
        // What lies this near to a limit is rounded to it.
        if limit >= value - noise && !reached {
            return Bound { value: tidy(sign * limit), at: None };
        }
        Bound { value: tidy(best.y), at: Some(best.x) }
    }

    fn lipschitz(&self, singular: &[Singular]) -> f64 {
        let jumps = self.kinks.iter().any(|kink| kink.jump != 0.0);
        if jumps || singular.iter().any(|one| one.slopes() != [None; 2]) {
            return f64::INFINITY;
        }
        let steep = |point: &Point| point.slope.abs();
        let most = |from: f64, to: f64| {
            let there = self.grid.iter().filter(|point| (from..to).contains(&point.x.abs()));
            there.map(steep).fold(0.0, f64::max)
        };
        let limits = [-1.0, 1.0].map(|side| (self.f)(side * f64::INFINITY).1.abs());
        let [before, last] = [most(0.01 * FAR, 0.1 * FAR), most(0.1 * FAR, f64::INFINITY)];
        // A slope that is bounded far away may be steeper there than near 0.
        if limits.contains(&f64::INFINITY) || last > 2.0 * before && last > 5.0 * most(0.0, 100.0) {
            return f64::INFINITY;
        }
        // Between the neighbours of a point that is steeper than both lies a maximum.
        let refined = self.grid.windows(3).filter(|three| {
            steep(&three[1]) >= steep(&three[0]).max(steep(&three[2])) && three[1].x.abs() <= NEAR
        });
        let refined = refined.map(|three| peak(three[0].x, three[2].x, |x| (self.f)(x).1.abs())[1]);
        let limits = limits.into_iter().filter(|slope| !slope.is_nan());
        refined.chain(limits).chain(self.grid.iter().map(steep)).fold(0.0, f64::max)
    }
}

/// Whether `sign` · f is ever greater the further one goes.
fn grows(grid: &[Point], sign: f64) -> bool {
    let most = |from: f64, to: f64| {
        let there = grid.iter().filter(|point| (from..to).contains(&point.x.abs()));
        there.map(|point| sign * point.y).fold(f64::NEG_INFINITY, f64::max)
    };
    let (near, far) = (most(10.0, 100.0), most(1e3, FAR));
    far > 5.0 * near.abs() && far > 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(f: impl Fn(f64) -> (f64, f64), changes: &[f64]) -> Features {
        Features::of(&f, changes, false)
    }

    #[test]
    fn relu() {
        let relu = of(|x| if x <= 0.0 { (0.0, 0.0) } else { (x, 1.0) }, &[0.0]);
        assert_eq!((relu.infimum.value, relu.supremum.value), (0.0, f64::INFINITY));
        assert!(relu.infimum.at.is_some());
        assert_eq!(relu.monotone, Monotone::NonDecreasing);
        assert_eq!(relu.lipschitz, 1.0);
        assert_eq!(relu.dead, [Interval { from: f64::NEG_INFINITY, to: 0.0 }]);
        assert_eq!(relu.saturated, relu.dead);
        assert!(relu.zeros.is_empty() && relu.turns.is_empty());
        assert_eq!(relu.kinks, [Kink { at: 0.0, below: 0.0, above: 1.0, jump: 0.0 }]);
        assert_eq!(relu.limits, [Some(0.0), Some(f64::INFINITY)]);
    }

    /// A bound at which a constant part begins is reached, whichever slope stands there.
    #[test]
    fn a_clamp_reaches_both_bounds() {
        let clamp = |x: f64| {
            if x <= 0.0 {
                (0.0, 0.0)
            } else if x <= 6.0 {
                (x, 1.0)
            } else {
                (6.0, 0.0)
            }
        };
        let clamp = of(clamp, &[0.0, 6.0]);
        assert_eq!((clamp.supremum.value, clamp.supremum.at), (6.0, Some(6.0)));
        assert!(clamp.infimum.at.is_some());
        let tanh = of(|x| (libm::tanh(x), libm::cosh(x).powi(-2)), &[]);
        assert_eq!((tanh.supremum.value, tanh.supremum.at), (1.0, None));
    }

    /// The slope of x / (1 + |x|) is below 0.001 beyond √1000 − 1.
    #[test]
    fn what_saturates_far_away_is_found() {
        let softsign = |x: f64| {
            let x = x.clamp(-1e300, 1e300);
            (x / (1.0 + x.abs()), (1.0 + x.abs()).powi(2).recip())
        };
        let softsign = of(softsign, &[]);
        let [below, above] = softsign.saturated[..] else { panic!("{:?}", softsign.saturated) };
        let end = 1000_f64.sqrt() - 1.0;
        assert!((below.to + end).abs() < 1e-6 && (above.from - end).abs() < 1e-6);
        let logarithm = |x: f64| (x.signum() * libm::log1p(x.abs()), (1.0 + x.abs()).recip());
        assert!(of(logarithm, &[]).saturated.is_empty());
    }

    /// The minimum of x · σ(x) is −0.2784645427610738 at −1.2784645427610738, the greatest slope 1.0998393194552583.
    #[test]
    fn silu() {
        let silu = |x: f64| {
            let s = crate::Algebra::sigmoid(x);
            let y = if x == f64::NEG_INFINITY { 0.0 } else { x * s };
            (y, s + y * (1.0 - s))
        };
        let silu = of(silu, &[]);
        assert!((silu.infimum.value + 0.278_464_542_761_073_8).abs() < 1e-12);
        assert!((silu.infimum.at.unwrap() + 1.278_464_542_761_074).abs() < 1e-6);
        assert_eq!(silu.monotone, Monotone::No);
        assert_eq!(silu.turns.len(), 1);
        assert!((silu.lipschitz - 1.099_839_319_455_258).abs() < 1e-9, "{}", silu.lipschitz);
        assert_eq!(silu.zeros, [0.0]);
        assert!(silu.dead.is_empty());
        assert_eq!(silu.saturated.len(), 1, "the minimum is no saturation");
        assert_eq!(silu.saturated[0].from, f64::NEG_INFINITY);
        assert!(silu.kinks.is_empty());
    }

    #[test]
    fn a_bound_that_is_only_approached() {
        let sigmoid = |x: f64| crate::Algebra::sigmoid(2.0 * x);
        let tanh = of(|x| (libm::tanh(x), 4.0 * sigmoid(x) * sigmoid(-x)), &[]);
        assert_eq!(tanh.infimum, Bound { value: -1.0, at: None });
        assert_eq!(tanh.supremum, Bound { value: 1.0, at: None });
        assert_eq!(tanh.limits, [Some(-1.0), Some(1.0)]);
        let clamp = |x: f64| (x.clamp(-1.0, 1.0), f64::from(u8::from(x.abs() < 1.0)));
        let clamp = of(clamp, &[-1.0, 1.0]);
        assert!(clamp.supremum.at.is_some() && clamp.infimum.at.is_some());
        assert_eq!(clamp.kinks.len(), 2);
    }

    #[test]
    fn what_oscillates_and_what_jumps() {
        let sine = Features::of(&|x| (libm::sin(x), libm::cos(x)), &[], true);
        assert_eq!(sine.limits, [None, None]);
        assert_eq!((sine.infimum.value, sine.supremum.value), (-1.0, 1.0));
        assert!(sine.supremum.at.is_some());
        assert_eq!(sine.zeros.len(), 13);
        let growing = |x: f64| (x * libm::cos(x), libm::cos(x) - x * libm::sin(x));
        let growing = Features::of(&growing, &[], true);
        assert_eq!(growing.lipschitz, f64::INFINITY);
        assert_eq!(growing.supremum, Bound { value: f64::INFINITY, at: None });
        let step = of(|x| (f64::from(u8::from(x > 0.0)), 0.0), &[0.0]);
        assert_eq!((step.lipschitz, step.kinks[0].jump), (f64::INFINITY, 1.0));
        assert_eq!(step.monotone, Monotone::NonDecreasing);
        let square = of(|x| (x * x, 2.0 * x), &[]);
        assert_eq!(square.lipschitz, f64::INFINITY);
        assert_eq!(square.infimum, Bound { value: 0.0, at: Some(0.0) });
    }
}
