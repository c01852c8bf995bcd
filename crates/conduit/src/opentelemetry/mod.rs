//! Requests as [OpenTelemetry](https://opentelemetry.io) spans, exported to a collector with OTLP over HTTP.
//!
//! Each request has a span of the kind `server`, named by method and route, with the attributes of the
//! [semantic conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/http-spans/). Its parent is the span in the
//! request's `traceparent` and `tracestate` ([W3C Trace Context](https://www.w3.org/TR/trace-context/)); malformed fields are
//! ignored. The `tracing` spans of a handler are its children, and the handler's log events are its events.
//!
//! The environment variables that OpenTelemetry defines for all languages configure the export; `docs/watching.md` of the repository
//! lists them.
//!
//! # Guarantees
//!
//! A request never waits for the collector. Ended spans enter a queue of fixed length (`OTEL_BSP_MAX_QUEUE_SIZE`, 2048), and a
//! separate thread exports them. A span is lost if the queue is full, or if the export of its batch fails; the log has the number of
//! lost spans and the failure of the collector. Each attribute has at most 1 KiB of client input. Dropping the program's
//! [`OpenTelemetry`] exports the remaining spans and waits at most 5 s.
//!
//! # Example
//!
//! A program that exports its spans to the collector at `OTEL_EXPORTER_OTLP_ENDPOINT`, and logs to standard error:
//!
//! ```no_run
//! use conduit::prelude::*;
//!
//! #[get("/")]
//! fn home() -> &'static str {
//!     "home"
//! }
//!
//! fn main() -> conduit::Result {
//!     let _spans_are_sent_until_here = conduit::opentelemetry::init()?;
//!     App::new(()).routes(routes![home]).run()
//! }
//! ```

mod client;
mod processor;
mod settings;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::Injector;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, InstrumentationScope, Key, global};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::client::OtlpClient;
use self::processor::Processor;
use self::settings::Settings;
use crate::error::{Error, Result};

/// Set if no sampler of the process reads attributes, as with every sampler that a variable can select. Then only sampled spans
/// get attributes, and other requests cost less. Another layer of a subscriber may have a sampler that reads them.
pub(crate) static SAMPLES_BLINDLY: AtomicBool = AtomicBool::new(false);

/// The time to wait for the last export at the end of the program.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// The variable that selects the logged events.
const LOG: &str = "RUST_LOG";

/// Starts the export, and logs the events that `RUST_LOG` selects to standard error, by default from the level `INFO` up. For
/// programs without another `tracing` subscriber; others use [`OpenTelemetry::from_env`].
///
/// `RUST_LOG` is a level, or a list such as `info,sqlx=warn`. It does not affect the export: spans and their events are
/// exported from `INFO` up.
///
/// # Errors
///
/// Returns an error if a variable has an invalid value, which the error names, or if the process already has a subscriber.
pub fn init() -> Result<OpenTelemetry> {
    let shown = match std::env::var_os(LOG).filter(|value| !value.is_empty()) {
        None => Targets::new().with_default(LevelFilter::INFO),
        Some(value) => match value.to_str().and_then(|text| text.parse().ok()) {
            Some(shown) => shown,
            None => {
                let expected = "a level such as info, or a list such as info,sqlx=warn";
                return Err(Error::variable(LOG, value.to_string_lossy(), expected));
            }
        },
    };
    let sending = OpenTelemetry::from_env()?;
    // No escape sequences for colours, even if another crate enables them: a log file would contain them literally.
    let log = tracing_subscriber::fmt::layer()
        .with_writer(crate::log::stderr)
        .with_ansi(
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        );
    tracing_subscriber::registry()
        .with(log.with_filter(shown))
        .with(sending.layer())
        .try_init()
        .map_err(|_| {
            std::io::Error::other(
                "the process has a subscriber of tracing already: add the layer of \
                 conduit::opentelemetry::OpenTelemetry::from_env() to it, in place of conduit::opentelemetry::init()",
            )
        })?;
    Ok(sending)
}

/// Writes the context of the current span, which is the request's or one inside it, to the fields of an outgoing request:
/// `traceparent` and, if present, `tracestate`. Writes nothing if spans are disabled.
///
/// `hyper`, `reqwest` and `ureq` use [`HeaderMap`] for request fields. A spawned task has no current span unless it is
/// instrumented, for example with `tracing::Instrument::in_current_span`.
///
/// # Example
///
/// A handler that calls another service:
///
/// ```
/// use conduit::prelude::*;
///
/// #[get("/orders/{id}")]
/// async fn order(id: Path<u64>) -> Result<String, Problem> {
///     let mut request = http::Request::get(format!("http://stock.internal/orders/{id}")).body(())?;
///     conduit::opentelemetry::inject(request.headers_mut());
///     # async fn send(_: http::Request<()>) -> Result<String, Problem> { Ok(String::new()) }
///     send(request).await
/// }
/// ```
pub fn inject(headers: &mut HeaderMap) {
    let mut context = Span::current().context();
    if !context.has_active_span() {
        // The context of a span created without `tracing`, or none.
        context = Context::current();
    }
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut HeaderInjector(headers)));
}

