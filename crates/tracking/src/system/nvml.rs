//! NVIDIA's GPUs, by a library that comes with the driver and is looked for at run time.

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use record::GpuSample;

/// Every GPU of the machine; none without the driver.
pub(super) struct Gpus {
    nvml: Option<Nvml>,
    /// Millijoules at the last reading, by number.
    last: Vec<(u32, u64)>,
}

impl std::fmt::Debug for Gpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpus").field("driver", &self.nvml.is_some()).finish_non_exhaustive()
    }
}

impl Gpus {
    pub(super) fn open() -> Self {
        let mut gpus = Self { nvml: Nvml::init().ok(), last: Vec::new() };
        gpus.last = gpus.counters();
        gpus
    }

    fn counters(&self) -> Vec<(u32, u64)> {
        let Some(nvml) = &self.nvml else { return Vec::new() };
        let counter = |index| nvml.device_by_index(index).ok()?.total_energy_consumption().ok();
        (0..nvml.device_count().unwrap_or(0))
            .filter_map(|index| Some((index, counter(index)?)))
            .collect()
    }

    pub(super) fn name(&self, index: u32) -> Option<String> {
        self.nvml.as_ref()?.device_by_index(index).ok()?.name().ok()
    }

    pub(super) fn details(&self, index: u32) -> Option<String> {
        let nvml = self.nvml.as_ref()?;
        let device = nvml.device_by_index(index).ok()?;
        let mut details = device.name().ok()?;
        if let Ok(memory) = device.memory_info() {
            details += &format!(", {} GiB", memory.total >> 30);
        }
        if let Ok(capability) = device.cuda_compute_capability() {
            details += &format!(", compute capability {}.{}", capability.major, capability.minor);
        }
        if let Ok(version) = nvml.sys_driver_version() {
            details += &format!(", driver {version}");
        }
        Some(details)
    }

    /// Bytes of memory that are in use, and those that are free.
    pub(super) fn memory(&self, index: u32) -> Option<(u64, u64)> {
        let memory = self.nvml.as_ref()?.device_by_index(index).ok()?.memory_info().ok()?;
        Some((memory.used, memory.free))
    }

    /// Joules of each GPU since the last reading.
    #[expect(clippy::cast_precision_loss, reason = "a counter is far below 2^52")]
    pub(super) fn joules(&mut self) -> Vec<(u32, f64)> {
        let now = self.counters();
        let joules = now.iter().filter_map(|(index, counter)| {
            let (_, last) = self.last.iter().find(|(known, _)| known == index)?;
            Some((*index, counter.saturating_sub(*last) as f64 * 1e-3))
        });
        let joules = joules.collect();
        self.last = now;
        joules
    }

    #[expect(clippy::cast_precision_loss, reason = "bytes of a GPU are far below 2^52")]
    pub(super) fn sample(&self) -> Vec<GpuSample> {
        let Some(nvml) = &self.nvml else { return Vec::new() };
        (0..nvml.device_count().unwrap_or(0))
            .filter_map(|index| {
                let device = nvml.device_by_index(index).ok()?;
                let memory = device.memory_info().ok();
                let percent = |used: u64, total: u64| 100.0 * used as f64 / total.max(1) as f64;
                Some(GpuSample {
                    index,
                    utilization_percent: device
                        .utilization_rates()
                        .ok()
                        .map(|rates| f64::from(rates.gpu)),
                    memory_bytes: memory.as_ref().map(|memory| memory.used),
                    memory_percent: memory.map(|memory| percent(memory.used, memory.total)),
                    temperature_celsius: device
                        .temperature(TemperatureSensor::Gpu)
                        .ok()
                        .map(f64::from),
                    power_watts: device.power_usage().ok().map(|milli| f64::from(milli) * 1e-3),
                    joules: None,
                })
            })
            .collect()
    }
}
