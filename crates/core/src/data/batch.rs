//! Batches of tensors from a split.

use super::augment::Augmentation;
use super::wordpiece::PADDING;
use super::{Dataset, Features, Images, Inputs, Part};
use crate::objective::{Objective, Prepared};
use crate::stream::Stream;
use actlab_kernels::Sequences;
use burn::Tensor;
use burn::tensor::{Device, Int, TensorData};
use std::iter::repeat_n;

/// Some examples, on a device.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What the network sees.
    pub inputs: BatchInputs,
    /// What it shall predict.
    pub targets: Targets,
}

/// What a network shall predict of a batch.
#[derive(Debug, Clone)]
pub struct Targets {
    /// The right output of each row of logits, `[rows]`.
    pub labels: Tensor<1, Int>,
    /// Rows of hidden states that have a row of logits each; all of them where absent.
    pub positions: Option<Tensor<1, Int>>,
    /// The same on the host.
    pub answers: Answers,
}

/// What is right, on the host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answers {
    /// The right output of each row of logits.
    pub classes: Vec<usize>,
    /// How the rows belong to examples.
    pub examples: Vec<Share>,
}

impl Answers {
    /// Those of a batch in parts.
    pub(crate) fn of(parts: impl IntoIterator<Item = Self>) -> Self {
        let join = |mut first: Self, other: Self| {
            first.classes.extend(other.classes);
            first.examples.extend(other.examples);
            first
        };
        parts.into_iter().reduce(join).unwrap_or_default()
    }
}

/// The rows of one example, in a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// How many there are.
    pub rows: usize,
    /// What their loss is related to, as bytes of text.
    pub units: f64,
}

impl Targets {
    /// The targets of prepared examples, whose hidden states have the rows of `sequences`.
    ///
    /// # Panics
    /// If an example predicts at a position that its sequence does not have.
    #[must_use]
    pub fn new(prepared: &[Prepared], sequences: &Sequences, device: &Device) -> Self {
        let classes: Vec<usize> =
            prepared.iter().flat_map(|one| one.labels.iter().copied()).collect();
        let shares = prepared.iter().map(|one| Share { rows: one.labels.len(), units: one.units });
        let places: Vec<usize> = prepared
            .iter()
            .zip(sequences.starts().iter().zip(sequences.lengths()))
            .filter_map(|(one, text)| Some((one.positions.as_ref()?, text)))
            .flat_map(|(all, (start, length))| {
                all.iter().map(move |place| {
                    assert!(*place < length, "position {place} of a text of {length} tokens");
                    start + place
                })
            })
            .collect();
        // Nothing is gathered where every row is predicted in its order.
        let all = places.iter().copied().eq(0..sequences.rows());
        let gathers = prepared.iter().any(|one| one.positions.is_some()) && !all;
        let positions = gathers
            .then(|| Tensor::from_data(int_data(places.iter().copied(), [places.len()]), device));
        let labels = Tensor::from_data(int_data(classes.iter().copied(), [classes.len()]), device);
        Self { labels, positions, answers: Answers { classes, examples: shares.collect() } }
    }

    /// The rows of hidden states `[rows, width]` at the positions that are predicted.
    #[must_use]
    pub fn rows(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.positions {
            Some(positions) => chosen(hidden, positions.clone()),
            None => hidden,
        }
    }
}

/// What a network sees of a batch.
#[derive(Debug, Clone)]
pub enum BatchInputs {
    /// Normalized images, `[batch, channels, height, width]`.
    Images(Tensor<4>),
    /// Normalized features, `[batch, features]`.
    Features(Tensor<2>),
    /// Text, one sequence behind another, without padding.
    Text {
        /// Token ids, `[rows]`.
        tokens: Tensor<1, Int>,
        /// Which rows belong to which sequence. Each has a token at least.
        sequences: Sequences,
    },
}

