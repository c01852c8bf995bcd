//! The client for tests: one suite, in process and over a socket, and what only one of them can do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::TestClient;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::wait_for;

#[derive(Clone, Default)]
struct Watched {
    dropped: Arc<AtomicBool>,
}

#[derive(Serialize, Deserialize)]
struct StoredItem {
    name: String,
    price: u32,
}

#[get("/hello")]
async fn hello() -> &'static str {
    "Hello, World!"
}

#[post("/items")]
async fn create(item: Json<StoredItem>) -> (StatusCode, Json<StoredItem>) {
    (StatusCode::CREATED, item)
}

#[post("/form")]
async fn form(item: Form<StoredItem>) -> Json<StoredItem> {
    Json(item.0)
}

#[get("/search")]
async fn search(item: Query<StoredItem>) -> String {
    format!("{} {}", item.name, item.price)
}

#[get("/token")]
async fn token(request: Request) -> String {
    let value = request.header("authorization").unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

#[get("/cookie/set")]
async fn set_cookie() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("set-cookie", "session=abc; Path=/; Max-Age=60")], "set")
}

#[get("/cookie/show")]
async fn show_cookie(request: Request) -> String {
    String::from_utf8_lossy(request.header("cookie").unwrap_or_default()).into_owned()
}

#[post("/move")]
async fn moved() -> Redirect {
    Redirect::to("/hello")
}

/// Redirects to the reference in the query, or returns the target.
#[get("/lead/{*rest}")]
async fn lead(_rest: Path<String>, request: Request) -> Response {
    match request.query().and_then(|query| query.strip_prefix("to=")) {
        Some(to) => Redirect::to(to.to_owned()).into_response(),
        None => request.uri().to_string().into_response(),
    }
}

#[get("/cookie/long")]
async fn set_long_cookie() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("set-cookie", "long=abc; Path=/; Max-Age=9223372036854775807")], "set")
}

#[post("/echo")]
async fn echo(body: Body) -> Body {
    body
}

#[get("/peer")]
async fn peer(request: Request) -> String {
    request.peer_address().to_string()
}

#[get("/slow")]
async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    "at last"
}

struct OnDrop(Arc<AtomicBool>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Ticks {
    count: u32,
    sleep: std::pin::Pin<Box<tokio::time::Sleep>>,
    _dropped: OnDrop,
}

impl futures_core::Stream for Ticks {
    type Item = Result<String, std::io::Error>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        std::task::ready!(self.sleep.as_mut().poll(context));
        let next = tokio::time::Instant::now() + Duration::from_millis(20);
        self.sleep.as_mut().reset(next);
        self.count += 1;
        std::task::Poll::Ready(Some(Ok(format!("event: tick\ndata: {}\n\n", self.count))))
    }
}

use std::future::Future as _;

#[get("/ticks")]
async fn ticks(watched: State<Watched>) -> ([(&'static str, &'static str); 1], Body) {
    let ticks = Ticks {
        count: 0,
        sleep: Box::pin(tokio::time::sleep(Duration::from_millis(20))),
        _dropped: OnDrop(Arc::clone(&watched.dropped)),
    };
    ([("content-type", "text/event-stream")], Body::from_stream(ticks))
}

fn app() -> App<Watched, Routes<Watched>> {
    let routes = routes![
        hello,
        create,
        form,
        search,
        token,
        set_cookie,
        set_long_cookie,
        show_cookie,
        moved,
        lead,
        echo,
        peer,
        slow,
        ticks
    ];
    App::new(Watched::default()).routes(routes).body_limit(1024 * 1024)
}

/// Runs one suite with both clients.
fn both(suite: impl Fn(TestClient)) {
    suite(TestClient::new(app()));
    suite(TestClient::over_socket(app()));
}

#[cfg(feature = "openapi")]
#[test]
fn the_pages_of_the_application_itself_are_served() {
    for client in [
        TestClient::new(app().docs("/docs")),
        TestClient::over_socket(app().docs("/docs")),
    ] {
        client.get("/docs").send().assert_status(200);
        client.get("/docs/openapi.json").send().assert_status(200);
    }
}

