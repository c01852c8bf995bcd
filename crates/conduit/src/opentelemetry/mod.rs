//! Requests as spans of [OpenTelemetry](https://opentelemetry.io), sent to a collector by OTLP over HTTP.
//!
//! The span of each request becomes a span of the kind `server`, named by method and route, with the attributes of the
//! [semantic conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/http-spans/). Its parent is the span
//! in the request's `traceparent` and `tracestate` ([W3C Trace Context](https://www.w3.org/TR/trace-context/)); one that is
//! malformed is no parent. Spans of `tracing` that a handler makes are its children, and what a handler logs are its events.
//!
//! Everything is set by the environment variables that OpenTelemetry has for all languages;
//! [the guide](https://github.com/conduit-rs/conduit/blob/main/docs/watching.md#opentelemetry) lists them.
//!
//! # Guarantees
//!
//! A request never waits for the collector. Ended spans enter a queue of fixed length
//! (`OTEL_BSP_MAX_QUEUE_SIZE`, 2048), and a separate thread exports them. A span that finds the queue full is dropped and
//! logged, as is an unreachable collector. Client input is truncated to 1 KiB in each attribute.
//! Dropping the program's [`OpenTelemetry`] exports the remaining spans and waits at most 5 s.
//!
//! # Example
//!
//! A program that sends its spans to the collector at `OTEL_EXPORTER_OTLP_ENDPOINT`, and logs to standard error:
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
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Set if no sampler of the process reads attributes, as with every sampler that a variable can select: then only sampled
/// spans have attributes, and other requests cost less. A subscriber with another layer may have
/// a sampler that reads them.
pub(crate) static SAMPLES_BLINDLY: AtomicBool = AtomicBool::new(false);

/// The time that the end of the program waits for the last export.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// The variable that selects the logged events.
const LOG: &str = "RUST_LOG";

/// Sends spans from now on, and logs the events that `RUST_LOG` selects to standard error, by default from the level `INFO` on.
/// One call for programs without another subscriber of `tracing`; others take [`OpenTelemetry::from_env`].
///
/// `RUST_LOG` is a level, or a list such as `info,sqlx=warn`. It does not affect the export: spans, and the
/// events inside of them, are sent from `INFO` on.
///
/// # Errors
///
/// When a variable has a value that cannot be used, which the error names, or when the process has a subscriber already.
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
    // Colours, which another crate may have switched on, are for people: a file would have them as they are written.
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

/// Writes the context of the current span, which is the request's or one inside of it, into the fields of a request that is
/// about to be sent elsewhere: `traceparent` and, if there is one, `tracestate`. Where no spans are made nothing is written.
///
/// [`HeaderMap`] is what `hyper`, `reqwest` and `ureq` have as fields of requests. A task that was spawned has no current span
/// unless it was given one, by `tracing::Instrument::in_current_span`.
///
/// # Example
///
/// A handler that asks another service:
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
        // That of a span which was made without `tracing`, or none.
        context = Context::current();
    }
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut Fields(headers)));
}

/// The fields of a request that is about to be sent.
struct Fields<'a>(&'a mut HeaderMap);

impl Injector for Fields<'_> {
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

/// Sends spans to a collector while it is held, and the remaining ones when it is dropped.
///
/// Keep it in `main` until the server has ended, in a variable with a name: `let _ = …` drops it at once. After that no
/// more spans are made.
///
/// # Example
///
/// A subscriber that writes JSON, and sends spans:
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
#[must_use = "no span is sent any more once it is dropped: keep it until the server has ended"]
#[derive(Debug)]
pub struct OpenTelemetry {
    /// Nothing if the environment has switched it off.
    provider: Option<SdkTracerProvider>,
}

impl OpenTelemetry {
    /// Configures the export from the environment, and starts its thread. The [`layer`](OpenTelemetry::layer) turns requests
    /// into spans.
    ///
    /// Sets the tracer and the propagator of the process (`opentelemetry::global`), so that libraries which use the
    /// `opentelemetry` crate itself send by the same way.
    ///
    /// # Errors
    ///
    /// When a variable has a value that cannot be used. The collector is not asked for: it may come later.
    pub fn from_env() -> Result<Self> {
        let settings = Settings::new(|name| std::env::var_os(name))?;
        if !settings.sends {
            return Ok(OpenTelemetry { provider: None });
        }
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OtlpClient::new(&settings)?)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Processor::new(exporter))
            .with_resource(resource(std::env::args_os().next()))
            .build();
        SAMPLES_BLINDLY.store(true, Ordering::Relaxed);
        global::set_tracer_provider(provider.clone());
        if settings.propagates {
            global::set_text_map_propagator(TraceContextPropagator::new());
        }
        Ok(OpenTelemetry {
            provider: Some(provider),
        })
    }

    /// The layer for a subscriber of `tracing`: it sends spans, and the events inside of them, from the level `INFO` on. With
    /// `OTEL_SDK_DISABLED=true` or `OTEL_TRACES_EXPORTER=none` it does nothing, and no span is made for it.
    ///
    /// A filter of the whole subscriber, such as a global `EnvFilter`, applies to it too: `RUST_LOG=warn` would disable
    /// all spans. Attach the filter to the layer that writes the log (`with_filter`).
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        self.layer_from(LevelFilter::INFO)
    }

    /// As [`layer`](OpenTelemetry::layer), from another level on.
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

    /// Sends what has ended, and waits for it, for at most 5 s: for a program that is about to be frozen or ended by others.
    /// It blocks: a handler calls it by `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// When the collector did not take it in that time.
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
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// The resource of the spans: from the variables, with the program's file name as the default service name.
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
