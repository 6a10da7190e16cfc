//! Images of the user's own, in a folder for each class.

use super::files::{bad, hex, read, sha256, sha256_of_file};
use super::split::{stratified, untrained, without_duplicates};
use super::{DataSource, Dataset, Images, Inputs, Loading, Part};
use crate::Error;
use crate::component::{Definition, check_all};
use image::imageops::FilterType;
use image::{ImageReader, Limits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// PNG and JPEG images of the user's own, in a folder for each class: `path/CLASS/*.png`, or
/// `path/train/CLASS/*.png` with `path/validation` (or `val`) and `path/test` beside it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageFolder {
    /// The folder.
    pub path: PathBuf,
    /// Height to which every image is resized, with `width`; where absent, all must have one size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Width to which every image is resized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Whether images are taken as grey; otherwise they have three channels.
    #[serde(default)]
    pub grey: bool,
    /// Without folders for the splits, the part of each class that is the validation split, and again as much for the
    /// test split; 0.1 where absent. The same files always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
}

/// The part of each class that is held out where nothing else is said.
const HELD_OUT: f64 = 0.1;

crate::register_component!(DatasetRegistration: ImageFolder);

/// Folders of the splits, each with the names by which it is known.
const SPLITS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "val", "valid", "dev"]),
    ("test", &["test"]),
];

/// Endings of files that are images; others are left alone.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// Endings of images that are not read: to leave one out would be to lose an example.
const OTHER_ENDINGS: [&str; 14] = [
    "apng", "avif", "bmp", "gif", "heic", "jfif", "jp2", "jxl", "pgm", "ppm", "svg", "tif", "tiff",
    "webp",
];

/// Longest side of an image.
const LARGEST: u32 = 4096;

impl Definition for ImageFolder {
    const NAME: &'static str = "image-folder";
    const ABOUT: &'static str =
        "PNG and JPEG images of your own, in a folder for each class: `path`";

    fn check(&self) -> Result<(), Error> {
        let side = |side: Option<u32>| side.is_none_or(|side| (1..=LARGEST).contains(&side));
        check_all([
            ("height", side(self.height), "must be from 1 to 4096"),
            ("width", side(self.width), "must be from 1 to 4096"),
            (
                "height",
                self.height.is_some() == self.width.is_some(),
                "and `width` must be given together, or neither",
            ),
            (
                "held_out",
                self.held_out.is_none_or(|part| part > 0.0 && part <= 0.4),
                "must be above 0 and at most 0.4",
            ),
        ])
    }

    fn words(&self) -> String {
        format!("images of {}", self.path.display())
    }
}

/// An image file and its class.
struct File {
    path: PathBuf,
    class: String,
}

/// Entries of a folder by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io { action: "read", path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(io)?;
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()
        .map_err(io)?;
    paths.sort();
    Ok(paths)
}

/// Whether `path` is none of the user's: programs leave folders as `.ipynb_checkpoints` and `__MACOSX`, and some systems
/// put a file that begins with a dot beside an image.
fn foreign(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name.starts_with("__")
}

/// Whether the file at `path` is an image that can be read; an image in another format is refused.
fn is_image(path: &Path) -> Result<bool, Error> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let ending = ending.to_ascii_lowercase();
    if OTHER_ENDINGS.contains(&ending.as_str()) {
        return Err(bad(path, "is neither PNG nor JPEG: convert it, or take it out of the folder"));
    }
    Ok(ENDINGS.contains(&ending.as_str()))
}

/// The images below `folder`, by class and name.
fn files(folder: &Path) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    for class in entries(folder)?.into_iter().filter(|path| !foreign(path)) {
        if !class.is_dir() {
            if is_image(&class)? {
                return Err(bad(&class, "is in no folder of a class"));
            }
            continue;
        }
        let name = class.file_name().unwrap_or_default().to_str();
        let name = name.ok_or_else(|| bad(&class, "the name of a class must be UTF-8"))?.to_owned();
        let before = files.len();
        for path in entries(&class)?.into_iter().filter(|path| !foreign(path)) {
            if path.is_dir() {
                let reason = "is a folder within a class: its images would not be read";
                return Err(bad(&path, reason));
            }
            if is_image(&path)? {
                files.push(File { path, class: name.clone() });
            }
        }
        if files.len() == before {
            return Err(bad(&class, "holds no image that ends in .png, .jpg or .jpeg"));
        }
    }
    Ok(files)
}

