//! Operations over tiles: slices of f32 that lie in the cache, a SIMD register at a time.
//!
//! Each operation has a loop of its own, for each instruction set: one function for all of them would be so large that
//! the compiler would leave calls inside its loops.

use crate::graph::Unary;
use crate::segment::KNOWN;
use crate::simd::arch;
use crate::{Algebra, Lanes};
use pulp::{Simd, WithSimd};
use std::cell::Cell;

/// Numbers of a tile: a handful of them lie in the first cache.
pub(crate) const TILE: usize = 1024;

/// Numbers of a line of the cache: a register that lies in two of them takes twice as long to load.
const LINE: usize = 16;

/// Memory of a tile that begins with a line of the cache.
#[derive(Default)]
pub(crate) struct Slot {
    memory: Vec<f32>,
    begin: usize,
}

impl Slot {
    fn new(numbers: usize) -> Self {
        let memory = vec![0.0; numbers + LINE];
        let begin = memory.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Self { memory, begin }
    }

    pub(crate) fn numbers(&self, used: usize) -> &[f32] {
        &self.memory[self.begin..self.begin + used]
    }

    pub(crate) fn numbers_mut(&mut self, used: usize) -> &mut [f32] {
        &mut self.memory[self.begin..self.begin + used]
    }
}

/// Memory for slots of a tile each, from one run of a program to the next.
pub(crate) struct Scratch {
    slots: Vec<Slot>,
    /// For a segment.
    pub(crate) known: Slot,
    /// Numbers of each slot that are in use: whole registers.
    pub(crate) used: usize,
}

thread_local! {
    static SLOTS: Cell<Option<(Vec<Slot>, Slot)>> = const { Cell::new(None) };
}

impl Scratch {
    /// Scratch of so many slots, whose numbers are those of an earlier use.
    pub(crate) fn take(count: usize) -> Self {
        let (mut slots, known) = SLOTS.take().unwrap_or_else(|| (Vec::new(), Slot::new(KNOWN)));
        if slots.len() < count {
            slots.resize_with(count, || Slot::new(TILE));
        }
        Self { slots, known, used: 0 }
    }

    pub(crate) fn slot(&self, slot: usize) -> Tile<'_> {
        Tile::Each(self.slots[slot].numbers(self.used))
    }

    /// Writes `values` into a slot, and zeros behind them.
    pub(crate) fn write(&mut self, slot: usize, values: &[f32]) {
        let (numbers, rest) = self.slots[slot].numbers_mut(self.used).split_at_mut(values.len());
        numbers.copy_from_slice(values);
        rest.fill(0.0);
    }

    /// The memory of a slot, to be written while others are read, and to be put back.
    pub(crate) fn take_slot(&mut self, slot: usize) -> Slot {
        std::mem::take(&mut self.slots[slot])
    }

    pub(crate) fn put_slot(&mut self, slot: usize, numbers: Slot) {
        self.slots[slot] = numbers;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Of an operation that panicked, slots are not there.
        if !std::thread::panicking() {
            SLOTS.set(Some((std::mem::take(&mut self.slots), std::mem::take(&mut self.known))));
        }
    }
}

/// Two tiles of numbers of an earlier use. (An array would be filled with zeros for each tile that is computed.)
pub(crate) struct Pair(Box<Tiles>);

/// Tiles that begin with a line of the cache.
#[repr(align(64))]
struct Tiles([[f32; TILE]; 2]);

thread_local! {
    static PAIR: Cell<Option<Box<Tiles>>> = const { Cell::new(None) };
}

impl Pair {
    pub(crate) fn take() -> Self {
        Self(PAIR.take().unwrap_or_else(|| Box::new(Tiles([[0.0; TILE]; 2]))))
    }

    /// The first numbers of each.
    ///
    /// # Panics
    /// If a tile has fewer.
    pub(crate) fn numbers(&mut self, count: usize) -> [&mut [f32]; 2] {
        self.0.0.each_mut().map(|tile| &mut tile[..count])
    }

    /// Hands the memory to the next use.
    pub(crate) fn put(self) {
        PAIR.set(Some(self.0));
    }
}

/// Whether a number is NaN.
pub(crate) fn has_nan(numbers: &[f32]) -> bool {
    struct Look<'a>(&'a [f32]);

    impl WithSimd for Look<'_> {
        type Output = bool;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> bool {
            let (registers, rest) = S::as_simd_f32s(self.0);
            let zero = simd.splat_f32s(0.0);
            // Zero times infinity is NaN too: then each number is looked at.
            let look = |register: S::f32s, sum| simd.mul_add_f32s(register, zero, sum);
            let (blocks, single) = registers.as_chunks::<4>();
            let mut sums = [zero; 4];
            for block in blocks {
                for i in 0..4 {
                    sums[i] = look(block[i], sums[i]);
                }
            }
            sums[0] = single.iter().fold(sums[0], |sum, register| look(*register, sum));
            let sums: &[f32] = bytemuck::cast_slice(&sums);
            let suspicious = sums.iter().chain(rest).any(|number| number.is_nan());
            suspicious && self.0.iter().any(|number| number.is_nan())
        }
    }

    arch().dispatch(Look(numbers))
}

/// An operand: a number for each element, or one for all.
#[derive(Clone, Copy)]
pub(crate) enum Tile<'a> {
    Each(&'a [f32]),
    One(f32),
}

