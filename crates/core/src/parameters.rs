//! The float tensors of a module by name.

use crate::sites::holds_numbers;
use burn::Tensor;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use std::collections::{BTreeMap, HashMap};

/// Is shown every float tensor of a module with its name.
pub(crate) trait TensorVisitor {
    /// A tensor named like `blocks.0.conv1.weight`.
    fn tensor<const D: usize>(&mut self, name: &str, id: ParamId, tensor: Tensor<D>);
}

/// Shows `each` every float tensor of `module`, in the order of its fields.
pub(crate) fn for_each_tensor<M: Module>(module: &M, each: &mut impl TensorVisitor) {
    struct Visitor<'a, E> {
        path: Vec<String>,
        each: &'a mut E,
    }

    impl<E: TensorVisitor> ModuleVisitor for Visitor<'_, E> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }

        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.each.tensor(&self.path.join("."), param.id, param.val());
        }
    }

    module.visit(&mut Visitor { path: Vec::new(), each });
}

/// Name and id of every parameter of `module`.
pub(crate) fn parameter_names<M: Module>(module: &M) -> Vec<(String, ParamId)> {
    struct Names(Vec<(String, ParamId)>);

    impl TensorVisitor for Names {
        fn tensor<const D: usize>(&mut self, name: &str, id: ParamId, _: Tensor<D>) {
            self.0.push((name.to_owned(), id));
        }
    }

    let mut names = Names(Vec::new());
    for_each_tensor(module, &mut names);
    names.0
}

/// The values of the learned numbers of `module`, by the ids of their parameters.
pub(crate) fn learned_values<M: Module>(module: &M) -> HashMap<ParamId, Vec<f32>> {
    struct Found(HashMap<ParamId, Vec<f32>>);

    impl TensorVisitor for Found {
        fn tensor<const D: usize>(&mut self, name: &str, id: ParamId, tensor: Tensor<D>) {
            if holds_numbers(name) {
                self.0.insert(id, actlab_kernels::read(tensor).iter::<f32>().collect());
            }
        }
    }

    let mut found = Found(HashMap::new());
    for_each_tensor(module, &mut found);
    found.0
}

/// Id and shape of every parameter of `module` by its name.
pub(crate) fn parameter_shapes<M: Module>(module: &M) -> BTreeMap<String, (ParamId, Vec<usize>)> {
    struct Shapes(BTreeMap<String, (ParamId, Vec<usize>)>);

    impl TensorVisitor for Shapes {
        fn tensor<const D: usize>(&mut self, name: &str, id: ParamId, tensor: Tensor<D>) {
            self.0.insert(name.to_owned(), (id, tensor.dims().to_vec()));
        }
    }

    let mut shapes = Shapes(BTreeMap::new());
    for_each_tensor(module, &mut shapes);
    shapes.0
}

/// Name of every parameter of `module`, a network with autodiff, that training changes by gradients: of no running
/// statistic.
pub(crate) fn trained_names<M: Module>(module: &M) -> Vec<String> {
    struct Names(Vec<String>);

    impl TensorVisitor for Names {
        fn tensor<const D: usize>(&mut self, name: &str, _: ParamId, tensor: Tensor<D>) {
            if tensor.is_require_grad() {
                self.0.push(name.to_owned());
            }
        }
    }

    let mut names = Names(Vec::new());
    for_each_tensor(module, &mut names);
    names.0
}
