//! Range, slope, zeros, flat regions and limits of a function.

use crate::graph::bisect;

/// Inputs up to which kinks, zeros and regions are looked for.
pub(super) const NEAR: f64 = 20.0;

/// Inputs up to which a function is looked at.
const FAR: f64 = 1e4;

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
    /// Inputs within ±20 where it turns.
    pub turns: Vec<f64>,
    /// Least upper bound of |f′|; infinite where there is none, or where the value jumps.
    pub lipschitz: f64,
    /// Isolated zeros within ±20.
    pub zeros: Vec<f64>,
    /// Where f = 0 and f′ = 0, in double precision.
    pub dead: Vec<Interval>,
    /// Where |f′| < 10⁻³, over more than 0.1.
    pub saturated: Vec<Interval>,
    /// Where the slope jumps, within ±20.
    pub kinks: Vec<Kink>,
    /// Limits at −∞ and ∞; none where there is none.
    pub limits: [Option<f64>; 2],
    /// Whether some value is NaN.
    pub has_nan: bool,
}

/// An input with value and slope.
#[derive(Debug, Clone, Copy)]
struct Point {
    x: f64,
    y: f64,
    slope: f64,
}

type Function<'a> = &'a dyn Fn(f64) -> (f64, f64);

fn point(f: Function<'_>, x: f64) -> Point {
    let (y, slope) = f(x);
    Point { x, y, slope }
}

impl Features {
    /// Those of `f`, which gives value and slope and is smooth between `changes`; `oscillates` where it may have no limit.
    #[must_use]
    pub fn of(f: Function<'_>, changes: &[f64], oscillates: bool) -> Self {
        let grid: Vec<Point> = inputs(changes).into_iter().map(|x| point(f, x)).collect();
        let kinks = kinks(f, changes);
        let limits = [-1.0, 1.0].map(|side| limit(f, side, oscillates));
        let turns = turns(f, &grid);
        let flat = |point: &Point| point.slope == 0.0;
        let dead = regions(f, &grid, NEAR, |point| point.y == 0.0 && flat(point));
        let mut saturated = regions(f, &grid, FAR, |point| point.slope.abs() < SATURATED);
        // Around a turn the slope is small as well.
        saturated.retain(|one| one.to - one.from > NARROW);
        // What grows slowly without end, as a logarithm, is not saturated.
        let ends = |side: usize| limits[side].is_some_and(f64::is_finite);
        saturated.retain(|one| (one.from < NEAR || ends(1)) && (one.to > -NEAR || ends(0)));
        let zeros = zeros(f, &grid, &dead);
        let [infimum, supremum] = [-1.0, 1.0].map(|sign| bound(f, &grid, &turns, limits, sign));
        Self {
            infimum,
            supremum,
            monotone: monotone(&grid, &kinks),
            turns: turns.into_iter().filter(|x| x.abs() <= NEAR).collect(),
            lipschitz: lipschitz(f, &grid, &kinks),
            zeros,
            dead,
            saturated,
            kinks,
            limits,
            has_nan: grid.iter().any(|point| point.y.is_nan()),
        }
    }
}

/// The grid: dense within ±20, and then ever wider; on both sides of each change.
fn inputs(changes: &[f64]) -> Vec<f64> {
    let dense = DENSITY * 20;
    let mut inputs: Vec<f64> =
        (-dense..=dense).map(|i| f64::from(i) / f64::from(DENSITY)).collect();
    let mut x = NEAR;
    while x < FAR {
        x *= 1.02;
        inputs.extend([-x, x]);
    }
    for at in changes {
        // Far enough that rounding on the way to a condition does not matter.
        inputs.extend([at - 1e-9, *at, at + 1e-9]);
    }
    inputs.sort_by(f64::total_cmp);
    inputs.dedup();
    inputs
}

fn kinks(f: Function<'_>, changes: &[f64]) -> Vec<Kink> {
    let kink = |at: &f64| {
        let step = 1e-9 * (1.0 + at.abs());
        let (below, above) = (point(f, at - step), point(f, at + step));
        let jump = above.y - below.y;
        let jump = if jump.abs() > 1e-6 { jump } else { 0.0 };
        Kink { at: *at, below: below.slope, above: above.slope, jump }
    };
    let jumps = |kink: &Kink| {
        let scale = 1.0 + kink.below.abs().max(kink.above.abs());
        (kink.below - kink.above).abs() > 1e-6 * scale || kink.jump != 0.0
    };
    changes.iter().map(kink).filter(jumps).collect()
}

