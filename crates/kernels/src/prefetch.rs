//! What is soon to be computed comes from memory while something else is computed.
//!
//! Processors do this by themselves for a loop that reads one number after the other. A formula that is computed tile by tile
//! stops reading at the end of each tile.

use ::activation::LearnedFormula;

/// Numbers of a tile: those that a formula which is no compiled loop computes at once.
const TILE: usize = LearnedFormula::tile();

/// Numbers of a line of the cache.
const LINE: usize = 16;

/// Calls `f` with each tile of `x` and of `y`.
///
/// # Panics
/// If lengths differ.
pub(crate) fn over_tiles(x: &[f32], y: &mut [f32], f: impl Fn(&[f32], &mut [f32])) {
    let length = x.len();
    assert_eq!(y.len(), length, "slices of one length");
    for from in (0..length).step_by(TILE) {
        let here = from..length.min(from + TILE);
        let next = here.end..length.min(here.end + TILE);
        prefetch(&x[next.clone()]);
        prefetch(&y[next]);
        f(&x[here.clone()], &mut y[here]);
    }
}

/// Asks for numbers that are soon to be read or written; a processor may ignore it.
fn prefetch(numbers: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.chunks(LINE) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing for the program, and faults nowhere.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}
