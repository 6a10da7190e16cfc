//! Which values resamples draw. That depends on the seed and on the numbers of values alone, so intervals of as many
//! values share one table: the arms of a report mostly have as many runs.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Resamples that are looked at together: what they draw from is in the cache for all of them.
pub(super) const AT_A_TIME: usize = 8;

/// Draws of the largest table that is kept; a larger one is drawn again for each interval.
const MOST_KEPT: usize = 1 << 23;

/// Tables that are kept: what a report of arms of equal size needs.
const TABLES: usize = 4;

/// What a table follows from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    seed: u64,
    /// Values in each stratum.
    sizes: Vec<usize>,
    resamples: usize,
}

/// The draws of one table, made when they are first needed.
type Table = Arc<OnceLock<Vec<u32>>>;

/// The tables that were asked for last, the latest at the end.
static KEPT: Mutex<Vec<(Key, Table)>> = Mutex::new(Vec::new());

/// Hands `work` the draws of so many resamples, up to [`AT_A_TIME`] resamples at a time. A resample draws as many
/// indices below each of `sizes` as that, one stratum after the other; there is a value in one of them at least.
///
/// The stream of `seed` begins anew with every call.
pub(super) fn each(seed: u64, sizes: &[usize], resamples: usize, mut work: impl FnMut(&[u32])) {
    let width: usize = sizes.iter().sum();
    if width.saturating_mul(resamples) <= MOST_KEPT {
        let key = Key { seed, sizes: sizes.to_vec(), resamples };
        let table = kept(&key);
        let draw = || {
            let mut table = Vec::with_capacity(width * resamples);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..resamples).for_each(|_| draw(&mut rng, sizes, &mut table));
            table
        };
        // A thread that needs the same table waits for it.
        table.get_or_init(draw).chunks(width * AT_A_TIME).for_each(work);
        return;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut some = Vec::with_capacity(width * AT_A_TIME);
    let mut left = resamples;
    while left > 0 {
        some.clear();
        let now = left.min(AT_A_TIME);
        (0..now).for_each(|_| draw(&mut rng, sizes, &mut some));
        work(&some);
        left -= now;
    }
}

/// The place of the table of `key`, which may be empty still.
fn kept(key: &Key) -> Table {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let found = kept.iter().position(|(known, _)| known == key).map(|place| kept.remove(place));
    let (key, table) = found.unwrap_or_else(|| (key.clone(), Arc::default()));
    if kept.len() >= TABLES {
        kept.remove(0);
    }
    kept.push((key, Arc::clone(&table)));
    table
}

/// The draws of one resample.
fn draw(rng: &mut ChaCha8Rng, sizes: &[usize], draws: &mut Vec<u32>) {
    for size in sizes {
        draws.extend((0..*size).map(|_| below(rng, *size) as u32));
    }
}

/// A uniform index below `n`, by the high half of a 64 × 64 bit product. Indices differ in
/// probability by less than 2⁻⁶⁴, which no number of resamples shows.
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_is_drawn_as_often() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7)] += 1;
        }
        // Standard deviation of a count: √(70 000 · 1/7 · 6/7) ≈ 93.
        assert!(counts.iter().all(|&count| count.abs_diff(10_000) < 5 * 93), "{counts:?}");
    }

    /// Tables that are kept and those that are not hold the same draws, whatever was asked for in between.
    #[test]
    fn draws_are_those_of_the_stream() {
        for (seed, sizes, resamples) in
            [(1, vec![3], 20), (1, vec![3, 2], 9), (2, vec![3], 20), (1, vec![MOST_KEPT / 8], 9)]
        {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut expected = Vec::new();
            (0..resamples).for_each(|_| draw(&mut rng, &sizes, &mut expected));
            for _ in 0..2 {
                let mut drawn = Vec::new();
                each(seed, &sizes, resamples, |some| drawn.extend_from_slice(some));
                assert!(drawn == expected, "{seed} {sizes:?} {resamples}");
            }
        }
        for size in 2..12 {
            each(0, &[size], 5, |some| assert!(some.iter().all(|index| (*index as usize) < size)));
        }
    }
}
