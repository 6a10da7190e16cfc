use super::load::{hold_out, key};
use super::*;
use crate::data::files::sha256;
use crate::data::{Images, Inputs, Text};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

fn bundled(name: &str, model: &Component) -> Dataset {
    let spec = DataSpec::named(name);
    Catalogue::new(PathBuf::from("nowhere"), BTreeMap::new()).load(&spec, model).unwrap()
}

fn counts(part: &Part, classes: usize) -> Vec<usize> {
    (0..classes).map(|class| part.labels.iter().filter(|label| **label == class).count()).collect()
}

#[test]
fn bundled_images_are_balanced_and_disjoint() {
    let data = bundled("fashion-mnist-mini", &Component::named("resnet").with("depth", 8));
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
    let model = Component::named("bert").with("size", "mini").with("max_length", 64);
    let data = bundled("movie-reviews", &model);
    assert_eq!(counts(&data.train, 2), [4_325, 4_241]);
    assert_eq!(counts(&data.validation, 2), [500, 500]);
    assert_eq!(counts(&data.test, 2), [500, 500]);
    let Inputs::Text(text) = &data.train.inputs else { panic!() };
    assert_eq!(text.tokens.iter().map(Vec::len).max(), Some(64));
    assert!(text.tokens.iter().all(|tokens| tokens[0] == 2 && tokens.last() == Some(&3)));
    // Whole sentences are distinct; cut ones may begin alike.
    let whole = Component::named("bert").with("size", "mini").with("max_length", 100);
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
        ("fashion-mnist-mini", include_str!("../../../data/fashion-mnist-mini/SHA256SUMS")),
        ("movie-reviews", include_str!("../../../data/movie-reviews/SHA256SUMS")),
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
            bytes: Vec::new(),
            mask: None,
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

/// The four files of a small MNIST: 100 training and 5 test images of one pixel.
fn small_mnist() -> Vec<(&'static str, Vec<u8>)> {
    let idx = |magic: u32, sizes: &[u32], body: &[u8]| -> Vec<u8> {
        let words = std::iter::once(&magic).chain(sizes).flat_map(|word| word.to_be_bytes());
        words.chain(body.iter().copied()).collect()
    };
    let images =
        |n: u32, from: u8| idx(0x803, &[n, 1, 1], &(from..from + n as u8).collect::<Vec<_>>());
    let labels = |n: u32| idx(0x801, &[n], &vec![0; n as usize]);
    vec![
        ("train-images-idx3-ubyte", images(100, 0)),
        ("train-labels-idx1-ubyte", labels(100)),
        ("t10k-images-idx3-ubyte", images(5, 200)),
        ("t10k-labels-idx1-ubyte", labels(5)),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn write(path: PathBuf, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The data set `name` from `folder`.
fn from(name: &str, folder: &Path) -> Result<Dataset, String> {
    let folders = BTreeMap::from([(name.to_owned(), folder.to_owned())]);
    let catalogue = Catalogue::new(PathBuf::from("nowhere"), folders);
    let entry = Catalogue::find(name).unwrap();
    let loaded = catalogue.load_entry(entry, 64).map_err(|error| error.to_string());
    assert!(loaded.is_err() || catalogue.has(entry), "what can be loaded is there");
    loaded
}

#[test]
fn whole_sets_load_from_every_form_in_which_they_are_passed_on() {
    type Place = fn(&str) -> String;
    let forms: [(&str, Place); 9] = [
        ("plain", |name| name.to_owned()),
        ("packed", |name| format!("{name}.gz")),
        ("dotted", |name| name.replace("-idx", ".idx")),
        ("dotted and packed", |name| name.replace("-idx", ".idx") + ".gz"),
        ("nested", |name| format!("{name}/{name}")),
        ("nested and packed", |name| format!("{name}/{name}.gz")),
        ("dotted in a folder", |name| format!("{name}/{}", name.replace("-idx", ".idx"))),
        ("unpacked archive", |name| format!("raw/{name}")),
        ("half of them packed", |name| {
            if name.starts_with("train") { format!("{name}.gz") } else { name.to_owned() }
        }),
    ];
    let mut sums = HashSet::new();
    for (form, place) in forms {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in small_mnist() {
            let place = place(name);
            let half = bytes.len() / 2;
            let packed = [gzip(&bytes[..half]), gzip(&bytes[half..])].concat();
            let bytes = if place.ends_with(".gz") { packed } else { bytes };
            write(folder.path().join(place), &bytes);
        }
        let data = from("mnist", folder.path()).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (90, 10, 5));
        sums.insert(data.sha256);
    }
    assert_eq!(sums.len(), 1, "the same data has the same checksum");
}

#[test]
fn files_that_are_not_the_published_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in small_mnist() {
        write(folder.path().join(name), &bytes);
    }
    let data = from("mnist", folder.path()).unwrap();
    let told: Vec<String> = data.differences.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 4);
    assert!(told[0].ends_with(
        "train-images-idx3-ubyte: holds 100 examples, but the published file has 60000"
    ));

    // As many examples, one label another.
    let Source::Remote { files, .. } = &Catalogue::find("mnist").unwrap().source else { panic!() };
    let [.., labels] = files else { panic!() };
    let mut content =
        [&0x801_u32.to_be_bytes()[..], &10_000_u32.to_be_bytes(), &[0; 10_000]].concat();
    let path = Path::new("labels");
    let altered = labels.difference(path, &content, &sha256(&content)).unwrap();
    assert!(
        altered.altered && altered.reason.contains("but the published file has ff7bcfd4"),
        "{altered}"
    );
    assert_eq!(labels.difference(path, &content, labels.sha256.unwrap()), None);
    content.truncate(6);
    assert!(!labels.difference(path, &content, "").unwrap().altered);

    let mini = bundled("fashion-mnist-mini", &Component::named("resnet").with("depth", 8));
    assert_eq!(mini.differences, []);
}

#[test]
fn a_missing_file_is_told_with_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str| from(name, folder.path()).unwrap_err();
    let at = |name: &str| folder.path().join(name);
    assert!(error("mnist").contains("holds nothing"), "{}", error("mnist"));
    for (name, bytes) in small_mnist().into_iter().skip(1) {
        write(at(name), &bytes);
    }
    write(at("a\nb.png"), b"");
    let told = error("mnist");
    assert!(told.contains("lacks") && told.contains("fetch it with `actlab data fetch mnist`"));
    assert!(
        told.contains("holds a\\nb.png, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte"),
        "{told}"
    );

    write(at("train-images-idx3-ubyte/images.png"), b"");
    let told = error("mnist");
    assert!(told.contains("is a folder with images.png, and not that file"), "{told}");
    std::fs::remove_dir_all(at("train-images-idx3-ubyte")).unwrap();

    let there = from("mnist", &at("nowhere")).unwrap_err();
    assert!(there.contains("there is no folder"), "{there}");
    let file = from("mnist", &at("t10k-labels-idx1-ubyte")).unwrap_err();
    assert!(file.contains("is not a folder"), "{file}");

    write(at("cifar-10-binary.tar.gz"), b"");
    let told = error("cifar-10");
    assert!(told.contains("cifar-10-binary.tar.gz is not unpacked"), "{told}");
    for name in ["old", "new"] {
        for (file, bytes) in small_mnist() {
            write(at("two").join(name).join(file), &bytes);
        }
    }
    let told = from("mnist", &at("two")).unwrap_err();
    assert!(told.contains("new and ") && told.contains("old both hold these files"), "{told}");

    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("gone", at("train-images-idx3-ubyte.gz")).unwrap();
        let told = error("mnist");
        assert!(told.contains("is a link that cannot be followed"), "{told}");
    }
}

