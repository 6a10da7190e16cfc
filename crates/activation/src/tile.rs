//! Tiles: slices of f32 that lie in the cache, their memory, and operations over them.

use crate::segment::KNOWN;
use crate::simd::arch;
use crate::watch::Watch;
use pulp::{Simd, WithSimd};
use std::cell::Cell;

/// Numbers of a tile: a handful of tiles lie in the first cache.
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

    /// The first number of a slot.
    pub(crate) fn first(&self, slot: usize) -> f32 {
        self.slots[slot].numbers(1)[0]
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

/// Numbers of a part, whose slopes are computed before gradients are multiplied by them: inputs, slopes and gradients lie in
/// the first cache.
pub(crate) const PART: usize = 2 * TILE;

/// Memory for two parts of slopes. (An array would be filled with zeros for each part that is computed.)
pub(crate) struct Pair(Box<Parts>);

/// Numbers that begin with a line of the cache.
#[repr(align(64))]
struct Parts([[f32; PART]; 2]);

thread_local! {
    static PAIR: Cell<Option<Box<Parts>>> = const { Cell::new(None) };
}

impl Pair {
    pub(crate) fn take() -> Self {
        Self(PAIR.take().unwrap_or_else(|| Box::new(Parts([[0.0; PART]; 2]))))
    }

    /// The first numbers of each.
    ///
    /// # Panics
    /// If a part has fewer.
    pub(crate) fn numbers(&mut self, count: usize) -> [&mut [f32]; 2] {
        self.0.0.each_mut().map(|part| &mut part[..count])
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
            let mut watch = Watch::<S, 4>::new(simd);
            let (blocks, single) = registers.as_chunks::<4>();
            for block in blocks {
                for (i, register) in block.iter().enumerate() {
                    watch.look_as(i, *register);
                }
            }
            for register in single {
                watch.look(*register);
            }
            let suspicious = watch.is_alarmed() || rest.iter().any(|number| number.is_nan());
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

impl Tile<'_> {
    /// What comes from this place on.
    #[inline(always)]
    pub(crate) fn from(self, place: usize) -> Self {
        match self {
            Self::Each(numbers) => Self::Each(&numbers[place..]),
            Self::One(number) => Self::One(number),
        }
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
