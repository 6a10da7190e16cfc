//! Data sets: those that ship with the program, and standard ones in a folder.

pub mod augment;
mod batch;
mod catalogue;
mod cifar;
mod download;
pub(crate) mod files;
mod idx;
mod image_folder;
mod locate;
mod sentences;
mod source;
mod split;
mod table;
mod text;
mod wordpiece;
mod wordpiece_training;

pub use actlab_kernels::Sequences;
pub use batch::{Answers, Batch, BatchInputs, Batches, Examples, Share, Targets};
pub use catalogue::{Catalogue, Entry, NeededFile, Source};
pub use download::{Progress, fetch};
pub use image_folder::ImageFolder;
pub use source::{DataSource, DatasetRegistration, Loading};
pub use table::Table;
pub use text::{KingJamesBible, PlainText, Tokenizer};
pub use wordpiece_training::train_wordpiece;

use crate::stream::Stream;
use record::Split;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A data set with its three splits.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name, as in `fashion-mnist-mini`.
    pub name: String,
    /// Names of the classes; none for text without labels.
    pub classes: Vec<String>,
    /// Fits the weights.
    pub train: Part,
    /// Chooses the checkpoint.
    pub validation: Part,
    /// Evaluated once.
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
    /// Class of each example; none for text without labels.
    pub labels: Vec<usize>,
}

impl Part {
    /// Examples.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.inputs {
            Inputs::Images(images) => images.pixels.len() / images.size().max(1),
            Inputs::Features(features) => features.values.len() / features.width.max(1),
            Inputs::Text(text) => text.tokens.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The examples at `indices`, in that order.
    fn select(&self, indices: &[usize]) -> Self {
        let inputs = match &self.inputs {
            Inputs::Images(images) => Inputs::Images(Images {
                pixels: indices.iter().flat_map(|i| images.example(*i)).copied().collect(),
                ..*images
            }),
            Inputs::Features(features) => Inputs::Features(Features {
                values: indices.iter().flat_map(|i| features.example(*i)).copied().collect(),
                ..*features
            }),
            Inputs::Text(text) => Inputs::Text(Text {
                tokens: indices.iter().map(|i| text.tokens[*i].clone()).collect(),
                bytes: indices.iter().filter_map(|i| text.bytes.get(*i).copied()).collect(),
                vocabulary: text.vocabulary,
                mask: text.mask.clone(),
            }),
        };
        Self {
            inputs,
            labels: indices.iter().filter_map(|i| self.labels.get(*i).copied()).collect(),
        }
    }

    /// `n` examples in their order, drawn so that each class has its share, and one at least: the same ones always.
    pub(super) fn draw(&self, n: usize) -> Self {
        let mut of_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for place in Stream::new(0, "train_limit").permutation(self.len()) {
            of_class.entry(self.labels.get(place).copied().unwrap_or(0)).or_default().push(place);
        }
        // By how much of its class comes before an example: of all classes alike.
        let mut order: Vec<(f64, usize)> = Vec::with_capacity(self.len());
        for places in of_class.values() {
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            let part = |rank: usize| match rank {
                // The first one of each class comes before all others.
                0 => 0.0,
                rank => (rank as f64 + 0.5) / places.len() as f64,
            };
            order.extend(places.iter().enumerate().map(|(rank, place)| (part(rank), *place)));
        }
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut chosen: Vec<usize> = order.into_iter().take(n).map(|(_, place)| place).collect();
        chosen.sort_unstable();
        self.select(&chosen)
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
    /// Features.
    Features(Features),
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

/// Numbers that were measured of each example.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// Numbers of an example.
    pub width: usize,
    /// `[example, feature]`.
    pub values: Vec<f32>,
}

impl Features {
    /// The features of one example.
    #[must_use]
    pub fn example(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..(index + 1) * self.width]
    }
}

/// Token sequences without padding: texts from `[CLS]` to `[SEP]`, or pieces of one long text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Entries of the vocabulary.
    pub vocabulary: usize,
    /// Token ids of each example.
    pub tokens: Vec<Vec<u32>>,
    /// For pieces of one long text, the bytes of text behind the first token of each; otherwise empty.
    pub bytes: Vec<u32>,
    /// What hides a token, where the vocabulary has such an entry.
    pub mask: Option<Mask>,
}

/// What hides tokens from a network that predicts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// Id of `[MASK]`.
    pub token: u32,
    /// Ids of special tokens, ascending: they are never hidden, and stand in the place of no other. The others are
    /// ordinary.
    pub special: Vec<u32>,
}

impl Mask {
    /// Whether a token is ordinary.
    #[must_use]
    pub fn is_ordinary(&self, token: u32) -> bool {
        self.special.binary_search(&token).is_err()
    }

    /// Ordinary tokens of a vocabulary with so many entries.
    #[must_use]
    pub fn ordinary(&self, entries: usize) -> usize {
        entries.saturating_sub(self.special.len())
    }

    /// The ordinary token of this number, counted from 0 in the order of ids.
    #[must_use]
    pub fn nth_ordinary(&self, number: u32) -> u32 {
        self.special.iter().fold(number, |id, special| id + u32::from(*special <= id))
    }
}
