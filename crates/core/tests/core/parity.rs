//! Every model against PyTorch: logits, loss, gradients, running statistics.
//!
//! `scripts/pytorch_fixtures.py`, `scripts/pytorch_model_fixtures.py` and `scripts/pytorch_autocast.py` write the
//! fixtures.

use activation_testing::activation;
use actlab_core::data::{Answers, Batch, BatchInputs, Share, Targets};
use actlab_core::model::{
    BertConfig, Gpt, Head, InputShape, Interface, Mlp, Model, Network, Pass, ResNetConfig,
};
use actlab_core::sites::{Activations, Sites};
use actlab_core::stream::Draws;
use burn::Tensor;
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, TensorData};
use record::Precision;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Relative to the largest magnitude in the tensor: single precision, sums in another order.
const TOLERANCE: f64 = 1e-4;

/// Of bf16 and f16: of logits relative to the largest, and of the gradient as a whole. Both sides round the same
/// operands, but PyTorch keeps what lies between products in half precision too, so that errors of rounding are alike in
/// size and not the same; its own distances to f32 are up to 1.2 % and 1.8 % in bf16, a tenth of that in f16.
const HALF_TOLERANCES: [(Precision, &str, f64, f64); 2] =
    [(Precision::Bf16, "bf16", 0.015, 0.03), (Precision::F16, "f16", 0.002, 0.003)];

/// What the loss is multiplied with in f16, as the fixtures' was.
const LOSS_SCALE: f64 = 1024.0;

/// What PyTorch's autocast makes of a fixture.
#[derive(Deserialize)]
struct Autocast {
    logits: Array,
    loss: f64,
    gradients: BTreeMap<String, Array>,
}

#[derive(Deserialize)]
struct Fixture {
    #[serde(skip)]
    name: String,
    config: serde_json::Value,
    activation: String,
    label_smoothing: f64,
    parameters: BTreeMap<String, Array>,
    input: Array,
    labels: Vec<i64>,
    /// Of the rows of logits in `[batch · tokens]`, where not every position has one.
    positions: Option<Vec<i64>>,
    logits: Array,
    loss: f64,
    gradients: BTreeMap<String, Array>,
    #[serde(default)]
    running_after: BTreeMap<String, Array>,
    eval_logits: Option<Array>,
}

#[derive(Deserialize)]
struct Array {
    shape: Vec<usize>,
    data: Vec<f64>,
    /// Tokens of each sequence of an input of token ids.
    lengths: Option<Vec<usize>>,
}

fn read(name: &str) -> serde_json::Value {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl Fixture {
    fn load(name: &str) -> Self {
        let fixture: Self = serde_json::from_value(read(name)).unwrap();
        Self { name: name.to_owned(), ..fixture }
    }

    /// Values over which the batch norm called `name` averages: examples times pixels.
    fn batch_elements(&self, name: &str) -> usize {
        if self.config["depth"].is_null() {
            return self.input.shape[0];
        }
        let per_stage = (self.number("depth") - 2) / 6;
        let block = name.strip_prefix("blocks.").and_then(|rest| rest.split('.').next());
        let stage = block.map_or(0, |block| block.parse::<usize>().unwrap() / per_stage);
        let size = (0..stage).fold(self.number("image_size"), |size, _| size.div_ceil(2));
        self.input.shape[0] * size * size
    }

    fn number(&self, key: &str) -> usize {
        self.config[key].as_u64().unwrap_or_else(|| panic!("{key} in {}", self.config)) as usize
    }
}

fn assert_near(what: &str, actual: &[f32], expected: &Array, scale: f64) {
    assert_eq!(actual.len(), expected.data.len(), "{what}");
    let largest = expected.data.iter().fold(scale, |max, x| max.max(x.abs()));
    for (i, (a, e)) in actual.iter().zip(&expected.data).enumerate() {
        let error = (f64::from(*a) - e).abs();
        assert!(
            error <= TOLERANCE * largest,
            "{what}[{i}]: {a}, PyTorch says {e} (largest {largest})"
        );
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Sets every parameter to the fixture's.
fn load<N: Network>(network: N, fixture: &Fixture) -> N {
    struct Mapper<'a> {
        path: Vec<String>,
        fixture: &'a Fixture,
        used: usize,
    }

    impl ModuleMapper for Mapper<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.path.join(".");
            let array = self.fixture.parameters.get(&name).unwrap_or_else(|| panic!("no {name}"));
            self.used += 1;
            param.map(|old| {
                assert_eq!(old.dims().to_vec(), array.shape, "{name}");
                let data: Vec<f32> = array.data.iter().map(|x| *x as f32).collect();
                let new =
                    Tensor::from_data(TensorData::new(data, array.shape.clone()), &old.device());
                new.set_require_grad(old.is_require_grad())
            })
        }
    }

    let mut mapper = Mapper { path: Vec::new(), fixture, used: 0 };
    let network = network.map(&mut mapper);
    assert_eq!(mapper.used, fixture.parameters.len(), "PyTorch has other parameters");
    network
}

