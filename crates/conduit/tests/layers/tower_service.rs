//! An application as a service of tower: called by itself, in an axum router, under hyper.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ::tower::{Service, ServiceExt};
use conduit::prelude::*;
use conduit::tower::{AppService, LocalAppService, SendBody};
use conduit::{Basic, Client as TrueClient, Disconnect, Limit, Shutdown, http};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::Semaphore;

use crate::handlers::{echo, new, panics, stream};
use crate::support::Client;

/// The time that a test waits for another thread before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

#[get("/late-panic")]
async fn late_panic() -> &'static str {
    tokio::task::yield_now().await;
    panic!("as it was asked to")
}

/// A value that is not `Send` lives across an `await`.
#[get("/rc/{id}")]
async fn rc(id: Path<u32>) -> String {
    let counted = Rc::new(Cell::new(*id));
    tokio::time::sleep(Duration::from_millis(u64::from(*id % 3))).await;
    counted.set(counted.get() + 1);
    counted.get().to_string()
}

fn service() -> AppService {
    let routes = routes![new, echo, stream, panics, late_panic, rc];
    App::new(())
        .routes(routes)
        .workers(2)
        .into_service()
        .expect("threads can be started")
}

/// Runs on a runtime of this thread, as a test of axum would.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        tokio::time::timeout(PATIENCE, future)
            .await
            .expect("it does not take for ever")
    })
}

fn get(target: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(target).body(Empty::new()).expect("a request")
}

fn post(target: &str, body: impl Into<Bytes>) -> http::Request<Full<Bytes>> {
    http::Request::post(target)
        .body(Full::new(body.into()))
        .expect("a request")
}

