//! Where a network has activations, and which.

use crate::Error;
use crate::model::Pass;
use crate::pattern::matches;
use activation::{Activation, Kind, Learning, Per};
use burn::Tensor;
use burn::module::{Module, Param, ParamId};
use burn::tensor::Device;
use std::cell::RefCell;
use std::sync::Arc;

/// An activation for every site of a network: one, and others where a pattern says so.
#[derive(Debug, Clone)]
pub struct Activations {
    default: Arc<Activation>,
    /// Patterns of site names; the last one that matches decides.
    rules: Vec<(String, Arc<Activation>)>,
}

impl From<Arc<Activation>> for Activations {
    fn from(default: Arc<Activation>) -> Self {
        Self { default, rules: Vec::new() }
    }
}

impl Activations {
    /// `default` at every site but for those that a pattern of `rules` matches; where several do, the last one decides.
    /// A `*` in a pattern stands for any characters, as in `blocks.0.*`.
    #[must_use]
    pub fn new(default: Arc<Activation>, rules: Vec<(String, Arc<Activation>)>) -> Self {
        Self { default, rules }
    }

    /// The activation of the sites that no pattern matches.
    #[must_use]
    pub fn main(&self) -> &Arc<Activation> {
        &self.default
    }

    /// The activation of the site called `name`.
    #[must_use]
    pub fn at(&self, name: &str) -> &Arc<Activation> {
        let rule = self.rules.iter().rev().find(|(pattern, _)| matches(pattern, name));
        rule.map_or(&self.default, |(_, activation)| activation)
    }

    /// Refuses a pattern that matches none of `sites`.
    ///
    /// # Errors
    /// If there is one; the error lists the sites.
    pub fn check(&self, sites: &[SiteInfo]) -> Result<(), Error> {
        let unused =
            |(pattern, _): &&(String, _)| !sites.iter().any(|site| matches(pattern, &site.name));
        let Some((pattern, _)) = self.rules.iter().find(unused) else { return Ok(()) };
        let names: Vec<&str> = sites.iter().map(|site| site.name.as_str()).collect();
        Err(Error::spec(
            "",
            format!("`{pattern}` matches no activation site; the sites are {}", names.join(", ")),
        ))
    }
}

/// What is known of a site before the network is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteInfo {
    /// Its name, as in `blocks.0.inner`.
    pub name: String,
    /// Units that leave it: channels or features.
    pub width: usize,
    /// Whether a gated activation has gate and value there; elsewhere its gate alone is the nonlinearity.
    pub gated: bool,
    /// Label of its activation.
    pub activation: String,
    /// Values that its activation learns and the site keeps: none where it shares those of a site before it.
    pub learned: usize,
}

/// What is learned at a site of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedSite {
    /// Name of the site; where others share its numbers, as in `stem and others`.
    pub site: String,
    /// The parameter that holds the numbers, of shape `[numbers, 1]` or `[numbers, channels]`.
    pub id: ParamId,
    /// Which numbers, and how they are learned.
    pub learning: Learning,
    /// Where they begin.
    pub initial: Vec<f64>,
}

/// Hands out the activation sites of one network, and remembers which it was asked for.
#[derive(Debug)]
pub struct Sites<'a> {
    activations: &'a Activations,
    /// Where networks are built; none where only their layout is asked for.
    device: Option<&'a Device>,
    asked: RefCell<Vec<SiteInfo>>,
    learned: RefCell<Vec<LearnedSite>>,
    /// Activations whose numbers sites share, one for all that are the same.
    shared: RefCell<Vec<Arc<Activation>>>,
}

impl<'a> Sites<'a> {
    /// Sites with these activations, to learn of a layout.
    #[must_use]
    pub fn new(activations: &'a Activations) -> Self {
        Self {
            activations,
            device: None,
            asked: RefCell::new(Vec::new()),
            learned: RefCell::new(Vec::new()),
            shared: RefCell::new(Vec::new()),
        }
    }

    /// Sites with these activations for a network on `device`, where learned numbers are made.
    #[must_use]
    pub fn on(device: &'a Device, activations: &'a Activations) -> Self {
        Self { device: Some(device), ..Self::new(activations) }
    }

