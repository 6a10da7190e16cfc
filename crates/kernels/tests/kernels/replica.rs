//! Batch norm of a batch in parts, each on a thread, against that of the whole.

use crate::case::Draw;
use activation_testing::activation;
use actlab_kernels::{Replica, batch_norm_training};
use burn::Tensor;
use burn::tensor::{DType, Device, TensorData};
use std::ops::Range;

const ROW: [usize; 3] = [3, 4, 5];
const EXAMPLES: usize = 7;

/// Input, residual and gradient of the output, and scale and shift.
struct Numbers {
    images: [Vec<f64>; 3],
    vectors: [Vec<f64>; 2],
}

/// What a part gives: output, mean and variance; gradients by image, scale, shift and residual.
type Given = Vec<Vec<f64>>;

impl Numbers {
    fn part(&self, examples: Range<usize>, dtype: DType, replica: Option<Replica>) -> Given {
        let device = Device::flex().autodiff();
        let size: usize = ROW.iter().product();
        let shape = [examples.len(), ROW[0], ROW[1], ROW[2]];
        let images = self.images.each_ref().map(|numbers| {
            let numbers = numbers[examples.start * size..examples.end * size].to_vec();
            Tensor::<4>::from_data(TensorData::new(numbers, shape), (&device, dtype)).require_grad()
        });
        let vectors = self.vectors.each_ref().map(|numbers| {
            let numbers = TensorData::new(numbers.clone(), [ROW[2]]);
            Tensor::<1>::from_data(numbers, (&device, dtype)).require_grad()
        });
        let ([x, residual, upstream], [gamma, beta]) = (images, vectors);
        let f = activation("smooth");
        let (scale, shift) = (gamma.clone(), beta.clone());
        let into = Some(residual.clone());
        let norm = batch_norm_training(x.clone(), scale, shift, 1e-5, into, Some(&f), replica);
        let gradients = (norm.output.clone() * upstream).sum().backward();
        let of = |x: &Tensor<4>| x.grad(&gradients).unwrap().into_data().iter::<f64>().collect();
        let by = |x: &Tensor<1>| x.grad(&gradients).unwrap().into_data().iter::<f64>().collect();
        let read = |x: Tensor<1>| x.into_data().iter::<f64>().collect();
        let output = norm.output.into_data().iter::<f64>().collect();
        vec![
            output,
            of(&x),
            of(&residual),
            read(norm.mean),
            read(norm.variance),
            by(&gamma),
            by(&beta),
        ]
    }
}

fn numbers() -> Numbers {
    let mut draw = Draw::new(5);
    let size: usize = ROW.iter().product();
    let mut wide = |count| draw.numbers(count, 2.0).into_iter().map(f64::from).collect();
    Numbers {
        images: [(); 3].map(|()| wide(EXAMPLES * size)),
        vectors: [(); 2].map(|()| wide(ROW[2])),
    }
}

#[test]
fn parts_are_normalized_by_the_whole_batch() {
    let numbers = numbers();
    // Kernels for the CPU, then burn's operations, which other devices take.
    for dtype in [DType::F32, DType::F64] {
        let whole = numbers.part(0..EXAMPLES, dtype, None);
        let cuts = [0, 1, 4, EXAMPLES];
        let parts: Vec<Given> = std::thread::scope(|scope| {
            let started: Vec<_> = Replica::group(3)
                .into_iter()
                .zip(cuts.windows(2))
                .map(|(mut replica, cut)| {
                    let (numbers, cut) = (&numbers, cut[0]..cut[1]);
                    scope
                        .spawn(move || numbers.part(cut, dtype, Some(replica.for_next_operation())))
                })
                .collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let close = |a: f64, b: f64| {
            let tolerance = if dtype == DType::F32 { 1e-5 } else { 1e-12 };
            assert!((a - b).abs() <= tolerance * (1.0 + a.abs()), "{dtype:?}: {a} {b}");
        };
        for image in 0..3 {
            let joined: Vec<f64> = parts.iter().flat_map(|part| part[image].clone()).collect();
            match dtype {
                // The statistics are joined image by image.
                DType::F32 => assert_eq!(whole[image], joined),
                _ => whole[image].iter().zip(joined).for_each(|(a, b)| close(*a, b)),
            }
        }
        for (statistic, part) in
            (3..5).flat_map(|which| parts.iter().map(move |part| (which, part)))
        {
            whole[statistic].iter().zip(&part[statistic]).for_each(|(a, b)| close(*a, *b));
        }
        for vector in 5..7 {
            for (channel, of_whole) in whole[vector].iter().enumerate() {
                close(*of_whole, parts.iter().map(|part| part[vector][channel]).sum());
            }
        }
    }
}
