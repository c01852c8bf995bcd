//! Sessions: their life, their cookie, concurrent requests, and stores that fail.

mod extractors;
mod in_cookies;
mod rotation;
mod tokens;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conduit::extract::CookieKey;
use conduit::layer::{MemoryStore, Store, Value};
use conduit::prelude::*;
use conduit::session::{ActiveSession, Session, Sessions};
use conduit::testing::{TestClient, TestResponse};
use conduit::{Auth, Authenticate};
use serde::{Deserialize, Serialize};
use tokio::sync::Barrier;

const COOKIE: &str = "__Host-session";
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct Visitor {
    user: Option<String>,
    count: u32,
}

#[derive(Clone, FromRef)]
struct Site {
    sessions: Sessions,
    barrier: Arc<Barrier>,
}

#[get("/count")]
async fn read(session: Session<Visitor>) -> String {
    session.count.to_string()
}

#[post("/count")]
async fn count(mut session: Session<Visitor>) -> Result<String, Problem> {
    session.update(|visitor| visitor.count += 1).await?;
    Ok(session.count.to_string())
}

/// Waits until all requests of a test have read the session.
#[post("/count-together")]
async fn count_together(mut session: Session<Visitor>, barrier: State<Arc<Barrier>>) -> Result<String, Problem> {
    barrier.wait().await;
    session.update(|visitor| visitor.count += 1).await?;
    Ok(session.count.to_string())
}

/// Writes after another request has changed the session.
#[post("/count-late")]
async fn count_late(mut session: Session<Visitor>, barrier: State<Arc<Barrier>>) -> Result<String, Problem> {
    barrier.wait().await;
    barrier.wait().await;
    session.update(|visitor| visitor.count += 1).await?;
    Ok(session.count.to_string())
}

#[post("/rotate-late")]
async fn rotate_late(mut session: Session<Visitor>, barrier: State<Arc<Barrier>>) -> Result<(), Problem> {
    barrier.wait().await;
    barrier.wait().await;
    session.rotate(|visitor| visitor.count += 1).await
}

#[post("/sign-out-late")]
async fn sign_out_late(mut session: Session<Visitor>, barrier: State<Arc<Barrier>>) -> Result<(), Problem> {
    barrier.wait().await;
    barrier.wait().await;
    session.end().await
}

#[post("/release")]
async fn release(barrier: State<Arc<Barrier>>) {
    barrier.wait().await;
}

#[post("/nothing")]
async fn change_nothing(mut session: Session<Visitor>) -> Result<(), Problem> {
    session.update(|visitor| visitor.count += 0).await?;
    session.take_flashes().await?;
    session.end().await
}

#[post("/sign-in/{name}")]
async fn sign_in(name: Path<String>, mut session: Session<Visitor>) -> Result<(), Problem> {
    session.rotate(|visitor| visitor.user = Some(name.0.clone())).await
}

#[post("/sign-out")]
async fn sign_out(mut session: Session<Visitor>) -> Result<(), Problem> {
    session.end().await
}

#[post("/flash/{text}")]
async fn flash(text: Path<String>, mut session: Session<Visitor>) -> Result<(), Problem> {
    session.flash(text.0).await
}

#[get("/flashes")]
async fn flashes(mut session: Session<Visitor>) -> Result<String, Problem> {
    Ok(session.take_flashes().await?.join(","))
}

#[post("/error")]
async fn write_and_fail(mut session: Session<Visitor>) -> Result<(), Problem> {
    session.update(|visitor| visitor.count = 7).await?;
    Err(Problem::bad_request("no"))
}

#[post("/panic")]
async fn write_and_panic(mut session: Session<Visitor>) -> Result<(), Problem> {
    session.update(|visitor| visitor.count = 7).await?;
    panic!("no")
}

#[post("/large")]
async fn write_too_much(mut session: Session<Visitor>) -> Result<(), Problem> {
    session.update(|visitor| visitor.user = Some("x".repeat(70_000))).await
}

#[post("/large-message")]
async fn flash_too_much(mut session: Session<Visitor>) -> Result<(), Problem> {
    for _ in 0..8 {
        session.flash("x".repeat(10_000)).await?;
    }
    Ok(())
}

