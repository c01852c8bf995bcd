//! The HTTP client for the collector: `ureq`, on the exporting thread, which may block.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::{Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError, ResponseBodyTooLarge};
use ureq::Agent;

use super::settings::Settings;
use crate::error::Result;

#[cfg_attr(feature = "tls", path = "client_tls.rs")]
#[cfg_attr(not(feature = "tls"), path = "client_without_tls.rs")]
mod tls;

/// The maximum size of the collector's response: a few bytes, or an error.
const ANSWER_BYTES: u64 = 4 << 20;

/// A client that logs when the collector becomes unreachable and when it is reachable again.
pub(super) struct OtlpClient {
    agent: Agent,
    is_failing: AtomicBool,
    /// The spans of failed exports since the last report.
    lost_spans: Arc<AtomicU64>,
}

impl OtlpClient {
    pub(super) fn new(settings: &Settings, lost_spans: Arc<AtomicU64>) -> Result<Self> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // The log reports the status of a redirect.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(settings.timeout));
        if settings.is_local {
            // The client otherwise reads the proxy from the environment, and its list of exceptions may omit this machine.
            config = config.proxy(None);
        }
        Ok(OtlpClient {
            agent: tls::configure(config, |name| std::env::var_os(name))?
                .build()
                .new_agent(),
            is_failing: AtomicBool::new(false),
            lost_spans,
        })
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let endpoint = head.uri.clone();
        let sent = self.agent.run(Request::from_parts(head, &body[..]));
        match &sent {
            Ok(response) if response.status().is_success() => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    let lost_spans = self.lost_spans.swap(0, Ordering::Relaxed);
                    tracing::info!(%endpoint, lost_spans, "the collector accepts spans again");
                }
            }
            Ok(response) => self.report_loss(&endpoint, &response.status()),
            Err(error) => self.report_loss(&endpoint, error),
        }
        let (head, mut body) = sent?.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES).read_to_vec();
        let body = body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(_) => HttpError::from(ResponseBodyTooLarge::new()),
            error => error.into(),
        })?;
        Ok(Response::from_parts(head, body.into()))
    }

    /// Logs once until the collector is reachable again.
    fn report_loss(&self, endpoint: &http::Uri, reason: &dyn fmt::Display) {
        if !self.is_failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%endpoint, %reason, "the collector does not accept spans; the spans of failed exports are lost");
        }
    }
}

impl HttpClient for OtlpClient {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        // The exporting thread polls it.
        Box::pin(async { self.send(request) })
    }
}

impl fmt::Debug for OtlpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpClient").finish_non_exhaustive()
    }
}
