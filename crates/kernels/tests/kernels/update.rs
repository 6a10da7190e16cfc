//! Update rules against their formulas in double precision, over several steps.

use crate::case::{CASES, Draw, Input, Layout, devices, sum_of_squares};
use actlab_kernels::{AdamW, Sgd, Squares, UpdateGroup, running_averages};
use burn::Tensor;
use burn::tensor::{DType, Device};
use proptest::prelude::*;

const STEPS: usize = 5;

const SGD: Sgd = Sgd {
    learning_rate: 0.1,
    gradient_scale: 0.5,
    momentum: 0.9,
    nesterov: true,
    weight_decay: 5e-4,
};

const ADAMW: AdamW = AdamW {
    learning_rate: 1e-2,
    gradient_scale: 0.5,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.01,
    coupled_decay: 0.0,
    step: 1,
};

fn numbers(x: &Tensor<1>) -> Vec<f64> {
    x.to_data().iter::<f64>().collect()
}

fn wide(input: &Input) -> Vec<f64> {
    input.numbers.iter().copied().map(f64::from).collect()
}

fn assert_near(what: &str, given: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(given.len(), expected.len(), "{what}");
    for (i, (x, expected)) in given.iter().zip(expected).enumerate() {
        let error = (x - expected).abs();
        assert!(error <= tolerance * expected.abs().max(1.0), "{what}[{i}]: {x}, not {expected}");
    }
}

/// A parameter, or a gradient, which may lie between other numbers.
fn vector(draw: &mut Draw, count: usize) -> Input {
    let mut input = draw.input(&[count], 1.0);
    if count > 0 && draw.coin() {
        input.layout = Layout::Narrowed(0);
    }
    input
}

/// Some of `tensors`, which have another owner: a step may write over the others alone.
fn held<const N: usize>(draw: &mut Draw, tensors: [Option<&Tensor<1>>; N]) -> Vec<Tensor<1>> {
    tensors.into_iter().flatten().filter(|_| draw.coin()).cloned().collect()
}

/// Some steps of `rule` against the formula. Nothing that has another owner may change: tensors of the
/// steps before are looked at again.
fn check_sgd_on(
    device: &Device,
    rule: Sgd,
    (count, dtype, tolerance): (usize, DType, f64),
    draw: &mut Draw,
) {
    let start = vector(draw, count);
    let mut parameter = start.tensor::<1>(device, dtype);
    let mut velocity = None;
    let (mut p, mut v) = (wide(&start), vec![0.0; count]);
    for step in 0..STEPS {
        let gradient = vector(draw, count);
        let given = gradient.tensor::<1>(device, dtype);
        let held = held(draw, [Some(&parameter), Some(&given), velocity.as_ref()]);
        let before: Vec<_> = held.iter().map(numbers).collect();
        let new = rule.step(parameter, given, &mut velocity);
        assert_eq!(held.iter().map(numbers).collect::<Vec<_>>(), before, "step {step}");
        for ((p, v), g) in p.iter_mut().zip(&mut v).zip(wide(&gradient)) {
            let g = rule.gradient_scale * g + rule.weight_decay * *p;
            *v = rule.momentum * *v + g;
            let direction = if rule.nesterov { g + rule.momentum * *v } else { *v };
            *p -= rule.learning_rate * direction;
        }
        assert_eq!(new.dtype(), dtype);
        assert_near(&format!("step {step}: parameter"), &numbers(&new), &p, tolerance);
        assert_eq!(velocity.is_some(), rule.momentum != 0.0);
        if let Some(velocity) = &velocity {
            assert_near(&format!("step {step}: velocity"), &numbers(velocity), &v, tolerance);
        }
        parameter = new;
    }
}

