//! Functions over registers.
//!
//! Each has a loop of its own, for each instruction set, which is called: one loop for all of them would be so large that
//! the compiler would leave calls inside it.

use crate::graph::Unary;
use crate::{Algebra, Lanes};
use pulp::{Simd, WithSimd};
use std::marker::PhantomData;

/// A function that is known where its loop is compiled.
trait Function {
    fn call<S: Simd>(x: Lanes<S>) -> Lanes<S>;
}

/// x = f(factor · x), for whole registers.
struct Over<'a, F> {
    factor: f32,
    x: &'a mut [f32],
    f: PhantomData<F>,
}

impl<F: Function> WithSimd for Over<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let factor = Lanes::new(simd, simd.splat_f32s(self.factor));
        for x in S::as_mut_simd_f32s(self.x).0 {
            *x = F::call(Lanes::new(simd, *x) * factor).into_inner();
        }
    }
}

#[inline(never)]
fn over<S: Simd, F: Function>(simd: S, factor: f32, x: &mut [f32]) {
    simd.vectorize(Over { factor, x, f: PhantomData::<F> });
}

macro_rules! functions {
    ($($name:ident |$x:ident| $value:expr;)*) => {
        $(
            struct $name;

            impl Function for $name {
                #[inline(always)]
                fn call<S: Simd>($x: Lanes<S>) -> Lanes<S> {
                    $value
                }
            }
        )*

        /// r = f(factor · r) for each register.
        ///
        /// # Panics
        /// If `f` is arithmetic, which is a step by itself.
        #[inline(always)]
        pub(crate) fn apply<S: Simd>(f: Unary, simd: S, factor: f32, registers: &mut [S::f32s]) {
            // A pointer: the compiler then leaves the loop where it is.
            let loop_of_f = match f {
                $(Unary::$name => over::<S, $name>,)*
                Unary::Neg | Unary::Square | Unary::Abs => unreachable!("steps of arithmetic"),
            };
            loop_of_f(simd, factor, bytemuck::cast_slice_mut(registers));
        }
    };
}

functions! {
    Exp |x| Algebra::exp(x);
    ExpM1 |x| Algebra::exp_m1(x);
    Ln |x| Algebra::ln(x);
    Ln1p |x| Algebra::ln_1p(x);
    Sqrt |x| Algebra::sqrt(x);
    Sin |x| Algebra::sin(x);
    Cos |x| Algebra::cos(x);
    Tanh |x| Algebra::tanh(x);
    Atan |x| Algebra::atan(x);
    Erf |x| Algebra::erf(x);
    Erfc |x| Algebra::erfc(x);
    Gaussian |x| x.erfc_and_gaussian().1;
    Sigmoid |x| Algebra::sigmoid(x);
    Softplus |x| Algebra::softplus(x);
}

/// x = erfc(factor · x), and e^(−(factor · x)²).
struct Both<'a> {
    factor: f32,
    x: &'a mut [f32],
    gaussian: &'a mut [f32],
}

impl WithSimd for Both<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let factor = Lanes::new(simd, simd.splat_f32s(self.factor));
        let x = S::as_mut_simd_f32s(self.x).0;
        for (x, gaussian) in x.iter_mut().zip(S::as_mut_simd_f32s(self.gaussian).0) {
            let (erfc, rest) = (Lanes::new(simd, *x) * factor).erfc_and_gaussian();
            (*x, *gaussian) = (erfc.into_inner(), rest.into_inner());
        }
    }
}

/// r = erfc(factor · r), and e^(−(factor · r)²), for each register.
#[inline(never)]
pub(crate) fn erfc_and_gaussian<S: Simd>(
    simd: S,
    factor: f32,
    registers: &mut [S::f32s],
    gaussian: &mut [S::f32s],
) {
    let (x, gaussian) = (bytemuck::cast_slice_mut(registers), bytemuck::cast_slice_mut(gaussian));
    simd.vectorize(Both { factor, x, gaussian });
}