impl ImageFolder {
    /// The folders of the splits, if the user has made splits.
    fn folders(&self) -> Result<Option<[PathBuf; 3]>, Error> {
        let found = SPLITS.map(|(_, names)| {
            let folders = names.iter().map(|name| self.path.join(name));
            folders.filter(|folder| folder.is_dir()).collect::<Vec<_>>()
        });
        if let [[train], [validation], [test]] = found.each_ref().map(Vec::as_slice) {
            return Ok(Some([train.clone(), validation.clone(), test.clone()]));
        }
        let [train, others @ ..] = &found;
        // A class may be called `test`, but not one beside `train`.
        if train.is_empty() || others.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        let names = found.iter().flatten().filter_map(|folder| folder.file_name());
        let names: Vec<_> = names.map(|name| name.to_string_lossy()).collect();
        let reason = format!(
            "has the folders {}: splits are three folders, `train`, `validation` (or `val`) and `test`",
            names.join(", ")
        );
        Err(bad(&self.path, reason))
    }

    /// The files of each split, and whether the user has made the splits.
    fn splits(&self) -> Result<([Vec<File>; 3], bool), Error> {
        if let Some([train, validation, test]) = self.folders()? {
            if self.held_out.is_some() {
                let reason =
                    "contradicts the folders `train`, `validation` and `test`: leave it out";
                return Err(Error::spec("held_out", reason));
            }
            return Ok(([files(&train)?, files(&validation)?, files(&test)?], true));
        }
        let all = files(&self.path)?;
        let labels: Vec<&str> = all.iter().map(|file| file.class.as_str()).collect();
        let keys: Vec<String> =
            all.iter().map(|file| sha256_of_file(&file.path)).collect::<Result<_, _>>()?;
        let parts = stratified(&labels, &keys, self.held_out.unwrap_or(HELD_OUT))
            .map_err(|reason| bad(&self.path, reason))?;
        let mut all: Vec<Option<File>> = all.into_iter().map(Some).collect();
        let parts =
            parts.map(|part| part.into_iter().filter_map(|place| all[place].take()).collect());
        Ok((parts, false))
    }

    /// The pixels of a file, `[channel, row, column]`, with its height and width.
    fn pixels(&self, file: &Path, content: &[u8]) -> Result<(Vec<u8>, (u32, u32)), Error> {
        let mut reader = ImageReader::new(Cursor::new(content))
            .with_guessed_format()
            .map_err(|error| bad(file, error.to_string()))?;
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(1 << 15), Some(1 << 15));
        reader.limits(limits);
        let image = reader.decode().map_err(|error| bad(file, format!("is no image: {error}")))?;
        let image = match (self.height, self.width) {
            (Some(height), Some(width)) => image.resize_exact(width, height, FilterType::Triangle),
            _ => image,
        };
        let size = (image.height(), image.width());
        if size.0 > LARGEST || size.1 > LARGEST {
            let reason = format!("is {} × {} pixels: give `height` and `width`", size.0, size.1);
            return Err(bad(file, reason));
        }
        let pixels = if self.grey {
            image.into_luma8().into_raw()
        } else {
            let interleaved = image.into_rgb8().into_raw();
            (0..3).flat_map(|c| interleaved.iter().skip(c).step_by(3).copied()).collect()
        };
        Ok((pixels, size))
    }
}

impl DataSource for ImageFolder {
    const SORTED: bool = true;

