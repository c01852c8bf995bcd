//! The cases in Conduit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use conduit::cookie::Cookie;
use conduit::extract::{
    CookieKey, Cookies, Extension, Header, Multipart, MultipartForm, PrivateCookies, SignedCookies, Valid,
};
use conduit::layer::{
    BodyLimit, Compression, ConcurrencyLimit, Conditional, Cors, Decompression, Idempotency, MethodOverride, RateLimit,
    RequestIds, SecurityHeaders, Timeout, TrailingSlash,
};
use conduit::prelude::*;
use conduit::{ApiKey, Basic, Bearer, Jwt, JwtVerifier, Key, KeyPlace};
use futures_util::{StreamExt, stream};

use crate::shared::{Checked, Claims, LARGE, Page, Person, SECRET, Tenant};

#[derive(Clone, FromRef)]
struct Site {
    text: Arc<str>,
    key: CookieKey,
    verifier: JwtVerifier,
}

#[get("/x")]
async fn nothing() -> &'static str {
    "ok"
}

#[get("/x/{id}")]
async fn path(id: Path<u64>) -> &'static str {
    if *id == 42 { "ok" } else { "no" }
}

#[get("/x/{id}/items/{item}")]
async fn paths(id: Path<u64>, item: Path<String>) -> &'static str {
    if *id == 42 && *item == "lamp" { "ok" } else { "no" }
}

#[get("/x")]
async fn query(query: Query<Page>) -> &'static str {
    if query.page == 3 && query.size == 20 && query.sort == "name" {
        "ok"
    } else {
        "no"
    }
}

#[get("/x")]
async fn state(state: State<Arc<str>>) -> &'static str {
    if &**state == "state" { "ok" } else { "no" }
}

#[get("/x")]
async fn headers(headers: HeaderMap) -> &'static str {
    if headers.get("x-client").is_some_and(|client| client == "seven") {
        "ok"
    } else {
        "no"
    }
}

#[get("/x")]
async fn cookies(cookies: Cookies) -> &'static str {
    if cookies.value("visits") == Some("7") {
        "ok"
    } else {
        "no"
    }
}

#[post("/x")]
async fn bytes(body: Bytes) -> &'static str {
    if body.len() == 1024 { "ok" } else { "no" }
}

#[post("/x")]
async fn json(person: Json<Person>) -> Json<Person> {
    person
}

#[post("/x")]
async fn form(person: Form<Person>) -> &'static str {
    if person.year == 1815 { "ok" } else { "no" }
}

#[get("/x")]
async fn large() -> Response {
    ([("content-type", "application/json")], LARGE.as_str()).into_response()
}

#[derive(serde::Deserialize, JsonSchema)]
struct Call {
    user_agent: String,
    host: String,
}

#[get("/x")]
async fn header(call: Header<Call>) -> &'static str {
    if call.user_agent == "bench" && call.host == "localhost" {
        "ok"
    } else {
        "no"
    }
}

#[get("/sign-in")]
async fn sign_in_signed(mut cookies: SignedCookies) -> (SignedCookies, &'static str) {
    cookies.add(Cookie::new("visits", "7"));
    (cookies, "ok")
}

#[get("/x")]
async fn signed(cookies: SignedCookies) -> &'static str {
    match cookies.get("visits") {
        Some(cookie) if cookie.value() == "7" => "ok",
        _ => "no",
    }
}

#[get("/sign-in")]
async fn sign_in_private(mut cookies: PrivateCookies) -> (PrivateCookies, &'static str) {
    cookies.add(Cookie::new("visits", "7"));
    (cookies, "ok")
}

#[get("/x")]
async fn private(cookies: PrivateCookies) -> &'static str {
    match cookies.get("visits") {
        Some(cookie) if cookie.value() == "7" => "ok",
        _ => "no",
    }
}

async fn attach(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Tenant(7));
    next.run(request).await
}

#[get("/x")]
async fn extension(tenant: Extension<Tenant>) -> &'static str {
    if tenant.0.0 == 7 { "ok" } else { "no" }
}

#[get("/x")]
async fn bearer(bearer: Bearer) -> &'static str {
    if bearer.token.is("0123456789abcdef") {
        "ok"
    } else {
        "no"
    }
}

#[get("/x")]
async fn basic(basic: Basic) -> &'static str {
    if basic.user == "ada" && basic.password.is("lovelace") {
        "ok"
    } else {
        "no"
    }
}

struct InHead;

impl Key for InHead {
    const PLACE: KeyPlace = KeyPlace::Header("x-api-key");
}

#[get("/x")]
async fn api_key(key: ApiKey<InHead>) -> &'static str {
    if key.key.is("0123456789abcdef") { "ok" } else { "no" }
}

#[get("/x")]
async fn jwt(claims: Jwt<Claims>) -> &'static str {
    if claims.sub == "ada" { "ok" } else { "no" }
}

#[post("/x")]
async fn string(body: String) -> &'static str {
    if body.len() == 1024 { "ok" } else { "no" }
}

