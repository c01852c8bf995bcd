//! The client in Rust, compiled as a part of this test and run against a server: an event stream across a restart, pages, forms with
//! files, and cookies.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use conduit::events::{Event, Events, LastEventId};
use conduit::extract::{Paged, Paging};
use conduit::openapi::Info;
use conduit::prelude::*;
use conduit::{Auth, Authenticate, Bearer, CookieValues, MultipartForm, UploadedFile};

use crate::support::{Running, start, wait_for};

use printed::{
    Client, FormParts, RustRunsItemOrder, RustRunsLogInput, RustRunsLogReply, RustRunsLookInput, RustRunsLookReply,
    RustRunsNumbersInput, RustRunsNumbersInputNumber, RustRunsOrderInput, RustRunsOrderReply, RustRunsOrderedItem,
    RustRunsPictureInput, RustRunsPictureReply,
};

#[rustfmt::skip]
#[allow(dead_code, unreachable_pub, reason = "it is the source of a library")]
#[path = "rust_client.txt"]
mod printed;

/// A log of events, which outlives its servers.
#[derive(Clone)]
struct Log {
    /// The last event that this server sends.
    last: u32,
    sent: Arc<AtomicU32>,
}

#[derive(serde::Serialize, JsonSchema)]
struct Entry {
    number: u32,
}

/// The events after the last one of the client.
#[get("/log")]
async fn log(after: LastEventId, log: State<Log>) -> Events<Entry> {
    let first = after.parse().unwrap_or(0) + 1;
    let events = Events::generate(async move |events| {
        for number in first..=log.last {
            events.send(Event::new(Entry { number }).id(number)).await?;
            log.sent.store(number, Relaxed);
        }
        events.closed().await;
        Ok::<_, conduit::BoxError>(())
    });
    events.retry(Duration::from_millis(10))
}

/// A request with effects, whose response is a stream.
#[post("/ask")]
async fn ask() -> Events<Entry> {
    Events::generate(async move |events| events.send(Event::new(Entry { number: 1 })).await)
}

#[derive(serde::Deserialize, JsonSchema)]
struct NumberFilter {
    #[serde(default)]
    parity: Vec<u32>,
    #[serde(default)]
    number: Bounds,
}

#[derive(Default, serde::Deserialize, JsonSchema)]
struct Bounds {
    gte: Option<u32>,
    lt: Option<u32>,
}

/// The numbers up to 5.
#[get("/numbers")]
fn numbers(paging: Paging<u32, 2>, filter: Query<NumberFilter>) -> Paged<Entry> {
    let NumberFilter { parity, number } = &filter.0;
    let first = paging.cursor().map_or(1, |last| last + 1);
    let numbers = (first..=5).filter(|n| number.gte.is_none_or(|first| *n >= first));
    let numbers = numbers.filter(|n| number.lt.is_none_or(|end| *n < end));
    let numbers = numbers.filter(|n| parity.is_empty() || parity.contains(&(n % 2)));
    let numbers = numbers.take(paging.rows()).map(|number| Entry { number });
    paging.page(numbers.collect(), |last| last.number)
}

#[derive(serde::Deserialize, JsonSchema)]
struct Picture {
    title: String,
    picture: UploadedFile,
}

#[post("/pictures")]
fn picture(form: MultipartForm<Picture>) -> String {
    let Picture { title, picture } = form.0;
    format!(
        "{title}: {:?}, {} bytes of {:?}",
        picture.file_name(),
        picture.len(),
        picture.content_type()
    )
}

#[derive(serde::Deserialize, JsonSchema)]
struct Look {
    theme: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
}

