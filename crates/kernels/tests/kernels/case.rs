//! One operation in two ways, on the same numbers.

use actlab_kernels::{Squares, copy, with_gradient};
use burn::Tensor;
use burn::tensor::{DType, Device, Gradients, TensorData};
use std::any::Any;
use std::cell::RefCell;

/// Single precision, with sums in another order.
pub(crate) const SINGLE: f64 = 1e-4;

/// Double precision, with the same operations on both sides but for their order.
pub(crate) const DOUBLE: f64 = 1e-10;

/// Where operations are tried: the CPU, and the GPU that the tests are built for, which needs to be there.
pub(crate) fn devices() -> Vec<Device> {
    vec![
        Device::flex(),
        #[cfg(feature = "wgpu")]
        Device::wgpu(burn::tensor::DeviceKind::DefaultDevice),
        #[cfg(all(feature = "cuda", not(feature = "wgpu")))]
        Device::cuda(0_usize),
    ]
}

/// How many cases of each operation are tried: those on a GPU compile kernels of their own.
pub(crate) const CASES: u32 = if cfg!(feature = "gpu") { 12 } else { 48 };

/// Numbers from a seed (`SplitMix64`): proptest draws and shrinks sizes, which is what matters, and not
/// each number.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Between −`bound` and `bound`.
    pub(crate) fn number(&mut self, bound: f32) -> f32 {
        ((self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0) * bound
    }

    pub(crate) fn numbers(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| self.number(bound)).collect()
    }

    pub(crate) fn input(&mut self, shape: &[usize], bound: f32) -> Input {
        let numbers = self.numbers(shape.iter().product(), bound);
        Input { shape: shape.to_vec(), numbers, layout: Layout::Ordered, tracked: true }
    }

    /// Numbers that differ from place to place by 2 at least, places being `group` numbers: their
    /// variance over two places or more is never near zero, where the norms divide by it and one
    /// rounding more or less decides.
    pub(crate) fn spread(&mut self, shape: &[usize], group: usize) -> Input {
        let mut input = self.input(shape, 1.0);
        for (i, x) in input.numbers.iter_mut().enumerate() {
            *x += if (i / group).is_multiple_of(2) { 2.0 } else { -2.0 };
        }
        input
    }

    /// A way to lie in memory that `shape` can have.
    fn layout(&mut self, shape: &[usize]) -> Layout {
        match self.below(6) {
            _ if shape.contains(&0) => Layout::Ordered,
            0 => Layout::Reversed,
            1 => Layout::Narrowed(0),
            2 => Layout::Narrowed(shape.len() - 1),
            3 => Layout::Flipped,
            _ => Layout::Ordered,
        }
    }
}

/// How numbers lie in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layout {
    Ordered,
    /// The last dimension first.
    Reversed,
    /// The last row first.
    Flipped,
    /// Between others along one dimension.
    Narrowed(usize),
}

/// An input of an operation, or the gradient by its output.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Vec<f32>,
    pub(crate) layout: Layout,
    /// Whether its gradient is asked for.
    pub(crate) tracked: bool,
}

impl Input {
    /// One whose gradient is never asked for.
    pub(crate) fn new(shape: &[usize], numbers: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), numbers, layout: Layout::Ordered, tracked: false }
    }

    pub(crate) fn tensor<const D: usize>(&self, device: &Device, dtype: DType) -> Tensor<D> {
        let data = TensorData::new(self.numbers.clone(), self.shape.clone());
        let x = Tensor::<D>::from_data(data, device).cast(dtype);
        match self.layout {
            Layout::Ordered => x,
            Layout::Reversed => {
                let reversed: [usize; D] = std::array::from_fn(|i| D - 1 - i);
                let data = x.permute(reversed).into_data();
                Tensor::<D>::from_data(data, device).cast(dtype).permute(reversed)
            }
            Layout::Flipped => {
                let data = x.flip([0]).into_data();
                Tensor::<D>::from_data(data, device).cast(dtype).flip([0])
            }
            Layout::Narrowed(dimension) => {
                let mut shape = x.dims();
                shape[dimension] = 1;
                // What is read by mistake shows.
                let other = Tensor::<D>::full(shape, f32::NAN, device).cast(dtype);
                let length = x.dims()[dimension];
                let wide = Tensor::cat(vec![other.clone(), x, other], dimension);
                wide.narrow(dimension, 1, length)
            }
        }
    }

    fn wide(&self) -> Vec<f64> {
        self.numbers.iter().copied().map(f64::from).collect()
    }
}

