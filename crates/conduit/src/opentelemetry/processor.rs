//! The processor of ended spans: a queue of fixed length, from which a thread exports them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, Value};
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

use crate::server::watch::REQUEST_TARGET;

/// Log fields that duplicate standard attributes of a request. The source location would be the server's.
const DUPLICATE_ATTRIBUTES: [&str; 11] = [
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
    /// Adds the spans of failed exports to `lost_spans`.
    pub(super) fn new(exporter: OtlpExporter, lost_spans: Arc<AtomicU64>) -> Self {
        let exporter = CountingExporter { exporter, lost_spans };
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
                .retain(|attribute| !DUPLICATE_ATTRIBUTES.contains(&attribute.key.as_str()));
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

/// An exporter that counts the spans of failed exports, which the queue no longer has.
#[derive(Debug)]
struct CountingExporter {
    exporter: OtlpExporter,
    lost_spans: Arc<AtomicU64>,
}

impl SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        if result.is_err() {
            self.lost_spans.fetch_add(count, Ordering::Relaxed);
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
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