/// Compares every gradient with the fixture's.
fn compare<N: Network>(network: &N, gradients: &Gradients, fixture: &Fixture) {
    struct Visitor<'a> {
        path: Vec<String>,
        fixture: &'a Fixture,
        gradients: &'a Gradients,
        largest: f64,
        seen: usize,
    }

    impl ModuleVisitor for Visitor<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = self.path.join(".");
            if self.fixture.running_after.contains_key(&name) {
                return;
            }
            let gradient = param.val().grad(self.gradients).unwrap_or_else(|| panic!("no {name}"));
            // Some gradients are zero but for rounding: the scale is that of the largest of all.
            assert_near(
                &name,
                &numbers(gradient),
                &self.fixture.gradients[&name],
                0.01 * self.largest,
            );
            self.seen += 1;
        }
    }

    let all = fixture.gradients.values().flat_map(|array| &array.data);
    let largest = all.fold(0.0_f64, |max, x| max.max(x.abs()));
    let mut visitor = Visitor { path: Vec::new(), fixture, gradients, largest, seen: 0 };
    network.visit(&mut visitor);
    assert_eq!(visitor.seen, fixture.gradients.len());
}

/// Compares running means and variances with the fixture's after one batch.
///
/// Burn moves the running variance towards the batch's biased variance, PyTorch towards the unbiased
/// one, n / (n − 1) times as large: the step of PyTorch's is scaled back before comparing.
fn compare_running_statistics<N: Network>(network: &N, fixture: &Fixture) {
    struct Visitor<'a> {
        path: Vec<String>,
        fixture: &'a Fixture,
        seen: usize,
    }

    impl ModuleVisitor for Visitor<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = self.path.join(".");
            let Some(after) = self.fixture.running_after.get(&name) else { return };
            let mut expected =
                Array { shape: after.shape.clone(), data: after.data.clone(), lengths: None };
            if name.ends_with("running_var") {
                let n = self.fixture.batch_elements(&name) as f64;
                for (after, before) in
                    expected.data.iter_mut().zip(&self.fixture.parameters[&name].data)
                {
                    // PyTorch: after = 0.9 · before + 0.1 · biased · n / (n − 1).
                    *after = 0.9 * before + (*after - 0.9 * before) * (n - 1.0) / n;
                }
            }
            assert_near(&name, &numbers(param.val()), &expected, 0.0);
            self.seen += 1;
        }
    }

    let mut visitor = Visitor { path: Vec::new(), fixture, seen: 0 };
    network.visit(&mut visitor);
    assert_eq!(visitor.seen, fixture.running_after.len());
}

/// The row of the token at a place of the padded batch.
fn packed(place: i64, fixture: &Fixture) -> i64 {
    let Array { shape, lengths, .. } = &fixture.input;
    let longest = shape[1] as i64;
    let before = lengths.iter().flatten().take((place / longest) as usize).sum::<usize>();
    before as i64 + place % longest
}

fn batch(fixture: &Fixture, device: &Device) -> Batch {
    let Array { shape, data, lengths } = &fixture.input;
    let inputs = match lengths {
        None => {
            let data: Vec<f32> = data.iter().map(|x| *x as f32).collect();
            BatchInputs::Images(Tensor::from_data(TensorData::new(data, shape.clone()), device))
        }
        Some(lengths) => {
            let rows = data.chunks_exact(shape[1]).zip(lengths);
            let rows: Vec<Vec<u32>> = rows
                .map(|(row, length)| row[..*length].iter().map(|x| *x as u32).collect())
                .collect();
            BatchInputs::packed(&rows, device)
        }
    };
    let labels = TensorData::new(fixture.labels.clone(), [fixture.labels.len()]);
    let targets = Targets {
        labels: Tensor::from_data(labels, device),
        positions: fixture.positions.as_ref().map(|all| {
            let rows: Vec<i64> = all.iter().map(|place| packed(*place, fixture)).collect();
            Tensor::from_data(TensorData::new(rows, [all.len()]), device)
        }),
        answers: Answers {
            classes: fixture.labels.iter().map(|label| *label as usize).collect(),
            examples: vec![Share { rows: 1, units: 1.0 }; fixture.labels.len()],
        },
    };
    Batch { inputs, targets }
}

