//! Whether a GPU that has a run has memory for one more.

use crate::environment::gpu;
use std::collections::HashMap;
use std::time::Duration;
use tracking::system::GpuMemory;

/// Time in which a run on a GPU reaches most of the memory that it will use.
const GROWS: Duration = Duration::from_secs(20);

/// What is known of the memory of GPUs.
#[derive(Debug)]
pub(super) struct Sharing {
    driver: GpuMemory,
    /// Bytes in use before the first run, by the device's name.
    idle: HashMap<String, u64>,
    /// The most bytes that runs of one GPU were seen to use, each on average.
    largest: u64,
}

impl Sharing {
    /// Looks for the driver.
    pub(super) fn open() -> Self {
        Self { driver: GpuMemory::open(), idle: HashMap::new(), largest: 0 }
    }

    /// How many more runs may begin now on `device`, which has so many, the last of which began so long ago: one at a time, or
    /// any number where the driver tells nothing.
    pub(super) fn room(&mut self, device: &str, runs: usize, youngest: Duration) -> usize {
        match gpu(device).and_then(|index| self.driver.of(index)) {
            Some(memory) => usize::from(self.fits(device, memory, runs, youngest)),
            None => usize::MAX,
        }
    }

    fn fits(
        &mut self,
        device: &str,
        (used, free): (u64, u64),
        runs: usize,
        youngest: Duration,
    ) -> bool {
        if runs == 0 {
            self.idle.insert(device.to_owned(), used);
            return true;
        }
        let idle = self.idle.get(device).copied().unwrap_or(0);
        self.largest = self.largest.max(used.saturating_sub(idle) / runs as u64);
        // An eighth more, since a pool of memory grows in steps.
        youngest >= GROWS && free >= self.largest + self.largest / 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_shared_where_the_largest_run_fits() {
        let mut sharing = Sharing::open();
        let mut fits = |used, runs, seconds| {
            sharing.fits("cuda:0", (used, 80 - used), runs, Duration::from_secs(seconds))
        };
        // Other programs use 8 of 80.
        assert!(fits(8, 0, 0));
        // It still grows.
        assert!(!fits(10, 1, 3));
        assert!(fits(32, 1, 30));
        // A third one of 24 would fit into 24, but not with an eighth more.
        assert!(!fits(56, 2, 30));
        // What a larger one took is remembered when it has ended.
        assert!(!fits(56, 1, 30));
        assert!(!fits(32, 1, 30));
        assert!(fits(8, 0, 30));
    }

    #[test]
    fn what_the_driver_does_not_know_is_allowed() {
        assert_eq!(Sharing::open().room("wgpu:0", 3, Duration::ZERO), usize::MAX);
    }
}
