//! Operations over tiles: slices of f32 that lie in the cache, a SIMD register at a time.
//!
//! Each operation has a loop of its own, for each instruction set: one function for all of them would be so large that
//! the compiler would leave calls inside its loops.

use crate::graph::{Binary, Unary};
use crate::simd::arch;
use crate::{Lanes, Real};
use pulp::{Simd, WithSimd};
use std::cell::Cell;

/// Numbers of a tile: a handful of them lie in the first cache.
pub(crate) const TILE: usize = 512;

/// Numbers of a line of the cache: a register that lies in two of them takes twice as long to load.
const LINE: usize = 16;

/// Memory of a tile that begins with a line of the cache.
#[derive(Default)]
pub(crate) struct Slot {
    memory: Vec<f32>,
    begin: usize,
}

impl Slot {
    fn new() -> Self {
        let memory = vec![0.0; TILE + LINE];
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
pub(crate) struct Room {
    slots: Vec<Slot>,
    /// Numbers of each slot that are in use: whole registers.
    pub(crate) used: usize,
}

thread_local! {
    static SLOTS: Cell<Vec<Slot>> = const { Cell::new(Vec::new()) };
}

impl Room {
    /// Room of so many slots, whose numbers are those of an earlier use.
    pub(crate) fn take(count: usize) -> Self {
        let mut slots = SLOTS.take();
        if slots.len() < count {
            slots.resize_with(count, Slot::new);
        }
        Self { slots, used: 0 }
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

impl Drop for Room {
    fn drop(&mut self) {
        // A slot whose operation panicked is not there.
        self.slots.retain(|slot| !slot.memory.is_empty());
        SLOTS.set(std::mem::take(&mut self.slots));
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
            let mut sums = [zero; 4];
            for registers in registers.chunks(4) {
                for (sum, register) in sums.iter_mut().zip(registers) {
                    *sum = simd.mul_add_e_f32s(*register, zero, *sum);
                }
            }
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
trait Function<const N: usize>: Copy {
    fn call<S: Simd>(self, operands: [Lanes<S>; N]) -> Lanes<S>;
}

/// A loop of a function of one operand.
struct One<'a, F> {
    f: F,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl<F: Function<1>> WithSimd for One<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (x, _) = S::as_simd_f32s(self.x);
        let (y, _) = S::as_mut_simd_f32s(self.y);
        for (x, y) in x.iter().zip(y) {
            *y = self.f.call([Lanes::new(simd, *x)]).into_inner();
        }
    }
}

/// A loop of a function of two operands.
struct Two<'a, F> {
    f: F,
    a: Tile<'a>,
    b: Tile<'a>,
    y: &'a mut [f32],
}

impl<F: Function<2>> WithSimd for Two<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, a, b, y } = self;
        let (y, _) = S::as_mut_simd_f32s(y);
        let splat = |number: f32| Lanes::new(simd, simd.splat_f32s(number));
        match (a, b) {
            (Tile::Each(a), Tile::Each(b)) => {
                let ((a, _), (b, _)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
                for ((a, b), y) in a.iter().zip(b).zip(y) {
                    *y = f.call([Lanes::new(simd, *a), Lanes::new(simd, *b)]).into_inner();
                }
            }
            (Tile::Each(a), Tile::One(b)) => {
                let ((a, _), b) = (S::as_simd_f32s(a), splat(b));
                for (a, y) in a.iter().zip(y) {
                    *y = f.call([Lanes::new(simd, *a), b]).into_inner();
                }
            }
            (Tile::One(a), Tile::Each(b)) => {
                let (a, (b, _)) = (splat(a), S::as_simd_f32s(b));
                for (b, y) in b.iter().zip(y) {
                    *y = f.call([a, Lanes::new(simd, *b)]).into_inner();
                }
            }
            (Tile::One(a), Tile::One(b)) => y.fill(f.call([splat(a), splat(b)]).into_inner()),
        }
    }
}

/// A loop of a function of three operands.
struct Three<'a, F> {
    f: F,
    operands: [Tile<'a>; 3],
    y: &'a mut [f32],
}

impl<F: Function<3>> WithSimd for Three<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { f, operands, y } = self;
        let (y, _) = S::as_mut_simd_f32s(y);
        // An operand that is the same for all is read at the same place, by a stride of 0.
        let ones = operands.map(|operand| match operand {
            Tile::One(number) => simd.splat_f32s(number),
            Tile::Each(_) => simd.splat_f32s(0.0),
        });
        let mut registers = [&ones[..1]; 3];
        let mut strides = [0; 3];
        for (place, operand) in operands.into_iter().enumerate() {
            registers[place] = std::slice::from_ref(&ones[place]);
            if let Tile::Each(numbers) = operand {
                registers[place] = S::as_simd_f32s(numbers).0;
                strides[place] = 1;
            }
        }
        let ([a, b, c], [i, j, k]) = (registers, strides);
        for (at, y) in y.iter_mut().enumerate() {
            let (a, b) = (Lanes::new(simd, a[at * i]), Lanes::new(simd, b[at * j]));
            *y = f.call([a, b, Lanes::new(simd, c[at * k])]).into_inner();
        }
    }
}