#[post("/kept")]
async fn keep_after_an_error(mut session: Session<Visitor>) -> Result<String, Problem> {
    session.update(|visitor| visitor.count = 1).await?;
    let refused = session.update(|visitor| {
        visitor.count = 2;
        visitor.user = Some("x".repeat(70_000));
    });
    let is_refused = refused.await.is_err();
    Ok(format!("{is_refused} {}", session.count))
}

#[get("/public")]
async fn public(session: Session<Visitor>) -> ([(&'static str, &'static str); 1], String) {
    ([("cache-control", "public, max-age=60")], session.count.to_string())
}

struct User(String);

impl<S> Authenticate<S> for User
where
    Sessions: FromRef<S>,
{
    type Credentials = ActiveSession<Visitor>;

    async fn authenticate(session: ActiveSession<Visitor>, _: &S) -> Result<User, Problem> {
        let user = session.user.clone();
        user.map(User)
            .ok_or_else(|| ActiveSession::<Visitor>::refused("sign in first"))
    }
}

#[get("/me")]
async fn me(user: Auth<User>) -> String {
    user.0.0
}

async fn counted(mut session: Session<Visitor>, request: Request, next: Next) -> Result<Response, Problem> {
    session.update(|visitor| visitor.count += 1).await?;
    Ok(next.run(request).await)
}

#[post("/counted")]
async fn count_in_layer(mut session: Session<Visitor>) -> Result<String, Problem> {
    session.update(|visitor| visitor.count += 1).await?;
    Ok(session.count.to_string())
}

const ROUTES: Routes<Site> = routes![
    read,
    count,
    count_together,
    count_late,
    rotate_late,
    sign_out_late,
    release,
    change_nothing,
    sign_in,
    sign_out,
    flash,
    flashes,
    write_and_fail,
    write_and_panic,
    write_too_much,
    flash_too_much,
    keep_after_an_error,
    public,
    me,
    #[layer(counted)]
    count_in_layer,
];

fn app(sessions: Sessions, waiting: usize) -> App<Site, Routes<Site>> {
    let barrier = Arc::new(Barrier::new(waiting));
    App::new(Site { sessions, barrier }).routes(ROUTES).development(false)
}

fn client() -> TestClient {
    TestClient::new(app(Sessions::in_memory(), 2))
}

fn set_cookie(response: &TestResponse) -> Option<String> {
    response.header("set-cookie").map(str::to_owned)
}

#[test]
fn session_begins_with_the_first_change() {
    let client = client();
    for response in [
        client.get("/count").send(),
        client.post("/nothing").send(),
        client.get("/flashes").send(),
    ] {
        response.assert_status(200);
        assert_eq!(set_cookie(&response), None);
        assert_eq!(response.header("vary"), Some("cookie"));
        assert_eq!(response.header("cache-control"), Some("private, no-cache"));
    }
    let begun = client.post("/count").send();
    begun.assert_text("1").assert_header("cache-control", "no-store");
    let id = client.cookie(COOKIE).expect("a cookie");
    assert_eq!(
        set_cookie(&begun),
        Some(format!("{COOKIE}={id}; HttpOnly; SameSite=Lax; Secure; Path=/"))
    );
    let next = client.post("/count").send();
    next.assert_text("2");
    assert_eq!(set_cookie(&next), None);
    client.get("/count").send().assert_text("2");
    client.another().get("/count").send().assert_text("0");
}

#[test]
fn settings_change_the_cookie() {
    let sessions = Sessions::in_memory()
        .persistent()
        .strict()
        .cookie_name("shop")
        .lifetime(HOUR);
    let client = TestClient::new(app(sessions, 2));
    let cookie = set_cookie(&client.post("/count").send()).expect("a cookie");
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert!(pair.starts_with("__Host-shop="), "{cookie}");
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=3600");

    let client = TestClient::new(app(Sessions::in_memory(), 2).development(true));
    let cookie = set_cookie(&client.post("/count").send()).expect("a cookie");
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert!(pair.starts_with("session="), "{cookie}");
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Path=/");
    client.get("/count").send().assert_text("1");
}

