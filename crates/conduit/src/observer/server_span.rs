//! The OpenTelemetry span of a request: the attributes of the semantic conventions for HTTP servers, and the parent trace. It
//! does nothing if no layer of the subscriber exports spans.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::atomic::Ordering;

use http::Version;
use http::uri::Authority;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, Value, global};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::excerpt::logged;
use crate::extract::Client;
use crate::opentelemetry::SAMPLES_BLINDLY;
use crate::request::Request;
use crate::route::Definition;

/// The number of forwarded bytes of `tracestate`; services must forward 512 (W3C Trace Context, section 3.3.1.5).
const STATE_BYTES: usize = 512;
/// Methods that may be part of a name: those of RFC 9110, section 9, PATCH (RFC 5789) and QUERY (RFC 10008).
const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
];
/// Query parameters with signatures, which grant access to anyone who reads them. The conventions list them.
const SECRETS: [&str; 4] = ["AWSAccessKeyId", "Signature", "sig", "X-Goog-Signature"];

/// The span of a request, if it is exported.
#[derive(Default)]
pub(super) struct ServerSpan(Option<Context>);

impl ServerSpan {
    /// Makes the request's span a server span.
    pub(super) fn begin(span: &Span, request: &Request, route: Option<&'static Definition>) -> Self {
        let none = ServerSpan(None);
        if span.is_disabled() {
            return none;
        }
        let fields = RequestFields {
            request,
            state: OnceCell::new(),
        };
        let parent =
            global::get_text_map_propagator(|propagator| propagator.extract_with_context(&Context::new(), &fields));
        // No layer of the subscriber exports spans.
        if span.set_parent(parent).is_err() {
            return none;
        }
        name(span, request, route);
        let blindly = SAMPLES_BLINDLY.load(Ordering::Relaxed);
        if !blindly {
            describe(request, route, |attribute| {
                span.set_attribute(attribute.key, attribute.value)
            });
        }
        // The sampling decision is final from here on.
        let context = span.context();
        let exported = context.span();
        if !exported.is_recording() {
            return none;
        }
        if blindly {
            describe(request, route, |attribute| exported.set_attribute(attribute));
        }
        let peer = request.peer_address();
        if !peer.ip().is_unspecified() {
            let address = peer.ip().to_canonical().to_string();
            exported.set_attribute(KeyValue::new("network.peer.address", address));
            exported.set_attribute(KeyValue::new("network.peer.port", i64::from(peer.port())));
        }
        ServerSpan(Some(context))
    }

    /// Ends the span with the response. There is no status if the client disconnected before the response.
    pub(super) fn end(&mut self, status: Option<u16>, body_bytes: u64, complete: bool) {
        let Some(context) = self.0.take() else { return };
        let span = context.span();
        if let Some(status) = status {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
            let bytes = i64::try_from(body_bytes).unwrap_or(i64::MAX);
            span.set_attribute(KeyValue::new("http.response.body.size", bytes));
        }
        let error: Option<Value> = match status {
            None => Some("client_gone".into()),
            Some(status @ 500..) => Some(status.to_string().into()),
            Some(_) if !complete => Some("aborted".into()),
            Some(_) => None,
        };
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error));
            // A description that can be inferred from the status is redundant.
            span.set_status(Status::error(""));
        }
        // End it here rather than with the last `tracing` handle of the span, which a longer task may hold.
        span.end();
    }
}

/// Returns the request's method if it may be part of a name. The method of a route always may.
fn known<'a>(request: &'a Request, route: Option<&'static Definition>) -> Option<&'a str> {
    let sent = request.method().as_str();
    (route.is_some() || METHODS.contains(&sent)).then_some(sent)
}

/// Sets the name and kind of a server span.
fn name(span: &Span, request: &Request, route: Option<&'static Definition>) {
    let method = known(request, route).unwrap_or("HTTP");
    match route {
        Some(route) => {
            let path = route.path;
            span.record("otel.name", tracing::field::display(format_args!("{method} {path}")));
        }
        None => {
            span.record("otel.name", method);
        }
    }
    span.record("otel.kind", "server");
}

/// Passes the attributes of a request that are known before its response to `set`. The span queue is bounded by count, so each
/// client text must be bounded too.
fn describe(request: &Request, route: Option<&'static Definition>, mut set: impl FnMut(KeyValue)) {
    let sent = request.method().as_str();
    match (
        METHODS.into_iter().find(|method| *method == sent),
        known(request, route),
    ) {
        (Some(method), _) => set(KeyValue::new("http.request.method", method)),
        (None, Some(method)) => set(KeyValue::new("http.request.method", method.to_owned())),
        (None, None) => {
            set(KeyValue::new("http.request.method", "_OTHER"));
            set(KeyValue::new("http.request.method_original", logged(sent).into_owned()));
        }
    }
    if let Some(route) = route {
        set(KeyValue::new("http.route", route.path));
    }
    set(KeyValue::new("url.path", logged(request.path()).into_owned()));
    if let Some(query) = request.query() {
        set(KeyValue::new("url.query", logged(&without_secrets(query)).into_owned()));
    }
    if let Some(agent) = request.header("user-agent") {
        let agent = String::from_utf8_lossy(agent);
        set(KeyValue::new("user_agent.original", logged(&agent).into_owned()));
    }
    let version = match request.version() {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    set(KeyValue::new("network.protocol.version", version));
    // The client and its request, as the outermost trusted proxy saw them.
    let client = Client::of(request);
    set(KeyValue::new("url.scheme", client.scheme()));
    if let Some(address) = client.address() {
        set(KeyValue::new("client.address", address.to_string()));
    }
    if let Some(host) = client.host().and_then(|host| host.parse::<Authority>().ok()) {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        set(KeyValue::new("server.address", logged(name).into_owned()));
        let usual = if client.is_secure() { 443 } else { 80 };
        set(KeyValue::new(
            "server.port",
            i64::from(host.port_u16().unwrap_or(usual)),
        ));
    }
}

/// The query with `REDACTED` in place of values that grant access.
fn without_secrets(query: &str) -> Cow<'_, str> {
    let is_secret = |pair: &str| {
        pair.split_once('=')
            .is_some_and(|(name, _)| SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name)))
    };
    if !query.split('&').any(is_secret) {
        return query.into();
    }
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(pair) => Cow::Owned(format!("{name}=REDACTED")),
        _ => Cow::Borrowed(pair),
    });
    pairs.collect::<Vec<_>>().join("&").into()
}

