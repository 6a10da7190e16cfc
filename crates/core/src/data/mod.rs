//! Data sets: those that ship with the program, and standard ones in a folder.

mod augment;
mod batch;
mod catalogue;
mod cifar;
mod download;
mod files;
mod idx;
mod locate;
mod sentences;
mod wordpiece;

pub(crate) use augment::{STREAM as AUGMENTATION, augmentation_after};
pub use batch::{Batch, BatchInputs, Batches, Examples};
pub use catalogue::{Catalogue, Entry, NeededFile, Source};
pub use download::{Progress, fetch};

use record::Split;
use std::fmt;
use std::path::PathBuf;

/// A data set with its three splits.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name, as in `fashion-mnist-mini`.
    pub name: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Fits the weights.
    pub train: Part,
    /// Chooses the checkpoint.
    pub validation: Part,
    /// Judged once.
    pub test: Part,
    /// SHA-256 over the content of its files.
    pub sha256: String,
    /// How its files differ from those that the catalogue names; empty where they do not.
    pub differences: Vec<Difference>,
}

/// A file that is not the one that the catalogue names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The file.
    pub path: PathBuf,
    /// How it differs.
    pub reason: String,
    /// Whether it holds as many examples as the published one: then it is an altered copy. Other files in the published
    /// form may be data of the user's own.
    pub altered: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl Dataset {
    /// One split.
    #[must_use]
    pub fn part(&self, split: Split) -> &Part {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }
}

/// Examples with their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What the network sees.
    pub inputs: Inputs,
    /// Class of each example.
    pub labels: Vec<usize>,
}

impl Part {
    /// Examples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The examples at `indices`, in that order.
    fn select(&self, indices: &[usize]) -> Self {
        let inputs = match &self.inputs {
            Inputs::Images(images) => Inputs::Images(Images {
                pixels: indices.iter().flat_map(|i| images.example(*i)).copied().collect(),
                ..*images
            }),
            Inputs::Text(text) => Inputs::Text(Text {
                tokens: indices.iter().map(|i| text.tokens[*i].clone()).collect(),
                ..*text
            }),
        };
        Self { inputs, labels: indices.iter().map(|i| self.labels[*i]).collect() }
    }

    /// The first `n` examples.
    #[must_use]
    pub fn take(&self, n: usize) -> Self {
        self.select(&(0..n.min(self.len())).collect::<Vec<_>>())
    }
}

/// What a network sees.
#[derive(Debug, Clone, PartialEq)]
pub enum Inputs {
    /// Images.
    Images(Images),
    /// Tokenized text.
    Text(Text),
}

/// Images of one size, a byte a channel and pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Channels.
    pub channels: usize,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// `[example, channel, row, column]`.
    pub pixels: Vec<u8>,
}

impl Images {
    /// Bytes of one image.
    #[must_use]
    pub fn size(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Pixels of one image, `[channel, row, column]`.
    #[must_use]
    pub fn example(&self, index: usize) -> &[u8] {
        &self.pixels[index * self.size()..(index + 1) * self.size()]
    }
}

/// Token sequences, each from `[CLS]` to `[SEP]`, without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Token ids of each example.
    pub tokens: Vec<Vec<u32>>,
}
