//! Files that clients share. The last few are kept in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use conduit::http::header::CONTENT_DISPOSITION;
use conduit::hub::Hub;
use conduit::prelude::*;
use serde::Deserialize;

use crate::topics::{Activity, BOARD, Feed, Name};

pub(crate) const ROUTES: Routes<crate::Board> = routes![upload, download];

/// The size of a file, and the number of files that are kept.
pub(crate) const FILE_BYTES: u64 = 4 * 1024 * 1024;
const FILES: usize = 8;

/// The last files. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Uploads(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    count: u64,
    files: VecDeque<(u64, Bytes)>,
}

impl Uploads {
    fn add(&self, content: Bytes) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        let number = kept.count;
        kept.files.push_back((number, content));
        if kept.files.len() > FILES {
            kept.files.pop_front();
        }
        number
    }

    fn get(&self, number: u64) -> Option<Bytes> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = kept.files.iter().find(|(known, _)| *known == number)?;
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
    let number = uploads.add(content);
    let activity = format!("has shared file {number} of {bytes} bytes");
    feed.publish(&Activity { name, activity }).await?;
    Ok(Created::at(format!("/files/{number}"), ()))
}

/// A file, which a browser saves and never shows as a page.
#[get("/files/{number}")]
async fn download(number: Path<u64>, uploads: State<Uploads>) -> Result<impl IntoResponse, Problem> {
    let content = uploads.get(*number);
    let content = content.ok_or_else(|| Problem::not_found("this file is no longer kept"))?;
    Ok(([(CONTENT_DISPOSITION, "attachment")], content))
}
