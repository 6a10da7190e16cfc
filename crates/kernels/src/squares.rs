//! Sums of the squares of tensors, of which the norm of a gradient is made.

use crate::device::gpu;
use crate::host::Host;
use crate::reduce::sum;
use ::activation::arch;
use burn::Tensor;
use rayon::prelude::*;

/// Numbers that one task takes on. It is fixed, since sums are made of the tasks'.
const TASK: usize = 1 << 15;

/// Tensors whose squares are to be added up. All that are not on the CPU lie on one device.
#[derive(Debug, Default)]
pub struct Squares {
    sums: Vec<Sum>,
    on_gpu: gpu::Squares,
    /// How many those are.
    gpu_count: usize,
    /// What burn's operations make.
    others: Vec<Tensor<1>>,
}

/// Sums of the squares of tensors, in their order.
#[derive(Debug)]
pub struct SquareSums {
    sums: Vec<Sum>,
    /// Those that a GPU's kernels made, and behind them those of burn's operations.
    on_device: Option<Tensor<1>>,
    gpu_count: usize,
}

/// A sum on the host, or its place among those that a GPU's kernels make, or among the others.
#[derive(Debug)]
enum Sum {
    OnHost(f64),
    OnGpu(usize),
    Other(usize),
}

impl Squares {
    /// Adds a tensor.
    pub fn push<const D: usize>(&mut self, x: Tensor<D>) {
        let sum = if let Some(sum) = on_host(&x) {
            Sum::OnHost(sum)
        } else if self.on_gpu.push(&x) {
            self.gpu_count += 1;
            Sum::OnGpu(self.gpu_count - 1)
        } else {
            self.others.push(sum(x.square()));
            Sum::Other(self.others.len() - 1)
        };
        self.sums.push(sum);
    }

    /// Their sums.
    #[must_use]
    pub fn sums(self) -> SquareSums {
        let Self { sums, on_gpu, gpu_count, others } = self;
        let all: Vec<_> = on_gpu.sums().into_iter().chain(others).collect();
        let on_device =
            if all.len() > 1 { Some(Tensor::cat(all, 0)) } else { all.into_iter().next() };
        SquareSums { sums, on_device, gpu_count }
    }
}

impl SquareSums {
    /// What is on a device, `[sums]`, to be read for [`SquareSums::numbers`].
    #[must_use]
    pub fn on_device(&self) -> Option<&Tensor<1>> {
        self.on_device.as_ref()
    }

    /// What gradients with these sums are multiplied with, so that the norm of all is `largest` at most: `[1]` on their GPU.
    /// None where some sum is not made by a GPU's kernels: the sums can be read, and decide the factor, as soon.
    #[must_use]
    pub fn clip_factor(&self, largest: f64) -> Option<Tensor<1>> {
        let sums = self.on_device.as_ref().filter(|_| self.gpu_count == self.sums.len())?;
        gpu::clip_factor(sums, largest)
    }

    /// The sums in their order, with the numbers that were `read` from the device.
    ///
    /// # Panics
    /// If fewer were read than there are.
    #[must_use]
    pub fn numbers(&self, read: &[f64]) -> Vec<f64> {
        let number = |sum: &Sum| match sum {
            Sum::OnHost(number) => *number,
            Sum::OnGpu(place) => read[*place],
            Sum::Other(place) => read[self.gpu_count + place],
        };
        self.sums.iter().map(number).collect()
    }
}

/// Sum of the squares of all numbers of a tensor on the CPU.
fn on_host<const D: usize>(x: &Tensor<D>) -> Option<f64> {
    let host @ Host::Plain(_) = Host::of(x)? else { return None };
    Some(sum_of_squares(host.values().slice()))
}

fn sum_of_squares(numbers: &[f32]) -> f64 {
    let sums: Vec<f64> = numbers
        .par_chunks(TASK)
        .map(|x| {
            arch().dispatch(
                #[inline(always)]
                || {
                    let mut sums = [0.0_f64; 32];
                    let rows = x.chunks_exact(32);
                    let rest: f64 =
                        rows.remainder().iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
                    for row in rows {
                        for (sum, x) in sums.iter_mut().zip(row) {
                            *sum += f64::from(*x) * f64::from(*x);
                        }
                    }
                    sums.iter().sum::<f64>() + rest
                },
            )
        })
        .collect();
    sums.iter().sum()
}
