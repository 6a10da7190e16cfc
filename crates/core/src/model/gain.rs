//! Gains of weights that stand before activations.

use crate::Error;
use crate::sites::{Site, Sites};
use activation::Activation;
use activation::properties::Moments;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The gain of weights before an activation: they are normal with variance gain² / fan-in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gain {
    /// √2 for every activation (He et al. 2015), so that all start alike.
    #[default]
    He,
    /// 1/√E[f(z)²] of the activation behind the weights, for z ~ N(0, 1), which keeps the variance of layers.
    Matched,
    /// What the card of the activation states as the gain of its paper; √2 where it states none.
    Paper,
}

/// gain² of [`Gain::He`].
const HE: f64 = 2.0;

/// Inputs up to which an activation's conditions are looked for: beyond, the normal distribution has no weight.
const TAIL: f64 = 12.0;

impl Gain {
    /// Whether it is the default, which identities of runs do not mention.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Words of a report behind the name of a model; nothing for the default.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::He => "",
            Self::Matched => ", initial weights matched to the activation",
            Self::Paper => ", initial weights by the activation's paper",
        }
    }

    /// Refuses activations at `sites` to which no weights can be matched.
    ///
    /// # Errors
    /// If E[f²] of one is 0 or not finite.
    pub(super) fn check(self, sites: &Sites<'_>) -> Result<(), Error> {
        if self == Self::Matched {
            for activation in sites.in_use() {
                self.square(&activation)?;
            }
        }
        Ok(())
    }

    /// gain² before `activation`.
    ///
    /// # Errors
    /// If E[f²] is 0 or not finite.
    fn square(self, activation: &Activation) -> Result<f64, Error> {
        match self {
            Self::He => Ok(HE),
            Self::Paper => {
                let stated = activation.registration().card.gain;
                Ok(stated.map_or(HE, |gain| gain * gain))
            }
            Self::Matched => {
                let moments = Moments::of(activation.nonlinearity(), &activation.changes(TAIL));
                let square = 1.0 / moments.second;
                if square.is_finite() && square > 0.0 {
                    return Ok(square);
                }
                let reason = format!(
                    "is matched, but E[f(z)²] of {} is {} for z ~ N(0, 1), which no weights can match",
                    activation.label(),
                    moments.second
                );
                Err(Error::spec("init", reason))
            }
        }
    }
}

/// gain² of the weights of a network that are not those of [`Gain::He`], by the paths of their layers.
#[derive(Debug, Clone, Default)]
pub(super) struct Gains(Vec<(String, f64)>);

impl Gains {
    /// Those before `sites`, which are pairs of a layer's path and the site behind it.
    pub(super) fn new<'a>(
        gain: Gain,
        sites: impl IntoIterator<Item = (String, &'a Site)>,
    ) -> Result<Self, Error> {
        let mut gains = Vec::new();
        // An activation at many sites is looked at once.
        let mut known: Vec<(&Arc<Activation>, f64)> = Vec::new();
        for (layer, site) in sites.into_iter().filter(|_| gain != Gain::He) {
            let activation = site.activation();
            let found = known.iter().find(|(one, _)| Arc::ptr_eq(one, activation));
            let square = match found {
                Some((_, square)) => *square,
                None => gain.square(activation)?,
            };
            known.push((activation, square));
            gains.push((layer, square));
        }
        Ok(Self(gains))
    }

