//! A collector, which accepts spans by OTLP over HTTP and keeps them for the assertions of a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use conduit::prelude::*;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use crate::support::{Running, start};

pub(crate) struct Collector {
    server: Running,
    received: Received,
}

type Received = Arc<Mutex<State>>;

#[derive(Default)]
pub(crate) struct State {
    /// The fields and the content of each request.
    pub(crate) requests: Vec<(HeaderMap, ExportTraceServiceRequest)>,
    /// The number of refused requests before one is accepted.
    pub(crate) refuses: usize,
}

#[post("/v1/traces")]
async fn traces(received: State_, headers: HeaderMap, body: Bytes) -> Result<(), Problem> {
    let mut received = lock(&received);
    if received.refuses > 0 {
        received.refuses -= 1;
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE));
    }
    received
        .requests
        .push((headers, ExportTraceServiceRequest::decode(body)?));
    Ok(())
}

type State_ = conduit::State<Received>;

fn lock(received: &Received) -> MutexGuard<'_, State> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector {
    pub(crate) fn new() -> Self {
        Collector::with(|app| app)
    }

    pub(crate) fn with(
        change: impl FnOnce(App<Received, Routes<Received>>) -> App<Received, Routes<Received>>,
    ) -> Self {
        let received = Received::default();
        let app = change(App::new(Arc::clone(&received)).routes(routes![traces]).workers(1));
        Collector {
            server: start(
                app.listen("127.0.0.1:0")
                    .expect("a port of loopback can be listened on"),
            ),
            received,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.address.port()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.received)
    }

    /// All received spans.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let state = self.state();
        let resources = state.requests.iter().flat_map(|(_, request)| &request.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.iter().cloned()).collect()
    }

    /// The only span with this name.
    pub(crate) fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        let mut found = spans.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no span {name}: {spans:#?}"));
        assert!(found.next().is_none(), "more than one {name}: {spans:#?}");
        span.clone()
    }
}

/// Attributes as text, by their names.
pub(crate) fn attributes(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let all: BTreeMap<_, _> = attributes
        .iter()
        .map(|attribute| (attribute.key.as_str(), text(attribute.value.as_ref())))
        .collect();
    assert_eq!(all.len(), attributes.len(), "each name occurs once: {attributes:#?}");
    all
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("neither a text nor a whole number: {other:?}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
