//! The threads of a service and its state: their beginning, their end, and calls that are dropped.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use ::tower::ServiceExt;
use conduit::prelude::*;
use conduit::tower::AppService;
use conduit::{Disconnect, Shutdown};
use tokio::sync::Semaphore;

use super::{TIMEOUT, ask, block_on, get};
use crate::handlers::new;
use crate::support::pass_deadlines;

/// Reports when all of its clones, and so all threads of an application, are dropped.
#[derive(Clone)]
pub(super) struct Alive {
    _guard: Arc<Guard>,
    go: Arc<Semaphore>,
    sender: mpsc::Sender<&'static str>,
}

struct Guard(mpsc::Sender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send("ended");
    }
}

impl Alive {
    pub(super) fn new() -> (Alive, mpsc::Receiver<&'static str>) {
        let (sender, events) = mpsc::channel();
        let alive = Alive {
            _guard: Arc::new(Guard(sender.clone())),
            go: Arc::new(Semaphore::new(0)),
            sender,
        };
        (alive, events)
    }
}

#[get("/work")]
pub(super) async fn work(alive: State<Alive>) -> &'static str {
    let _ = alive.sender.send("begun");
    drop(alive.go.acquire().await);
    let _ = alive.sender.send("finished");
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
    let _dropped = Dropped(alive.sender.clone());
    let _ = alive.sender.send("begun");
    std::future::pending().await
}

#[get("/until-notified")]
async fn until_notified(alive: State<Alive>, shutdown: Shutdown) -> &'static str {
    let _ = alive.sender.send("begun");
    shutdown.requested().await;
    let _ = alive.sender.send("notified");
    "the program stops"
}

#[get("/for-ever")]
async fn for_ever(alive: State<Alive>) {
    let _ = alive.sender.send("begun");
    std::future::pending().await
}

/// Does not end. At the shutdown it advances the clock of its thread beyond the deadline.
#[get("/past-the-deadline")]
async fn past_the_deadline(alive: State<Alive>, shutdown: Shutdown) {
    let _ = alive.sender.send("begun");
    shutdown.requested().await;
    pass_deadlines().await
}

pub(super) fn alive(shutdown: Duration) -> (AppService, Arc<Semaphore>, mpsc::Receiver<&'static str>) {
    let (alive, events) = Alive::new();
    let go = Arc::clone(&alive.go);
    let routes = routes![
        new,
        work,
        aborted,
        until_notified,
        for_ever,
        past_the_deadline,
        conduit::health::readyz
    ];
    let app = App::new(alive).routes(routes).workers(2).shutdown_timeout(shutdown);
    (app.into_service().expect("threads can be started"), go, events)
}

pub(super) const LONG: Duration = Duration::from_secs(3600);

#[test]
fn the_threads_end_with_the_last_clone() {
    let (service, _, events) = alive(LONG);
    let clone = service.clone();
    assert_eq!(block_on(ask(service, get("/new/7"))).1, "new 7");
    assert_eq!(block_on(ask(clone.clone(), get("/new/7"))).1, "new 7");
    assert!(
        events.try_recv().is_err(),
        "the threads have ended although a clone exists"
    );
    drop(clone);
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("ended"));
}

#[test]
fn pending_requests_complete_after_the_last_clone_is_dropped() {
    let (service, go, events) = alive(Duration::ZERO);
    block_on(async {
        let answer = tokio::spawn(ask(service, get("/work")));
        tokio::task::yield_now().await;
        assert_eq!(events.recv_timeout(TIMEOUT), Ok("begun"));
        go.add_permits(1);
        assert_eq!(answer.await.expect("no panic").1, "done");
    });
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("finished"));
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("ended"));
}

/// Sends a request, and drops the call when the handler has begun.
fn ask_and_go(service: &AppService, path: &str, events: &mpsc::Receiver<&'static str>) {
    let mut answer = Box::pin(service.clone().oneshot(get(path)));
    assert!(
        answer
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("begun"));
}

#[test]
fn a_dropped_call_is_a_disconnect() {
    let (service, go, events) = alive(LONG);
    ask_and_go(&service, "/aborted", &events);
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("dropped"));
    ask_and_go(&service, "/work", &events);
    go.add_permits(1);
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("finished"));
    let app = App::new(Alive::new().0)
        .routes(routes![new])
        .disconnect(Disconnect::Abort);
    drop(app.into_service().expect("threads can be started"));
}

#[test]
fn handlers_without_a_caller_receive_the_shutdown_and_its_time() {
    let (service, _, events) = alive(LONG);
    ask_and_go(&service, "/until-notified", &events);
    assert!(
        events.try_recv().is_err(),
        "the notification arrived although a clone exists"
    );
    drop(service);
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("notified"));
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("ended"));

    let (service, _, events) = alive(LONG);
    ask_and_go(&service, "/past-the-deadline", &events);
    drop(service);
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("ended"));
}

#[test]
fn handle_notifies_handlers_and_closes() {
    let (service, _, events) = alive(LONG);
    block_on(async {
        assert_eq!(ask(service.clone(), get("/readyz")).await.0.status, StatusCode::OK);
        let response = tokio::spawn(ask(service.clone(), get("/until-notified")));
        let cut_off = tokio::spawn(ask(service.clone(), get("/for-ever")));
        tokio::task::yield_now().await;
        assert_eq!(events.recv_timeout(TIMEOUT), Ok("begun"));
        assert_eq!(events.recv_timeout(TIMEOUT), Ok("begun"));
        service.handle().stop();
        assert_eq!(response.await.expect("no panic").1, "the program stops");
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
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("notified"));
    assert_eq!(events.recv_timeout(TIMEOUT), Ok("ended"));
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
fn the_runtime_of_the_state_continues() {
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
    let refused = app.into_local_service().expect_err("its runtime is not driven");
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
    const THREADS: usize = 3;
    let app = App::open_per_worker(open).routes(routes![opened_on]).workers(THREADS);
    let service = app.into_service().expect("threads can be started");
    let texts: BTreeSet<String> = (0..100)
        .map(|_| block_on(ask(service.clone(), get("/opened-on"))).1)
        .collect();
    let expected = (0..THREADS).map(|number| format!("conduit-service-{number} conduit-service-{number}"));
    assert_eq!(texts, expected.collect());
}

#[test]
fn error_of_a_thread_that_opens_its_state_is_that_of_the_service() {
    let open = || async { Err::<std::rc::Rc<str>, _>(std::io::Error::other("no database")) };
    let app = App::open_per_worker(open).routes(routes![opened_on]).workers(2);
    let error = app.into_service().expect_err("no thread can start").to_string();
    assert!(error.starts_with("cannot open the state of worker "), "{error}");
    assert!(error.ends_with(": no database"), "{error}");
}
