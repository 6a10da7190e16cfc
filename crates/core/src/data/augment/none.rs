use super::{Augmentation, Background};
use crate::component::Definition;
use crate::data::Images;
use crate::stream::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nothing changes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unchanged {}

impl Definition for Unchanged {
    const NAME: &'static str = "none";
    const ABOUT: &'static str = "images as they are";

    fn words(&self) -> String {
        String::new()
    }
}

impl Augmentation for Unchanged {
    fn skip(&self, _: &mut Stream) {}

    fn apply(&self, _: &Images, pixels: Vec<f32>, _: Background<'_>, _: &mut Stream) -> Vec<f32> {
        pixels
    }
}