#[get("/look")]
fn look(look: CookieValues<Look>, all: HeaderMap) -> String {
    let sent = all.get("cookie").and_then(|value| value.to_str().ok());
    format!("{:?} {:?} of {sent:?}", look.0.theme, look.0.columns)
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
struct ItemOrder {
    items: Vec<OrderedItem>,
    total: u128,
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
struct OrderedItem {
    id: u32,
    colours: Vec<String>,
}

#[post("/orders")]
fn order(order: Form<ItemOrder>, user: Auth<OrderUser>) -> String {
    let items = order.items.iter().map(|item| format!("{} {:?}", item.id, item.colours));
    let items = items.collect::<Vec<_>>().join(", ");
    format!("{items}, {} for {}", order.total, user.0.0)
}

struct OrderUser(String);

impl<S> Authenticate<S> for OrderUser {
    type Credentials = Bearer;

    async fn authenticate(bearer: Bearer, _: &S) -> Result<Self, Problem> {
        Ok(OrderUser(bearer.token.reveal().to_owned()))
    }
}

const ROUTES: Routes<Log> = routes![log, ask, numbers, picture, look, order];

fn serve(address: &str, last: u32) -> (Running, Arc<AtomicU32>) {
    let sent = Arc::default();
    let state = Log {
        last,
        sent: Arc::clone(&sent),
    };
    let server = App::new(state).routes(ROUTES).workers(1).listen(address);
    (start(server.expect("the port is free")), sent)
}

#[test]
fn compiled_client_is_the_printed_one() {
    crate::assert_golden("rust_client.txt", &ROUTES.openapi(Info::new("runs", "1")).rust());
}

fn block_on(future: impl Future<Output = Result<(), printed::Error>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future).expect("each response is documented");
}

/// The events of the log at this address.
async fn follow(address: String) -> Result<printed::Events<printed::RustRunsEntry>, printed::Error> {
    let client = Client::new(address, reqwest::Client::new());
    let stream = printed::rust_runs_log(&client, &RustRunsLogInput::default()).await?;
    let RustRunsLogReply::Status200(events) = stream.body else {
        panic!("{stream:?}")
    };
    Ok(events)
}

#[test]
fn stream_of_events_continues_after_a_restart_without_a_gap() {
    let (first, sent) = serve("127.0.0.1:0", 1000);
    let address = first.address.to_string();
    let base = format!("http://{address}");
    let client = std::thread::spawn(move || {
        block_on(async {
            let mut events = follow(base).await?;
            for expected in 1..=2000 {
                let event = events.next().await?.expect("an event");
                assert_eq!((event.id, event.data.number), (expected.to_string(), expected));
            }
            Ok(())
        });
    });
    wait_for(|| sent.load(Relaxed) >= 100);
    // The connection closes, at any place of an event.
    drop(first);
    let (_second, _) = serve(&address, 2000);
    client.join().expect("all events arrive");
}

/// Serves these answers, each on a connection that it then closes, and returns the address and the requests. Each answer announces the
/// close: the pool of the client would keep the connection, and its timer moves a paused clock.
fn answers(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let serve = move || {
        let mut requests = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                request.push(byte[0]);
            }
            requests.push(String::from_utf8(request).expect("ASCII"));
            let answer = answer.replacen("\r\n", "\r\nconnection: close\r\n", 1);
            stream.write_all(answer.as_bytes()).expect("the client reads");
        }
        requests
    };
    (address, std::thread::spawn(serve))
}

