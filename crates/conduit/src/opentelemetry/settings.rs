//! The settings from the environment. The OpenTelemetry crates read the variables themselves, and replace an invalid value with
//! the default before logging is set up, so each value is validated here first.

use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;

use crate::error::{Error, Result};

/// Each row rejects invalid values of its variable.
const ROWS: [Row; 18] = [
    Row(
        "OTEL_TRACES_EXPORTER",
        |value| ["otlp", "none"].contains(&value),
        "otlp or none",
    ),
    Row("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", is_protocol, PROTOCOL),
    Row("OTEL_EXPORTER_OTLP_PROTOCOL", is_protocol, PROTOCOL),
    Row("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", is_endpoint, ENDPOINT),
    Row("OTEL_EXPORTER_OTLP_ENDPOINT", is_endpoint, ENDPOINT),
    Row("OTEL_EXPORTER_OTLP_TRACES_HEADERS", are_headers, HEADERS),
    Row("OTEL_EXPORTER_OTLP_HEADERS", are_headers, HEADERS),
    Row(
        "OTEL_RESOURCE_ATTRIBUTES",
        are_pairs,
        "name=value, several with commas between them",
    ),
    Row("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", is_compression, COMPRESSION),
    Row("OTEL_EXPORTER_OTLP_COMPRESSION", is_compression, COMPRESSION),
    Row("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", is_number, MILLISECONDS),
    Row("OTEL_EXPORTER_OTLP_TIMEOUT", is_number, MILLISECONDS),
    Row("OTEL_TRACES_SAMPLER", |value| SAMPLERS.contains(&value), SAMPLER),
    Row("OTEL_TRACES_SAMPLER_ARG", is_ratio, "a number from 0 to 1"),
    Row("OTEL_PROPAGATORS", is_propagators, "tracecontext or none"),
    Row("OTEL_BSP_SCHEDULE_DELAY", is_number, MILLISECONDS),
    Row("OTEL_BSP_MAX_QUEUE_SIZE", is_number, "a whole number from 1 up"),
    Row("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", is_number, "a whole number from 1 up"),
];

/// A variable, its validator, and a description of valid values.
struct Row(&'static str, fn(&str) -> bool, &'static str);

const PROTOCOL: &str = "http/protobuf, which a collector accepts on port 4318";
const MILLISECONDS: &str = "a whole number of milliseconds from 1 up";
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];
const SAMPLER: &str = "always_on, always_off or traceidratio, or one of them with the prefix parentbased_";
const ENDPOINT: &str = if cfg!(feature = "tls") {
    "a URL such as http://localhost:4318 or https://collector.example:4318"
} else {
    "a URL such as http://localhost:4318 (https:// needs the feature `tls` of conduit-web)"
};
const HEADERS: &str =
    "name=value with the name of a header field, several with commas between them, and %2C for a comma in a value";
const COMPRESSION: &str = if cfg!(feature = "compression") {
    "gzip or none"
} else {
    "none (gzip needs the feature `compression` of conduit-web)"
};
/// The default timeout of an export.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The settings that Conduit, rather than the OpenTelemetry crates, applies.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) sends: bool,
    /// Set if traces of other services are continued.
    pub(super) propagates: bool,
    /// The collector is at a loopback address, which no proxy can reach.
    pub(super) is_local: bool,
    /// The timeout of each request to the collector.
    pub(super) timeout: Duration,
}

impl Settings {
    pub(super) fn new(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        // An empty variable counts as unset, for all variables of OpenTelemetry.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let is = |name: &str, value: &str| text(name).is_some_and(|text| text.eq_ignore_ascii_case(value));
        // Disabled settings are not validated further.
        let sends = !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none");
        for Row(name, is_valid, expected) in ROWS.iter().filter(|_| sends) {
            if let Some(value) = variable(name)
                && !value.to_str().is_some_and(is_valid)
            {
                // Header fields are credentials.
                let shown = match name.ends_with("_HEADERS") {
                    true => "(not shown)".into(),
                    false => value.to_string_lossy(),
                };
                return Err(Error::variable(name, shown, *expected));
            }
        }
        let timeout = text("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT").or_else(|| text("OTEL_EXPORTER_OTLP_TIMEOUT"));
        let endpoint = text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| text("OTEL_EXPORTER_OTLP_ENDPOINT"));
        Ok(Settings {
            sends,
            is_local: endpoint.is_none_or(|endpoint| is_loopback(&endpoint)),
            propagates: text("OTEL_PROPAGATORS").is_none_or(|names| lists(&names, "tracecontext")),
            timeout: timeout
                .and_then(|text| text.parse().ok())
                .map_or(TIMEOUT, Duration::from_millis),
        })
    }
}

fn is_protocol(value: &str) -> bool {
    value.eq_ignore_ascii_case("http/protobuf")
}

fn is_endpoint(value: &str) -> bool {
    let schemes: &[&str] = if cfg!(feature = "tls") {
        &["http", "https"]
    } else {
        &["http"]
    };
    let url = value.parse::<Uri>().ok();
    url.is_some_and(|url| url.scheme_str().is_some_and(|scheme| schemes.contains(&scheme)) && url.host().is_some())
}

fn is_loopback(endpoint: &str) -> bool {
    let url = endpoint.parse::<Uri>().ok();
    url.as_ref().and_then(Uri::host).is_some_and(|host| {
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    })
}