impl BatchInputs {
    /// Sequences of token ids. A text without tokens is one token of padding: it has a row, as all others.
    #[must_use]
    pub fn packed(sequences: &[Vec<u32>], device: &Device) -> Self {
        let sequences =
            sequences.iter().map(|one| if one.is_empty() { &[PADDING] } else { &one[..] });
        let tokens: Vec<usize> = sequences.clone().flatten().map(|token| *token as usize).collect();
        let rows = tokens.len();
        Self::Text {
            tokens: Tensor::from_data(int_data(tokens.into_iter(), [rows]), device),
            sequences: Sequences::new(sequences.map(<[u32]>::len)),
        }
    }

    /// The images.
    ///
    /// # Panics
    /// If they are something else, which a model's [`Interface`](crate::model::Interface) rules out.
    #[must_use]
    pub fn images(&self) -> &Tensor<4> {
        match self {
            Self::Images(images) => images,
            _ => panic!("a model for images was given something else"),
        }
    }

    /// Images or features as `[batch, numbers]`.
    ///
    /// # Panics
    /// If they are tokens, which a model's [`Interface`](crate::model::Interface) rules out.
    #[must_use]
    pub fn flattened(&self) -> Tensor<2> {
        match self {
            Self::Images(images) => {
                let [batch, channels, height, width] = images.dims();
                images.clone().reshape([batch, channels * height * width])
            }
            Self::Features(features) => features.clone(),
            Self::Text { .. } => panic!("a model for images or features was given text"),
        }
    }

    /// The rows `[batch, width]` of hidden states `[rows, width]` at the first token of each text.
    ///
    /// # Panics
    /// If the inputs are no text, or a text has no token.
    #[must_use]
    pub fn first(&self, hidden: Tensor<2>) -> Tensor<2> {
        at(hidden, self.ends(|start, _| start).into_iter())
    }

    /// The rows `[batch, width]` of hidden states `[rows, width]` at the last token of each text.
    ///
    /// # Panics
    /// If the inputs are no text, or a text has no token.
    #[must_use]
    pub fn last(&self, hidden: Tensor<2>) -> Tensor<2> {
        at(hidden, self.ends(|start, length| start + length - 1).into_iter())
    }

    /// A row of each text, by its first one and its length.
    fn ends(&self, row: fn(usize, usize) -> usize) -> Vec<usize> {
        let (_, sequences) = self.text();
        let texts = sequences.starts().iter().zip(sequences.lengths());
        let row = |(start, length): (&usize, usize)| {
            assert!(length > 0, "each text has a token");
            row(*start, length)
        };
        texts.map(row).collect()
    }

    /// Token ids `[rows]` of a text, and which rows belong to which sequence.
    ///
    /// # Panics
    /// If they are something else, which a model's [`Interface`](crate::model::Interface) rules out.
    #[must_use]
    pub fn text(&self) -> (&Tensor<1, Int>, &Sequences) {
        match self {
            Self::Text { tokens, sequences } => (tokens, sequences),
            _ => panic!("a model for text was given something else"),
        }
    }
}

/// `rows` of `hidden` `[all rows, width]`.
fn at(hidden: Tensor<2>, rows: impl ExactSizeIterator<Item = usize>) -> Tensor<2> {
    let count = rows.len();
    let rows = Tensor::from_data(int_data(rows, [count]), &hidden.device());
    chosen(hidden, rows)
}

/// The rows of `hidden` that `rows` name. The backward of an embedding adds rows in a fixed order, on every device.
fn chosen(hidden: Tensor<2>, rows: Tensor<1, Int>) -> Tensor<2> {
    actlab_kernels::embedding(hidden, rows)
}

