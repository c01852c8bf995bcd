//! The processor of ended spans: a queue of fixed length, from which a thread exports them.

use std::time::Duration;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, Value};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};

use crate::server::watch::REQUEST_TARGET;

/// Log fields that duplicate standard attributes of a request. The source location would be the server's.
const SAID_TWICE: [&str; 11] = [
    "bytes",
    "code.file.path",
    "code.line.number",
    "code.module.name",
    "duration_us",
    "method",
    "path",
    "peer",
    "route",
    "status",
    "target",
];

/// The queue of ended spans. Duplicate attributes are removed from the spans of requests before they enter it.
#[derive(Debug)]
pub(super) struct Processor(BatchSpanProcessor);

impl Processor {
    pub(super) fn new(exporter: SpanExporter) -> Self {
        Processor(BatchSpanProcessor::builder(exporter).build())
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, mut span: SpanData) {
        if is_request(&span) {
            span.attributes
                .retain(|attribute| !SAID_TWICE.contains(&attribute.key.as_str()));
        }
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}

/// Returns whether this is the server's span of a request.
fn is_request(span: &SpanData) -> bool {
    span.span_kind == SpanKind::Server
        && span.attributes.iter().any(|attribute| {
            attribute.key.as_str() == "target"
                && matches!(&attribute.value, Value::String(target) if target.as_str() == REQUEST_TARGET)
        })
}
