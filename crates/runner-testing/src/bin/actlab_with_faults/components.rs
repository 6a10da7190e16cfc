//! A model and a data set as a crate outside of the workspace adds them: this file is all that is written for both.

use actlab_core::component::{Definition, check_all};
use actlab_core::data::{Batch, DataSource, Dataset, Features, Inputs, Loading, Part};
use actlab_core::model::{
    Head, Initializer, InputShape, Interface, Model, ModelSize, Network, Pass,
};
use actlab_core::sites::{Site, Sites};
use actlab_core::stream::Stream;
use actlab_core::{Error, register_component};
use burn::Tensor;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

register_component!(ModelRegistration: Shallow);
register_component!(DatasetRegistration: Rings);

/// A network with one hidden layer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Shallow {
    /// Units of the hidden layer.
    units: usize,
}

impl Definition for Shallow {
    const NAME: &'static str = "shallow";
    const ABOUT: &'static str = "one hidden layer, for features";

    fn check(&self) -> Result<(), Error> {
        check_all([("units", (1..=1024).contains(&self.units), "must be from 1 to 1024")])
    }

    fn words(&self) -> String {
        format!("one hidden layer of {} units", self.units)
    }
}

impl Shallow {
    /// Features, classes, and the site between.
    fn shape(
        &self,
        interface: &Interface,
        sites: &Sites<'_>,
    ) -> Result<(usize, Site, usize), Error> {
        let InputShape::Features { width } = interface.inputs else {
            return Err(interface.inputs.refused("this model takes features"));
        };
        let Head::Classes(classes) = interface.head else {
            return Err(interface.head.refused("this model"));
        };
        // A gated activation has two inputs for each unit, and two thirds of the units.
        let units = |fan| if fan == 2 { (2 * self.units).div_ceil(3) } else { self.units };
        Ok((width, sites.gated("hidden", units), classes))
    }
}

impl Model for Shallow {
    type Network = ShallowNetwork;

    fn size(&self, interface: &Interface, sites: &Sites<'_>) -> Result<ModelSize, Error> {
        let (width, site, classes) = self.shape(interface, sites)?;
        let made = site.fan() * site.width();
        let products = width * made + site.width() * classes;
        let parameters = (products + made + classes) as u64;
        Ok(ModelSize { parameters, flops: 2 * products as u64 })
    }

    fn build(
        &self,
        interface: &Interface,
        sites: &Sites<'_>,
        device: &Device,
    ) -> Result<ShallowNetwork, Error> {
        let (width, site, classes) = self.shape(interface, sites)?;
        Ok(ShallowNetwork {
            inner: LinearConfig::new(width, site.fan() * site.width()).init(device),
            outer: LinearConfig::new(site.width(), classes).init(device),
            site,
        })
    }
}

#[derive(Module, Debug)]
struct ShallowNetwork {
    inner: Linear,
    site: Site,
    outer: Linear,
}

impl Network for ShallowNetwork {
    fn forward(&self, batch: &Batch, pass: &mut Pass<'_>) -> Tensor<2> {
        let x = self.inner.forward(batch.inputs.flattened());
        self.outer.forward(self.site.forward(x, pass))
    }

    fn initializer(&self, name: &str, shape: &[usize]) -> Initializer {
        match (name.ends_with("weight"), shape) {
            (true, [inputs, _]) => Initializer::Normal((2.0 / *inputs as f64).sqrt()),
            // Burn draws biases from a generator of its own.
            _ => Initializer::Uniform(0.1),
        }
    }
}

/// Points on two rings around the origin.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rings {
    /// Standard deviation of a point's distance from its ring.
    #[serde(default = "noise")]
    noise: f64,
}

fn noise() -> f64 {
    0.1
}

impl Definition for Rings {
    const NAME: &'static str = "rings";
    const ABOUT: &'static str = "points on two rings";

    fn check(&self) -> Result<(), Error> {
        check_all([("noise", (0.0..1.0).contains(&self.noise), "must be at least 0 and below 1")])
    }

    fn words(&self) -> String {
        format!("points on two rings, noise {}", self.noise)
    }
}

impl DataSource for Rings {
    fn load(&self, _: &Loading<'_>) -> Result<Dataset, Error> {
        let part = |name: &str, points: usize| {
            let mut stream = Stream::new(0, name);
            let labels: Vec<usize> = (0..points).map(|_| stream.below(2)).collect();
            let noise = stream.normal(3 * points, 1.0);
            let point = |(label, noise): (&usize, &[f32])| {
                let radius = 1.0 + *label as f32 + self.noise as f32 * noise[0];
                let length = (noise[1] * noise[1] + noise[2] * noise[2]).sqrt();
                [radius * noise[1] / length, radius * noise[2] / length]
            };
            let values = labels.iter().zip(noise.chunks(3)).flat_map(point).collect();
            Part { inputs: Inputs::Features(Features { width: 2, values }), labels }
        };
        Ok(Dataset {
            name: Self::NAME.to_owned(),
            classes: vec!["inner".to_owned(), "outer".to_owned()],
            train: part("train", 512),
            validation: part("validation", 128),
            test: part("test", 256),
            sha256: format!("rings 1, noise {}", self.noise),
            differences: Vec::new(),
        })
    }
}