/// The answer of the service, and its body as text.
async fn ask<S, B, R>(service: S, request: http::Request<B>) -> (http::response::Parts, String)
where
    S: Service<http::Request<B>, Response = http::Response<R>, Error = Infallible>,
    R: HttpBody<Error: std::fmt::Debug>,
{
    let response = service.oneshot(request).await.unwrap_or_else(|never| match never {});
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the body is whole").to_bytes();
    (parts, String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

/// A body whose pieces come from a function of the number of earlier pieces.
struct Counted<F> {
    asked: usize,
    next: F,
    length: Option<u64>,
}

impl<F> HttpBody for Counted<F>
where
    F: FnMut(usize, &mut Context<'_>) -> Poll<Option<Result<Bytes, std::io::Error>>> + Unpin,
{
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = &mut *self;
        let next = (this.next)(this.asked, context);
        this.asked += usize::from(next.is_ready());
        next.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[test]
fn a_request_is_answered() {
    block_on(async {
        let service = service();
        let (parts, text) = ask(service.clone(), get("/new/7")).await;
        assert_eq!((parts.status, text.as_str()), (StatusCode::OK, "new 7"));
        assert_eq!(parts.headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(ask(service.clone(), post("/echo", "Hello")).await.1, "Hello");
        assert_eq!(
            ask(service.clone(), get("/nowhere")).await.0.status,
            StatusCode::NOT_FOUND
        );
        let (parts, _) = ask(service.clone(), get("/echo")).await;
        assert_eq!(
            (parts.status, &parts.headers["allow"]),
            (
                StatusCode::METHOD_NOT_ALLOWED,
                &HeaderValue::from_static("POST, OPTIONS")
            )
        );
        assert_eq!(service.handle().statistics().requests, 4);
        // The last clone is dropped by the call itself.
        assert_eq!(ask(service, get("/rc/8")).await.1, "9");
    });
}

#[test]
fn a_panic_is_a_500_and_the_thread_goes_on() {
    block_on(async {
        let service = service();
        for _ in 0..3 {
            for path in ["/panics", "/late-panic"] {
                assert_eq!(
                    ask(service.clone(), get(path)).await.0.status,
                    StatusCode::INTERNAL_SERVER_ERROR
                );
            }
            assert_eq!(ask(service.clone(), get("/new/7")).await.1, "new 7");
        }
    });
}

#[test]
fn many_threads_ask_at_once() {
    let service = service();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let service = service.clone();
            scope.spawn(move || {
                block_on(async {
                    let asked = (0..50).map(|number| {
                        let id = thread * 1000 + number;
                        let service = service.clone();
                        tokio::spawn(async move { (id, ask(service, get(&format!("/rc/{id}"))).await.1) })
                    });
                    for task in asked.collect::<Vec<_>>() {
                        let (id, text) = task.await.expect("no panic");
                        assert_eq!(text, (id + 1).to_string());
                    }
                });
            });
        }
    });
    assert_eq!(service.handle().statistics().requests, 400);
}

#[get("/what")]
async fn what(request: Request) -> String {
    let word = request.extensions().get::<&'static str>().copied().unwrap_or("nothing");
    format!(
        "{word} {} {} {:?}",
        request.peer_address(),
        request.uri(),
        request.version()
    )
}

#[get("/client")]
async fn client(client: TrueClient) -> String {
    format!("{:?} {} {:?}", client.address(), client.scheme(), client.host())
}

#[get("/secret")]
async fn secret(user: Basic) -> String {
    user.user.clone()
}

#[test]
fn what_the_outer_server_knows_reaches_the_handler() {
    let app = App::new(())
        .routes(routes![what, client, secret])
        .trusted_proxies(["192.0.2.1"]);
    let service = app.into_service().expect("threads can be started");
    let peer = PeerAddr(SocketAddr::from(([192, 0, 2, 1], 4711)));
    block_on(async {
        assert_eq!(
            ask(service.clone(), get("/what")).await.1,
            "nothing 0.0.0.0:0 /what HTTP/1.1"
        );
        let mut request = get("http://example.org:8080/what?a=b");
        request.extensions_mut().insert("something");
        request.extensions_mut().insert(peer);
        *request.version_mut() = http::Version::HTTP_2;
        let expected = "something 192.0.2.1:4711 http://example.org:8080/what?a=b HTTP/2.0";
        assert_eq!(ask(service.clone(), request).await.1, expected);

        // Forwarding headers are trusted only from listed proxies.
        let mut request = get("http://user@example.org/client");
        request
            .headers_mut()
            .insert("x-forwarded-for", HeaderValue::from_static("198.51.100.7"));
        request
            .headers_mut()
            .insert("x-forwarded-proto", HeaderValue::from_static("https"));
        assert_eq!(
            ask(service.clone(), request.clone()).await.1,
            "None http Some(\"example.org\")"
        );
        request.extensions_mut().insert(peer);
        *request.uri_mut() = Uri::from_static("/client");
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static("example.org"));
        assert_eq!(
            ask(service.clone(), request).await.1,
            "Some(198.51.100.7) https Some(\"example.org\")"
        );

        let mut request = get("/secret");
        request
            .headers_mut()
            .insert("authorization", HeaderValue::from_static("Basic QWRhOnBhc3M="));
        assert_eq!(ask(service.clone(), request).await.1, "Ada");
        assert_eq!(
            ask(service.clone(), get("/secret")).await.0.status,
            StatusCode::UNAUTHORIZED
        );

        let mut request = get("/");
        *request.method_mut() = Method::OPTIONS;
        *request.uri_mut() = Uri::from_static("*");
        assert_eq!(ask(service, request).await.0.status, StatusCode::NO_CONTENT);
    });
}

#[test]
fn errors_have_the_form_of_the_application() {
    let app = App::new(()).routes(routes![new, panics]).development(true);
    let service = app.into_service().expect("threads can be started");
    block_on(async {
        let mut request = get("/nwe/7");
        request
            .headers_mut()
            .insert("accept", HeaderValue::from_static("text/html"));
        let (parts, text) = ask(service.clone(), request).await;
        assert_eq!(
            (parts.status, &parts.headers["content-type"]),
            (
                StatusCode::NOT_FOUND,
                &HeaderValue::from_static("text/html; charset=utf-8")
            )
        );
        assert!(text.contains("Nearest routes"), "{text}");
        let (parts, text) = ask(service, get("/panics")).await;
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert!(text.contains("as it was asked to"), "{text}");
    });
}

#[get("/framed")]
async fn framed() -> Response {
    let mut response = "eleven long".into_response();
    let headers = response.headers_mut();
    headers.insert("content-length", HeaderValue::from_static("3"));
    headers.insert("transfer-encoding", HeaderValue::from_static("chunked"));
    headers.insert("connection", HeaderValue::from_static("close"));
    headers.insert("x-mine", HeaderValue::from_static("yes"));
    response
}

#[get("/nothing")]
async fn nothing() -> (StatusCode, &'static str) {
    (StatusCode::NO_CONTENT, "not visible")
}

#[get("/informational")]
async fn informational() -> StatusCode {
    StatusCode::PROCESSING
}

#[test]
fn what_a_handler_says_of_the_framing_is_left_out() {
    let app = App::new(()).routes(routes![framed, nothing, informational]);
    let service = app.into_service().expect("threads can be started");
    block_on(async {
        let (parts, text) = ask(service.clone(), get("/framed")).await;
        assert_eq!(text, "eleven long");
        assert_eq!(parts.headers["x-mine"], "yes");
        for name in ["content-length", "transfer-encoding", "connection"] {
            assert!(!parts.headers.contains_key(name), "{name}");
        }
        let mut request = get("/framed");
        *request.method_mut() = Method::HEAD;
        let (parts, text) = ask(service.clone(), request).await;
        assert_eq!(
            (&parts.headers["content-length"], text.as_str()),
            (&HeaderValue::from_static("3"), "")
        );
        let (parts, text) = ask(service.clone(), get("/nothing")).await;
        assert_eq!((parts.status, text.as_str()), (StatusCode::NO_CONTENT, ""));
        let (parts, _) = ask(service, get("/informational")).await;
        assert_eq!(parts.status, StatusCode::INTERNAL_SERVER_ERROR);
    });
}

#[test]
fn the_limit_on_bodies_holds() {
    let app = App::new(()).routes(routes![echo, stream]).body_limit(10);
    let service = app.into_service().expect("threads can be started");
    let chunked = |count: usize| {
        let next = move |asked, _: &mut Context<'_>| Poll::Ready((asked < count).then(|| Ok(Bytes::from_static(b"x"))));
        let body = Counted {
            asked: 0,
            next,
            length: None,
        };
        http::Request::post("/echo").body(body).expect("a request")
    };
    block_on(async {
        for path in ["/echo", "/stream"] {
            assert_eq!(ask(service.clone(), post(path, "0123456789")).await.1, "0123456789");
            let (parts, text) = ask(service.clone(), post(path, "0123456789a")).await;
            assert_eq!(parts.status, StatusCode::PAYLOAD_TOO_LARGE);
            assert!(text.contains("limit of 10 bytes"), "{text}");
        }
        assert_eq!(ask(service.clone(), chunked(10)).await.1, "x".repeat(10));
        assert_eq!(
            ask(service.clone(), chunked(11)).await.0.status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert_eq!(service.handle().statistics().struck(Limit::BodyBytes), 3);
    });
}

#[test]
fn a_body_that_breaks_off_is_the_clients_fault() {
    let next = |asked, _: &mut Context<'_>| match asked {
        0 => Poll::Ready(Some(Ok(Bytes::from_static(b"half")))),
        _ => Poll::Ready(Some(Err(std::io::Error::other("secret of the outer server")))),
    };
    let body = Counted {
        asked: 0,
        next,
        length: Some(8),
    };
    let request = http::Request::post("/echo").body(body).expect("a request");
    block_on(async {
        let (parts, text) = ask(service(), request).await;
        assert_eq!(parts.status, StatusCode::BAD_REQUEST);
        assert!(!text.contains("secret"), "{text}");
    });
}

#[post("/first-piece")]
async fn first_piece(mut body: Body, go: State<Arc<Semaphore>>) -> String {
    let first = poll_fn(|context| futures_core::Stream::poll_next(Pin::new(&mut body), context)).await;
    drop(go.0.acquire().await);
    let rest = body.collect().await.expect("the rest").len();
    format!("{} {rest}", first.expect("a piece").expect("no error").len())
}

#[test]
fn a_request_body_is_asked_for_its_pieces_as_they_are_read() {
    let go = Arc::new(Semaphore::new(0));
    let app = App::new(Arc::clone(&go)).routes(routes![first_piece]);
    let service = app.into_service().expect("threads can be started");
    let (told, asked_for) = mpsc::channel();
    let next = move |asked, _: &mut Context<'_>| {
        told.send(asked).expect("the test listens");
        Poll::Ready((asked < 5).then(|| Ok(Bytes::from_static(b"0123456789"))))
    };
    let body = Counted {
        asked: 0,
        next,
        length: None,
    };
    let request = http::Request::post("/first-piece").body(body).expect("a request");
    block_on(async {
        let answer = tokio::spawn(ask(service.clone(), request));
        tokio::task::yield_now().await;
        assert_eq!(asked_for.recv_timeout(PATIENCE), Ok(0));
        // Another request, after this one on the same thread or on another, is served meanwhile.
        assert_eq!(ask(service, get("/nowhere")).await.0.status, StatusCode::NOT_FOUND);
        assert!(asked_for.try_recv().is_err(), "a piece was requested without a reader");
        go.add_permits(1);
        assert_eq!(answer.await.expect("no panic").1, "10 40");
    });
}