#[test]
#[should_panic(expected = "invalid cookie name `a b`")]
fn cookie_name_with_a_space_is_an_error() {
    let _ = Sessions::in_memory().cookie_name("a b");
}

#[test]
fn ids_that_a_client_has_chosen_are_ignored() {
    let client = client();
    for id in ["", "x", &"A".repeat(43), &"B".repeat(10_000)] {
        client.set_cookie(COOKIE, id);
        client.get("/count").send().assert_text("0");
        client.post("/count").send().assert_text("1");
        assert_ne!(client.cookie(COOKIE).as_deref(), Some(id));
    }
}

#[test]
fn id_changes_at_sign_in_and_the_old_one_is_invalid() {
    let client = client();
    client.post("/count").send().assert_text("1");
    let before = client.cookie(COOKIE).expect("a cookie");
    client.get("/me").send().assert_status(401);
    client.post("/sign-in/ada").send().assert_status(200);
    let after = client.cookie(COOKIE).expect("a cookie");
    assert_ne!(before, after);
    client.get("/me").send().assert_text("ada");
    client.get("/count").send().assert_text("1");

    let thief = client.another();
    thief.set_cookie(COOKIE, &before);
    thief.get("/me").send().assert_status(401);
    thief.get("/count").send().assert_text("0");
}

#[test]
fn session_ends_for_all_at_sign_out() {
    let client = client();
    client.post("/sign-in/ada").send();
    let other = client.another();
    other.set_cookie(COOKIE, &client.cookie(COOKIE).expect("a cookie"));
    other.get("/me").send().assert_text("ada");

    let ended = client.post("/sign-out").send();
    let cookie = set_cookie(&ended).expect("a cookie");
    assert!(
        cookie.starts_with(&format!(
            "{COOKIE}=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0; Expires="
        )),
        "{cookie}"
    );
    assert_eq!(client.cookie(COOKIE), None);
    other
        .get("/me")
        .send()
        .assert_status(401)
        .assert_header("www-authenticate", "ApiKey in=\"cookie\", name=\"__Host-session\"");
}

#[test]
fn concurrent_requests_lose_no_write() {
    const REQUESTS: usize = 12;
    let client = TestClient::new(app(Sessions::in_memory(), REQUESTS));
    client.post("/count").send().assert_text("1");
    std::thread::scope(|scope| {
        for _ in 0..REQUESTS {
            scope.spawn(|| {
                client.post("/count-together").send().assert_status(200);
            });
        }
    });
    client.get("/count").send().assert_text(&(1 + REQUESTS).to_string());
}

/// Sends one request, and another one after the first has read the session and before it writes.
fn late(client: &TestClient, target: &str, meanwhile: &str) -> TestResponse {
    std::thread::scope(|scope| {
        let late = scope.spawn(|| client.post(target).send());
        client.post("/release").send().assert_status(200);
        client.post(meanwhile).send().assert_status(200);
        client.post("/release").send().assert_status(200);
        late.join().expect("a response")
    })
}

#[test]
fn ended_session_does_not_come_back() {
    for meanwhile in ["/sign-out", "/sign-in/ada"] {
        let client = client();
        client.post("/count").send().assert_text("1");
        let old = client.cookie(COOKIE).expect("a cookie");
        let refused = late(&client, "/count-late", meanwhile);
        refused.assert_status(409);
        assert_eq!(set_cookie(&refused), None, "the newer cookie stays");
        let thief = client.another();
        thief.set_cookie(COOKIE, &old);
        thief.get("/count").send().assert_text("0");
    }
}

#[test]
fn newer_write_is_the_base_of_a_late_one() {
    let client = client();
    client.post("/count").send().assert_text("1");
    late(&client, "/count-late", "/flash/saved").assert_text("2");
    client.get("/flashes").send().assert_text("saved");
}

#[test]
fn session_ends_without_requests_and_at_its_lifetime() {
    assert_ends_without_requests_and_at_its_lifetime(Sessions::in_memory());
}

