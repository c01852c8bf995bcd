//! The measurements as written to JSON: all individual values, so that readers can draw their own conclusions.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::machine::Machine;
use crate::statistics::{Spread, spread};

#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Results {
    /// UTC.
    pub(crate) started: String,
    /// The commit of this repository, with a `+` if files had changed since.
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    pub(crate) rounds: u32,
    pub(crate) seconds: u32,
    pub(crate) servers: Vec<Build>,
    pub(crate) loads: Vec<LoadSample>,
    pub(crate) idles: Vec<IdleSample>,
    pub(crate) starts: Vec<StartSample>,
    #[serde(default)]
    pub(crate) paced: Vec<PacedSample>,
    /// A row that the server does not support, which is not a failure.
    pub(crate) not_applicable: Vec<Remark>,
    pub(crate) failures: Vec<Remark>,
}

/// A server that was built, or could not be.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) note: String,
    /// The size of its program, without stripping; `None` if it did not build.
    pub(crate) binary_bytes: Option<u64>,
}

/// One server under one load in one round.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct LoadSample {
    pub(crate) server: String,
    pub(crate) row: String,
    pub(crate) round: u32,
    /// `wrk`'s count.
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_nanoseconds: u64,
    /// In units of 10 ms; used only to split the CPU time into user and system.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) resident_bytes: u64,
    pub(crate) anonymous_bytes: u64,
    /// The seconds in which the core of the server ran another program, or the hypervisor used it for another machine.
    pub(crate) disturbed_seconds: f64,
}

/// Idle connections of one server in one round.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct IdleSample {
    pub(crate) server: String,
    pub(crate) row: String,
    pub(crate) round: u32,
    pub(crate) connections: u64,
    pub(crate) bytes_per_connection: f64,
}

/// One start of one server.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct StartSample {
    pub(crate) server: String,
    pub(crate) round: u32,
    pub(crate) first_answer_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) anonymous_bytes: u64,
}

/// One server at half of its capacity in one round.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct PacedSample {
    pub(crate) server: String,
    pub(crate) row: String,
    pub(crate) round: u32,
    /// Requests per second: half of the number that the server served when the load waited for responses.
    pub(crate) rate: u64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

/// A note about one server in one row.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Remark {
    pub(crate) server: String,
    /// Empty when it concerns all rows.
    pub(crate) row: String,
    pub(crate) text: String,
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let row = if self.row.is_empty() { "" } else { " in row " };
        write!(f, "{}{row}{}: {}", self.server, self.row, self.text)
    }
}

/// Server CPU per request, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Over the rounds.
    pub(crate) total: Spread,
    /// The part of the median that was spent in user mode.
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl LoadSample {
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu_nanoseconds as f64 / 1_000.0 / self.requests as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }
}

impl Results {
    /// # Errors
    ///
    /// Returns an error if no results exist, or if the file cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}; a complete run of benches/run writes it", path.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// # Errors
    ///
    /// Returns an error if the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(path, text + "\n"));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }

    pub(crate) fn samples<'a>(&'a self, server: &'a str, row: &'a str) -> impl Iterator<Item = &'a LoadSample> + 'a {
        self.loads
            .iter()
            .filter(move |sample| sample.server == server && sample.row == row)
    }

    /// The cost of a server's requests in a row; `None` if any measurement failed.
    ///
    /// The total is the median over the rounds. User and system time come from sampling at timer ticks, some hundred in a
    /// round, so the split uses the ticks of all rounds together.
    pub(crate) fn cost(&self, server: &str, row: &str) -> Option<Cost> {
        if self.has_failed(server, row) {
            return None;
        }
        let total = spread(self.samples(server, row).map(LoadSample::cpu_us))?;
        let user_ticks: u64 = self.samples(server, row).map(|sample| sample.user_ticks).sum();
        let ticks: u64 = self
            .samples(server, row)
            .map(|sample| sample.user_ticks + sample.system_ticks)
            .sum();
        let user = total.median * user_ticks as f64 / ticks.max(1) as f64;
        Some(Cost {
            total,
            user,
            system: total.median - user,
        })
    }

    /// In the row `idle` or `idle-tls`.
    pub(crate) fn idle_bytes(&self, server: &str, row: &str) -> Option<Spread> {
        let samples = self
            .idles
            .iter()
            .filter(|sample| sample.server == server && sample.row == row);
        spread(samples.map(|sample| sample.bytes_per_connection)).filter(|_| !self.has_failed(server, row))
    }

    /// One figure of the starts of a server.
    pub(crate) fn start(&self, server: &str, figure: impl Fn(&StartSample) -> f64) -> Option<Spread> {
        let samples = self.starts.iter().filter(|sample| sample.server == server);
        spread(samples.map(figure)).filter(|_| !self.has_failed(server, "start"))
    }

    /// One figure of a server at half of its capacity.
    pub(crate) fn paced(&self, server: &str, row: &str, figure: impl Fn(&PacedSample) -> f64) -> Option<Spread> {
        let samples = self
            .paced
            .iter()
            .filter(|sample| sample.server == server && sample.row == row);
        spread(samples.map(figure)).filter(|_| !self.has_failed(server, row))
    }

    pub(crate) fn has_failed(&self, server: &str, row: &str) -> bool {
        concerns(&self.failures, server, row)
    }

    pub(crate) fn is_not_applicable(&self, server: &str, row: &str) -> bool {
        concerns(&self.not_applicable, server, row)
    }
}

fn concerns(remarks: &[Remark], server: &str, row: &str) -> bool {
    remarks
        .iter()
        .any(|remark| remark.server == server && (remark.row == row || remark.row.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_nanoseconds: u64, user_ticks: u64, system_ticks: u64) -> LoadSample {
        LoadSample {
            server: "axum".into(),
            row: "json".into(),
            requests: 1_000,
            seconds: 1.0,
            cpu_nanoseconds,
            user_ticks,
            system_ticks,
            ..LoadSample::default()
        }
    }

    #[test]
    fn the_cost_is_the_median_and_its_split_uses_all_rounds() {
        let results = Results {
            loads: vec![
                sample(4_000_000, 1, 3),
                sample(5_000_000, 0, 4),
                sample(9_000_000, 2, 2),
            ],
            ..Results::default()
        };
        let cost = results.cost("axum", "json").unwrap();
        assert_eq!(
            (cost.total.median, cost.total.least, cost.total.greatest),
            (5.0, 4.0, 9.0)
        );
        assert_eq!((cost.user, cost.system), (1.25, 3.75));
    }

    #[test]
    fn a_row_with_a_failure_has_no_cost() {
        let failure = Remark {
            server: "axum".into(),
            row: "json".into(),
            text: "3 read errors".into(),
        };
        assert_eq!(failure.to_string(), "axum in row json: 3 read errors");
        let results = Results {
            loads: vec![sample(4_000_000, 1, 3)],
            failures: vec![failure],
            ..Results::default()
        };
        assert_eq!(results.cost("axum", "json"), None);
        assert!(!results.has_failed("axum", "user"));
    }
}
