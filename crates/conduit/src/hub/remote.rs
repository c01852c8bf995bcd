//! Engines that keep the topics in a server, such as a database.
//!
//! [`RemoteEngine`] is the part that such engines share: a thread that connects and reconnects, the queues of requests and
//! their bounds, the retries of requests whose result is unknown, the leases of processes, and the updates of the
//! [`Replica`](super::Replica). A [`TopicServer`] opens connections, and its [`TopicSession`] sends the requests to the
//! server. `conduit-redis` and `conduit-postgres` implement both.

pub use super::remote_engine::RemoteEngine;
pub use super::topic_server::{
    LaterMessages, MemberChange, MemberChangeKind, ProcessLease, RemoteEngineConfig, RemoteMessage, RemoteUpdate,
    SessionError, TopicServer, TopicSession, time_to_live,
};
