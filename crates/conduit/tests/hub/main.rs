//! Topics of an application: event streams, WebSockets, presence, histories, slow subscribers, several workers.

mod bounds;
mod delivery;
mod engines;
#[path = "../support/log.rs"]
#[allow(dead_code, reason = "the tests need some of it")]
mod log;
mod remote;
mod replay;

use conduit::events::LastEventId;
use conduit::hub::{Access, Hub, HubConfig, LagPolicy, StartFrom, TopicFamily, Update};
use conduit::prelude::*;
use conduit::testing::{ServerEvent, TestClient, TestStream};
use conduit::{Events, Header, WebSocketUpgrade};
use serde::{Deserialize, Serialize};

/// A message.
#[derive(Serialize, Deserialize, JsonSchema, Debug, PartialEq)]
struct Said {
    text: String,
}

/// The topic of a user: only the user subscribes, and `admin` publishes.
struct Inbox;

impl TopicFamily for Inbox {
    const NAME: &'static str = "inbox";
    type Message = Said;
    type Client = str;

    async fn authorize(user: &str, key: &str) -> Result<Access, Problem> {
        match user {
            "admin" => Ok(Access::PublishAndSubscribe),
            _ if user == key => Ok(Access::Subscribe),
            _ => Err(Problem::forbidden("this inbox belongs to another user")),
        }
    }
}

#[derive(Deserialize)]
struct User {
    x_user: String,
}

#[post("/{key}")]
async fn publish(key: Path<String>, user: Header<User>, hub: State<Hub>, text: String) -> Result<String, Problem> {
    let topic = hub.authorize::<Inbox>(&user.x_user, &key).await?;
    Ok(topic.publish(&Said { text }).await?.to_string())
}

#[get("/{key}")]
async fn listen(
    key: Path<String>,
    user: Header<User>,
    hub: State<Hub>,
    last: LastEventId,
) -> Result<Events<Said>, Problem> {
    let topic = hub.authorize::<Inbox>(&user.x_user, &key).await?;
    Ok(topic.events(last).await?)
}

#[get("/{key}/history")]
async fn listen_from_history(key: Path<String>, user: Header<User>, hub: State<Hub>) -> Result<Events<Said>, Problem> {
    let topic = hub.authorize::<Inbox>(&user.x_user, &key).await?;
    Ok(topic.events(StartFrom::History).await?)
}

#[get("/{key}/latest")]
async fn listen_to_latest(key: Path<String>, user: Header<User>, hub: State<Hub>) -> Result<Events<Said>, Problem> {
    let topic = hub.authorize::<Inbox>(&user.x_user, &key).await?;
    Ok(topic
        .subscribe(StartFrom::Now)
        .await?
        .on_lag(LagPolicy::KeepLatest)
        .into_events())
}

#[get("/{key}/close")]
async fn listen_or_close(key: Path<String>, user: Header<User>, hub: State<Hub>) -> Result<Events<Said>, Problem> {
    let topic = hub.authorize::<Inbox>(&user.x_user, &key).await?;
    Ok(topic
        .subscribe(StartFrom::Now)
        .await?
        .on_lag(LagPolicy::Close)
        .into_events())
}

/// A WebSocket whose client is a member of the topic.
#[get("/{key}/socket/{name}")]
async fn socket(upgrade: WebSocketUpgrade, hub: State<Hub>, path: Path<(String, String)>) -> Result<Response, Problem> {
    let (key, name) = path.0;
    let topic = hub.trusted::<Inbox>(&key)?;
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let mut updates = topic.subscribe(StartFrom::Now).await?.with_presence();
        let _presence = topic.join(&name).await?;
        loop {
            tokio::select! {
                message = socket.recv() => match message.as_ref().and_then(|message| message.as_text()) {
                    Some(text) => drop(topic.publish(&Said { text: text.to_owned() }).await?),
                    None => break,
                },
                update = updates.next() => match update {
                    Some(Update::Message(message)) => socket.send_shared(message.json()).await?,
                    Some(Update::Joined(name)) => socket.send(format!("joined {name}")).await?,
                    Some(Update::Left(name)) => socket.send(format!("left {name}")).await?,
                    Some(Update::Missed) => socket.send("missed").await?,
                    None => break,
                },
            }
        }
        Ok::<_, conduit::BoxError>(())
    }))
}

#[get("/{key}/members")]
async fn members(key: Path<String>, hub: State<Hub>) -> Result<Json<Vec<String>>, Problem> {
    Ok(Json(hub.trusted::<Inbox>(&key)?.present().await?))
}

const ROUTES: Routes<Hub> = routes![
    publish,
    listen,
    listen_from_history,
    listen_to_latest,
    listen_or_close,
    socket,
    members
];

fn client_with(config: HubConfig) -> (TestClient, Hub) {
    let hub = Hub::with(config);
    (TestClient::new(App::new(hub.clone()).routes(ROUTES)), hub)
}

fn client() -> (TestClient, Hub) {
    client_with(HubConfig::default())
}

/// Publishes a text, and returns its position.
#[track_caller]
fn say(client: &TestClient, key: &str, text: &str) -> String {
    let response = client
        .post(&format!("/{key}"))
        .header("x-user", "admin")
        .text(text)
        .send();
    response.assert_status(200);
    response.text().to_owned()
}

#[track_caller]
fn stream(client: &TestClient, path: &str) -> TestStream {
    let user = path
        .trim_start_matches('/')
        .split('/')
        .next()
        .expect("a key")
        .to_owned();
    let stream = client.get(path).header("x-user", user).stream();
    stream.head().assert_status(200);
    stream
}

#[track_caller]
fn text(event: Option<ServerEvent>) -> String {
    let event = event.expect("an event");
    assert_eq!(event.event, "");
    serde_json::from_str::<Said>(&event.data).expect("a message").text
}