#[track_caller]
fn assert_ends_without_requests_and_at_its_lifetime(sessions: Sessions) {
    let sessions = sessions.idle_timeout(HOUR).lifetime(5 * HOUR);
    let client = TestClient::new(app(sessions, 2));
    client.post("/count").send().assert_text("1");
    for _ in 0..5 {
        client.advance(HOUR - Duration::from_secs(600));
        client.get("/count").send().assert_text("1");
    }
    // Requests extend the session, but not beyond its lifetime.
    client.advance(HOUR - Duration::from_secs(600));
    client.get("/count").send().assert_text("0");

    client.post("/count").send().assert_text("1");
    client.advance(HOUR + Duration::from_secs(1));
    client.get("/count").send().assert_text("0");
}

#[test]
fn sign_in_begins_the_lifetime_again() {
    let sessions = Sessions::in_memory().idle_timeout(10 * HOUR).lifetime(10 * HOUR);
    let client = TestClient::new(app(sessions, 2));
    client.post("/count").send();
    client.advance(9 * HOUR);
    client.post("/sign-in/ada").send().assert_status(200);
    client.advance(9 * HOUR);
    client.get("/me").send().assert_text("ada");
}

#[test]
fn messages_are_shown_once() {
    let client = client();
    client.post("/flash/one").send().assert_status(200);
    client.post("/flash/two").send().assert_status(200);
    client.get("/flashes").send().assert_text("one,two");
    client.get("/flashes").send().assert_text("");
}

#[test]
fn errors_and_panics_carry_the_cookie_too() {
    for (target, status) in [("/error", 400), ("/panic", 500)] {
        let client = client();
        client.post(target).send().assert_status(status);
        client.get("/count").send().assert_text("7");
    }
}

#[test]
fn layer_and_handler_share_the_session() {
    let client = client();
    let response = client.post("/counted").send();
    response.assert_text("2");
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 1);
    client.get("/count").send().assert_text("2");
}

#[test]
fn handler_sets_its_cache_control_until_the_cookie_is_set() {
    let client = client();
    client
        .get("/public")
        .send()
        .assert_header("cache-control", "public, max-age=60")
        .assert_header("vary", "cookie");
}

#[test]
fn requests_of_other_sites_are_rejected() {
    let client = client();
    let attack = |target: &str| {
        client
            .post(target)
            .header("sec-fetch-site", "cross-site")
            .send()
            .assert_status(403)
            .status()
    };
    attack("/count");
    attack("/sign-in/mallory");
    assert_eq!(client.cookie(COOKIE), None);
}

#[test]
fn too_much_data_is_an_error_and_nothing_is_stored() {
    let client = client();
    client.post("/large").send().assert_status(500);
    assert_eq!(client.cookie(COOKIE), None);
    client.post("/kept").send().assert_text("true 1");
    client.get("/count").send().assert_text("1");
}

#[test]
fn messages_count_for_the_limit_of_the_data() {
    let client = client();
    client.post("/large-message").send().assert_status(500);
    let kept = client.get("/flashes").send();
    assert_eq!(kept.text().split(',').count(), 6, "those that had room");
}

/// A store that records its keys and values, and fails on demand.
#[derive(Clone, Default)]
struct Watched {
    store: MemoryStore,
    fails: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Watched {
    fn check(&self) -> Result<(), &'static str> {
        match self.fails.load(Ordering::Relaxed) {
            true => Err("out of order"),
            false => Ok(()),
        }
    }
}

impl Store for Watched {
    type Error = &'static str;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, &'static str> {
        self.check()?;
        self.store.get(key).await.map_err(|_| "full")
    }

    async fn replace(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<Value<'_>>,
    ) -> Result<bool, &'static str> {
        self.check()?;
        let written = [Some(key), value.map(|value| value.bytes)];
        let written = written.into_iter().flatten().map(<[u8]>::to_vec);
        self.seen.lock().expect("no panic").extend(written);
        self.store.replace(key, expected, value).await.map_err(|_| "full")
    }
}

