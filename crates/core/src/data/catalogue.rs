//! Every data set that has a name.

use super::files::{bad, hex, locate, read, sha256, unpack};
use super::wordpiece::WordPieceTokenizer;
use super::{Dataset, Images, Inputs, Part, cifar, idx, sentences};
use crate::Error;
use crate::stream::Stream;
use record::{DataSpec, ModelSpec};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// A data set that has a name.
#[derive(Debug)]
pub struct Entry {
    /// Name in experiment files.
    pub name: &'static str,
    /// What it holds, in a line.
    pub description: &'static str,
    /// Licence, in a word.
    pub licence: &'static str,
    /// Where it is from.
    pub source: Source,
    /// Names of the classes.
    classes: &'static [&'static str],
    load: fn(&Entry, &mut Files<'_>, usize) -> Result<[Part; 3], Error>,
}

/// Where a data set is from.
#[derive(Debug)]
pub enum Source {
    /// It ships with the program: names and contents.
    Bundled(&'static [(&'static str, &'static [u8])]),
    /// It is fetched into a folder.
    Remote {
        /// What is fetched.
        downloads: &'static [Download],
        /// Files that it needs there, each plain or with `.gz` behind its name.
        files: &'static [&'static str],
    },
}

/// A file to fetch.
#[derive(Debug)]
pub struct Download {
    /// Address.
    pub url: &'static str,
    /// SHA-256 of what is fetched.
    pub sha256: &'static str,
    /// Its size in bytes.
    pub bytes: u64,
    /// What becomes of it.
    pub then: Then,
}

/// What becomes of a fetched file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is kept under the last part of its address.
    Keep,
    /// It is a gzipped tar archive, and its files are kept, without their folders.
    Untar,
    /// It is a zip archive, and its files are kept, without their folders.
    Unzip,
}

