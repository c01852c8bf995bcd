//! Conversions from types of `std`.

use super::Shutdown;

impl From<std::net::Shutdown> for Shutdown {
    fn from(how: std::net::Shutdown) -> Shutdown {
        match how {
            std::net::Shutdown::Read => Shutdown::Read,
            std::net::Shutdown::Write => Shutdown::Write,
            std::net::Shutdown::Both => Shutdown::Both,
        }
    }
}