fn over_one(f: impl Function<1>, x: Tile<'_>, y: &mut [f32]) {
    match x {
        Tile::Each(x) => arch().dispatch(One { f, x, y }),
        // A function of numbers that are the same everywhere: of one register.
        Tile::One(number) => {
            let x = [number; 16];
            let mut value = [0.0; 16];
            arch().dispatch(One { f, x: &x, y: &mut value });
            y.fill(value[0]);
        }
    }
}

macro_rules! unary_functions {
    ($($name:ident $method:ident)*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name;

            impl Function<1> for $name {
                #[inline(always)]
                fn call<S: Simd>(self, [x]: [Lanes<S>; 1]) -> Lanes<S> {
                    Real::$method(x)
                }
            }
        )*

        /// y = f(x).
        pub(crate) fn unary(f: Unary, x: Tile<'_>, y: &mut [f32]) {
            match f {
                Unary::Neg => over_one(Neg, x, y),
                Unary::Gaussian => over_one(Gaussian, x, y),
                $(Unary::$name => over_one($name, x, y),)*
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

impl Function<1> for Neg {
    #[inline(always)]
    fn call<S: Simd>(self, [x]: [Lanes<S>; 1]) -> Lanes<S> {
        -x
    }
}

#[derive(Clone, Copy)]
struct Gaussian;

impl Function<1> for Gaussian {
    #[inline(always)]
    fn call<S: Simd>(self, [x]: [Lanes<S>; 1]) -> Lanes<S> {
        x.erfc_and_gaussian().1
    }
}

macro_rules! with_a_number {
    ($(#[$doc:meta] $function:ident $name:ident |$x:ident, $number:ident| $call:expr;)*) => {$(
        #[derive(Clone, Copy)]
        struct $name(f64);

        impl Function<1> for $name {
            #[inline(always)]
            fn call<S: Simd>(self, [$x]: [Lanes<S>; 1]) -> Lanes<S> {
                let $number = self.0;
                $call
            }
        }

        #[$doc]
        pub(crate) fn $function(x: Tile<'_>, number: f64, y: &mut [f32]) {
            over_one($name(number), x, y);
        }
    )*};
}

with_a_number! {
    /// y = x / number.
    divide_by DivideBy |x, number| x / number;
    /// The larger of x and the number.
    larger Larger |x, number| Real::max(x, number);
    /// The smaller of x and the number.
    smaller Smaller |x, number| Real::min(x, number);
}

macro_rules! binary_functions {
    ($($name:ident $sign:tt)*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name;

            impl Function<2> for $name {
                #[inline(always)]
                fn call<S: Simd>(self, [a, b]: [Lanes<S>; 2]) -> Lanes<S> {
                    a $sign b
                }
            }
        )*

        /// y = a ∘ b.
        pub(crate) fn binary(op: Binary, a: Tile<'_>, b: Tile<'_>, y: &mut [f32]) {
            match op {
                $(Binary::$name => arch().dispatch(Two { f: $name, a, b, y }),)*
            }
        }
    };
}

binary_functions! { Add + Sub - Mul * Div / }

#[derive(Clone, Copy)]
struct MulAdd;

impl Function<3> for MulAdd {
    #[inline(always)]
    fn call<S: Simd>(self, [a, b, c]: [Lanes<S>; 3]) -> Lanes<S> {
        a.mul_add(b, c)
    }
}

/// y = a · b + c.
pub(crate) fn mul_add(operands: [Tile<'_>; 3], y: &mut [f32]) {
    arch().dispatch(Three { f: MulAdd, operands, y });
}

#[derive(Clone, Copy)]
struct Select(f64);

impl Function<3> for Select {
    #[inline(always)]
    fn call<S: Simd>(self, [x, at_most, above]: [Lanes<S>; 3]) -> Lanes<S> {
        x.select(self.0, at_most, above)
    }
}

/// The second operand where the first is at most `threshold`, the third elsewhere.
pub(crate) fn select(operands: [Tile<'_>; 3], threshold: f64, y: &mut [f32]) {
    arch().dispatch(Three { f: Select(threshold), operands, y });
}

/// erfc(x) and e^(−x²) at once.
pub(crate) fn erfc_and_gaussian(x: Tile<'_>, y: &mut [f32], gaussian: &mut [f32]) {
    struct Both<'a> {
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
            for ((x, y), gaussian) in x.iter().zip(y).zip(gaussian) {
                let (value, rest) = Lanes::new(simd, *x).erfc_and_gaussian();
                (*y, *gaussian) = (value.into_inner(), rest.into_inner());
            }
        }
    }

    match x {
        Tile::Each(x) => arch().dispatch(Both { x, y, gaussian }),
        Tile::One(_) => {
            over_one(Erfc, x, y);
            over_one(Gaussian, x, gaussian);
        }
    }
}
