//! Devices by a word: `cpu`, `cuda`, `cuda:1`, `wgpu`.

use crate::Error;
use burn::tensor::Device;
use std::{fmt, str::FromStr};

/// A device as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceSpec {
    kind: DeviceKind,
    index: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeviceKind {
    Cpu,
    Cuda,
    Wgpu,
}

/// Word, kind, and the cargo feature that builds it in.
const KINDS: &[(&str, DeviceKind)] =
    &[("cpu", DeviceKind::Cpu), ("cuda", DeviceKind::Cuda), ("wgpu", DeviceKind::Wgpu)];

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error = |reason: &str| Error::Device { device: text.into(), reason: reason.into() };
        let (word, index) = match text.split_once(':') {
            None => (text, 0),
            Some((word, index)) => (
                word,
                index.parse().map_err(|_| error("the index must be a number, as in `cuda:1`"))?,
            ),
        };
        let kind = KINDS
            .iter()
            .find(|(known, _)| *known == word)
            .ok_or_else(|| error("is not one of `cpu`, `cuda`, `cuda:N`, `wgpu`"))?
            .1;
        if kind == DeviceKind::Cpu && index != 0 {
            return Err(error("there is one CPU device, `cpu`"));
        }
        Ok(Self { kind, index })
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if self.index > 0 {
            write!(f, ":{}", self.index)?;
        }
        Ok(())
    }
}

impl DeviceSpec {
    /// The kind alone, as a run's spec holds it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.kind {
            DeviceKind::Cpu => "cpu",
            DeviceKind::Cuda => "cuda",
            DeviceKind::Wgpu => "wgpu",
        }
    }

    /// Whether it is the CPU.
    #[must_use]
    pub fn is_cpu(&self) -> bool {
        self.kind == DeviceKind::Cpu
    }

    /// Opens the device.
    ///
    /// # Errors
    /// If the program was built without it, or the machine has no driver or no such device.
    pub fn open(&self) -> Result<Device, Error> {
        match self.kind {
            DeviceKind::Cpu => Ok(Device::flex()),
            DeviceKind::Cuda => self.open_cuda(),
            DeviceKind::Wgpu => self.open_wgpu(),
        }
    }

    #[cfg(feature = "cuda")]
    fn open_cuda(&self) -> Result<Device, Error> {
        self.probe(
            Device::cuda(self.index),
            "an NVIDIA driver (libcuda) and the CUDA toolkit's NVRTC",
        )
    }

    #[cfg(not(feature = "cuda"))]
    fn open_cuda(&self) -> Result<Device, Error> {
        Err(self.not_built("cuda"))
    }

    #[cfg(feature = "wgpu")]
    fn open_wgpu(&self) -> Result<Device, Error> {
        let kind = match self.index {
            0 => burn::tensor::DeviceKind::DefaultDevice,
            index => burn::tensor::DeviceKind::DiscreteGpu(index),
        };
        self.probe(Device::wgpu(kind), "a GPU driver for Vulkan, Metal or DirectX 12")
    }

    #[cfg(not(feature = "wgpu"))]
    fn open_wgpu(&self) -> Result<Device, Error> {
        Err(self.not_built("wgpu"))
    }

    #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
    fn not_built(&self, feature: &str) -> Error {
        Error::Device {
            device: self.to_string(),
            reason: format!("this program was built without it; build with `--features {feature}`"),
        }
    }

    /// Computes one sum on the device. The backends panic where a driver is missing; a user is told
    /// what to install instead.
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    fn probe(&self, device: Device, needs: &str) -> Result<Device, Error> {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let answer = std::panic::catch_unwind(|| {
            burn::Tensor::<1>::ones([2], &device).sum().into_scalar::<f32>()
        });
        std::panic::set_hook(hook);
        match answer {
            Ok(sum) if sum == 2.0 => Ok(device),
            Ok(sum) => Err(Error::Device {
                device: self.to_string(),
                reason: format!("computes 1 + 1 = {sum}"),
            }),
            Err(panic) => Err(Error::Device {
                device: self.to_string(),
                reason: format!("cannot be used; it needs {needs} ({})", panic_message(&*panic)),
            }),
        }
    }
}

/// The text of a panic.
#[must_use]
pub fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests {
    use super::DeviceSpec;

    #[test]
    fn words() {
        for word in ["cpu", "cuda", "cuda:1", "wgpu"] {
            assert_eq!(word.parse::<DeviceSpec>().unwrap().to_string(), word);
        }
        for word in ["", "gpu", "cuda:", "cuda:x", "cpu:1"] {
            assert!(word.parse::<DeviceSpec>().is_err(), "{word}");
        }
    }
}
