//! Memory: what a process uses, and what the machine, or the container that this is, has left. Every function takes
//! the folder in which `proc` and `sys` lie.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// A figure of a file like `/proc/meminfo`, which Linux gives in KiB, in bytes.
pub(super) fn proc_kib(root: &Path, file: &str, key: &str) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc").join(file)).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Bytes that programs can still have, where the system tells.
pub(super) fn available(root: &Path) -> Option<u64> {
    let machine = proc_kib(root, "meminfo", "MemAvailable:");
    machine.into_iter().chain(room_of_groups(root)).min()
}

/// What a version of control groups calls things.
struct Version {
    limit: &'static str,
    used: &'static str,
    /// Cached files among what is used that the kernel gives up first.
    cached: &'static str,
}

/// <https://docs.kernel.org/admin-guide/cgroup-v2.html>, "Memory Interface Files".
const V2: Version =
    Version { limit: "memory.max", used: "memory.current", cached: "inactive_file" };

/// <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>, section 5.2.
const V1: Version = Version {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};

/// A hierarchy of control groups that counts memory, as it is mounted.
struct Hierarchy {
    version: &'static Version,
    /// The group that is seen at the mount point: in a container often not the topmost.
    top: PathBuf,
    /// The mount point.
    point: PathBuf,
}

/// Room in the control groups of this process: the smallest of its own and of all those above, since each may have a
/// limit.
fn room_of_groups(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let hierarchies = hierarchies(root);
    let rooms = groups.lines().filter_map(|line| {
        let (version, group) = parse_group(line)?;
        let limits = |one: &&Hierarchy| one.version.limit == version.limit;
        let hierarchy = hierarchies.iter().find(limits)?;
        let below = Path::new(group).strip_prefix(&hierarchy.top).ok();
        // Of a group that lies outside what is mounted, the mount point is the nearest that can be seen.
        let outside = |path: &&Path| path.components().any(|part| part == Component::ParentDir);
        let below = below.filter(|path| !outside(path)).unwrap_or(Path::new(""));
        let point = under(root, &hierarchy.point);
        below.ancestors().filter_map(|path| room(hierarchy.version, &point.join(path))).min()
    });
    rooms.min()
}

/// The version and the path of a group that counts memory, from a line as `0::/a` or `9:memory:/a`.
fn parse_group(line: &str) -> Option<(&'static Version, &str)> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    match controllers {
        "" => Some((&V2, path)),
        _ if controllers.split(',').any(|name| name == "memory") => Some((&V1, path)),
        _ => None,
    }
}

/// Bytes that `group` has left; none where it has no limit.
fn room(version: &Version, group: &Path) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        fs::read_to_string(group.join(name)).ok()?.trim().parse().ok()
    };
    let (limit, used) = (number(version.limit)?, number(version.used)?);
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached =
        stat.lines().find_map(|line| line.strip_prefix(version.cached)?.trim().parse().ok());
    Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
}

/// The hierarchies that are mounted (`man proc_pid_mountinfo`), or where they usually are.
fn hierarchies(root: &Path) -> Vec<Hierarchy> {
    let text = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let found: Vec<Hierarchy> = text.lines().filter_map(parse_mount).collect();
    if !found.is_empty() {
        return found;
    }
    let usual = |version, point: &str| Hierarchy { version, top: "/".into(), point: point.into() };
    vec![usual(&V2, "/sys/fs/cgroup"), usual(&V1, "/sys/fs/cgroup/memory")]
}

fn parse_mount(line: &str) -> Option<Hierarchy> {
    let (mount, system) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (top, point) = (fields.next()?, fields.next()?);
    let mut fields = system.split(' ');
    let (kind, options) = (fields.next()?, fields.nth(1).unwrap_or_default());
    let version = match kind {
        "cgroup2" => &V2,
        "cgroup" if options.split(',').any(|option| option == "memory") => &V1,
        _ => return None,
    };
    Some(Hierarchy { version, top: top.into(), point: point.into() })
}