/// An endless stream that reports its polls and its drop.
struct Endless {
    asked: Arc<AtomicUsize>,
    dropped: mpsc::Sender<()>,
}

impl futures_core::Stream for Endless {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.asked.fetch_add(1, SeqCst);
        Poll::Ready(Some(Ok(Bytes::from_static(b"more"))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.dropped.send(());
    }
}

#[derive(Clone)]
struct Told {
    asked: Arc<AtomicUsize>,
    dropped: mpsc::Sender<()>,
}

#[get("/endless")]
async fn endless(told: State<Told>) -> Body {
    Body::from_stream(Endless {
        asked: Arc::clone(&told.asked),
        dropped: told.dropped.clone(),
    })
}

#[get("/breaks")]
async fn breaks() -> Body {
    struct Breaks(usize);
    impl futures_core::Stream for Breaks {
        type Item = Result<&'static str, Infallible>;
        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0 += 1;
            assert!(self.0 < 3, "it was asked to");
            Poll::Ready(Some(Ok("piece")))
        }
    }
    Body::from_stream(Breaks(0))
}

#[test]
fn a_response_is_asked_for_its_pieces_as_they_are_read_and_ends_when_it_is_dropped() {
    let (dropped, is_dropped) = mpsc::channel();
    let asked = Arc::new(AtomicUsize::new(0));
    let told = Told {
        asked: Arc::clone(&asked),
        dropped,
    };
    let app = App::new(told).routes(routes![endless, breaks]).workers(1);
    let service = app.into_service().expect("threads can be started");
    block_on(async {
        let mut response = service
            .clone()
            .oneshot(get("/endless"))
            .await
            .unwrap_or_else(|never| match never {});
        assert_eq!(
            ask(service.clone(), get("/nowhere")).await.0.status,
            StatusCode::NOT_FOUND
        );
        assert_eq!(asked.load(SeqCst), 0, "no reader yet");
        for _ in 0..3 {
            let frame = response.body_mut().frame().await.expect("a frame").expect("no error");
            assert_eq!(frame.into_data().expect("data"), "more");
        }
        assert!(asked.load(SeqCst) <= 5, "{} pieces for 3", asked.load(SeqCst));
        drop(response);
    });
    assert_eq!(is_dropped.recv_timeout(PATIENCE), Ok(()));
    // One that is never begun is dropped too.
    drop(block_on(service.clone().oneshot(get("/endless"))));
    assert_eq!(is_dropped.recv_timeout(PATIENCE), Ok(()));
    // And one that panics is not taken for one that has ended.
    let broken = block_on(async {
        service
            .oneshot(get("/breaks"))
            .await
            .expect("never fails")
            .into_body()
            .collect()
            .await
    });
    assert!(broken.is_err());
}

