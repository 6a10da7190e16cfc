//! Updates of parameters, and of the averages that batch norms gather. Most parameters are small: a kernel updates several of them where a group says that none is read
//! before the group ends. A group may also clip its gradients, by a factor that is never read.

use super::cube::dim;
use super::{on_gpu, room, tensor};
use crate::device::rule::{AdamW, Averages, Sgd};
use burn::Tensor;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;
use std::cell::RefCell;

/// Parameters that one kernel updates, at most.
const TOGETHER: usize = 8;

/// Numbers of a parameter that waits for others, at most: a larger one occupies a GPU by itself.
const SMALL: usize = 1 << 16;

/// Threads of a cube.
const THREADS: usize = 256;

/// Cubes along the first axis, at most, on every kind of device.
const MOST_CUBES: usize = 65_535;

thread_local! {
    static GROUP: RefCell<Option<Group>> = const { RefCell::new(None) };
}

struct Group {
    /// What gradients are multiplied with first.
    factor: Option<Tensor<1>>,
    /// What waits for the end of the group.
    sgd: Vec<Update<Sgd, 5>>,
    adamw: Vec<Update<AdamW, 7>>,
    averages: Vec<Update<Averages, 6>>,
}

/// See [`UpdateGroup`](crate::UpdateGroup).
pub(crate) fn begin_group(factor: Option<&Tensor<1>>) {
    let factor = factor.cloned();
    let (sgd, adamw, averages) = (Vec::new(), Vec::new(), Vec::new());
    GROUP.set(Some(Group { factor, sgd, adamw, averages }));
}

/// Makes the updates that wait, if they are to be made.
pub(crate) fn end_group(made: bool) {
    if let Some(Group { factor, sgd, adamw, averages }) = GROUP.take().filter(|_| made) {
        let factor = factor.as_ref().and_then(on_gpu);
        Update::make(&sgd, factor.as_ref(), Sgd::launch, Sgd::is_alike);
        Update::make(&adamw, factor.as_ref(), AdamW::launch, AdamW::is_alike);
        Update::make(&averages, None, Averages::launch, Averages::eq);
    }
}

/// What gradients are multiplied with first, `[1]`.
pub(crate) fn group_factor() -> Option<Tensor<1>> {
    GROUP.with_borrow(|group| group.as_ref().and_then(|group| group.factor.clone()))
}

/// An update of a parameter by a rule: buffers that are read, and behind them those that are written.
struct Update<R, const N: usize> {
    rule: R,
    buffers: [CubeTensor; N],
}

/// Makes updates by a kernel, with the factor of their gradients.
type Launch<R, const N: usize> = fn(&[Update<R, N>], Option<&CubeTensor>);

impl<R, const N: usize> Update<R, N> {
    fn count(&self) -> usize {
        self.buffers[0].meta.num_elements()
    }

    /// Leaves the update to the end of the group, where there is one, or makes it.
    fn submit(self, waiting: fn(&mut Group) -> &mut Vec<Self>, launch: Launch<R, N>) {
        let mut update = Some(self).filter(|update| update.count() > 0);
        if update.as_ref().is_some_and(|update| update.count() <= SMALL) {
            GROUP.with_borrow_mut(|group| {
                if let Some(group) = group {
                    waiting(group).extend(update.take());
                }
            });
        }
        if let Some(update) = update {
            launch(&[update], group_factor().as_ref().and_then(on_gpu).as_ref());
        }
    }

    /// Makes the updates, several by a kernel where their rules are alike.
    fn make(
        updates: &[Self],
        factor: Option<&CubeTensor>,
        launch: Launch<R, N>,
        alike: fn(&R, &R) -> bool,
    ) {
        let Some(first) = updates.first() else { return };
        let bindings = first.buffers[0].client.properties().hardware.max_bindings as usize;
        // The factor is one, and a device adds bindings of its own.
        let together = (bindings.saturating_sub(5) / N).clamp(1, TOGETHER);
        for alike in updates.chunk_by(|a, b| alike(&a.rule, &b.rule)) {
            alike.chunks(together).for_each(|updates| launch(updates, factor));
        }
    }

    /// One buffer of each.
    fn buffers(updates: &[Self], place: usize) -> SequenceArg<Box<[f32]>> {
        updates.iter().map(|update| update.buffers[place].clone().into_buffer_arg()).collect()
    }

    /// A number of the rule of each.
    fn numbers(updates: &[Self], number: impl Fn(&R) -> f32) -> SequenceArg<f32> {
        updates.iter().map(|update| number(&update.rule)).collect()
    }

