//! Places of a function: where it turns, where it is zero, where its slope jumps, and where something holds.

use super::features::{Function, Interval, Kink, NEAR, Point, point, step_beside};
use super::singular::{Pole, Singular};
use crate::graph::bisect;

/// Part of the values around a zero that is left of them beside it: more is a pole, or a jump.
const LEFT_AT_ZERO: f64 = 1e-3;

/// Slope beside a flat part from where on the part does not merely begin where the slope is lost in rounding.
const STEEP: f64 = 1e-6;

/// A number that is zero but for the last steps of a bisection.
pub(super) fn tidy(x: f64) -> f64 {
    if x.abs() < 1e-12 { 0.0 } else { x }
}

/// The kinks at `changes` and the jumps of values; poles are none.
pub(super) fn kinks(
    f: Function<'_>,
    changes: &[f64],
    singular: &[Singular],
    poles: &[Pole],
) -> Vec<Kink> {
    let jump = |at: f64, step: f64| f(at + step).0 - f(at - step).0;
    let kink = |at: &f64| {
        let step = step_beside(*at);
        let (below, above) = (point(f, at - step), point(f, at + step));
        let (far, near) = (jump(*at, step), jump(*at, 1e-2 * step));
        // A root is steep, and its values meet; what differs by chance is rounding.
        let is_jump = far.abs() > 1e-6 && (near - far).abs() <= 0.5 * far.abs();
        let infinite = singular.iter().find(|one| is_near(one.at, *at)).map(Singular::slopes);
        let [steep_below, steep_above] = infinite.unwrap_or_default();
        Kink {
            at: *at,
            below: steep_below.unwrap_or(below.slope),
            above: steep_above.unwrap_or(above.slope),
            jump: if is_jump { near } else { 0.0 },
        }
    };
    let jumps = |kink: &Kink| {
        let (difference, steepest) =
            ((kink.below - kink.above).abs(), kink.below.abs().max(kink.above.abs()));
        // The slopes of rounding differ ever less the further away they are.
        let farther = 1e3 * step_beside(kink.at);
        let [below, above] = [-farther, farther].map(|step| f(kink.at + step).1);
        let lasts = (below - above).abs() >= 0.5 * difference;
        difference > 1e-6 * (1.0 + steepest) && lasts
            || difference == f64::INFINITY
            || kink.jump != 0.0
    };
    let is_pole = |at: f64| poles.iter().any(|pole| is_near(pole.at, at));
    changes.iter().filter(|at| !is_pole(**at)).map(kink).filter(jumps).collect()
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * (1.0 + b.abs())
}

/// Sign of a slope; 0 where it is lost in rounding.
pub(super) fn direction(point: &Point) -> i8 {
    let noise = match point.x.abs() <= NEAR {
        true => 1e-13 * (1.0 + point.y.abs()),
        false => 1e-12 * (1.0 + point.x.abs() + point.y.abs()),
    };
    i8::from(point.slope > noise) - i8::from(point.slope < -noise)
}

/// Where the slope changes its sign, also over a flat part.
pub(super) fn turns(f: Function<'_>, grid: &[Point], poles: &[Pole]) -> Vec<f64> {
    let mut turns = Vec::new();
    let moving: Vec<&Point> = grid.iter().filter(|point| direction(point) != 0).collect();
    for pair in moving.windows(2) {
        let before = direction(pair[0]);
        if before != direction(pair[1]) {
            let [at, _] = bisect(pair[0].x, pair[1].x, |x| direction(&point(f, x)) == before);
            turns.push(tidy(at));
        }
    }
    turns.retain(|turn| !poles.iter().any(|pole| is_near(pole.at, *turn)));
    turns
}

/// Isolated zeros. Where the sign changes by a pole or a jump is none.
pub(super) fn zeros(f: Function<'_>, grid: &[Point]) -> Vec<f64> {
    let mut zeros = Vec::new();
    for three in grid.windows(3) {
        // Of a run of zeros none is isolated, and one beside a pole is rounding.
        let is_isolated = [0, 2].iter().all(|i| three[*i].y != 0.0 && !three[*i].y.is_infinite());
        if three[1].y == 0.0 && is_isolated {
            zeros.push(three[1].x);
        }
    }
    for pair in grid.windows(2) {
        let [a, b] = [pair[0], pair[1]];
        // Far away, a sign may be that of rounding.
        let noise = if a.x.abs() <= NEAR { 0.0 } else { 1e-12 * (1.0 + a.x.abs()) };
        if a.y * b.y < 0.0 && a.y.abs().min(b.y.abs()) > noise {
            let ends = bisect(a.x, b.x, |x| f(x).0 * a.y > 0.0);
            let [left, right] = ends.map(|x| f(x).0.abs());
            let around = a.y.abs().max(b.y.abs());
            if around.is_finite() && left.max(right) <= LEFT_AT_ZERO * around {
                zeros.push(tidy(ends[0]));
            }
        }
    }
    zeros.sort_by(f64::total_cmp);
    zeros.dedup_by(|a, b| (*a - *b).abs() < 1e-8);
    zeros
}

/// Where `holds` is true: intervals of the grid, with their ends sought between its points. One that reaches the end of the
/// grid is taken to reach infinity.
pub(super) fn regions(
    f: Function<'_>,
    grid: &[Point],
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
    regions.retain(|one| one.to - one.from > 1e-6);
    regions
}

/// Whether a part with slope 0 is flat, and its slope not merely lost in rounding: it ends at a change of the formula or
/// abruptly, or nowhere.
pub(super) fn is_flat(f: Function<'_>, part: &Interval, changes: &[f64]) -> bool {
    let mut ends = [part.from, part.to].into_iter().filter(|end| end.is_finite()).peekable();
    if ends.peek().is_none() {
        return true;
    }
    ends.any(|end| {
        let step = step_beside(end);
        let steep = [end - step, end + step].iter().any(|x| f(*x).1.abs() > STEEP);
        steep || changes.iter().any(|at| is_near(end, *at))
    })
}

impl Interval {
    /// A number in it.
    pub(super) fn inside(&self) -> f64 {
        match (self.from.is_finite(), self.to.is_finite()) {
            (true, true) => 0.5 * (self.from + self.to),
            (true, false) => self.from + 1.0 + self.from.abs(),
            (false, true) => self.to - 1.0 - self.to.abs(),
            (false, false) => 0.0,
        }
    }
}
