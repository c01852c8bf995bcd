//! The WebSocket of a page: its cursor and messages, and those of the others.

use conduit::hub::{Hub, HubError, Position, StartFrom, Subscription, Topic, Update};
use conduit::prelude::*;
use conduit::websocket::{JsonReceiver, JsonSender, WebSocket};
use conduit::{BoxError, WebSocketUpgrade};
use serde::{Deserialize, Serialize};

use crate::CursorHub;
use crate::topics::{Activity, BOARD, Cursor, Cursors, Feed, Name, Note, Notes, Point};

pub(crate) const ROUTES: Routes<crate::Board> = routes![open];

/// The maximum length of the text of a message, in bytes.
const TEXT_BYTES: usize = 1000;
/// The maximum length of the ID of a message, in bytes.
const ID_BYTES: usize = 64;

#[derive(Deserialize, JsonSchema)]
struct Entrance {
    /// The name of the client.
    name: String,
    /// The position of the last message that the client has received.
    after: Option<String>,
}

/// A message of a page.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Command {
    Move { at: Point },
    Write { id: String, text: String },
}

/// A message to a page.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    /// The clients that are present.
    Present {
        names: Vec<String>,
    },
    Note {
        position: String,
        note: Note,
    },
    /// Older messages are no longer in the history.
    Missed,
    Cursor {
        cursor: Cursor,
    },
    /// The last message of the page is invalid, and had no effect.
    Rejected {
        reason: String,
    },
}

/// The topics of a client.
struct Client {
    name: String,
    notes: Topic<Notes>,
    cursors: Topic<Cursors>,
    feed: Topic<Feed>,
}

#[get("/socket")]
async fn open(
    upgrade: WebSocketUpgrade,
    entrance: Query<Entrance>,
    hub: State<Hub>,
    cursors: State<CursorHub>,
) -> Result<Response, Problem> {
    let Entrance { name, after } = entrance.0;
    let client = Name::new(&name);
    let client = Client {
        notes: hub.authorize(&client, BOARD).await?,
        cursors: cursors.0.0.authorize(&client, BOARD).await?,
        feed: hub.authorize(&client, BOARD).await?,
        name,
    };
    // A position of an earlier process is unknown; the page then receives the whole history.
    let from = match after {
        None => StartFrom::History,
        Some(position) => StartFrom::After(position.parse().unwrap_or(Position::default())),
    };
    Ok(upgrade.on_upgrade(async move |socket| client.serve(socket, from).await))
}

impl Client {
    async fn serve(self, socket: WebSocket, from: StartFrom) -> Result<(), BoxError> {
        let notes = self.notes.subscribe(from).await?.with_presence();
        let cursors = self.cursors.subscribe(StartFrom::Now).await?;
        let _presence = self.notes.join(&self.name).await?;
        self.report("has joined").await?;
        let (sender, receiver) = socket.json::<Command, Event>().split();
        let served = self.exchange(sender, receiver, notes, cursors).await;
        self.report("has left").await?;
        served
    }

    async fn report(&self, activity: &str) -> Result<(), BoxError> {
        let activity = Activity {
            name: self.name.clone(),
            activity: activity.to_owned(),
            file: None,
        };
        self.feed.publish(&activity).await?;
        Ok(())
    }

    async fn exchange(
        &self,
        sender: JsonSender<Event>,
        mut receiver: JsonReceiver<Command>,
        mut notes: Subscription<Notes>,
        mut cursors: Subscription<Cursors>,
    ) -> Result<(), BoxError> {
        loop {
            tokio::select! {
                command = receiver.recv() => match command {
                    Some(Ok(command)) => if let Err(reason) = self.obey(command).await? {
                        sender.send(&Event::Rejected { reason: reason.to_owned() }).await?;
                    },
                    Some(Err(error)) => sender.send(&Event::Rejected { reason: error.to_string() }).await?,
                    None => return Ok(()),
                },
                update = notes.next() => match update {
                    Some(Update::Message(message)) => {
                        // A message that cannot be parsed must not end the WebSockets of its readers.
                        let Ok(note) = message.value() else { continue };
                        let position = message.position().to_string();
                        sender.send(&Event::Note { position, note }).await?;
                    }
                    Some(Update::Joined(_) | Update::Left(_)) => {
                        sender.send(&Event::Present { names: self.notes.present().await? }).await?;
                    }
                    Some(Update::Missed) => sender.send(&Event::Missed).await?,
                    None => return Ok(()),
                },
                update = cursors.next() => if let Some(Update::Message(message)) = update {
                    let Ok(cursor) = message.value() else { continue };
                    if cursor.name != self.name {
                        sender.send(&Event::Cursor { cursor }).await?;
                    }
                },
            }
        }
    }

    /// Executes a command, or returns the reason for its rejection. An error of the hub ends the WebSocket, and the page
    /// reconnects.
    async fn obey(&self, command: Command) -> Result<Result<(), &'static str>, HubError> {
        let name = self.name.clone();
        match command {
            Command::Move { at } => drop(self.cursors.publish(&Cursor { name, at }).await?),
            Command::Write { id, text } if text.len() <= TEXT_BYTES && id.len() <= ID_BYTES => {
                self.notes.publish(&Note { id, name, text }).await?;
            }
            Command::Write { .. } => return Ok(Err("the message is too long: expected at most 1,000 bytes")),
        }
        Ok(Ok(()))
    }
}
