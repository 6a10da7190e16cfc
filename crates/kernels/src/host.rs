//! The way in and out: burn tensors as slices on the CPU, and operations with their own backward.

use crate::buffer::Buffer;
use crate::device::tape::{self, AnyRank, Derivative, untaped};
use burn::Tensor;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, Shape};
use rayon::prelude::*;
use std::fmt::Debug;
use std::marker::PhantomData;

type Taped = FloatTensor<Autodiff<Flex>>;

/// A tensor on the CPU, with or without a tape.
#[derive(Debug, Clone)]
pub(crate) enum Host {
    Plain(FlexTensor),
    Taped(Taped),
}

impl Host {
    /// The tensor, if it is f32 on the CPU.
    pub(crate) fn of<const D: usize>(tensor: &Tensor<D>) -> Option<Self> {
        if tensor.dtype() != DType::F32 {
            return None;
        }
        if tensor.device().is_autodiff() {
            tensor.clone().try_into_primitive::<Autodiff<Flex>>().ok().map(Self::Taped)
        } else {
            tensor.clone().try_into_primitive::<Flex>().ok().map(Self::Plain)
        }
    }

    pub(crate) fn into_tensor<const D: usize>(self) -> Tensor<D> {
        match self {
            Self::Plain(tensor) => Tensor::from_primitive::<Flex>(tensor),
            Self::Taped(tensor) => Tensor::from_primitive::<Autodiff<Flex>>(tensor),
        }
    }

    /// The numbers in order, copied only if they lie otherwise.
    pub(crate) fn values(&self) -> Values {
        let tensor = match self {
            Self::Plain(tensor) => tensor,
            Self::Taped(tensor) => tensor.primitive(),
        };
        Values(tensor.to_contiguous())
    }

    fn taped(self) -> Taped {
        match self {
            Self::Plain(tensor) => Taped::new(tensor),
            Self::Taped(tensor) => tensor,
        }
    }
}

/// f32 numbers of a tensor, in order and without gaps. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Values(FlexTensor);

impl Values {
    pub(crate) fn from_buffer(buffer: Buffer, shape: &[usize]) -> Self {
        let layout = Layout::contiguous(Shape::from(shape.to_vec()));
        Self(FlexTensor::new(buffer.into_bytes(), layout, DType::F32))
    }

    pub(crate) fn slice(&self) -> &[f32] {
        self.0.as_slice().expect("numbers are f32 and without gaps")
    }

    pub(crate) fn shape(&self) -> Vec<usize> {
        self.0.layout().shape().to_vec()
    }

    /// The same numbers after `change` of each piece of `size` (the last may be shorter), given with
    /// its index; they are changed where they lie, or copied piece by piece if they have another
    /// owner.
    pub(crate) fn change(mut self, size: usize, change: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let size = size.max(1);
        if self.has_no_other_owner() {
            let numbers = self.0.storage_mut::<f32>();
            numbers.par_chunks_mut(size).enumerate().for_each(|(i, piece)| change(i, piece));
            return self;
        }
        let mut copy = Buffer::take(self.slice().len());
        copy.par_chunks_mut(size).zip(self.slice().par_chunks(size)).enumerate().for_each(
            |(i, (piece, old))| {
                piece.copy_from_slice(old);
                change(i, piece);
            },
        );
        Self::from_buffer(copy, &self.shape())
    }

    /// The numbers, to be written over: copied first if it has another owner.
    pub(crate) fn slice_mut(&mut self) -> &mut [f32] {
        if !self.has_no_other_owner() {
            *self = self.copied();
        }
        self.0.storage_mut()
    }

    /// Whether the memory holds these numbers alone, with no other owner.
    fn has_no_other_owner(&mut self) -> bool {
        let whole = self.0.layout().num_elements() * size_of::<f32>() == self.0.bytes().len();
        whole && self.0.try_storage_mut::<f32>().is_some()
    }

