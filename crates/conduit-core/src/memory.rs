//! The memory of a process for bodies, as budgets.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::limit::Limit;

/// The part of the machine's memory that is the default budget.
const DEFAULT_PART: u64 = 4;
/// The default where the machine's memory is not known.
const DEFAULT_BYTES: u64 = 256 * 1024 * 1024;
/// The additional part of the budget for encoders of streams.
const ENCODERS_PART: usize = 4;
/// A server is ready while this part of the budget is free.
const FREE_PART: usize = 8;

/// A number of bytes, and the number of those in use.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
    /// The limit that is counted when the memory is exhausted.
    pub(crate) limit: Limit,
}

/// The budgets of a server.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// The memory of request bodies in buffers.
    pub bodies: Arc<Budget>,
    /// The memory of encoders.
    pub encoders: Arc<Budget>,
}

impl Budgets {
    /// Budgets with this limit for bodies.
    pub fn new(limit_bytes: u64) -> Self {
        let limit_bytes = usize::try_from(limit_bytes).unwrap_or(usize::MAX);
        let budget = |limit_bytes, limit| {
            Arc::new(Budget {
                limit_bytes,
                used_bytes: AtomicUsize::new(0),
                limit,
            })
        };
        Budgets {
            bodies: budget(limit_bytes, Limit::BodyMemory),
            encoders: budget(limit_bytes / ENCODERS_PART, Limit::CompressionMemory),
        }
    }

    /// Returns whether the budget has room for further bodies.
    pub fn has_room(&self) -> bool {
        self.bodies.used_bytes() < self.bodies.limit_bytes - self.bodies.limit_bytes / FREE_PART
    }
}

impl Budget {
    /// The bytes in use.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Relaxed)
    }

    pub(crate) fn take(&self, bytes: usize) -> Result<(), Exhausted> {
        let taken = self.used_bytes.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.limit_bytes)
        });
        taken.map(drop).map_err(|_| Exhausted)
    }

    pub(crate) fn give_back(&self, bytes: usize) {
        self.used_bytes.fetch_sub(bytes, Relaxed);
    }
}

/// A budget is exhausted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// The default budget: a quarter of the memory that the process may use, by its control group or else the machine.
pub fn default_bytes() -> u64 {
    usable_bytes(Path::new("/")).map_or(DEFAULT_BYTES, |bytes| bytes / DEFAULT_PART)
}

/// The smallest limit of the control groups of this process and of the machine (cgroups(7), proc_meminfo(5)).
fn usable_bytes(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, group) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        match controllers {
            "" => limit_of(&root.join("sys/fs/cgroup"), group, "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                limit_of(&root.join("sys/fs/cgroup/memory"), group, "memory.limit_in_bytes")
            }
            _ => None,
        }
    });
    limits.chain(machine_bytes(root)).min()
}

/// The smallest limit of a group and those above it. In a container the group's own path may not be visible.
fn limit_of(hierarchy: &Path, group: &str, file: &str) -> Option<u64> {
    let group = hierarchy.join(group);
    let groups = group.ancestors().take_while(|above| above.starts_with(hierarchy));
    let limit = |group: &Path| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    groups.filter_map(limit).min()
}

fn machine_bytes(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = total.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_the_smallest_limit_of_the_groups_and_the_machine() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        assert_eq!(usable_bytes(root.path()), None);
        write("proc/meminfo", "MemTotal:        8000 kB\nMemFree: 1 kB\n");
        assert_eq!(usable_bytes(root.path()), Some(8_192_000));
        write("proc/self/cgroup", "0::/app.slice/one\n");
        write("sys/fs/cgroup/app.slice/memory.max", "5000000\n");
        write("sys/fs/cgroup/app.slice/one/memory.max", "max\n");
        assert_eq!(usable_bytes(root.path()), Some(5_000_000));
        write("sys/fs/cgroup/memory.max", "4000000\n");
        assert_eq!(usable_bytes(root.path()), Some(4_000_000));
        write("proc/self/cgroup", "5:cpu,memory:/hidden\n4:pids:/\n");
        assert_eq!(usable_bytes(root.path()), Some(8_192_000));
        write("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000\n");
        assert_eq!(usable_bytes(root.path()), Some(3_000_000));
    }
}
