//! Idempotency keys, in stores of any kind.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

#[cfg(feature = "compression")]
use conduit::layer::Compression;
use conduit::layer::{Idempotency, IdempotencyKey, MemoryStore, Preconditions, Store, Value};
use conduit::prelude::*;
#[cfg(feature = "testing")]
use conduit::testing::TestClient;
use tokio::sync::Notify;

#[cfg(feature = "testing")]
use crate::support::wait_for;
use crate::support::{Response as Received, Running, serve};

#[cfg(feature = "testing")]
const HOUR: Duration = Duration::from_secs(3600);

/// The user that a guard has identified.
#[derive(Clone)]
pub(super) struct IdentifiedUser(pub(super) String);

pub(super) async fn sign_in(request: Request, next: NextWith<Option<IdentifiedUser>>) -> Response {
    let user = request
        .header("x-user")
        .map(|user| IdentifiedUser(String::from_utf8_lossy(user).into_owned()));
    next.run(request, user).await
}

pub(super) fn name(user: &Option<IdentifiedUser>) -> Option<String> {
    user.as_ref().map(|user| user.0.clone())
}

#[cfg(feature = "testing")]
#[test]
fn a_stored_response_is_removed_when_it_expires() {
    let (till, _comes_in) = till();
    let layer = Idempotency::new().kept_for(HOUR);
    let client = TestClient::new(App::new(till).routes(routes![pay]).layer(layer));
    let pay = || {
        let request = client.post("/pay").header("idempotency-key", "7f9c").body("tea");
        request.send().text().to_owned()
    };
    assert_eq!([pay(), pay()], ["tea 1", "tea 1"]);
    client.advance(HOUR / 2);
    assert_eq!(pay(), "tea 1");
    client.advance(HOUR);
    assert_eq!(pay(), "tea 2");
}

#[cfg(feature = "testing")]
#[test]
fn a_response_with_the_longest_lifetime_is_stored() {
    let (till, _comes_in) = till();
    let layer = Idempotency::new().kept_for(Duration::MAX).running_for(Duration::MAX);
    let client = TestClient::new(App::new(till).routes(routes![pay]).layer(layer));
    for _ in 0..2 {
        let paid = client.post("/pay").header("idempotency-key", "7f9c").body("tea").send();
        paid.assert_text("tea 1");
        client.advance(HOUR);
    }
}

#[cfg(feature = "testing")]
#[test]
fn handler_of_a_method_without_keys_names_those_with_keys() {
    #[put("/put")]
    async fn put_with_key(_key: IdempotencyKey) {}

    #[patch("/patch")]
    async fn patch_with_key(_key: IdempotencyKey) -> &'static str {
        "done"
    }

    let app = App::new(()).routes(routes![put_with_key, patch_with_key]);
    let client = TestClient::new(app.layer(Idempotency::new()).development(true));
    for with_key in [false, true] {
        let request = client.put("/put");
        let request = if with_key {
            request.header("idempotency-key", "7f9c")
        } else {
            request
        };
        let refused = request.send();
        refused.assert_status(500);
        assert!(
            refused.text().contains("for POST and PATCH, but not for PUT"),
            "{}",
            refused.text()
        );
    }
    client
        .patch("/patch")
        .header("idempotency-key", "7f9c")
        .send()
        .assert_text("done");
}

/// A store that fails.
#[derive(Clone)]
pub(super) struct Broken;

impl Store for Broken {
    type Error = &'static str;

    async fn get(&self, _: &[u8]) -> Result<Option<Bytes>, &'static str> {
        Err("the database is away")
    }

    async fn replace(&self, _: &[u8], _: Option<&[u8]>, _: Option<Value<'_>>) -> Result<bool, &'static str> {
        Err("the database is away")
    }
}

/// Counts the executions of a payment, and delays them if a test requires it.
#[derive(Clone)]
pub(super) struct Till {
    pub(super) paid: Arc<AtomicUsize>,
    pub(super) inside: mpsc::Sender<()>,
    pub(super) release: Arc<Notify>,
}

#[post("/pay")]
pub(super) async fn pay(till: State<Till>, order: String) -> Result<Created<String>, Problem> {
    let number = till.paid.fetch_add(1, Ordering::SeqCst) + 1;
    if order == "slow" {
        till.inside.send(()).expect("the test listens");
        till.release.notified().await;
    }
    if order == "fails" {
        return Err(Problem::new(StatusCode::BAD_GATEWAY));
    }
    Ok(Created::at(format!("/payments/{number}"), format!("{order} {number}")))
}

