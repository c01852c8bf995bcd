//! The limit of descriptors of the process, and its distribution among the workers.

use std::io;

use conduit_net::process::{descriptor_limit, raise_descriptor_limit};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Descriptors that the process needs besides connections: standard streams, pollers, files, databases.
const SPARE: u64 = 128;
/// The minimum number of descriptors of a worker: those of its runtime. A poller and listening sockets follow.
const MINIMUM_PER_WORKER: u64 = 3;
/// The number that counts as the limit of a process without one.
const WITHOUT_LIMIT: u64 = 1 << 20;

/// Raises the limit of descriptors as far as the process may, and returns it.
fn raised_limit() -> u64 {
    raise_descriptor_limit().unwrap_or(WITHOUT_LIMIT)
}

/// Raises the limit of descriptors as far as the process may, and gives each worker its share, less the files that it keeps
/// open. All files together take a quarter of the descriptors at most.
pub(crate) fn connections_per_worker(workers: usize, open_files: usize) -> usize {
    let limit = raised_limit();
    let files = workers.saturating_mul(open_files) as u64;
    let all = limit.saturating_sub(SPARE + files.min(limit / 4)).max(workers as u64);
    usize::try_from(all).unwrap_or(usize::MAX) / workers
}

/// Returns an error for a number of workers that need more descriptors than the process may open, after it has raised the limit.
pub(crate) fn check_workers(count: usize) -> Result {
    let needed = (count as u64).saturating_mul(MINIMUM_PER_WORKER);
    if needed <= raised_limit() {
        return Ok(());
    }
    Err(too_many_workers(count))
}

/// The error of workers that need more descriptors than the process may open.
pub(crate) fn too_many_workers(count: usize) -> Error {
    let limit = descriptor_limit().unwrap_or(WITHOUT_LIMIT);
    let cause = format!(
        "the process may open at most {limit} descriptors, and each worker needs several: raise the limit (ulimit -n)"
    );
    Error::workers(count, cause)
}

/// The error of an operation at the start of one of `count` workers. A single worker needs few descriptors: others use them.
pub(crate) fn start_error(operation: &'static str, cause: io::Error, count: usize) -> Error {
    match Errno::from_io_error(&cause) {
        Some(Errno::MFILE) if count > 1 => too_many_workers(count),
        _ => Error::system(operation, cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_without_descriptors_are_an_error_with_the_number_the_limit_and_the_remedy() {
        assert!(check_workers(1).is_ok() && check_workers(64).is_ok());
        for count in [1_000_000_000, usize::MAX] {
            let error = check_workers(count)
                .expect_err("no process has as many descriptors")
                .to_string();
            let limit = descriptor_limit().unwrap_or(WITHOUT_LIMIT);
            assert_eq!(
                error,
                format!(
                    "cannot start {count} workers: the process may open at most {limit} descriptors, and each worker needs several: \
                     raise the limit (ulimit -n), or use fewer workers (`App::workers` or the environment variable CONDUIT_WORKERS)"
                )
            );
        }
    }

    #[test]
    fn only_a_missing_descriptor_is_an_error_of_the_workers() {
        let error = start_error("serve", Errno::MFILE.into(), 7).to_string();
        assert!(
            error.starts_with("cannot start 7 workers: the process may open at most "),
            "{error}"
        );
        let error = start_error("serve", io::Error::other("no disk"), 7).to_string();
        assert_eq!(error, "cannot serve: no disk");
        let error = start_error("serve", Errno::MFILE.into(), 1).to_string();
        assert!(error.starts_with("cannot serve: "), "{error}");
    }
}
