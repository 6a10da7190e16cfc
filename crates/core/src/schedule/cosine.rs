use super::Schedule;
use crate::component::Definition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Half a cosine down to zero (Loshchilov and Hutter 2017).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cosine {}

impl Definition for Cosine {
    const NAME: &'static str = "cosine";
    const ABOUT: &'static str = "half a cosine down to zero";
    const CITATION: &'static str = "Loshchilov and Hutter 2017, arXiv:1608.03983";

    fn words(&self) -> String {
        "cosine to zero".to_owned()
    }
}

impl Schedule for Cosine {
    fn factor(&self, progress: f64) -> f64 {
        f64::midpoint(1.0, libm::cos(PI * progress))
    }
}