/// As above; `rule`'s count of steps is replaced.
fn check_adamw_on(
    device: &Device,
    rule: AdamW,
    (count, dtype, tolerance): (usize, DType, f64),
    draw: &mut Draw,
) {
    let start = vector(draw, count);
    let mut parameter = start.tensor::<1>(device, dtype);
    let mut moments: Option<[Tensor<1>; 2]> = None;
    let (mut p, mut m, mut v) = (wide(&start), vec![0.0; count], vec![0.0; count]);
    for step in 1..=STEPS as i32 {
        let gradient = vector(draw, count);
        let given = gradient.tensor::<1>(device, dtype);
        let [first, second] = moments.as_ref().map_or([None; 2], |m| m.each_ref().map(Some));
        let held = held(draw, [Some(&parameter), Some(&given), first, second]);
        let before: Vec<_> = held.iter().map(numbers).collect();
        let rule = AdamW { step: step as u64, ..rule };
        let new = rule.step(parameter, given, &mut moments);
        assert_eq!(held.iter().map(numbers).collect::<Vec<_>>(), before, "step {step}");
        let (beta1, beta2) = (rule.beta1, rule.beta2);
        for (((p, m), v), g) in p.iter_mut().zip(&mut m).zip(&mut v).zip(wide(&gradient)) {
            let g = rule.gradient_scale * g + rule.coupled_decay * *p;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let (m, v) = (*m / (1.0 - beta1.powi(step)), *v / (1.0 - beta2.powi(step)));
            let decay = rule.learning_rate * rule.weight_decay * *p;
            *p -= decay + rule.learning_rate * m / (v.sqrt() + rule.epsilon);
        }
        assert_eq!(new.dtype(), dtype);
        assert_near(&format!("step {step}: parameter"), &numbers(&new), &p, tolerance);
        let [first, second] = moments.as_ref().unwrap();
        assert_near(&format!("step {step}: first moment"), &numbers(first), &m, tolerance);
        assert_near(&format!("step {step}: second moment"), &numbers(second), &v, tolerance);
        parameter = new;
    }
}

/// On every device that has the type.
fn on_devices(dtype: DType, mut check: impl FnMut(&Device)) {
    let devices = devices().into_iter();
    devices
        .take(if dtype == DType::F64 { 1 } else { usize::MAX })
        .for_each(|device| check(&device));
}

fn check_sgd(rule: Sgd, count: usize, dtype: DType, tolerance: f64, draw: &mut Draw) {
    on_devices(dtype, |device| check_sgd_on(device, rule, (count, dtype, tolerance), draw));
}

fn check_adamw(rule: AdamW, count: usize, dtype: DType, tolerance: f64, draw: &mut Draw) {
    on_devices(dtype, |device| check_adamw_on(device, rule, (count, dtype, tolerance), draw));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn sgd(
        seed: u64,
        count in 0..=150_usize,
        learning_rate in 1e-3..0.5_f64,
        gradient_scale in 0.1..2.0_f64,
        momentum in prop_oneof![Just(0.0), Just(0.9), 0.1..0.99_f64],
        nesterov: bool,
        weight_decay in prop_oneof![Just(0.0), 1e-4..0.1_f64],
        double: bool,
    ) {
        // Nesterov's look ahead is along a velocity.
        let nesterov = nesterov && momentum > 0.0;
        let rule = Sgd { learning_rate, gradient_scale, momentum, nesterov, weight_decay };
        let (dtype, tolerance) =
            if double { (DType::F64, 1e-12) } else { (DType::F32, 1e-5) };
        // An empty f64 vector has no plain way in burn.
        let count = if double { count.max(1) } else { count };
        check_sgd(rule, count, dtype, tolerance, &mut Draw::new(seed));
    }

    #[test]
    fn adamw(
        seed: u64,
        count in 0..=150_usize,
        learning_rate in 1e-4..0.1_f64,
        gradient_scale in 0.1..2.0_f64,
        beta1 in prop_oneof![Just(0.0), Just(0.9), 0.1..0.99_f64],
        beta2 in prop_oneof![Just(0.999), 0.5..0.999_f64],
        epsilon in prop_oneof![Just(1e-8), 1e-6..1e-2_f64],
        weight_decay in prop_oneof![Just(0.0), 1e-4..0.1_f64],
        coupled_decay in prop_oneof![Just(0.0), 1e-4..0.5_f64],
        double: bool,
    ) {
        let rule = AdamW {
            learning_rate, gradient_scale, beta1, beta2, epsilon, weight_decay, coupled_decay, step: 0
        };
        let (dtype, tolerance) =
            if double { (DType::F64, 1e-12) } else { (DType::F32, 1e-5) };
        let count = if double { count.max(1) } else { count };
        check_adamw(rule, count, dtype, tolerance, &mut Draw::new(seed));
    }

    #[test]
    fn sums_of_squares(seed: u64, a in 0..=9_usize, b in 1..=9_usize, c in 1..=70_usize) {
        let draw = &mut Draw::new(seed);
        let mut input = draw.input(&[a, b, c], 3.0);
        if a > 0 {
            input.layout = [Layout::Ordered, Layout::Reversed, Layout::Flipped, Layout::Narrowed(2)][draw.below(4)];
        }
        let expected: f64 = wide(&input).iter().map(|x| x * x).sum();
        let x: Tensor<3> = input.tensor(&Device::flex(), DType::F32);
        let given = sum_of_squares(x.clone());
        prop_assert!((given - expected).abs() <= 1e-7 * expected, "{given}, not {expected}");
        prop_assert_eq!(x.to_data().iter::<f64>().collect::<Vec<_>>(), wide(&input));
        if a > 0 {
            // On a tape, by burn's operations in single precision.
            let taped: Tensor<3> = input.tensor(&Device::flex().autodiff(), DType::F32);
            let given = sum_of_squares(taped);
            prop_assert!((given - expected).abs() <= 1e-5 * expected, "{given}, not {expected}");
            let double: Tensor<3> = input.tensor(&Device::flex(), DType::F64);
            let given = sum_of_squares(double);
            prop_assert!((given - expected).abs() <= 1e-6 * expected, "{given}, not {expected}");
        }
    }
}

