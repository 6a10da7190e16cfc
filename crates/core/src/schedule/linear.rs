use super::Schedule;
use crate::component::Definition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A straight line down to zero.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {}

impl Definition for Linear {
    const NAME: &'static str = "linear";
    const ABOUT: &'static str = "a straight line down to zero";

    fn words(&self) -> String {
        "linear to zero".to_owned()
    }
}

impl Schedule for Linear {
    fn factor(&self, progress: f64) -> f64 {
        1.0 - progress
    }
}
