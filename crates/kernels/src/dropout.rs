//! Dropout whose mask is drawn where it is used, and again in the backward pass: it is never stored.

use crate::device;
use crate::host::{Host, Operation, Values, record};
use crate::philox::philox;
use crate::sequences::Sequences;
use ::activation::arch;
use burn::Tensor;
use pulp::{Simd, WithSimd};

/// Which numbers are dropped (Srivastava et al. 2014).
///
/// Whether a number is dropped depends on this, on its sequence, on its position there, and on its column (and its head,
/// in attention): neither on other sequences nor on threads, registers or the device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Of the run.
    pub key: u64,
    /// Number of the draw: each use has its own.
    pub draw: u64,
    /// The probability that a number is dropped, from 0 to below 1; the others are scaled by 1/(1 − p).
    pub p: f64,
    /// The first sequence's place in the batch, of which a replica has a part.
    pub first: usize,
}

/// Counters that one block of numbers takes, each of which gives four.
pub(crate) const LANES: usize = 16;

/// Numbers of a row that are drawn together: number `LANES` · i + j is the i-th of counter j.
pub(crate) const BLOCK: usize = 4 * LANES;

/// Counters of the rows of one head.
pub(crate) const HEAD: usize = 1 << 16;

/// Numbers that one task takes on.
const TASK: usize = 1 << 14;

/// Consecutive rows of one sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) sequence: usize,
    /// Position of the first row.
    pub(crate) token: usize,
    pub(crate) head: usize,
}

impl Dropout {
    /// Drops numbers of the rows of `width` from `place` on.
    pub(crate) fn apply(self, place: Place, width: usize, numbers: &mut [f32]) {
        assert!((0.0..1.0).contains(&self.p), "a probability below 1");
        assert!(place.head == 0 || width <= 4 * HEAD, "rows of a head have counters of their own");
        if width > 0 && self.p > 0.0 {
            arch().dispatch(Rows { dropout: self, place, width, numbers });
        }
    }

    /// What rows of all sequences, `[rows, width]`, are multiplied with.
    pub(crate) fn mask(self, sequences: &Sequences, width: usize) -> Vec<f32> {
        let mut mask = vec![1.0; sequences.rows() * width];
        self.apply_rows(sequences, 0, width, &mut mask);
        mask
    }

    /// Drops numbers of rows of `width` from row `first` on.
    fn apply_rows(self, sequences: &Sequences, first: usize, width: usize, numbers: &mut [f32]) {
        let mut rest = numbers;
        for (sequence, token, rows) in sequences.runs(first, rest.len() / width.max(1)) {
            let (run, behind) = rest.split_at_mut(rows * width);
            self.apply(Place { sequence, token, head: 0 }, width, run);
            rest = behind;
        }
    }
}

/// `x` `[…, width]`, with numbers dropped; its rows are the tokens of `sequences`.
///
/// # Panics
/// If there are not as many rows as tokens, or the probability is not from 0 to below 1.
#[must_use]
pub fn dropout<const D: usize>(x: Tensor<D>, sequences: &Sequences, dropout: Dropout) -> Tensor<D> {
    let shape = x.dims();
    let rows: usize = shape[..D - 1].iter().product();
    assert_eq!(rows, sequences.rows(), "a row for each token");
    assert!((0.0..1.0).contains(&dropout.p), "a probability below 1");
    let Some(host) = Host::of(&x) else {
        let rows = device::dropout::Rows::Packed(sequences.clone());
        return device::dropout::dropout(x, device::dropout::Dropped { rows, dropout });
    };
    let dropped = Dropped { sequences: sequences.clone(), dropout };
    let y = dropped.apply(host.values());
    record([host], y, || dropped).into_tensor()
}

#[derive(Debug, Clone)]
struct Dropped {
    sequences: Sequences,
    dropout: Dropout,
}

impl Dropped {
    fn apply(&self, values: Values) -> Values {
        let width = values.shape().last().copied().unwrap_or(0);
        let rows = (TASK / width.max(1)).max(1);
        values.change(rows * width, |task, numbers| {
            self.dropout.apply_rows(&self.sequences, task * rows, width, numbers);
        })
    }
}

impl Operation<1> for Dropped {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        [Some(self.apply(gradient))]
    }
}

/// Rows from a place on.
struct Rows<'a> {
    dropout: Dropout,
    place: Place,
    width: usize,
    numbers: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are words; p is in [0, 1)"
    )]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dropout: Dropout { key, draw, p, first }, place, width, numbers } = self;
        let mut block = Block::<S> {
            key: [key as u32, (key >> 32) as u32 ^ (draw >> 32) as u32],
            threshold: simd.splat_u32s((p * (f64::from(u32::MAX) + 1.0)) as u32),
            kept: simd.splat_f32s((1.0 / (1.0 - p)) as f32),
            token: simd.splat_u32s(0),
            sequence: simd.splat_u32s((first + place.sequence) as u32),
            draw: simd.splat_u32s(draw as u32),
        };
        let first_of_head = (place.head * HEAD) as u32;
        for (i, row) in numbers.chunks_exact_mut(width).enumerate() {
            block.token = simd.splat_u32s((place.token + i) as u32);
            let mut counter = first_of_head;
            let mut blocks = row.chunks_exact_mut(BLOCK);
            for numbers in &mut blocks {
                block.apply(simd, counter, numbers);
                counter = counter.wrapping_add(LANES as u32);
            }
            let rest = blocks.into_remainder();
            if !rest.is_empty() {
                let mut whole = [0.0; BLOCK];
                whole[..rest.len()].copy_from_slice(rest);
                block.apply(simd, counter, &mut whole);
                rest.copy_from_slice(&whole[..rest.len()]);
            }
        }
    }
}

