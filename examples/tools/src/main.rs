//! Notes whose handlers are tools for language models.
//!
//! `cargo run -p tools` serves the API at `/notes` and the tools at `/mcp`. `cargo run -p tools -- --mcp` serves the tools over
//! standard input and output; `CONDUIT_MCP_AUTHORIZATION="Bearer ada"` has the credentials.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use conduit::events::LastEventId;
use conduit::prelude::*;
use conduit::runs::{Accepted, RunEvents, Runs};
use conduit::{Auth, Authenticate, Bearer};
use serde::{Deserialize, Serialize};

/// The state: all notes, and the exports in progress.
#[derive(Clone, FromRef)]
struct Service {
    notes: Notes,
    exports: Runs<Progress>,
}

#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<Note>>>);

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Vec<Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A note of a user.
#[derive(Clone, Serialize, JsonSchema)]
struct Note {
    id: u32,
    text: String,
    #[serde(skip)]
    owner: String,
}

/// The user with the token as the name; a real service verifies the token.
struct User(String);

impl<S> Authenticate<S> for User {
    type Credentials = Bearer;

    async fn authenticate(bearer: Bearer, _: &S) -> Result<User, Problem> {
        match bearer.token.reveal() {
            name @ ("ada" | "grace") => Ok(User(name.to_owned())),
            _ => Err(Bearer::refused("the token is unknown")),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct Search {
    /// A part of the text; without it all notes are found.
    text: Option<String>,
}

/// Find notes.
#[get("/notes", tool = "find_notes")]
fn find(user: Auth<User>, search: Query<Search>, notes: State<Notes>) -> Json<Vec<Note>> {
    let part = search.0.text.unwrap_or_default();
    let found = notes
        .lock()
        .iter()
        .filter(|note| note.owner == user.0.0 && note.text.contains(&part))
        .cloned()
        .collect();
    Json(found)
}

#[derive(Deserialize, JsonSchema)]
struct NewNote {
    /// The text of the note.
    text: String,
}

/// Add a note.
#[post("/notes", tool = "add_note")]
fn add(user: Auth<User>, new: Json<NewNote>, notes: State<Notes>) -> Created<Json<Note>> {
    let mut notes = notes.lock();
    let note = Note {
        id: u32::try_from(notes.len()).unwrap_or(u32::MAX),
        text: new.0.text,
        owner: user.0.0,
    };
    notes.push(note.clone());
    Created::at(format!("/notes/{}", note.id), Json(note))
}

/// Show a note.
#[get("/notes/{id}", tool = "show_note")]
fn show(user: Auth<User>, id: Path<u32>, notes: State<Notes>) -> Result<Json<Note>, Problem> {
    let note = notes
        .lock()
        .iter()
        .find(|note| note.id == *id && note.owner == user.0.0)
        .cloned();
    note.map(Json)
        .ok_or_else(|| Problem::not_found(format!("you have no note {}", *id)))
}

/// The number of written notes.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Progress {
    percent: u32,
}

/// Export all notes. The call ends when the export is complete.
#[post("/exports", tool = "export_notes")]
async fn export(user: Auth<User>, exports: State<Runs<Progress>>) -> Result<Accepted, Problem> {
    let run = exports
        .start(&user.0.0, "export", async |run| {
            for percent in [25, 50, 75, 100] {
                tokio::time::sleep(Duration::from_millis(20)).await;
                run.report(&Progress { percent }).await?;
            }
            Ok::<_, conduit::BoxError>(())
        })
        .await?;
    Ok(Accepted::at(format!("/exports/{}", run.id())))
}

/// Follow an export. Not a tool: the call of `export_notes` follows it.
#[get("/exports/{id}")]
async fn follow(
    user: Auth<User>,
    id: Path<String>,
    exports: State<Runs<Progress>>,
    last: LastEventId,
) -> Result<RunEvents<Progress>, Problem> {
    exports.find(&user.0.0, &id)?.events(last).await
}

/// Cancel an export.
#[delete("/exports/{id}")]
async fn cancel(user: Auth<User>, id: Path<String>, exports: State<Runs<Progress>>) -> Result<NoContent, Problem> {
    exports.find(&user.0.0, &id)?.cancel().await?;
    Ok(NoContent)
}

fn app() -> App<Service, Routes<Service>> {
    let service = Service {
        notes: Notes::default(),
        exports: Runs::new(),
    };
    App::new(service)
        .routes(routes![find, add, show, export, follow, cancel])
        .mcp("/mcp")
}

fn main() -> conduit::Result {
    // Standard output belongs to the protocol with `--mcp`.
    conduit::log::set_panic_hook();
    tracing_subscriber::fmt().with_writer(conduit::log::stderr).init();
    app().run()
}
