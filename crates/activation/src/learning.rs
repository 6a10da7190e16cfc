//! Which numbers of an activation are learned, and how.

use crate::graph::Graph;
use crate::program::{Program, TILE, Values};
use crate::reference::Reference;
use crate::{BuildError, Dual, Parameter, Parameters, Registration};
use burn::Tensor;
use serde::Deserialize;
use serde_json::Value;

/// Key of the names of learned numbers.
pub(crate) const LEARN: &str = "learn";
const PER: &str = "per";
const FACTOR: &str = "learning_rate_factor";
const DECAY: &str = "weight_decay";

/// Keys of an activation that say how numbers are learned, and are names of no parameter.
pub(crate) const KEYS: [&str; 4] = [LEARN, PER, FACTOR, DECAY];

/// How many values a learned number has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// One at each activation site.
    #[default]
    Site,
    /// One for each channel (or feature) of each site.
    Channel,
    /// One in the network, which all sites with the activation share.
    Network,
}

impl Per {
    /// Every one.
    const ALL: [Self; 3] = [Self::Site, Self::Channel, Self::Network];

    /// Its name in experiments.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Channel => "channel",
            Self::Network => "network",
        }
    }

    /// Values of a number at a site of so many channels.
    #[must_use]
    pub fn values(self, channels: usize) -> usize {
        match self {
            Self::Site | Self::Network => 1,
            Self::Channel => channels,
        }
    }
}

/// Which numbers are learned, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Learning {
    /// Their names, in the order in which the activation declares them.
    pub names: Vec<String>,
    /// Values of each.
    pub per: Per,
    /// The run's learning rate times this is theirs.
    pub learning_rate_factor: f64,
    /// Whether the run's weight decay applies to them.
    pub weight_decay: bool,
}

impl Learning {
    /// Keys of an activation that say how numbers are learned.
    pub const KEYS: [&'static str; 4] = KEYS;

    /// That no number is learned.
    pub(crate) fn nothing() -> Self {
        Self { names: Vec::new(), per: Per::Site, learning_rate_factor: 1.0, weight_decay: false }
    }

    /// What the keys of `given` say of the numbers `registration` has; `default` where they say nothing.
    pub(crate) fn of(registration: &Registration, given: &Parameters) -> Result<Self, BuildError> {
        let mut learning = registration.learning.clone();
        let error = |key: &'static str, value: &Value, right: String| BuildError::Learning {
            activation: registration.called(),
            key,
            value: value.clone(),
            right,
        };
        if let Some(value) = given.get(LEARN) {
            learning.names =
                names(registration, value).map_err(|right| error(LEARN, value, right))?;
        }
        if let Some(value) = given.get(PER) {
            let per = Per::ALL.into_iter().find(|per| value.as_str() == Some(per.word()));
            let wrong = || error(PER, value, "\"site\", \"channel\" or \"network\"".to_owned());
            learning.per = per.ok_or_else(wrong)?;
        }
        if let Some(value) = given.get(FACTOR) {
            let factor = value.as_f64().filter(|factor| (0.0..=1e6).contains(factor));
            let wrong = || error(FACTOR, value, "a number from 0 to 1000000".to_owned());
            learning.learning_rate_factor = factor.ok_or_else(wrong)?;
        }
        if let Some(value) = given.get(DECAY) {
            learning.weight_decay = match (value.as_bool(), value.as_str()) {
                (Some(decays), _) => decays,
                (_, Some("true")) => true,
                (_, Some("false")) => false,
                _ => return Err(error(DECAY, value, "true or false".to_owned())),
            };
        }
        if learning.names.is_empty() {
            if let Some(key) = KEYS[1..].iter().find(|key| given.contains_key(**key)) {
                let right = format!("with `{LEARN}`, which names the numbers that are learned");
                return Err(error(key, &given[*key], right));
            }
            return Ok(Self::nothing());
        }
        Ok(learning)
    }

    /// As keys of an activation; what is at its default is left out.
    pub(crate) fn write(&self, registration: &Registration, parameters: &mut Parameters) {
        let default = &registration.learning;
        if self == default && self.names.is_empty() {
            return;
        }
        parameters.insert(LEARN.to_owned(), self.names.clone().into());
        if self.names.is_empty() {
            return;
        }
        if self.per != Per::Site || default.per != Per::Site {
            parameters.insert(PER.to_owned(), self.per.word().into());
        }
        #[expect(clippy::float_cmp, reason = "the very default")]
        if self.learning_rate_factor != 1.0 {
            parameters.insert(FACTOR.to_owned(), self.learning_rate_factor.into());
        }
        if self.weight_decay {
            parameters.insert(DECAY.to_owned(), true.into());
        }
    }
}

/// The names in `value`: a list, words joined by `+`, `all` or `none`. An error says what would be right.
fn names(registration: &Registration, value: &Value) -> Result<Vec<String>, String> {
    let numbers: Vec<&str> = registration.numbers().map(|number| number.name.as_ref()).collect();
    let right = || match numbers.as_slice() {
        [] => format!("absent: `{}` has no numbers", registration.called()),
        [number] => format!("[\"{number}\"] or [], since only numbers are learned"),
        _ => format!("a list of some of its numbers: {}", numbers.join(", ")),
    };
    let words: Vec<&str> = match value {
        Value::String(all) if all == "all" && !numbers.is_empty() => numbers.clone(),
        Value::String(none) if none == "none" => Vec::new(),
        Value::String(words) => words.split('+').map(str::trim).collect(),
        Value::Array(words) => {
            words.iter().map(Value::as_str).collect::<Option<_>>().ok_or_else(right)?
        }
        _ => return Err(right()),
    };
    if words.iter().any(|word| !numbers.contains(word)) {
        return Err(right());
    }
    // The order of the declaration, each once.
    Ok(numbers.iter().filter(|name| words.contains(name)).map(|name| (*name).to_owned()).collect())
}

