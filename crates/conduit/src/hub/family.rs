//! Topics of one kind, and the access of clients to them.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Topics of one kind: the type of their messages, and the rule for the clients that may use them.
///
/// The [module](super) has an example.
pub trait TopicFamily: 'static {
    /// The name of the family, unique in the application. [`Runs`](crate::runs::Runs) use the names `run` and `run-cancel`.
    const NAME: &'static str;

    /// The messages, which serde writes as JSON.
    type Message: Serialize + DeserializeOwned + 'static;

    /// The authenticated client, with all data that the decision requires, such as a database pool.
    type Client: ?Sized;

    /// Returns the access of a client to the topic with this key. [`Hub::authorize`](super::Hub::authorize) calls it: no
    /// other function permits a client to use a topic.
    ///
    /// # Errors
    ///
    /// Returns the problem that a client without access receives, such as 403 or 404.
    fn authorize(client: &Self::Client, key: &str) -> impl Future<Output = Result<Access, Problem>>;
}

/// The access of a client to a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The client receives messages, and sees the members.
    Subscribe,
    /// The client also publishes, and may be a member.
    PublishAndSubscribe,
}