/// Reports when all of its clones, and so all threads of an application, are dropped.
#[derive(Clone)]
struct Alive {
    _guard: Arc<Guard>,
    go: Arc<Semaphore>,
    told: mpsc::Sender<&'static str>,
}

struct Guard(mpsc::Sender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        // The test may be over.
        let _ = self.0.send("ended");
    }
}

impl Alive {
    fn new() -> (Alive, mpsc::Receiver<&'static str>) {
        let (told, hears) = mpsc::channel();
        let alive = Alive {
            _guard: Arc::new(Guard(told.clone())),
            go: Arc::new(Semaphore::new(0)),
            told,
        };
        (alive, hears)
    }
}

#[get("/work")]
async fn work(alive: State<Alive>) -> &'static str {
    let _ = alive.told.send("begun");
    drop(alive.go.acquire().await);
    let _ = alive.told.send("finished");
    "done"
}

#[get("/aborted", disconnect = "abort")]
async fn aborted(alive: State<Alive>) -> &'static str {
    struct Dropped(mpsc::Sender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    let _dropped = Dropped(alive.told.clone());
    let _ = alive.told.send("begun");
    std::future::pending().await
}

#[get("/until-told")]
async fn until_told(alive: State<Alive>, shutdown: Shutdown) -> &'static str {
    let _ = alive.told.send("begun");
    shutdown.requested().await;
    let _ = alive.told.send("told");
    "the program stops"
}

