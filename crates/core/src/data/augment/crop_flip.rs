use super::{Augmentation, Background};
use crate::component::Definition;
use crate::data::Images;
use crate::stream::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pixels of padding on each side before a crop (He et al. 2016, section 4.2).
const PADDING: usize = 4;

/// A random crop after padding by 4 pixels, and a horizontal flip with probability ½ (He et al. 2016).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CropFlip {}

impl Definition for CropFlip {
    const NAME: &'static str = "crop_flip";
    const ABOUT: &'static str =
        "a random crop after padding by 4 pixels, and a flip with probability ½";
    const CITATION: &'static str = "He et al. 2016, arXiv:1512.03385, section 4.2";

    fn words(&self) -> String {
        "random crops and flips".to_owned()
    }
}

impl Augmentation for CropFlip {
    fn skip(&self, stream: &mut Stream) {
        Crop::draw(stream);
    }

    fn apply(
        &self,
        images: &Images,
        pixels: Vec<f32>,
        background: Background<'_>,
        stream: &mut Stream,
    ) -> Vec<f32> {
        crop_flip(images, &pixels, background, stream)
    }
}

/// What a random crop does to an image.
struct Crop {
    top: usize,
    left: usize,
    flip: bool,
}

impl Crop {
    /// All that an image takes from the stream.
    fn draw(stream: &mut Stream) -> Self {
        let (top, left) = (stream.below(2 * PADDING + 1), stream.below(2 * PADDING + 1));
        Self { top, left, flip: stream.coin() }
    }
}

/// A random crop of the zero-padded image, mirrored with probability ½.
///
/// `background` is the normalized value of each channel outside the image; `pixels` is normalized,
/// `[channel, row, column]`.
fn crop_flip(
    images: &Images,
    pixels: &[f32],
    background: Background<'_>,
    stream: &mut Stream,
) -> Vec<f32> {
    let (height, width) = (images.height, images.width);
    let Crop { top, left, flip } = Crop::draw(stream);
    let mut out = Vec::with_capacity(pixels.len());
    for (plane, background) in pixels.chunks_exact(height * width).zip(background) {
        for row in 0..height {
            for column in 0..width {
                let column = if flip { width - 1 - column } else { column };
                let source =
                    (row + top).checked_sub(PADDING).zip((column + left).checked_sub(PADDING));
                out.push(match source {
                    Some((row, column)) if row < height && column < width => {
                        plane[row * width + column]
                    }
                    _ => *background,
                });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_shift_and_flips_mirror() {
        let images = Images { channels: 1, height: 3, width: 3, pixels: Vec::new() };
        let pixels: Vec<f32> = (1..=9).map(|x| x as f32).collect();
        let (mut unchanged, mut mirrored, mut moved) = (0, 0, 0);
        let mut stream = Stream::new(0, "test");
        for _ in 0..2000 {
            let out = crop_flip(&images, &pixels, &[0.0], &mut stream);
            assert_eq!(out.len(), 9);
            match out.as_slice() {
                [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0] => unchanged += 1,
                [3.0, 2.0, 1.0, 6.0, 5.0, 4.0, 9.0, 8.0, 7.0] => mirrored += 1,
                _ => moved += 1,
            }
        }
        // Each has probability 1/162.
        assert!(
            (3..30).contains(&unchanged) && (3..30).contains(&mirrored),
            "{unchanged} {mirrored}"
        );
        assert!(moved > 1900);
    }
}
