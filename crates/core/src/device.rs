//! Devices by a word: `cpu`, `cuda`, `cuda:1`, `vulkan`, `metal`, `wgpu`.

use crate::Error;
use burn::tensor::Device;
use std::{fmt, str::FromStr};

/// A device as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceSpec {
    kind: DeviceKind,
    /// The first, or any, where absent.
    index: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeviceKind {
    Cpu,
    Cuda,
    Vulkan,
    Metal,
    Wgpu,
}

/// What computes on a kind of device.
struct Backend {
    kind: DeviceKind,
    /// What a user calls it; also the cargo feature that builds it in.
    word: &'static str,
    /// What the machine needs for it.
    needs: &'static str,
    /// The best device of it, where the program was built with it.
    best: Option<fn() -> Device>,
    /// Every device of it on this machine.
    all: fn() -> Vec<Device>,
}

/// Best first, the CPU last: it is always there.
const BACKENDS: &[Backend] = &[
    Backend {
        kind: DeviceKind::Cuda,
        word: "cuda",
        needs: "an NVIDIA driver (libcuda.so.1), and NVRTC with the headers of a CUDA toolkit 12.8 or later (CUDA_PATH \
                names its folder)",
        best: built::CUDA,
        all: built::all_cuda,
    },
    Backend {
        kind: DeviceKind::Metal,
        word: "metal",
        needs: "a Mac with Metal",
        best: built::METAL,
        all: built::all_metal,
    },
    Backend {
        kind: DeviceKind::Vulkan,
        word: "vulkan",
        needs: "the Vulkan loader (libvulkan.so.1) and a GPU's Vulkan driver",
        best: built::VULKAN,
        all: built::all_vulkan,
    },
    Backend {
        kind: DeviceKind::Wgpu,
        word: "wgpu",
        needs: "a GPU driver for Vulkan, Metal or DirectX 12",
        best: built::WGPU,
        all: built::all_wgpu,
    },
    Backend {
        kind: DeviceKind::Cpu,
        word: "cpu",
        needs: "",
        best: Some(Device::flex),
        all: || vec![Device::flex()],
    },
];

/// The devices of the backends that this program was built with.
mod built {
    use burn::tensor::Device;
    #[cfg(feature = "wgpu")]
    use burn::tensor::DeviceKind;
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    use burn::tensor::DeviceType;

    pub(super) type Best = Option<fn() -> Device>;

    /// The constant and the function of a backend, empty where its feature is off.
    macro_rules! backend {
        ($feature:literal, $one:ident = $make:expr, $all:ident = $kind:ident) => {
            #[cfg(feature = $feature)]
            pub(super) const $one: Best = Some($make);
            #[cfg(feature = $feature)]
            pub(super) fn $all() -> Vec<Device> {
                Device::enumerate(DeviceType::$kind).into_vec()
            }
            #[cfg(not(feature = $feature))]
            pub(super) const $one: Best = None;
            #[cfg(not(feature = $feature))]
            pub(super) fn $all() -> Vec<Device> {
                Vec::new()
            }
        };
    }

    backend!("cuda", CUDA = || Device::cuda(0_usize), all_cuda = Cuda);
    backend!("metal", METAL = || Device::metal(DeviceKind::DefaultDevice), all_metal = Metal);
    backend!("vulkan", VULKAN = || Device::vulkan(DeviceKind::DefaultDevice), all_vulkan = Vulkan);
    backend!("wgpu", WGPU = || Device::wgpu(DeviceKind::DefaultDevice), all_wgpu = Wgpu);
}

/// What other programs call devices, and what they are here.
const OTHER_NAMES: [(&str, &str); 4] = [
    ("gpu", "`auto` for the best device of this machine"),
    ("mps", "`metal` for the GPU of a Mac"),
    ("rocm", "`vulkan` for an AMD GPU"),
    ("xpu", "`vulkan` for an Intel GPU"),
];

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let error = |reason: &str| Error::Device { device: text.into(), reason: reason.into() };
        let (word, index) = match text.split_once(':') {
            None => (text, None),
            Some((word, index)) => {
                let index = index.parse();
                (
                    word,
                    Some(index.map_err(|_| error("the index must be a number, as in `cuda:1`"))?),
                )
            }
        };
        let kind = BACKENDS.iter().find(|backend| backend.word == word).map(|backend| backend.kind);
        let kind = kind.ok_or_else(|| {
            let hint = OTHER_NAMES.iter().find(|(other, _)| *other == word);
            let hint = hint.map(|(_, own)| format!("; use {own}")).unwrap_or_default();
            error(&format!(
                "must be `cpu`, `cuda`, `metal`, `vulkan`, `wgpu`, `auto`, or one of several GPUs, as in `cuda:1`{hint}"
            ))
        })?;
        if kind == DeviceKind::Cpu && index.is_some() {
            return Err(error("there is one CPU device, `cpu`"));
        }
        Ok(Self { kind, index })
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        if let Some(index) = self.index {
            write!(f, ":{index}")?;
        }
        Ok(())
    }
}