#[get("/for-ever")]
async fn for_ever(alive: State<Alive>) {
    let _ = alive.told.send("begun");
    std::future::pending().await
}

fn alive(shutdown: Duration) -> (AppService, Arc<Semaphore>, mpsc::Receiver<&'static str>) {
    let (alive, hears) = Alive::new();
    let go = Arc::clone(&alive.go);
    let routes = routes![new, work, aborted, until_told, for_ever, conduit::health::readyz];
    let app = App::new(alive).routes(routes).workers(2).shutdown_timeout(shutdown);
    (app.into_service().expect("threads can be started"), go, hears)
}

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn the_threads_end_with_the_last_clone() {
    let (service, _, hears) = alive(LONG);
    let clone = service.clone();
    assert_eq!(block_on(ask(service, get("/new/7"))).1, "new 7");
    assert_eq!(block_on(ask(clone.clone(), get("/new/7"))).1, "new 7");
    assert!(hears.try_recv().is_err(), "they have ended while there is a clone");
    drop(clone);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("ended"));
}

#[test]
fn what_was_asked_is_answered_after_the_last_clone_has_gone() {
    let (service, go, hears) = alive(Duration::ZERO);
    block_on(async {
        let answer = tokio::spawn(ask(service, get("/work")));
        tokio::task::yield_now().await;
        assert_eq!(hears.recv_timeout(PATIENCE), Ok("begun"));
        go.add_permits(1);
        assert_eq!(answer.await.expect("no panic").1, "done");
    });
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("finished"));
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("ended"));
}

/// Asks, and goes when the handler has begun.
fn ask_and_go(service: &AppService, path: &str, hears: &mpsc::Receiver<&'static str>) {
    let mut answer = Box::pin(service.clone().oneshot(get(path)));
    assert!(
        answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("begun"));
}

#[test]
fn a_caller_that_goes_is_a_client_that_goes() {
    let (service, go, hears) = alive(LONG);
    ask_and_go(&service, "/aborted", &hears);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("dropped"));
    ask_and_go(&service, "/work", &hears);
    go.add_permits(1);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("finished"));
    let app = App::new(Alive::new().0)
        .routes(routes![new])
        .disconnect(Disconnect::Abort);
    drop(app.into_service().expect("threads can be started"));
}

#[test]
fn handlers_without_a_caller_are_told_and_have_the_time_of_a_shutdown() {
    let (service, _, hears) = alive(LONG);
    ask_and_go(&service, "/until-told", &hears);
    assert!(hears.try_recv().is_err(), "the notification came while a clone exists");
    drop(service);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("told"));
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("ended"));

    let (service, _, hears) = alive(Duration::from_millis(10));
    ask_and_go(&service, "/for-ever", &hears);
    drop(service);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("ended"));
}

#[test]
fn the_handle_tells_handlers_and_closes() {
    let (service, _, hears) = alive(LONG);
    block_on(async {
        assert_eq!(ask(service.clone(), get("/readyz")).await.0.status, StatusCode::OK);
        let told = tokio::spawn(ask(service.clone(), get("/until-told")));
        let cut_off = tokio::spawn(ask(service.clone(), get("/for-ever")));
        tokio::task::yield_now().await;
        assert_eq!(hears.recv_timeout(PATIENCE), Ok("begun"));
        assert_eq!(hears.recv_timeout(PATIENCE), Ok("begun"));
        service.handle().stop();
        assert_eq!(told.await.expect("no panic").1, "the program stops");
        assert_eq!(
            ask(service.clone(), get("/readyz")).await.0.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(ask(service.clone(), get("/new/7")).await.1, "new 7");
        service.handle().close();
        assert_eq!(
            cut_off.await.expect("no panic").0.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
        assert_eq!(
            ask(service.clone(), get("/new/7")).await.0.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
    });
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("told"));
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("ended"));
}

#[get("/asks-the-state")]
async fn asks_the_state(
    questions: State<tokio::sync::mpsc::Sender<tokio::sync::oneshot::Sender<&'static str>>>,
) -> &'static str {
    let (ask, answer) = tokio::sync::oneshot::channel();
    questions.send(ask).await.expect("the task of the state runs");
    answer.await.expect("it answers")
}

