//! From files to the splits of a data set.

use super::entries::MOVIE_VOCABULARY;
use super::{Entry, NeededFile, Source};
use crate::Error;
use crate::data::files::{bad, hex, read, sha256, unpack};
use crate::data::locate::locate;
use crate::data::wordpiece::WordPieceTokenizer;
use crate::data::{Difference, Images, Inputs, Part, cifar, idx, sentences};
use crate::stream::Stream;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Hands out the contents of an entry's files, and remembers their checksums and how they differ from the published
/// ones.
pub(super) struct Files<'a> {
    entry: &'a Entry,
    /// Where those lie that do not ship.
    places: BTreeMap<&'static str, PathBuf>,
    seen: BTreeMap<String, String>,
    differences: Vec<Difference>,
}

impl<'a> Files<'a> {
    /// The files of `entry`, of which those that do not ship lie in `folder`.
    ///
    /// # Errors
    /// If one is missing.
    pub(super) fn new(entry: &'a Entry, folder: &Path) -> Result<Self, Error> {
        let places = match &entry.source {
            Source::Bundled(_) => BTreeMap::new(),
            Source::Remote { files, .. } => locate(entry.name, folder, files, &entry.archives())?,
        };
        Ok(Self { entry, places, seen: BTreeMap::new(), differences: Vec::new() })
    }

    /// Path, for errors, and unpacked content of the file called `name` (without `.gz`).
    fn get(&mut self, name: &str) -> Result<(PathBuf, Vec<u8>), Error> {
        let missing = || Error::MissingData {
            name: self.entry.name.to_owned(),
            path: PathBuf::from(name),
            found: "the catalogue does not list it".to_owned(),
        };
        let (path, content, needed) = match &self.entry.source {
            Source::Bundled(files) => {
                let packed = format!("{name}.gz");
                let (found, bytes) = files
                    .iter()
                    .find(|(found, _)| *found == name || *found == packed)
                    .ok_or_else(missing)?;
                let path = PathBuf::from(format!("{}/{found}", self.entry.name));
                let content = if *found == name { bytes.to_vec() } else { unpack(&path, bytes)? };
                (path, content, None)
            }
            Source::Remote { files, .. } => {
                let path = self.places.get(name).cloned().ok_or_else(missing)?;
                let content = read(&path)?;
                if content.is_empty() {
                    return Err(bad(&path, "is empty: fetch it again"));
                }
                (path, content, files.iter().find(|file| file.name == name))
            }
        };
        let sum = sha256(&content);
        let difference = |file: &NeededFile| file.difference(&path, &content, &sum);
        self.differences.extend(needed.and_then(difference));
        self.seen.insert(name.to_owned(), sum);
        Ok((path, content))
    }

    /// Checksum over names and unpacked contents, so that another packing is the same data.
    pub(super) fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (name, sum) in &self.seen {
            hash.update(format!("{sum}  {name}\n"));
        }
        hex(&hash.finalize())
    }

    /// How the files differ from those of the catalogue.
    pub(super) fn into_differences(self) -> Vec<Difference> {
        self.differences
    }
}

