//! Requests of pages of other origins, to handlers with and without credentials that browsers attach automatically.

use conduit::extract::{CookieKey, Cookies, SignedCookies};
use conduit::layer::Cors;
use conduit::prelude::*;
use conduit::testing::{TestClient, TestRequest};
use conduit::{ApiKey, Auth, Authenticate, Basic, Bearer, Key, KeyPlace};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Clone, FromRef)]
struct KeySite {
    key: CookieKey,
    changes: Arc<AtomicU32>,
}

struct InCookie;

impl Key for InCookie {
    const PLACE: KeyPlace = KeyPlace::Cookie("key");
}

struct InHeader;

impl Key for InHeader {
    const PLACE: KeyPlace = KeyPlace::Header("x-key");
}

struct KeyHolder;

impl<S> Authenticate<S> for KeyHolder {
    type Credentials = ApiKey<InCookie>;

    async fn authenticate(_: ApiKey<InCookie>, _: &S) -> Result<KeyHolder, Problem> {
        Ok(KeyHolder)
    }
}

type Changes = State<Arc<AtomicU32>>;

fn count(changes: &Changes) -> StatusCode {
    changes.fetch_add(1, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

#[post("/cookies")]
async fn cookies(_: Cookies, changes: Changes) -> StatusCode {
    count(&changes)
}

#[get("/cookies")]
async fn read(_: Cookies) -> StatusCode {
    StatusCode::NO_CONTENT
}

#[delete("/signed")]
async fn signed(_: Option<SignedCookies>, changes: Changes) -> StatusCode {
    count(&changes)
}

#[derive(serde::Deserialize, JsonSchema)]
struct Values {
    #[serde(rename = "a")]
    _a: Option<String>,
}

#[put("/values")]
async fn values(_: Result<CookieValues<Values>, Problem>, changes: Changes) -> StatusCode {
    count(&changes)
}

#[post("/guarded")]
async fn guarded(_: Option<Auth<KeyHolder>>, changes: Changes) -> StatusCode {
    count(&changes)
}

#[post("/basic")]
async fn basic(_: Option<Basic>, changes: Changes) -> StatusCode {
    count(&changes)
}

#[post("/layered")]
async fn layered(changes: Changes) -> StatusCode {
    count(&changes)
}

#[post("/tokens")]
async fn tokens(_: Option<Bearer>, _: Option<ApiKey<InHeader>>, changes: Changes) -> StatusCode {
    count(&changes)
}

#[post("/plain")]
async fn plain(changes: Changes) -> StatusCode {
    count(&changes)
}

#[post("/hook", cross_origin)]
async fn hook(_: Cookies, changes: Changes) -> StatusCode {
    count(&changes)
}

async fn with_cookies(_: Cookies, changes: Changes, request: Request, next: Next) -> Response {
    changes.fetch_add(1, Ordering::Relaxed);
    next.run(request).await
}

const ROUTES: Routes<KeySite> = routes![
    cookies,
    read,
    signed,
    values,
    guarded,
    basic,
    #[layer(with_cookies)]
    layered,
    tokens,
    plain,
    hook,
];

const EVIL: &str = "https://evil.example";

fn site() -> (KeySite, Arc<AtomicU32>) {
    let changes = Arc::<AtomicU32>::default();
    let site = KeySite {
        key: CookieKey::random(),
        changes: Arc::clone(&changes),
    };
    (site, changes)
}

/// Each route that takes ambient credentials.
const AMBIENT: [(&str, &str); 6] = [
    ("POST", "/cookies"),
    ("DELETE", "/signed"),
    ("PUT", "/values"),
    ("POST", "/guarded"),
    ("POST", "/basic"),
    ("POST", "/layered"),
];

fn from_page(client: &TestClient, method: &str, target: &str, site: &str, origin: &str) -> TestRequest {
    let mut request = client.request(method, target);
    if !site.is_empty() {
        request = request.header("sec-fetch-site", site);
    }
    if !origin.is_empty() {
        request = request.header("origin", origin);
    }
    request
}

#[test]
fn requests_of_other_origins_are_rejected_where_browsers_attach_credentials() {
    let (site, changes) = site();
    let client = TestClient::new(App::new(site).routes(ROUTES).development(false));
    for (method, target) in AMBIENT {
        for (fetch, origin) in [
            ("cross-site", EVIL),
            ("same-site", "https://other.localhost"),
            ("cross-site", ""),
            ("cross-site", "null"),
            // A page cannot set the field, and a value that is not in the standard is not trusted.
            ("", EVIL),
            ("", "null"),
            ("unknown", ""),
        ] {
            let refused = from_page(&client, method, target, fetch, origin).send();
            refused.assert_status(403);
            let problem = refused.problem();
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.starts_with("a page of another origin, "), "{detail}");
            assert!(!detail.contains("trusted_origin"), "{detail}");
        }
    }
    assert_eq!(
        changes.load(Ordering::Relaxed),
        0,
        "neither handlers nor layers have run"
    );
}

#[test]
fn requests_of_the_same_origin_and_of_programs_are_permitted() {
    let (site, _) = site();
    let client = TestClient::new(App::new(site).routes(ROUTES));
    for (method, target) in AMBIENT {
        for (fetch, origin) in [
            ("same-origin", "http://localhost"),
            ("same-origin", ""),
            // A referrer policy of the page may hide its origin.
            ("same-origin", "null"),
            ("none", ""),
            ("", "http://localhost"),
            ("", "https://localhost"),
            ("", ""),
        ] {
            from_page(&client, method, target, fetch, origin)
                .send()
                .assert_status(204);
        }
    }
}

#[test]
fn safe_methods_and_handlers_without_such_credentials_accept_all_requests() {
    let (site, changes) = site();
    let client = TestClient::new(App::new(site).routes(ROUTES));
    for (method, target) in [
        ("GET", "/cookies"),
        ("HEAD", "/cookies"),
        ("OPTIONS", "/cookies"),
        ("POST", "/tokens"),
        ("POST", "/plain"),
        ("POST", "/hook"),
    ] {
        from_page(&client, method, target, "cross-site", EVIL)
            .send()
            .assert_status(204);
    }
    assert_eq!(changes.load(Ordering::Relaxed), 3);
}

#[test]
fn trusted_origins_are_permitted() {
    let (site, _) = site();
    let app = App::new(site)
        .routes(ROUTES)
        .trusted_origin("https://a.example")
        .trusted_origin("https://b.example:8443");
    let client = TestClient::new(app);
    for origin in ["https://a.example", "https://b.example:8443"] {
        from_page(&client, "POST", "/cookies", "cross-site", origin)
            .send()
            .assert_status(204);
        from_page(&client, "POST", "/cookies", "", origin)
            .send()
            .assert_status(204);
    }
    for origin in ["https://b.example", "http://a.example", "https://a.example.evil", ""] {
        from_page(&client, "POST", "/cookies", "cross-site", origin)
            .send()
            .assert_status(403);
    }
}

#[test]
fn cors_with_credentials_permits_its_origins_only() {
    let cors = |credentials: bool| {
        let cors = Cors::new().allow_origin("https://a.example");
        if credentials { cors.allow_credentials() } else { cors }
    };
    for (layer, own, other) in [
        (cors(true), 204, 403),
        (cors(false), 403, 403),
        (Cors::permissive(), 403, 403),
    ] {
        let (site, _) = site();
        let client = TestClient::new(App::new(site).routes(ROUTES).layer(layer));
        from_page(&client, "POST", "/cookies", "cross-site", "https://a.example")
            .send()
            .assert_status(own);
        let refused = from_page(&client, "POST", "/cookies", "cross-site", EVIL).send();
        refused.assert_status(other);
    }
}

#[test]
fn cookies_of_a_layer_of_the_application_or_of_the_fallback_protect_too() {
    let (site, changes) = site();
    let client = TestClient::new(App::new(site).routes(ROUTES).layer(with_cookies));
    from_page(&client, "POST", "/plain", "cross-site", EVIL)
        .send()
        .assert_status(403);
    from_page(&client, "POST", "/hook", "cross-site", EVIL)
        .send()
        .assert_status(204);
    assert_eq!(
        changes.load(Ordering::Relaxed),
        3,
        "the layer has run twice, the handler once"
    );

    let (site, _) = self::site();
    let client = TestClient::new(App::new(site).routes(ROUTES).fallback(fallback));
    from_page(&client, "POST", "/other", "cross-site", EVIL)
        .send()
        .assert_status(403);
    from_page(&client, "POST", "/other", "", "").send().assert_status(204);
}

async fn fallback(_: Cookies) -> StatusCode {
    StatusCode::NO_CONTENT
}

#[test]
fn development_names_the_remedy_and_only_a_part_of_a_long_origin() {
    let (site, _) = site();
    let client = TestClient::new(App::new(site).routes(ROUTES).development(true));
    let origin = format!("https://{}.example", "a".repeat(500));
    let refused = from_page(&client, "POST", "/cookies", "cross-site", &origin).send();
    refused.assert_status(403);
    let problem = refused.problem();
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("permit the origin with App::trusted_origin"),
        "{detail}"
    );
    assert!(detail.len() < 250, "{detail}");
}

