//! Updates of parameters in one pass.

use crate::device::{gpu, rule};
use crate::host::{Host, Values};
use ::activation::arch;
use burn::Tensor;
use rayon::prelude::*;
use std::marker::PhantomData;

/// Numbers that one task takes on.
const TASK: usize = 1 << 15;

/// While it lives, a GPU may leave the steps of [`Sgd`] and [`AdamW`] and the averages of
/// [`running_averages`](crate::running_averages) on this thread to its end, and make several by one kernel. What they return
/// may not be read before. Groups do not overlap.
#[derive(Debug)]
pub struct UpdateGroup {
    /// Steps that wait are those of a thread.
    of_thread: PhantomData<*const ()>,
}

impl UpdateGroup {
    /// Steps may wait from now on. Their gradients are multiplied with `clip` first, which is `[1]` on their GPU.
    #[must_use]
    pub fn begin(clip: Option<&Tensor<1>>) -> Self {
        gpu::begin_group(clip);
        Self { of_thread: PhantomData }
    }
}

impl Drop for UpdateGroup {
    fn drop(&mut self) {
        // What waits is of no use to a step that has panicked, and a second panic would end the program.
        gpu::end_group(!std::thread::panicking());
    }
}

/// Stochastic gradient descent with momentum (Sutskever et al. 2013), without dampening, its weight
/// decay added to the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub learning_rate: f64,
    /// What the gradient is multiplied with first.
    pub gradient_scale: f64,
    /// Part of the velocity that stays; 0 keeps none.
    pub momentum: f64,
    /// Whether the gradient is taken where momentum leads.
    pub nesterov: bool,
    /// Factor of the parameter in its gradient.
    pub weight_decay: f64,
}

