//! Back-pressure and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{Bytes, WebSocketUpgrade};

use crate::{echo_client, wait_for};

#[derive(Clone, Default)]
struct Sent(Arc<AtomicUsize>);

/// Sends without an end.
#[get("/flood")]
async fn flood(upgrade: WebSocketUpgrade, sent: State<Sent>) -> Response {
    upgrade.on_upgrade(|socket| async move {
        loop {
            socket.send(vec![0; 1000]).await?;
            sent.0.0.fetch_add(1, Ordering::Relaxed);
        }
        #[expect(unreachable_code, reason = "the type of the result")]
        Ok::<(), conduit::websocket::WebSocketClosed>(())
    })
}

#[test]
fn a_handler_waits_for_a_client_that_does_not_read() {
    let sent = Sent::default();
    let client = TestClient::new(App::new(sent.clone()).routes(routes![flood]));
    let mut socket = client.websocket("/flood").open();
    let count = || sent.0.load(Ordering::Relaxed);
    // Until the queue, the output and the pipe are full.
    let mut before = 0;
    wait_for(|| {
        client.resources();
        let is_still = count() > 0 && count() == before;
        before = count();
        is_still
    });
    assert!(client.resources().buffer_bytes < 300_000, "{:?}", client.resources());
    for _ in 0..2000 {
        assert_eq!(socket.recv().as_bytes().len(), 1000);
    }
    assert!(count() >= 2000);
}

/// Takes a message only when it is asked to.
#[get("/slow")]
async fn slow(upgrade: WebSocketUpgrade, gate: State<Arc<tokio::sync::Notify>>) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        gate.0.notified().await;
        let mut bytes = 0;
        while let Some(message) = socket.recv().await {
            if message.as_text().is_some() {
                break;
            }
            bytes += message.as_bytes().len();
        }
        socket.send(bytes.to_string()).await
    })
}

#[test]
fn a_client_waits_for_a_handler_that_does_not_receive() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let client = TestClient::new(App::new(Arc::clone(&gate)).routes(routes![slow]));
    let mut socket = client.websocket("/slow").open();
    let frame = [&b"\x82\xfe\x27\x10\0\0\0\0"[..], &[0; 10_000]].concat();
    let stream = frame.repeat(200);
    // More than all queues hold is not taken.
    let mut sent_bytes = 0;
    let mut rest = 0;
    wait_for(|| {
        client.resources();
        let more = socket.connection().send_now(&stream[sent_bytes..]).expect("it is open");
        sent_bytes += more;
        rest = if more == 0 { rest + 1 } else { 0 };
        rest > 100
    });
    assert!(sent_bytes < stream.len(), "{sent_bytes}");
    assert!(client.resources().buffer_bytes < 300_000, "{:?}", client.resources());
    gate.notify_one();
    assert!(socket.connection().send(&stream[sent_bytes..]));
    socket.send("end");
    assert_eq!(socket.recv().as_text(), Some("2000000"));
}

#[test]
fn an_idle_websocket_holds_no_buffer() {
    let client = echo_client();
    let mut sockets: Vec<_> = (0..10).map(|_| client.websocket("/echo").open()).collect();
    for socket in &mut sockets {
        for length in [10, 100_000, 500_000] {
            socket.send(Bytes::from(vec![1; length]));
            assert_eq!(socket.recv().as_bytes().len(), length);
        }
    }
    wait_for(|| client.resources().buffer_bytes == 0);
    assert_eq!(client.handle().statistics().open_websockets, 10);
}