#[test]
#[should_panic(expected = "`https://a.example/` is not an origin")]
fn origin_with_a_path_is_an_error() {
    let _ = App::new(()).trusted_origin("https://a.example/");
}

#[test]
fn document_describes_the_rejection_of_unsafe_methods() {
    let document = ROUTES.openapi(conduit::openapi::Info::new("Site", "1"));
    let document = serde_json::to_value(&document).expect("JSON");
    for (method, target) in AMBIENT {
        let method = method.to_lowercase();
        assert!(
            document["paths"][target][&method]["responses"]["403"].is_object(),
            "{method} {target}"
        );
    }
    assert!(document["paths"]["/cookies"]["get"]["responses"]["403"].is_null());
    assert!(document["paths"]["/hook"]["post"]["responses"]["403"].is_null());
}

#[test]
#[cfg(feature = "openapi")]
fn document_has_the_rejection_of_each_route_inside_of_an_ambient_layer_of_the_application() {
    let rejects = |app: App<KeySite, Routes<KeySite>>, method: &str, path: &str| {
        let document = serde_json::to_value(app.openapi()).expect("JSON");
        document["paths"][path][method]["responses"]["403"].is_object()
    };
    let app = || App::new(site().0).routes(ROUTES);
    assert!(!rejects(app(), "post", "/plain"));
    for (method, path, is_rejected) in [
        ("post", "/plain", true),
        ("post", "/tokens", true),
        ("post", "/cookies", true),
        ("get", "/cookies", false),
        ("post", "/hook", false),
    ] {
        let rejected = rejects(app().layer(with_cookies), method, path);
        assert_eq!(rejected, is_rejected, "{method} {path}");
    }
}