    /// Cubes of the longest along the first two axes; updates along the third.
    fn cubes(updates: &[Self]) -> CubeCount {
        let longest = updates.iter().map(Self::count).max().unwrap_or(0).div_ceil(THREADS);
        let wide = longest.min(MOST_CUBES);
        #[expect(clippy::cast_possible_truncation, reason = "tensors have less than 2^32 numbers")]
        CubeCount::Static(wide as u32, longest.div_ceil(wide.max(1)) as u32, updates.len() as u32)
    }
}

/// New parameter and moments.
pub(crate) fn adamw(rule: AdamW, tensors: [&Tensor<1>; 4]) -> Option<[Tensor<1>; 3]> {
    let [parameter, gradient, first, second] = tensors.map(on_gpu);
    let read = [parameter?, gradient?, first?, second?];
    let count = read[0].meta.num_elements();
    let new = [(); 3].map(|()| room(&read[0], [count]));
    let ([parameter, gradient, first, second], [to, to_first, to_second]) = (read, new.clone());
    let buffers = [parameter, gradient, first, second, to, to_first, to_second];
    Update { rule, buffers }.submit(|group| &mut group.adamw, AdamW::launch);
    Some(new.map(tensor))
}

impl AdamW {
    /// Whether one kernel makes both updates.
    fn is_alike(&self, other: &Self) -> bool {
        let of_all = |rule: &Self| Self { keep: 0.0, rate: 0.0, coupled: 0.0, ..*rule };
        of_all(self) == of_all(other)
    }

    fn launch(updates: &[Update<Self, 7>], factor: Option<&CubeTensor>) {
        let buffers = |place| Update::buffers(updates, place);
        let rule = updates[0].rule;
        adamw_kernel::launch(
            &updates[0].buffers[0].client.clone(),
            Update::cubes(updates),
            dim(THREADS),
            buffers(0),
            buffers(1),
            buffers(2),
            buffers(3),
            buffers(4),
            buffers(5),
            buffers(6),
            factor_or(factor, &updates[0].buffers[0]),
            Update::numbers(updates, |rule| rule.keep),
            Update::numbers(updates, |rule| rule.rate),
            Update::numbers(updates, |rule| rule.coupled),
            rule.scale,
            rule.beta1,
            rule.beta2,
            rule.rest1,
            rule.rest2,
            rule.epsilon,
            rule.correction2,
            factor.is_some(),
        );
    }
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn adamw_kernel(
    parameters: &Sequence<Box<[f32]>>,
    gradients: &Sequence<Box<[f32]>>,
    firsts: &Sequence<Box<[f32]>>,
    seconds: &Sequence<Box<[f32]>>,
    new_parameters: &mut Sequence<Box<[f32]>>,
    new_firsts: &mut Sequence<Box<[f32]>>,
    new_seconds: &mut Sequence<Box<[f32]>>,
    factor: &[f32],
    keeps: &Sequence<f32>,
    rates: &Sequence<f32>,
    coupled: &Sequence<f32>,
    scale: f32,
    beta1: f32,
    beta2: f32,
    rest1: f32,
    rest2: f32,
    epsilon: f32,
    correction2: f32,
    #[comptime] clipped: bool,
) {
    #[unroll]
    for slot in 0..parameters.len() {
        if CUBE_POS_Z as usize == slot {
            let i = number();
            let parameter = parameters.index(slot);
            if i < parameter.len() {
                let g = clip(gradients.index(slot)[i], factor, clipped) * scale;
                let g = g + *coupled.index(slot) * parameter[i];
                let m = beta1 * firsts.index(slot)[i] + rest1 * g;
                let v = beta2 * seconds.index(slot)[i] + rest2 * (g * g);
                let root = (v * correction2).sqrt() + epsilon;
                let kept = parameter[i] * *keeps.index(slot);
                write(new_parameters.index_mut(slot), i, kept - *rates.index(slot) * m / root);
                write(new_firsts.index_mut(slot), i, m);
                write(new_seconds.index_mut(slot), i, v);
            }
        }
    }
}

#[cube]
fn write(to: &mut [f32], i: usize, number: f32) {
    to[i] = number;
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
    let buffers = [parameter, gradient, velocity, new.clone(), new_velocity.clone()];
    Update { rule, buffers }.submit(|group| &mut group.sgd, Sgd::launch);
    Some((tensor(new), moving.then(|| tensor(new_velocity))))
}

impl Sgd {
    /// Whether one kernel makes both updates.
    fn is_alike(&self, other: &Self) -> bool {
        Self { rate: 0.0, decay: 0.0, ..*self } == Self { rate: 0.0, decay: 0.0, ..*other }
    }

