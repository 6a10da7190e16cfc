//! Named random streams.
//!
//! Every use of randomness draws from its own stream, which depends on the run's seed and on the
//! stream's name alone. Two runs that differ in their activation therefore start from the same
//! weights, see the same batches in the same order with the same augmentation, and drop the same
//! units, however many numbers another use has drawn.

use rand::{Rng, RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// A deterministic source of random numbers.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream called `name` of `seed`.
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"actlab stream");
        hash.update(seed.to_le_bytes());
        hash.update(name.as_bytes());
        Self(ChaCha8Rng::from_seed(hash.finalize().into()))
    }

    /// How far it is, as text: equal for streams that have given as many numbers.
    #[must_use]
    pub fn position(&self) -> String {
        self.0.get_word_pos().to_string()
    }

    /// Goes to a position that [`Stream::position`] told; [`None`] where that is none.
    pub(crate) fn seek(&mut self, position: &str) -> Option<()> {
        self.0.set_word_pos(position.parse().ok()?);
        Some(())
    }

    /// A permutation of 0..n.
    #[must_use]
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        order.shuffle(&mut self.0);
        order
    }

    /// A whole number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// A fair coin.
    pub fn coin(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }

    /// Numbers between minus and plus `bound`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
    pub fn uniform(&mut self, n: usize, bound: f64) -> Vec<f32> {
        (0..n).map(|_| (bound * (2.0 * self.0.random::<f64>() - 1.0)) as f32).collect()
    }

    /// Normal numbers with mean 0.
    #[must_use]
    pub fn normal(&mut self, n: usize, std: f64) -> Vec<f32> {
        self.normal_within(n, std, f64::INFINITY)
    }

    /// Normal numbers with mean 0, redrawn beyond two standard deviations (as in BERT).
    #[must_use]
    pub fn truncated_normal(&mut self, n: usize, std: f64) -> Vec<f32> {
        self.normal_within(n, std, 2.0)
    }

    #[expect(clippy::cast_possible_truncation, reason = "weights are single precision")]
    fn normal_within(&mut self, n: usize, std: f64, bound: f64) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(n);
        while numbers.len() < n {
            let left = n - numbers.len();
            let pair = self.normal_pair().into_iter().filter(|z| z.abs() <= bound);
            numbers.extend(pair.take(left).map(|z| (z * std) as f32));
        }
        numbers
    }

    /// Two independent standard normal numbers, by the polar method (Marsaglia and Bray 1964). Its one function
    /// that is not exact in IEEE 754, the logarithm, is that of the `libm` crate: the same on every platform.
    fn normal_pair(&mut self) -> [f64; 2] {
        loop {
            // Uniform from −1 to 1, and both points in the unit circle.
            let [u, v] = [(); 2].map(|()| 2.0 * self.0.random::<f64>() - 1.0);
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                let radius = (-2.0 * libm::log(square) / square).sqrt();
                return [u * radius, v * radius];
            }
        }
    }

    /// A dropout mask: 0 with probability `p`, else 1/(1 − p).
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "p is in [0, 1)")]
    pub fn dropout_mask(&mut self, n: usize, p: f64) -> Vec<f32> {
        let threshold = (p * (f64::from(u32::MAX) + 1.0)) as u32;
        let keep = (1.0 / (1.0 - p)) as f32;
        (0..n).map(|_| if self.0.next_u32() < threshold { 0.0 } else { keep }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Stream;

    #[test]
    fn streams_depend_on_seed_and_name_alone() {
        let draw = |seed, name| Stream::new(seed, name).permutation(50);
        assert_eq!(draw(1, "order"), draw(1, "order"));
        assert_ne!(draw(1, "order"), draw(2, "order"));
        assert_ne!(draw(1, "order"), draw(1, "augmentation"));
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut stream = Stream::new(0, "test");
        let normal = stream.normal(100_000, 2.0);
        let mean = normal.iter().map(|x| f64::from(*x)).sum::<f64>() / 1e5;
        let variance = normal.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!((variance - 4.0).abs() < 0.1, "{variance}");
        assert!(stream.truncated_normal(10_000, 1.0).iter().all(|x| x.abs() <= 2.0));
        let mask = stream.dropout_mask(100_000, 0.25);
        let mean = mask.iter().map(|x| f64::from(*x)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(mask.iter().all(|x| *x == 0.0 || (*x - 4.0 / 3.0).abs() < 1e-6));
    }

    #[test]
    fn a_stream_goes_on_where_another_was() {
        let mut stream = Stream::new(1, "order");
        let _ = (stream.permutation(7), stream.coin(), stream.normal(3, 1.0));
        let mut other = Stream::new(1, "order");
        other.seek(&stream.position()).unwrap();
        assert_eq!(other.permutation(50), stream.permutation(50));
        assert_eq!(other.seek("x"), None);
    }

    /// Results on users' disks depend on these numbers: a new version of a library must not change them.
    #[test]
    fn the_numbers_are_stable() {
        let mut stream = Stream::new(7, "init/head.weight");
        assert_eq!(stream.permutation(8), [4, 2, 3, 7, 0, 5, 6, 1]);
        assert_eq!(stream.normal(3, 1.0), [-0.29958963, 0.12745118, -1.2997453]);
    }
}
