//! Conduit with one worker: WebSockets that echo, and one topic for WebSockets and event streams.

use conduit::hub::{Access, Hub, StartFrom, TopicFamily, Update};
use conduit::prelude::*;
use conduit::websocket::{DeflateConfig, WebSocketClosed};
use conduit::{Events, WebSocketUpgrade};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Entry {
    text: String,
}

struct News;

impl TopicFamily for News {
    const NAME: &'static str = "news";
    type Message = Entry;
    type Client = ();

    async fn authorize(_: &(), _: &str) -> Result<Access, Problem> {
        Ok(Access::PublishAndSubscribe)
    }
}

#[get("/echo")]
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok::<_, WebSocketClosed>(())
    })
}

#[get("/topic")]
async fn topic(upgrade: WebSocketUpgrade, hub: State<Hub>) -> Result<Response, Problem> {
    let news = hub.authorize::<News>(&(), "all").await?;
    let mut updates = news.subscribe(StartFrom::Now).await?;
    let upgrade = upgrade.compression(DeflateConfig::default());
    Ok(upgrade.on_upgrade(async move |mut socket| {
        loop {
            tokio::select! {
                message = socket.recv() => if message.is_none() { return Ok(()) },
                update = updates.next() => match update {
                    Some(Update::Message(message)) => socket.send_shared(message.json()).await?,
                    Some(_) => {}
                    None => return Ok::<_, WebSocketClosed>(()),
                },
            }
        }
    }))
}

#[get("/events")]
async fn events(hub: State<Hub>) -> Result<Events<Entry>, Problem> {
    let news = hub.authorize::<News>(&(), "all").await?;
    Ok(news.events(StartFrom::Now).await?)
}

#[post("/publish")]
async fn publish(entry: Json<Entry>, hub: State<Hub>) -> Result<&'static str, Problem> {
    hub.authorize::<News>(&(), "all").await?.publish(&entry).await?;
    Ok("ok")
}

fn main() -> conduit::Result {
    let address = std::env::args().nth(1).expect("usage: bench-conduit-live ADDRESS");
    App::new(Hub::new())
        .routes(routes![echo, topic, events, publish])
        .workers(1)
        // All of the load comes from one address.
        .peer_connection_limit(16_384)
        .listen(address)?
        .run()
}