    /// The site called `name`, of `width` units, that takes one input: the nonlinearity of a gated activation is that of its gate
    /// alone.
    ///
    /// Sites are asked for in the order of the forward pass: the first one with an activation keeps the numbers that all
    /// sites with it share.
    #[must_use]
    pub fn pointwise(&self, name: impl Into<String>, width: usize) -> Site {
        self.site(name.into(), width, false)
    }

    /// The site called `name`, where a gated activation has gate and value. The width of the layer before it is
    /// [`Site::fan`] times `width`, which may depend on the site's fan.
    #[must_use]
    pub fn gated(&self, name: impl Into<String>, width: impl Fn(usize) -> usize) -> Site {
        let name = name.into();
        let fan = fan(self.activations.at(&name));
        self.site(name, width(fan), true)
    }

    fn site(&self, name: String, width: usize, gated: bool) -> Site {
        let activation = Arc::clone(self.activations.at(&name));
        let learned = activation.learned();
        let shared = learned.is_some_and(|learned| learned.learning().per == Per::Network);
        // The first site with an activation keeps the numbers that all of them share.
        let first = shared && !self.shared.borrow().iter().any(|other| same(other, &activation));
        if first {
            self.shared.borrow_mut().push(Arc::clone(&activation));
        }
        let keeps = first || !shared;
        let learned = learned.filter(|_| keeps);
        let each = learned.map_or(0, |learned| learned.learning().per.values(width));
        let numbers = learned.and_then(|learned| {
            let values: Vec<f32> = learned
                .initial()
                .iter()
                .flat_map(|value| std::iter::repeat_n(single(*value), each))
                .collect();
            let shape = [learned.initial().len(), each];
            let device = self.device?;
            let tensor = Tensor::<1>::from_floats(values.as_slice(), device).reshape(shape);
            let param = Param::from_tensor(tensor);
            self.learned.borrow_mut().push(LearnedSite {
                site: if shared { format!("{name} and others") } else { name.clone() },
                id: param.id,
                learning: learned.learning().clone(),
                initial: learned.initial().to_vec(),
            });
            Some(param)
        });
        self.asked.borrow_mut().push(SiteInfo {
            name: name.clone(),
            width,
            gated,
            activation: activation.label(),
            learned: learned.map_or(0, |learned| learned.initial().len() * each),
        });
        Site { name, width, gated, activation, numbers, shared }
    }

    /// What is learned at the sites of the network that was built with these.
    #[must_use]
    pub fn into_learned(self) -> Vec<LearnedSite> {
        self.learned.into_inner()
    }

    /// The activations of the sites that it was asked for, each once.
    pub(crate) fn in_use(&self) -> Vec<Arc<Activation>> {
        let mut found: Vec<Arc<Activation>> = Vec::new();
        for site in self.asked.borrow().iter() {
            let activation = self.activations.at(&site.name);
            if !found.iter().any(|one| Arc::ptr_eq(one, activation)) {
                found.push(Arc::clone(activation));
            }
        }
        found
    }

    /// Every site that was asked for, in that order.
    #[must_use]
    pub fn into_asked(self) -> Vec<SiteInfo> {
        self.asked.into_inner()
    }
}

/// Whether two activations are one: of one formula, with the same numbers, which are learned alike.
pub(crate) fn same(one: &Activation, other: &Activation) -> bool {
    one.registration().name == other.registration().name && one.parameters() == other.parameters()
}

/// Inputs of an activation: one, or gate and value.
fn fan(activation: &Arc<Activation>) -> usize {
    match activation.kind() {
        Kind::Pointwise(_) => 1,
        Kind::Gated(_) => 2,
    }
}

/// One place in a network where an activation stands.
#[derive(Module, Debug)]
pub struct Site {
    #[module(skip)]
    name: String,
    width: usize,
    gated: bool,
    #[module(skip)]
    activation: Arc<Activation>,
    /// What it learns, of shape `[numbers, 1]` or `[numbers, channels]`.
    numbers: Option<Param<Tensor<2>>>,
    /// Whether what it learns is that of every site with its activation: the one that was asked for first has `numbers`.
    shared: bool,
}

/// Name of the learned numbers in the path of a parameter.
const NUMBERS: &str = "numbers";

/// Whether the parameter at `path` holds the learned numbers of a site.
pub(crate) fn holds_numbers(path: &str) -> bool {
    path.rsplit('.').next() == Some(NUMBERS)
}

