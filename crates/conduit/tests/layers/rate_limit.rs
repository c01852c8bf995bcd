//! Limits on rates.

use std::time::Duration;

use conduit::Client;
use conduit::layer::{Budget, MemoryStore, RateLimit, Store, Value};
use conduit::prelude::*;
#[cfg(feature = "testing")]
use conduit::testing::TestClient;

use super::stored::{Broken, name, sign_in};
use crate::request;
use crate::support::{serve, start};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

#[get("/")]
pub(super) async fn home() -> &'static str {
    "home"
}

#[test]
fn client_beyond_its_budget_receives_429_with_retry_after() {
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
        format!("at most 3 requests in 3600s are allowed: try again in {seconds} s")
    );
}

/// The window of the policy has whole seconds. A shorter one than the period would announce a larger budget.
#[test]
fn announced_window_is_not_shorter_than_the_period() {
    for (millis, window) in [(1, 1), (500, 1), (1000, 1), (1001, 2), (1500, 2), (2000, 2)] {
        let limit = RateLimit::new(5, Duration::from_millis(millis));
        let server = serve(App::new(()).routes(routes![home]).layer(limit));
        let policy = format!("\"default\";q=5;w={window}");
        assert_eq!(
            server.get("/").header("ratelimit-policy"),
            Some(&*policy),
            "{millis} ms"
        );
    }
}

#[test]
fn each_key_has_a_separate_budget() {
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
fn each_user_has_a_separate_budget_from_any_address() {
    let routes = routes![
        #[layer(sign_in, RateLimit::new(1, HOUR).by_provided(name))]
        home
    ];
    let server = serve(App::new(()).routes(routes).trusted_proxies(["127.0.0.1"]));
    let by = |user: &str, address: &str| {
        let fields = [("x-user", user), ("x-forwarded-for", address)];
        server.request(request("GET", "/", &fields)).status
    };
    assert_eq!([by("ann", "192.0.2.1"), by("ann", "192.0.2.2")], [200, 429]);
    assert_eq!([by("bob", "192.0.2.1"), by("bob", "192.0.2.1")], [200, 429]);
    // Without a user the key is the address, which differs from every user name.
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
fn behind_a_proxy_each_client_has_a_separate_budget() {
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
        // An IPv6 subscriber has a /64 network.
        assert_eq!(["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(from), [200, 200, 429]);
        assert_eq!(from("2001:db8:0:1::1"), 200);
        // Clients without a forwarded address share one budget.
        assert_eq!(["unknown", "hidden", "unknown"].map(from), [200, 200, 429]);
    }
}

#[test]
fn forwarding_fields_are_ignored_without_a_trusted_proxy() {
    let server = serve(App::new(()).routes(routes![home]).layer(RateLimit::new(1, HOUR)));
    let from = |client: &str| {
        server
            .request(request("GET", "/", &[("x-forwarded-for", client)]))
            .status
    };
    assert_eq!([from("203.0.113.1"), from("203.0.113.2")], [200, 429]);
}

#[test]
fn a_proxy_header_selects_the_budget() {
    let app = App::new(()).routes(routes![home]).layer(RateLimit::new(1, HOUR));
    let server = serve(app.proxy_protocol(["127.0.0.1"]));
    let from = |client: &str| {
        let header = format!("PROXY TCP4 {client} 198.51.100.1 56324 443\r\n");
        server.request(header + &request("GET", "/", &[])).status
    };
    assert_eq!(["192.0.2.7", "192.0.2.7", "192.0.2.8"].map(from), [200, 429, 200]);
}

#[test]
fn a_custom_key_can_use_the_client() {
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
fn a_local_user_has_one_budget_over_a_unix_socket_and_shares_none_with_the_network() {
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
fn a_budget_refills_with_time() {
    let limit = RateLimit::new(2, Duration::from_secs(60));
    let client = TestClient::new(App::new(()).routes(routes![home]).layer(limit));
    let three = || [(); 3].map(|()| client.get("/").send().status().as_u16());
    assert_eq!(three(), [200, 200, 429]);
    client.advance(Duration::from_secs(120));
    assert_eq!(three(), [200, 200, 429]);
    // Half of the period refills half of the budget; some real time passes, too.
    client.advance(Duration::from_secs(31));
    assert_eq!(three(), [200, 429, 429]);
}

#[test]
fn a_rate_limit_without_its_store_permits_all_requests() {
    let server = serve(
        App::new(())
            .routes(routes![home])
            .layer(RateLimit::new(1, HOUR).store(Broken)),
    );
    assert_eq!([server.get("/").status, server.get("/").status], [200, 200]);
}

/// A store without `take`, in which other requests run between two steps.
#[derive(Clone, Default)]
struct Stepwise(MemoryStore);

impl Store for Stepwise {
    type Error = <MemoryStore as Store>::Error;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Self::Error> {
        let found = self.0.get(key).await;
        tokio::task::yield_now().await;
        found
    }

    async fn replace(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<Value<'_>>,
    ) -> Result<bool, Self::Error> {
        self.0.replace(key, expected, value).await
    }
}

/// The ninth of several requests that read at once was rejected.
#[test]
fn concurrent_requests_take_from_a_store_by_several_steps() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let (store, budget) = (
        Stepwise::default(),
        Budget {
            requests: 1000,
            period: HOUR,
        },
    );
    let accepted = tokio::task::LocalSet::new().block_on(&runtime, async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let store = store.clone();
            tasks.spawn_local(async move { store.take(b"hot", budget).await.expect("it has room").is_accepted });
        }
        tasks.join_all().await
    });
    assert_eq!(accepted, [true; 50]);
}
