//! Runs that several processes share: a topic has the updates of a run, and a member while the run is in progress.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::events::{RunEvents, RunFamily};
use super::registry::{RunRecord, not_found};
use super::update::RunUpdate;
use crate::BoxError;
use crate::events::{Event, LastEventId};
use crate::hub::{Access, Presence, StartFrom, Subscription, Topic, TopicFamily, Update};
use crate::problem::Problem;

/// The member of a topic while its run is in progress.
pub(super) const IN_PROGRESS: &str = "run";

/// The topics with the requests to cancel a run.
pub(super) struct CancelFamily;

impl TopicFamily for CancelFamily {
    const NAME: &'static str = "run-cancel";
    type Message = ();
    type Client = ();

    async fn authorize(_: &(), _: &str) -> Result<Access, Problem> {
        Err(Problem::forbidden("only its owner cancels a run"))
    }
}

/// The key of the topics of a run. It contains the owner: for others, the run does not exist.
pub(super) fn key(owner: &str, id: &str) -> String {
    format!("{:x}:{id}", Sha256::digest(owner))
}

/// Keeps the presence of a run until the future is dropped, and cancels the run at the request of another process.
pub(super) async fn control(
    presence: Presence,
    cancels: Topic<CancelFamily>,
    record: Arc<RunRecord>,
    name: &'static str,
) {
    match cancels.subscribe(StartFrom::History).await {
        Ok(mut requests) => {
            while let Some(update) = requests.next().await {
                // A loss of requests does not cancel the run.
                if matches!(update, Update::Message(_)) {
                    record.cancel();
                }
            }
        }
        Err(error) => {
            tracing::error!(run = name, id = record.id(), %error, "cannot receive the cancel requests of other processes; \
                clients of this process can still cancel the run");
        }
    }
    pending::<()>().await;
    drop(presence);
}

/// Drives a run. Its last update is queued before its presence ends.
pub(super) async fn drive_shared(driven: impl Future<Output = ()>, control: impl Future<Output = ()>) {
    let mut control = pin!(control);
    let mut driven = Box::pin(driven);
    poll_fn(|context| {
        let _ = control.as_mut().poll(context);
        driven.as_mut().poll(context)
    })
    .await;
}

/// Returns the updates of a run that any process has started.
pub(super) async fn events<P>(topic: &Topic<RunFamily<P>>, last: LastEventId) -> Result<RunEvents<P>, Problem>
where
    P: Serialize + DeserializeOwned + 'static,
{
    let known = last.parse();
    let from = known.map_or(StartFrom::History, StartFrom::After);
    let updates = topic.subscribe(from).await?.with_presence();
    let is_in_progress = !topic.present().await?.is_empty();
    if !is_in_progress {
        if updates.last().number() == 0 {
            return Err(not_found());
        }
        if known.is_some_and(|known| known >= updates.last()) {
            return Ok(RunEvents::ended());
        }
    }
    Ok(RunEvents::of_stream(SharedUpdates {
        updates,
        is_in_progress,
        has_ended: false,
    }))
}

/// Cancels a run of another process, unless it has ended.
pub(super) async fn cancel<P>(topic: &Topic<RunFamily<P>>, cancels: &Topic<CancelFamily>) -> Result<(), Problem>
where
    P: Serialize + DeserializeOwned + 'static,
{
    // The process has the members of a topic while it has a subscription.
    let updates = topic.subscribe(StartFrom::Now).await?;
    if topic.present().await?.is_empty() && updates.last().number() == 0 {
        return Err(not_found());
    }
    // After an outage of the server, a run may be in progress whose process has not reconnected. A run that has ended
    // ignores the message.
    cancels.publish(&()).await?;
    Ok(())
}

/// Updates as the bytes of events, until the last update, or until the process of the run has ended without a last update.
struct SharedUpdates<P: Serialize + DeserializeOwned + 'static> {
    updates: Subscription<RunFamily<P>>,
    is_in_progress: bool,
    has_ended: bool,
}

impl<P: Serialize + DeserializeOwned + 'static> Stream for SharedUpdates<P> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        loop {
            let Poll::Ready(update) = Pin::new(&mut self.updates).poll_next(context) else {
                if self.is_in_progress {
                    return Poll::Pending;
                }
                self.has_ended = true;
                let last = Event::new(&RunUpdate::<P>::CutOff).encode();
                return Poll::Ready(Some(last.map_err(BoxError::from)));
            };
            match &update {
                Some(Update::Joined(_)) => self.is_in_progress = true,
                Some(Update::Left(_)) => self.is_in_progress = false,
                Some(Update::Message(message)) => {
                    self.has_ended = message.value().is_ok_and(|update| update.is_last());
                    return Poll::Ready(update.map(crate::hub::encoded));
                }
                Some(Update::Missed) | None => return Poll::Ready(update.map(crate::hub::encoded)),
            }
        }
    }
}
