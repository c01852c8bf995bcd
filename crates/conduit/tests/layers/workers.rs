//! Layers whose state all workers share.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use conduit::layer::{Idempotency, RateLimit};
use conduit::prelude::*;

use crate::rate_limit::{HOUR, home};
use crate::stored::{KEY, order, pay, till};
use crate::support::{Response as Received, Running, start};

#[test]
fn workers_share_one_budget() {
    let routes = routes![
        #[layer(name_worker, RateLimit::new(40, HOUR))]
        home
    ];
    let server = start_with_two_workers(App::new(()).routes(routes));
    let mut workers = BTreeSet::new();
    for _ in 0..40 {
        let answer = server.get("/");
        assert_eq!(answer.status, 200);
        workers.insert(worker(&answer));
    }
    assert_eq!(
        workers.len(),
        2,
        "the kernel spreads connections by a hash of their ports"
    );
    assert_eq!(server.get("/").status, 429);
}

#[test]
fn a_key_is_executed_once_by_all_workers() {
    let (till, comes_in) = till();
    let routes = routes![
        #[layer(name_worker, Idempotency::new())]
        pay
    ];
    let server = start_with_two_workers(App::new(till.clone()).routes(routes));
    let repeated = |status: u16| {
        let mut workers = BTreeSet::new();
        for _ in 0..40 {
            let answer = server.request(order(KEY, "ann", "slow"));
            assert_eq!(answer.status, status);
            workers.insert(worker(&answer));
        }
        assert_eq!(
            workers.len(),
            2,
            "the kernel spreads connections by a hash of their ports"
        );
    };
    let mut first = server.connect();
    first.send(order(KEY, "ann", "slow"));
    comes_in.recv().expect("the handler runs");
    repeated(409);
    till.release.notify_one();
    assert_eq!(first.response().text(), "slow 1");
    repeated(201);
    assert_eq!(till.paid.load(Ordering::SeqCst), 1);
}

/// A layer that adds the name of the worker to each response.
async fn name_worker(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let thread = std::thread::current();
    let name = HeaderValue::from_str(thread.name().unwrap_or_default()).expect("a valid field value");
    response.headers_mut().insert("x-worker", name);
    response
}

/// The name of the worker that has sent a response.
fn worker(response: &Received) -> String {
    response.header("x-worker").expect("the layer adds it").to_owned()
}

fn start_with_two_workers<S: 'static>(app: App<S, Routes<S>>) -> Running {
    start(app.workers(2).listen("127.0.0.1:0").expect("it listens"))
}
