//! axum on one current-thread runtime: WebSockets that echo, and one broadcast channel of tokio for WebSockets and event streams.

use std::convert::Infallible;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast;

type News = broadcast::Sender<Utf8Bytes>;

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

async fn topic(upgrade: WebSocketUpgrade, State(news): State<News>) -> Response {
    let mut updates = news.subscribe();
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        loop {
            tokio::select! {
                message = socket.recv() => if !matches!(message, Some(Ok(_))) { return },
                update = updates.recv() => {
                    let Ok(text) = update else { return };
                    if socket.send(Message::Text(text)).await.is_err() {
                        return;
                    }
                }
            }
        }
    })
}

async fn events(State(news): State<News>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::unfold(news.subscribe(), async |mut updates| {
        let text = updates.recv().await.ok()?;
        Some((Ok(Event::default().data(text.as_str())), updates))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn publish(State(news): State<News>, text: String) -> &'static str {
    // `send` fails without a subscriber.
    let _ = news.send(text.into());
    "ok"
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).expect("usage: bench-axum-live ADDRESS");
    let app = Router::new()
        .route("/echo", get(echo))
        .route("/topic", get(topic))
        .route("/events", get(events))
        .route("/publish", post(publish))
        .with_state(broadcast::channel(256).0);
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await
}
