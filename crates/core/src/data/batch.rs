//! Batches of tensors from a split.

use super::augment::crop_flip;
use super::wordpiece::PADDING;
use super::{Dataset, Images, Inputs, Part, Text};
use crate::stream::Stream;
use burn::Tensor;
use burn::tensor::{Bool, Device, Int, TensorData};
use record::Augmentation;

/// Some examples, on a device.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What the network sees.
    pub inputs: BatchInputs,
    /// Classes, `[batch]`.
    pub labels: Tensor<1, Int>,
    /// Classes, on the host.
    pub classes: Vec<usize>,
}

impl Batch {
    /// For text, which positions of `[batch, tokens]`, flattened, hold a token rather than padding.
    #[must_use]
    pub fn real_positions(&self) -> Option<Vec<bool>> {
        match &self.inputs {
            BatchInputs::Images(_) => None,
            BatchInputs::Text { padding, .. } => {
                Some(padding.to_data().iter::<bool>().map(|padded| !padded).collect())
            }
        }
    }
}

/// What a network sees of a batch.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum BatchInputs {
    /// Normalised images, `[batch, channels, height, width]`.
    Images(Tensor<4>),
    /// Text, padded to the longest sequence of the batch.
    Text {
        /// Token ids, `[batch, tokens]`.
        tokens: Tensor<2, Int>,
        /// True where there is no token, `[batch, tokens]`.
        padding: Tensor<2, Bool>,
    },
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

/// Turns examples of a data set into batches: normalised by the training split, padded, on a device.
#[derive(Debug)]
pub struct Batches<'a> {
    data: &'a Dataset,
    normalization: Option<Normalization>,
    augmentation: Augmentation,
}

/// Which examples of which split, and whether they are changed at random.
#[derive(Debug)]
pub enum Examples<'a> {
    /// Training examples, augmented from the stream.
    Train(&'a [usize], &'a mut Stream),
    /// Validation examples.
    Validation(&'a [usize]),
    /// Test examples.
    Test(&'a [usize]),
}

impl<'a> Batches<'a> {
    /// Batches of `data`; statistics are those of its training split.
    #[must_use]
    pub fn new(data: &'a Dataset, augmentation: Augmentation) -> Self {
        let normalization = match &data.train.inputs {
            Inputs::Images(images) => Some(Normalization::of(images)),
            Inputs::Text(_) => None,
        };
        Self { data, normalization, augmentation }
    }

    /// The batch of `examples` on `device`.
    #[must_use]
    pub fn batch(&self, examples: Examples<'_>, device: &Device) -> Batch {
        let (part, indices, stream) = match examples {
            Examples::Train(indices, stream) => (&self.data.train, indices, Some(stream)),
            Examples::Validation(indices) => (&self.data.validation, indices, None),
            Examples::Test(indices) => (&self.data.test, indices, None),
        };
        let inputs = match &part.inputs {
            Inputs::Images(images) => {
                BatchInputs::Images(self.images(images, indices, stream, device))
            }
            Inputs::Text(text) => pad(text, indices, device),
        };
        let classes: Vec<usize> = indices.iter().map(|i| part.labels[*i]).collect();
        let labels = Tensor::from_data(int_data(classes.iter().copied(), [classes.len()]), device);
        Batch { inputs, labels, classes }
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
                match (self.augmentation, &mut stream) {
                    (Augmentation::CropFlip, Some(stream)) => {
                        values.extend(crop_flip(images, &pixels, &black, stream));
                    }
                    _ => values.extend(pixels),
                }
            }
        }
        let shape = [indices.len(), images.channels, images.height, images.width];
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

fn pad(text: &Text, indices: &[usize], device: &Device) -> BatchInputs {
    let sequences = || indices.iter().map(|i| &text.tokens[*i]);
    let length = sequences().map(Vec::len).max().unwrap_or(0);
    let shape = [indices.len(), length];
    let tokens = sequences().flat_map(|sequence| {
        let padding = std::iter::repeat_n(PADDING, length - sequence.len());
        sequence.iter().copied().chain(padding).map(|token| token as usize)
    });
    let padding: Vec<bool> =
        sequences().flat_map(|sequence| (0..length).map(|i| i >= sequence.len())).collect();
    BatchInputs::Text {
        tokens: Tensor::from_data(int_data(tokens, shape), device),
        padding: Tensor::from_data(TensorData::new(padding, shape), device),
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

    fn images(pixels: Vec<u8>) -> Part {
        let labels = vec![0; pixels.len() / 4];
        Part { inputs: Inputs::Images(Images { channels: 2, height: 1, width: 2, pixels }), labels }
    }

    #[test]
    fn validation_is_normalised_by_training_statistics_alone() {
        let data = Dataset {
            name: "test".into(),
            classes: vec!["a".into()],
            train: images(vec![0, 255, 0, 0, 0, 255, 0, 0]),
            validation: images(vec![255, 255, 255, 0]),
            test: images(vec![0; 4]),
            sha256: String::new(),
            differences: Vec::new(),
        };
        let batches = Batches::new(&data, Augmentation::None);
        let batch = batches.batch(Examples::Validation(&[0]), &Device::flex());
        let BatchInputs::Images(x) = batch.inputs else { panic!() };
        assert_eq!(x.dims(), [1, 2, 1, 2]);
        // First channel: mean ½, deviation ½. Second: constant 0, left unscaled.
        let values: Vec<f32> = x.into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(values, [1.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn sequences_are_padded_to_the_longest_of_the_batch() {
        let text =
            Text { vocabulary: 10, tokens: vec![vec![2, 3], vec![2, 5, 3], vec![2, 5, 6, 3]] };
        let BatchInputs::Text { tokens, padding } = pad(&text, &[0, 1], &Device::flex()) else {
            panic!()
        };
        let tokens: Vec<i64> = tokens.into_data().convert::<i64>().try_into_vec::<i64>().unwrap();
        assert_eq!(tokens, [2, 3, 0, 2, 5, 3]);
        let padding: Vec<bool> = padding.into_data().iter::<bool>().collect();
        assert_eq!(padding, [false, false, true, false, false, false]);
    }
}
