//! The cases in axum, with the layers of tower-http and tower.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::ServiceExt;
use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::{Extension, Form, FromRef, Json, Multipart, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum_extra::TypedHeader;
use axum_extra::extract::cookie::{Cookie, Key};
use axum_extra::extract::{CookieJar, PrivateCookieJar, SignedCookieJar};
use axum_extra::headers::authorization::{Basic, Bearer};
use axum_extra::headers::{Authorization, Host, UserAgent};
use futures_util::{StreamExt, stream};
use garde::Validate;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use tower::Layer;
use tower::limit::ConcurrencyLimitLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;

use crate::shared::{Checked, Claims, FIELDS, LARGE, Page, Person, SECRET, Tenant};

type Shared = Arc<str>;

#[derive(Clone)]
struct Site {
    text: Shared,
    key: Key,
    verifier: Arc<(DecodingKey, Validation)>,
}

impl FromRef<Site> for Shared {
    fn from_ref(site: &Site) -> Self {
        site.text.clone()
    }
}

impl FromRef<Site> for Key {
    fn from_ref(site: &Site) -> Self {
        site.key.clone()
    }
}

impl FromRef<Site> for Arc<(DecodingKey, Validation)> {
    fn from_ref(site: &Site) -> Self {
        site.verifier.clone()
    }
}

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

async fn header(TypedHeader(agent): TypedHeader<UserAgent>, TypedHeader(host): TypedHeader<Host>) -> &'static str {
    if agent.as_str() == "bench" && host.hostname() == "localhost" {
        "ok"
    } else {
        "no"
    }
}

async fn sign_in_signed(jar: SignedCookieJar) -> (SignedCookieJar, &'static str) {
    (jar.add(Cookie::new("visits", "7")), "ok")
}

async fn signed(jar: SignedCookieJar) -> &'static str {
    match jar.get("visits") {
        Some(cookie) if cookie.value() == "7" => "ok",
        _ => "no",
    }
}

async fn sign_in_private(jar: PrivateCookieJar) -> (PrivateCookieJar, &'static str) {
    (jar.add(Cookie::new("visits", "7")), "ok")
}

async fn private(jar: PrivateCookieJar) -> &'static str {
    match jar.get("visits") {
        Some(cookie) if cookie.value() == "7" => "ok",
        _ => "no",
    }
}

async fn attach(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Tenant(7));
    next.run(request).await
}

async fn extension(Extension(tenant): Extension<Tenant>) -> &'static str {
    if tenant.0 == 7 { "ok" } else { "no" }
}

async fn bearer(TypedHeader(bearer): TypedHeader<Authorization<Bearer>>) -> &'static str {
    if bearer.token() == "0123456789abcdef" {
        "ok"
    } else {
        "no"
    }
}

async fn basic(TypedHeader(basic): TypedHeader<Authorization<Basic>>) -> &'static str {
    if basic.username() == "ada" && basic.password() == "lovelace" {
        "ok"
    } else {
        "no"
    }
}

async fn api_key(headers: HeaderMap) -> &'static str {
    if headers.get("x-api-key").is_some_and(|key| key == "0123456789abcdef") {
        "ok"
    } else {
        "no"
    }
}

async fn jwt(
    State(verifier): State<Arc<(DecodingKey, Validation)>>,
    TypedHeader(bearer): TypedHeader<Authorization<Bearer>>,
) -> &'static str {
    match jsonwebtoken::decode::<Claims>(bearer.token(), &verifier.0, &verifier.1) {
        Ok(token) if token.claims.sub == "ada" => "ok",
        _ => "no",
    }
}

async fn string(body: String) -> &'static str {
    if body.len() == 1024 { "ok" } else { "no" }
}

async fn stream_in(body: Body) -> &'static str {
    let mut body = body.into_data_stream();
    let mut count = 0;
    while let Some(piece) = body.next().await {
        count += piece.map_or(0, |piece| piece.len());
    }
    if count == 1024 { "ok" } else { "no" }
}

async fn stream_out() -> Body {
    Body::from_stream(stream::iter([Ok::<_, Infallible>("piece"); 4]))
}

async fn valid(Json(person): Json<Checked>) -> &'static str {
    let is_valid = person.validate().is_ok();
    let Checked {
        name,
        year,
        tags,
        active,
    } = person;
    if is_valid && (name.len(), year, tags.len(), active) == (12, 1815, 2, true) {
        "ok"
    } else {
        "no"
    }
}

async fn multipart(mut form: Multipart) -> Result<&'static str, MultipartError> {
    let mut is_right = false;
    while let Some(field) = form.next_field().await? {
        is_right = match field.name() {
            Some("name") => field.text().await? == "Ada Lovelace",
            Some("year") => is_right && field.text().await? == "1815",
            _ => false,
        };
    }
    Ok(if is_right { "ok" } else { "no" })
}

async fn empty(request: Request, next: Next) -> Response {
    next.run(request).await
}

/// Ids of 128 random bits in hexadecimal digits, as Conduit's are.
#[derive(Clone, Default)]
struct Random(u128);

impl MakeRequestId for Random {
    fn make_request_id<B>(&mut self, _: &axum::http::Request<B>) -> Option<RequestId> {
        // Cheaper than random bits, so that axum does not pay for a feature that it lacks.
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
    let plain: MethodRouter<Site> = get(nothing);
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
        "header" => get(header),
        "signed" => get(signed),
        "private" => get(private),
        "extension" => get(extension).layer(from_fn(attach)),
        "bearer" => get(bearer),
        "basic" => get(basic),
        "api-key" => get(api_key),
        "jwt" => get(jwt),
        "string" => post(string),
        "stream-in" => post(stream_in),
        "stream-out" => get(stream_out),
        "valid" => post(valid),
        "multipart" | "multipart-form" => post(multipart),
        "gunzip" => post(bytes).layer(RequestDecompressionLayer::new()),
        "rate" => {
            let config = GovernorConfigBuilder::default()
                .per_nanosecond(60_000)
                .burst_size(1_000_000)
                .use_headers()
                .finish()
                .expect("neither is 0");
            plain.layer(GovernorLayer::new(config))
        }
        "tower" => plain.layer(ConcurrencyLimitLayer::new(100)),
        "slash" => plain,
        other => panic!("no case is called {other}"),
    };
    let mut app = axum::Router::new().route(place, route);
    match case {
        "signed" => app = app.route("/sign-in", get(sign_in_signed)),
        "private" => app = app.route("/sign-in", get(sign_in_private)),
        _ => {}
    }
    let app = app.with_state(Site {
        text: Arc::from("state"),
        key: Key::from(SECRET.as_bytes()),
        verifier: Arc::new((
            DecodingKey::from_secret(SECRET.as_bytes()),
            Validation::new(Algorithm::HS256),
        )),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(address).await?;
        match case {
            // The other cases of axum do not need the parts of these two.
            "slash" => {
                let app = NormalizePathLayer::trim_trailing_slash().layer(app);
                axum::serve(listener, ServiceExt::<Request>::into_make_service(app)).await
            }
            "rate" => axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await,
            _ => axum::serve(listener, app).await,
        }
    })
}