pub(super) fn till() -> (Till, mpsc::Receiver<()>) {
    let (inside, comes_in) = mpsc::channel();
    let till = Till {
        paid: Arc::default(),
        inside,
        release: Arc::default(),
    };
    (till, comes_in)
}

fn paying(till: &Till, layer: Idempotency<impl Store>) -> Running {
    serve(App::new(till.clone()).routes(routes![pay]).layer(layer))
}

pub(super) fn order(key: &str, credentials: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /pay HTTP/1.1\r\nhost: test\r\n{key}authorization: {credentials}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

pub(super) const KEY: &str = "idempotency-key: \"7f9c\"\r\n";

fn is_replay(answer: &Received) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[test]
fn a_repeated_request_gets_the_response_of_the_first() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new());
    let first = server.request(order(KEY, "ann", "tea"));
    assert_eq!((first.status, first.text(), is_replay(&first)), (201, "tea 1", false));
    let again = server.request(order("idempotency-key: 7f9c\r\n", "ann", "tea"));
    assert_eq!((again.status, again.text(), is_replay(&again)), (201, "tea 1", true));
    assert_eq!(again.header("location"), Some("/payments/1"));
    assert_eq!(again.header("content-type"), first.header("content-type"));
    // Another client, another key, no key: another payment.
    assert_eq!(server.request(order(KEY, "bob", "tea")).text(), "tea 2");
    assert_eq!(
        server
            .request(order("idempotency-key: \"other\"\r\n", "ann", "tea"))
            .text(),
        "tea 3"
    );
    assert_eq!(server.request(order("", "ann", "tea")).text(), "tea 4");
    assert_eq!(till.paid.load(Ordering::SeqCst), 4);
}

#[test]
fn clients_with_different_session_cookies_do_not_share_keys() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new());
    let by = |cookie: &str| server.request(order(&format!("{KEY}cookie: session={cookie}\r\n"), "staging", "tea"));
    assert_eq!(by("ann").text(), "tea 1");
    let other = by("bob");
    assert_eq!((other.text(), is_replay(&other)), ("tea 2", false));
    assert_eq!(
        [by("ann"), by("bob")].map(|answer| answer.text().to_owned()),
        ["tea 1", "tea 2"]
    );
    // All lines of a repeated field count, not only the first.
    let twice = |second: &str| by(&format!("x\r\ncookie: session={second}"));
    assert_eq!(
        [twice("ann"), twice("bob")].map(|answer| answer.text().to_owned()),
        ["tea 3", "tea 4"]
    );
}

#[test]
fn a_key_can_belong_to_a_user_whose_cookies_change() {
    let (till, _comes_in) = till();
    let routes = routes![
        #[layer(sign_in, Idempotency::new().owned_by_provided(name))]
        pay
    ];
    let server = serve(App::new(till.clone()).routes(routes));
    let by = |user: &str, cookie: &str| {
        let fields = format!("{KEY}{user}cookie: seen={cookie}\r\n");
        server.request(order(&fields, "staging", "tea")).text().to_owned()
    };
    assert_eq!(
        [by("x-user: ann\r\n", "1"), by("x-user: ann\r\n", "2")],
        ["tea 1", "tea 1"]
    );
    assert_eq!(by("x-user: bob\r\n", "2"), "tea 2");
    // Without a user the owner is determined by the credentials.
    assert_eq!([by("", "1"), by("", "2"), by("", "1")], ["tea 3", "tea 4", "tea 3"]);
}

#[test]
fn owner_and_key_with_colons_belong_to_no_other_owner() {
    let (till, _comes_in) = till();
    let by_credentials = |request: &Request| {
        let credentials = request.header("authorization").unwrap_or_default();
        String::from_utf8_lossy(credentials).into_owned()
    };
    let server = paying(&till, Idempotency::new().owned_by(by_credentials));
    let by = |owner: &str, key: &str| server.request(order(&format!("idempotency-key: {key}\r\n"), owner, "tea"));
    for _ in 0..2 {
        assert_eq!(by("bob", "order:42").text(), "tea 1");
        assert_eq!(by("bob:order", "42").text(), "tea 2");
    }
}