impl Sgd {
    /// The new parameter for its `gradient`, with the velocity brought up to date (`None` at the first
    /// step, and where there is no momentum). Neither may be on a tape. What has no other owner is written
    /// over.
    ///
    /// # Panics
    /// If the sizes do not agree.
    #[must_use]
    pub fn step(
        &self,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        velocity: &mut Option<Tensor<1>>,
    ) -> Tensor<1> {
        let Self { learning_rate, gradient_scale, momentum, nesterov, weight_decay } = *self;
        assert_eq!(parameter.dims(), gradient.dims(), "a gradient for each number");
        let known = velocity.as_ref().is_none_or(|velocity| velocity.dims() == parameter.dims());
        assert!(known, "a velocity for each number");
        if momentum == 0.0 {
            *velocity = None;
        } else if velocity.is_none() {
            *velocity = Some(parameter.zeros_like());
        }
        let [rate, scale, small_momentum, decay] =
            single([learning_rate, gradient_scale, momentum, weight_decay]);
        let moving = velocity.is_some();
        let rule = rule::Sgd { rate, scale, momentum: small_momentum, decay, moving, nesterov };
        if !on_cpu([&parameter, &gradient]) {
            if let Some((new, now)) = gpu::sgd(rule, [&parameter, &gradient], velocity.as_ref()) {
                *velocity = now;
                return new;
            }
            let gradient = clipped(gradient) * gradient_scale + parameter.clone() * weight_decay;
            let direction = match velocity.take() {
                None => gradient,
                Some(old) => {
                    let new = old * momentum + gradient.clone();
                    *velocity = Some(new.clone());
                    if nesterov { gradient + new * momentum } else { new }
                }
            };
            return parameter - direction * learning_rate;
        }
        let rule::Sgd { rate, scale, momentum, decay, nesterov, .. } = rule;
        let (mut new, g) = (owned(parameter), owned(gradient));
        let tasks = new.slice_mut().par_chunks_mut(TASK).zip(g.slice().par_chunks(TASK));
        let Some(old) = velocity.take() else {
            tasks.for_each(|(p, g)| {
                arch().dispatch(
                    #[inline(always)]
                    || {
                        for (p, g) in p.iter_mut().zip(g) {
                            *p -= rate * (g * scale + decay * *p);
                        }
                    },
                );
            });
            return new.into_tensor();
        };
        let mut old = owned(old);
        tasks.zip(old.slice_mut().par_chunks_mut(TASK)).for_each(|((p, g), v)| {
            arch().dispatch(
                #[inline(always)]
                || {
                    for ((p, g), v) in p.iter_mut().zip(g).zip(v) {
                        let g = g * scale + decay * *p;
                        *v = momentum * *v + g;
                        let direction = if nesterov { g + momentum * *v } else { *v };
                        *p -= rate * direction;
                    }
                },
            );
        });
        *velocity = Some(old.into_tensor());
        new.into_tensor()
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamW {
    /// Learning rate.
    pub learning_rate: f64,
    /// What the gradient is multiplied with first.
    pub gradient_scale: f64,
    /// Part of the first moment that stays.
    pub beta1: f64,
    /// Part of the second moment that stays.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Part of the parameter that goes, times the learning rate.
    pub weight_decay: f64,
    /// Factor of the parameter in its gradient, as in Adam with an L2 penalty; none of it is decoupled.
    pub coupled_decay: f64,
    /// Steps of this parameter, this one counted.
    pub step: u64,
}

impl AdamW {
    /// The new parameter for its `gradient`, with the moments brought up to date (`None` at the first
    /// step). None of them may be on a tape. What has no other owner is written over.
    ///
    /// # Panics
    /// If the sizes do not agree.
    #[must_use]
    pub fn step(
        &self,
        parameter: Tensor<1>,
        gradient: Tensor<1>,
        moments: &mut Option<[Tensor<1>; 2]>,
    ) -> Tensor<1> {
        let Self {
            learning_rate,
            gradient_scale,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            coupled_decay,
            step,
        } = *self;
        assert_eq!(parameter.dims(), gradient.dims(), "a gradient for each number");
        // Not `powi`, whose result may depend on compiler and platform.
        #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
        let step = step as f64;
        let (correction1, correction2) =
            (1.0 - libm::pow(beta1, step), 1.0 - libm::pow(beta2, step));
        let [first, second] =
            moments.take().unwrap_or_else(|| [parameter.zeros_like(), parameter.zeros_like()]);
        let shape = parameter.dims();
        assert!(first.dims() == shape && second.dims() == shape, "moments for each number");
        let keep = 1.0 - learning_rate * weight_decay;
        let [
            scale,
            small1,
            small2,
            rest1,
            rest2,
            small_epsilon,
            small_keep,
            rate,
            correction,
            coupled,
        ] = single([
            gradient_scale,
            beta1,
            beta2,
            1.0 - beta1,
            1.0 - beta2,
            epsilon,
            keep,
            learning_rate / correction1,
            1.0 / correction2,
            coupled_decay,
        ]);
        let rule = rule::AdamW {
            scale,
            beta1: small1,
            beta2: small2,
            rest1,
            rest2,
            epsilon: small_epsilon,
            keep: small_keep,
            rate,
            correction2: correction,
            coupled,
        };
        if !on_cpu([&parameter, &gradient]) {
            if let Some([new, first, second]) =
                gpu::adamw(rule, [&parameter, &gradient, &first, &second])
            {
                *moments = Some([first, second]);
                return new;
            }
            let mut gradient = clipped(gradient) * gradient_scale;
            if coupled_decay != 0.0 {
                gradient = gradient + parameter.clone() * coupled_decay;
            }
            let first = first * beta1 + gradient.clone() * (1.0 - beta1);
            let second = second * beta2 + gradient.square() * (1.0 - beta2);
            let root = (second.clone() / correction2).sqrt() + epsilon;
            let direction = first.clone() / correction1 / root;
            *moments = Some([first, second]);
            return parameter * keep - direction * learning_rate;
        }
        let rule::AdamW {
            scale,
            beta1,
            beta2,
            rest1,
            rest2,
            epsilon,
            keep,
            rate,
            correction2,
            coupled,
        } = rule;
        let (mut new, g) = (owned(parameter), owned(gradient));
        let (mut first, mut second) = (owned(first), owned(second));
        let tasks = new
            .slice_mut()
            .par_chunks_mut(TASK)
            .zip(first.slice_mut().par_chunks_mut(TASK))
            .zip(second.slice_mut().par_chunks_mut(TASK))
            .zip(g.slice().par_chunks(TASK));
        tasks.for_each(|(((p, m), v), g)| {
            arch().dispatch(
                #[inline(always)]
                || {
                    for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
                        // Without coupled decay a gradient of −0 stays what it is.
                        let g = if coupled == 0.0 { g * scale } else { g * scale + coupled * *p };
                        *m = beta1 * *m + rest1 * g;
                        *v = beta2 * *v + rest2 * (g * g);
                        let root = (*v * correction2).sqrt() + epsilon;
                        *p = *p * keep - rate * *m / root;
                    }
                },
            );
        });
        *moments = Some([first.into_tensor(), second.into_tensor()]);
        new.into_tensor()
    }
}

/// A gradient times the factor of the group, where there is one.
fn clipped(gradient: Tensor<1>) -> Tensor<1> {
    match gpu::group_factor() {
        Some(factor) => gradient * factor,
        None => gradient,
    }
}

/// Whether all of them are on the CPU and on no tape.
fn on_cpu<const N: usize>(tensors: [&Tensor<1>; N]) -> bool {
    tensors.iter().all(|tensor| matches!(Host::of(tensor), Some(Host::Plain(_))))
}

/// The numbers of a tensor on the CPU, to be written over where it has no other owner.
fn owned(tensor: Tensor<1>) -> Values {
    let host = Host::of(&tensor);
    drop(tensor);
    host.expect("gradient and moments lie where their parameter does").values()
}

#[expect(clippy::cast_possible_truncation, reason = "f32 parameters")]
fn single<const N: usize>(numbers: [f64; N]) -> [f32; N] {
    numbers.map(|x| x as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn place(tensor: &Tensor<1>) -> *const f32 {
        Host::of(tensor).expect("it is on the CPU").values().slice().as_ptr()
    }

    #[test]
    fn updates_are_in_place_unless_there_is_another_owner() {
        let rule = Sgd {
            learning_rate: 0.1,
            gradient_scale: 1.0,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.0,
        };
        let numbers = |number: f32| Tensor::<1>::full([100], number, &Device::flex());
        let mut velocity = Some(numbers(0.0));
        let parameter = numbers(1.0);
        let places = [place(&parameter), place(velocity.as_ref().unwrap())];
        let parameter = rule.step(parameter, numbers(1.0), &mut velocity);
        assert_eq!([place(&parameter), place(velocity.as_ref().unwrap())], places);
        let held = parameter.clone();
        let parameter = rule.step(parameter, numbers(1.0), &mut velocity);
        assert_eq!(place(&held), places[0]);
        assert_ne!(place(&parameter), places[0]);
    }
}