/// A tensor of any rank.
pub(crate) trait AnyRank: Any {
    fn shape(&self) -> Vec<usize>;
    fn number_type(&self) -> DType;
    fn numbers(&self) -> Vec<f64>;
    fn flat(&self) -> Tensor<1>;
    /// With the last dimension first.
    fn reversed(&self) -> Box<dyn AnyRank>;
    /// Something to go backward from, with `gradient` as the gradient by this tensor; and that
    /// gradient, as a tensor.
    fn root(&self, gradient: &Input, fused: bool) -> (Tensor<1>, Box<dyn AnyRank>);
    fn gradient(&self, gradients: &Gradients) -> Option<Box<dyn AnyRank>>;
}

impl<const D: usize> AnyRank for Tensor<D> {
    fn shape(&self) -> Vec<usize> {
        self.dims().to_vec()
    }

    fn number_type(&self) -> DType {
        self.dtype()
    }

    fn numbers(&self) -> Vec<f64> {
        self.to_data().iter::<f64>().collect()
    }

    fn flat(&self) -> Tensor<1> {
        self.clone().reshape([self.shape().iter().product::<usize>()])
    }

    fn reversed(&self) -> Box<dyn AnyRank> {
        let reversed: [usize; D] = std::array::from_fn(|i| D - 1 - i);
        Box::new(self.clone().permute(reversed))
    }

    fn root(&self, gradient: &Input, fused: bool) -> (Tensor<1>, Box<dyn AnyRank>) {
        let gradient: Tensor<D> = gradient.tensor(&self.device(), self.dtype());
        let root = if fused {
            with_gradient(self.clone(), gradient.clone())
        } else {
            (self.clone() * gradient.clone()).sum()
        };
        (root, Box::new(gradient))
    }

    fn gradient(&self, gradients: &Gradients) -> Option<Box<dyn AnyRank>> {
        Some(Box::new(self.grad(gradients)?))
    }
}

/// What an operation gives.
pub(crate) struct Output {
    pub(crate) y: Box<dyn AnyRank>,
    /// Results without gradient.
    pub(crate) others: Vec<Tensor<1>>,
}

impl<const D: usize> From<Tensor<D>> for Output {
    fn from(y: Tensor<D>) -> Self {
        Self { y: Box::new(y), others: Vec::new() }
    }
}

/// The inputs as tensors, the same ones however often they are asked for.
pub(crate) struct Tape<'a> {
    inputs: &'a [Input],
    device: Device,
    dtype: DType,
    leaves: RefCell<Vec<Option<Leaf>>>,
}

struct Leaf {
    any: Box<dyn Any>,
    tensor: Box<dyn AnyRank>,
}

impl<'a> Tape<'a> {
    pub(crate) fn new(inputs: &'a [Input], device: Device, dtype: DType) -> Self {
        let leaves = RefCell::new(inputs.iter().map(|_| None).collect());
        Self { inputs, device, dtype, leaves }
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn input<const D: usize>(&self, i: usize) -> Tensor<D> {
        let mut leaves = self.leaves.borrow_mut();
        let leaf = leaves[i].get_or_insert_with(|| {
            let input = &self.inputs[i];
            let tensor: Tensor<D> = input.tensor(&self.device, self.dtype);
            let tracked = input.tracked && self.device.is_autodiff();
            let tensor = if tracked { tensor.require_grad() } else { tensor };
            Leaf { any: Box::new(tensor.clone()), tensor: Box::new(tensor) }
        });
        leaf.any.downcast_ref::<Tensor<D>>().unwrap().clone()
    }

    /// Shape and numbers of the gradient by each input.
    pub(crate) fn gradients(&self, gradients: &Gradients) -> Vec<Option<Numbers>> {
        let gradient = |leaf: &Option<Leaf>| {
            let gradient = leaf.as_ref()?.tensor.gradient(gradients)?;
            Some(Numbers { shape: gradient.shape(), numbers: gradient.numbers() })
        };
        self.leaves.borrow().iter().map(gradient).collect()
    }

    /// # Panics
    /// If an input was not used, or is not what it was.
    pub(crate) fn assert_unchanged(&self, name: &str) {
        for (i, (leaf, input)) in self.leaves.borrow().iter().zip(self.inputs).enumerate() {
            let leaf = leaf.as_ref().unwrap_or_else(|| panic!("{name}: input {i} is not used"));
            assert_eq!(leaf.tensor.numbers(), input.wide(), "{name}: input {i} has changed");
        }
    }
}

/// Numbers in order. They are equal if their bits are, but for the sign of zero.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) shape: Vec<usize>,
    pub(crate) numbers: Vec<f64>,
}