/// The changes of the response and the session referred to each other.
#[test]
fn dropped_handler_frees_its_session() {
    #[post("/never")]
    async fn never(mut session: Session<Visitor>) -> Result<(), Problem> {
        session.update(|visitor| visitor.count += 1).await?;
        std::future::pending().await
    }

    let store = Watched::default();
    let client = TestClient::new(
        App::new(Sessions::new(store.clone()))
            .routes(routes![never])
            .layer(conduit::layer::Timeout::new(Duration::from_millis(50))),
    );
    client.post("/never").send().assert_status(503);
    assert!(!store.seen.lock().expect("no panic").is_empty());
    drop(client);
    assert_eq!(Arc::strong_count(&store.seen), 1);
}

#[test]
fn store_does_not_contain_the_id() {
    let store = Watched::default();
    let client = TestClient::new(app(Sessions::new(store.clone()), 2));
    client.post("/count").send().assert_text("1");
    let id = client.cookie(COOKIE).expect("a cookie");
    let seen = store.seen.lock().expect("no panic");
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter()
            .all(|bytes| !bytes.windows(8).any(|window| id.as_bytes().starts_with(window)))
    );
}

#[test]
fn few_requests_write_the_time() {
    let store = Watched::default();
    let client = TestClient::new(app(Sessions::new(store.clone()).idle_timeout(8 * HOUR), 2));
    client.post("/count").send();
    let writes = || store.seen.lock().expect("no panic").len() / 2;
    assert_eq!(writes(), 1);
    for _ in 0..10 {
        client.get("/count").send().assert_text("1");
    }
    assert_eq!(writes(), 1);
    client.advance(HOUR + Duration::from_secs(1));
    client.get("/count").send().assert_text("1");
    client.get("/count").send().assert_text("1");
    assert_eq!(writes(), 2);
}

#[test]
fn failing_store_is_503_and_the_session_continues_afterwards() {
    let store = Watched::default();
    let client = TestClient::new(app(Sessions::new(store.clone()), 2));
    client.post("/count").send().assert_text("1");
    store.fails.store(true, Ordering::Relaxed);
    client
        .get("/count")
        .send()
        .assert_status(503)
        .assert_header("retry-after", "1");
    client.another().post("/count").send().assert_status(503);
    client.another().get("/count").send().assert_text("0");
    store.fails.store(false, Ordering::Relaxed);
    client.get("/count").send().assert_text("1");
}

#[derive(Default, Deserialize, Serialize)]
struct Other {
    count: Vec<String>,
}

#[get("/other")]
async fn other(session: Session<Other>) -> String {
    session.count.len().to_string()
}

#[test]
fn data_of_another_type_begins_as_the_default() {
    let site = Site {
        sessions: Sessions::in_memory(),
        barrier: Arc::new(Barrier::new(2)),
    };
    let client = TestClient::new(App::new(site).routes(routes![count, other]));
    client.post("/count").send().assert_text("1");
    client.get("/other").send().assert_text("0");
}

struct Forgetful;

impl<S> FromRequest<S> for Forgetful
where
    Sessions: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        Session::<Visitor>::from_request(request, state).await?;
        Ok(Forgetful)
    }

    fn describe(_: &mut conduit::openapi::Operation) {}
}

#[get("/forgetful")]
async fn forgetful(_: Forgetful) {}

#[test]
fn extractor_that_is_not_declared_ambient_is_an_error() {
    let client = TestClient::new(
        App::new(Sessions::in_memory())
            .routes(routes![forgetful])
            .development(true),
    );
    let failed = client.get("/forgetful").send();
    failed
        .assert_status(500)
        .assert_text_contains("must set `FromRequest::IS_AMBIENT` to true");
}

#[test]
#[cfg(feature = "openapi")]
fn document_has_the_scheme_and_the_guards() {
    let document = ROUTES.openapi(conduit::openapi::Info::new("Site", "1"));
    assert!(document.gaps().is_empty(), "{:?}", document.gaps());
    let document = serde_json::to_value(&document).expect("JSON");
    let scheme = &document["components"]["securitySchemes"]["session"];
    assert_eq!(
        (scheme["in"].as_str(), scheme["name"].as_str()),
        (Some("cookie"), Some(COOKIE))
    );
    let security = |path: &str, method: &str| document["paths"][path][method]["security"].to_string();
    assert_eq!(security("/me", "get"), r#"[{"session":[]}]"#);
    assert_eq!(security("/count", "get"), r#"[{"session":[]},{}]"#);
}
