//! Which rows of a matrix belong to which sequence.

use burn::Tensor;
use burn::tensor::{Bool, Device, Int, TensorData};
use std::iter::repeat_n;
use std::sync::Arc;

/// Sequences of tokens whose rows lie one behind another, `[rows, width]`, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequences {
    /// Where each one begins, and where the last one ends.
    offsets: Arc<[usize]>,
}

impl Sequences {
    /// Sequences of so many tokens each.
    #[must_use]
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.into_iter().map(|length| {
            end += length;
            end
        });
        Self { offsets: std::iter::once(0).chain(ends).collect() }
    }

    /// How many sequences there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Tokens of all sequences.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets[self.count()]
    }

    /// The row at which each sequence begins.
    #[must_use]
    pub fn starts(&self) -> &[usize] {
        &self.offsets[..self.count()]
    }

    /// Tokens of each sequence.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> {
        self.offsets.windows(2).map(|ends| ends[1] - ends[0])
    }

    /// Tokens of the longest sequence.
    #[must_use]
    pub fn longest(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }

    /// The position of each row in its sequence.
    pub fn positions(&self) -> impl Iterator<Item = usize> {
        self.lengths().flat_map(|length| 0..length)
    }

    /// The runs of rows of one sequence each that make up so many `rows` from `first` on: the sequence, the position of
    /// the first row in it, and the number of rows.
    pub(crate) fn runs(
        &self,
        first: usize,
        rows: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> {
        let end = first + rows;
        let sequence = self.offsets.partition_point(|offset| *offset <= first).saturating_sub(1);
        let ends = self.offsets.windows(2).enumerate().skip(sequence);
        ends.take_while(move |(_, ends)| ends[0] < end).filter_map(move |(sequence, ends)| {
            let from = ends[0].max(first);
            let rows = ends[1].min(end).saturating_sub(from);
            (rows > 0).then_some((sequence, from - ends[0], rows))
        })
    }

    /// Whether all sequences are as long as the longest.
    fn is_uniform(&self) -> bool {
        self.count() * self.longest() == self.rows()
    }

    /// Rows `[rows, width]` as `[sequences, longest, width]`, with zeros behind a shorter sequence.
    pub(crate) fn padded(&self, rows: Tensor<2>) -> Tensor<3> {
        let [count, width] = rows.dims();
        let (longest, device) = (self.longest(), rows.device());
        let shape = [self.count(), longest, width];
        if self.is_uniform() {
            return rows.reshape(shape);
        }
        let places = self.starts().iter().zip(self.lengths()).flat_map(|(start, length)| {
            (0..longest).map(move |place| if place < length { start + place } else { count })
        });
        let zero = Tensor::zeros([1, width], (&device, rows.dtype()));
        Tensor::cat(vec![rows, zero], 0).select(0, indices(places, &device)).reshape(shape)
    }

    /// The rows `[rows, width]` of `[sequences, longest, width]` that hold tokens.
    pub(crate) fn packed(&self, padded: Tensor<3>) -> Tensor<2> {
        let [count, longest, width] = padded.dims();
        let rows = padded.reshape([count * longest, width]);
        if self.is_uniform() {
            return rows;
        }
        let places = self.lengths().enumerate();
        let places =
            places.flat_map(|(i, length)| (0..length).map(move |place| i * longest + place));
        let places = indices(places, &rows.device());
        rows.select(0, places)
    }

    /// True in `[sequences, longest]` where there is no token, if there is such a place.
    pub(crate) fn padding(&self, device: &Device) -> Option<Tensor<2, Bool>> {
        let longest = self.longest();
        // A sequence without tokens sees a key too: without any, softmax is no number.
        let padding = self
            .lengths()
            .map(|length| length.max(1))
            .flat_map(|length| repeat_n(false, length).chain(repeat_n(true, longest - length)));
        let padding = || TensorData::new(padding.collect::<Vec<bool>>(), [self.count(), longest]);
        (!self.is_uniform()).then(|| Tensor::from_data(padding(), device))
    }
}

fn indices(places: impl Iterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let places: Vec<i64> =
        places.map(|place| i64::try_from(place).expect("rows lie in memory")).collect();
    let count = places.len();
    Tensor::from_data(TensorData::new(places, [count]), device)
}

#[cfg(test)]
mod tests {
    use super::Sequences;
    use burn::Tensor;
    use burn::tensor::{Device, Int};

    #[test]
    fn rows_know_their_sequence() {
        let sequences = Sequences::new([2, 0, 3, 1]);
        assert_eq!((sequences.count(), sequences.rows(), sequences.longest()), (4, 6, 3));
        assert_eq!(sequences.starts(), [0, 2, 2, 5]);
        assert_eq!(sequences.positions().collect::<Vec<_>>(), [0, 1, 0, 1, 2, 0]);
        let runs = |first, rows| sequences.runs(first, rows).collect::<Vec<_>>();
        assert_eq!(runs(0, 6), [(0, 0, 2), (2, 0, 3), (3, 0, 1)]);
        assert_eq!(runs(1, 3), [(0, 1, 1), (2, 0, 2)]);
        assert_eq!(runs(2, 1), [(2, 0, 1)]);
        assert_eq!(runs(4, 2), [(2, 2, 1), (3, 0, 1)]);
        assert_eq!(runs(6, 0), []);
        assert_eq!(Sequences::new([]).rows(), 0);
    }

    #[test]
    fn padding_comes_and_goes() {
        let device = Device::flex();
        let rows = Tensor::<1, Int>::arange(0..6, &device).float().reshape([3, 2]);
        for lengths in [vec![1, 2], vec![3], vec![1, 1, 1], vec![2, 0, 1]] {
            let sequences = Sequences::new(lengths.clone());
            let padded = sequences.padded(rows.clone());
            assert_eq!(padded.dims(), [sequences.count(), sequences.longest(), 2]);
            let padding = sequences.padding(&device);
            assert_eq!(
                padding.is_some(),
                lengths.iter().any(|length| *length < sequences.longest())
            );
            let packed = sequences.packed(padded);
            assert_eq!(packed.into_data(), rows.to_data(), "{lengths:?}");
        }
    }
}