impl Numbers {
    fn of(tensor: &dyn AnyRank) -> Self {
        Self { shape: tensor.shape(), numbers: tensor.numbers() }
    }

    /// # Panics
    /// If a number is further from the expected one than `tolerance`, relative to the largest there
    /// is, or a tenth of it absolute: the error of a sum goes with its terms, not with the sum.
    pub(crate) fn assert_near(&self, what: &str, expected: &Self, tolerance: f64) {
        self.assert_sums_near(what, expected, tolerance, 1.0);
    }

    /// As [`Numbers::assert_near`], for numbers that are sums of so many terms.
    fn assert_sums_near(&self, what: &str, expected: &Self, tolerance: f64, terms: f64) {
        assert_eq!(self.shape, expected.shape, "{what}: shape");
        assert_eq!(self.numbers.len(), expected.numbers.len(), "{what}");
        // Terms of both signs add up to a number as large as the root of their count, or to almost nothing.
        let least = 0.1 * terms.max(1.0).sqrt();
        let largest = expected.numbers.iter().fold(least, |a, b| a.max(b.abs()));
        for (i, (x, expected)) in self.numbers.iter().zip(&expected.numbers).enumerate() {
            assert!(
                (x - expected).abs() <= tolerance * largest,
                "{what} {:?}[{i}]: {x} is not {expected} (largest {largest})",
                self.shape
            );
        }
    }
}

/// All that an operation has computed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) y: Numbers,
    pub(crate) others: Vec<Numbers>,
    /// None where there is none.
    pub(crate) gradients: Vec<Option<Numbers>>,
}

type Way = Box<dyn Fn(&Tape<'_>) -> Output>;

/// An operation, fused and in plain burn operations, and inputs for it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) inputs: Vec<Input>,
    pub(crate) fused: Way,
    pub(crate) plain: Way,
    /// Of the gradient by the output.
    pub(crate) seed: u64,
    /// Whether that gradient lies in memory in some other way.
    pub(crate) scattered: bool,
}