const FASHION_CLASSES: &[&str] = &[
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const DIGITS: &[&str] = &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
const CIFAR_CLASSES: &[&str] =
    &["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
const IDX_FILES: &[&str] = &[
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];
const CIFAR_FILES: &[&str] = &[
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const SENTIMENTS: &[&str] = &["negative", "positive"];

macro_rules! bundled {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        Source::Bundled(&[$((
            $name,
            include_bytes!(concat!("../../data/", $folder, "/", $name)),
        )),+])
    };
}

const MOVIE_VOCABULARY: &[u8] = include_bytes!("../../data/movie-reviews/vocab.txt");

static ENTRIES: &[Entry] = &[
    Entry {
        name: "fashion-mnist-mini",
        description: "28×28 grey images of clothes, 10 classes: 6,000 / 1,000 / 2,000 of Fashion-MNIST",
        licence: "MIT",
        source: bundled!(
            "fashion-mnist-mini":
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
            "validation-images-idx3-ubyte.gz",
            "validation-labels-idx1-ubyte.gz",
            "test-images-idx3-ubyte.gz",
            "test-labels-idx1-ubyte.gz",
        ),
        classes: FASHION_CLASSES,
        load: load_split_idx,
    },
    Entry {
        name: "movie-reviews",
        description: "sentences of film reviews, 2 classes: 8,566 / 1,000 / 1,000 (Hutto and Gilbert 2014)",
        licence: "MIT",
        source: bundled!(
            "movie-reviews": "train.tsv.gz", "validation.tsv.gz", "test.tsv.gz", "vocab.txt"
        ),
        classes: SENTIMENTS,
        load: load_reviews,
    },
    Entry {
        name: "fashion-mnist",
        description: "28×28 grey images of clothes, 10 classes: 55,000 / 5,000 / 10,000 (Xiao et al. 2017)",
        licence: "MIT",
        source: Source::Remote {
            downloads: &[
                Download {
                    url: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/train-images-idx3-ubyte.gz",
                    sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    bytes: 26_421_880,
                    then: Then::Keep,
                },
                Download {
                    url: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/train-labels-idx1-ubyte.gz",
                    sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    bytes: 29_515,
                    then: Then::Keep,
                },
                Download {
                    url: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/t10k-images-idx3-ubyte.gz",
                    sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    bytes: 4_422_102,
                    then: Then::Keep,
                },
                Download {
                    url: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/t10k-labels-idx1-ubyte.gz",
                    sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                    bytes: 5_148,
                    then: Then::Keep,
                },
            ],
            files: IDX_FILES,
        },
        classes: FASHION_CLASSES,
        load: load_whole_idx,
    },
    Entry {
        name: "mnist",
        description: "28×28 grey images of digits, 10 classes: 55,000 / 5,000 / 10,000 (LeCun et al. 1998)",
        licence: "CC BY-SA 3.0",
        source: Source::Remote {
            downloads: &[
                Download {
                    url: "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
                    sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    bytes: 9_912_422,
                    then: Then::Keep,
                },
                Download {
                    url: "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
                    sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    bytes: 28_881,
                    then: Then::Keep,
                },
                Download {
                    url: "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz",
                    sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    bytes: 1_648_877,
                    then: Then::Keep,
                },
                Download {
                    url: "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
                    sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                    bytes: 4_542,
                    then: Then::Keep,
                },
            ],
            files: IDX_FILES,
        },
        classes: DIGITS,
        load: load_whole_idx,
    },
    Entry {
        name: "cifar-10",
        description: "32×32 colour photographs, 10 classes: 45,000 / 5,000 / 10,000 (Krizhevsky 2009)",
        licence: "none stated; free for research",
        source: Source::Remote {
            downloads: &[Download {
                url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                bytes: 170_052_171,
                then: Then::Untar,
            }],
            files: CIFAR_FILES,
        },
        classes: CIFAR_CLASSES,
        load: load_cifar,
    },
    Entry {
        name: "sst-2",
        description: "phrases of film reviews, 2 classes: 66,000 / 1,000 / 872 of GLUE (Socher et al. 2013)",
        licence: "none stated; free for research",
        source: Source::Remote {
            downloads: &[Download {
                url: "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
                sha256: "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
                bytes: 7_439_277,
                then: Then::Unzip,
            }],
            files: &["train.tsv", "dev.tsv"],
        },
        classes: SENTIMENTS,
        load: load_sst2,
    },
];

/// The data sets, and the folders in which those that do not ship lie.
#[derive(Debug, Clone)]
pub struct Catalogue {
    root: PathBuf,
    folders: BTreeMap<String, PathBuf>,
}

impl Catalogue {
    /// Data sets lie below `root`, each in a folder of its name, but where `folders` says otherwise.
    #[must_use]
    pub fn new(root: PathBuf, folders: BTreeMap<String, PathBuf>) -> Self {
        Self { root, folders }
    }

    /// Every data set.
    #[must_use]
    pub fn entries() -> &'static [Entry] {
        ENTRIES
    }

    /// The data set called `name`.
    ///
    /// # Errors
    /// If there is none; the error lists all.
    pub fn find(name: &str) -> Result<&'static Entry, Error> {
        ENTRIES.iter().find(|entry| entry.name == name).ok_or_else(|| Error::UnknownData {
            name: name.to_owned(),
            known: ENTRIES.iter().map(|entry| entry.name).collect(),
        })
    }

    /// The folder of a data set that does not ship.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folders.get(name).cloned().unwrap_or_else(|| self.root.join(name))
    }

    /// Whether every file of `entry` is here. They are not read.
    #[must_use]
    pub fn has(&self, entry: &Entry) -> bool {
        match &entry.source {
            Source::Bundled(_) => true,
            Source::Remote { files, .. } => {
                let folder = self.folder(entry.name);
                files.iter().all(|name| locate(entry.name, &folder, name).is_ok())
            }
        }
    }

    /// Loads the data that `spec` asks for, as `model` takes it.
    ///
    /// # Errors
    /// If it is unknown, missing, or damaged.
    pub fn load(&self, spec: &DataSpec, model: &ModelSpec) -> Result<Dataset, Error> {
        let max_length = match model {
            ModelSpec::Bert { max_length, .. } => *max_length,
            ModelSpec::Resnet { .. } => usize::MAX,
        };
        let mut data = self.load_entry(Self::find(&spec.name)?, max_length)?;
        if let Some(limit) = spec.train_limit {
            data.train = data.train.take(limit);
        }
        if spec.train_limit == Some(0) {
            return Err(Error::spec("train_limit", "must be 1 or more"));
        }
        Ok(data)
    }

    /// Loads the whole of `entry`, text cut to `max_length` tokens.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn load_entry(&self, entry: &Entry, max_length: usize) -> Result<Dataset, Error> {
        let folder = self.folder(entry.name);
        let mut files = Files { entry, folder: &folder, seen: BTreeMap::new() };
        let parts = (entry.load)(entry, &mut files, max_length)?;
        check_splits(&folder, &parts)?;
        let [train, validation, test] = parts;
        Ok(Dataset {
            name: entry.name.to_owned(),
            classes: entry.classes.iter().map(|class| (*class).to_owned()).collect(),
            train,
            validation,
            test,
            sha256: files.sha256(),
        })
    }
}