#[test]
fn stored_format_is_the_same_in_every_build() {
    let (till, _comes_in) = till();
    let store = MemoryStore::default();
    let server = paying(&till, Idempotency::new().store(store.clone()));
    assert_eq!(server.request(order(KEY, "ann", "tea")).status, 201);
    let key = b"idempotency:cae008225542e9d846dd497b98f4f4b7:7f9c";
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let stored = runtime
        .block_on(store.get(key))
        .expect("a store in memory does not fail");
    let stored = stored.expect("SHA-256 of the credentials is in the key");
    let request = u128::from_be_bytes(stored[1..17].try_into().expect("16 bytes"));
    assert_eq!(format!("{request:032x}"), "8d8cf8c6d84cef36bd407d1f73c50c19");
}

#[test]
fn a_key_is_for_one_request() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new());
    assert_eq!(server.request(order(KEY, "ann", "tea")).status, 201);
    let other = server.request(order(KEY, "ann", "coffee"));
    assert_eq!(other.status, 422);
    assert_eq!(
        other.problem()["detail"],
        "the idempotency-key was sent before with another path, body or content type: send a new one"
    );
}

#[test]
fn a_request_is_refused_while_the_same_is_executed() {
    let (till, comes_in) = till();
    let server = paying(&till, Idempotency::new());
    let mut first = server.connect();
    first.send(order(KEY, "ann", "slow"));
    comes_in
        .recv_timeout(Duration::from_secs(20))
        .expect("it is carried out");
    let second = server.request(order(KEY, "ann", "slow"));
    assert_eq!((second.status, second.header("retry-after")), (409, Some("1")));
    till.release.notify_one();
    assert_eq!(first.response().text(), "slow 1");
    assert_eq!(server.request(order(KEY, "ann", "slow")).text(), "slow 1");
}

#[test]
fn a_failed_request_is_executed_again() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new());
    assert_eq!(server.request(order(KEY, "ann", "fails")).status, 502);
    assert_eq!(server.request(order(KEY, "ann", "fails")).status, 502);
    assert_eq!(till.paid.load(Ordering::SeqCst), 2);
}

/// Pays, and responds with a stream that fails.
#[post("/pay-and-fail")]
async fn pay_and_fail(till: State<Till>) -> Body {
    struct Failing;

    impl futures_core::Stream for Failing {
        type Item = Result<Bytes, conduit::BoxError>;

        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(Some(Err("the printer has no paper".into())))
        }
    }

    till.paid.fetch_add(1, Ordering::SeqCst);
    Body::from_stream(Failing)
}

#[test]
fn a_request_with_a_failed_response_body_is_not_executed_again() {
    let (till, _comes_in) = till();
    let app = App::new(till.clone()).routes(routes![pay_and_fail]);
    let server = serve(app.layer(Idempotency::new()).development(false));
    let text = format!("POST /pay-and-fail HTTP/1.1\r\nhost: test\r\n{KEY}content-length: 0\r\n\r\n");
    assert_eq!(server.request(&text).status, 500);
    let again = server.request(&text);
    assert_eq!((again.status, again.header("retry-after")), (409, None));
    assert_eq!(
        again.problem()["detail"],
        "the request with this idempotency-key was executed, but its response was not stored: get the result from the resource, and do not repeat the request"
    );
    assert_eq!(till.paid.load(Ordering::SeqCst), 1);
}

#[cfg(feature = "testing")]
#[test]
fn a_request_with_a_dropped_handler_is_refused_until_its_reservation_ends() {
    let (till, comes_in) = till();
    let app = App::new(till.clone()).routes(routes![pay]);
    // The clock does not advance while the handler waits, so the marker is not renewed.
    let app = app.layer(Idempotency::new()).disconnect(conduit::Disconnect::Abort);
    let client = TestClient::new(app);
    let mut first = client.connect();
    let body = "slow";
    assert!(first.send(format!(
        "POST /pay HTTP/1.1\r\nhost: test\r\n{KEY}content-length: {}\r\n\r\n{body}",
        body.len()
    )));
    comes_in
        .recv_timeout(Duration::from_secs(20))
        .expect("it is carried out");
    drop(first);
    while client.resources().handlers > 0 {
        std::thread::yield_now();
    }
    let again = || client.post("/pay").header("idempotency-key", "7f9c").body(body).send();
    assert_eq!(again().status().as_u16(), 409);
    client.advance(Duration::from_secs(61));
    till.release.notify_one();
    assert_eq!(again().text(), "slow 2");
}

