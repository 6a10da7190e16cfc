use super::Schedule;
use crate::component::Definition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stays at its peak.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constant {}

impl Definition for Constant {
    const NAME: &'static str = "constant";
    const ABOUT: &'static str = "stays at its peak";

    fn words(&self) -> String {
        "constant".to_owned()
    }
}

impl Schedule for Constant {
    fn factor(&self, _: f64) -> f64 {
        1.0
    }
}
