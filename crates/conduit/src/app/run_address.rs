//! The address of `App::run`.

use std::borrow::Cow;
use std::ffi::OsString;

use crate::error::{Error, Result};

/// The environment variable with the addresses of [`App::run`](crate::App::run).
pub(super) const ADDRESS_VARIABLE: &str = "CONDUIT_ADDR";

const DEFAULT: &str = "127.0.0.1:8080";

/// The addresses in the value of the variable, or the default without a value.
pub(super) fn run_address(value: Option<OsString>) -> Result<Cow<'static, str>> {
    let Some(value) = value else {
        return Ok(Cow::Borrowed(DEFAULT));
    };
    let invalid = |value: OsString| {
        let value = value.to_string_lossy().into_owned();
        Error::variable(ADDRESS_VARIABLE, value, "an address such as 127.0.0.1:8080")
    };
    value.into_string().map(Cow::Owned).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_variable_it_is_port_8080_of_loopback() {
        assert_eq!(run_address(None).expect("the default"), "127.0.0.1:8080");
        let value = Some(OsString::from("127.0.0.1:0"));
        assert_eq!(run_address(value).expect("text"), "127.0.0.1:0");
    }
}
