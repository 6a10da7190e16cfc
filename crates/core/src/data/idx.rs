//! IDX, the format of MNIST and Fashion-MNIST: a magic number, sizes, bytes.

use super::files::bad;
use super::{Images, Inputs, Part};
use crate::Error;
use std::path::Path;

const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;

/// Images and labels of one split, from unpacked IDX content; the paths are for errors.
pub(super) fn parse(
    images: (&Path, &[u8]),
    labels: (&Path, &[u8]),
    classes: usize,
) -> Result<Part, Error> {
    let (path, bytes) = images;
    let ([count, height, width], pixels) = header::<3>(path, bytes, IMAGES_MAGIC)?;
    if height == 0 || width == 0 {
        return Err(bad(path, format!("its images are {height} × {width} pixels")));
    }
    let (label_path, bytes) = labels;
    let ([label_count], labels) = header::<1>(label_path, bytes, LABELS_MAGIC)?;
    if count != label_count {
        return Err(bad(label_path, format!("has {label_count} labels for {count} images")));
    }
    let labels = check_labels(label_path, labels, classes)?;
    let pixels = pixels.to_vec();
    Ok(Part { inputs: Inputs::Images(Images { channels: 1, height, width, pixels }), labels })
}

/// Examples that the header of unpacked IDX content promises; 0 where there is no whole header.
pub(super) fn count(bytes: &[u8]) -> usize {
    let word = bytes.get(4..8).and_then(|word| word.try_into().ok());
    word.map_or(0, |word| u32::from_be_bytes(word) as usize)
}

/// Labels as class numbers, where each is below `classes`.
pub(super) fn check_labels(
    path: &Path,
    labels: &[u8],
    classes: usize,
) -> Result<Vec<usize>, Error> {
    labels
        .iter()
        .enumerate()
        .map(|(i, label)| match usize::from(*label) {
            label if label < classes => Ok(label),
            label => {
                Err(bad(path, format!("label {i} is {label}, but there are {classes} classes")))
            }
        })
        .collect()
}

/// Sizes, and the bytes behind the header, which must be as many as the sizes say.
fn header<'a, const N: usize>(
    path: &Path,
    bytes: &'a [u8],
    magic: u32,
) -> Result<([usize; N], &'a [u8]), Error> {
    let word = |i: usize| {
        let word = bytes.get(4 * i..4 * i + 4)?;
        Some(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
    };
    match word(0) {
        Some(found) if found == magic => {}
        Some(found) => {
            return Err(bad(
                path,
                format!(
                    "begins with {found:#010x}, but an IDX file of this kind begins with {magic:#010x}"
                ),
            ));
        }
        None => return Err(bad(path, "is shorter than an IDX header")),
    }
    let mut sizes = [0; N];
    for (i, size) in sizes.iter_mut().enumerate() {
        *size = word(i + 1).ok_or_else(|| bad(path, "is shorter than an IDX header"))? as usize;
    }
    let body = &bytes[4 * (N + 1)..];
    let expected = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    if expected != Some(body.len()) {
        return Err(bad(
            path,
            format!("holds {} bytes for sizes {sizes:?}: it is truncated or damaged", body.len()),
        ));
    }
    Ok((sizes, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let words = std::iter::once(&magic).chain(sizes).flat_map(|word| word.to_be_bytes());
        words.chain(body.iter().copied()).collect()
    }

    fn load(images: &[u8], labels: &[u8]) -> Result<Part, String> {
        parse((Path::new("images"), images), (Path::new("labels"), labels), 10)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn good_files() {
        let images = idx(IMAGES_MAGIC, &[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let part = load(&images, &idx(LABELS_MAGIC, &[2], &[7, 9])).unwrap();
        assert_eq!(part.labels, [7, 9]);
        let Inputs::Images(images) = part.inputs else { panic!() };
        assert_eq!((images.channels, images.height, images.width), (1, 1, 3));
        assert_eq!(images.example(1), [4, 5, 6]);
    }

    #[test]
    fn bad_files_are_refused_with_a_reason() {
        let images = idx(IMAGES_MAGIC, &[2, 1, 2], &[1, 2, 3, 4]);
        let labels = idx(LABELS_MAGIC, &[2], &[0, 1]);
        for (images, labels, reason) in [
            (&images[..images.len() - 1], &labels[..], "images: holds 3 bytes"),
            (&images[..10], &labels[..], "images: is shorter than an IDX header"),
            (&[][..], &labels[..], "images: is shorter"),
            (&labels[..], &labels[..], "images: begins with 0x00000801"),
            (&images[..], &idx(LABELS_MAGIC, &[1], &[0])[..], "labels: has 1 labels for 2 images"),
            (&images[..], &idx(LABELS_MAGIC, &[2], &[0, 10])[..], "labels: label 1 is 10"),
            (&idx(IMAGES_MAGIC, &[u32::MAX; 3], &[])[..], &labels[..], "truncated or damaged"),
        ] {
            let error = load(images, labels).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