/// An activation whose numbers are learned: values and derivatives by inputs and learned numbers, in one pass.
#[derive(Debug, Clone)]
pub struct LearnedFormula {
    graph: Graph,
    inputs: usize,
    numbers: usize,
    forward: Program,
    backward: Program,
}

impl LearnedFormula {
    /// Of `graph` with as many inputs and numbers.
    pub(crate) fn new(graph: Graph, inputs: usize, numbers: usize) -> Self {
        let forward = Program::new(&graph);
        let backward = Program::new(&graph.derivatives(inputs, numbers));
        Self { graph, inputs, numbers, forward, backward }
    }

    /// Inputs: one, or gate and value.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Learned numbers.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.numbers
    }

    /// `y` on the CPU, for slices of one length.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn forward_slice(&self, inputs: &[&[f32]], numbers: &[Values<'_>], y: &mut [f32]) {
        if !self.forward.run(inputs, numbers, &mut [&mut *y]) {
            return;
        }
        let reference = |i: usize| {
            if any_nan(inputs, numbers, i) {
                return f64::NAN;
            }
            let (inputs, numbers) = self.at(inputs, numbers, i);
            self.graph.eval(&inputs, &numbers).0
        };
        mend(y, reference);
    }

    /// The derivatives by each input and then by each learned number on the CPU, for slices of one length.
    ///
    /// # Panics
    /// If lengths differ.
    pub fn derivative_slices(
        &self,
        inputs: &[&[f32]],
        numbers: &[Values<'_>],
        derivatives: &mut [&mut [f32]],
    ) {
        if !self.backward.run(inputs, numbers, derivatives) {
            return;
        }
        for (by, derivatives) in derivatives.iter_mut().enumerate() {
            let reference = |i: usize| {
                if any_nan(inputs, numbers, i) {
                    return f64::NAN;
                }
                let (inputs, numbers) = self.at(inputs, numbers, i);
                self.graph.derivative(&inputs, &numbers, by).derivative().0
            };
            mend(derivatives, reference);
        }
    }

    /// Elements for which [`LearnedFormula::derivative_slices`] works in the cache.
    #[must_use]
    pub const fn tile() -> usize {
        TILE
    }

    fn at(
        &self,
        inputs: &[&[f32]],
        numbers: &[Values<'_>],
        i: usize,
    ) -> (Vec<Reference>, Vec<Reference>) {
        let inputs = inputs.iter().map(|input| Reference::<true>(f64::from(input[i]))).collect();
        (inputs, numbers.iter().map(|number| Reference::<true>(f64::from(number.at(i)))).collect())
    }

    /// Value and derivatives by each input and then by each learned number, in double precision.
    #[must_use]
    pub fn eval(&self, inputs: &[f64], numbers: &[f64]) -> (f64, Vec<f64>) {
        let reference =
            |numbers: &[f64]| numbers.iter().map(|x| Reference::<true>(*x)).collect::<Vec<_>>();
        let (inputs, numbers) = (reference(inputs), reference(numbers));
        let by = |by| self.graph.derivative(&inputs, &numbers, by).derivative().0;
        let derivatives = (0..inputs.len() + numbers.len()).map(by).collect();
        (self.graph.eval(&inputs, &numbers).0, derivatives)
    }

    /// y over tensors of one shape.
    #[must_use]
    pub fn forward<const D: usize>(
        &self,
        inputs: &[Tensor<D>],
        numbers: &[Tensor<D>],
    ) -> Tensor<D> {
        self.graph.eval(inputs, numbers)
    }

    /// The derivatives by each input over tensors of one shape, without autodiff.
    #[must_use]
    pub fn derivatives<const D: usize>(
        &self,
        inputs: &[Tensor<D>],
        numbers: &[Tensor<D>],
    ) -> Vec<Tensor<D>> {
        let by = |by| -> Dual<Tensor<D>> { self.graph.derivative(inputs, numbers, by) };
        (0..inputs.len()).map(|place| by(place).derivative()).collect()
    }
}

/// Whether an input or a number of the element `i` is NaN: what is NaN then need not be computed again.
fn any_nan(inputs: &[&[f32]], numbers: &[Values<'_>], i: usize) -> bool {
    inputs.iter().any(|input| input[i].is_nan())
        || numbers.iter().any(|number| number.at(i).is_nan())
}

/// Puts the reference's figures in the place of NaN.
#[cold]
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
pub(crate) fn mend(figures: &mut [f32], reference: impl Fn(usize) -> f64) {
    for (i, figure) in figures.iter_mut().enumerate().filter(|(_, figure)| figure.is_nan()) {
        *figure = reference(i) as f32;
    }
}

/// Where learned numbers begin, in their order.
pub(crate) fn initial(numbers: &[(&Parameter, f64)], learning: &Learning) -> Vec<f64> {
    let learned =
        |(number, _): &&(&Parameter, f64)| learning.names.iter().any(|name| *name == number.name);
    numbers.iter().filter(learned).map(|(_, value)| *value).collect()
}