/// Hands out the contents of an entry's files, and remembers their checksums.
struct Files<'a> {
    entry: &'a Entry,
    folder: &'a Path,
    seen: BTreeMap<String, String>,
}

impl Files<'_> {
    /// Path, for errors, and unpacked content of the file called `name` (without `.gz`).
    fn get(&mut self, name: &str) -> Result<(PathBuf, Vec<u8>), Error> {
        let (path, content) = match &self.entry.source {
            Source::Bundled(files) => {
                let packed = format!("{name}.gz");
                let (found, bytes) = files
                    .iter()
                    .find(|(found, _)| *found == name || *found == packed)
                    .ok_or_else(|| Error::MissingData {
                        name: self.entry.name.to_owned(),
                        path: PathBuf::from(name),
                    })?;
                let path = PathBuf::from(format!("{}/{found}", self.entry.name));
                let content = if *found == name { bytes.to_vec() } else { unpack(&path, bytes)? };
                (path, content)
            }
            Source::Remote { .. } => {
                let path = locate(self.entry.name, self.folder, name)?;
                let content = read(&path)?;
                (path, content)
            }
        };
        self.seen.insert(name.to_owned(), sha256(&content));
        Ok((path, content))
    }

    /// Checksum over names and unpacked contents, so that another packing is the same data.
    fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (name, sum) in &self.seen {
            hash.update(format!("{sum}  {name}\n"));
        }
        hex(&hash.finalize())
    }
}

