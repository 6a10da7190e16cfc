//! Updates of parameters.

use super::{on_gpu, room, tensor, threads};
use crate::device::rule::{AdamW, Sgd};
use burn::Tensor;
use cubecl::prelude::*;

/// New parameter and moments.
pub(crate) fn adamw(
    rule: AdamW,
    [parameter, gradient, first, second]: [&Tensor<1>; 4],
) -> Option<[Tensor<1>; 3]> {
    let (parameter, gradient) = (on_gpu(parameter)?, on_gpu(gradient)?);
    let (first, second) = (on_gpu(first)?, on_gpu(second)?);
    let count = parameter.meta.num_elements();
    let new = [(); 3].map(|()| room(&parameter, [count]));
    if count > 0 {
        let (cubes, dim) = threads(&parameter, count);
        let client = parameter.client.clone();
        let [new_parameter, new_first, new_second] = new.clone();
        adamw_kernel::launch(
            &client,
            cubes,
            dim,
            parameter.into_buffer_arg(),
            gradient.into_buffer_arg(),
            first.into_buffer_arg(),
            second.into_buffer_arg(),
            new_parameter.into_buffer_arg(),
            new_first.into_buffer_arg(),
            new_second.into_buffer_arg(),
            rule.scale,
            rule.beta1,
            rule.beta2,
            rule.rest1,
            rule.rest2,
            rule.epsilon,
            rule.keep,
            rule.rate,
            rule.correction2,
        );
    }
    Some(new.map(tensor))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn adamw_kernel(
    parameter: &[f32],
    gradient: &[f32],
    first: &[f32],
    second: &[f32],
    new_parameter: &mut [f32],
    new_first: &mut [f32],
    new_second: &mut [f32],
    scale: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    keep: f32,
    rate: f32,
    correction2: f32,
) {
    let i = ABSOLUTE_POS;
    if i < parameter.len() {
        let g = gradient[i] * scale;
        let m = beta1 * first[i] + rest1 * g;
        let v = beta2 * second[i] + rest2 * (g * g);
        let root = (v * correction2).sqrt() + epsilon;
        new_parameter[i] = parameter[i] * keep - rate * m / root;
        new_first[i] = m;
        new_second[i] = v;
    }
}

/// New parameter, and velocity where there is one.
pub(crate) fn sgd(
    rule: Sgd,
    [parameter, gradient]: [&Tensor<1>; 2],
    velocity: Option<&Tensor<1>>,
) -> Option<(Tensor<1>, Option<Tensor<1>>)> {
    let (parameter, gradient) = (on_gpu(parameter)?, on_gpu(gradient)?);
    let moving = velocity.is_some();
    // Where there is none it is not read, and what is written in its place has no use.
    let velocity = match velocity {
        Some(velocity) => on_gpu(velocity)?,
        None => gradient.clone(),
    };
    let count = parameter.meta.num_elements();
    let new = room(&parameter, [count]);
    let new_velocity = room(&parameter, [if moving { count } else { 1 }]);
    if count > 0 {
        let (cubes, dim) = threads(&parameter, count);
        let client = parameter.client.clone();
        sgd_kernel::launch(
            &client,
            cubes,
            dim,
            parameter.into_buffer_arg(),
            gradient.into_buffer_arg(),
            velocity.into_buffer_arg(),
            new.clone().into_buffer_arg(),
            new_velocity.clone().into_buffer_arg(),
            rule.rate,
            rule.scale,
            rule.momentum,
            rule.decay,
            moving,
            rule.nesterov,
        );
    }
    Some((tensor(new), moving.then(|| tensor(new_velocity))))
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn sgd_kernel(
    parameter: &[f32],
    gradient: &[f32],
    velocity: &[f32],
    new_parameter: &mut [f32],
    new_velocity: &mut [f32],
    rate: f32,
    scale: f32,
    momentum: f32,
    decay: f32,
    #[comptime] moving: bool,
    #[comptime] nesterov: bool,
) {
    let i = ABSOLUTE_POS;
    if i < parameter.len() {
        let p = parameter[i];
        let g = gradient[i] * scale + decay * p;
        if moving {
            let v = momentum * velocity[i] + g;
            new_velocity[i] = v;
            if nesterov {
                new_parameter[i] = p - rate * (g + momentum * v);
            } else {
                new_parameter[i] = p - rate * v;
            }
        } else {
            new_parameter[i] = p - rate * g;
        }
    }
}