/// Mean and standard deviation of each channel over the training images, on a scale of 0 to 1.
#[derive(Debug, Clone, PartialEq)]
struct Normalization {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Normalization {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "statistics of bytes"
    )]
    fn of(images: &Images) -> Self {
        let plane = images.height * images.width;
        let (mut mean, mut std) = (Vec::new(), Vec::new());
        for channel in 0..images.channels {
            let (mut n, mut sum, mut squares) = (0_u64, 0_u64, 0_u64);
            let planes = images.pixels.chunks_exact(plane).skip(channel).step_by(images.channels);
            for pixel in planes.flatten() {
                let pixel = u64::from(*pixel);
                n += 1;
                sum += pixel;
                squares += pixel * pixel;
            }
            let average = sum as f64 / n.max(1) as f64;
            let variance = squares as f64 / n.max(1) as f64 - average * average;
            mean.push((average / 255.0) as f32);
            // An empty channel is left as it is instead of divided by zero.
            let deviation = variance.max(0.0).sqrt() / 255.0;
            std.push(if deviation > 0.0 { deviation as f32 } else { 1.0 });
        }
        Self { mean, std }
    }

    /// Mean and standard deviation of each feature.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "statistics of numbers in single precision"
    )]
    fn of_features(features: &Features) -> Self {
        let n = (features.values.len() / features.width.max(1)).max(1) as f64;
        let (mut means, mut deviations) = (Vec::new(), Vec::new());
        for feature in 0..features.width {
            let column = || features.values.iter().skip(feature).step_by(features.width);
            let mean = column().map(|x| f64::from(*x)).sum::<f64>() / n;
            let variance = column().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
            let deviation = variance.sqrt();
            means.push(mean as f32);
            // A feature that is constant but for rounding is left as it is instead of divided by next to nothing.
            let varies = deviation > 1e-6 * mean.abs();
            deviations.push(if varies { deviation as f32 } else { 1.0 });
        }
        Self { mean: means, std: deviations }
    }

    fn apply(&self, images: &Images, pixels: &[u8]) -> Vec<f32> {
        let plane = images.height * images.width;
        pixels
            .chunks_exact(plane)
            .zip(self.mean.iter().zip(&self.std))
            .flat_map(|(plane, (mean, std))| {
                plane.iter().map(move |pixel| (f32::from(*pixel) / 255.0 - mean) / std)
            })
            .collect()
    }

    /// The value of a black pixel in each channel.
    fn black(&self) -> Vec<f32> {
        self.mean.iter().zip(&self.std).map(|(mean, std)| -mean / std).collect()
    }
}

/// Turns examples of a data set into batches: normalized by the training split, on a device.
#[derive(Debug)]
pub struct Batches<'a> {
    data: &'a Dataset,
    objective: &'a dyn Objective,
    normalization: Option<Normalization>,
    augmentation: &'a dyn Augmentation,
}

/// Which examples of which split, and the streams of what is random in them.
#[derive(Debug)]
pub enum Examples<'a> {
    /// Training examples.
    Train {
        /// Their positions in the split.
        indices: &'a [usize],
        /// What augmentation draws from.
        augmentation: &'a mut Stream,
        /// What the objective draws from.
        objective: &'a mut Stream,
    },
    /// Examples for an evaluation.
    Evaluation {
        /// The split.
        part: &'a Part,
        /// Their positions in it.
        indices: &'a [usize],
        /// What the objective draws from.
        objective: &'a mut Stream,
    },
}

impl<'a> Batches<'a> {
    /// Batches of `data`; statistics are those of its training split.
    #[must_use]
    pub fn new(
        data: &'a Dataset,
        objective: &'a dyn Objective,
        augmentation: &'a dyn Augmentation,
    ) -> Self {
        let normalization = match &data.train.inputs {
            Inputs::Images(images) => Some(Normalization::of(images)),
            Inputs::Features(features) => Some(Normalization::of_features(features)),
            Inputs::Text(_) => None,
        };
        Self { data, objective, normalization, augmentation }
    }

    /// Training examples in parts of so many, each on its device: together they are the batch that they would make in
    /// one, whatever is random in them.
    pub(crate) fn parts(
        &self,
        indices: &[usize],
        sizes: Vec<(usize, Device)>,
        (augmentation, objective): (&mut Stream, &mut Stream),
    ) -> Vec<Batch> {
        let mut left = indices;
        let part = |(size, device): (usize, Device)| {
            let indices = left.split_off(..size).expect("parts of a batch");
            let (augmentation, objective) = (&mut *augmentation, &mut *objective);
            self.batch(Examples::Train { indices, augmentation, objective }, &device)
        };
        sizes.into_iter().map(part).collect()
    }