/// A rejection because of a header field has no effect: the corrected request is executed with the same key.
#[test]
fn a_request_that_was_refused_for_a_header_field_is_executed_when_corrected() {
    #[post("/json")]
    async fn json(_order: Json<String>) -> &'static str {
        "paid"
    }

    #[post("/if-match")]
    async fn if_match(conditions: Preconditions, _order: String) -> Result<&'static str, Problem> {
        conditions.check(Some("\"v7\""), None)?;
        Ok("paid")
    }

    #[post("/status")]
    async fn status(request: Request) -> StatusCode {
        let wanted = request.header("x-wanted").expect("a status");
        StatusCode::from_bytes(wanted).expect("a status")
    }

    // Each target has a separate server, because all requests use one key.
    let serving = |target: &'static str| {
        let app = App::new(()).routes(routes![json, if_match, status]);
        let server = serve(app.layer(Idempotency::new()));
        move |fields: &str| {
            server.request(format!(
                "POST {target} HTTP/1.1\r\nhost: test\r\n{KEY}{fields}content-length: 5\r\n\r\n\"tea\""
            ))
        }
    };
    for (target, wrong, refusal, right) in [
        (
            "/json",
            "content-type: text/plain\r\n",
            415,
            "content-type: application/json\r\n",
        ),
        ("/if-match", "if-match: \"v6\"\r\n", 412, "if-match: \"v7\"\r\n"),
    ] {
        let send = serving(target);
        assert_eq!(send(wrong).status, refusal);
        let corrected = send(right);
        assert_eq!((corrected.text(), is_replay(&corrected)), ("paid", false));
        let again = send(right);
        assert_eq!((again.text(), is_replay(&again)), ("paid", true));
    }
    let send = serving("/status");
    for status in [401, 403, 406, 412, 413, 415, 417, 428, 429, 431, 500, 503] {
        for _ in 0..2 {
            let answer = send(&format!("x-wanted: {status}\r\n"));
            assert_eq!((answer.status, is_replay(&answer)), (status, false));
        }
    }
    // The result of an order is stored, including an error.
    assert_eq!(send("x-wanted: 402\r\n").status, 402);
    assert!(is_replay(&send("x-wanted: 200\r\n")));
}

#[test]
fn the_same_bytes_of_another_content_type_are_another_request() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new());
    let with = |fields: &str| server.request(order(&format!("{KEY}{fields}"), "ann", "tea")).status;
    assert_eq!(with("content-type: text/plain\r\n"), 201);
    assert_eq!(with("content-type: text/plain; charset=utf-8\r\n"), 422);
    assert_eq!(with("content-type: text/plain\r\ncontent-encoding: identity\r\n"), 422);
    assert_eq!(with("content-type: text/plain\r\n"), 201);
    assert_eq!(till.paid.load(Ordering::SeqCst), 1);
}

/// The first client accepts gzip and the second does not, on either side of `Compression`.
#[cfg(feature = "compression")]
#[test]
fn a_replay_is_in_a_coding_that_its_client_accepts() {
    #[post("/long")]
    async fn long(_order: String) -> String {
        "a long receipt ".repeat(200)
    }

    let idempotency_outside = App::new(())
        .routes(routes![long])
        .layer(Compression::new())
        .layer(Idempotency::new());
    let idempotency_inside = App::new(())
        .routes(routes![long])
        .layer(Idempotency::new())
        .layer(Compression::new());
    for (app, first_coding) in [(idempotency_outside, None), (idempotency_inside, Some("gzip"))] {
        let server = serve(app);
        let send = |fields: &str| {
            server.request(format!(
                "POST /long HTTP/1.1\r\nhost: test\r\n{KEY}{fields}content-length: 3\r\n\r\ntea"
            ))
        };
        let first = send("accept-encoding: gzip\r\n");
        assert_eq!(first.header("content-encoding"), first_coding);
        let replay = send("");
        assert!(is_replay(&replay));
        assert_eq!(replay.header("content-encoding"), None);
        assert_eq!(replay.text(), "a long receipt ".repeat(200));
        assert_eq!(
            send("accept-encoding: gzip\r\n").header("content-encoding"),
            first_coding
        );
    }
}