#[test]
fn the_runtime_of_the_state_goes_on() {
    let open = async {
        let (sender, mut questions) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<_>>(1);
        tokio::spawn(async move {
            while let Some(question) = questions.recv().await {
                let _ = question.send("the task of the state");
            }
        });
        Ok::<_, std::io::Error>(sender)
    };
    let app = App::open(open).expect("a state").routes(routes![asks_the_state]);
    let service = app.into_service().expect("threads can be started");
    assert_eq!(
        block_on(ask(service, get("/asks-the-state"))).1,
        "the task of the state"
    );
    let app = App::open(async { Ok::<_, std::io::Error>(()) })
        .expect("a state")
        .routes(routes![new]);
    let refused = app.into_local_service().expect_err("its runtime would not be driven");
    assert_eq!(
        refused.to_string(),
        "cannot serve on this thread alone: App::open and App::open_per_worker need a server's threads: await the \
         state yourself and use App::new, or use into_service"
    );
}

#[get("/opened-on")]
async fn opened_on(thread: State<std::rc::Rc<str>>) -> String {
    let current = std::thread::current();
    format!("{} {}", *thread, current.name().unwrap_or_default())
}

#[test]
fn each_thread_opens_its_state() {
    let open = || async {
        let thread: std::rc::Rc<str> = std::thread::current().name().unwrap_or_default().into();
        Ok::<_, std::io::Error>(thread)
    };
    let app = App::open_per_worker(open).routes(routes![opened_on]).workers(1);
    let service = app.into_service().expect("threads can be started");
    let (_, text) = block_on(ask(service, get("/opened-on")));
    assert_eq!(text, "conduit-service-0 conduit-service-0");
}

#[test]
fn error_of_a_thread_that_opens_its_state_is_that_of_the_service() {
    let open = || async { Err::<std::rc::Rc<str>, _>(std::io::Error::other("no database")) };
    let app = App::open_per_worker(open).routes(routes![opened_on]).workers(2);
    let error = app.into_service().expect_err("no thread can start").to_string();
    assert!(error.starts_with("cannot open the state of worker "), "{error}");
    assert!(error.ends_with(": no database"), "{error}");
}

#[test]
fn an_axum_router_has_it_under_a_path_and_as_its_fallback() {
    async fn old() -> &'static str {
        "old"
    }
    let told = ::tower::util::MapRequestLayer::new(|mut request: axum::extract::Request| {
        request.extensions_mut().insert("from outside");
        request
    });
    let app = || {
        App::new(())
            .routes(routes![what, echo, stream])
            .into_service()
            .expect("threads can be started")
    };
    let router = axum::Router::new()
        .route("/old", axum::routing::get(old))
        .nest_service("/api", app())
        .fallback_service(app())
        .layer(told);
    block_on(async {
        let of_axum = |target: &str| get(target).map(axum::body::Body::new);
        assert_eq!(ask(router.clone(), of_axum("/old")).await.1, "old");
        let expected = "from outside 0.0.0.0:0 /what?a=b HTTP/1.1";
        assert_eq!(ask(router.clone(), of_axum("/api/what?a=b")).await.1, expected);
        assert_eq!(ask(router.clone(), of_axum("/what?a=b")).await.1, expected);
        assert_eq!(
            ask(router.clone(), of_axum("/nowhere")).await.0.status,
            StatusCode::NOT_FOUND
        );
        for path in ["/api/echo", "/api/stream", "/stream"] {
            let text = "x".repeat(300_000);
            assert_eq!(
                ask(router.clone(), post(path, text.clone()).map(axum::body::Body::new))
                    .await
                    .1,
                text
            );
        }
    });
}

