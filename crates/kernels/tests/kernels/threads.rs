//! The same bits with any number of threads.

use crate::case::{Draw, Outcome, sum_of_squares};
use crate::operation;
use actlab_kernels::{AdamW, Sgd, copy};
use burn::Tensor;
use burn::tensor::{DType, Device};
use rayon::ThreadPoolBuilder;

/// What `run` gives, asserted to be the same in each pool.
fn in_pools<T: PartialEq + Send>(what: &str, run: impl Fn() -> T + Sync) {
    let mut first = None;
    for threads in [1, 2, 3, 5] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let result = pool.install(&run);
        // Not by `assert_eq!`, which would print all of the numbers.
        let same = *first.get_or_insert_with(|| pool.install(&run)) == result;
        assert!(same, "{what}: other bits with {threads} threads");
    }
}

/// FNV-1a.
pub(crate) fn hash(numbers: &[Vec<u64>]) -> u64 {
    numbers.iter().flatten().fold(0xcbf2_9ce4_8422_2325, |hash, x| {
        let bytes = x.to_le_bytes();
        bytes.iter().fold(hash, |hash, x| (hash ^ u64::from(*x)).wrapping_mul(0x100_0000_01b3))
    })
}

pub(crate) fn bits(outcome: Outcome) -> Vec<Vec<u64>> {
    let gradients = outcome.gradients.into_iter().flatten();
    let all = gradients.chain(outcome.others).chain([outcome.y]);
    all.map(|all| all.numbers.iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn operations() {
    let names: Vec<String> = operation::large().into_iter().map(|case| case.name).collect();
    for (i, name) in names.iter().enumerate() {
        in_pools(name, || {
            // Cases cannot be shared between threads: each pool draws the same ones again.
            let case = operation::large().swap_remove(i);
            // On a tape, inference takes burn's operations.
            let taped = !name.starts_with("batch norm inference");
            let device = if taped { Device::flex().autodiff() } else { Device::flex() };
            bits(case.run_fused(&device, DType::F32))
        });
    }
}

#[test]
fn updates_and_sums() {
    let count = 200_003;
    let numbers = |seed: u64| {
        let numbers = Draw::new(seed).numbers(count, 1.0);
        Tensor::<1>::from_floats(numbers.as_slice(), &Device::flex())
    };
    let bits =
        |x: &Tensor<1>| -> Vec<u32> { x.to_data().iter::<f32>().map(f32::to_bits).collect() };
    in_pools("sum of squares", || sum_of_squares(numbers(1)).to_bits());
    in_pools("copy", || bits(&copy(&numbers(1))));
    in_pools("Sgd", || {
        let rule = Sgd {
            learning_rate: 0.1,
            gradient_scale: 0.5,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.01,
        };
        let mut velocity = None;
        let p = rule.step(numbers(1), numbers(2), &mut velocity);
        let p = rule.step(p, numbers(3), &mut velocity);
        [bits(&p), bits(&velocity.unwrap())]
    });
    in_pools("AdamW", || {
        let rule = |step| AdamW {
            learning_rate: 0.1,
            gradient_scale: 0.5,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-8,
            weight_decay: 0.01,
            coupled_decay: 0.0,
            step,
        };
        let mut moments = None;
        let p = rule(1).step(numbers(1), numbers(2), &mut moments);
        let p = rule(2).step(p, numbers(3), &mut moments);
        let [first, second] = moments.unwrap();
        [bits(&p), bits(&first), bits(&second)]
    });
}