#[test]
fn responses_keep_to_the_rules_of_the_server() {
    both(|client| {
        let response = client.get("/hello").send();
        response
            .assert_status(200)
            .assert_success()
            .assert_text("Hello, World!")
            .assert_text_contains("World")
            .assert_header("content-length", "13");
        assert!(response.header("date").is_some());
        let head = client.head("/hello").send();
        head.assert_status(StatusCode::OK).assert_header("content-length", "13");
        assert!(head.bytes().is_empty());
        assert_eq!(
            client.get("/nothing").send().assert_status(404).problem()["status"],
            404
        );
        client
            .put("/hello")
            .send()
            .assert_status(405)
            .assert_header("allow", "GET, HEAD, OPTIONS");
        client
            .get("/hello")
            .header("x-long", "x".repeat(20_000))
            .send()
            .assert_status(431);
    });
}

#[test]
fn requests_carry_json_forms_queries_and_tokens() {
    both(|client| {
        let item = StoredItem {
            name: "a b".to_owned(),
            price: 7,
        };
        let created = client.post("/items").json(&item).send();
        created.assert_status(201).assert_json(&item);
        created.assert_json_contains(&json!({ "price": 7 }));
        assert_eq!(created.json::<StoredItem>().price, 7);
        client.post("/form").form(&item).send().assert_json(&item);
        client.get("/search").query(&item).send().assert_text("a b 7");
        client.get("/token").bearer("t").send().assert_text("Bearer t");
        client
            .clone()
            .with_bearer("u")
            .get("/token")
            .send()
            .assert_text("Bearer u");
        client.post("/items").text("x").send().assert_status(415);
    });
}

#[test]
fn structs_in_structs_are_written_as_extractors_read_them() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Parcel {
        address: Destination,
        stops: Vec<Destination>,
        tags: Vec<String>,
        note: Option<String>,
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Destination {
        city: String,
    }

    #[post("/parcel")]
    async fn echo(Form(parcel): Form<Parcel>) -> Form<Parcel> {
        Form(parcel)
    }

    #[get("/parcel")]
    async fn find(Query(parcel): Query<Parcel>) -> Json<Parcel> {
        Json(parcel)
    }

    let to = |city: &str| Destination { city: city.to_owned() };
    let parcel = Parcel {
        address: to("S\u{e3}o Paulo"),
        stops: vec![to("a&b"), to("c")],
        tags: vec!["x".to_owned(), "y z".to_owned()],
        note: None,
    };
    let client = TestClient::new(App::new(()).routes(routes![echo, find]));
    let response = client.post("/parcel").form(&parcel).send();
    let form = response.assert_status(200).text();
    assert!(form.starts_with("address%5Bcity%5D=S%C3%A3o+Paulo&stops%5B0%5D%5Bcity%5D=a%26b&"));
    client.get("/parcel").query(&parcel).send().assert_json(&parcel);
    // The response is the form of the request.
    let query = format!("/parcel?{form}");
    client.get(&query).send().assert_json(&parcel);
    client
        .get("/parcel")
        .query(&[("address[city]", "x"), ("stops[0][city]", "y"), ("tags", "z")])
        .send()
        .assert_status(200);
}

#[test]
fn cookies_are_kept_for_one_client_and_not_for_another() {
    both(|client| {
        client.get("/cookie/set").send();
        assert_eq!(client.cookie("session").as_deref(), Some("abc"));
        let shown = client.get("/cookie/show").cookie("own", "1").send();
        shown.assert_text("session=abc; own=1");
        client.another().get("/cookie/show").send().assert_text("");
        client.clear_cookies();
        client.get("/cookie/show").send().assert_text("");
    });
}

#[test]
fn redirects_are_followed_when_asked() {
    both(|client| {
        client.post("/move").send().assert_status(303);
        let response = client.follow_redirects().post("/move").json(&1).send();
        response.assert_status(200).assert_text("Hello, World!");
    });
}