    fn load(&self, _: &Loading<'_>) -> Result<Dataset, Error> {
        let (splits, given) = self.splits()?;
        let classes: BTreeSet<&str> = splits[0].iter().map(|file| file.class.as_str()).collect();
        if classes.len() < 2 {
            let reason = "has one class or none: it must have a folder for each of two or more";
            return Err(bad(&self.path, reason));
        }
        let classes: Vec<String> = classes.into_iter().map(str::to_owned).collect();
        let mut hash = Sha256::new();
        let mut first: Option<(PathBuf, (u32, u32))> = None;
        let mut parts = Vec::new();
        for (split, (name, _)) in splits.iter().zip(SPLITS) {
            if split.is_empty() {
                return Err(bad(&self.path, format!("gives no {name} image")));
            }
            let (mut pixels, mut labels) = (Vec::new(), Vec::new());
            for file in split {
                let class = classes.binary_search(&file.class).map_err(|_| {
                    let reason = format!("the class `{}` is not in the training split", file.class);
                    bad(&file.path, reason)
                })?;
                let content = read(&file.path)?;
                hash.update(format!("{}  {name}/{}\n", sha256(&content), file.class));
                let (own, size) = self.pixels(&file.path, &content)?;
                let (other, right) = first.get_or_insert_with(|| (file.path.clone(), size));
                if size != *right {
                    let (height, width) = *right;
                    return Err(bad(
                        &file.path,
                        format!(
                            "is {} × {} pixels, but {} is {height} × {width}: give `height` and `width`, to which all \
                             are resized",
                            size.0,
                            size.1,
                            other.display()
                        ),
                    ));
                }
                pixels.extend(own);
                labels.push(class);
            }
            let (height, width) = first.as_ref().map_or((0, 0), |(_, size)| *size);
            let images = Images {
                channels: if self.grey { 1 } else { 3 },
                height: height as usize,
                width: width as usize,
                pixels,
            };
            parts.push(Part { inputs: Inputs::Images(images), labels });
        }
        let mut parts = <[Part; 3]>::try_from(parts).expect("one for each split");
        if !given {
            // Files that differ may hold the same pixels; equal files are in one split.
            parts = without_duplicates(parts);
            if let Some(lost) = untrained(&parts) {
                let reason = format!(
                    "leaves no train image of the class `{}`: images are duplicates of others; give splits of your own",
                    classes[lost]
                );
                return Err(bad(&self.path, reason));
            }
        }
        if let Some(empty) =
            parts.iter().zip(SPLITS).find_map(|(part, (name, _))| part.is_empty().then_some(name))
        {
            let reason = format!("leaves no {empty} image: images are duplicates of others");
            return Err(bad(&self.path, reason));
        }
        let [train, validation, test] = parts;
        Ok(Dataset {
            name: Self::NAME.to_owned(),
            classes,
            train,
            validation,
            test,
            sha256: hex(&hash.finalize()),
            differences: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Catalogue;
    use image::{ImageFormat, Rgb, RgbImage};
    use std::collections::BTreeMap;

    fn load(source: &ImageFolder) -> Result<Dataset, String> {
        let catalogue = Catalogue::new(PathBuf::new(), BTreeMap::new());
        let loading = Loading { catalogue: &catalogue, max_tokens: None };
        source.check().and_then(|()| source.load(&loading)).map_err(|error| error.to_string())
    }

    fn source(path: &Path) -> ImageFolder {
        serde_json::from_value(serde_json::json!({ "path": path })).unwrap()
    }

    fn write(path: &Path, [height, width]: [u32; 2], colour: u8, format: ImageFormat) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let image = RgbImage::from_fn(width, height, |x, y| Rgb([colour, x as u8, y as u8]));
        image.save_with_format(path, format).unwrap();
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (class, colour) in [("cat", 10), ("dog", 200)] {
            for number in 0..10 {
                let path = folder.path().join(class).join(format!("{number}.png"));
                write(&path, [4, 6], colour + number, ImageFormat::Png);
            }
        }
        fs::write(folder.path().join("readme.txt"), "no image").unwrap();
        folder
    }

    #[test]
    fn a_folder_for_each_class() {
        let folder = folder();
        let data = load(&source(folder.path())).unwrap();
        assert_eq!(data.classes, ["cat", "dog"]);
        assert_eq!([&data.train, &data.validation, &data.test].map(Part::len), [16, 2, 2]);
        let Inputs::Images(images) = &data.train.inputs else { panic!() };
        assert_eq!((images.channels, images.height, images.width), (3, 4, 6));
        let pixels = images.example(0);
        assert!(pixels[..24].iter().all(|red| (10..20).contains(red)));
        assert_eq!(pixels[24..30], [0, 1, 2, 3, 4, 5], "green is the column");
        assert_eq!(pixels[48], 0);
        assert_eq!(pixels[71], 3, "blue is the row");
        // Another file is another data set.
        write(&folder.path().join("cat/0.png"), [4, 6], 99, ImageFormat::Png);
        assert_ne!(load(&source(folder.path())).unwrap().sha256, data.sha256);
        let grey =
            ImageFolder { grey: true, height: Some(8), width: Some(8), ..source(folder.path()) };
        let Inputs::Images(images) = load(&grey).unwrap().train.inputs else { panic!() };
        assert_eq!((images.channels, images.height, images.width), (1, 8, 8));
    }

    #[test]
    fn what_is_wrong_is_told_with_the_file() {
        let small = |folder: &tempfile::TempDir, file: &str| {
            write(&folder.path().join(file), [3, 6], 1, ImageFormat::Jpeg);
        };
        type Change = fn(&Path);
        let cases: [(Change, &str); 10] = [
            (|path| fs::write(path.join("cat/3.png"), b"no png").unwrap(), "3.png: is no image"),
            (
                |path| write(&path.join("dog/x.jpg"), [3, 6], 1, ImageFormat::Jpeg),
                "x.jpg: is 3 × 6 pixels, but",
            ),
            (|path| fs::create_dir(path.join("fox")).unwrap(), "fox: holds no image"),
            (|path| fs::remove_dir_all(path.join("dog")).unwrap(), "has one class or none"),
            (
                |path| write(&path.join("fox/1.png"), [4, 6], 1, ImageFormat::Png),
                "the class `fox` has 1 example",
            ),
            (
                |path| fs::write(path.join("cat/x.GIF"), b"GIF89a").unwrap(),
                "x.GIF: is neither PNG nor JPEG",
            ),
            (
                |path| write(&path.join("cat/more/1.png"), [4, 6], 1, ImageFormat::Png),
                "more: is a folder within a class",
            ),
            (
                |path| write(&path.join("1.png"), [4, 6], 1, ImageFormat::Png),
                "1.png: is in no folder of a class",
            ),
            (
                |path| {
                    for split in ["train", "val"] {
                        fs::create_dir(path.join(split)).unwrap();
                    }
                },
                "has the folders train, val: splits are three folders",
            ),
            (
                |path| {
                    for split in ["train", "val", "validation", "test"] {
                        fs::create_dir(path.join(split)).unwrap();
                    }
                },
                "has the folders train, validation, val, test: splits are three folders",
            ),
        ];
        for (change, reason) in cases {
            let folder = folder();
            change(folder.path());
            let error = load(&source(folder.path())).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let missing = load(&source(Path::new("/nowhere"))).unwrap_err();
        assert!(missing.contains("cannot read /nowhere"), "{missing}");
        let splits = tempfile::tempdir().unwrap();
        for split in ["train", "val", "test"] {
            small(&splits, &format!("{split}/cat/1.jpg"));
            small(&splits, &format!("{split}/dog/1.jpg"));
        }
        let called_val = load(&source(splits.path())).unwrap();
        assert_eq!(called_val.train.len(), 2, "splits of the user's own are as they are");
        fs::rename(splits.path().join("val"), splits.path().join("validation")).unwrap();
        assert_eq!(load(&source(splits.path())).unwrap().sha256, called_val.sha256);
        small(&splits, "test/fox/1.jpg");
        let error = load(&source(splits.path())).unwrap_err();
        assert!(error.contains("the class `fox` is not in the training split"), "{error}");
        let half = ImageFolder { height: Some(8), ..source(splits.path()) };
        assert!(load(&half).unwrap_err().contains("must be given together"));
    }
}