/// Returns whether the crates accept each element as a header field; they omit others, also those with an empty value, without a
/// message.
fn are_headers(value: &str) -> bool {
    pairs(value).all(|pair| {
        pair.is_some_and(|(name, value)| {
            let decoded = percent_decode_str(value).decode_utf8();
            let is_value = decoded.is_ok_and(|value| !value.is_empty() && HeaderValue::from_str(&value).is_ok());
            HeaderName::try_from(name).is_ok() && is_value
        })
    })
}

/// Returns whether each element is an attribute, whose value may be empty.
fn are_pairs(value: &str) -> bool {
    pairs(value).all(|pair| pair.is_some())
}

/// The elements of a list of names and values; `None` for one without a name or `=`.
fn pairs(list: &str) -> impl Iterator<Item = Option<(&str, &str)>> {
    let elements = list.split(',').map(str::trim).filter(|element| !element.is_empty());
    elements.map(|element| {
        let (name, value) = element.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        (!name.is_empty()).then_some((name, value))
    })
}

fn is_compression(value: &str) -> bool {
    value.eq_ignore_ascii_case("none") || (cfg!(feature = "compression") && value.eq_ignore_ascii_case("gzip"))
}

fn is_number(value: &str) -> bool {
    value.parse::<u32>().is_ok_and(|number| number > 0)
}

fn is_ratio(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio))
}

/// Other values are ignored: platforms set the variable for programs in all languages.
fn is_propagators(value: &str) -> bool {
    lists(value, "tracecontext") || lists(value, "none")
}

fn lists(names: &str, name: &str) -> bool {
    names.split(',').any(|listed| listed.trim() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::new(|asked| {
            let found = variables.iter().find(|(name, _)| *name == asked)?;
            Some(found.1.into())
        })
    }

    #[test]
    fn without_variables_everything_is_sent_and_foreign_traces_continue() {
        let settings = with(&[]).expect("no variable is set");
        assert!(settings.sends && settings.propagates);
        assert_eq!(settings.timeout, TIMEOUT);
    }

    #[test]
    fn the_variable_for_traces_wins_over_that_for_all() {
        let settings = with(&[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "700"),
        ])
        .expect("each value is one");
        assert_eq!(settings.timeout, Duration::from_millis(700));
    }

    #[test]
    fn settings_of_a_disabled_exporter_are_not_read() {
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            let settings = with(&[off, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).expect("nothing is refused");
            assert!(!settings.sends, "{off:?}");
        }
        // The specification accepts only `true`.
        assert!(with(&[("OTEL_SDK_DISABLED", "1")]).expect("it is allowed").sends);
    }

    #[test]
    fn propagators_of_others_are_passed_over() {
        for (value, propagates) in [
            ("tracecontext,baggage", true),
            ("b3, tracecontext", true),
            ("none", false),
            ("", true),
        ] {
            let settings = with(&[("OTEL_PROPAGATORS", value)]).expect("it is allowed");
            assert_eq!(settings.propagates, propagates, "{value}");
        }
    }

    #[test]
    fn error_of_a_bad_value_names_the_variable_and_the_expected_value() {
        for (variable, value, expected) in [
            ("OTEL_TRACES_EXPORTER", "console", "otlp or none"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", PROTOCOL),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", PROTOCOL),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", ENDPOINT),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://localhost:4317", ENDPOINT),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces", ENDPOINT),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", COMPRESSION),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", MILLISECONDS),
            ("OTEL_TRACES_SAMPLER", "sometimes", SAMPLER),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5", "a number from 0 to 1"),
            ("OTEL_TRACES_SAMPLER_ARG", "NaN", "a number from 0 to 1"),
            ("OTEL_PROPAGATORS", "b3", "tracecontext or none"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "a whole number from 1 up"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "team=a,region",
                "name=value, several with commas between them",
            ),
        ] {
            let error = with(&[(variable, value)]).expect_err("the value is invalid");
            assert_eq!(
                error.to_string(),
                format!("invalid {variable}={value:?}: expected {expected}")
            );
        }
    }

    #[test]
    fn attribute_may_have_an_empty_value() {
        for (value, is_valid) in [("service.version=,team=a", true), ("team=a,=b", false), ("=", false)] {
            let settings = with(&[("OTEL_RESOURCE_ATTRIBUTES", value)]);
            assert_eq!(settings.is_ok(), is_valid, "{value}");
        }
    }

    #[test]
    fn header_fields_that_would_be_omitted_are_rejected_without_their_values() {
        for variable in ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"] {
            for invalid in [
                "Authorization: Bearer secret",
                "api key=secret",
                "x-tenant=a,secret",
                "=secret",
                "api-key=",
                "api-key=secret%0a",
                "api-key=secret%ff",
            ] {
                let error = with(&[(variable, invalid)]).expect_err(invalid);
                let expected = format!("invalid {variable}=\"(not shown)\": expected {HEADERS}");
                assert_eq!(error.to_string(), expected);
            }
            for valid in ["api-key=a", " a = b , Authorization=Bearer%20c%3D=,", "k=100%"] {
                assert!(with(&[(variable, valid)]).is_ok(), "{valid}");
            }
        }
    }

    #[test]
    fn collector_at_a_loopback_address_is_local() {
        let endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
        for (url, is_local) in [
            ("", true),
            ("http://LocalHost:4318", true),
            ("http://127.0.0.2", true),
            ("http://[::1]:4318/otlp", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1:4318", false),
            ("http://[::2]", false),
        ] {
            assert_eq!(with(&[(endpoint, url)]).expect(url).is_local, is_local, "{url}");
        }
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector.example");
        assert!(!with(&[(endpoint, "http://localhost"), traces]).expect("valid").is_local);
    }
}