    fn launch(updates: &[Update<Self, 5>], factor: Option<&CubeTensor>) {
        let buffers = |place| Update::buffers(updates, place);
        let rule = updates[0].rule;
        sgd_kernel::launch(
            &updates[0].buffers[0].client.clone(),
            Update::cubes(updates),
            dim(THREADS),
            buffers(0),
            buffers(1),
            buffers(2),
            buffers(3),
            buffers(4),
            factor_or(factor, &updates[0].buffers[0]),
            Update::numbers(updates, |rule| rule.rate),
            Update::numbers(updates, |rule| rule.decay),
            rule.scale,
            rule.momentum,
            rule.moving,
            rule.nesterov,
            factor.is_some(),
        );
    }
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn sgd_kernel(
    parameters: &Sequence<Box<[f32]>>,
    gradients: &Sequence<Box<[f32]>>,
    velocities: &Sequence<Box<[f32]>>,
    new_parameters: &mut Sequence<Box<[f32]>>,
    new_velocities: &mut Sequence<Box<[f32]>>,
    factor: &[f32],
    rates: &Sequence<f32>,
    decays: &Sequence<f32>,
    scale: f32,
    momentum: f32,
    #[comptime] moving: bool,
    #[comptime] nesterov: bool,
    #[comptime] clipped: bool,
) {
    #[unroll]
    for slot in 0..parameters.len() {
        if CUBE_POS_Z as usize == slot {
            let i = number();
            let parameter = parameters.index(slot);
            if i < parameter.len() {
                let p = parameter[i];
                let rate = *rates.index(slot);
                let g = clip(gradients.index(slot)[i], factor, clipped) * scale;
                let g = g + *decays.index(slot) * p;
                let mut direction = g;
                if moving {
                    let v = momentum * velocities.index(slot)[i] + g;
                    write(new_velocities.index_mut(slot), i, v);
                    if nesterov {
                        direction = g + momentum * v;
                    } else {
                        direction = v;
                    }
                }
                write(new_parameters.index_mut(slot), i, p - rate * direction);
            }
        }
    }
}

/// Of a mean and of a variance.
pub(crate) fn averages(
    rule: Averages,
    [old_mean, old_variance]: [&Tensor<1>; 2],
    [new_mean, new_variance]: [&Tensor<1>; 2],
) -> Option<[Tensor<1>; 2]> {
    let [old_mean, old_variance, new_mean, new_variance] =
        [old_mean, old_variance, new_mean, new_variance].map(on_gpu);
    let read = [old_mean?, old_variance?, new_mean?, new_variance?];
    let count = read[0].meta.num_elements();
    let new = [(); 2].map(|()| room(&read[0], [count]));
    let ([old_mean, old_variance, new_mean, new_variance], [mean, variance]) = (read, new.clone());
    let buffers = [old_mean, old_variance, new_mean, new_variance, mean, variance];
    Update { rule, buffers }.submit(|group| &mut group.averages, Averages::launch);
    Some(new.map(tensor))
}

impl Averages {
    fn launch(updates: &[Update<Self, 6>], _: Option<&CubeTensor>) {
        let buffers = |place| Update::buffers(updates, place);
        let Self { rest, share } = updates[0].rule;
        averages_kernel::launch(
            &updates[0].buffers[0].client.clone(),
            Update::cubes(updates),
            dim(THREADS),
            buffers(0),
            buffers(1),
            buffers(2),
            buffers(3),
            buffers(4),
            buffers(5),
            rest,
            share,
        );
    }
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes buffers and numbers alone")]
fn averages_kernel(
    old_means: &Sequence<Box<[f32]>>,
    old_variances: &Sequence<Box<[f32]>>,
    new_means: &Sequence<Box<[f32]>>,
    new_variances: &Sequence<Box<[f32]>>,
    means: &mut Sequence<Box<[f32]>>,
    variances: &mut Sequence<Box<[f32]>>,
    rest: f32,
    share: f32,
) {
    #[unroll]
    for slot in 0..old_means.len() {
        if CUBE_POS_Z as usize == slot {
            let i = number();
            let old_mean = old_means.index(slot);
            if i < old_mean.len() {
                let mean = old_mean[i] * rest + new_means.index(slot)[i] * share;
                let variance =
                    old_variances.index(slot)[i] * rest + new_variances.index(slot)[i] * share;
                write(means.index_mut(slot), i, mean);
                write(variances.index_mut(slot), i, variance);
            }
        }
    }
}

/// A factor, or something else that is not read.
fn factor_or(factor: Option<&CubeTensor>, other: &CubeTensor) -> BufferArg {
    factor.unwrap_or(other).clone().into_buffer_arg()
}

#[cube]
fn clip(gradient: f32, factor: &[f32], #[comptime] clipped: bool) -> f32 {
    if clipped { gradient * factor[0] } else { gradient }
}

/// The number of a parameter that a thread updates.
#[cube]
fn number() -> usize {
    let cube = CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    cube * THREADS + UNIT_POS as usize
}
