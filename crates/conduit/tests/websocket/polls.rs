//! The polls of a handler: by its connection, after a message or any other event.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use conduit::WebSocketUpgrade;
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::websocket::WebSocketClosed;
use tokio::sync::{Barrier, mpsc};

use crate::{echo, echo_client, wait_for};

/// Sends the texts of another thread, another task and a timer, in addition to those of the client.
#[get("/events")]
async fn events(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        let (sender, mut texts) = mpsc::channel(1);
        let of_task = sender.clone();
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::from_secs(30)));
        let mut is_due = false;
        loop {
            tokio::select! {
                message = socket.recv() => match message.as_ref().and_then(|message| message.as_text()) {
                    Some("thread") => {
                        let sender = sender.clone();
                        std::thread::spawn(move || sender.blocking_send("of a thread"));
                    }
                    Some("task") => {
                        let sender = of_task.clone();
                        tokio::task::spawn_local(async move { sender.send("of a task").await });
                    }
                    Some(text) => socket.send(text).await?,
                    None => return Ok(()),
                },
                Some(text) = texts.recv() => socket.send(text).await?,
                () = &mut timer, if !is_due => {
                    is_due = true;
                    socket.send("of a timer").await?;
                }
            }
        }
        #[expect(unreachable_code, reason = "the type of the result")]
        Ok::<_, WebSocketClosed>(())
    })
}

#[test]
fn a_handler_waits_for_several_events() {
    let client = TestClient::new(App::new(()).routes(routes![events]));
    let mut socket = client.websocket("/events").open();
    for _ in 0..10 {
        for (event, text) in [("thread", "of a thread"), ("hello", "hello"), ("task", "of a task")] {
            socket.send(event);
            assert_eq!(socket.recv().as_text(), Some(text));
        }
    }
    client.advance(Duration::from_secs(31));
    assert_eq!(socket.recv().as_text(), Some("of a timer"));
}

/// Wakes itself in each poll, until its connection ends.
#[get("/busy")]
async fn busy(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |socket| {
        socket.send("begin").await?;
        poll_fn(|context| {
            context.waker().wake_by_ref();
            socket.end().map_or(Poll::Pending, |_| Poll::Ready(()))
        })
        .await;
        Ok::<_, WebSocketClosed>(())
    })
}

/// Sends for as long as the client receives.
#[get("/flood")]
async fn flood(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |socket| {
        loop {
            socket.send(vec![0; 100]).await?;
        }
        #[expect(unreachable_code, reason = "the type of the result")]
        Ok::<_, WebSocketClosed>(())
    })
}

#[test]
fn a_busy_handler_leaves_turns_to_other_connections() {
    let client = TestClient::new(App::new(()).routes(routes![busy, echo, flood]).workers(1));
    let mut busy: Vec<_> = (0..3).map(|_| client.websocket("/busy").open()).collect();
    for socket in &mut busy {
        assert_eq!(socket.recv().as_text(), Some("begin"));
    }
    let mut flood = client.websocket("/flood").open();
    let mut echo = client.websocket("/echo").open();
    for number in 0..50 {
        echo.send(number.to_string());
        assert_eq!(echo.recv().as_text(), Some(&*number.to_string()));
        assert_eq!(client.get("/nothing").send().status(), 404);
        assert!(!flood.connection().read(1 << 16).is_empty());
    }
}

#[test]
fn large_messages_that_arrive_together_are_returned_in_order() {
    const LENGTH: usize = 64 * 1024;
    let client = echo_client();
    let mut socket = client.websocket("/echo").open();
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    for number in 0..16 {
        let length = (LENGTH as u64).to_be_bytes();
        stream.extend([&[0x82, 0xff][..], &length, &[0; 4], &[number; LENGTH]].concat());
        expected.extend([&[0x82, 0x7f][..], &length, &[number; LENGTH]].concat());
    }
    let (mut sent_bytes, mut received) = (0, Vec::new());
    wait_for(|| {
        sent_bytes += socket.connection().send_now(&stream[sent_bytes..]).expect("it is open");
        received.extend(socket.connection().read_now(1 << 20));
        received.len() >= expected.len()
    });
    assert!(received == expected, "the echoes differ from the messages");
    wait_for(|| client.resources().buffer_bytes == 0);
}

/// Sends the content of a tokio channel once all WebSockets are open.
#[get("/backlog")]
async fn backlog(upgrade: WebSocketUpgrade, opened: State<Arc<Barrier>>) -> Response {
    upgrade.on_upgrade(|socket| async move {
        let (sender, mut texts) = mpsc::unbounded_channel();
        for _ in 0..100_000 {
            sender.send("x")?;
        }
        opened.0.wait().await;
        while let Some(text) = texts.recv().await {
            socket.send(text).await?;
        }
        Ok::<_, conduit::BoxError>(())
    })
}

/// The handlers of a worker share the budget of operations that tokio gives to a task.
#[test]
fn handlers_with_a_backlog_take_turns() {
    const SOCKETS: usize = 3;
    /// The length of a frame with one letter.
    const FRAME_BYTES: usize = 3;
    let app = App::new(Arc::new(Barrier::new(SOCKETS)));
    let client = TestClient::new(app.routes(routes![backlog]).workers(1));
    let mut sockets: Vec<_> = (0..SOCKETS).map(|_| client.websocket("/backlog").open()).collect();
    let mut counts = [0; SOCKETS];
    let mut receive = || {
        for (socket, count) in sockets.iter_mut().zip(&mut counts) {
            *count += socket.connection().read_now(1 << 16).len();
        }
        counts
    };
    wait_for(|| receive().iter().any(|count| *count >= 2_000 * FRAME_BYTES));
    // A socket that the loop has read first may have received its messages since then.
    let counts = receive();
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}