/// RFC 3986, section 5.2.
#[test]
fn awaited_request_that_fails_names_its_line_of_the_test() {
    #[get("/endless")]
    async fn endless() -> Redirect {
        Redirect::permanent("/endless")
    }
    let client = TestClient::new(App::new(()).routes(routes![endless])).follow_redirects();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let awaited = || runtime.block_on(async { client.get("/endless").await });
    let line = line!() - 1;
    let panic = catch_unwind(AssertUnwindSafe(awaited)).expect_err("the redirects have no end");
    let message = panic.downcast::<String>().expect("a message");
    assert!(message.contains("more than 10 redirects"), "{message}");
    assert!(message.contains(&format!("{}:{line}:", file!())), "{message}");
}

#[test]
fn relative_references_of_redirects_are_resolved() {
    both(|client| {
        let client = client.follow_redirects();
        for (target, to, resolved) in [
            ("/lead/a", "./a/", "/lead/a/"),
            ("/lead/a/", "../a", "/lead/a"),
            ("/lead/a/b", "./c:d", "/lead/a/c:d"),
            ("/lead/a/b", "?c=d/../e", "/lead/a/b?c=d/../e"),
            ("/lead/a/b", "c?d/./e", "/lead/a/c?d/./e"),
            ("/lead/a/b", "../../../lead/c", "/lead/c"),
            ("/lead/a/b", "/./lead/c/../d/.", "/lead/d/"),
            ("/lead/a/b", "..c/d../.../%2E%2E", "/lead/a/..c/d../.../%2E%2E"),
            ("/lead/a//b", "../c", "/lead/a/c"),
            ("/lead/a/b", "//localhost/lead/../lead/c", "/lead/c"),
            ("/lead/a/b", "http://localhost/lead/c?d", "/lead/c?d"),
        ] {
            let response = client.get(&format!("{target}?to={to}")).send();
            response.assert_status(200).assert_text(resolved);
        }
        for elsewhere in [
            "http://localhost.example/lead/a",
            "//example.com/lead/a",
            "https://localhost/lead/a",
            "lead:a",
        ] {
            client.get(&format!("/lead/a?to={elsewhere}")).send().assert_status(303);
        }
    });
}

#[test]
fn a_cookie_whose_end_no_clock_shows_is_kept() {
    both(|client| {
        client.get("/cookie/long").send();
        assert_eq!(client.cookie("long").as_deref(), Some("abc"));
    });
}

#[test]
fn bodies_of_any_size_are_returned_and_too_long_ones_are_refused() {
    both(|client| {
        let body = vec![b'x'; 1024 * 1024];
        assert_eq!(
            client
                .post("/echo")
                .body(body.clone())
                .send()
                .assert_status(200)
                .bytes(),
            body
        );
        client
            .post("/echo")
            .body(vec![b'x'; 1024 * 1024 + 1])
            .send()
            .assert_status(413);
    });
}

#[test]
fn an_upload_is_answered_while_it_continues() {
    both(|client| {
        let mut upload = client.post("/echo").upload();
        assert!(upload.piece("first ") && upload.piece("second"));
        upload.finish().assert_text("first second");
        client.post("/echo").upload().disconnect();
        client.get("/hello").send().assert_status(200);
    });
}

#[test]
fn events_are_read_one_by_one_and_a_client_that_goes_ends_the_stream() {
    let suite = |client: fn(App<Watched, Routes<Watched>>) -> TestClient| {
        let watched = Watched::default();
        let dropped = Arc::clone(&watched.dropped);
        let client = client(App::new(watched).routes(routes![ticks, hello]));
        let mut stream = client.get("/ticks").stream();
        stream.head().assert_header("content-type", "text/event-stream");
        for count in 1..4 {
            let event = stream.event().expect("the stream continues");
            assert_eq!((event.event, event.data), ("tick".to_owned(), count.to_string()));
        }
        stream.disconnect();
        let until = std::time::Instant::now() + Duration::from_secs(30);
        while !dropped.load(Ordering::SeqCst) {
            assert!(std::time::Instant::now() < until, "the stream is not dropped");
            client.get("/hello").send();
        }
    };
    suite(TestClient::new);
    suite(TestClient::over_socket);
}

