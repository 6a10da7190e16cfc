//! The table of data sets: where each is from, and what its files are.

use super::load::{load_cifar, load_reviews, load_split_idx, load_sst2, load_whole_idx};
use super::{Download, Entry, Format, NeededFile, Source};
use crate::data::source::DatasetRegistration;
use crate::data::{cifar, idx, sentences};

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

const MNIST_FILES: &[NeededFile] = &[
    idx_file(
        "train-images-idx3-ubyte",
        60_000,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    idx_file(
        "train-labels-idx1-ubyte",
        60_000,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    idx_file(
        "t10k-images-idx3-ubyte",
        10_000,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    idx_file(
        "t10k-labels-idx1-ubyte",
        10_000,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
];
const FASHION_FILES: &[NeededFile] = &[
    idx_file(
        "train-images-idx3-ubyte",
        60_000,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    idx_file(
        "train-labels-idx1-ubyte",
        60_000,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    idx_file(
        "t10k-images-idx3-ubyte",
        10_000,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    idx_file(
        "t10k-labels-idx1-ubyte",
        10_000,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
];
const CIFAR_FILES: &[NeededFile] = &[
    cifar_file("data_batch_1.bin"),
    cifar_file("data_batch_2.bin"),
    cifar_file("data_batch_3.bin"),
    cifar_file("data_batch_4.bin"),
    cifar_file("data_batch_5.bin"),
    cifar_file("test_batch.bin"),
];
const SST2_FILES: &[NeededFile] = &[
    NeededFile { name: "train.tsv", examples: 67_349, count: sentences::count, sha256: None },
    NeededFile { name: "dev.tsv", examples: 872, count: sentences::count, sha256: None },
];

const fn idx_file(name: &'static str, examples: usize, sha256: &'static str) -> NeededFile {
    NeededFile { name, examples, count: idx::count, sha256: Some(sha256) }
}

/// What is published is the checksum of the archive, which is tested when it is fetched.
const fn cifar_file(name: &'static str) -> NeededFile {
    NeededFile { name, examples: 10_000, count: cifar::count, sha256: None }
}

const SENTIMENTS: &[&str] = &["negative", "positive"];

macro_rules! bundled {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        Source::Bundled(&[$((
            $name,
            include_bytes!(concat!("../../../data/", $folder, "/", $name)),
        )),+])
    };
}

pub(super) const MOVIE_VOCABULARY: &[u8] = include_bytes!("../../../data/movie-reviews/vocab.txt");

pub(super) static ENTRIES: [Entry; 6] = [
    Entry {
        name: "fashion-mnist-mini",
        description: "28×28 grey images of clothing, 10 classes, from Fashion-MNIST: 6,000 training, 1,000 validation, 2,000 test examples",
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
        description: "sentences of movie reviews, 2 classes (Hutto and Gilbert 2014): 8,566 training, 1,000 validation, 1,000 test examples",
        licence: "MIT",
        source: bundled!(
            "movie-reviews": "train.tsv.gz", "validation.tsv.gz", "test.tsv.gz", "vocab.txt"
        ),
        classes: SENTIMENTS,
        load: load_reviews,
    },
    Entry {
        name: "fashion-mnist",
        description: "28×28 grey images of clothing, 10 classes (Xiao et al. 2017): 55,000 training, 5,000 validation, 10,000 test examples",
        licence: "MIT",
        source: Source::Remote {
            downloads: &[
                Download {
                    url: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/train-images-idx3-ubyte.gz",
                    sha256: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    bytes: 26_421_880,
                    format: Format::File,
                },
                Download {
                    url: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/train-labels-idx1-ubyte.gz",
                    sha256: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    bytes: 29_515,
                    format: Format::File,
                },
                Download {
                    url: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/t10k-images-idx3-ubyte.gz",
                    sha256: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    bytes: 4_422_102,
                    format: Format::File,
                },
                Download {
                    url: "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/t10k-labels-idx1-ubyte.gz",
                    sha256: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                    bytes: 5_148,
                    format: Format::File,
                },
            ],
            files: FASHION_FILES,
        },
        classes: FASHION_CLASSES,
        load: load_whole_idx,
    },
    Entry {
        name: "mnist",
        description: "28×28 grey images of digits, 10 classes (LeCun et al. 1998): 55,000 training, 5,000 validation, 10,000 test examples",
        licence: "CC BY-SA 3.0",
        source: Source::Remote {
            downloads: &[
                Download {
                    url: "https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz",
                    sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    bytes: 9_912_422,
                    format: Format::File,
                },
                Download {
                    url: "https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
                    sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    bytes: 28_881,
                    format: Format::File,
                },
                Download {
                    url: "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz",
                    sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    bytes: 1_648_877,
                    format: Format::File,
                },
                Download {
                    url: "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
                    sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                    bytes: 4_542,
                    format: Format::File,
                },
            ],
            files: MNIST_FILES,
        },
        classes: DIGITS,
        load: load_whole_idx,
    },
    Entry {
        name: "cifar-10",
        description: "32×32 colour photographs, 10 classes (Krizhevsky 2009): 45,000 training, 5,000 validation, 10,000 test examples",
        licence: "none stated; free for research",
        source: Source::Remote {
            downloads: &[Download {
                url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                bytes: 170_052_171,
                format: Format::TarGz,
            }],
            files: CIFAR_FILES,
        },
        classes: CIFAR_CLASSES,
        load: load_cifar,
    },
    Entry {
        name: "sst-2",
        description: "phrases of movie reviews, 2 classes, from GLUE (Socher et al. 2013): about 66,000 training, 1,000 validation, 872 test examples",
        licence: "none stated; free for research",
        source: Source::Remote {
            downloads: &[Download {
                url: "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
                sha256: "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
                bytes: 7_439_277,
                format: Format::Zip,
            }],
            files: SST2_FILES,
        },
        classes: SENTIMENTS,
        load: load_sst2,
    },
];

macro_rules! publish {
    ($($index:literal)+) => {
        $(inventory::submit! { DatasetRegistration::published(&ENTRIES[$index]) })+
    };
}

publish!(0 1 2 3 4 5);
