//! Event streams as other implementations read them: `eventsource` of npm, and `httpx-sse` of Python.

#[path = "../support/judges.rs"]
mod judges;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;
use std::time::Duration;

use conduit::events::{Event, Events, LastEventId};
use conduit::layer::Compression;
use conduit::prelude::*;

use support::Running;

const PYTHON_PACKAGES: [&str; 2] = ["httpx==0.28.1", "httpx-sse==0.4.3"];
const NODE_PACKAGE: &str = "eventsource@4";

/// Three events after the last one of the client; it connects again for the next ones.
#[get("/numbers")]
async fn numbers(last: LastEventId) -> Events<String> {
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

fn serve() -> Running {
    support::serve(App::new(()).routes(routes![numbers]).layer(Compression::new()))
}

#[test]
fn client_of_node_receives_all_events_across_reconnects() {
    let server = serve();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/event_clients/client.js");
    let url = format!("http://{}/numbers", server.address);
    judges::run_node("event-node", NODE_PACKAGE, script, &[url]);
}

#[test]
fn client_of_python_receives_all_events_across_reconnects() {
    let Some(folder) = judges::python("event-clients", &PYTHON_PACKAGES) else {
        return;
    };
    let server = serve();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/event_clients/client.py");
    let mut command = Command::new(folder.join("bin/python"));
    let output = command
        .arg(script)
        .arg(format!("http://{}/numbers", server.address))
        .output();
    judges::assert_success(&output.expect("Python runs"));
}