#[expect(clippy::cast_possible_truncation, reason = "parameters are single precision")]
fn single(value: f64) -> f32 {
    value as f32
}

impl Site {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Units that leave it.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Inputs of each unit: two where a gated activation has gate and value, otherwise one.
    #[must_use]
    pub fn fan(&self) -> usize {
        if self.gated { fan(&self.activation) } else { 1 }
    }

    /// Its activation.
    #[must_use]
    pub fn activation(&self) -> &Arc<Activation> {
        &self.activation
    }

    /// Label of its activation.
    #[must_use]
    pub fn label(&self) -> String {
        self.activation.label()
    }

    /// Its activation, for kernels that apply it with another operation; none where it learns, so that it must stand
    /// alone. Where [`Site::fan`] is 1, its nonlinearity is meant.
    #[must_use]
    pub fn fixed_activation(&self) -> Option<&Arc<Activation>> {
        if self.numbers.is_none() && !self.shared { Some(&self.activation) } else { None }
    }

    /// The activation of `x`, whose last dimension holds [`Site::fan`] times [`Site::width`] units: where that is two,
    /// the first half is the gate and the second the value.
    ///
    /// # Panics
    /// If it shares learned numbers, and the pass has not met the site that was asked for first (see [`Sites::pointwise`]).
    #[must_use]
    pub fn forward<const D: usize>(&self, x: Tensor<D>, pass: &mut Pass<'_>) -> Tensor<D> {
        let own = self.numbers.as_ref().map(Param::val);
        let numbers = if self.shared { Some(pass.shared(&self.activation, own)) } else { own };
        if let Some(numbers) = numbers {
            return pass.learned(&self.activation, &self.name, self.fan(), x, numbers);
        }
        if self.fan() == 2 {
            return pass.activation(&self.activation, &self.name, x);
        }
        pass.nonlinearity(&self.activation, &self.name, x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use {activation_gelu as _, activation_relu as _};

    #[test]
    fn the_last_pattern_decides_and_one_without_a_site_is_refused() {
        let [relu, gelu] = ["relu", "gelu"].map(activation_testing::activation);
        let rules =
            vec![("blocks.*".to_owned(), relu.clone()), ("*.inner".to_owned(), gelu.clone())];
        let activations = Activations::new(gelu, rules);
        let sites = Sites::new(&activations);
        let _ = sites.pointwise("blocks.0.outer", 3);
        let inner = sites.gated("blocks.0.inner", |fan| 10 * fan);
        assert_eq!((inner.fan(), inner.width()), (1, 10));
        let asked = sites.into_asked();
        let labels: Vec<&str> = asked.iter().map(|site| site.activation.as_str()).collect();
        assert_eq!(labels, ["relu", "gelu"]);
        assert!(activations.check(&asked).is_ok());
        let error = activations.check(&asked[..0]).unwrap_err().to_string();
        assert_eq!(error, "`blocks.*` matches no activation site; the sites are ");
        let error = activations.check(&asked[..1]).unwrap_err().to_string();
        assert_eq!(error, "`*.inner` matches no activation site; the sites are blocks.0.outer");
    }

    #[test]
    fn sites_with_one_activation_share_its_numbers_and_others_do_not() {
        // Two formulas of one name are two activations.
        let [one, other] = [
            "mine: b * x where b=1, learn=b, per=network",
            "mine: b * x + c where b=2, c=3, learn=all, per=network",
        ]
        .map(activation_testing::activation);
        let activations = Activations::new(one, vec![("*.outer".to_owned(), other)]);
        let device = Device::flex();
        let sites = Sites::on(&device, &activations);
        let built = ["stem", "0.outer", "0.inner", "1.outer"].map(|name| sites.pointwise(name, 2));
        let mut pass = Pass::evaluation();
        let y = built.map(|site| {
            let x = Tensor::<2>::from_floats([[1.0, -1.0]], &device);
            site.forward(x, &mut pass).to_data().iter::<f32>().collect::<Vec<_>>()
        });
        assert_eq!(y, [[1.0, -1.0], [5.0, 1.0], [1.0, -1.0], [5.0, 1.0]]);
        let learned: Vec<String> = sites.into_learned().into_iter().map(|one| one.site).collect();
        assert_eq!(learned, ["stem and others", "0.outer and others"]);
    }
}