#[post("/x")]
async fn stream_in(mut body: Body) -> &'static str {
    let mut count = 0;
    while let Some(piece) = body.next().await {
        count += piece.map_or(0, |piece| piece.len());
    }
    if count == 1024 { "ok" } else { "no" }
}

#[get("/x")]
async fn stream_out() -> Body {
    Body::from_stream(stream::iter([Ok::<_, Infallible>("piece"); 4]))
}

#[post("/x")]
async fn valid(person: Valid<Json<Checked>>) -> &'static str {
    let Checked {
        name,
        year,
        tags,
        active,
    } = &**person;
    if (name.len(), *year, tags.len(), *active) == (12, 1815, 2, true) {
        "ok"
    } else {
        "no"
    }
}

#[post("/x")]
async fn multipart(mut form: Multipart) -> Result<&'static str, Problem> {
    let mut is_right = false;
    while let Some(mut field) = form.next_field().await? {
        is_right = match field.name() {
            "name" => field.text().await? == "Ada Lovelace",
            "year" => is_right && field.text().await? == "1815",
            _ => false,
        };
    }
    Ok(if is_right { "ok" } else { "no" })
}

#[derive(serde::Deserialize, JsonSchema)]
struct Born {
    name: String,
    year: u32,
}

#[post("/x")]
async fn multipart_form(form: MultipartForm<Born>) -> &'static str {
    if form.0.name == "Ada Lovelace" && form.0.year == 1815 {
        "ok"
    } else {
        "no"
    }
}

#[put("/x")]
async fn put_bytes(body: Bytes) -> &'static str {
    if body.len() == 1024 { "ok" } else { "no" }
}

async fn empty(request: Request, next: Next) -> Response {
    next.run(request).await
}

pub(crate) fn serve(case: &str, address: &str) -> conduit::Result {
    let app = App::new(Site {
        text: Arc::from("state"),
        key: CookieKey::from_secret(SECRET)?,
        verifier: JwtVerifier::hs256(SECRET.as_bytes())?,
    });
    let app = match case {
        "nothing" | "trace" => app.routes(routes![nothing]),
        "path" => app.routes(routes![path]),
        "paths" => app.routes(routes![paths]),
        "query" => app.routes(routes![query]),
        "state" => app.routes(routes![state]),
        "headers" => app.routes(routes![headers]),
        "cookies" => app.routes(routes![cookies]),
        "bytes" => app.routes(routes![bytes]),
        "json" => app.routes(routes![json]),
        "form" => app.routes(routes![form]),
        "function" => app.routes(routes![
            #[layer(empty)]
            nothing
        ]),
        "cors" => app
            .routes(routes![nothing])
            .layer(Cors::new().allow_origin("https://app.example.com")),
        "request-id" => app.routes(routes![
            #[layer(RequestIds::new())]
            nothing
        ]),
        "timeout" => app.routes(routes![
            #[layer(Timeout::new(Duration::from_secs(5)))]
            nothing
        ]),
        "concurrency" => app.routes(routes![
            #[layer(ConcurrencyLimit::new(100))]
            nothing
        ]),
        "limit" => app.routes(routes![
            #[layer(BodyLimit::new(4096))]
            bytes
        ]),
        "security" => app.routes(routes![
            #[layer(SecurityHeaders::new())]
            nothing
        ]),
        "gzip" => app.routes(routes![
            #[layer(Compression::new())]
            large
        ]),
        "header" => app.routes(routes![header]),
        "signed" => app.routes(routes![signed, sign_in_signed]),
        "private" => app.routes(routes![private, sign_in_private]),
        "extension" => app.routes(routes![
            #[layer(attach)]
            extension
        ]),
        "bearer" => app.routes(routes![bearer]),
        "basic" => app.routes(routes![basic]),
        "api-key" => app.routes(routes![api_key]),
        "jwt" => app.routes(routes![jwt]),
        "string" => app.routes(routes![string]),
        "stream-in" => app.routes(routes![stream_in]),
        "stream-out" => app.routes(routes![stream_out]),
        "valid" => app.routes(routes![valid]),
        "multipart" => app.routes(routes![multipart]),
        "multipart-form" => app.routes(routes![multipart_form]),
        "gunzip" => app.routes(routes![
            #[layer(Decompression::new())]
            bytes
        ]),
        "rate" => app.routes(routes![
            #[layer(RateLimit::new(1_000_000, Duration::from_secs(60)))]
            nothing
        ]),
        "slash" => app.routes(routes![nothing]).layer(TrailingSlash::ignore()),
        "tower" => app.routes(routes![
            #[layer(conduit::tower::layer(tower::limit::ConcurrencyLimitLayer::new(100)))]
            nothing
        ]),
        "conditional" => app.routes(routes![
            #[layer(Conditional::new())]
            large
        ]),
        "idempotency" => app.routes(routes![
            #[layer(Idempotency::new())]
            bytes
        ]),
        "override" => app.routes(routes![put_bytes]).layer(MethodOverride::new()),
        other => panic!("no case is called {other}"),
    };
    app.workers(1).listen(address)?.run()
}