/// The limit for x → `side` · ∞.
fn limit(f: Function<'_>, side: f64, oscillates: bool) -> Option<f64> {
    let at_infinity = f(side * f64::INFINITY).0;
    if !oscillates && !at_infinity.is_nan() {
        return Some(at_infinity);
    }
    // Uneven steps meet every part of a period.
    let values = |from: f64| {
        let values = (0..200).map(|i| f(side * from * (1.0 + 0.005_123 * f64::from(i))).0);
        values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], y| [low.min(y), high.max(y)])
    };
    let ([low, high], [far_low, far_high]) = (values(50.0), values(5e3));
    if far_high - far_low < 1e-6 {
        return Some(0.5 * (far_low + far_high));
    }
    if far_low > 10.0 * high.abs() {
        return Some(f64::INFINITY);
    }
    (far_high < -10.0 * low.abs()).then_some(f64::NEG_INFINITY)
}

/// Sign of a slope; 0 where it is lost in rounding.
fn direction(point: &Point) -> i8 {
    let noise = 1e-13 * (1.0 + point.y.abs());
    i8::from(point.slope > noise) - i8::from(point.slope < -noise)
}

/// Where the slope changes its sign, also over a flat part.
fn turns(f: Function<'_>, grid: &[Point]) -> Vec<f64> {
    let mut turns = Vec::new();
    let moving: Vec<&Point> = grid.iter().filter(|point| direction(point) != 0).collect();
    for pair in moving.windows(2) {
        let before = direction(pair[0]);
        if before != direction(pair[1]) {
            let [at, _] = bisect(pair[0].x, pair[1].x, |x| direction(&point(f, x)) == before);
            turns.push(tidy(at));
        }
    }
    turns
}

/// A number that is zero but for the last steps of a bisection.
fn tidy(x: f64) -> f64 {
    if x.abs() < 1e-12 { 0.0 } else { x }
}

fn monotone(grid: &[Point], kinks: &[Kink]) -> Monotone {
    let down = |jump: f64| kinks.iter().any(|kink| kink.jump * jump > 0.0);
    let rises = grid.iter().any(|point| direction(point) > 0) || down(1.0);
    let falls = grid.iter().any(|point| direction(point) < 0) || down(-1.0);
    // Neighbours that are flat are a flat part; one alone may be an inflection.
    let flat =
        |pair: &[Point]| pair.iter().all(|point| point.slope == 0.0 && point.x.abs() <= NEAR);
    let flat = grid.windows(2).any(flat);
    match (rises, falls) {
        (true, true) => Monotone::No,
        (true, false) if !flat => Monotone::Increasing,
        (true, false) => Monotone::NonDecreasing,
        (false, true) if !flat => Monotone::Decreasing,
        (false, _) => Monotone::NonIncreasing,
    }
}

