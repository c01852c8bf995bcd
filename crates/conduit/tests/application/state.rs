//! The state of an application that each worker opens by itself.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::support::start;
use conduit::prelude::*;
use conduit::testing::TestClient;

fn thread_name() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

/// Neither `Send` nor `Clone`; its parts are cloned for handlers.
#[derive(FromRef)]
struct Local {
    opened_on: Rc<str>,
    requests: Rc<Cell<u32>>,
    /// Answers as long as the runtime that it was opened on is driven.
    task: tokio::sync::mpsc::Sender<tokio::sync::oneshot::Sender<String>>,
}

async fn open_local() -> Result<Local, Infallible> {
    tokio::task::yield_now().await;
    let (task, mut questions) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<String>>(1);
    tokio::task::spawn_local(async move {
        while let Some(question) = questions.recv().await {
            let _ = question.send(thread_name());
        }
    });
    Ok(Local {
        opened_on: thread_name().into(),
        requests: Rc::default(),
        task,
    })
}

#[get("/threads")]
async fn threads(
    opened_on: State<Rc<str>>,
    requests: State<Rc<Cell<u32>>>,
    task: State<tokio::sync::mpsc::Sender<tokio::sync::oneshot::Sender<String>>>,
) -> Result<String, Problem> {
    requests.set(requests.get() + 1);
    let (ask, answer) = tokio::sync::oneshot::channel();
    task.send(ask).await?;
    Ok(format!("{} {} {}", thread_name(), *opened_on, answer.await?))
}

#[test]
fn each_worker_opens_a_state_on_its_own_runtime() {
    const WORKERS: usize = 3;
    let app = App::open_per_worker(open_local)
        .routes(routes![threads])
        .workers(WORKERS);
    let server = start(app.listen("127.0.0.1:0").expect("it listens"));
    let mut workers = BTreeSet::new();
    // The kernel spreads connections by a hash of their ports.
    for _ in 0..10_000 {
        let response = server.get("/threads");
        let names: Vec<&str> = response.text().split(' ').collect();
        assert_eq!((names[0], names[0]), (names[1], names[2]));
        workers.insert(names[0].to_owned());
        if workers.len() == WORKERS {
            return;
        }
    }
    panic!("only {workers:?} serve");
}

#[test]
fn test_client_serves_a_state_that_is_opened_per_worker() {
    let client = TestClient::new(App::open_per_worker(open_local).routes(routes![threads]));
    client
        .get("/threads")
        .send()
        .assert_text("conduit-0 conduit-0 conduit-0");
}

#[test]
#[should_panic(expected = "the application cannot start: cannot open the state of worker 0: no database")]
fn test_client_names_the_error_of_the_state() {
    TestClient::new(App::open_per_worker(|| async { Err::<(), _>(io::Error::other("no database")) }).routes(ROUTES));
}

#[get("/")]
async fn home() {}

const ROUTES: Routes = routes![home];

/// The error of a server with three workers.
fn failure<F: Future<Output = io::Result<()>> + 'static>(open: impl Fn() -> F + Send + Sync + 'static) -> String {
    let app = App::open_per_worker(open).routes(ROUTES).workers(3);
    let server = app.listen("127.0.0.1:0").expect("it listens");
    server.serve().expect_err("the state cannot be opened").to_string()
}

#[test]
fn error_of_one_worker_ends_the_server_and_names_the_cause() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let error = failure(move || {
        let call = counted.fetch_add(1, SeqCst);
        async move {
            match call {
                1 => Err(io::Error::other("the database refuses")),
                _ => Ok(()),
            }
        }
    });
    assert!(error.starts_with("cannot open the state of worker "), "{error}");
    assert!(error.ends_with(": the database refuses"), "{error}");
    assert_eq!(calls.load(SeqCst), 2, "the third worker does not try");
}

#[test]
fn panic_while_a_state_is_opened_is_an_error() {
    let error = failure(|| async { panic!("no such table") });
    assert!(error.contains(": panicked: no such table"), "{error}");
}

#[test]
fn one_worker_opens_at_a_time() {
    let (open, calls) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (Arc::clone(&open), Arc::clone(&calls));
    let app = App::open_per_worker(move || {
        let (open, calls) = (Arc::clone(&counted.0), Arc::clone(&counted.1));
        async move {
            assert_eq!(open.fetch_add(1, SeqCst), 0, "another worker is opening");
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            open.fetch_sub(1, SeqCst);
            calls.fetch_add(1, SeqCst);
            Ok::<_, Infallible>(())
        }
    });
    let server = start(app.routes(ROUTES).workers(4).listen("127.0.0.1:0").expect("it listens"));
    for _ in 0..100 {
        assert_eq!(server.get("/").status, 200);
    }
    server.handle().stop();
    server.wait().expect("it ends well");
}

#[test]
fn stop_ends_a_server_whose_state_is_not_open_yet() {
    let app = App::open_per_worker(std::future::pending::<Result<(), Infallible>>);
    let server = start(app.routes(ROUTES).workers(2).listen("127.0.0.1:0").expect("it listens"));
    server.handle().stop();
    server.wait().expect("it ends well");
}

#[test]
fn description_of_an_application_opens_no_state() {
    async fn open() -> Result<(), Infallible> {
        panic!("the state is opened")
    }
    let rows = |app: App<(), Routes>| app.routes_table().routes().len();
    assert_eq!(rows(App::open(open()).expect("no runtime").routes(ROUTES)), 1);
    assert_eq!(rows(App::open_per_worker(open).routes(ROUTES)), 1);
}

#[test]
fn error_of_an_opening_future_is_that_of_listen() {
    let app = App::open(async { Err::<(), _>(io::Error::other("no file")) }).expect("the future does not run yet");
    let error = app.routes(ROUTES).listen("127.0.0.1:0").err().expect("it fails");
    assert_eq!(error.to_string(), "no file");
}
