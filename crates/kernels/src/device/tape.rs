//! Operations on devices other than the CPU that have a backward of their own, made of burn's operations: those that
//! autodiff would derive from the forward are more, and add to single places, which a GPU does slowly.

use burn::Tensor;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, BackendTensor, DispatchAutodiffContext, DispatchKindConversion,
    DispatchTensor, Flex,
};
use std::fmt::Debug;
use std::marker::PhantomData;

/// The backend of every GPU.
#[cfg(feature = "gpu")]
pub(crate) type Gpu = burn_cubecl::Cube;

/// What an operation with `N` inputs keeps, and its derivative.
pub(crate) trait Derivative<const N: usize>: Debug + Clone + Send + 'static {
    /// The gradients by the inputs, of those that are `wanted`, for the `gradient` by the output; none is on a tape.
    fn backward(self, gradient: AnyRank, wanted: [bool; N]) -> [Option<AnyRank>; N];
}

/// Numbers of a tensor of any rank.
#[derive(Debug, Clone)]
pub(crate) struct AnyRank(DispatchTensor);

impl AnyRank {
    pub(crate) fn tensor<const D: usize>(self) -> Tensor<D> {
        Tensor::from_dispatch(self.0)
    }
}

impl AnyRank {
    fn is_taped(&self) -> bool {
        self.0.autodiff != DispatchAutodiffContext::Disabled
    }

    fn from_backend<B: Backend>(x: FloatTensor<B>) -> Self
    where
        DispatchTensor: DispatchKindConversion<B>,
    {
        Self(DispatchTensor::from_backend(BackendTensor::Float(x)))
    }

    fn on_backend<B: Backend>(self) -> FloatTensor<B>
    where
        DispatchTensor: DispatchKindConversion<B>,
    {
        <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(self.0)
            .expect("tensors of one operation are of one backend")
            .float()
    }

    fn taped<B: Backend>(self) -> FloatTensor<Autodiff<B>>
    where
        DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B>>,
    {
        if self.is_taped() {
            self.on_backend::<Autodiff<B>>()
        } else {
            FloatTensor::<Autodiff<B>>::new(self.on_backend::<B>())
        }
    }
}

impl<const D: usize> From<Tensor<D>> for AnyRank {
    fn from(tensor: Tensor<D>) -> Self {
        Self(tensor.into_dispatch())
    }
}

/// `x` without its tape.
pub(crate) fn untaped<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    let x = x.clone();
    if x.device().is_autodiff() { x.inner() } else { x }
}

/// Puts a derivative on the tape, if an input is on one; `output`, which is on none, is the value.
pub(crate) fn record<O: Derivative<N>, const D: usize, const N: usize>(
    inputs: [AnyRank; N],
    output: Tensor<D>,
    derivative: impl FnOnce() -> O,
) -> Tensor<D> {
    if !inputs.iter().any(AnyRank::is_taped) {
        return output;
    }
    #[cfg(feature = "gpu")]
    if let Ok(value) = output.clone().try_into_primitive::<Gpu>() {
        return record_on::<Gpu, O, D, N>(inputs, value, derivative());
    }
    let value = output.try_into_primitive::<Flex>().expect("the CPU is the only other device");
    record_on::<Flex, O, D, N>(inputs, value, derivative())
}

/// The same for a backend.
fn record_on<B: Backend, O: Derivative<N>, const D: usize, const N: usize>(
    inputs: [AnyRank; N],
    output: FloatTensor<B>,
    derivative: O,
) -> Tensor<D>
where
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B>>,
{
    let nodes = inputs.map(|input| input.taped::<B>().node());
    let prepared = Step::<B, O>(PhantomData).prepare::<NoCheckpointing>(nodes).compute_bound();
    Tensor::from_primitive::<Autodiff<B>>(match prepared.stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(derivative, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    })
}

struct Step<B, O>(PhantomData<fn() -> (B, O)>);

impl<B, O> Debug for Step<B, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(std::any::type_name::<O>())
    }
}

impl<B: Backend, O: Derivative<N>, const N: usize> Backward<B, N> for Step<B, O>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    type State = O;

    fn backward(self, ops: Ops<O, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = AnyRank::from_backend::<B>(gradients.consume::<B>(&ops.node));
        let ids: [Option<NodeId>; N] =
            ops.parents.each_ref().map(|parent| parent.as_ref().map(|node| node.id));
        let wanted = ids.each_ref().map(Option::is_some);
        let results = ops.state.backward(gradient, wanted);
        for (id, result) in ids.into_iter().zip(results) {
            if let (Some(id), Some(result)) = (id, result) {
                gradients.register::<B>(id, result.on_backend::<B>());
            }
        }
    }
}
