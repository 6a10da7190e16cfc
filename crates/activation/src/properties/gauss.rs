//! Expectations under the standard normal distribution, by Gauss–Legendre quadrature between the places where the
//! integrand is not smooth.

use super::TAIL;
use std::f64::consts::PI;
use std::sync::OnceLock;

/// Points of the rule: exact for polynomials of degree 31.
const POINTS: usize = 16;

/// Width of a panel, before it is halved where that changes the result.
const PANEL: f64 = 0.5;

/// Most times that a panel is halved.
const DEEPEST: u32 = 16;

/// Change of a panel's integral by halving it, relative and absolute, that is too small to continue.
const TOLERANCE: f64 = 1e-13;

/// Nodes and weights on [−1, 1].
fn rule() -> &'static [(f64, f64); POINTS] {
    static RULE: OnceLock<[(f64, f64); POINTS]> = OnceLock::new();
    RULE.get_or_init(|| std::array::from_fn(node))
}

/// The i-th root of the Legendre polynomial, by Newton's method, and its weight.
#[expect(clippy::cast_precision_loss, reason = "few points")]
fn node(i: usize) -> (f64, f64) {
    let n = POINTS as f64;
    let mut x = libm::cos(PI * (i as f64 + 0.75) / (n + 0.5));
    let mut slope = 0.0;
    for _ in 0..20 {
        let (mut before, mut value) = (1.0, x);
        for k in 2..=POINTS {
            let k = k as f64;
            (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
        }
        slope = n * (x * value - before) / (x * x - 1.0);
        x -= value / slope;
    }
    (x, 2.0 / ((1.0 - x * x) * slope * slope))
}

/// Density of the standard normal distribution.
pub(super) fn density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) / (2.0 * PI).sqrt()
}

/// E[g(z)] for z ~ N(0, 1), for each of the numbers that `g` gives. Between `breaks`, in ascending order, `g` is smooth.
/// NaN where `g` gives NaN.
#[must_use]
pub fn expectation<const N: usize>(breaks: &[f64], g: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    let mut total = [0.0; N];
    for [from, to] in panels(breaks) {
        let whole = panel(&g, from, to);
        add(&mut total, &halved(&g, from, to, whole, 0));
    }
    total
}

/// Intervals that make up [−12, 12] and have no break inside.
pub(super) fn panels(breaks: &[f64]) -> Vec<[f64; 2]> {
    let mut ends: Vec<f64> = (-24..=24).map(|i| f64::from(i) * PANEL).collect();
    ends.extend(breaks.iter().filter(|at| at.abs() < TAIL));
    ends.sort_by(f64::total_cmp);
    ends.windows(2).map(|pair| [pair[0], pair[1]]).filter(|[from, to]| from < to).collect()
}

/// Points and weights, the density within, of an interval.
pub(super) fn weighted(from: f64, to: f64) -> impl Iterator<Item = (f64, f64)> {
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    rule().iter().map(move |(x, weight)| {
        let x = middle + half * x;
        (x, half * weight * density(x))
    })
}

fn add<const N: usize>(total: &mut [f64; N], more: &[f64; N]) {
    total.iter_mut().zip(more).for_each(|(total, more)| *total += more);
}

fn panel<const N: usize>(g: &impl Fn(f64) -> [f64; N], from: f64, to: f64) -> [f64; N] {
    let mut total = [0.0; N];
    for (x, weight) in weighted(from, to) {
        add(&mut total, &g(x).map(|value| value * weight));
    }
    total
}

/// Moments above this are told as they are.
const HUGE: f64 = 1e100;

fn halved<const N: usize>(
    g: &impl Fn(f64) -> [f64; N],
    from: f64,
    to: f64,
    whole: [f64; N],
    depth: u32,
) -> [f64; N] {
    let middle = 0.5 * (from + to);
    let (left, right) = (panel(g, from, middle), panel(g, middle, to));
    let mut both = left;
    add(&mut both, &right);
    // What overflows is not found any better by halving; what cancels among huge numbers has no more digits.
    let near = |(a, b): (&f64, &f64)| {
        (a - b).abs() <= TOLERANCE * (1.0 + b.abs()) || !b.is_finite() || b.abs() > HUGE
    };
    if depth == DEEPEST || whole.iter().zip(&both).all(near) {
        return both;
    }
    let mut both = halved(g, from, middle, left, depth + 1);
    add(&mut both, &halved(g, middle, to, right, depth + 1));
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_the_normal_distribution() {
        let moments = expectation(&[], |x| [1.0, x, x * x, x.powi(4), x.powi(10)]);
        for (moment, right) in moments.into_iter().zip([1.0, 0.0, 1.0, 3.0, 945.0]) {
            assert!((moment - right).abs() < 1e-11 * (1.0 + right), "{moment} {right}");
        }
    }

    /// E[|z − c|] = 2 φ(c) + c erf(c/√2), with the kink inside of a panel; a jump without a break is found by halving.
    #[test]
    fn kinks_and_jumps() {
        for c in [0.0, 0.3, -1.7, 3.125] {
            let right = 2.0 * density(c) + c * libm::erf(c / 2.0_f64.sqrt());
            let [known] = expectation(&[c], |x| [(x - c).abs()]);
            assert!((known - right).abs() < 1e-13, "{known} {right}");
            let [sought] = expectation(&[], |x| [(x - c).abs()]);
            assert!((sought - right).abs() < 1e-9, "{sought} {right}");
        }
        let [share] = expectation(&[], |x| [f64::from(u8::from(x > 0.1))]);
        assert!((share - 0.5 * libm::erfc(0.1 / 2.0_f64.sqrt())).abs() < 1e-6);
    }
}