fn agree<N: Network>(network: N, fixture: &Fixture) {
    let device = Device::flex().autodiff();
    let network = load(network, fixture);
    if let Some(expected) = &fixture.eval_logits {
        let logits =
            network.valid().forward(&batch(fixture, &Device::flex()), &mut Pass::evaluation());
        assert_near("evaluation logits", &numbers(logits), expected, 0.0);
    }
    let batch = batch(fixture, &device);
    let mut dropout = Draws::new(0, "dropout");
    let logits = network.forward(&batch, &mut Pass::training(&mut dropout));
    assert_near("logits", &numbers(logits.clone().inner()), &fixture.logits, 0.0);
    let loss =
        actlab_core::cross_entropy(logits, batch.targets.labels, fixture.label_smoothing).mean();
    let gradients = loss.backward();
    let loss = f64::from(loss.inner().into_scalar::<f32>());
    assert!((loss - fixture.loss).abs() <= TOLERANCE * fixture.loss, "{loss} {}", fixture.loss);
    compare(&network, &gradients, fixture);
    compare_running_statistics(&network.valid(), fixture);
    // Last, since each pass moves the running statistics.
    let autocast = read("autocast")[&fixture.name].take();
    if !autocast.is_null() {
        agree_in_half_precision(&network, fixture, &serde_json::from_value(autocast).unwrap());
    }
}

/// Compares logits, loss and the whole gradient in bf16 and f16 with those of PyTorch's autocast.
fn agree_in_half_precision<N: Network>(
    network: &N,
    fixture: &Fixture,
    expected: &BTreeMap<String, Autocast>,
) {
    for (precision, word, of_logits, of_gradient) in HALF_TOLERANCES {
        let expected = &expected[word];
        let batch = batch(fixture, &Device::flex().autodiff());
        let mut dropout = Draws::new(0, "dropout");
        let mut pass = Pass::training(&mut dropout).with_precision(precision);
        let logits = network.forward(&batch, &mut pass);
        let labels = batch.targets.labels;
        let loss = actlab_core::cross_entropy(logits.clone(), labels, fixture.label_smoothing);
        let loss = loss.mean();
        let scale = if precision == Precision::F16 { LOSS_SCALE } else { 1.0 };
        let gradients = (loss.clone() * scale).backward();

        let logits = numbers(logits.inner());
        let largest = expected.logits.data.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        let pairs = logits.iter().zip(&expected.logits.data);
        let error = pairs.fold(0.0_f64, |max, (a, e)| max.max((f64::from(*a) - e).abs())) / largest;
        let loss = f64::from(loss.inner().into_scalar::<f32>());
        let (distance, from_f32) = distances(network, &gradients, expected, fixture, scale);
        let autocast_from_f32 = distance_of(&expected.gradients, &fixture.gradients);
        println!(
            "{} {word}: logits {error:.1e}, gradient {distance:.1e}, {from_f32:.1e} from f32 (autocast {autocast_from_f32:.1e})",
            fixture.name
        );
        assert!(error <= of_logits, "{word}: logits differ by {error}");
        assert!((loss - expected.loss).abs() <= of_logits * expected.loss, "{word}: loss {loss}");
        assert!(distance <= of_gradient, "{word}: the gradient differs by {distance}");
        let loss = from_f32 / autocast_from_f32;
        assert!((0.5..2.0).contains(&loss), "{word}: as much is lost as by autocast, times {loss}");
    }
}

/// Relative distance of a whole gradient to another, in the Euclidean norm.
fn distance_of(given: &BTreeMap<String, Array>, right: &BTreeMap<String, Array>) -> f64 {
    let pairs = || {
        let both = |name: &String| given[name].data.iter().zip(&right[name].data);
        right.keys().flat_map(both)
    };
    let squares: f64 = pairs().map(|(a, b)| (a - b).powi(2)).sum();
    let norm: f64 = pairs().map(|(_, b)| b.powi(2)).sum();
    (squares / norm).sqrt()
}