#[test]
fn event_that_is_incomplete_is_requested_again() {
    let (address, server) = answers(&[
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1\n\nid: 1\ndata: {\"number\":1}\n\nid: 2\ndata: {\"num",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nid: 2\r\ndata: {\"number\":2}\r\n\r\nid: 3\n",
        // An event without data counts.
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nid: 3\rdata: {\"number\":3}\r\rid: 4\n\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]);
    block_on(async {
        let mut events = follow(address).await?;
        let mut found = Vec::new();
        while let Some(event) = events.next().await? {
            found.push((event.id, event.data.number));
        }
        let expected = [("1", 1), ("2", 2), ("3", 3)].map(|(id, number)| (id.to_owned(), number));
        assert_eq!(found, expected);
        assert!(events.next().await?.is_none(), "the end is the end");
        Ok(())
    });
    let requests = server.join().expect("each answer is read");
    let resumed = requests.iter().map(|request| {
        let last = request.lines().find_map(|line| line.strip_prefix("last-event-id: "));
        last.map(str::to_owned)
    });
    let expected = [None, Some("1"), Some("1"), Some("2"), Some("4")].map(|id| id.map(str::to_owned));
    assert_eq!(resumed.collect::<Vec<_>>(), expected);
}

#[test]
fn stream_that_the_server_rejects_to_continue_is_an_error() {
    let (address, _server) = answers(&[
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1\n\n",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
    ]);
    block_on(async {
        let mut events = follow(address).await?;
        let end = events.next().await;
        assert!(
            matches!(end, Err(printed::Error::Unexpected { status: 404, .. })),
            "{end:?}"
        );
        Ok(())
    });
}

#[test]
fn stream_of_a_post_ends_with_its_response() {
    const WHOLE: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 1\n\ndata: {\"number\":1}\n\n";
    const CUT: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\ndata: {\"number\":1}\n\n";
    const REPEATED: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    for (sent, is_cut) in [(&[WHOLE, REPEATED], false), (&[CUT, REPEATED], true)] {
        let (address, _server) = answers(sent);
        block_on(async {
            let client = Client::new(address, reqwest::Client::new());
            let stream = printed::rust_runs_ask(&client).await?;
            let printed::RustRunsAskReply::Status200(mut events) = stream.body else {
                panic!("{stream:?}")
            };
            assert_eq!(events.next().await?.map(|event| event.data.number), Some(1));
            match events.next().await {
                Err(printed::Error::Http(_)) if is_cut => {}
                end => assert!(matches!(end, Ok(None)) && !is_cut, "{end:?}"),
            }
            assert!(events.next().await?.is_none(), "the end is the end");
            Ok(())
        });
    }
}

#[test]
fn stream_without_an_event_connects_again_with_longer_pauses() {
    const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
    let (address, _server) = answers(&[
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\nretry: 0\n\n",
        UNAVAILABLE,
        UNAVAILABLE,
        "HTTP/1.1 204 No Content\r\n\r\n",
    ]);
    block_on(async {
        let mut events = follow(address).await?;
        // A paused clock moves to the next timer when nothing else can continue: the pauses are the only timers.
        tokio::time::pause();
        let start = tokio::time::Instant::now();
        assert!(events.next().await?.is_none());
        let pauses = start.elapsed().as_millis();
        assert!((350..360).contains(&pauses), "{pauses} ms instead of 50 + 100 + 200");
        Ok(())
    });
}

#[test]
fn list_of_structs_arrives_in_a_form() {
    let (server, _) = serve("127.0.0.1:0", 0);
    block_on(async {
        let mut client = Client::new(format!("http://{}", server.address), reqwest::Client::new());
        client.credentials.bearer = Some("ada-secret".to_owned());
        let printed = format!("{client:?}");
        assert!(!printed.contains("ada-secret"), "{printed}");
        let item = |id, colours: &[&str]| RustRunsOrderedItem {
            id,
            colours: colours.iter().map(|&colour| colour.to_owned()).collect(),
        };
        let body = RustRunsItemOrder {
            items: vec![item(1, &["red", "blue"]), item(2, &["green"])],
            total: u128::from(u64::MAX),
        };
        let sent = printed::rust_runs_order(&client, &RustRunsOrderInput { body }).await?;
        let RustRunsOrderReply::Status200(text) = sent.body else {
            panic!("{sent:?}")
        };
        assert_eq!(
            text,
            r#"1 ["red", "blue"], 2 ["green"], 18446744073709551615 for ada-secret"#
        );
        Ok(())
    });
}

#[test]
fn pages_forms_and_cookies_arrive() {
    let (server, _) = serve("127.0.0.1:0", 0);
    block_on(async {
        let mut client = Client::new(format!("http://{}", server.address), reqwest::Client::new());
        let mut pages = printed::rust_runs_numbers_pages(&client, RustRunsNumbersInput::default());
        let mut lengths = Vec::new();
        while let Some(page) = pages.next().await? {
            lengths.push(page.items.len());
        }
        assert_eq!(lengths, [2, 2, 1]);
        let filter = RustRunsNumbersInput {
            number: Some(RustRunsNumbersInputNumber {
                gte: Some(2),
                lt: Some(5),
            }),
            parity: Some(vec![0, 1]),
            ..RustRunsNumbersInput::default()
        };
        let page = printed::rust_runs_numbers_pages(&client, filter)
            .next()
            .await?
            .expect("a page");
        assert_eq!(page.items.iter().map(|item| item.number).collect::<Vec<_>>(), [2, 3]);
        let invalid = RustRunsNumbersInput {
            limit: Some(1000),
            ..RustRunsNumbersInput::default()
        };
        let invalid = printed::rust_runs_numbers_pages(&client, invalid).next().await;
        assert!(
            matches!(&invalid, Err(printed::Error::Unexpected { status: 422, reason }) if reason.contains("query.limit")),
            "{invalid:?}"
        );

        let body = FormParts::new()
            .text("title", "form-boundary\r\n--form-boundaryx")
            .file("picture", "a\"b.png", "image/png", vec![0; 300_000]);
        let sent = printed::rust_runs_picture(&client, &RustRunsPictureInput { body }).await?;
        let RustRunsPictureReply::Status200(text) = sent.body else {
            panic!("{sent:?}")
        };
        assert_eq!(
            text,
            "form-boundary\r\n--form-boundaryx: Some(\"a%22b.png\"), 300000 bytes of Some(\"image/png\")"
        );

        let cookie = reqwest::header::HeaderValue::from_static("session=1");
        client.headers.insert(reqwest::header::COOKIE, cookie);
        let input = RustRunsLookInput {
            theme: Some("a; b".to_owned()),
            columns: Some(vec!["x".to_owned(), "y".to_owned()]),
        };
        let seen = printed::rust_runs_look(&client, &input).await?;
        let RustRunsLookReply::Status200(text) = seen.body else {
            panic!("{seen:?}")
        };
        assert_eq!(
            text,
            r#"Some("a; b") ["x", "y"] of Some("session=1; columns=x,y; theme=a%3B%20b")"#
        );
        Ok(())
    });
}