#[test]
fn parameters_of_several_tasks() {
    let draw = &mut Draw::new(19);
    check_sgd(SGD, 70_003, DType::F32, 1e-5, draw);
    check_sgd(Sgd { momentum: 0.0, nesterov: false, ..SGD }, 70_003, DType::F32, 1e-5, draw);
    check_adamw(ADAMW, 70_003, DType::F32, 1e-5, draw);
}

/// Gradients of a run that is about to diverge: their squares are beyond single precision, the norm
/// that they are clipped by is not.
#[test]
fn squares_beyond_single_precision() {
    for x in [1e25_f32, 1e-25] {
        let all = Tensor::<1>::full([40], x, &Device::flex());
        let expected = 40.0 * f64::from(x) * f64::from(x);
        let given = sum_of_squares(all);
        assert!((given - expected).abs() <= 1e-6 * expected, "{x:e}: {given:e}, not {expected:e}");
    }
}

/// Sizes of the parameters of a network: more than one kernel takes, of one part and of several.
fn sizes() -> Vec<usize> {
    let small = (1..=40).map(|i| 7 * i * i % 3001 + 1);
    small.chain([8192, 8193, 70_003, 1_100_001, 5]).collect()
}

/// What is computed together is what is computed alone; a clipped gradient is one that is multiplied before.
#[test]
fn updates_in_a_group() {
    on_devices(DType::F32, |device| {
        let run = |grouped: bool| {
            let draw = &mut Draw::new(23);
            let group = grouped.then(|| UpdateGroup::begin(None));
            let mut results = Vec::new();
            for (place, size) in sizes().into_iter().enumerate() {
                let mut vector = || draw.input(&[size], 1.0).tensor::<1>(device, DType::F32);
                let (parameter, gradient, mut velocity) = (vector(), vector(), Some(vector()));
                let mut moments = Some([vector(), vector().square()]);
                // Norms and biases do not decay, and what activations learn has a rate of its own.
                let weight_decay = if place % 3 == 0 { 0.0 } else { 0.01 };
                let learning_rate = if place % 5 == 0 { 0.2 } else { 0.1 };
                let sgd = Sgd { weight_decay, learning_rate, ..SGD };
                let adamw = AdamW { weight_decay, learning_rate, ..ADAMW };
                results.push(sgd.step(parameter.clone(), gradient.clone(), &mut velocity));
                results.push(adamw.step(parameter, gradient, &mut moments));
                results.extend(velocity.into_iter().chain(moments.into_iter().flatten()));
            }
            drop(group);
            results.iter().map(numbers).collect::<Vec<_>>()
        };
        assert!(run(true) == run(false));
    });
}