    /// The batch of `examples` on `device`.
    #[must_use]
    pub fn batch(&self, examples: Examples<'_>, device: &Device) -> Batch {
        let (part, indices, changes, stream) = match examples {
            Examples::Train { indices, augmentation, objective } => {
                (&self.data.train, indices, Some(augmentation), objective)
            }
            Examples::Evaluation { part, indices, objective } => (part, indices, None, objective),
        };
        let mut prepared: Vec<Prepared> =
            indices.iter().map(|index| self.objective.prepare(part, *index, stream)).collect();
        let inputs = match &part.inputs {
            Inputs::Images(images) => {
                BatchInputs::Images(self.images(images, indices, changes, device))
            }
            Inputs::Features(features) => {
                BatchInputs::Features(self.features(features, indices, device))
            }
            Inputs::Text(text) => {
                let own = |(one, index): (&mut Prepared, &usize)| {
                    one.tokens.take().unwrap_or_else(|| text.tokens[*index].clone())
                };
                let sequences: Vec<Vec<u32>> = prepared.iter_mut().zip(indices).map(own).collect();
                BatchInputs::packed(&sequences, device)
            }
        };
        let targets = match &inputs {
            BatchInputs::Text { sequences, .. } => Targets::new(&prepared, sequences, device),
            _ => Targets::new(&prepared, &Sequences::new(repeat_n(1, indices.len())), device),
        };
        Batch { inputs, targets }
    }

    fn features(&self, features: &Features, indices: &[usize], device: &Device) -> Tensor<2> {
        let mut values = Vec::with_capacity(indices.len() * features.width);
        for index in indices {
            let example = features.example(*index);
            match &self.normalization {
                Some(Normalization { mean, std }) => {
                    let scale = example.iter().zip(mean.iter().zip(std));
                    values.extend(scale.map(|(value, (mean, std))| (value - mean) / std));
                }
                None => values.extend_from_slice(example),
            }
        }
        Tensor::from_data(TensorData::new(values, [indices.len(), features.width]), device)
    }

