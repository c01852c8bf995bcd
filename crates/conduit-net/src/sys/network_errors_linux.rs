//! The network errors that only Linux has.

use rustix::io::Errno;

/// Errors of accept(2) that concern only one connection.
pub(crate) const OF_ONE_CONNECTION: [Errno; 1] = [Errno::NONET];