/// A server in front may accept more than the engine here: every view of its target is the same nevertheless.
#[test]
fn every_view_of_a_target_that_another_server_has_read_is_the_same() {
    #[get("/{*rest}")]
    async fn views(rest: Path<String>, request: Request) -> String {
        assert!(!rest.is_empty());
        let uri = request.uri();
        assert_eq!((uri.path(), uri.query()), (request.path(), request.query()));
        format!("{uri} {:?}", TrueClient::of(&request).host())
    }
    let service = App::new(())
        .routes(routes![views])
        .into_service()
        .expect("threads can be started");
    block_on(async {
        for (target, seen) in [
            ("/|a?[b]", "/|a?[b] None"),
            ("/\u{e4}?\u{f6}", "/%C3%A4?%C3%B6 None"),
            ("http://b/c?d", "http://b/c?d Some(\"b\")"),
            ("https://u:p@b:81/\u{e4}", "https://u:p@b:81/%C3%A4 Some(\"b:81\")"),
        ] {
            assert_eq!(ask(service.clone(), get(target)).await.1, seen);
        }
    });
}

#[test]
fn an_application_is_mounted_in_another_and_knows_the_target_as_it_came() {
    async fn whereabouts(request: axum::extract::Request) -> String {
        let original = request.extensions().get::<conduit::tower::OriginalUri>();
        format!("{} {}", original.expect("the target as it came").0, request.uri())
    }
    let router = axum::Router::new().fallback(whereabouts);
    let inner = App::new(())
        .routes(routes![new, stream])
        .layer(conduit::tower::mount("/inner", router));
    let inner = inner.into_service().expect("threads can be started");
    let outer = crate::support::serve(
        App::new(())
            .routes(routes![echo])
            .layer(conduit::tower::mount("/outer", inner)),
    );
    assert_eq!(outer.get("/outer/new/7").text(), "new 7");
    assert_eq!(outer.get("/outer/inner/a?b=c").text(), "/outer/inner/a?b=c /a?b=c");
    let text = "x".repeat(300_000);
    let sent = format!("POST /outer/stream HTTP/1.1\r\nhost: test\r\ncontent-length: 300000\r\n\r\n{text}");
    assert_eq!(outer.request(sent).text(), text);
}

#[test]
fn a_body_that_panics_when_it_is_asked_for_its_length_is_a_500() {
    struct Rude;
    impl HttpBody for Rude {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(None)
        }
        fn size_hint(&self) -> SizeHint {
            panic!("none of your business")
        }
    }
    let app = App::new(()).routes(routes![new, echo]).workers(1);
    let service = app.into_service().expect("threads can be started");
    let request = http::Request::post("/echo").body(Rude).expect("a request");
    block_on(async {
        assert_eq!(
            ask(service.clone(), request).await.0.status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        assert_eq!(ask(service, get("/new/7")).await.1, "new 7");
    });
}

#[test]
fn no_answer_makes_a_tunnel() {
    async fn yes_to_all(_: Request, _: Next) -> StatusCode {
        StatusCode::OK
    }
    let connect = || {
        let mut request = get("example.org:443");
        *request.method_mut() = Method::CONNECT;
        request
    };
    block_on(async {
        assert_eq!(ask(service(), connect()).await.0.status, StatusCode::NOT_IMPLEMENTED);
        let service = App::new(()).routes(routes![new]).layer(yes_to_all).into_service();
        let service = service.expect("threads can be started");
        assert_eq!(ask(service.clone(), get("/new/7")).await.0.status, StatusCode::OK);
        assert_eq!(
            ask(service, connect()).await.0.status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
    });
}

/// Serves with hyper on a free port until the test ends.
fn under_hyper<S>(service: S) -> SocketAddr
where
    S: Service<
            http::Request<hyper::body::Incoming>,
            Response = http::Response<SendBody>,
            Error = Infallible,
            Future: Send,
        > + Clone
        + Send
        + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of loopback can be listened on");
    let address = listener.local_addr().expect("it has an address");
    listener.set_nonblocking(true).expect("it can be polled");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it can be polled");
            while let Ok((stream, peer)) = listener.accept().await {
                let told = ::tower::util::MapRequest::new(service.clone(), move |mut request: http::Request<_>| {
                    request.extensions_mut().insert(PeerAddr(peer));
                    request
                });
                let service = hyper_util::service::TowerToHyperService::new(told);
                let stream = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
            }
        });
    });
    address
}

