//! Layers that keep something in a store: limits on rates, keys of idempotency.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use conduit::Client;
#[cfg(feature = "compression")]
use conduit::layer::Compression;
use conduit::layer::{Idempotency, MemoryStore, Preconditions, RateLimit, Store, Value};
use conduit::prelude::*;
#[cfg(feature = "testing")]
use conduit::testing::TestClient;
use tokio::sync::Notify;

use crate::request;
use crate::support::{Response as Received, Running, serve, start};

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

/// The user that a guard has identified.
#[derive(Clone)]
struct User(String);

async fn sign_in(mut request: Request, next: Next) -> Response {
    let user = request
        .header("x-user")
        .map(|user| User(String::from_utf8_lossy(user).into_owned()));
    if let Some(user) = user {
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}

#[test]
fn each_user_has_a_budget_of_its_own_wherever_it_comes_from() {
    let limit = RateLimit::new(1, HOUR).by_extension(|user: &User| user.0.clone());
    // The one that is added last meets the request first.
    let app = App::new(()).routes(routes![home]).layer(limit).layer(sign_in);
    let server = serve(app.trusted_proxies(["127.0.0.1"]));
    let by = |user: &str, address: &str| {
        let fields = [("x-user", user), ("x-forwarded-for", address)];
        server.request(request("GET", "/", &fields)).status
    };
    assert_eq!([by("ann", "192.0.2.1"), by("ann", "192.0.2.2")], [200, 429]);
    assert_eq!([by("bob", "192.0.2.1"), by("bob", "192.0.2.1")], [200, 429]);
    // Without a user the address counts, and differs from every user name.
    let from = |address: &str| {
        server
            .request(request("GET", "/", &[("x-forwarded-for", address)]))
            .status
    };
    assert_eq!(
        [from("192.0.2.1"), from("192.0.2.1"), from("192.0.2.2")],
        [200, 429, 200]
    );
    assert_eq!(by("192.0.2.1", "192.0.2.1"), 200);
}

#[test]
fn behind_a_proxy_each_client_has_a_budget_of_its_own() {
    for limit in [RateLimit::new(2, HOUR), RateLimit::new(2, HOUR).by_header("x-api-key")] {
        let app = App::new(()).routes(routes![home]).layer(limit);
        let server = serve(app.trusted_proxies(["127.0.0.1"]));
        let from = |client: &str| {
            server
                .request(request("GET", "/", &[("x-forwarded-for", client)]))
                .status
        };
        assert_eq!(["203.0.113.1"; 3].map(from), [200, 200, 429]);
        assert_eq!(["203.0.113.99"; 3].map(from), [200, 200, 429]);
        // The client's value is to the left of the proxy's.
        assert_eq!(from("198.51.100.7, 203.0.113.1"), 429);
        // A subscriber has 64 bits of addresses.
        assert_eq!(["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(from), [200, 200, 429]);
        assert_eq!(from("2001:db8:0:1::1"), 200);
        // Clients without a forwarded address share one budget.
        assert_eq!(["unknown", "hidden", "unknown"].map(from), [200, 200, 429]);
    }
}

#[test]
fn without_a_trusted_proxy_nobody_is_believed_who_he_is() {
    let server = serve(App::new(()).routes(routes![home]).layer(RateLimit::new(1, HOUR)));
    let from = |client: &str| {
        server
            .request(request("GET", "/", &[("x-forwarded-for", client)]))
            .status
    };
    assert_eq!([from("203.0.113.1"), from("203.0.113.2")], [200, 429]);
}

#[test]
fn a_proxy_header_names_whose_budget_it_is() {
    let app = App::new(()).routes(routes![home]).layer(RateLimit::new(1, HOUR));
    let server = serve(app.proxy_protocol(["127.0.0.1"]));
    let from = |client: &str| {
        let header = format!("PROXY TCP4 {client} 198.51.100.1 56324 443\r\n");
        server.request(header + &request("GET", "/", &[])).status
    };
    assert_eq!(["192.0.2.7", "192.0.2.7", "192.0.2.8"].map(from), [200, 429, 200]);
}

#[test]
fn a_key_of_ones_own_can_ask_for_the_client() {
    let limit = RateLimit::new(1, HOUR).by(|request| {
        let client = Client::of(request);
        Some(format!("{:?} of {}", client.address(), client.host().unwrap_or("-")))
    });
    let server = serve(
        App::new(())
            .routes(routes![home])
            .layer(limit)
            .trusted_proxies(["127.0.0.1"]),
    );
    let from = |client: &str, host: &str| {
        let fields = [("x-forwarded-for", client), ("x-forwarded-host", host)];
        server.request(request("GET", "/", &fields)).status
    };
    assert_eq!([from("192.0.2.1", "a"), from("192.0.2.1", "a")], [200, 429]);
    assert_eq!([from("192.0.2.2", "a"), from("192.0.2.1", "b")], [200, 200]);
}

#[test]
fn requests_without_a_key_are_not_counted() {
    let limit = RateLimit::new(1, HOUR).by(|request| request.query().map(str::to_owned));
    let server = serve(App::new(()).routes(routes![home]).layer(limit));
    let statuses = ["/", "/", "/?u=1", "/?u=1"].map(|target| server.get(target).status);
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_user_of_the_machine_has_one_budget_over_a_unix_socket_and_shares_none_with_the_network() {
    use std::io::{Read, Write};
    let path = std::env::temp_dir().join(format!("conduit-limited-{}", std::process::id()));
    let app = App::new(())
        .routes(routes![home])
        .layer(RateLimit::new(1, HOUR))
        .workers(1);
    let server = start(
        app.listen(["127.0.0.1:0", &format!("unix:{}", path.display())])
            .expect("both"),
    );
    let status = || {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("the server accepts");
        let text = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        stream.write_all(text.as_bytes()).expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split(' ').nth(1).expect("a status").to_owned()
    };
    assert_eq!([status(), status()], ["200", "429"]);
    assert_eq!(server.get("/").status, 200);
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

    async fn replace(&self, _: &[u8], _: Option<&[u8]>, _: Option<Value<'_>>) -> Result<bool, &'static str> {
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
fn clients_who_sign_in_by_cookie_do_not_share_their_keys() {
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
    // A field of one name that comes twice has more than its first line.
    let twice = |second: &str| by(&format!("x\r\ncookie: session={second}"));
    assert_eq!(
        [twice("ann"), twice("bob")].map(|answer| answer.text().to_owned()),
        ["tea 3", "tea 4"]
    );
}

#[test]
fn a_key_can_belong_to_a_user_whose_cookies_change() {
    let (till, _comes_in) = till();
    let layer = Idempotency::new().owned_by_extension(|user: &User| user.0.clone());
    let app = App::new(till.clone()).routes(routes![pay]).layer(layer).layer(sign_in);
    let server = serve(app);
    let by = |user: &str, cookie: &str| {
        let fields = format!("{KEY}{user}cookie: seen={cookie}\r\n");
        server.request(order(&fields, "staging", "tea")).text().to_owned()
    };
    assert_eq!(
        [by("x-user: ann\r\n", "1"), by("x-user: ann\r\n", "2")],
        ["tea 1", "tea 1"]
    );
    assert_eq!(by("x-user: bob\r\n", "2"), "tea 2");
    // Without a user the credentials are the owner.
    assert_eq!([by("", "1"), by("", "2"), by("", "1")], ["tea 3", "tea 4", "tea 3"]);
}

#[test]
fn what_is_stored_is_the_same_in_every_build() {
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

/// A refusal because of a header field carries nothing out: the corrected request is carried out with the same key.
#[test]
fn a_request_that_was_refused_for_a_header_field_is_carried_out_when_corrected() {
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

    // A server for each target, since they have one key.
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
    // The result of an order is stored, a bad one too.
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
fn a_replay_is_in_a_coding_that_its_client_reads() {
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

#[test]
fn request_that_runs_while_others_fill_the_store_is_carried_out_once() {
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
fn owner_that_fills_the_store_displaces_no_answer_of_another() {
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
    // The first of the flood has made room for the last.
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
fn request_whose_answer_has_no_room_is_carried_out_once() {
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
fn marker_is_kept_for_as_long_as_its_request_is_carried_out() {
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
