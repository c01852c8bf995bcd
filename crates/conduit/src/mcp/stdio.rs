//! The protocol over standard input and output, for a client that starts the program.

use std::ffi::OsString;
use std::io;

use http::{HeaderMap, HeaderName, HeaderValue};
use rmcp::ServiceExt as _;
use rmcp::service::ServerInitializeError;

use super::caller::Caller;
use super::server::ToolServer;
use crate::error::{Error, Result};
use crate::server::service::Threads;

/// The environment variables with the credentials of the caller.
const AUTHORIZATION: &str = "CONDUIT_MCP_AUTHORIZATION";
const COOKIE: &str = "CONDUIT_MCP_COOKIE";
const HEADERS: &str = "CONDUIT_MCP_HEADERS";

/// Serves until the end of standard input.
pub(crate) fn serve_stdio(server: ToolServer, threads: &Threads) -> Result {
    let headers = credentials(|name| std::env::var_os(name))?;
    let server = server.for_caller(Caller::local(threads.internal_caller(), headers));
    let failed = |cause| Error::system("serve MCP over standard input and output", cause);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let served = runtime.block_on(async {
        match server.serve(rmcp::transport::stdio_pipes()).await {
            Ok(running) => running.waiting().await.map(drop).map_err(io::Error::other),
            // The client has ended before its first message.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    });
    // A thread may still read standard input.
    runtime.shutdown_background();
    served.map_err(failed)
}

/// The header fields of each call.
///
/// # Errors
/// Returns an error if a variable has an invalid value; the error does not contain the value, because it is a secret.
fn credentials(variable: impl Fn(&str) -> Option<OsString>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let invalid = |name: &'static str, expected| Error::variable(name, "…", expected);
    for (name, field) in [
        (AUTHORIZATION, http::header::AUTHORIZATION),
        (COOKIE, http::header::COOKIE),
    ] {
        if let Some(value) = variable(name) {
            let value = HeaderValue::try_from(value.as_encoded_bytes());
            let mut value = value.map_err(|_| invalid(name, "the value of a header field"))?;
            value.set_sensitive(true);
            headers.insert(field, value);
        }
    }
    let expected = "lines such as `x-tenant: acme`";
    let lines = variable(HEADERS).unwrap_or_default();
    let lines = lines.into_string().map_err(|_| invalid(HEADERS, expected))?;
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(HEADERS, expected))?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| invalid(HEADERS, expected))?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| invalid(HEADERS, expected))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_header_fields_from_the_environment() {
        let headers = credentials(|name| {
            Some(OsString::from(match name {
                AUTHORIZATION => "Bearer a",
                COOKIE => "session=b",
                _ => "x-api-key: c\n\nx-tenant:d\n",
            }))
        });
        let headers = headers.expect("valid fields");
        let names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(headers["authorization"], "Bearer a");
        assert_eq!(headers["x-tenant"], "d");
        assert!(headers.values().all(HeaderValue::is_sensitive), "{headers:?}");
    }

    #[test]
    fn an_error_about_a_credential_does_not_contain_it() {
        for name in [AUTHORIZATION, COOKIE, HEADERS] {
            let error = credentials(|variable| (variable == name).then(|| OsString::from("sec\u{1}ret")));
            let text = error.expect_err("invalid").to_string();
            assert!(text.contains(name) && !text.contains("sec"), "{text}");
        }
    }
}
