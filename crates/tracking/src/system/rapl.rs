//! Energy counters of Intel's and AMD's processors (running average power limit), where Linux shows them
//! and the user may read them.

use std::fs;
use std::path::{Path, PathBuf};

/// Where Linux shows them.
pub(super) const FOLDER: &str = "/sys/class/powercap";

/// The counters of all packages.
#[derive(Debug)]
pub(super) struct Rapl {
    packages: Vec<Package>,
}

#[derive(Debug)]
struct Package {
    counter: PathBuf,
    /// Microjoules after which the counter begins again.
    range: u64,
    last: u64,
}

impl Rapl {
    /// The counters below `folder`; none where they cannot be read.
    pub(super) fn open(folder: &Path) -> Self {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let packages = entries.filter_map(|entry| Package::open(&entry)).collect();
        Self { packages }
    }

    /// Joules since the last reading.
    pub(super) fn joules(&mut self) -> Option<f64> {
        let joules = self.packages.iter_mut().filter_map(Package::joules);
        joules.fold(None, |sum, joules| Some(sum.unwrap_or(0.0) + joules))
    }
}

impl Package {
    fn open(entry: &fs::DirEntry) -> Option<Self> {
        let name = entry.file_name().into_string().ok()?;
        // `intel-rapl:0` is a package, `intel-rapl:0:1` a part of it. AMD's have the same names.
        let number = name.strip_prefix("intel-rapl:")?;
        number.parse::<u32>().ok()?;
        let counter = entry.path().join("energy_uj");
        let range = read(&entry.path().join("max_energy_range_uj"))?;
        let last = read(&counter)?;
        Some(Self { counter, range, last })
    }

    #[expect(clippy::cast_precision_loss, reason = "a counter is far below 2^52")]
    fn joules(&mut self) -> Option<f64> {
        let now = read(&self.counter)?;
        let since = if now >= self.last {
            now - self.last
        } else {
            self.range.saturating_sub(self.last) + now
        };
        self.last = now;
        Some(since as f64 * 1e-6)
    }
}

fn read(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &Path, name: &str, microjoules: u64) {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("max_energy_range_uj"), "10000000\n").unwrap();
        fs::write(folder.join("energy_uj"), format!("{microjoules}\n")).unwrap();
    }

    #[test]
    fn packages_add_up_and_counters_wrap() {
        let folder = tempfile::tempdir().unwrap();
        let set = |first, second| {
            package(folder.path(), "intel-rapl:0", first);
            package(folder.path(), "intel-rapl:1", second);
            package(folder.path(), "intel-rapl:0:0", first);
        };
        set(1_000_000, 9_000_000);
        let mut rapl = Rapl::open(folder.path());
        set(3_000_000, 500_000);
        assert_eq!(rapl.joules(), Some(2.0 + 1.5));
        assert_eq!(rapl.joules(), Some(0.0));
    }

    #[test]
    fn no_counters_no_figure() {
        assert_eq!(Rapl::open("/there/is/no/such/folder".as_ref()).joules(), None);
    }
}