/// The absolute path `path` below `root`.
fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn system(files: &[(&str, String)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn meminfo(mib: u64) -> (&'static str, String) {
        ("proc/meminfo", format!("MemTotal: 99 kB\nMemAvailable:   {} kB\n", mib * 1024))
    }

    /// Files of a v2 group: its limit, what it uses, and how much of that is cached files, in MiB.
    fn v2(
        path: &'static str,
        limit: Option<u64>,
        used: u64,
        cached: u64,
    ) -> Vec<(&'static str, String)> {
        let name = |file: &str| -> &'static str { format!("{path}/{file}").leak() };
        let limit = limit.map_or("max".to_owned(), |limit| (limit * MIB).to_string());
        vec![
            (name("memory.max"), limit + "\n"),
            (name("memory.current"), format!("{}\n", used * MIB)),
            (
                name("memory.stat"),
                format!("anon 1\nactive_file 7\ninactive_file {}\n", cached * MIB),
            ),
        ]
    }

    #[test]
    fn a_machine_without_control_groups_has_what_it_says() {
        assert_eq!(available(system(&[meminfo(500)]).path()), Some(500 * MIB));
        assert_eq!(available(system(&[]).path()), None);
    }

    #[test]
    fn cached_files_count_as_room() {
        let mut files = vec![meminfo(9000), ("proc/self/cgroup", "0::/\n".to_owned())];
        files.extend(v2("sys/fs/cgroup", Some(1000), 990, 800));
        assert_eq!(available(system(&files).path()), Some(810 * MIB));
        // The machine has less than the container may use.
        files[0] = meminfo(100);
        assert_eq!(available(system(&files).path()), Some(100 * MIB));
    }

    #[test]
    fn every_group_above_counts() {
        let group = ("proc/self/cgroup", "0::/system.slice/job.scope/step\n".to_owned());
        let mut files = vec![meminfo(9000), group];
        files.extend(v2("sys/fs/cgroup/system.slice/job.scope/step", None, 100, 0));
        files.extend(v2("sys/fs/cgroup/system.slice/job.scope", Some(2000), 500, 100));
        files.extend(v2("sys/fs/cgroup/system.slice", Some(4000), 3900, 700));
        files.extend(v2("sys/fs/cgroup/other", Some(1), 1, 0));
        assert_eq!(available(system(&files).path()), Some(800 * MIB));
        // More is used than may be, as happens for a moment.
        files.extend(v2("sys/fs/cgroup/system.slice", Some(10), 3900, 700));
        assert_eq!(available(system(&files).path()), Some(0));
    }

    #[test]
    fn what_is_mounted_may_be_a_part_of_the_hierarchy() {
        for (mount, group, place) in [
            ("/docker/abc", "/docker/abc/step", "sys/fs/cgroup/step"),
            ("/docker/abc", "/docker/abc", "sys/fs/cgroup"),
            ("/", "/../../x", "sys/fs/cgroup"),
            ("/docker/abc", "/elsewhere", "sys/fs/cgroup"),
        ] {
            let mounts = format!(
                "24 1 8:1 / / rw - ext4 /dev/sda rw\n\
                 30 24 0:26 {mount} /sys/fs/cgroup ro,nosuid shared:4 - cgroup2 cgroup rw,nsdelegate\n"
            );
            let mut files = vec![
                meminfo(9000),
                ("proc/self/mountinfo", mounts),
                ("proc/self/cgroup", format!("0::{group}\n")),
            ];
            files.extend(v2(place, Some(1000), 400, 0));
            assert_eq!(available(system(&files).path()), Some(600 * MIB), "{mount} {group}");
        }
    }

    #[test]
    fn the_first_version_is_read_too() {
        let files = [
            meminfo(9000),
            ("proc/self/cgroup", "12:cpu,cpuacct:/x\n9:memory:/docker/abc\n0::/\n".to_owned()),
            (
                "proc/self/mountinfo",
                "30 24 0:26 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n\
                 31 24 0:27 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
                    .to_owned(),
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", (1000 * MIB).to_string()),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", (950 * MIB).to_string()),
            (
                "sys/fs/cgroup/memory/memory.stat",
                format!("inactive_file 1\ntotal_inactive_file {}\n", 450 * MIB),
            ),
        ];
        assert_eq!(available(system(&files).path()), Some(500 * MIB));
    }
}
