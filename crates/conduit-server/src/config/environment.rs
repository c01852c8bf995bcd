//! The settings by the names of their variables, and their values from the environment.

use std::ffi::OsString;

use super::Config;
use super::setting::{SETTINGS, Setting};
use crate::error::{Error, Result};
use crate::panics::emit;

impl Config {
    /// Records that the program has set the setting of this variable, and overrides the environment.
    pub fn choose(&mut self, variable: &str) {
        let row = SETTINGS.iter().position(|setting| setting.variable == variable);
        self.chosen |= 1 << row.expect("a builder method names a row of the table");
    }

    /// The settings, with values of the environment unless the program has set them.
    ///
    /// # Errors
    ///
    /// Returns an error if the value of a variable is invalid, unless the program overrides that variable.
    pub fn with_environment(mut self, variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        for (row, setting) in SETTINGS.iter().enumerate() {
            if self.chosen & 1u64 << row != 0 {
                continue;
            }
            if let Some(value) = variable(setting.variable) {
                let mut place = (setting.place)(&mut self);
                if value.to_str().and_then(|text| place.set(text)).is_none() {
                    let value = value.to_string_lossy();
                    return Err(Error::variable(setting.variable, value, place.expected()));
                }
                let (value, unit) = (place.text(), place.unit());
                emit(&|| tracing::info!(setting.variable, value, unit, setting.bounds, "set by the environment"));
            }
        }
        self.proxies = self.proxies.with_environment(variable)?;
        Ok(self)
    }

    /// Each setting's variable and value, the default in words if it is not a number.
    pub fn values(&self) -> Vec<(&'static str, String)> {
        let mut config = self.clone();
        let value = |setting: &Setting| {
            let text = (setting.place)(&mut config).text();
            let text = if text.is_empty() {
                setting.default.unwrap_or_default().to_owned()
            } else {
                text
            };
            (setting.variable, text)
        };
        SETTINGS.iter().map(value).collect()
    }
}
