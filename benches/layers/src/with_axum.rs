//! The cases in axum, with the layers of tower-http and tower.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Form, Json, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum_extra::extract::CookieJar;
use tower::limit::ConcurrencyLimitLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::shared::{FIELDS, LARGE, Page, Person};

type Shared = Arc<str>;

async fn nothing() -> &'static str {
    "ok"
}

async fn path(Path(id): Path<u64>) -> &'static str {
    if id == 42 { "ok" } else { "no" }
}

async fn paths(Path((id, item)): Path<(u64, String)>) -> &'static str {
    if id == 42 && item == "lamp" { "ok" } else { "no" }
}

async fn query(Query(query): Query<Page>) -> &'static str {
    if query.page == 3 && query.size == 20 && query.sort == "name" {
        "ok"
    } else {
        "no"
    }
}

async fn state(State(state): State<Shared>) -> &'static str {
    if &*state == "state" { "ok" } else { "no" }
}

async fn headers(headers: HeaderMap) -> &'static str {
    if headers.get("x-client").is_some_and(|client| client == "seven") {
        "ok"
    } else {
        "no"
    }
}

async fn cookies(jar: CookieJar) -> &'static str {
    if jar.get("visits").is_some_and(|cookie| cookie.value() == "7") {
        "ok"
    } else {
        "no"
    }
}

async fn bytes(body: Bytes) -> &'static str {
    if body.len() == 1024 { "ok" } else { "no" }
}

async fn json(person: Json<Person>) -> Json<Person> {
    person
}

async fn form(Form(person): Form<Person>) -> &'static str {
    if person.year == 1815 { "ok" } else { "no" }
}

async fn large() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], LARGE.as_str()).into_response()
}

async fn empty(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Ids of 128 random bits in hexadecimal digits, as Conduit's are.
#[derive(Clone, Default)]
struct Random(u128);

impl MakeRequestId for Random {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        // Cheaper than random: axum is not to pay for what it does not have.
        self.0 = self
            .0
            .wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645)
            .wrapping_add(1);
        HeaderValue::try_from(format!("{:032x}", self.0))
            .ok()
            .map(RequestId::new)
    }
}

pub(crate) fn serve(case: &str, address: &str) -> std::io::Result<()> {
    let plain: MethodRouter<Shared> = get(nothing);
    let id = HeaderName::from_static("x-request-id");
    let mut place = "/x";
    let route = match case {
        "nothing" => plain,
        "path" => {
            place = "/x/{id}";
            get(path)
        }
        "paths" => {
            place = "/x/{id}/items/{item}";
            get(paths)
        }
        "query" => get(query),
        "state" => get(state),
        "headers" => get(headers),
        "cookies" => get(cookies),
        "bytes" => post(bytes),
        "json" => post(json),
        "form" => post(form),
        "function" => plain.layer(from_fn(empty)),
        "cors" => plain.layer(CorsLayer::new().allow_origin(HeaderValue::from_static("https://app.example.com"))),
        "request-id" => plain
            .layer::<_, Infallible>(PropagateRequestIdLayer::new(id.clone()))
            .layer(SetRequestIdLayer::new(id, Random::default())),
        "timeout" => plain.layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            Duration::from_secs(5),
        )),
        "concurrency" => plain.layer(ConcurrencyLimitLayer::new(100)),
        "limit" => post(bytes).layer(RequestBodyLimitLayer::new(4096)),
        "security" => FIELDS.into_iter().fold(plain, |route, (name, value)| {
            route.layer(SetResponseHeaderLayer::if_not_present(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            ))
        }),
        "gzip" => get(large).layer(CompressionLayer::new()),
        "trace" => plain.layer(TraceLayer::new_for_http()),
        other => panic!("no case is called {other}"),
    };
    let app = axum::Router::new().route(place, route).with_state(Arc::from("state"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move { axum::serve(tokio::net::TcpListener::bind(address).await?, app).await })
}
