//! Which SIMD instructions the CPU's kernels use.
//!
//! Results do not depend on them: a sum has the same order at every width, and a multiply-add is rounded once
//! everywhere. [`VARIABLE`] makes a machine use narrower ones than its widest, to test that.

use pulp::Arch;
use std::sync::LazyLock;
use std::{fmt, str::FromStr};

/// The environment variable that names the instructions to use; the widest of the machine where it is absent.
pub const VARIABLE: &str = "ACTLAB_SIMD";

/// A width of SIMD registers, with the instructions that go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// One number at a time.
    Scalar,
    /// 128 bits, ARM.
    Neon,
    /// 256 bits with fused multiply-add: x86-64-v3.
    Avx2,
    /// 512 bits: x86-64-v4.
    Avx512,
}

/// Why the instructions that were asked for cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimdError {
    /// There are none of that name.
    #[error("{VARIABLE} is `{0}`, but must be avx512, avx2, neon or scalar")]
    Unknown(String),
    /// The machine does not have them.
    #[error("{VARIABLE} is `{asked}`, but this machine has only {}", names(available))]
    Missing {
        /// What was asked for.
        asked: Width,
        /// What there is, the widest first.
        available: Vec<Width>,
    },
}

fn names(widths: &[Width]) -> String {
    let names: Vec<String> = widths.iter().map(Width::to_string).collect();
    names.join(" and ")
}

impl Width {
    /// Single-precision numbers of a register.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self {
            Self::Scalar => 1,
            Self::Neon => 4,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
        }
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        })
    }
}

impl FromStr for Width {
    type Err = SimdError;

    fn from_str(text: &str) -> Result<Self, SimdError> {
        match text.trim().to_lowercase().as_str() {
            "scalar" => Ok(Self::Scalar),
            "neon" => Ok(Self::Neon),
            "avx2" => Ok(Self::Avx2),
            "avx512" => Ok(Self::Avx512),
            _ => Err(SimdError::Unknown(text.to_owned())),
        }
    }
}

impl Width {
    fn of(arch: Arch) -> Self {
        match arch {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => Self::Avx512,
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => Self::Avx2,
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => Self::Neon,
            _ => Self::Scalar,
        }
    }

    /// The widest that this machine has.
    #[must_use]
    pub fn widest() -> Self {
        Self::of(Arch::new())
    }

    /// All that this machine has, the widest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut widths = vec![Self::widest()];
        if widths[0] == Self::Avx512 {
            widths.push(Self::Avx2);
        }
        if widths[0] != Self::Scalar {
            widths.push(Self::Scalar);
        }
        widths
    }

    /// That of the kernels in this process: what [`VARIABLE`] says, or the widest.
    ///
    /// # Errors
    /// If the variable names none that this machine has. (The kernels then use the widest.)
    pub fn chosen() -> Result<Self, SimdError> {
        match std::env::var(VARIABLE) {
            Err(_) => Ok(Self::widest()),
            Ok(text) => {
                let asked = text.parse()?;
                let available = Self::available();
                if available.contains(&asked) {
                    Ok(asked)
                } else {
                    Err(SimdError::Missing { asked, available })
                }
            }
        }
    }

    fn arch(self) -> Arch {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
            Self::Scalar => Arch::Scalar,
            _ => Arch::new(),
        }
    }
}

static CHOSEN: LazyLock<(Width, Arch)> = LazyLock::new(|| {
    let width = Width::chosen().unwrap_or_else(|_| Width::widest());
    (width, width.arch())
});

/// The instructions of every kernel in this process.
#[must_use]
#[inline]
pub fn arch() -> Arch {
    CHOSEN.1
}

/// The width of [`arch`].
#[must_use]
#[inline]
pub fn width() -> Width {
    CHOSEN.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for width in [Width::Scalar, Width::Neon, Width::Avx2, Width::Avx512] {
            assert_eq!(width.to_string().parse(), Ok(width));
        }
        assert_eq!(
            "sse9".parse::<Width>().unwrap_err().to_string(),
            "ACTLAB_SIMD is `sse9`, but must be avx512, avx2, neon or scalar"
        );
    }

    #[test]
    fn each_width_that_a_machine_has_can_be_used() {
        for width in Width::available() {
            assert_eq!(Width::of(width.arch()), width);
        }
    }
}