/// Refuses a split without examples, and splits of different images; `folder` is for errors.
fn check_splits(folder: &Path, parts: &[Part; 3]) -> Result<(), Error> {
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

fn load_split_idx(entry: &Entry, files: &mut Files<'_>, _: usize) -> Result<[Part; 3], Error> {
    let mut part = |split| idx_part(entry, files, split);
    Ok([part("train")?, part("validation")?, part("test")?])
}

fn load_whole_idx(entry: &Entry, files: &mut Files<'_>, _: usize) -> Result<[Part; 3], Error> {
    let train = idx_part(entry, files, "train")?;
    let test = idx_part(entry, files, "t10k")?;
    Ok(hold_out(entry.name, &train, test, 5_000))
}

fn load_cifar(entry: &Entry, files: &mut Files<'_>, _: usize) -> Result<[Part; 3], Error> {
    let batches = (1..=5)
        .map(|i| files.get(&format!("data_batch_{i}.bin")))
        .collect::<Result<Vec<_>, _>>()?;
    let batches: Vec<_> = batches.iter().map(|(path, bytes)| (&**path, bytes.clone())).collect();
    let train = cifar::parse(&batches)?;
    let (path, bytes) = files.get("test_batch.bin")?;
    let test = cifar::parse(&[(&path, bytes)])?;
    Ok(hold_out(entry.name, &train, test, 5_000))
}

fn load_reviews(
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
fn load_sst2(entry: &Entry, files: &mut Files<'_>, max_length: usize) -> Result<[Part; 3], Error> {
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
fn hold_out(name: &str, train: &Part, test: Part, size: usize) -> [Part; 3] {
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
enum Key<'a> {
    Image(&'a [u8]),
    Text(&'a [u32]),
}

fn key(part: &Part, index: usize) -> Key<'_> {
    match &part.inputs {
        Inputs::Images(images) => Key::Image(images.example(index)),
        Inputs::Text(text) => Key::Text(&text.tokens[index]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Text;
    use record::{Augmentation, BertSize};

    fn bundled(name: &str, model: &ModelSpec) -> Dataset {
        let spec =
            DataSpec { name: name.into(), augmentation: Augmentation::None, train_limit: None };
        Catalogue::new(PathBuf::from("nowhere"), BTreeMap::new()).load(&spec, model).unwrap()
    }

    fn counts(part: &Part, classes: usize) -> Vec<usize> {
        (0..classes)
            .map(|class| part.labels.iter().filter(|label| **label == class).count())
            .collect()
    }

    #[test]
    fn bundled_images_are_balanced_and_disjoint() {
        let data = bundled("fashion-mnist-mini", &ModelSpec::Resnet { depth: 8, width: 16 });
        assert_eq!(counts(&data.train, 10), [600; 10]);
        assert_eq!(counts(&data.validation, 10), [100; 10]);
        assert_eq!(counts(&data.test, 10), [200; 10]);
        let parts = [&data.train, &data.validation, &data.test];
        let distinct: HashSet<_> =
            parts.iter().flat_map(|part| (0..part.len()).map(|i| key(part, i))).collect();
        assert_eq!(distinct.len(), 9_000);
    }

    #[test]
    fn bundled_sentences_are_cut_and_disjoint() {
        let model = ModelSpec::Bert { size: BertSize::Mini, max_length: 64, dropout: 0.1 };
        let data = bundled("movie-reviews", &model);
        assert_eq!(counts(&data.train, 2), [4_325, 4_241]);
        assert_eq!(counts(&data.validation, 2), [500, 500]);
        assert_eq!(counts(&data.test, 2), [500, 500]);
        let Inputs::Text(text) = &data.train.inputs else { panic!() };
        assert_eq!(text.tokens.iter().map(Vec::len).max(), Some(64));
        assert!(text.tokens.iter().all(|tokens| tokens[0] == 2 && tokens.last() == Some(&3)));
        // Whole sentences are distinct; cut ones may begin alike.
        let whole = ModelSpec::Bert { size: BertSize::Mini, max_length: 100, dropout: 0.1 };
        let data = bundled("movie-reviews", &whole);
        let parts = [&data.train, &data.validation, &data.test];
        let sets: Vec<HashSet<_>> =
            parts.iter().map(|part| (0..part.len()).map(|i| key(part, i)).collect()).collect();
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            assert!(sets[a].is_disjoint(&sets[b]), "splits {a} and {b}");
        }
    }

    #[test]
    fn checksums_are_those_of_the_files() {
        for (entry, sums) in [
            ("fashion-mnist-mini", include_str!("../../data/fashion-mnist-mini/SHA256SUMS")),
            ("movie-reviews", include_str!("../../data/movie-reviews/SHA256SUMS")),
        ] {
            let Source::Bundled(files) = &Catalogue::find(entry).unwrap().source else { panic!() };
            for (name, bytes) in *files {
                assert!(sums.contains(&format!("{}  {name}", sha256(bytes))), "{entry}/{name}");
            }
        }
    }

    #[test]
    fn no_duplicate_crosses_a_split() {
        // 100 texts of which every fifth is the same, and a test split that repeats some.
        let text = |ids: Vec<u32>| Part {
            labels: vec![0; ids.len()],
            inputs: Inputs::Text(Text {
                vocabulary: 100,
                tokens: ids.into_iter().map(|id| vec![id]).collect(),
            }),
        };
        let train = text((0..100).map(|i| if i % 5 == 0 { 0 } else { i }).collect());
        let parts = hold_out("test", &train, text(vec![1, 2, 3]), 10);
        let sets: Vec<HashSet<_>> =
            parts.iter().map(|part| (0..part.len()).map(|i| key(part, i)).collect()).collect();
        assert!(sets[0].is_disjoint(&sets[1]) && sets[0].is_disjoint(&sets[2]));
        assert!(sets[1].is_disjoint(&sets[2]) && !sets[1].is_empty());
        let again = hold_out("test", &train, text(vec![1, 2, 3]), 10);
        assert_eq!(parts, again);
    }

    #[test]
    fn splits_that_are_empty_or_of_other_images_are_refused() {
        let images = |n: usize, width: usize| Part {
            labels: vec![0; n],
            inputs: Inputs::Images(Images {
                channels: 1,
                height: 1,
                width,
                pixels: vec![0; n * width],
            }),
        };
        let check = |parts: [Part; 3]| {
            check_splits(Path::new("folder"), &parts).map_err(|error| error.to_string())
        };
        assert_eq!(check([images(2, 3), images(1, 3), images(1, 3)]), Ok(()));
        let error = check([images(2, 3), images(0, 3), images(1, 3)]).unwrap_err();
        assert!(error.contains("no validation example"), "{error}");
        let error = check([images(2, 3), images(1, 3), images(1, 4)]).unwrap_err();
        assert!(error.contains("test images are (1, 1, 4)"), "{error}");
    }

    #[test]
    fn whole_sets_load_from_a_folder_plain_or_packed() {
        use flate2::{Compression, write::GzEncoder};
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let idx = |magic: u32, sizes: &[u32], body: &[u8]| -> Vec<u8> {
            let words = std::iter::once(&magic).chain(sizes).flat_map(|word| word.to_be_bytes());
            words.chain(body.iter().copied()).collect()
        };
        let images =
            |n: u32, from: u8| idx(0x803, &[n, 1, 1], &(from..from + n as u8).collect::<Vec<_>>());
        let labels = |n: u32| idx(0x801, &[n], &vec![0; n as usize]);
        std::fs::write(folder.path().join("t10k-images-idx3-ubyte"), images(5, 200)).unwrap();
        std::fs::write(folder.path().join("t10k-labels-idx1-ubyte"), labels(5)).unwrap();
        for (name, bytes) in
            [("train-images-idx3-ubyte", images(100, 0)), ("train-labels-idx1-ubyte", labels(100))]
        {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&bytes).unwrap();
            std::fs::write(folder.path().join(format!("{name}.gz")), packed.finish().unwrap())
                .unwrap();
        }
        let folders = BTreeMap::from([("fashion-mnist".to_owned(), folder.path().to_owned())]);
        let catalogue = Catalogue::new(PathBuf::from("nowhere"), folders);
        let entry = Catalogue::find("fashion-mnist").unwrap();
        let data = catalogue.load_entry(entry, 0).unwrap();
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (90, 10, 5));
        let Inputs::Images(Images { channels: 1, height: 1, width: 1, .. }) = data.test.inputs
        else {
            panic!()
        };

        std::fs::remove_file(folder.path().join("train-labels-idx1-ubyte.gz")).unwrap();
        let error = catalogue.load_entry(entry, 0).unwrap_err().to_string();
        assert!(
            error.contains("train-labels-idx1-ubyte (plain or with .gz): fetch it with"),
            "{error}"
        );
    }
}
