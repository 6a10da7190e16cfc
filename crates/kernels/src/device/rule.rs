//! Rules of updates as kernels take them.

/// AdamW: see [`AdamW`](crate::AdamW).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AdamW {
    pub(crate) scale: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    /// 1 − β₁
    pub(crate) rest1: f32,
    /// 1 − β₂
    pub(crate) rest2: f32,
    pub(crate) epsilon: f32,
    /// 1 − learning rate · weight decay
    pub(crate) keep: f32,
    /// Learning rate / (1 − β₁ᵗ)
    pub(crate) rate: f32,
    /// 1 / (1 − β₂ᵗ)
    pub(crate) correction2: f32,
    /// Factor of the parameter in its gradient.
    pub(crate) coupled: f32,
}

/// Averages that training gathers: see [`running_averages`](crate::running_averages).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Averages {
    /// Share of what was gathered.
    pub(crate) rest: f32,
    /// Share of what is new.
    pub(crate) share: f32,
}

/// SGD: see [`Sgd`](crate::Sgd).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sgd {
    pub(crate) rate: f32,
    pub(crate) scale: f32,
    pub(crate) momentum: f32,
    pub(crate) decay: f32,
    /// Whether there is a velocity.
    pub(crate) moving: bool,
    pub(crate) nesterov: bool,
}
