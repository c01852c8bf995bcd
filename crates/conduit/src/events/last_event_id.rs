//! The ID of the last event that a client has received.

use std::convert::Infallible;

use super::event::EventText;
use crate::extract::FromRequest;
use crate::openapi::{Operation, Parameter};
use crate::request::Request;

const NAME: &str = "last-event-id";

/// The ID of the last event that a reconnecting client has received: the field `last-event-id`. `None` at the first connection, and
/// for a value that is not a valid ID.
///
/// The client can send any value: look it up among the events that this client may receive, as a [`Topic`](crate::hub::Topic) does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastEventId(pub Option<EventText>);

impl LastEventId {
    /// Returns the ID as a value of `T`, such as a number; `None` if it is missing or not a `T`.
    pub fn parse<T: std::str::FromStr>(&self) -> Option<T> {
        self.0.as_ref()?.as_str().parse().ok()
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        let value = request.header(NAME).filter(|value| !value.is_empty());
        let text = value.and_then(|value| str::from_utf8(value).ok());
        Ok(LastEventId(text.and_then(|text| text.parse().ok())))
    }

    fn describe(operation: &mut Operation) {
        let parameter = Parameter::header(NAME)
            .schema(Operation::text())
            .description("The ID of the last event that the client has received.");
        operation.optional(|operation| {
            operation.parameter(parameter);
        });
    }
}
