use super::Network;
use crate::parameters::{TensorVisitor, for_each_tensor};
use crate::sites::holds_numbers;
use crate::stream::Stream;
use burn::Tensor;
use burn::module::{Module, ModuleMapper, Param, ParamId};

/// How a weight begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Initializer {
    /// As the layer makes it: norms at 1 and 0, biases at 0.
    AsBuilt,
    /// Normal with this standard deviation.
    Normal(f64),
    /// Normal with this standard deviation, redrawn beyond two of them.
    TruncatedNormal(f64),
    /// Uniform between minus and plus this bound.
    Uniform(f64),
}

/// Draws every weight from the stream `init/<its name>` of `seed`, so that arms with different
/// activations begin alike wherever their shapes agree.
#[must_use]
pub fn initialize<N: Network>(network: N, seed: u64) -> N {
    struct Mapper<N> {
        path: Vec<String>,
        seed: u64,
        network: N,
    }

    impl<N: Network> ModuleMapper for Mapper<N> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.path.join(".");
            if holds_numbers(&name) {
                return param;
            }
            let shape = param.val().dims();
            let n = shape.iter().product();
            let mut stream = Stream::new(self.seed, &format!("init/{name}"));
            let values = match self.network.initializer(&name, &shape) {
                Initializer::AsBuilt => return param,
                Initializer::Normal(std) => stream.normal(n, std),
                Initializer::TruncatedNormal(std) => stream.truncated_normal(n, std),
                Initializer::Uniform(bound) => stream.uniform(n, bound),
            };
            param.map(|old| {
                Tensor::<1>::from_floats(values.as_slice(), &old.device())
                    .reshape(shape)
                    .set_require_grad(old.is_require_grad())
            })
        }
    }

    let mut mapper = Mapper { path: Vec::new(), seed, network: network.clone() };
    network.map(&mut mapper)
}

/// Name, shape and whether it is trained, of every float tensor in a model.
#[must_use]
pub fn named_parameters<M: Module>(module: &M) -> Vec<(String, Vec<usize>, bool)> {
    struct Found(Vec<(String, Vec<usize>, bool)>);

    impl TensorVisitor for Found {
        fn tensor<const D: usize>(&mut self, name: &str, _: ParamId, tensor: Tensor<D>) {
            let trained = !name.contains("running_");
            self.0.push((name.to_owned(), tensor.dims().to_vec(), trained));
        }
    }

    let mut found = Found(Vec::new());
    for_each_tensor(module, &mut found);
    found.0
}
