//! What an activation costs beside ReLU on this machine.

use activation::{Activation, ActivationRequest, Parameters};
use actlab_core::stream::Stream;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Numbers of a slice: it lies in the cache.
const LENGTH: usize = 4096;

/// Slices of one measurement.
const SLICES: usize = 8;

/// How long one activation is measured.
const TIME: Duration = Duration::from_millis(200);

/// Nanoseconds for each number, the least of all measurements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seconds {
    pub(super) forward: f64,
    pub(super) backward: f64,
}

/// What an activation costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Nanoseconds for each number.
    pub(super) own: Seconds,
    /// The same of ReLU, measured in turn with it.
    pub(super) relu: Seconds,
}

/// One activation with what it works on.
struct Measured<'a> {
    activation: &'a Activation,
    best: Seconds,
    x: Vec<f32>,
    y: Vec<f32>,
    gradients: Vec<Vec<f32>>,
}

impl<'a> Measured<'a> {
    fn new(activation: &'a Activation) -> Self {
        Self {
            activation,
            best: Seconds { forward: f64::INFINITY, backward: f64::INFINITY },
            x: Stream::new(0, "cost").normal(LENGTH, 1.0),
            y: vec![0.0; LENGTH],
            gradients: vec![vec![1.0; LENGTH]; SLICES],
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "for a rate")]
    fn measure(&mut self) {
        let each = 1e9 / (LENGTH * SLICES) as f64;
        let f = self.activation.nonlinearity();
        let began = Instant::now();
        for _ in 0..SLICES {
            f.forward_slice(black_box(&self.x), &mut self.y);
            black_box(&mut self.y);
        }
        self.best.forward = self.best.forward.min(began.elapsed().as_secs_f64() * each);
        // Gradients that are multiplied again and again would become subnormal, which is slow.
        self.gradients.iter_mut().for_each(|gradient| gradient.fill(1.0));
        let began = Instant::now();
        for gradient in &mut self.gradients {
            f.backward_slice(black_box(&self.x), gradient);
            black_box(&gradient);
        }
        self.best.backward = self.best.backward.min(began.elapsed().as_secs_f64() * each);
    }
}

/// Measures the nonlinearity of `activation` on normal inputs, one thread; none where ReLU is not there.
pub(super) fn measure(activation: &Activation) -> Option<Cost> {
    let request = ActivationRequest { name: "relu".to_owned(), parameters: Parameters::new() };
    let relu = activation::build(&request).ok()?;
    let (mut own, mut other) = (Measured::new(activation), Measured::new(&relu));
    let began = Instant::now();
    while began.elapsed() < TIME {
        own.measure();
        other.measure();
    }
    Some(Cost { own: own.best, relu: other.best })
}
