//! `benches/run`: builds Conduit and its peers with one profile, measures them side by side on one machine, and writes the results.
//!
//! A run is a number of rounds. Each round takes every row (a kind of load) and, for each row, every server in turn, so that
//! other activity of the machine affects all servers alike. Every measurement starts a new server, checks its responses, sends load
//! from the other core, and reads its CPU time before and after.
//!
//! - [`arguments`]: the options of the command line
//! - [`servers`]: the servers, and their builds
//! - [`rows`]: the loads
//! - [`process`]: a running server: pinned, checked, measured through `/proc`
//! - [`probe`]: the checks before a measurement
//! - [`load`]: `wrk` and its report
//! - [`http2`]: the same for HTTP/2: `h2load`, and the check with `curl`
//! - [`paced`]: the load at a fixed rate
//! - [`websocket`], [`broadcast`]: the echo of messages, and their delivery to many subscribers
//! - [`drain`]: the clients of a server that stops
//! - [`memory`]: idle connections and start-up
//! - [`campaign`]: the rounds
//! - [`results`]: the measurements as written to JSON
//! - [`goals`], [`report`], [`chart`]: its presentation

#![forbid(unsafe_code)]

mod arguments;
mod broadcast;
mod campaign;
mod chart;
mod drain;
mod goals;
mod http2;
mod load;
mod machine;
mod memory;
mod paced;
mod probe;
mod process;
mod report;
mod results;
mod rows;
mod servers;
mod statistics;
mod websocket;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arguments::Action;
use results::Results;

/// An error is for the person at the terminal: it has the value, the place and the remedy.
type Result<T> = std::result::Result<T, String>;

/// The directory `benches/`, independent of the working directory.
fn benches() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the harness is in a directory of benches/")
        .into()
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("benches/run: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `false` if a selected measurement failed.
fn run() -> Result<bool> {
    let arguments = match arguments::parse()? {
        Action::Help => {
            print!("{}", arguments::HELP);
            return Ok(true);
        }
        Action::List => {
            print!("{}", arguments::list());
            return Ok(true);
        }
        Action::Drain(arguments) => {
            println!("{}", drain::run(&arguments)?);
            return Ok(true);
        }
        Action::Measure(arguments) => arguments,
    };

    let complete = benches().join("results/latest.json");
    let results = if arguments.only_report {
        Results::read(&complete)?
    } else {
        let results = campaign::run(&arguments)?;
        let path = if arguments.is_complete() {
            complete
        } else {
            benches().join("results/partial.json")
        };
        results.write(&path)?;
        eprintln!("raw figures: {}", path.display());
        results
    };

    println!("{}", report::markdown(&results));
    if arguments.is_complete() {
        for path in chart::write_all(&results, &benches().join("results"))? {
            eprintln!("chart: {}", path.display());
        }
    }
    if arguments.write_docs {
        let page = benches().join("../docs/performance.md");
        report::write_into(&page, &report::markdown(&results))?;
        eprintln!("page: {}", page.display());
    }
    for failure in &results.failures {
        eprintln!("FAILED: {failure}");
    }
    Ok(results.failures.is_empty())
}
