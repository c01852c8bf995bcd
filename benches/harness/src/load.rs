//! The load: `wrk`, on another core than the server.

use std::net::SocketAddr;
use std::process::Command;

use serde::Deserialize;

use crate::rows::Load;
use crate::{Result, benches};

/// The report of `wrk`, or of `h2load`.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) microseconds: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    connect_errors: u64,
    read_errors: u64,
    write_errors: u64,
    timeouts: u64,
    bad_statuses: u64,
}

impl Report {
    /// A report without errors.
    pub(crate) fn clean(requests: u64, microseconds: u64, p50_us: u64, p99_us: u64) -> Self {
        Report {
            requests,
            microseconds,
            p50_us,
            p99_us,
            connect_errors: 0,
            read_errors: 0,
            write_errors: 0,
            timeouts: 0,
            bad_statuses: 0,
        }
    }
}

/// Returns the version of `wrk`.
///
/// # Errors
///
/// Returns the command that installs it.
pub(crate) fn version() -> Result<String> {
    let output = Command::new("wrk").arg("--version").output().map_err(|error| {
        format!("cannot start wrk: {error}; get it with `apt-get install wrk` (Debian, Ubuntu) or from https://github.com/wg/wrk")
    })?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok(text.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

/// Sends `load` to a server for `seconds`.
///
/// # Errors
///
/// Returns an error if `wrk` or any request fails, because a figure with errors is meaningless.
pub(crate) fn run(load: &Load, address: SocketAddr, seconds: u32) -> Result<Report> {
    let scripts = benches().join("harness");
    let script = match (load.pipeline, load.others) {
        (1, []) => "report.lua",
        (1, _) => "files.lua",
        _ => "pipeline.lua",
    };
    let scheme = if load.tls { "https" } else { "http" };
    let mut command = Command::new("wrk");
    command
        .arg("-t1")
        .arg(format!("-c{}", load.connections))
        .arg(format!("-d{seconds}s"));
    command
        .arg("-s")
        .arg(scripts.join(script))
        .env("LUA_PATH", scripts.join("?.lua"));
    for field in load.fields {
        command.args(["-H", field]);
    }
    if load.close {
        command.args(["-H", "Connection: close"]);
    }
    command
        .arg(format!("{scheme}://{address}{}", load.question.path))
        .arg("--");
    match load.others {
        [] => command.arg(load.pipeline.to_string()),
        others => command
            .arg(load.question.path)
            .args(others.iter().map(|other| other.path)),
    };
    let output = command.output().map_err(|error| format!("cannot start wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).map_err(|error| format!("{error}\n{text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn parse(text: &str) -> Result<Report> {
    let json = text
        .lines()
        .find_map(|line| line.strip_prefix("RESULT "))
        .ok_or("wrk printed no result")?;
    let report: Report = serde_json::from_str(json).map_err(|error| format!("wrk printed {json:?}: {error}"))?;
    let errors = [
        ("connect errors", report.connect_errors),
        ("read errors", report.read_errors),
        ("write errors", report.write_errors),
        ("timeouts", report.timeouts),
        ("statuses other than 2xx", report.bad_statuses),
    ];
    let errors: Vec<String> = errors
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    match (errors.is_empty(), report.requests) {
        (false, _) => Err(format!(
            "wrk counted {} in {} requests",
            errors.join(", "),
            report.requests
        )),
        (true, 0) => Err("wrk received no response".into()),
        (true, _) => Ok(report),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(requests: u64, read_errors: u64) -> String {
        format!(
            "noise\nRESULT {{\"requests\":{requests},\"microseconds\":1000,\"p50_us\":1,\"p99_us\":2,\"connect_errors\":0,\
             \"read_errors\":{read_errors},\"write_errors\":0,\"timeouts\":0,\"bad_statuses\":0}}\n"
        )
    }

    #[test]
    fn a_result_without_errors_is_accepted() {
        assert_eq!(parse(&line(7, 0)).unwrap().requests, 7);
    }

    #[test]
    fn errors_fail_the_measurement() {
        assert_eq!(
            parse(&line(7, 3)).unwrap_err(),
            "wrk counted 3 read errors in 7 requests"
        );
        assert!(parse(&line(0, 0)).is_err());
        assert!(parse("unable to connect").is_err());
    }
}