/// Refuses a split without examples, and splits of different images; `folder` is for errors.
pub(super) fn check_splits(folder: &Path, parts: &[Part; 3]) -> Result<(), Error> {
    for (part, name) in parts.iter().zip(["training", "validation", "test"]) {
        if part.is_empty() {
            return Err(bad(folder, format!("gives no {name} example: too little data")));
        }
        if let (Inputs::Images(first), Inputs::Images(other)) = (&parts[0].inputs, &part.inputs) {
            let shape = |images: &Images| (images.channels, images.height, images.width);
            if shape(first) != shape(other) {
                return Err(bad(
                    folder,
                    format!(
                        "{name} images are {:?} (channels, height, width), training images {:?}",
                        shape(other),
                        shape(first)
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn idx_part(entry: &Entry, files: &mut Files<'_>, split: &str) -> Result<Part, Error> {
    let (images_path, images) = files.get(&format!("{split}-images-idx3-ubyte"))?;
    let (labels_path, labels) = files.get(&format!("{split}-labels-idx1-ubyte"))?;
    idx::parse((&images_path, &images), (&labels_path, &labels), entry.classes.len())
}

pub(super) fn load_split_idx(
    entry: &Entry,
    files: &mut Files<'_>,
    _: usize,
) -> Result<[Part; 3], Error> {
    let mut part = |split| idx_part(entry, files, split);
    Ok([part("train")?, part("validation")?, part("test")?])
}

pub(super) fn load_whole_idx(
    entry: &Entry,
    files: &mut Files<'_>,
    _: usize,
) -> Result<[Part; 3], Error> {
    let train = idx_part(entry, files, "train")?;
    let test = idx_part(entry, files, "t10k")?;
    Ok(hold_out(entry.name, &train, test, 5_000))
}

pub(super) fn load_cifar(
    entry: &Entry,
    files: &mut Files<'_>,
    _: usize,
) -> Result<[Part; 3], Error> {
    let batches = (1..=5)
        .map(|i| files.get(&format!("data_batch_{i}.bin")))
        .collect::<Result<Vec<_>, _>>()?;
    let batches: Vec<_> = batches.iter().map(|(path, bytes)| (&**path, bytes.clone())).collect();
    let train = cifar::parse(&batches)?;
    let (path, bytes) = files.get("test_batch.bin")?;
    let test = cifar::parse(&[(&path, bytes)])?;
    Ok(hold_out(entry.name, &train, test, 5_000))
}

pub(super) fn load_reviews(
    entry: &Entry,
    files: &mut Files<'_>,
    max_length: usize,
) -> Result<[Part; 3], Error> {
    let (_, vocabulary) = files.get("vocab.txt")?;
    let tokenizer = WordPieceTokenizer::new(&vocabulary, max_length)?;
    let mut part = |split: &str| {
        let (path, bytes) = files.get(&format!("{split}.tsv"))?;
        sentences::encode(&tokenizer, &sentences::parse(&path, &bytes, entry.classes.len())?)
    };
    Ok([part("train")?, part("validation")?, part("test")?])
}

/// GLUE keeps the labels of its test file to itself: its development file is the test split, and the
/// validation split is held out from the training file. The vocabulary is the movie reviews'.
pub(super) fn load_sst2(
    entry: &Entry,
    files: &mut Files<'_>,
    max_length: usize,
) -> Result<[Part; 3], Error> {
    files.seen.insert("vocab.txt".into(), sha256(MOVIE_VOCABULARY));
    // Splits are made on whole sentences, so that they do not depend on where a model cuts them.
    let tokenizer = WordPieceTokenizer::new(MOVIE_VOCABULARY, usize::MAX)?;
    let mut part = |split: &str| {
        let (path, bytes) = files.get(&format!("{split}.tsv"))?;
        sentences::encode(&tokenizer, &sentences::parse(&path, &bytes, entry.classes.len())?)
    };
    let (train, test) = (part("train")?, part("dev")?);
    Ok(hold_out(entry.name, &train, test, 1_000).map(|part| sentences::cut(part, max_length)))
}

/// Splits `size` examples off `train`, the same ones always, and drops from each split what stands
/// again in a later one, so that no duplicate crosses a split.
pub(super) fn hold_out(name: &str, train: &Part, test: Part, size: usize) -> [Part; 3] {
    let order = Stream::new(0, &format!("split/{name}")).permutation(train.len());
    let size = size.min(train.len() / 10);
    let (mut held, mut rest) = (order[..size].to_vec(), order[size..].to_vec());
    rest.sort_unstable();
    held.sort_unstable();
    let mut known: HashSet<Key<'_>> = (0..test.len()).map(|i| key(&test, i)).collect();
    held.retain(|i| !known.contains(&key(train, *i)));
    known.extend(held.iter().map(|i| key(train, *i)));
    rest.retain(|i| !known.contains(&key(train, *i)));
    let (validation, train) = (train.select(&held), train.select(&rest));
    drop(known);
    [train, validation, test]
}

#[derive(PartialEq, Eq, Hash)]
pub(crate) enum Key<'a> {
    Image(&'a [u8]),
    /// The bits of each feature.
    Features(Vec<u32>),
    Text(&'a [u32]),
}

pub(crate) fn key(part: &Part, index: usize) -> Key<'_> {
    match &part.inputs {
        Inputs::Images(images) => Key::Image(images.example(index)),
        Inputs::Features(features) => {
            Key::Features(features.example(index).iter().map(|x| x.to_bits()).collect())
        }
        Inputs::Text(text) => Key::Text(&text.tokens[index]),
    }
}