#[test]
fn reset_ends_the_connection_and_its_handler() {
    for client in [TestClient::new, TestClient::over_socket] {
        let client = client(App::new(Watched::default()).routes(routes![ticks, hello]));
        for (bytes, expected) in [("GET /he", 0), ("GET /ticks HTTP/1.1\r\nhost: a\r\n\r\n", 1)] {
            let mut connection = client.connect();
            assert!(connection.send(bytes));
            wait_for(|| client.handle().statistics().received_bytes >= bytes.len() as u64);
            connection.reset();
            wait_for(|| client.handle().statistics().open_connections == 0);
            assert_eq!(client.handle().statistics().requests, expected);
        }
    }
}

#[test]
fn resources_are_those_in_use() {
    let client = TestClient::new(app());
    let mut connection = client.connect();
    assert!(connection.send("GET /hello HTTP/1.1\r\nhost: a\r\n\r\n"));
    wait_for(|| client.resources().idle_connections == 1);
    assert_eq!(client.resources().buffer_bytes, 0);
    assert!(connection.send("GET /he"));
    wait_for(|| client.resources().buffer_bytes >= 7);
    assert_eq!(client.resources().idle_connections, 0);
    drop(connection);
    let slow = client.get("/slow").start();
    wait_for(|| client.resources().handlers == 1);
    client.advance(Duration::from_secs(3601));
    slow.finish();
    wait_for(|| client.resources() == Default::default());
}

#[test]
fn a_request_can_be_awaited() {
    both(|client| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(async { client.get("/hello").await.assert_text("Hello, World!").status() });
    });
}

#[test]
fn clock_advances_only_on_request() {
    let client = TestClient::new(app());
    let call = client.get("/slow").start();
    client.get("/hello").send();
    client.advance(Duration::from_secs(3601));
    call.finish().assert_text("at last");
}

#[test]
fn waiting_is_skipped_when_asked() {
    let client = TestClient::new(app()).skip_waiting();
    client.get("/slow").send().assert_text("at last");
    client.get("/hello").send().assert_status(200);
    client.get("/slow").send().assert_text("at last");
}

#[test]
fn a_cookie_expires_by_the_clock_of_the_application() {
    let client = TestClient::new(app());
    client.get("/cookie/set").send();
    client.advance(Duration::from_secs(50));
    client.get("/cookie/show").send().assert_text("session=abc");
    client.advance(Duration::from_secs(50));
    client.get("/cookie/show").send().assert_text("");
}

#[test]
fn the_deadlines_of_the_server_hold_in_process() {
    let client = TestClient::new(app());
    let mut upload = client.post("/echo").upload();
    assert!(upload.piece("begun"));
    client.get("/hello").send();
    client.advance(Duration::from_secs(60));
    let broken = upload.end().stream();
    assert!(broken.is_incomplete(), "the echo of a body that comes too slowly ends");
}

#[test]
fn the_address_of_the_peer_can_be_chosen() {
    let client = TestClient::new(app()).with_peer_address(([192, 0, 2, 7], 1234));
    client.get("/peer").send().assert_text("192.0.2.7:1234");
}

fn message(fails: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(fails)).expect_err("an assertion fails");
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => (*panic.downcast::<&str>().expect("a text")).to_owned(),
    }
}

#[test]
fn failed_assertion_shows_the_difference_and_the_response() {
    let client = TestClient::new(app());
    let response = client.post("/items").json(&json!({ "name": "a", "price": 7 })).send();
    let said = message(|| {
        response.assert_json(&json!({ "name": "b", "price": 7, "id": 1 }));
    });
    assert!(said.starts_with("POST /items: the JSON differs:\n"), "{said}");
    assert!(said.contains("$.name: expected \"b\", found \"a\""), "{said}");
    assert!(said.contains("$.id: expected 1, found nothing"), "{said}");
    assert!(said.contains("201 Created") && said.contains("\"price\": 7"), "{said}");
    let said = message(|| {
        response.assert_status(200);
    });
    assert!(said.contains("expected the status 200, found 201 Created"), "{said}");
    let said = message(|| {
        response.assert_header("location", "/x");
    });
    assert!(
        said.contains("location: expected \"/x\", found no such field"),
        "{said}"
    );
}

#[test]
fn in_process_methods_panic_over_a_socket_with_the_reason() {
    let client = TestClient::over_socket(app());
    let said = message(|| client.advance(Duration::from_secs(1)));
    assert_eq!(
        said,
        "the clock can be advanced only in process: create the client with TestClient::new"
    );
}