/// The fields of a request, for a propagator.
struct RequestFields<'a> {
    request: &'a Request,
    /// All lines of `tracestate`, joined to one list.
    state: OnceCell<String>,
}

impl Extractor for RequestFields<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => {
                let mut all = self.request.header_all("traceparent");
                let parent = all.next().and_then(|parent| str::from_utf8(parent).ok())?;
                // Two lines are invalid (W3C Trace Context, section 3.2).
                (all.next().is_none() && is_trace_parent(parent)).then_some(parent)
            }
            "tracestate" => {
                let state = self.state.get_or_init(|| {
                    let lines = self.request.header_all(key).map(String::from_utf8_lossy);
                    lines.collect::<Vec<_>>().join(",")
                });
                (1..=STATE_BYTES).contains(&state.len()).then_some(state)
            }
            _ => str::from_utf8(self.request.header(key)?).ok(),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.request.headers().keys().map(http::HeaderName::as_str).collect()
    }
}

/// Returns whether the text has the form `00-{32 digits}-{16 digits}-{2 digits}` with lower-case hexadecimal digits, or that of
/// a later version, which may have a suffix (W3C Trace Context, section 3.2.2). The SDK's propagator also accepts shorter
/// numbers and signs.
fn is_trace_parent(text: &str) -> bool {
    let text = text.as_bytes();
    let Some((form, rest)) = text.split_at_checked(55) else {
        return false;
    };
    let is_formed = form.iter().enumerate().all(|(place, byte)| match place {
        2 | 35 | 52 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    is_formed
        && match &form[..2] {
            b"ff" => false,
            b"00" => rest.is_empty(),
            _ => rest.is_empty() || rest[0] == b'-',
        }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{Link, SpanKind, TraceId, TracerProvider as _};
    use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::observer::AppObserver;
    use crate::server::observer::Observer as _;

    /// Samples nothing, and records the input of its decision.
    #[derive(Clone, Debug, Default)]
    struct Picky(Arc<Mutex<Vec<String>>>);

    impl ShouldSample for Picky {
        fn should_sample(
            &self,
            _: Option<&Context>,
            _: TraceId,
            name: &str,
            kind: &SpanKind,
            attributes: &[KeyValue],
            _: &[Link],
        ) -> SamplingResult {
            let mut seen = self.0.lock().expect("no panic while locked");
            seen.push(format!("{kind:?} {name}"));
            seen.extend(
                attributes
                    .iter()
                    .map(|attribute| format!("{}={}", attribute.key, attribute.value)),
            );
            SamplingResult {
                decision: SamplingDecision::Drop,
                attributes: Vec::new(),
                trace_state: Default::default(),
            }
        }
    }

    #[test]
    fn a_custom_sampler_sees_the_attributes_of_the_request() {
        let picky = Picky::default();
        let provider = SdkTracerProvider::builder().with_sampler(picky.clone()).build();
        let layer = tracing_opentelemetry::OpenTelemetryLayer::new(provider.tracer("a test"));
        let mut request = Request::blank();
        request.set_method(http::Method::PUT);
        request.set_uri(http::Uri::from_static("/healthz?a=b"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!(
                "request",
                otel.name = tracing::field::Empty,
                otel.kind = tracing::field::Empty
            );
            let peer = ([192, 0, 2, 1], 7).into();
            AppObserver::default()
                .new_record()
                .begin(&request, None, peer, &span, false);
        });
        let seen = picky.0.lock().expect("no panic while locked");
        assert_eq!(seen[0], "Server PUT");
        for attribute in [
            "http.request.method=PUT",
            "url.path=/healthz",
            "url.query=a=b",
            "url.scheme=http",
        ] {
            assert!(
                seen.iter().any(|one| one == attribute),
                "{attribute} is not in {seen:?}"
            );
        }
    }

    #[test]
    fn a_malformed_trace_parent_is_ignored() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_trace_parent(parent));
        assert!(is_trace_parent(&parent.replacen("00", "cc", 1)));
        assert!(is_trace_parent(&format!("{}-more", parent.replacen("00", "01", 1))));
        for malformed in [
            "",
            "00",
            "00-1-1-01",
            &parent.to_uppercase(),
            &parent.replacen("00", "ff", 1),
            &parent.replacen("00", "+0", 1),
            &parent.replace('-', "_"),
            &format!("{parent}-more"),
            &format!("{}more", parent.replacen("00", "01", 1)),
            &parent[..54],
            &parent.replace("4bf9", "4bg9"),
        ] {
            assert!(!is_trace_parent(malformed), "{malformed}");
        }
    }

    #[test]
    fn only_values_that_sign_a_query_are_redacted() {
        for (query, expected) in [
            ("q=OpenTelemetry&sig=abc", "q=OpenTelemetry&sig=REDACTED"),
            ("signature=x=y&a=&Signature", "signature=REDACTED&a=&Signature"),
            ("design=x&sig", "design=x&sig"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(query), expected);
        }
    }
}
