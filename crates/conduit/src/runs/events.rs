//! The updates of a run as a response.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::registry::RunRecord;
use super::update::RunUpdate;
use crate::BoxError;
use crate::events::{Events, MEDIA_TYPE};
use crate::hub::{Access, Subscription, TopicFamily, Update};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::response::{IntoResponse, NoContent, Response};

/// The topics of runs. The registry checks the owner.
pub(super) struct RunFamily<P>(PhantomData<fn() -> P>);

impl<P: Serialize + DeserializeOwned + 'static> TopicFamily for RunFamily<P> {
    const NAME: &'static str = "run";
    type Message = RunUpdate<P>;
    type Client = ();

    async fn authorize(_: &(), _: &str) -> Result<Access, Problem> {
        Err(Problem::forbidden("only its owner follows a run"))
    }
}

/// Marks a response that follows a run: DELETE at the same path cancels the run.
#[derive(Clone, Copy)]
pub(crate) struct FollowsRun;

/// The updates of a run as an event stream, which ends after the last update; a 204 for a client that has already received
/// the last update.
pub struct RunEvents<P>(Option<Events<RunUpdate<P>>>);

impl<P: Serialize + DeserializeOwned + 'static> RunEvents<P> {
    pub(super) fn ended() -> Self {
        RunEvents(None)
    }

    pub(super) fn of_stream(updates: impl Stream<Item = Result<Bytes, BoxError>> + 'static) -> Self {
        RunEvents(Some(Events::from_encoded(updates)))
    }

    pub(super) fn of(updates: Subscription<RunFamily<P>>, record: Arc<RunRecord>) -> Self {
        let is_before = |position| updates.begins_after(position);
        let updates = UntilLast {
            is_last_lost: record.last().is_some_and(|last| last.position.is_none_or(is_before)),
            updates,
            record,
            has_ended: false,
        };
        RunEvents::of_stream(updates)
    }
}

#[diagnostic::do_not_recommend]
impl<P> IntoResponse for RunEvents<P> {
    fn into_response(self) -> Response {
        match self.0 {
            Some(events) => {
                let mut response = events.into_response();
                response.extensions_mut().insert(FollowsRun);
                response
            }
            None => NoContent.into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        // The signature of a handler names the type of the progress, and not that of the updates.
        let progress = operation.output_schema_of::<P>().unwrap_or_else(|| json!({}));
        let running = json!({
            "type": "object",
            "properties": { "state": { "const": "running" }, "progress": progress },
            "required": ["state", "progress"],
        });
        let last = json!({
            "type": "object",
            "properties": { "state": { "enum": ["succeeded", "failed", "cancelled", "cut_off"] } },
            "required": ["state"],
        });
        let missed = json!({ "type": "null", "description": "The event `missed`: the client has lost updates." });
        operation
            .response(MEDIA_TYPE, json!({ "anyOf": [running, last, missed] }))
            .response_description("An event stream; the schema describes the data of each event.");
        operation.at_status(StatusCode::NO_CONTENT, |operation| {
            operation
                .response_without_body()
                .response_description("The client has received all updates.");
        });
    }
}

impl<P> fmt::Debug for RunEvents<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunEvents").field(&self.0).finish()
    }
}

/// Updates as the bytes of events, until the last one.
struct UntilLast<P: Serialize + DeserializeOwned + 'static> {
    updates: Subscription<RunFamily<P>>,
    record: Arc<RunRecord>,
    /// The run has ended, and the subscription may not receive the last update.
    is_last_lost: bool,
    has_ended: bool,
}

impl<P: Serialize + DeserializeOwned + 'static> Stream for UntilLast<P> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(update) = Pin::new(&mut self.updates).poll_next(context) else {
            if self.is_last_lost
                && let Some(event) = self.record.last().map(|last| last.event.clone())
            {
                self.has_ended = true;
                return Poll::Ready(Some(Ok(event)));
            }
            return Poll::Pending;
        };
        match &update {
            Some(Update::Message(message)) => {
                self.has_ended = message.value().is_ok_and(|update| update.is_last());
            }
            // A run that ends later publishes its last update after these lost messages.
            Some(Update::Missed) => self.is_last_lost = self.record.last().is_some(),
            _ => {}
        }
        Poll::Ready(update.map(crate::hub::encoded))
    }
}
