//! The settings from the environment.
//!
//! | variable | default | meaning |
//! | --- | --- | --- |
//! | `SHORTLINKS_DB` | `shortlinks.db` | the database's file |
//! | `SHORTLINKS_SIGN_INS_PER_MINUTE` | 10 | the number of sign-ups and sign-ins of an address |
//! | `SHORTLINKS_NEW_LINKS_PER_MINUTE` | 120 | the number of new links of an address |
//!
//! The framework documents those of the server, such as `CONDUIT_ADDR`.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The period of the limits.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) struct Settings {
    pub(crate) database: PathBuf,
    pub(crate) sign_ins_per_minute: u32,
    pub(crate) new_links_per_minute: u32,
}

impl Settings {
    /// The defaults, with this database.
    pub(crate) fn new(database: impl Into<PathBuf>) -> Self {
        Settings {
            database: database.into(),
            sign_ins_per_minute: 10,
            new_links_per_minute: 120,
        }
    }

    pub(crate) fn from_environment() -> Result<Self, NoNumber> {
        let mut settings = Settings::new(env::var_os("SHORTLINKS_DB").unwrap_or_else(|| "shortlinks.db".into()));
        read_number("SHORTLINKS_SIGN_INS_PER_MINUTE", &mut settings.sign_ins_per_minute)?;
        read_number("SHORTLINKS_NEW_LINKS_PER_MINUTE", &mut settings.new_links_per_minute)?;
        Ok(settings)
    }
}

/// Leaves the number unchanged if the variable is not set.
fn read_number(name: &'static str, number: &mut u32) -> Result<(), NoNumber> {
    if let Some(value) = env::var_os(name) {
        let parsed = value.to_str().and_then(|text| text.parse().ok());
        *number = parsed.filter(|number| *number > 0).ok_or(NoNumber { name, value })?;
    }
    Ok(())
}

/// A variable of the environment that is not a number.
#[derive(Debug)]
pub(crate) struct NoNumber {
    name: &'static str,
    value: OsString,
}

impl fmt::Display for NoNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {:?}: set it to a number from 1 on", self.name, self.value)
    }
}

impl std::error::Error for NoNumber {}