/// Relative distances of a whole gradient, in the Euclidean norm: from autocast's, and from that in f32.
fn distances<N: Network>(
    network: &N,
    gradients: &Gradients,
    expected: &Autocast,
    fixture: &Fixture,
    scale: f64,
) -> (f64, f64) {
    struct Visitor<'a> {
        path: Vec<String>,
        gradients: &'a Gradients,
        /// By name: autocast's, and in f32.
        expected: [&'a BTreeMap<String, Array>; 2],
        squares: [f64; 2],
        scale: f64,
    }

    impl ModuleVisitor for Visitor<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(gradient) = param.val().grad(self.gradients) else { return };
            let gradient = numbers(gradient);
            for (expected, squares) in self.expected.iter().zip(&mut self.squares) {
                let pairs = gradient.iter().zip(&expected[&self.path.join(".")].data);
                *squares +=
                    pairs.map(|(a, e)| (f64::from(*a) / self.scale - e).powi(2)).sum::<f64>();
            }
        }
    }

    let expected = [&expected.gradients, &fixture.gradients];
    let all = fixture.gradients.values().flat_map(|array| &array.data);
    let norm = all.map(|x| x * x).sum::<f64>().sqrt();
    let mut visitor = Visitor { path: Vec::new(), gradients, expected, squares: [0.0; 2], scale };
    network.visit(&mut visitor);
    let [from_autocast, from_f32] = visitor.squares.map(|squares| squares.sqrt() / norm);
    (from_autocast, from_f32)
}

fn resnet(name: &str) {
    let fixture = Fixture::load(name);
    let config = ResNetConfig {
        depth: fixture.number("depth"),
        width: fixture.number("base_width"),
        channels: fixture.number("in_channels"),
        height: fixture.number("image_size"),
        image_width: fixture.number("image_size"),
        classes: fixture.number("classes"),
    };
    let activations = Activations::from(activation(&fixture.activation));
    let network = config.init(&Sites::new(&activations), &Device::flex().autodiff());
    agree(network, &fixture);
}

/// A model with parameters of its own, as an experiment gives them.
fn model<M: Model>(model: M, interface: Interface, fixture: &Fixture) {
    let activations = Activations::from(activation(&fixture.activation));
    let device = Device::flex().autodiff();
    let network = model.build(&interface, &Sites::new(&activations), &device).unwrap();
    agree(network, fixture);
}

fn mlp(name: &str) {
    let fixture = Fixture::load(name);
    let (size, channels) = (fixture.number("image_size"), fixture.number("channels"));
    let interface = Interface {
        inputs: InputShape::Images { channels, height: size, width: size },
        head: Head::Classes(fixture.number("classes")),
    };
    let part = |key: &str| fixture.config[key].clone();
    let json = serde_json::json!({ "widths": part("widths"), "norm": part("norm") });
    model::<Mlp>(serde_json::from_value(json).unwrap(), interface, &fixture);
}

fn gpt(name: &str) {
    let fixture = Fixture::load(name);
    let interface = Interface {
        inputs: InputShape::Tokens { vocabulary: fixture.number("vocab") },
        head: Head::NextToken,
    };
    let mut json = fixture.config.clone();
    json.as_object_mut().unwrap().remove("vocab");
    model::<Gpt>(serde_json::from_value(json).unwrap(), interface, &fixture);
}

fn bert(name: &str) {
    let fixture = Fixture::load(name);
    let head = match fixture.config["classes"].as_u64() {
        Some(classes) => Head::Classes(classes as usize),
        None => Head::Tokens,
    };
    let config = BertConfig {
        vocabulary: fixture.number("vocab"),
        positions: fixture.number("max_len"),
        hidden: fixture.number("hidden"),
        layers: fixture.number("layers"),
        heads: fixture.number("heads"),
        feed_forward: fixture.number("ffn"),
        head,
        dropout: 0.0,
    };
    let activations = Activations::from(activation(&fixture.activation));
    let network = config.init(&Sites::new(&activations), &Device::flex().autodiff());
    agree(network, &fixture);
}

#[test]
fn resnet8_relu() {
    resnet("resnet8_relu");
}

#[test]
fn resnet8_gelu() {
    resnet("resnet8_gelu");
}

#[test]
fn resnet8_swiglu() {
    resnet("resnet8_swiglu");
}

#[test]
fn resnet14_silu() {
    resnet("resnet14_silu");
}

#[test]
fn bert_relu() {
    bert("bert_relu");
}

#[test]
fn bert_gelu() {
    bert("bert_gelu");
}

#[test]
fn bert_swiglu() {
    bert("bert_swiglu");
}

#[test]
fn mlp_relu() {
    mlp("mlp_relu");
}

#[test]
fn mlp_gelu_batch() {
    mlp("mlp_gelu_batch");
}

#[test]
fn mlp_swiglu_layer() {
    mlp("mlp_swiglu_layer");
}

#[test]
fn gpt_gelu() {
    gpt("gpt_gelu");
}

#[test]
fn gpt_swiglu_rotary() {
    gpt("gpt_swiglu_rotary");
}

#[test]
fn masked_lm_gelu() {
    bert("masked_lm_gelu");
}

#[test]
fn masked_lm_swiglu() {
    bert("masked_lm_swiglu");
}