/// A function of registers that is known where its loop is compiled.
trait Function: Copy {
    fn call<S: Simd>(self, x: Lanes<S>) -> Lanes<S>;
}

/// A loop of a function.
struct One<'a, F> {
    f: F,
    factor: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl<F: Function> WithSimd for One<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (x, _) = S::as_simd_f32s(self.x);
        let (y, _) = S::as_mut_simd_f32s(self.y);
        let factor = Lanes::new(simd, simd.splat_f32s(self.factor));
        for (x, y) in x.iter().zip(y) {
            *y = self.f.call(Lanes::new(simd, *x) * factor).into_inner();
        }
    }
}

fn over_one(f: impl Function, factor: f32, x: Tile<'_>, y: &mut [f32]) {
    match x {
        Tile::Each(x) => arch().dispatch(One { f, factor, x, y }),
        // A function of numbers that are the same everywhere: of one register.
        Tile::One(number) => {
            let x = [number; 16];
            let mut value = [0.0; 16];
            arch().dispatch(One { f, factor, x: &x, y: &mut value });
            y.fill(value[0]);
        }
    }
}

macro_rules! unary_functions {
    ($($name:ident $method:ident)*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name;

            impl Function for $name {
                #[inline(always)]
                fn call<S: Simd>(self, x: Lanes<S>) -> Lanes<S> {
                    Algebra::$method(x)
                }
            }
        )*

        /// y = f(factor · x).
        pub(crate) fn unary(f: Unary, factor: f32, x: Tile<'_>, y: &mut [f32]) {
            match f {
                Unary::Neg => over_one(Neg, factor, x, y),
                Unary::Gaussian => over_one(Gaussian, factor, x, y),
                $(Unary::$name => over_one($name, factor, x, y),)*
            }
        }
    };
}

unary_functions! {
    Exp exp ExpM1 exp_m1 Ln ln Ln1p ln_1p Sqrt sqrt Sin sin Cos cos Tanh tanh Atan atan Erf erf Erfc erfc
    Sigmoid sigmoid Softplus softplus Square square Abs abs
}

#[derive(Clone, Copy)]
struct Neg;

impl Function for Neg {
    #[inline(always)]
    fn call<S: Simd>(self, x: Lanes<S>) -> Lanes<S> {
        -x
    }
}

#[derive(Clone, Copy)]
struct Gaussian;

impl Function for Gaussian {
    #[inline(always)]
    fn call<S: Simd>(self, x: Lanes<S>) -> Lanes<S> {
        x.erfc_and_gaussian().1
    }
}

/// gradient · slope, in the place of the gradient.
pub(crate) fn multiply(gradient: &mut [f32], slopes: &[f32]) {
    struct Multiply<'a>(&'a mut [f32], &'a [f32]);

    impl WithSimd for Multiply<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (gradient, rest) = S::as_mut_simd_f32s(self.0);
            let (slopes, slopes_of_rest) = S::as_simd_f32s(self.1);
            for (gradient, slope) in gradient.iter_mut().zip(slopes) {
                *gradient = simd.mul_f32s(*gradient, *slope);
            }
            for (gradient, slope) in rest.iter_mut().zip(slopes_of_rest) {
                *gradient *= slope;
            }
        }
    }

    arch().dispatch(Multiply(gradient, slopes));
}

/// y = gradient · slope.
pub(crate) fn product(y: &mut [f32], gradient: &[f32], slopes: &[f32]) {
    struct Product<'a>(&'a mut [f32], &'a [f32], &'a [f32]);

    impl WithSimd for Product<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (y, rest) = S::as_mut_simd_f32s(self.0);
            let (gradient, gradient_of_rest) = S::as_simd_f32s(self.1);
            let (slopes, slopes_of_rest) = S::as_simd_f32s(self.2);
            for ((y, gradient), slope) in y.iter_mut().zip(gradient).zip(slopes) {
                *y = simd.mul_f32s(*gradient, *slope);
            }
            for ((y, gradient), slope) in rest.iter_mut().zip(gradient_of_rest).zip(slopes_of_rest)
            {
                *y = gradient * slope;
            }
        }
    }

    arch().dispatch(Product(y, gradient, slopes));
}

/// erfc(factor · x) and e^(−(factor · x)²) at once.
pub(crate) fn erfc_and_gaussian(factor: f32, x: Tile<'_>, y: &mut [f32], gaussian: &mut [f32]) {
    struct Both<'a> {
        factor: f32,
        x: &'a [f32],
        y: &'a mut [f32],
        gaussian: &'a mut [f32],
    }

    impl WithSimd for Both<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (x, _) = S::as_simd_f32s(self.x);
            let (y, _) = S::as_mut_simd_f32s(self.y);
            let (gaussian, _) = S::as_mut_simd_f32s(self.gaussian);
            let factor = Lanes::new(simd, simd.splat_f32s(self.factor));
            for ((x, y), gaussian) in x.iter().zip(y).zip(gaussian) {
                let (value, rest) = (Lanes::new(simd, *x) * factor).erfc_and_gaussian();
                (*y, *gaussian) = (value.into_inner(), rest.into_inner());
            }
        }
    }

    match x {
        Tile::Each(x) => arch().dispatch(Both { factor, x, y, gaussian }),
        Tile::One(_) => {
            over_one(Erfc, factor, x, y);
            over_one(Gaussian, factor, x, gaussian);
        }
    }
}
