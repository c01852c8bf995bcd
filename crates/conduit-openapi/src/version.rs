//! The versions of OpenAPI.

use conduit_core::route::Definition;

/// The methods of OpenAPI 3.1.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// A version of OpenAPI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Version {
    /// OpenAPI 3.1, which most tools read. It has no operations of `QUERY` and of methods outside of RFC 9110 and RFC 5789, and
    /// the schema of an event stream is that of the data of each event.
    #[default]
    V3_1,
    /// OpenAPI 3.2: operations of every method, and event streams with a schema for each event.
    V3_2,
}

/// Returns whether OpenAPI 3.1 has operations of a method in lower case.
pub(super) fn has_method(method: &str) -> bool {
    METHODS.contains(&method)
}

/// The gap of an operation that OpenAPI 3.1 cannot describe.
pub(super) fn missing_method(definition: &Definition) -> String {
    format!(
        "OpenAPI 3.1 has no operations of the method {}: `--openapi 3.2` and `Document::in_version` write it",
        definition.method
    )
}
