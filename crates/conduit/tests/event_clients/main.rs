//! Event streams as other implementations read them: `eventsource` from npm, and `httpx-sse` for Python, each over HTTP/1.1 and
//! over HTTP/2 with TLS.

#[path = "../support/judges.rs"]
mod judges;
#[path = "../support/packages.rs"]
mod packages;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conduit::events::{Event, Events, LastEventId};
use conduit::layer::Compression;
use conduit::prelude::*;

use support::Running;

/// The requests of streams over HTTP/1.1, and over HTTP/2.
type Counts = Arc<[AtomicUsize; 2]>;

/// Sends three events after the client's last one; the client reconnects for the next ones.
#[get("/numbers")]
async fn numbers(last: LastEventId, request: Request, counts: State<Counts>) -> Events<String> {
    let is_http2 = request.version() == http::Version::HTTP_2;
    counts[usize::from(is_http2)].fetch_add(1, Ordering::Relaxed);
    let first = last.parse::<u64>().map_or(1, |last| last + 1);
    let events = Events::generate(async move |events| {
        for number in first..first + 3 {
            let event = match number % 3 {
                0 => Event::text(format!("line\n{number}\r\n\u{fc}")),
                1 => Event::new(format!("a\nb\r\0\u{2028}{number}")),
                _ => Event::new(number.to_string()).name("even \u{fc}"),
            };
            events.send(event.id(number)).await?;
            events.send(Event::without_data()).await?;
        }
        Ok::<_, conduit::BoxError>(())
    });
    events.retry(Duration::from_millis(10))
}

struct Server {
    _running: Running,
    counts: Counts,
    /// The addresses without and with TLS.
    urls: [String; 2],
}

fn serve() -> Server {
    let counts = Counts::default();
    let server = App::new(Arc::clone(&counts))
        .routes(routes![numbers])
        .layer(Compression::new())
        .tls_self_signed()
        .workers(1)
        .listen(["http://127.0.0.1:0", "127.0.0.1:0"])
        .expect("ports of loopback can be listened on");
    let addresses: Vec<_> = server.addresses().collect();
    let urls = [
        format!("http://{}/numbers", addresses[0]),
        format!("https://{}/numbers", addresses[1]),
    ];
    Server {
        _running: support::start(server),
        counts,
        urls,
    }
}

impl Server {
    /// Checks that a client has requested four streams of three events at each address, and used HTTP/2 with TLS.
    #[track_caller]
    fn check(&self) {
        let counts = self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counts, [4, 4], "streams over HTTP/1.1 and over HTTP/2");
    }
}

#[test]
fn client_of_node_receives_all_events_across_reconnects() {
    let server = serve();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/event_clients/client.js");
    if judges::run_node("event-node", script, &server.urls) {
        server.check();
    }
}

#[test]
fn client_of_python_receives_all_events_across_reconnects() {
    let server = serve();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/event_clients/client.py");
    if judges::run_python("event-clients", script, &server.urls) {
        server.check();
    }
}
