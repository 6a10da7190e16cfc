//! When two figures agree.

/// |a − b| ≤ absolute + relative · |b|.
#[derive(Clone, Copy)]
pub(super) struct Tolerance {
    absolute: f64,
    relative: f64,
}

pub(super) const F32: Tolerance = Tolerance { absolute: 1e-6, relative: 1e-5 };

/// Of derivatives by numbers at a point: what rounding leaves of a small factor is multiplied with powers of inputs.
pub(super) fn of_numbers(point: &[f64]) -> Tolerance {
    let size: f64 = point.iter().map(|x| x.abs()).sum();
    Tolerance { absolute: 1e-6 * (1.0 + size).powi(2), relative: 1e-4 }
}

impl Tolerance {
    /// What is NaN, or infinite, must be so alike.
    pub(super) fn check(
        self,
        what: &str,
        at: &[f64],
        actual: f64,
        expected: f64,
    ) -> Result<(), String> {
        let error = (actual - expected).abs();
        if is_same(actual, expected) || error <= self.absolute + self.relative * expected.abs() {
            return Ok(());
        }
        Err(format!("{what} at {at:?} is {actual}, expected {expected} (error {error:.1e})"))
    }

    /// The same of a slope, where the value `y` is a number: where it is NaN, its slope is anything.
    pub(super) fn check_slope(
        self,
        what: &str,
        at: &[f64],
        actual: f64,
        [y, expected]: [f64; 2],
    ) -> Result<(), String> {
        if y.is_nan() { Ok(()) } else { self.check(what, at, actual, expected) }
    }
}

/// Whether two numbers are equal, or both NaN.
#[expect(clippy::float_cmp, reason = "the very same number is meant")]
pub(super) fn is_same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan()
}

pub(super) fn are_same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(*a, *b))
}
