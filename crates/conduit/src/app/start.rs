//! The parts of a start that do not depend on the state.
//!
//! The methods of `App` are compiled in each application, for the type of its state; these functions are compiled once.

use std::sync::Arc;

use crate::error::Result;
use crate::observer::AppObserver;
use crate::route::Definition;
use crate::server::config::{Config, warn_of_unknown_variables};

/// Returns the server's settings with those of the environment and the application's observers.
pub(super) fn observed(config: Config, mut observer: AppObserver, definitions: &[Definition]) -> Result<Config> {
    warn_of_unknown_variables(std::env::vars_os().map(|(name, _)| name));
    let mut config = with_environment(config)?;
    observer.has_metrics_page = crate::metrics::is_wanted(definitions);
    config.observer = Arc::new(observer);
    Ok(config)
}

/// Returns the server's settings with those of the environment.
pub(super) fn with_environment(config: Config) -> Result<Config> {
    config.with_environment(|name| std::env::var_os(name))
}

/// The paths of the docs page and its document, and of the endpoint of MCP.
pub(super) fn paths_of_pages(docs: Option<&str>, mcp: Option<&str>) -> Vec<String> {
    let docs = docs.into_iter();
    let docs = docs.flat_map(|path| [path.to_owned(), format!("{path}/openapi.json")]);
    docs.chain(mcp.map(str::to_owned)).collect()
}

/// Installs the recorder of the `metrics` crate if the metrics page is among the routes. Call it after the state's future,
/// which may install another recorder, and after listening.
pub(super) fn install_recorder(definitions: &[Definition]) {
    #[cfg(feature = "metrics")]
    if crate::metrics::is_wanted(definitions) {
        crate::metrics::recorder::install();
    }
    #[cfg(not(feature = "metrics"))]
    let _ = definitions;
}
