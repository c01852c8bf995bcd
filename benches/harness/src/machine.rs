//! The machine that the figures were measured on.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::benches;

/// The environment of a run, to assess or repeat it.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    /// Set if the two cores are threads of one physical core.
    pub(crate) siblings: bool,
    pub(crate) memory_gib: u64,
    pub(crate) virtual_machine: bool,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) wrk: String,
}

impl Machine {
    pub(crate) fn look(wrk: String, server_core: usize, load_core: usize) -> Self {
        let cpu = read("/proc/cpuinfo");
        let memory = read("/proc/meminfo");
        let memory_kib: u64 = field(&memory, "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
        let siblings = read(&format!(
            "/sys/devices/system/cpu/cpu{server_core}/topology/thread_siblings_list"
        ));
        Self {
            cpu: field(&cpu, "model name").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            siblings: holds(siblings.trim(), load_core),
            memory_gib: (memory_kib as f64 / 1_048_576.0).round() as u64,
            virtual_machine: field(&cpu, "flags").split(' ').any(|flag| flag == "hypervisor"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rustc: output("rustc", &["--version"]),
            wrk,
        }
    }
}

/// The checked-out commit, with a `+` if files have changed since.
pub(crate) fn commit() -> String {
    let changed = !output("git", &["status", "--porcelain", "--", "../crates", "../benches/peers"]).is_empty();
    output("git", &["rev-parse", "--short", "HEAD"]) + if changed { "+" } else { "" }
}

/// The time in UTC, as RFC 3339 writes it.
pub(crate) fn now() -> String {
    output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])
}

/// The time that a core has been busy since its start, in ticks of 10 ms, and the time that the hypervisor has taken from it.
pub(crate) fn busy_ticks(core: usize) -> (u64, u64) {
    stat_ticks(&read("/proc/stat"), core).unwrap_or_default()
}

/// `man 5 proc_stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn stat_ticks(text: &str, core: usize) -> Option<(u64, u64)> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("cpu{core} ")))?;
    let ticks: Vec<u64> = line
        .split_ascii_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _wait, interrupts, deferred, stolen, ..] = ticks[..] else {
        return None;
    };
    Some((user + nice + system + interrupts + deferred, stolen))
}

/// Returns whether a list of cores such as `0-1` or `0,2` contains `core`.
fn holds(list: &str, core: usize) -> bool {
    list.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = (first.parse::<usize>(), last.parse::<usize>());
        matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&core))
    })
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("", |(_, value)| value.trim())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(benches()).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cores_has_ranges_and_single_ones() {
        assert!(holds("0-3", 2) && holds("0,4", 4) && holds("1", 1));
        assert!(!holds("0-3", 4) && !holds("0", 1) && !holds("", 0));
    }

    #[test]
    fn idle_time_is_not_busy_and_stolen_time_is_separate() {
        let text = "cpu  9 9 9 9\ncpu0 1 2 4 1000 1000 8 16 32 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\n";
        assert_eq!(stat_ticks(text, 0), Some((31, 32)));
        assert_eq!(stat_ticks(text, 2), None);
    }
}