#[test]
fn hyper_serves_it_over_a_socket() {
    let routes = routes![new, echo, stream, what, framed];
    let service = App::new(()).routes(routes).body_limit(1_000_000).into_service();
    let address = under_hyper(service.expect("threads can be started"));
    let mut client = Client::connect(address);
    client.send("GET /new/7 HTTP/1.1\r\nhost: test\r\n\r\n");
    let answer = client.response();
    assert_eq!(
        (answer.status, answer.text(), answer.header("content-length")),
        (200, "new 7", Some("5"))
    );
    client.send("GET /what?a=b HTTP/1.1\r\nhost: test\r\n\r\n");
    let told = client.response().text().to_string();
    assert!(
        told.starts_with("nothing 127.0.0.1:") && told.ends_with(" /what?a=b HTTP/1.1"),
        "{told}"
    );
    client.send("HEAD /framed HTTP/1.1\r\nhost: test\r\n\r\nGET /framed HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response_to("HEAD").header("content-length"), Some("3"));
    assert_eq!(client.response().text(), "eleven long");

    let body = "0123456789".repeat(30_000);
    client.send(format!(
        "POST /stream HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    let mut writer = client.duplicate();
    let sent = body.clone();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, sent.as_bytes()));
    let answer = client.response();
    assert_eq!(answer.text(), body);
    writing.join().expect("no panic").expect("all is taken");

    // A client that delays its body receives `100 Continue` when the body is read, and only then.
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("Hello");
    assert_eq!(client.response().text(), "Hello");
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 1000001\r\n\r\n");
    assert_eq!(client.response().status, 413);
}

#[test]
fn a_client_that_goes_from_hyper_drops_the_handler() {
    let (service, _, hears) = alive(LONG);
    let address = under_hyper(service);
    let mut client = Client::connect(address);
    client.send("GET /aborted HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("begun"));
    drop(client);
    assert_eq!(hears.recv_timeout(PATIENCE), Ok("dropped"));
}

fn local() -> LocalAppService {
    let routes = routes![new, echo, stream, panics, late_panic, rc, what];
    App::new(())
        .routes(routes)
        .into_local_service()
        .expect("an application")
}

#[test]
fn on_one_thread_nothing_need_be_send() {
    block_on(async {
        let service = local();
        assert_eq!(ask(service.clone(), get("/rc/8")).await.1, "9");
        assert_eq!(
            ask(service.clone(), get("/late-panic")).await.0.status,
            StatusCode::INTERNAL_SERVER_ERROR
        );
        let mut request = get("/what");
        request
            .extensions_mut()
            .insert(PeerAddr(SocketAddr::from(([192, 0, 2, 1], 4711))));
        assert_eq!(
            ask(service.clone(), request).await.1,
            "nothing 192.0.2.1:4711 /what HTTP/1.1"
        );
        let pieces = Rc::new(Cell::new(0));
        let counted = Rc::clone(&pieces);
        let next = move |asked, _: &mut Context<'_>| {
            counted.set(asked);
            Poll::Ready((asked < 5).then(|| Ok(Bytes::from_static(b"piece "))))
        };
        let body = Counted {
            asked: 0,
            next,
            length: None,
        };
        let request = http::Request::post("/stream").body(body).expect("a request");
        let response = service.oneshot(request).await.unwrap_or_else(|never| match never {});
        assert_eq!(pieces.get(), 0, "no reader yet");
        assert_eq!(response.into_body().collect().await.expect("whole"), "piece ".repeat(5));
    });
}

#[test]
fn on_one_thread_the_handler_is_dropped_with_its_call() {
    let (alive, hears) = Alive::new();
    let app = App::new(alive).routes(routes![work]);
    let service = app.into_local_service().expect("an application");
    block_on(async {
        let mut answer = Box::pin(service.oneshot(get("/work")));
        assert!(
            answer
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_pending()
        );
        assert_eq!(hears.try_recv(), Ok("begun"));
        drop(answer);
    });
    assert_eq!(hears.try_recv(), Ok("ended"));
}