    /// The same numbers in memory of their own.
    pub(crate) fn copied(&self) -> Self {
        const TASK: usize = 1 << 16;
        let mut copy = Buffer::take(self.slice().len());
        copy.par_chunks_mut(TASK)
            .zip(self.slice().par_chunks(TASK))
            .for_each(|(to, from)| to.copy_from_slice(from));
        Self::from_buffer(copy, &self.shape())
    }

    /// Without a tape.
    pub(crate) fn into_tensor<const D: usize>(self) -> Tensor<D> {
        Tensor::from_primitive::<Flex>(self.0)
    }
}

/// What an operation with `N` inputs keeps, and its derivative.
pub(crate) trait Operation<const N: usize>: Debug + Clone + Send + 'static {
    /// The gradients by the inputs, of those that are `wanted`, for the `gradient` by the output.
    fn backward(self, gradient: Values, wanted: [bool; N]) -> [Option<Values>; N];
}

/// Puts `operation` on the tape, if an input needs it; `output` is its value.
pub(crate) fn record<O: Operation<N>, const N: usize>(
    inputs: [Host; N],
    output: Values,
    operation: impl FnOnce() -> O,
) -> Host {
    if inputs.iter().all(|input| matches!(input, Host::Plain(_))) {
        return Host::Plain(output.0);
    }
    let nodes = inputs.map(|input| input.taped().node());
    let prepared = Step::<O>(PhantomData).prepare::<NoCheckpointing>(nodes).compute_bound();
    Host::Taped(match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(operation(), output.0),
        OpsKind::UnTracked(prepared) => prepared.finish(output.0),
    })
}

struct Step<O>(PhantomData<fn() -> O>);

impl<O> Debug for Step<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<O>())
    }
}

impl<O: Operation<N>, const N: usize> Backward<Flex, N> for Step<O> {
    type State = O;

    fn backward(self, ops: Ops<O, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = Values(gradients.consume::<Flex>(&ops.node).to_contiguous());
        let ids: [Option<NodeId>; N] =
            ops.parents.each_ref().map(|parent| parent.as_ref().map(|node| node.id));
        let wanted = ids.each_ref().map(Option::is_some);
        let results = ops.state.backward(gradient, wanted);
        for (id, result) in ids.into_iter().zip(results) {
            if let (Some(id), Some(result)) = (id, result) {
                gradients.register::<Flex>(id, result.0);
            }
        }
    }
}

/// A number whose gradient by `x` is `gradient`: backward from it gives the vector-Jacobian products
/// of what `x` was made from. Its value is 0. Takes tensors of one shape.
///
/// # Panics
/// If the shapes differ.
#[must_use]
pub fn with_gradient<const D: usize>(x: Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    assert_eq!(x.dims(), gradient.dims(), "one gradient for each number");
    let (Some(host), Some(gradient_host)) = (Host::of(&x), Host::of(&gradient)) else {
        let zero = Tensor::zeros([1], (&untaped(&x).device(), x.dtype()));
        return tape::record([x.into()], zero, || OnDevice(untaped(&gradient).into()));
    };
    let zero = Values::from_buffer(Buffer::zeros(1), &[1]);
    record([host], zero, || WithGradient(gradient_host.values())).into_tensor()
}

#[derive(Debug, Clone)]
struct WithGradient(Values);

impl Operation<1> for WithGradient {
    fn backward(self, _: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        [Some(self.0)]
    }
}

/// The same on other devices.
#[derive(Debug, Clone)]
struct OnDevice(AnyRank);

impl Derivative<1> for OnDevice {
    fn backward(self, _: AnyRank, _: [bool; 1]) -> [Option<AnyRank>; 1] {
        [Some(self.0)]
    }
}

/// The numbers of `x` in memory of their own, on no tape: what passing over them once costs.
#[must_use]
pub fn copy<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    Host::of(x).map_or_else(|| untaped(x) * 1.0, |host| host.values().copied().into_tensor())
}