#[test]
fn a_key_can_be_required_and_must_be_valid() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new().required());
    assert_eq!(server.request(order("", "ann", "tea")).status, 400);
    for key in ["\"\"", "a b", "\"a\\b\"", &"x".repeat(256)] {
        let field = format!("idempotency-key: {key}\r\n");
        assert_eq!(server.request(order(&field, "ann", "tea")).status, 400, "{key}");
    }
    assert_eq!(till.paid.load(Ordering::SeqCst), 0);
}

#[test]
fn a_key_that_is_sent_twice_is_refused() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new());
    for second in ["7f9c", "other"] {
        let fields = format!("{KEY}idempotency-key: {second}\r\n");
        let refused = server.request(order(&fields, "ann", "tea"));
        assert_eq!(refused.status, 400);
        assert_eq!(
            refused.problem()["detail"],
            "the header field idempotency-key is sent more than once: send it once"
        );
    }
    assert_eq!(till.paid.load(Ordering::SeqCst), 0);
}

#[test]
fn nothing_is_executed_without_a_store() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new().store(Broken));
    assert_eq!(server.request(order(KEY, "ann", "tea")).status, 503);
    assert_eq!(till.paid.load(Ordering::SeqCst), 0);
}

#[test]
fn two_servers_with_one_store_agree() {
    let (till, _comes_in) = till();
    let store = MemoryStore::default();
    let one = paying(&till, Idempotency::new().store(store.clone()));
    let other = paying(&till, Idempotency::new().store(store));
    assert_eq!(one.request(order(KEY, "ann", "tea")).text(), "tea 1");
    assert_eq!(other.request(order(KEY, "ann", "tea")).text(), "tea 1");
}

#[test]
fn request_that_runs_while_others_fill_the_store_is_executed_once() {
    let (till, comes_in) = till();
    let server = paying(&till, Idempotency::new().store(MemoryStore::new(64 * 1024)));
    let mut first = server.connect();
    first.send(order(KEY, "ann", "slow"));
    comes_in
        .recv_timeout(Duration::from_secs(20))
        .expect("it is carried out");
    let mut flood = server.connect();
    for number in 0..2000 {
        flood.send(order(&format!("idempotency-key: f{number}\r\n"), "mallory", "tea"));
        assert_eq!(flood.response().status, 201);
    }
    let paid = till.paid.load(Ordering::SeqCst);
    assert_eq!(server.request(order(KEY, "ann", "slow")).status, 409);
    assert_eq!(till.paid.load(Ordering::SeqCst), paid);
    till.release.notify_one();
    assert_eq!(first.response().text(), "slow 1");
    assert_eq!(server.request(order(KEY, "ann", "slow")).text(), "slow 1");
}

#[test]
fn owner_that_fills_the_store_evicts_no_response_of_another() {
    let (till, _comes_in) = till();
    let by_credentials = |request: &Request| {
        let credentials = request.header("authorization").unwrap_or_default();
        String::from_utf8_lossy(credentials).into_owned()
    };
    let layer = Idempotency::new().owned_by(by_credentials);
    let server = paying(&till, layer.store(MemoryStore::new(64 * 1024)));
    assert_eq!(server.request(order(KEY, "ann", "tea")).text(), "tea 1");
    let mut flood = server.connect();
    for number in 0..1000 {
        flood.send(order(&format!("idempotency-key: f{number}\r\n"), "mallory", "tea"));
        assert_eq!(flood.response().status, 201);
    }
    assert!(is_replay(&server.request(order(KEY, "ann", "tea"))));
    // The first entry of the flood was evicted for the last.
    flood.send(order("idempotency-key: f0\r\n", "mallory", "tea"));
    assert!(!is_replay(&flood.response()));
}

#[test]
fn request_is_refused_where_the_store_has_no_room_for_its_marker() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new().store(MemoryStore::new(100)));
    let answer = server.request(order(KEY, "ann", "tea"));
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(till.paid.load(Ordering::SeqCst), 0);
}