#[test]
fn damaged_files_are_refused_with_their_path() {
    let [images, labels] = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
    let huge = [&0x803_u32.to_be_bytes()[..], &[0xff; 12]].concat();
    for (name, bytes, reason) in [
        (images, Vec::new(), "train-images-idx3-ubyte: is empty"),
        (images, huge, "train-images-idx3-ubyte: holds 0 bytes for sizes [4294967295,"),
        (images, gzip(b"x")[..9].to_vec(), "train-images-idx3-ubyte: cannot be unpacked"),
        (
            labels,
            small_mnist()[3].1.clone(),
            "train-labels-idx1-ubyte: has 5 labels for 100 images",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in small_mnist() {
            write(folder.path().join(name), &bytes);
        }
        write(folder.path().join(name), &bytes);
        let error = from("mnist", folder.path()).unwrap_err();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn cifar_and_sst2_load_as_their_archives_unpack() {
    let folder = tempfile::tempdir().unwrap();
    for batch in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"] {
        let records: Vec<u8> =
            (0..4).flat_map(|i| [vec![i], batch.repeat(256).into_bytes()].concat()).collect();
        write(folder.path().join("cifar-10-batches-bin").join(format!("{batch}.bin")), &records);
    }
    write(folder.path().join("cifar-10-batches-bin/test_batch.bin"), &[9; 3073]);
    let data = from("cifar-10", folder.path());
    assert_eq!(data.map(|data| data.differences.len()), Ok(6));

    let rows = |end: &str| {
        let rows: String =
            (0..30).map(|i| format!("film number {i} is good\t{}{end}", i % 2)).collect();
        format!("sentence\tlabel{end}{rows}")
    };
    let mut sets = Vec::new();
    for (train, dev) in [
        (rows("\n"), "sentence\tlabel\nbad\t0\n"),
        (format!("\u{feff}{}", rows("\r\n")), "\u{feff}sentence\tlabel\r\nbad\t0\r\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path().join("SST-2/train.tsv"), train.as_bytes());
        write(folder.path().join("SST-2/dev.tsv"), dev.as_bytes());
        let data = from("sst-2", folder.path()).unwrap();
        let told = data.differences[0].to_string();
        assert!(
            told.ends_with("train.tsv: holds 30 examples, but the published file has 67349"),
            "{told}"
        );
        sets.push([data.train, data.validation, data.test]);
    }
    assert_eq!(sets[0], sets[1], "line ends and byte-order marks are no content");
}
