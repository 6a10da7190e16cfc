//! Functions of registers against those of the platform, and every width against the others.

use super::Lanes;
use crate::Algebra;
use pulp::{Arch, Simd, WithSimd};

/// A function of lanes, and its reference.
trait Function: Copy {
    fn lanes<S: Simd>(self, x: Lanes<S>) -> Lanes<S>;
    fn reference(self, x: f64) -> f64;
}

struct Over<F> {
    f: F,
    x: f32,
}

impl<F: Function> WithSimd for Over<F> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let y = self.f.lanes(Lanes::new(simd, simd.splat_f32s(self.x))).into_inner();
        let numbers: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&y));
        assert!(numbers.iter().all(|y| y.to_bits() == numbers[0].to_bits()));
        numbers[0]
    }
}

macro_rules! functions {
    ($($name:ident;)*) => {$(
        #[derive(Clone, Copy)]
        #[allow(non_camel_case_types)]
        struct $name;

        impl Function for $name {
            #[inline(always)]
            fn lanes<S: Simd>(self, x: Lanes<S>) -> Lanes<S> {
                Algebra::$name(x)
            }

            fn reference(self, x: f64) -> f64 {
                Algebra::$name(x)
            }
        }
    )*};
}

functions! { exp; exp_m1; ln; ln_1p; tanh; erf; erfc; sigmoid; softplus; sin; cos; atan; sqrt; }

/// The largest error over f32 numbers from `low` to `high`, in units in the last place of the
/// true value.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
fn worst(f: impl Function, low: f32, high: f32) -> (f64, f32) {
    let mut worst = (0.0, low);
    let steps = 200_000;
    for i in 0..=steps {
        // Evenly over the numbers themselves where both have one sign and are far apart, evenly
        // over the line elsewhere.
        let t = i as f32 / steps as f32;
        let x = if low > 0.0 && high / low > 1e3 {
            {
                let (from, to) = (libm::logf(low), libm::logf(high));
                libm::expf(from + t * (to - from)).clamp(low, high)
            }
        } else {
            low + t * (high - low)
        };
        let expected = f.reference(f64::from(x));
        let rounded = expected as f32;
        if !rounded.is_finite() || rounded.abs() < 2.0_f32.powi(-125) {
            continue;
        }
        let unit = f64::from(rounded.abs().next_up() - rounded.abs());
        let y = Arch::new().dispatch(Over { f, x });
        let scalar = pulp::Scalar::new().vectorize(Over { f, x });
        assert_eq!(y.to_bits(), scalar.to_bits(), "one number at a time at {x}");
        let error = (f64::from(y) - expected).abs() / unit;
        if error.is_nan() || error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

#[test]
fn errors_are_within_the_stated_bound() {
    let bound = |name: &str, (error, x): (f64, f32)| {
        assert!(error <= 4.0, "{name}({x}): {error} units in the last place");
    };
    bound("exp", worst(exp, -87.0, 88.7));
    bound("exp", worst(exp, -1.0, 1.0));
    bound("exp_m1", worst(exp_m1, -20.0, 88.0));
    bound("exp_m1", worst(exp_m1, -1.0, 1.0));
    bound("exp_m1", worst(exp_m1, 1e-30, 1.0));
    bound("ln", worst(ln, 1e-42, 1e38));
    bound("ln", worst(ln, 0.5, 2.0));
    bound("ln_1p", worst(ln_1p, 1e-30, 1e30));
    bound("ln_1p", worst(ln_1p, -0.99, 1.0));
    bound("tanh", worst(tanh, -12.0, 12.0));
    bound("tanh", worst(tanh, 1e-30, 1.0));
    bound("erf", worst(erf, -5.0, 5.0));
    bound("erf", worst(erf, 1e-30, 1.0));
    for (low, high) in [(-5.0_f32, 0.0), (0.0, 1.0), (1.0, 2.0), (2.0, 4.0), (4.0, 6.0), (6.0, 9.4)]
    {
        let (error, x) = worst(erfc, low, high);
        assert!(error <= 8.0, "erfc({x}): {error} units in the last place");
    }
    bound("sigmoid", worst(sigmoid, -87.0, 100.0));
    bound("softplus", worst(softplus, -86.0, 100.0));
    bound("sin", worst(sin, -1e4, 1e4));
    bound("cos", worst(cos, -1e4, 1e4));
    bound("atan", worst(atan, -1e4, 1e4));
    bound("sqrt", worst(sqrt, 1e-30, 1e30));
}

#[test]
fn edges() {
    let at = |f: fn(f32) -> f32, x: f32| f(x);
    macro_rules! value {
        ($f:ident) => {
            |x| {
                let wide = Arch::new().dispatch(Over { f: $f, x });
                let scalar = pulp::Scalar::new().vectorize(Over { f: $f, x });
                let same = wide.to_bits() == scalar.to_bits();
                assert!(same || wide.is_nan() && scalar.is_nan(), "{wide} {scalar}");
                wide
            }
        };
    }
    let (infinity, lowest) = (f32::INFINITY, f32::NEG_INFINITY);
    for (f, x, expected) in [
        (value!(exp) as fn(f32) -> f32, infinity, infinity),
        (value!(exp), lowest, 0.0),
        (value!(exp), 88.73, infinity),
        (value!(exp), f32::MAX, infinity),
        (value!(exp), -87.5, 0.0),
        (value!(exp), f32::MIN, 0.0),
        (value!(exp), 0.0, 1.0),
        (value!(exp_m1), lowest, -1.0),
        (value!(exp_m1), infinity, infinity),
        (value!(exp_m1), f32::MAX, infinity),
        (value!(exp_m1), f32::MIN, -1.0),
        (value!(ln), 0.0, lowest),
        (value!(ln), infinity, infinity),
        (value!(ln), 1.0, 0.0),
        (value!(ln_1p), -1.0, lowest),
        (value!(ln_1p), infinity, infinity),
        (value!(tanh), infinity, 1.0),
        (value!(tanh), lowest, -1.0),
        (value!(tanh), f32::MAX, 1.0),
        (value!(erf), infinity, 1.0),
        (value!(erf), lowest, -1.0),
        (value!(erf), 1e5, 1.0),
        (value!(erf), f32::MIN, -1.0),
        (value!(erfc), infinity, 0.0),
        (value!(erfc), lowest, 2.0),
        (value!(erfc), f32::MAX, 0.0),
        (value!(erfc), f32::MIN, 2.0),
        (value!(erfc), 9.5, 0.0),
        (value!(erfc), 0.0, 1.0),
        (value!(erfc), -0.0, 1.0),
        (value!(sigmoid), infinity, 1.0),
        (value!(sigmoid), lowest, 0.0),
        (value!(atan), infinity, std::f32::consts::FRAC_PI_2),
        (value!(softplus), infinity, infinity),
        (value!(softplus), lowest, 0.0),
    ] {
        assert_eq!(at(f, x), expected, "at {x}");
    }
    for f in [
        value!(exp) as fn(f32) -> f32,
        value!(exp_m1),
        value!(ln),
        value!(ln_1p),
        value!(tanh),
        value!(erf),
        value!(erfc),
        value!(sigmoid),
        value!(softplus),
        value!(sin),
        value!(cos),
        value!(sqrt),
    ] {
        assert!(at(f, f32::NAN).is_nan());
    }
    assert!(at(value!(ln), -1.0).is_nan());
    assert!(at(value!(ln_1p), -2.0).is_nan());
}