#[test]
fn averages_in_a_group() {
    on_devices(DType::F32, |device| {
        let run = |grouped: bool| {
            let draw = &mut Draw::new(37);
            let group = grouped.then(|| UpdateGroup::begin(None));
            let averages = (1..=20).flat_map(|size| {
                let mut both = || [0, 1].map(|_| draw.input(&[7 * size], 1.0));
                let (old, new) = (both(), both());
                let tensor = |both: &[Input; 2]| {
                    both.each_ref().map(|input| input.tensor::<1>(device, DType::F32))
                };
                let given = running_averages(tensor(&old), tensor(&new), 0.1);
                let expected = [0, 1].map(|i| {
                    let pairs = wide(&old[i]).into_iter().zip(wide(&new[i]));
                    pairs.map(|(old, new)| 0.9 * old + 0.1 * new).collect::<Vec<_>>()
                });
                given.into_iter().zip(expected)
            });
            let averages: Vec<_> = averages.collect();
            drop(group);
            for (given, expected) in averages {
                assert_near("average", &numbers(&given), &expected, 1e-6);
            }
        };
        run(false);
        run(true);
    });
}

/// On a GPU the factor is never read; on the CPU there is none.
#[test]
fn gradients_that_are_clipped_on_their_device() {
    let rule = Sgd {
        learning_rate: 0.1,
        gradient_scale: 1.0,
        momentum: 0.0,
        nesterov: false,
        weight_decay: 0.01,
    };
    on_devices(DType::F32, |device| {
        let draw = &mut Draw::new(31);
        let gradients: Vec<Input> = sizes().into_iter().map(|size| vector(draw, size)).collect();
        let norm = gradients.iter().flat_map(wide).map(|x| x * x).sum::<f64>().sqrt();
        for largest in [norm / 3.0, norm * 2.0] {
            let mut squares = Squares::default();
            for gradient in &gradients {
                squares.push(gradient.tensor::<1>(device, DType::F32));
            }
            let factor = squares.sums().clip_factor(largest);
            assert_eq!(factor.is_none(), *device == Device::flex());
            let Some(factor) = factor else { continue };
            let expected = (largest / norm).min(1.0);
            assert_near("factor", &numbers(&factor), &[expected], 1e-6);
            let group = UpdateGroup::begin(Some(&factor));
            let update = |gradient: &Input| {
                let parameter = Tensor::<1>::full(gradient.shape.clone(), 0.5, device);
                rule.step(parameter, gradient.tensor(device, DType::F32), &mut None)
            };
            let new: Vec<_> = gradients.iter().map(update).collect();
            drop(group);
            for (new, gradient) in new.iter().zip(&gradients) {
                let update = |g: f64| 0.5 - 0.1 * (expected * g + 0.005);
                let expected: Vec<f64> = wide(gradient).into_iter().map(update).collect();
                assert_near("clipped", &numbers(new), &expected, 1e-6);
            }
        }
    });
}

#[test]
fn squares_of_several_tensors() {
    on_devices(DType::F32, |device| {
        let draw = &mut Draw::new(29);
        let inputs: Vec<Input> = sizes().into_iter().map(|size| vector(draw, size)).collect();
        let mut squares = Squares::default();
        for input in &inputs {
            squares.push(input.tensor::<1>(device, DType::F32));
        }
        let sums = squares.sums();
        let read: Vec<f64> = sums.on_device().map(numbers).unwrap_or_default();
        let expected: Vec<f64> =
            inputs.iter().map(|input| wide(input).iter().map(|x| x * x).sum()).collect();
        for (given, expected) in sums.numbers(&read).iter().zip(&expected) {
            assert!((given - expected).abs() <= 1e-5 * expected, "{given}, not {expected}");
        }
        assert_eq!(sums.numbers(&read).len(), expected.len());
    });
}