    /// gain² of the layer at `path`.
    pub(super) fn square(&self, path: &str) -> f64 {
        let found = self.0.iter().find(|(layer, _)| layer == path);
        found.map_or(HE, |(_, square)| *square)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component;
    use crate::model::{Head, InputShape, Interface, Layout, ModelRegistration, initialize};
    use crate::model::{Mlp, Model, Network, Resnet, named_parameters};
    use crate::parameters::{TensorVisitor, for_each_tensor};
    use crate::sites::Activations;
    use activation_testing::activation;
    use burn::Tensor;
    use burn::module::ParamId;
    use burn::tensor::Device;
    use record::Component;
    use std::collections::BTreeMap;
    use {activation_cards as _, activation_relu as _, activation_silu as _};

    const IMAGES: Interface = Interface {
        inputs: InputShape::Images { channels: 1, height: 8, width: 8 },
        head: Head::Classes(10),
    };

    /// Standard deviation of every weight of an initialized network, by name.
    fn deviations<N: Network>(network: N) -> BTreeMap<String, f64> {
        struct Found(BTreeMap<String, f64>);

        impl TensorVisitor for Found {
            fn tensor<const D: usize>(&mut self, name: &str, _: ParamId, tensor: Tensor<D>) {
                let values: Vec<f32> = tensor.into_data().iter::<f32>().collect();
                let square: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
                self.0.insert(name.to_owned(), (square / values.len() as f64).sqrt());
            }
        }

        let mut found = Found(BTreeMap::new());
        for_each_tensor(&initialize(network, 1), &mut found);
        found.0
    }

    fn resnet(init: Gain, name: &str) -> BTreeMap<String, f64> {
        let activations = Activations::from(activation(name));
        let model = Resnet { depth: 8, width: 16, init };
        deviations(model.build(&IMAGES, &Sites::new(&activations), &Device::flex()).unwrap())
    }

    /// E[f²] of SiLU is 0.35577, of ReLU ½; the head keeps its own.
    #[test]
    fn what_no_weights_can_match_is_refused_with_the_layout() {
        let layout = |model: &str, inputs: InputShape, activations: &Activations| {
            let mut model = Component::named(model).with("init", "matched");
            model = match model.name.as_str() {
                "resnet" => model.with("depth", 8),
                _ => model.with("widths", vec![4]),
            };
            let interface = Interface { inputs, head: Head::Classes(10) };
            Layout::new(&model, &interface, activations).map_err(|error| error.to_string())
        };
        let images = InputShape::Images { channels: 1, height: 8, width: 8 };
        let none = Activations::new(activation("0 * x"), Vec::new());
        let refused = layout("resnet", images, &none).unwrap_err();
        assert!(refused.starts_with("is matched, but E[f(z)²] of 0 * x is 0"), "{refused}");
        assert!(layout("mlp", images, &none).is_err());
        // One that no site has is no matter.
        let elsewhere = Activations::new(
            activation("relu"),
            vec![("*".to_owned(), activation("0 * x")), ("*".to_owned(), activation("silu"))],
        );
        assert!(layout("mlp", images, &elsewhere).is_ok());
    }

    #[test]
    fn weights_of_a_resnet_are_scaled_before_each_activation() {
        let (he, matched) = (resnet(Gain::He, "silu"), resnet(Gain::Matched, "silu"));
        for (name, deviation) in &he {
            let ratio = matched[name] / deviation;
            let right = if name.contains("conv") { 1.676_54 / 2.0_f64.sqrt() } else { 1.0 };
            assert!(ratio.is_nan() || (ratio - right).abs() < 1e-4, "{name}: {ratio} {right}");
        }
        assert_eq!(he.keys().filter(|name| name.contains("conv")).count(), 7);
        let relu = [Gain::He, Gain::Matched, Gain::Paper].map(|init| resnet(init, "relu"));
        for name in relu[0].keys().filter(|name| name.contains("conv")) {
            assert!((relu[1][name] / relu[0][name] - 1.0).abs() < 1e-6, "{name}");
            assert_eq!(relu[0][name], relu[2][name]);
        }
        // Klambauer et al. 2017: variance 1/fan-in.
        let selu = resnet(Gain::Paper, "selu");
        let ratio =
            selu["blocks.1.conv2.weight"] / resnet(Gain::He, "selu")["blocks.1.conv2.weight"];
        assert!((ratio - 0.5_f64.sqrt()).abs() < 1e-6, "{ratio}");
    }

    #[test]
    fn weights_of_an_mlp_are_scaled_before_each_activation() {
        let deviations = |init: &str| {
            let parameters = serde_json::json!({ "widths": [64, 64], "init": init });
            let model: Mlp = serde_json::from_value(parameters).unwrap();
            let rules = vec![("hidden.1".to_owned(), activation("selu"))];
            let activations = Activations::new(activation("silu"), rules);
            let network = model.build(&IMAGES, &Sites::new(&activations), &Device::flex()).unwrap();
            assert!(named_parameters(&network).len() >= 6);
            deviations(network)
        };
        let (he, matched) = (deviations("he"), deviations("matched"));
        for (name, right) in [
            ("hidden.0.linear.weight", 1.676_54 / 2.0_f64.sqrt()),
            ("hidden.1.linear.weight", 0.5_f64.sqrt()),
            ("head.weight", 1.0),
        ] {
            assert!((matched[name] / he[name] - right).abs() < 1e-4, "{name}");
        }
    }

    /// A resnet that says nothing of it has the identity that it always had.
    #[test]
    fn the_default_is_not_in_identities() {
        let resolved = |init: Option<&str>| {
            let model = Component::named("resnet").with("depth", 8);
            let model = init.map_or(model.clone(), |init| model.with("init", init));
            component::resolve::<ModelRegistration>(&model).unwrap().parameters
        };
        assert!(!resolved(None).contains_key("init"));
        assert_eq!(resolved(None), resolved(Some("he")));
        assert_eq!(resolved(Some("matched"))["init"], "matched");
    }
}