/// What the blocks of a row have in common.
struct Block<S: Simd> {
    key: [u32; 2],
    threshold: S::u32s,
    kept: S::f32s,
    token: S::u32s,
    sequence: S::u32s,
    draw: S::u32s,
}

/// Counters of a block, from its first on.
const COUNTERS: [u32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

impl<S: Simd> Block<S> {
    /// Drops `numbers` of a block, whose counters begin with `first`. (A closure would not be compiled for the registers.)
    #[inline(always)]
    fn apply(&self, simd: S, first: u32, numbers: &mut [f32]) {
        let (counters, _) = S::as_simd_u32s(&COUNTERS);
        let (first, dropped) = (simd.splat_u32s(first), simd.splat_f32s(0.0));
        for (j, counter) in counters.iter().enumerate() {
            let counter = [simd.add_u32s(*counter, first), self.token, self.sequence, self.draw];
            let drawn = philox(simd, counter, self.key);
            for (drawn, numbers) in drawn.iter().zip(numbers.chunks_exact_mut(LANES)) {
                let (numbers, _) = S::as_mut_simd_f32s(numbers);
                let drops = simd.less_than_u32s(*drawn, self.threshold);
                let factor = simd.select_f32s(drops, dropped, self.kept);
                numbers[j] = simd.mul_f32s(numbers[j], factor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROPOUT: Dropout = Dropout { key: 0x299f_31d0_a409_3822, draw: 0, p: 0.25, first: 0 };

    fn row(dropout: Dropout, place: Place, width: usize) -> Vec<f32> {
        let mut numbers = vec![1.0; width];
        dropout.apply(place, width, &mut numbers);
        numbers
    }

    /// A number is dropped where the word of its counter is below p · 2^32.
    #[test]
    fn masks_are_those_of_the_generator() {
        struct One([u32; 4], [u32; 2]);

        impl WithSimd for One {
            type Output = [u32; 4];

            fn with_simd<S: Simd>(self, simd: S) -> [u32; 4] {
                let drawn = philox(simd, self.0.map(|word| simd.splat_u32s(word)), self.1);
                drawn.map(|lanes| bytemuck::cast_slice::<_, u32>(&[lanes])[0])
            }
        }

        let dropout = Dropout { draw: (7 << 32) + 5, ..DROPOUT };
        let key = [0xa409_3822, 0x299f_31d0 ^ 7];
        for head in [0, 3] {
            let numbers = row(dropout, Place { sequence: 9, token: 4, head }, 150);
            for (column, number) in numbers.into_iter().enumerate() {
                let (block, within) = (column / 64, column % 64);
                let counter = (head * 65_536 + block * 16 + within % 16) as u32;
                let words = arch().dispatch(One([counter, 4, 9, 5], key));
                let expected = if words[within / 16] < 1 << 30 { 0.0 } else { 4.0 / 3.0 };
                assert_eq!(number, expected, "column {column} of head {head}");
            }
        }
    }

    #[test]
    fn as_many_are_dropped_as_asked() {
        for p in [0.0, 0.1, 0.5, 0.9] {
            let mut numbers = vec![1.0; 400_000];
            let place = Place { sequence: 0, token: 0, head: 0 };
            Dropout { p, ..DROPOUT }.apply(place, 400, &mut numbers);
            let dropped = numbers.iter().filter(|x| **x == 0.0).count() as f64 / 4e5;
            // Five standard deviations.
            assert!((dropped - p).abs() <= 5.0 * (p * (1.0 - p) / 4e5).sqrt(), "{p}: {dropped}");
            let kept = (1.0 / (1.0 - p)) as f32;
            assert!(numbers.iter().all(|x| *x == 0.0 || *x == kept));
        }
    }

    #[test]
    fn each_place_and_each_draw_has_its_own_mask() {
        let place = Place { sequence: 1, token: 2, head: 0 };
        let first = row(DROPOUT, place, 64);
        let others = [
            row(DROPOUT, Place { sequence: 2, token: 1, head: 0 }, 64),
            row(DROPOUT, Place { token: 3, ..place }, 64),
            row(DROPOUT, Place { head: 1, ..place }, 64),
            row(Dropout { draw: 1, ..DROPOUT }, place, 64),
            row(Dropout { draw: 1 << 32, ..DROPOUT }, place, 64),
            row(Dropout { key: 1, ..DROPOUT }, place, 64),
        ];
        assert!(others.iter().all(|other| *other != first));
        // The rest of a longer row does not change its beginning.
        for width in [1, 15, 16, 25, 63, 64, 65, 200] {
            let longer = row(DROPOUT, place, width);
            let shared = width.min(64);
            assert_eq!(longer[..shared], first[..shared]);
        }
    }

    /// A part of a batch has the mask that it has in the whole.
    #[test]
    fn a_part_has_the_mask_of_the_whole() {
        let width = 70;
        let lengths = [3, 1, 5, 2];
        let whole = DROPOUT.mask(&Sequences::new(lengths), width);
        let part = Dropout { first: 2, ..DROPOUT }.mask(&Sequences::new([5, 2]), width);
        assert_eq!(part, whole[4 * width..]);
    }

    /// Rows of real tokens have the mask that they have between rows of padding.
    #[test]
    fn padding_changes_no_mask() {
        let width = 70;
        let lengths = [3, 1, 5];
        let packed = DROPOUT.mask(&Sequences::new(lengths), width);
        let padded = DROPOUT.mask(&Sequences::new([6; 3]), width);
        let real = lengths.iter().enumerate().flat_map(|(i, length)| {
            padded[i * 6 * width..(i * 6 + length) * width].iter().copied()
        });
        assert!(real.eq(packed));
    }
}
