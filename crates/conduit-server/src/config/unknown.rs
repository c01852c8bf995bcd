//! Environment variables with the prefix of Conduit that it does not read, such as a mistyped name of a setting.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::sync::Once;

use conduit_core::internal::nearest::nearest_name;

use super::setting::SETTINGS;
use crate::panics::emit;

const PREFIX: &str = "CONDUIT_";
/// The variables that Conduit reads besides the settings, without their prefix.
const OTHERS: [&str; 10] = [
    "ADDR",
    "ENV",
    "MCP_AUTHORIZATION",
    "MCP_COOKIE",
    "MCP_HEADERS",
    "PREDECESSOR",
    "PROXY_PROTOCOL",
    "REDIS_URL",
    "TRUSTED_PROXIES",
    "UPDATE_LOCK",
];
/// The names of variables that only Conduit's tests read begin with these, after the prefix.
const OF_TESTS: [&str; 7] = [
    "MEMORY_CHAIN",
    "MEMORY_KEY",
    "NET_ALONE",
    "NET_TRACED",
    "SIMULATOR_",
    "TEST_",
    "WRITE_GOLDEN",
];

static WARNED: Once = Once::new();

/// Warns of the names that begin with `CONDUIT_` and that Conduit does not read, once in a process: in the log, or on standard error in
/// a program without a log. Such a variable is not an error, because it may belong to the application.
pub fn warn_of_unknown_variables(names: impl IntoIterator<Item = OsString>) {
    WARNED.call_once(|| {
        for warning in warnings(names) {
            if tracing::dispatcher::has_been_set() {
                emit(&|| tracing::warn!("{warning}"));
            } else {
                // The reader of the output may have closed its end.
                let _ = writeln!(io::stderr(), "Warning: {warning}");
            }
        }
    });
}

fn warnings(names: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let names = names.into_iter().filter_map(|name| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(PREFIX)).collect();
    names.sort();
    let services: Vec<String> = names
        .iter()
        .filter_map(|name| name.strip_suffix("_SERVICE_HOST").map(str::to_owned))
        .collect();
    names.retain(|name| is_unknown(name) && !services.iter().any(|service| is_of_service(name, service)));
    let warning = |name: &String| match nearest_name(&name[PREFIX.len()..], known()) {
        Some(nearest) => format!("unknown environment variable {name}: did you mean {PREFIX}{nearest}?"),
        None => format!("unknown environment variable {name}: Conduit does not read it"),
    };
    names.iter().map(warning).collect()
}

/// Returns whether Conduit does not read this variable with its prefix.
fn is_unknown(name: &str) -> bool {
    let rest = &name[PREFIX.len()..];
    // Without HTTP/2 its settings have no effect, but they are not mistyped.
    let is_without_effect = cfg!(not(feature = "http2")) && rest.starts_with("HTTP2_");
    let is_of_tests = OF_TESTS.iter().any(|beginning| rest.starts_with(beginning));
    !is_without_effect && !is_of_tests && !known().any(|known| known == rest)
}

/// Returns whether Kubernetes adds the variable to each container because a service has this name, which `_SERVICE_HOST` follows in
/// another variable: `CONDUIT_SERVICE_PORT`, `CONDUIT_PORT_80_TCP`.
fn is_of_service(name: &str, service: &str) -> bool {
    let rest = name.strip_prefix(service);
    rest.is_some_and(|rest| rest.starts_with("_SERVICE_") || rest == "_PORT" || rest.starts_with("_PORT_"))
}

/// The names of all variables that Conduit reads, without their prefix.
fn known() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS
        .iter()
        .filter_map(|setting| setting.variable.strip_prefix(PREFIX));
    settings.chain(OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(name: &str) -> Option<String> {
        let mut warnings = warnings([OsString::from(name)]);
        assert!(warnings.len() < 2);
        warnings.pop()
    }

    #[test]
    fn a_mistyped_variable_is_a_warning_with_the_nearest_name() {
        for (name, nearest) in [
            ("CONDUIT_WORKER", "CONDUIT_WORKERS"),
            ("CONDUIT_workers", "CONDUIT_WORKERS"),
            ("CONDUIT_ADDRESS", "CONDUIT_ADDR"),
            ("CONDUIT_HEADER_TIMEOUT", "CONDUIT_HEAD_TIMEOUT"),
            ("CONDUIT_BODYLIMIT", "CONDUIT_BODY_LIMIT"),
            ("CONDUIT_TRUSTED_PROXY", "CONDUIT_TRUSTED_PROXIES"),
        ] {
            let expected = format!("unknown environment variable {name}: did you mean {nearest}?");
            assert_eq!(warning(name), Some(expected));
        }
    }

    #[test]
    fn a_variable_of_the_application_is_a_warning_without_a_suggestion() {
        let expected = "unknown environment variable CONDUIT_XYZ: Conduit does not read it";
        assert_eq!(warning("CONDUIT_XYZ").as_deref(), Some(expected));
    }

    #[test]
    fn known_and_foreign_variables_are_no_warning() {
        for name in [
            "CONDUIT_WORKERS",
            "CONDUIT_ADDR",
            "CONDUIT_MCP_HEADERS",
            "CONDUIT_HTTP2_STREAM_LIMIT",
            "CONDUIT_TEST_SERVER",
            "CONDUITX",
            "PATH",
        ] {
            assert_eq!(warning(name), None, "{name}");
        }
    }

    #[test]
    fn variables_of_a_service_of_kubernetes_are_no_warning() {
        let names = [
            "CONDUIT_API_PORT",
            "CONDUIT_API_PORT_80_TCP_ADDR",
            "CONDUIT_API_SERVICE_HOST",
            "CONDUIT_API_SERVICE_PORT_HTTP",
        ];
        assert!(warnings(names.map(OsString::from)).is_empty());
        // Without the service, the name is a mistake.
        assert!(warning("CONDUIT_PORT").is_some());
        assert_eq!(
            warnings(names.iter().chain(&["CONDUIT_PORT"]).map(OsString::from)).len(),
            1
        );
    }

    #[test]
    fn names_like_those_of_the_tests_are_warnings() {
        for name in ["CONDUIT_MEMORY_LIMIT", "CONDUIT_NET_WORKERS"] {
            assert!(warning(name).is_some(), "{name}");
        }
    }

    #[test]
    fn each_variable_is_a_warning_in_the_order_of_the_names() {
        let names = ["CONDUIT_WORKER", "PATH", "CONDUIT_HEADLIMIT"].map(OsString::from);
        assert_eq!(
            warnings(names),
            [
                "unknown environment variable CONDUIT_HEADLIMIT: did you mean CONDUIT_HEAD_LIMIT?",
                "unknown environment variable CONDUIT_WORKER: did you mean CONDUIT_WORKERS?",
            ]
        );
    }
}