#[test]
fn request_with_a_response_that_has_no_room_is_executed_once() {
    #[post("/export")]
    async fn export(till: State<Till>) -> String {
        till.paid.fetch_add(1, Ordering::SeqCst);
        "x".repeat(100 * 1024)
    }

    let (till, _comes_in) = till();
    let layer = Idempotency::new().store(MemoryStore::new(64 * 1024));
    let server = serve(App::new(till.clone()).routes(routes![export]).layer(layer));
    let request = format!("POST /export HTTP/1.1\r\nhost: test\r\n{KEY}content-length: 0\r\n\r\n");
    assert_eq!(server.request(request.clone()).status, 200);
    assert_eq!(server.request(request).status, 409);
    assert_eq!(till.paid.load(Ordering::SeqCst), 1);
}

#[cfg(feature = "testing")]
#[test]
fn marker_is_kept_while_its_request_is_executed() {
    #[post("/slow")]
    async fn slow(till: State<Till>) -> &'static str {
        till.paid.fetch_add(1, Ordering::SeqCst);
        till.inside.send(()).expect("the test listens");
        till.release.notified().await;
        "paid"
    }

    let (till, comes_in) = till();
    let client = TestClient::new(App::new(till.clone()).routes(routes![slow]).layer(Idempotency::new()));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| client.post("/slow").header("idempotency-key", "7f9c").send().status());
        comes_in
            .recv_timeout(Duration::from_secs(20))
            .expect("it is carried out");
        // Twice the time after which a marker that is not renewed ends.
        for _ in 0..12 {
            client.advance(Duration::from_secs(10));
        }
        let second = client.post("/slow").header("idempotency-key", "7f9c").send();
        assert_eq!(second.status(), 409);
        till.release.notify_one();
        assert_eq!(first.join().expect("no panic"), 200);
    });
    assert_eq!(till.paid.load(Ordering::SeqCst), 1);
}

/// A store that never responds to a renewal.
#[derive(Clone)]
struct WithoutRenewals;

impl Store for WithoutRenewals {
    type Error = &'static str;

    async fn get(&self, _: &[u8]) -> Result<Option<Bytes>, &'static str> {
        Ok(None)
    }

    async fn replace(&self, _: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> Result<bool, &'static str> {
        if expected.is_some() && value.is_some_and(|value| value.is_pinned) {
            std::future::pending::<()>().await;
        }
        Ok(true)
    }
}

#[cfg(feature = "testing")]
#[test]
fn a_store_that_does_not_respond_to_a_renewal_does_not_stop_the_request() {
    #[post("/slow")]
    async fn slow() -> &'static str {
        // The marker is renewed every 30 s.
        tokio::time::sleep(Duration::from_secs(100)).await;
        "paid"
    }

    let layer = Idempotency::new().store(WithoutRenewals);
    let client = TestClient::new(App::new(()).routes(routes![slow]).layer(layer));
    let call = client.post("/slow").header("idempotency-key", "7f9c").start();
    wait_for(|| client.resources().handlers == 1);
    client.advance(Duration::from_secs(101));
    call.finish().assert_status(200);
}

/// A store in which other requests win each attempt, and in which values expire at once.
#[cfg(feature = "testing")]
#[derive(Clone)]
struct Contended(Arc<AtomicUsize>);

#[cfg(feature = "testing")]
impl Store for Contended {
    type Error = &'static str;

    async fn get(&self, _: &[u8]) -> Result<Option<Bytes>, &'static str> {
        Ok(None)
    }

    async fn replace(&self, _: &[u8], _: Option<&[u8]>, _: Option<Value<'_>>) -> Result<bool, &'static str> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(false)
    }
}

#[cfg(feature = "testing")]
#[test]
fn a_request_that_wins_no_attempt_is_in_progress_elsewhere() {
    let (till, _comes_in) = till();
    let attempts = Arc::new(AtomicUsize::new(0));
    let layer = Idempotency::new().store(Contended(Arc::clone(&attempts)));
    let client = TestClient::new(App::new(till.clone()).routes(routes![pay]).layer(layer));
    let response = client.post("/pay").header("idempotency-key", "7f9c").body("tea").send();
    response.assert_status(409);
    assert!(response.header("retry-after").is_some(), "{response}");
    assert_eq!(till.paid.load(Ordering::SeqCst), 0);
    assert_eq!(attempts.load(Ordering::SeqCst), 8);
}
