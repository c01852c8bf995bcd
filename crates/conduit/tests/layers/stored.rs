//! Layers that keep something in a store: limits on rates, keys of idempotency.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use conduit::layer::{Idempotency, MemoryStore, RateLimit, Store};
use conduit::prelude::*;
#[cfg(feature = "testing")]
use conduit::testing::TestClient;
use tokio::sync::Notify;

use crate::request;
use crate::support::{Response as Received, Running, serve};

#[get("/")]
async fn home() -> &'static str {
    "home"
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_client_that_sends_too_much_is_told_when_to_come_back() {
    let server = serve(App::new(()).routes(routes![home]).layer(RateLimit::new(3, HOUR)));
    for left in ["2", "1", "0"] {
        let answer = server.get("/");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=3;w=3600"));
        let rest = answer.header("ratelimit").expect("a field");
        assert!(rest.starts_with(&format!("\"default\";r={left};t=")), "{rest}");
    }
    let refused = server.get("/");
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused
        .header("retry-after")
        .expect("a field")
        .parse()
        .expect("a number");
    assert!((1000..=1200).contains(&seconds), "{seconds}");
    assert_eq!(
        refused.problem()["detail"],
        format!("3 requests in 3600s are allowed; the next is in {seconds} s")
    );
}

#[test]
fn each_key_has_a_budget_of_its_own() {
    let server = serve(
        App::new(())
            .routes(routes![home])
            .layer(RateLimit::new(1, HOUR).by_header("x-api-key")),
    );
    let by = |key: &str| server.request(request("GET", "/", &[("x-api-key", key)])).status;
    assert_eq!([by("a"), by("a"), by("b"), by("b")], [200, 429, 200, 429]);
    assert_eq!([server.get("/").status, server.get("/").status], [200, 429]);
}

#[test]
fn requests_without_a_key_are_not_counted() {
    let limit = RateLimit::new(1, HOUR).by(|request| request.query().map(str::to_owned));
    let server = serve(App::new(()).routes(routes![home]).layer(limit));
    let statuses = ["/", "/", "/?u=1", "/?u=1"].map(|target| server.get(target).status);
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[cfg(feature = "testing")]
#[test]
fn a_budget_refills_as_the_clock_goes_on() {
    let limit = RateLimit::new(2, Duration::from_secs(60));
    let client = TestClient::new(App::new(()).routes(routes![home]).layer(limit));
    let three = || [(); 3].map(|()| client.get("/").send().status().as_u16());
    assert_eq!(three(), [200, 200, 429]);
    client.advance(Duration::from_secs(120));
    assert_eq!(three(), [200, 200, 429]);
    // Half of the period gives half of the budget; some real time passes too.
    client.advance(Duration::from_secs(31));
    assert_eq!(three(), [200, 429, 429]);
}

#[cfg(feature = "testing")]
#[test]
fn an_answer_is_forgotten_when_its_time_is_over() {
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

/// A store that fails.
#[derive(Clone)]
struct Broken;

impl Store for Broken {
    type Error = &'static str;

    async fn get(&self, _: &[u8]) -> Result<Option<Bytes>, &'static str> {
        Err("the database is away")
    }

    async fn replace(&self, _: &[u8], _: Option<&[u8]>, _: Option<&[u8]>, _: Duration) -> Result<bool, &'static str> {
        Err("the database is away")
    }
}

#[test]
fn a_rate_limit_without_its_store_lets_everything_through() {
    let server = serve(
        App::new(())
            .routes(routes![home])
            .layer(RateLimit::new(1, HOUR).store(Broken)),
    );
    assert_eq!([server.get("/").status, server.get("/").status], [200, 200]);
}

/// Counts how often something was carried out, and holds it back if it is to.
#[derive(Clone)]
struct Till {
    paid: Arc<AtomicUsize>,
    inside: mpsc::Sender<()>,
    release: Arc<Notify>,
}

#[post("/pay")]
async fn pay(till: State<Till>, order: String) -> Result<Created<String>, Problem> {
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

fn till() -> (Till, mpsc::Receiver<()>) {
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

fn order(key: &str, credentials: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /pay HTTP/1.1\r\nhost: test\r\n{key}authorization: {credentials}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

const KEY: &str = "idempotency-key: \"7f9c\"\r\n";

fn is_replay(answer: &Received) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

#[test]
fn a_request_that_is_sent_again_has_the_answer_of_the_first() {
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
fn a_key_is_for_one_request() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new());
    assert_eq!(server.request(order(KEY, "ann", "tea")).status, 201);
    let other = server.request(order(KEY, "ann", "coffee"));
    assert_eq!(other.status, 422);
    assert_eq!(
        other.problem()["detail"],
        "the idempotency-key was sent before with another request: send a new one"
    );
}

#[test]
fn a_request_is_refused_while_the_same_is_carried_out() {
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
fn a_request_that_failed_is_carried_out_again() {
    let (till, _comes_in) = till();
    let server = paying(&till, Idempotency::new());
    assert_eq!(server.request(order(KEY, "ann", "fails")).status, 502);
    assert_eq!(server.request(order(KEY, "ann", "fails")).status, 502);
    assert_eq!(till.paid.load(Ordering::SeqCst), 2);
}

#[test]
fn a_key_can_be_required_and_must_be_one() {
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
fn nothing_is_carried_out_twice_for_want_of_a_store() {
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