    fn images(
        &self,
        images: &Images,
        indices: &[usize],
        mut stream: Option<&mut Stream>,
        device: &Device,
    ) -> Tensor<4> {
        let mut values = Vec::with_capacity(indices.len() * images.size());
        if let Some(normalization) = &self.normalization {
            let black = normalization.black();
            for index in indices {
                let pixels = normalization.apply(images, images.example(*index));
                values.extend(match &mut stream {
                    Some(stream) => self.augmentation.apply(images, pixels, &black, stream),
                    None => pixels,
                });
            }
        }
        let shape = [indices.len(), images.channels, images.height, images.width];
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

fn int_data<const D: usize>(values: impl Iterator<Item = usize>, shape: [usize; D]) -> TensorData {
    let values: Vec<i64> = values
        .map(|value| i64::try_from(value).expect("token ids and classes are small"))
        .collect();
    TensorData::new(values, shape)
}

impl Part {
    /// Positions 0..n in runs of `size`.
    #[must_use]
    pub fn chunks(&self, size: usize) -> Vec<Vec<usize>> {
        let all: Vec<usize> = (0..self.len()).collect();
        all.chunks(size.max(1)).map(<[usize]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::augment::Unchanged;
    use crate::objective::Classification;

    fn images(pixels: Vec<u8>) -> Part {
        let labels = vec![0; pixels.len() / 4];
        Part { inputs: Inputs::Images(Images { channels: 2, height: 1, width: 2, pixels }), labels }
    }

    #[test]
    fn validation_is_normalized_by_training_statistics_alone() {
        let data = Dataset {
            name: "test".into(),
            classes: vec!["a".into()],
            train: images(vec![0, 255, 0, 0, 0, 255, 0, 0]),
            validation: images(vec![255, 255, 255, 0]),
            test: images(vec![0; 4]),
            sha256: String::new(),
            differences: Vec::new(),
        };
        let (objective, augmentation) = (Classification {}, Unchanged {});
        let batches = Batches::new(&data, &objective, &augmentation);
        let mut stream = Stream::new(0, "test");
        let (part, indices) = (&data.validation, &[0][..]);
        let examples = Examples::Evaluation { part, indices, objective: &mut stream };
        let batch = batches.batch(examples, &Device::flex());
        let x = batch.inputs.images().clone();
        assert_eq!(x.dims(), [1, 2, 1, 2]);
        // First channel: mean ½, deviation ½. Second: constant 0, left unscaled.
        let values: Vec<f32> = x.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(values, [1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn sequences_lie_behind_one_another() {
        let inputs = BatchInputs::packed(&[vec![2, 3], vec![], vec![2, 5, 3]], &Device::flex());
        let (tokens, sequences) = inputs.text();
        let tokens: Vec<i64> = tokens.to_data().iter::<i64>().collect();
        assert_eq!(tokens, [2, 3, i64::from(PADDING), 2, 5, 3]);
        assert_eq!(sequences, &Sequences::new([2, 1, 3]));
        let hidden = Tensor::<1, Int>::arange(0..6, &Device::flex()).float().reshape([6, 1]);
        let rows = |rows: Tensor<2>| rows.into_data().iter::<f32>().collect::<Vec<_>>();
        assert_eq!(rows(inputs.first(hidden.clone())), [0.0, 2.0, 3.0]);
        assert_eq!(rows(inputs.last(hidden)), [1.0, 2.0, 5.0]);
    }

    #[test]
    fn rows_are_gathered_where_not_every_position_has_one() {
        let prepared = |positions: &[usize]| Prepared {
            tokens: None,
            labels: positions.to_vec(),
            positions: Some(positions.to_vec()),
            units: 3.0,
        };
        let device = Device::flex();
        let hidden = || Tensor::<1, Int>::arange(0..10, &device).float().reshape([5, 2]);
        let sequences = Sequences::new([3, 2]);
        let some = Targets::new(&[prepared(&[0, 2]), prepared(&[1])], &sequences, &device);
        let rows: Vec<f32> = some.rows(hidden()).into_data().iter::<f32>().collect();
        assert_eq!(rows, [0.0, 1.0, 4.0, 5.0, 8.0, 9.0]);
        assert_eq!(some.answers.classes, [0, 2, 1]);
        assert_eq!(some.answers.examples[1], Share { rows: 1, units: 3.0 });
        let all = Targets::new(&[prepared(&[0, 1, 2]), prepared(&[0, 1])], &sequences, &device);
        assert!(all.positions.is_none());
        assert_eq!(all.rows(hidden()).dims(), [5, 2]);
    }

    /// The first numbers of the rows that are predicted, of which there is one a token.
    fn predicted(positions: &[&[usize]]) -> Vec<f32> {
        let device = Device::flex();
        let sequences = Sequences::new([2, 3]);
        let prepared: Vec<Prepared> = positions
            .iter()
            .map(|positions| Prepared {
                labels: vec![0; positions.len()],
                positions: Some(positions.to_vec()),
                tokens: None,
                units: 1.0,
            })
            .collect();
        let hidden = Tensor::<1>::from_floats([0.0, 1.0, 2.0, 3.0, 4.0], &device).reshape([5, 1]);
        let rows = Targets::new(&prepared, &sequences, &device).rows(hidden);
        rows.into_data().iter::<f32>().collect()
    }

    #[test]
    fn rows_are_those_of_the_positions_in_their_order() {
        assert_eq!(predicted(&[&[0, 1], &[0, 1, 2]]), [0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(predicted(&[&[1, 0], &[2, 0, 1]]), [1.0, 0.0, 4.0, 2.0, 3.0]);
        assert_eq!(predicted(&[&[0, 0], &[0, 0, 0]]), [0.0, 0.0, 2.0, 2.0, 2.0]);
        assert_eq!(predicted(&[&[1], &[]]), [1.0]);
    }

    #[test]
    #[should_panic(expected = "position 2 of a text of 2 tokens")]
    fn a_position_of_another_text_is_refused() {
        let _ = predicted(&[&[2], &[0]]);
    }
}
