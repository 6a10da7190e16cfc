//! Random changes to training images.

mod crop_flip;
mod none;

pub use crop_flip::CropFlip;
pub use none::Unchanged;

use super::Images;
use crate::Error;
use crate::component::{self, Definition, Entry, Registration};
use crate::stream::Stream;
use record::Component;
use std::fmt::Debug;

/// Name of the stream that augmentation draws from.
pub(crate) const STREAM: &str = "augmentation";

/// The normalized value of each channel outside of an image.
pub type Background<'a> = &'a [f32];

/// How training images are changed at random.
pub trait Augmentation: Debug + Send + Sync {
    /// Takes from the stream what one image takes.
    fn skip(&self, stream: &mut Stream);

    /// The changed image of one whose `pixels`, `[channel, row, column]`, are normalized; `images` tells the size.
    fn apply(
        &self,
        images: &Images,
        pixels: Vec<f32>,
        background: Background<'_>,
        stream: &mut Stream,
    ) -> Vec<f32>;
}

/// A registered augmentation.
#[derive(Debug)]
pub struct AugmentationRegistration {
    entry: Entry,
    build: fn(&Component) -> Result<Box<dyn Augmentation>, Error>,
}

impl AugmentationRegistration {
    /// That of `D`, which `package` registers.
    #[must_use]
    pub const fn of<D: Definition + Augmentation>(package: &'static str) -> Self {
        Self {
            entry: Entry::of::<D>(package),
            build: |component| Ok(Box::new(component::parameters::<D>(component)?)),
        }
    }
}

inventory::collect!(AugmentationRegistration);

impl Registration for AugmentationRegistration {
    const KIND: &'static str = "augmentation";

    fn entry(&self) -> &Entry {
        &self.entry
    }
}

crate::register_component!(AugmentationRegistration: CropFlip, Unchanged);

/// The augmentation that `component` names.
///
/// # Errors
/// If it is unknown, or a parameter is wrong.
pub(crate) fn build(component: &Component) -> Result<Box<dyn Augmentation>, Error> {
    component::find::<AugmentationRegistration>(&component.name)
        .and_then(|registration| (registration.build)(component))
        .map_err(|error| error.within("augmentation"))
}

/// The stream of augmentation after `examples` training examples.
pub(crate) fn augmentation_after(rule: &dyn Augmentation, seed: u64, examples: u64) -> Stream {
    let mut stream = Stream::new(seed, STREAM);
    for _ in 0..examples {
        rule.skip(&mut stream);
    }
    stream
}