/// The supremum of `sign` · f, times `sign`.
fn bound(
    f: Function<'_>,
    grid: &[Point],
    turns: &[f64],
    limits: [Option<f64>; 2],
    sign: f64,
) -> Bound {
    let turning = turns.iter().map(|x| point(f, *x));
    let candidates = grid.iter().copied().chain(turning).filter(|point| !point.y.is_nan());
    let mut best: Option<Point> = None;
    for candidate in candidates {
        let better = |best: Point| {
            let (new, old) = (sign * candidate.y, sign * best.y);
            new > old || new == old && candidate.x.abs() < best.x.abs()
        };
        if best.is_none_or(better) {
            best = Some(candidate);
        }
    }
    let Some(best) = best else { return Bound { value: f64::NAN, at: None } };
    let limit = limits.iter().flatten().map(|limit| sign * limit).fold(f64::NEG_INFINITY, f64::max);
    if limit.is_infinite() && limit > 0.0 || grows(grid, sign) {
        return Bound { value: sign * f64::INFINITY, at: None };
    }
    let value = sign * best.y;
    // At the beginning of a constant part the slope may be that of the other side.
    let is_flat = |x: f64| {
        let there = point(f, x);
        x.abs() <= NEAR && there.slope == 0.0 && there.y == best.y
    };
    let reached = [0.0, -1.0, 1.0].into_iter().any(|away| is_flat(best.x + away));
    // What lies this near to a limit is rounded to it.
    if limit >= value - 1e-12 * (1.0 + value.abs()) && !reached {
        return Bound { value: tidy(sign * limit), at: None };
    }
    Bound { value: tidy(best.y), at: Some(best.x) }
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

fn lipschitz(f: Function<'_>, grid: &[Point], kinks: &[Kink]) -> f64 {
    if kinks.iter().any(|kink| kink.jump != 0.0) {
        return f64::INFINITY;
    }
    let steep = |point: &Point| point.slope.abs();
    let most = |from: f64, to: f64| {
        let there = grid.iter().filter(|point| (from..to).contains(&point.x.abs()));
        there.map(steep).fold(0.0, f64::max)
    };
    let at_infinity = [-1.0, 1.0].iter().any(|side| f(side * f64::INFINITY).1.is_infinite());
    if at_infinity || most(1e3, f64::INFINITY) > 5.0 * most(0.0, 100.0) {
        return f64::INFINITY;
    }
    // Between the neighbours of a point that is steeper than both lies a maximum.
    let refined = grid.windows(3).filter(|three| {
        steep(&three[1]) >= steep(&three[0]).max(steep(&three[2])) && three[1].x.abs() <= NEAR
    });
    let refined = refined.map(|three| greatest(three[0].x, three[2].x, |x| f(x).1.abs()));
    let limits = [-1.0, 1.0].map(|side| f(side * f64::INFINITY).1.abs());
    let limits = limits.into_iter().filter(|slope| !slope.is_nan());
    refined.chain(limits).chain(grid.iter().map(steep)).fold(0.0, f64::max)
}

/// The greatest value of `g` from `from` to `to`, where it has one maximum, by golden sections.
fn greatest(mut from: f64, mut to: f64, g: impl Fn(f64) -> f64) -> f64 {
    const SECTION: f64 = 0.618_033_988_749_894_9;
    let mut best = f64::NEG_INFINITY;
    for _ in 0..48 {
        let (a, b) = (to - SECTION * (to - from), from + SECTION * (to - from));
        let (at_a, at_b) = (g(a), g(b));
        best = best.max(at_a).max(at_b);
        if at_a >= at_b {
            to = b;
        } else {
            from = a;
        }
    }
    best
}

fn zeros(f: Function<'_>, grid: &[Point], dead: &[Interval]) -> Vec<f64> {
    let is_dead = |x: f64| dead.iter().any(|one| (one.from..=one.to).contains(&x));
    let mut zeros = Vec::new();
    let near = |point: &&Point| point.x.abs() <= NEAR && !point.y.is_nan();
    let near: Vec<&Point> = grid.iter().filter(near).collect();
    for pair in near.windows(2) {
        let [a, b] = [pair[0], pair[1]];
        if a.y == 0.0 && !is_dead(a.x) {
            zeros.push(a.x);
        } else if a.y * b.y < 0.0 {
            let [at, _] = bisect(a.x, b.x, |x| f(x).0 * a.y > 0.0);
            zeros.push(tidy(at));
        }
    }
    zeros.dedup_by(|a, b| (*a - *b).abs() < 1e-8);
    zeros
}

/// Where `holds` is true: intervals of the grid, with their ends sought between its points. One that reaches the end of the
/// grid is taken to reach infinity. What begins further out than `near` is rounding.
fn regions(
    f: Function<'_>,
    grid: &[Point],
    near: f64,
    holds: impl Fn(&Point) -> bool,
) -> Vec<Interval> {
    let mut regions: Vec<Interval> = Vec::new();
    let edge = |a: &Point, b: &Point| {
        let [at, _] = bisect(a.x, b.x, |x| holds(&point(f, x)) == holds(a));
        tidy(at)
    };
    let mut begin = holds(&grid[0]).then_some(f64::NEG_INFINITY);
    for pair in grid.windows(2) {
        let [a, b] = [&pair[0], &pair[1]];
        match (holds(a), holds(b)) {
            (false, true) => begin = Some(edge(a, b)),
            (true, false) => {
                let from = begin.take().unwrap_or(a.x);
                regions.push(Interval { from, to: edge(a, b) });
            }
            _ => {}
        }
    }
    if let Some(from) = begin {
        regions.push(Interval { from, to: f64::INFINITY });
    }
    // Points alone are zeros of the slope.
    regions.retain(|one| one.to - one.from > 1e-6 && one.from < near && one.to > -near);
    regions
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
