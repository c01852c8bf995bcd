//! The observers of an application: the access log, OpenTelemetry spans, the metrics page and the metrics exporter.

pub(crate) mod access_log;
#[cfg_attr(feature = "opentelemetry", path = "server_span.rs")]
#[cfg_attr(not(feature = "opentelemetry"), path = "without_server_span.rs")]
mod server_span;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tracing::Span;

use self::access_log::{AccessLog, Line};
use self::server_span::ServerSpan;
use crate::metrics;
use crate::request::Request;
use crate::response::Response;
use crate::route::Definition;
use crate::server::ServerHandle;
use crate::server::observer::{CLIENT_GONE, Observer, RequestEnd, RequestRecord};

/// The observers that an application has enabled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AppObserver {
    pub(crate) access_log: AccessLog,
    /// The server's metrics are forwarded to the program's recorder of the `metrics` crate.
    pub(crate) records_metrics: bool,
    /// The metrics page is among the routes.
    pub(crate) has_metrics_page: bool,
}

impl Observer for AppObserver {
    fn counts_routes(&self) -> bool {
        self.has_metrics_page || self.records_metrics
    }

    fn wants_requests(&self) -> bool {
        self.access_log != AccessLog::Off && access_log::is_enabled()
    }

    fn new_record(&self) -> Box<dyn RequestRecord> {
        Box::new(AppRecord {
            access_log: self.access_log,
            server_span: ServerSpan::default(),
            line: None,
        })
    }

    fn on_invalid_request(&self, peer: SocketAddr, status: u16, bytes: u64) {
        if self.wants_requests() {
            let end = RequestEnd {
                status: Some(status),
                micros: 0,
                body_bytes: bytes,
                is_complete: true,
                close_code: None,
            };
            Line::refused(peer).write(self.access_log, status, &end);
        }
    }

    fn export(&self, server: ServerHandle) -> Pin<Box<dyn Future<Output = Infallible>>> {
        Box::pin(metrics::forward(server, self.records_metrics))
    }

    fn every_second(&self) {
        #[cfg(feature = "metrics")]
        metrics::recorder::run_upkeep();
    }

    fn flush(&self, limit: Duration) {
        crate::log::flush(limit);
    }
}

struct AppRecord {
    access_log: AccessLog,
    server_span: ServerSpan,
    line: Option<Line>,
}

impl RequestRecord for AppRecord {
    fn begin(
        &mut self,
        request: &Request,
        route: Option<&'static Definition>,
        peer: SocketAddr,
        span: &Span,
        is_wanted: bool,
    ) {
        self.server_span = ServerSpan::begin(span, request, route);
        if is_wanted {
            let line = self.line.get_or_insert_default();
            line.fill(request, route.map(|definition| definition.path), peer);
        }
    }

    fn on_response(&mut self, response: &Response) {
        if let Some(line) = &mut self.line
            && let Some(id) = response.extensions().get()
        {
            line.fill_id(id);
        }
    }

    fn end(&mut self, end: &RequestEnd) {
        self.server_span.end(end.status, end.body_bytes, end.is_complete);
        if let Some(line) = &mut self.line
            && line.is_used()
        {
            let status = end.status.unwrap_or(CLIENT_GONE);
            line.write(self.access_log, status, end);
        }
    }

    fn clear(&mut self) {
        self.server_span = ServerSpan::default();
        if let Some(line) = &mut self.line {
            line.clear();
        }
    }
}
