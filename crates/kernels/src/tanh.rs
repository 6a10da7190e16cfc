//! The hyperbolic tangent by itself, where no activation is chosen.

use crate::buffer::Buffer;
use crate::host::{Host, Operation, Values, record};
use ::activation::{Algebra as _, Lanes, arch};
use burn::Tensor;
use pulp::{Simd, WithSimd};

/// tanh(x). Tensors are small: it is computed by one thread.
#[must_use]
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    Host::of(&x).map_or_else(|| x.tanh(), |host| on_host(host).into_tensor())
}

fn on_host(host: Host) -> Host {
    let values = host.values();
    let mut y = Buffer::take(values.slice().len());
    arch().dispatch(Tanh { x: values.slice(), y: &mut y });
    let y = Values::from_buffer(y, &values.shape());
    record([host], y.clone(), || Backward(y))
}

struct Tanh<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Tanh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (x, x_rest) = S::as_simd_f32s(self.x);
        let (y, y_rest) = S::as_mut_simd_f32s(self.y);
        for (x, y) in x.iter().zip(y) {
            *y = Lanes::new(simd, *x).tanh().into_inner();
        }
        if !x_rest.is_empty() {
            let x = Lanes::new(simd, simd.partial_load_f32s(x_rest));
            simd.partial_store_f32s(y_rest, x.tanh().into_inner());
        }
    }
}

/// By the value.
#[derive(Debug, Clone)]
struct Backward(Values);

impl Operation<1> for Backward {
    fn backward(self, gradient: Values, _: [bool; 1]) -> [Option<Values>; 1] {
        let y = self.0.slice();
        [Some(gradient.change(y.len(), |_, gradient| {
            gradient.iter_mut().zip(y).for_each(|(g, y)| *g *= 1.0 - y * y);
        }))]
    }
}
