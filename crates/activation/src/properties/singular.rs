//! Where values or slopes grow without bound at a finite input.

use super::features::{Function, Point, point};
use crate::graph::bisect;

/// Distances, in units of 1 + |x|, at which a point is approached.
const DISTANCES: [f64; 3] = [1e-3, 1e-4, 1e-5];

/// Power of the distance with which a figure grows from where on its square has no integral.
const OF_SQUARE: f64 = 0.49;

/// The same of the figure itself.
const OF_FIGURE: f64 = 0.98;

/// Where values grow without bound on at least one side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pole {
    /// The input.
    pub at: f64,
    /// The limit from below; NaN where there is none.
    pub below: f64,
    /// The limit from above; NaN where there is none.
    pub above: f64,
}

/// How a figure grows without bound.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Growth {
    /// ∞ or −∞.
    limit: f64,
    /// As the distance to the power of minus this; 0 for a logarithm.
    power: f64,
}

impl Growth {
    /// That of a figure which is so large at the [`DISTANCES`], if it grows: a bounded one differs ever less.
    fn of([far, near, nearest]: [f64; 3]) -> Option<Self> {
        let (before, last) = (near - far, nearest - near);
        let grows = last.abs() > 1e-2 * (1.0 + near.abs()) && last / before >= 0.8;
        let power = libm::log10(last / before);
        (grows && nearest.is_finite()).then(|| Self { limit: f64::INFINITY.copysign(last), power })
    }
}

/// What happens where a point is approached from one side.
#[derive(Debug, Clone, Copy)]
struct Side {
    value: Option<Growth>,
    slope: Option<Growth>,
}

impl Side {
    fn of(f: Function<'_>, at: f64, side: f64) -> Self {
        let points = DISTANCES.map(|step| point(f, at + side * step * (1.0 + at.abs())));
        let slopes = points.map(|point| point.slope);
        Self { value: Growth::of(points.map(|point| point.y)), slope: Growth::of(slopes) }
    }
}

/// A point where value or slope grows without bound.
#[derive(Debug, Clone, Copy)]
pub(super) struct Singular {
    pub(super) at: f64,
    /// Below and above.
    sides: [Side; 2],
}

impl Singular {
    fn of(f: Function<'_>, at: f64) -> Option<Self> {
        let sides = [-1.0, 1.0].map(|side| Side::of(f, at, side));
        let grows = |side: &Side| side.value.is_some() || side.slope.is_some();
        sides.iter().any(grows).then_some(Self { at, sides })
    }

    /// The limits of the slope below and above, where they are infinite.
    pub(super) fn slopes(&self) -> [Option<f64>; 2] {
        self.sides.map(|side| side.slope.map(|growth| growth.limit))
    }

    /// The pole that it is.
    pub(super) fn pole(&self, f: Function<'_>) -> Option<Pole> {
        let step = 1e-9 * (1.0 + self.at.abs());
        let [below, above] = self.sides.map(|side| side.value.map(|growth| growth.limit));
        let beside = |side: f64| f(self.at + side * step).0;
        (below.or(above).is_some()).then(|| Pole {
            at: self.at,
            below: below.unwrap_or_else(|| beside(-1.0)),
            above: above.unwrap_or_else(|| beside(1.0)),
        })
    }

    /// E[f], E[f²] and E[f′²], where such an expectation does not exist: ∞, or NaN for a mean between both infinities.
    pub(super) fn moments(&self) -> [Option<f64>; 3] {
        let mut moments = [None; 3];
        for Side { value, slope } in self.sides {
            if let Some(value) = value {
                if value.power >= OF_FIGURE {
                    moments[0] = Some(moments[0].unwrap_or(0.0) + value.limit);
                }
                if value.power >= OF_SQUARE {
                    moments[1] = Some(f64::INFINITY);
                }
            }
            if slope.is_some_and(|slope| slope.power >= OF_SQUARE) {
                moments[2] = Some(f64::INFINITY);
            }
        }
        moments
    }
}

/// The singular ones of some points.
pub(super) fn singular(f: Function<'_>, at: impl IntoIterator<Item = f64>) -> Vec<Singular> {
    let mut at: Vec<f64> = at.into_iter().collect();
    at.sort_by(f64::total_cmp);
    at.dedup_by(|a, b| (*a - *b).abs() <= 1e-9 * (1.0 + b.abs()));
    at.into_iter().filter_map(|at| Singular::of(f, at)).collect()
}

/// Points of `grid` and between them that may be singular: where a value begins to be a number, where it is infinite, and
/// where its size has a peak.
pub(super) fn suspects(f: Function<'_>, grid: &[Point]) -> Vec<f64> {
    let mut suspects = Vec::new();
    for pair in grid.windows(2) {
        let [a, b] = [pair[0], pair[1]];
        if a.y.is_nan() != b.y.is_nan() {
            let ends = bisect(a.x, b.x, |x| f(x).0.is_nan() == a.y.is_nan());
            suspects.push(ends[usize::from(a.y.is_nan())]);
        }
    }
    suspects.extend(grid.iter().filter(|point| !point.slope.is_finite()).map(|point| point.x));
    for three in grid.windows(3) {
        let [before, here, behind] = [0, 1, 2].map(|i| three[i].y.abs());
        if here.is_infinite() && (before.is_finite() || behind.is_finite()) {
            suspects.push(three[1].x);
        } else if here > before && here >= behind || here >= before && here > behind {
            suspects.push(peak(three[0].x, three[2].x, |x| f(x).0.abs())[0]);
        }
    }
    suspects
}

/// Where `g` is greatest from `from` to `to`, if it has one maximum there, and its value, by golden sections.
pub(super) fn peak(mut from: f64, mut to: f64, g: impl Fn(f64) -> f64) -> [f64; 2] {
    const SECTION: f64 = 0.618_033_988_749_894_9;
    let mut best = [from, f64::NEG_INFINITY];
    for _ in 0..48 {
        let (a, b) = (to - SECTION * (to - from), from + SECTION * (to - from));
        let (at_a, at_b) = (g(a), g(b));
        for (x, value) in [(a, at_a), (b, at_b)] {
            if value > best[1] {
                best = [x, value];
            }
        }
        if at_a >= at_b {
            to = b;
        } else {
            from = a;
        }
    }
    best
}
