//! Files that clients share. The most recent ones are kept in memory.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use conduit::http::header::CONTENT_DISPOSITION;
use conduit::hub::Hub;
use conduit::prelude::*;
use serde::Deserialize;

use crate::topics::{Activity, BOARD, Feed, Name};

pub(crate) const ROUTES: Routes<crate::Board> = routes![upload, download];

/// The maximum size of a file, and the number of retained files.
pub(crate) const FILE_BYTES: u64 = 4 * 1024 * 1024;
const FILES: usize = 8;

/// The most recent files of this process. Clones share them.
#[derive(Clone)]
pub(crate) struct Uploads {
    /// Distinguishes the files of this process from those of others that share the board.
    process: u64,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    count: u64,
    files: VecDeque<(String, Bytes)>,
}

impl Default for Uploads {
    fn default() -> Self {
        Uploads {
            process: RandomState::new().hash_one(()),
            kept: Arc::default(),
        }
    }
}

impl Uploads {
    /// Stores a file. Returns its ID.
    fn add(&self, content: Bytes) -> String {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        let id = format!("{:016x}-{}", self.process, kept.count);
        kept.files.push_back((id.clone(), content));
        if kept.files.len() > FILES {
            kept.files.pop_front();
        }
        id
    }

    fn get(&self, id: &str) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let file = kept.files.iter().find(|(known, _)| known == id)?;
        Some(file.1.clone())
    }
}

#[derive(Deserialize, JsonSchema)]
struct Sender {
    /// The name of the client.
    name: String,
}

/// Share a file.
#[post("/files")]
async fn upload(
    sender: Query<Sender>,
    hub: State<Hub>,
    uploads: State<Uploads>,
    content: Bytes,
) -> Result<Created<()>, Problem> {
    let name = sender.0.name;
    let feed = hub.authorize::<Feed>(&Name::new(&name), BOARD).await?;
    let bytes = content.len();
    let path = format!("/files/{}", uploads.add(content));
    let activity = Activity {
        name,
        activity: format!("has shared a file of {bytes} bytes"),
        file: Some(path.clone()),
    };
    feed.publish(&activity).await?;
    Ok(Created::at(path, ()))
}

/// A file, which browsers download and never display as a page.
#[get("/files/{id}")]
async fn download(id: Path<String>, uploads: State<Uploads>) -> Result<impl IntoResponse, Problem> {
    let content = uploads.get(&id);
    let content =
        content.ok_or_else(|| Problem::not_found("this process does not have the file, or no longer has it"))?;
    Ok(([(CONTENT_DISPOSITION, "attachment")], content))
}