/// The fields of an outgoing request.
struct HeaderInjector<'a>(&'a mut HeaderMap);

impl Injector for HeaderInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        // An empty `tracestate` has no entry.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

/// Exports spans to a collector; exports the remaining ones when dropped.
///
/// Keep it in `main` until the server has ended, in a named variable: `let _ = …` drops it at once. No spans are created after
/// it is dropped.
///
/// # Example
///
/// A subscriber that writes JSON and exports spans:
///
/// ```no_run
/// use conduit::opentelemetry::OpenTelemetry;
/// use conduit::prelude::*;
/// use tracing_subscriber::prelude::*;
///
/// #[get("/")]
/// fn home() -> &'static str {
///     "home"
/// }
///
/// fn main() -> conduit::Result {
///     let sending = OpenTelemetry::from_env()?;
///     tracing_subscriber::registry()
///         .with(tracing_subscriber::fmt::layer().json())
///         .with(sending.layer())
///         .init();
///     App::new(()).routes(routes![home]).run()
/// }
/// ```
#[must_use = "dropping it ends the export of spans: keep it until the server has ended"]
#[derive(Debug)]
pub struct OpenTelemetry {
    /// `None` if the environment disables the export.
    provider: Option<SdkTracerProvider>,
    /// The spans of failed exports since the last report.
    lost_spans: Arc<AtomicU64>,
}

impl OpenTelemetry {
    /// Configures the export from the environment, and starts its thread. The [`layer`](OpenTelemetry::layer) turns requests
    /// into spans.
    ///
    /// Sets the tracer and the propagator of the process (`opentelemetry::global`), so that libraries that use the
    /// `opentelemetry` crate directly export their spans the same way.
    ///
    /// # Errors
    ///
    /// Returns an error if a variable has an invalid value. The collector need not be reachable yet.
    pub fn from_env() -> Result<Self> {
        let settings = Settings::new(|name| std::env::var_os(name))?;
        let lost_spans = Arc::<AtomicU64>::default();
        if !settings.sends {
            let provider = None;
            return Ok(OpenTelemetry { provider, lost_spans });
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OtlpClient::new(&settings, Arc::clone(&lost_spans))?)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Processor::new(exporter, Arc::clone(&lost_spans)))
            .with_resource(resource(std::env::args_os().next()))
            .build();
        SAMPLES_BLINDLY.store(true, Ordering::Relaxed);
        global::set_tracer_provider(provider.clone());
        if settings.propagates {
            global::set_text_map_propagator(TraceContextPropagator::new());
        }
        Ok(OpenTelemetry {
            provider: Some(provider),
            lost_spans,
        })
    }

    /// Returns the layer for a `tracing` subscriber. It exports spans and their events from the level `INFO` up. With
    /// `OTEL_SDK_DISABLED=true` or `OTEL_TRACES_EXPORTER=none` it does nothing, and creates no spans.
    ///
    /// A filter of the whole subscriber, such as a global `EnvFilter`, applies to it too: `RUST_LOG=warn` would disable all
    /// spans. Attach the filter to the layer that writes the log (`with_filter`).
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        self.layer_from(LevelFilter::INFO)
    }

    /// Like [`layer`](OpenTelemetry::layer), with another minimum level.
    pub fn layer_from<S>(&self, level: LevelFilter) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        self.provider.as_ref().map(|provider| {
            let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION"));
            OpenTelemetryLayer::new(provider.tracer_with_scope(scope.build()))
                // The worker of a span is not informative, and its idle times cost a clock read for each poll.
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_filter(level)
        })
    }

    /// Exports all ended spans, and waits for at most 5 s: for a program that is about to be frozen or killed. It blocks: in a
    /// handler, call it with `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// Returns an error if the collector did not accept the spans in that time.
    pub fn flush(&self) -> Result {
        match &self.provider {
            Some(provider) => Ok(provider.force_flush()?),
            None => Ok(()),
        }
    }
}

impl Drop for OpenTelemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown_with_timeout(LAST_WAIT)
        {
            tracing::warn!(%error, "cannot export the remaining spans");
        }
        let lost_spans = self.lost_spans.swap(0, Ordering::Relaxed);
        if lost_spans > 0 {
            tracing::warn!(lost_spans, "spans of failed exports are lost");
        }
    }
}

/// The resource of the spans: from the variables; the default service name is the program's file name.
fn resource(program: Option<OsString>) -> Resource {
    let resource = Resource::builder().build();
    let named = resource.get(&Key::from_static_str("service.name"));
    let program = program.as_deref().map(Path::new).and_then(Path::file_name);
    match program {
        Some(program) if named.is_none_or(|name| name.as_str().starts_with("unknown_service")) => {
            let name = program.to_string_lossy().into_owned();
            Resource::builder().with_service_name(name).build()
        }
        _ => resource,
    }
}