impl Case {
    pub(crate) fn new<F: Into<Output>, P: Into<Output>>(
        name: impl Into<String>,
        inputs: Vec<Input>,
        fused: impl Fn(&Tape<'_>) -> F + 'static,
        plain: impl Fn(&Tape<'_>) -> P + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            inputs,
            fused: Box::new(move |tape| fused(tape).into()),
            plain: Box::new(move |tape| plain(tape).into()),
            seed: 1,
            scattered: false,
        }
    }

    /// With inputs that lie in memory in any way, some of which need no gradient.
    pub(crate) fn varied(mut self, draw: &mut Draw) -> Self {
        self.seed = draw.next();
        self.scattered = true;
        let tracked: Vec<bool> = self.inputs.iter().map(|input| input.tracked).collect();
        for input in &mut self.inputs {
            input.layout = draw.layout(&input.shape);
            input.tracked &= draw.below(3) > 0;
        }
        if !self.inputs.iter().any(|input| input.tracked) {
            // Nothing to go backward to: as it was.
            self.inputs.iter_mut().zip(tracked).for_each(|(input, was)| input.tracked = was);
        }
        self
    }

    /// The gradient by an output of `shape`.
    pub(crate) fn gradient(&self, shape: &[usize]) -> Input {
        let mut draw = Draw::new(self.seed);
        let mut gradient = draw.input(shape, 2.0);
        if self.scattered {
            gradient.layout = draw.layout(shape);
        }
        gradient
    }

    fn run(&self, way: &Way, fused: bool, device: &Device, dtype: DType) -> Outcome {
        let name = &self.name;
        let tape = Tape::new(&self.inputs, device.clone(), dtype);
        let output = way(&tape);
        assert_eq!(output.y.number_type(), dtype, "{name}: type");
        let y = Numbers::of(&*output.y);
        let others = output.others.iter().map(|other| Numbers::of(other)).collect();
        let gradients = if device.is_autodiff() {
            let tracked = output.others.iter().any(Tensor::is_tracked);
            assert!(!tracked, "{name}: a gradient by what has none");
            let gradient = self.gradient(&y.shape);
            let (root, given) = output.y.root(&gradient, fused);
            let gradients = tape.gradients(&root.backward());
            assert_eq!(output.y.numbers(), y.numbers, "{name}: the output has changed");
            assert_eq!(given.numbers(), gradient.wide(), "{name}: the gradient has changed");
            gradients
        } else {
            Vec::new()
        };
        tape.assert_unchanged(name);
        Outcome { y, others, gradients }
    }

    pub(crate) fn run_fused(&self, device: &Device, dtype: DType) -> Outcome {
        self.run(&self.fused, true, device, dtype)
    }

    pub(crate) fn run_plain(&self, device: &Device, dtype: DType) -> Outcome {
        self.run(&self.plain, false, device, dtype)
    }

    /// Asserts that both ways agree, in values and gradients, on a tape and on none; the plain way is the CPU's.
    pub(crate) fn assert_agrees(&self) {
        let expected = self.run_plain(&Device::flex().autodiff(), DType::F32);
        let plain = Outcome { gradients: Vec::new(), ..expected.clone() };
        for device in devices() {
            let gradients = expected.gradients.iter().flatten();
            poison(gradients.chain([&expected.y]).map(|numbers| numbers.numbers.len()));
            let fused = self.run_fused(&device.clone().autodiff(), DType::F32);
            self.assert_near(&fused, &expected, SINGLE);
            poison([expected.y.numbers.len()].into_iter());
            let fused = self.run_fused(&device, DType::F32);
            self.assert_near(&fused, &plain, SINGLE);
        }
    }

    pub(crate) fn assert_near(&self, fused: &Outcome, expected: &Outcome, tolerance: f64) {
        let name = &self.name;
        fused.y.assert_near(&format!("{name}: value"), &expected.y, tolerance);
        assert_eq!(fused.others.len(), expected.others.len(), "{name}");
        for (i, (other, expected)) in fused.others.iter().zip(&expected.others).enumerate() {
            other.assert_near(&format!("{name}: other result {i}"), expected, tolerance);
        }
        assert_eq!(fused.gradients.len(), expected.gradients.len(), "{name}");
        let outputs = expected.y.numbers.len() as f64;
        for (i, pair) in fused.gradients.iter().zip(&expected.gradients).enumerate() {
            match pair {
                (None, None) => {}
                (Some(gradient), Some(expected)) => {
                    let what = format!("{name}: gradient {i}");
                    let terms = outputs / expected.numbers.len().max(1) as f64;
                    gradient.assert_sums_near(&what, expected, tolerance, terms);
                }
                (gradient, _) => {
                    let given = if gradient.is_some() { "one" } else { "none" };
                    panic!("{name}: gradient {i}: {given} against the plain way's");
                }
            }
        }
    }
}

/// Leaves NaN in the memory that operations take from their pool, in pieces of each of `sizes`: a
/// number that a kernel should have written and has not shows.
fn poison(sizes: impl Iterator<Item = usize>) {
    let copies: Vec<Tensor<1>> = sizes
        .flat_map(|size| {
            let nan = Tensor::<1>::full([size], f32::NAN, &Device::flex());
            [copy(&nan), copy(&nan), copy(&nan)]
        })
        .collect();
    drop(copies);
}

/// Sum of the squares of all numbers.
pub(crate) fn sum_of_squares<const D: usize>(x: Tensor<D>) -> f64 {
    let mut squares = Squares::default();
    squares.push(x);
    let sums = squares.sums();
    let read = sums.on_device().map(|x| x.to_data().iter::<f64>().collect::<Vec<_>>());
    sums.numbers(&read.unwrap_or_default())[0]
}