impl DeviceSpec {
    /// The CPU.
    pub const CPU: Self = Self { kind: DeviceKind::Cpu, index: None };

    /// The best device that this program was built for and the machine has: CUDA, then Metal, Vulkan and wgpu, then
    /// the CPU.
    #[must_use]
    pub fn best() -> Self {
        let specs = BACKENDS.iter().filter(|backend| backend.best.is_some());
        let mut specs = specs.map(|backend| Self { kind: backend.kind, index: None });
        specs.find(|spec| spec.open().is_ok()).unwrap_or(Self::CPU)
    }

    /// Every device that this program was built for and the machine has, the CPU last, and the name of each that has
    /// one.
    #[must_use]
    pub fn all() -> Vec<(Self, Option<String>)> {
        let of = |backend: &Backend| {
            // A backend panics where its driver is missing: then there is no device.
            let devices = quietly(backend.all).unwrap_or_default();
            let kind = backend.kind;
            let named = move |(index, device): (usize, Device)| {
                let index = Some(index).filter(|_| kind != DeviceKind::Cpu);
                (Self { kind, index }, name(&device))
            };
            devices.into_iter().enumerate().map(named).collect::<Vec<_>>()
        };
        BACKENDS.iter().flat_map(of).collect()
    }

    /// The devices that runs may be spread over: NVIDIA's GPUs, where no number was named.
    #[must_use]
    pub fn places(&self) -> Vec<Self> {
        let count = match self.index {
            None if self.kind == DeviceKind::Cuda => {
                quietly(self.backend().all).map_or(0, |all| all.len())
            }
            _ => 1,
        };
        let numbered = |index| Self { index: Some(index), ..*self };
        if count > 1 { (0..count).map(numbered).collect() } else { vec![*self] }
    }

    /// The kind alone, as a run's spec holds it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.backend().word
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
        let Backend { word, needs, best, all, .. } = self.backend();
        let error = |reason: String| Error::Device { device: self.to_string(), reason };
        let Some(best) = best else {
            let reason = format!(
                "this program was built without it; build with `--features {word}`, as in `cargo build -p runner --features {word}`"
            );
            return Err(error(reason));
        };
        if self.is_cpu() {
            return Ok(best());
        }
        // The backends panic where a driver is missing; a user is told what to install instead.
        let sum = quietly(|| {
            let device = match self.index {
                None => best(),
                Some(index) => {
                    let all = all();
                    let count = all.len();
                    all.into_iter().nth(index).ok_or(count)?
                }
            };
            let sum = burn::Tensor::<1>::ones([2], &device).sum().into_scalar::<f32>();
            Ok::<_, usize>((device, sum))
        });
        match sum {
            Ok(Ok((device, 2.0))) => Ok(device),
            Ok(Ok((_, sum))) => Err(error(format!("computes 1 + 1 = {sum}"))),
            Ok(Err(count)) => Err(error(format!(
                "there are {count} such devices, counted from 0: see `actlab env`"
            ))),
            Err(reason) => Err(error(format!("cannot be used; it needs {needs} ({reason})"))),
        }
    }

    fn backend(&self) -> &'static Backend {
        let of = |backend: &&Backend| backend.kind == self.kind;
        BACKENDS.iter().find(of).expect("every kind has its backend")
    }
}

/// How a device calls itself.
fn name(device: &Device) -> Option<String> {
    #[cfg(any(feature = "cuda", feature = "wgpu"))]
    return quietly(|| device.identity()).ok().flatten().map(|identity| identity.name);
    #[cfg(not(any(feature = "cuda", feature = "wgpu")))]
    {
        let _ = device;
        None
    }
}

/// Bytes that this process holds on a device, used or not, where the device tells.
#[must_use]
pub fn reserved(device: &Device) -> Option<u64> {
    device.memory_pool_usage().map(|usage| usage.bytes_reserved)
}

/// Does something that may panic; a panic is not printed, and its text is the error.
fn quietly<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(action));
    std::panic::set_hook(hook);
    answer.map_err(|panic| panic_message(&*panic))
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
        for word in ["cpu", "cuda", "cuda:0", "cuda:1", "vulkan:2", "metal", "wgpu"] {
            assert_eq!(word.parse::<DeviceSpec>().unwrap().to_string(), word);
        }
        for word in ["", "gpu", "cuda:", "cuda:x", "cpu:1"] {
            assert!(word.parse::<DeviceSpec>().is_err(), "{word}");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        let devices = DeviceSpec::all();
        assert_eq!(devices.last(), Some(&(DeviceSpec::CPU, None)));
        assert!(DeviceSpec::best().open().is_ok());
    }
}
