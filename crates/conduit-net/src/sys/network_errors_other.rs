//! Systems without further network errors.

use rustix::io::Errno;

pub(crate) const OF_ONE_CONNECTION: [Errno; 0] = [];
