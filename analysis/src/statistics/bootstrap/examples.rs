//! The bootstrap over seeds and test examples.

use super::{Bootstrap, Interval, draws, middle};

/// Examples whose figures lie together, so that those of all seeds stay in the cache for several resamples.
const BLOCK: usize = 64;

impl Bootstrap {
    /// The multi-bootstrap (Sellam et al. 2022): interval of a mean over seeds and test examples, where both
    /// are drawn with replacement. `figures[seed][example]` is what a run scored on an example, or the
    /// difference of two runs under that seed: whole numbers, of which every sum is exact.
    ///
    /// There is none for fewer than two seeds or examples, or where seeds differ in their examples.
    #[must_use]
    pub fn seeds_and_examples(&self, figures: &[Vec<i8>]) -> Option<Interval> {
        let (seeds, examples) = (figures.len(), figures.first()?.len());
        let whole = figures.iter().all(|seed| seed.len() == examples);
        if seeds < 2 || examples < 2 || !whole || self.resamples == 0 {
            return None;
        }
        let blocks = blocks(figures);
        // So many figures can be added without an overflow.
        let largest = figures.iter().flatten().map(|figure| figure.unsigned_abs()).max();
        let most = (i8::MAX.unsigned_abs() / largest.unwrap_or(1).max(1)).max(1);
        let resamples = self.resamples_of(seeds);
        let mut means = Vec::with_capacity(resamples);
        draws::each(self.seed, &[seeds, examples], resamples, |some| {
            let resamples: Vec<(&[u32], Vec<[i32; BLOCK]>)> = some
                .chunks_exact(seeds + examples)
                .map(|draws| {
                    let (seeds, examples) = draws.split_at(seeds);
                    (seeds, times(examples, blocks.len()))
                })
                .collect();
            let mut sums = vec![0_i64; resamples.len()];
            for (place, block) in blocks.iter().enumerate() {
                for (sum, (seeds, times)) in sums.iter_mut().zip(&resamples) {
                    *sum += weighted(&over_seeds(block, seeds, usize::from(most)), &times[place]);
                }
            }
            means.extend(sums.iter().map(|sum| *sum as f64 / (seeds * examples) as f64));
        });
        Some(middle(&mut means))
    }
}

impl Bootstrap {
    /// [`Bootstrap::seeds_and_examples`] of figures that are no small whole numbers.
    #[must_use]
    pub fn seeds_and_losses(&self, figures: &[Vec<f32>]) -> Option<Interval> {
        let (seeds, examples) = (figures.len(), figures.first()?.len());
        let whole = figures.iter().all(|seed| seed.len() == examples);
        if seeds < 2 || examples < 2 || !whole || self.resamples == 0 {
            return None;
        }
        let resamples = self.resamples_of(seeds);
        let mut means = Vec::with_capacity(resamples);
        draws::each(self.seed, &[seeds, examples], resamples, |some| {
            for draws in some.chunks_exact(seeds + examples) {
                let (drawn_seeds, drawn_examples) = draws.split_at(seeds);
                let mut sum = 0.0;
                for seed in drawn_seeds {
                    let figures = &figures[*seed as usize];
                    let drawn = drawn_examples.iter().map(|example| figures[*example as usize]);
                    sum += drawn.map(f64::from).sum::<f64>();
                }
                means.push(sum / (seeds * examples) as f64);
            }
        });
        Some(middle(&mut means))
    }
}

/// The figures of all seeds, [`BLOCK`] examples after another; the last block ends with zeros.
fn blocks(figures: &[Vec<i8>]) -> Vec<Vec<[i8; BLOCK]>> {
    let count = figures.first().map_or(0, |seed| seed.len().div_ceil(BLOCK));
    let mut blocks = vec![vec![[0; BLOCK]; figures.len()]; count];
    for (seed, figures) in figures.iter().enumerate() {
        for (block, figures) in blocks.iter_mut().zip(figures.chunks(BLOCK)) {
            block[seed][..figures.len()].copy_from_slice(figures);
        }
    }
    blocks
}

/// How often each example was drawn, in so many blocks.
fn times(drawn: &[u32], blocks: usize) -> Vec<[i32; BLOCK]> {
    let mut times = vec![[0; BLOCK]; blocks];
    let flat = times.as_flattened_mut();
    for example in drawn {
        flat[*example as usize] += 1;
    }
    times
}

/// The sum over the drawn seeds, for each example of a block. `most` figures fit into eight bits.
fn over_seeds(block: &[[i8; BLOCK]], seeds: &[u32], most: usize) -> [i32; BLOCK] {
    let mut sums = [0_i32; BLOCK];
    for seeds in seeds.chunks(most) {
        let mut few = [0_i8; BLOCK];
        for seed in seeds {
            let figures = &block[*seed as usize];
            for lane in 0..BLOCK {
                few[lane] = few[lane].wrapping_add(figures[lane]);
            }
        }
        for lane in 0..BLOCK {
            sums[lane] = sums[lane].wrapping_add(i32::from(few[lane]));
        }
    }
    sums
}

fn weighted(sums: &[i32; BLOCK], times: &[i32; BLOCK]) -> i64 {
    sums.iter().zip(times).map(|(sum, times)| i64::from(*sum) * i64::from(*times)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 2_000, seed: 7 };

    #[test]
    fn examples_add_to_the_spread_of_seeds() {
        // Every seed scores the same, so that seeds alone show no spread.
        let seed: Vec<i8> = (0..100).map(|example| i8::from(example % 4 == 0)).collect();
        let interval = BOOTSTRAP.seeds_and_examples(&vec![seed; 5]).unwrap();
        // The standard error of a share of ¼ of 100 examples is 0.0433.
        assert!((interval.low - (0.25 - 1.96 * 0.0433)).abs() < 0.02, "{interval:?}");
        assert!((interval.high - (0.25 + 1.96 * 0.0433)).abs() < 0.02, "{interval:?}");
        assert_eq!(BOOTSTRAP.seeds_and_examples(&[vec![1; 9], vec![1; 8]]), None);
        assert_eq!(BOOTSTRAP.seeds_and_examples(&[vec![1], vec![1]]), None);
    }

    /// Sums of figures of any size, over more seeds and examples than fit into a block or into eight bits.
    #[test]
    fn means_are_those_of_what_is_drawn() {
        for largest in [1_i32, 5, 128] {
            let figure = |seed: usize, example: usize| {
                let figure = (seed * 31 + example * 17) as i32 % (2 * largest) - largest;
                i8::try_from(figure).unwrap()
            };
            let figures: Vec<Vec<i8>> = (0..150)
                .map(|seed| (0..133).map(|example| figure(seed, example)).collect())
                .collect();
            let mut means = Vec::new();
            draws::each(7, &[150, 133], 2_000, |some| {
                for draws in some.chunks_exact(150 + 133) {
                    let (seeds, examples) = draws.split_at(150);
                    let of_seed = |seed: &u32| -> i64 {
                        let figures = &figures[*seed as usize];
                        examples.iter().map(|example| i64::from(figures[*example as usize])).sum()
                    };
                    means.push(seeds.iter().map(of_seed).sum::<i64>() as f64 / (150 * 133) as f64);
                }
            });
            assert_eq!(BOOTSTRAP.seeds_and_examples(&figures), Some(middle(&mut means)));
        }
    }
}
