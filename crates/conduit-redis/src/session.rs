//! The two connections of an engine, from their beginning until one is lost.

use std::sync::Arc;
use std::time::Duration;

use conduit::hub::remote::{
    MemberChange, MemberChangeKind, ProcessLease, RemoteMessage, RemoteUpdate, SessionError, TopicSession, time_to_live,
};
use conduit::hub::{EngineMessage, HubConfig, HubError, Position, TopicSnapshot};
use redis::aio::{MultiplexedConnection, PubSubSink};
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Msg, RedisError, RedisResult, ServerErrorKind};

use crate::received::{ReceivedMessages, WAITING_BYTES};
use crate::scripts::{Scripts, call};
use crate::store::is_lost;

pub(crate) struct Session {
    connection: MultiplexedConnection,
    channels: PubSubSink,
    messages: ReceivedMessages,
    scripts: Scripts,
    names: Names,
    response_timeout: Duration,
}

/// The keys of an engine.
#[derive(Clone)]
pub(crate) struct Names {
    /// The prefix of streams, which are channels too: `PREFIX:hub:`.
    streams: String,
    members: String,
    leases: String,
    /// The time to live of a topic.
    ttl: Duration,
    /// The bounds of a history.
    history_messages: usize,
    history_bytes: usize,
    member_limit: usize,
}

impl Names {
    pub(crate) fn new(prefix: &str, config: &HubConfig) -> Self {
        Names {
            streams: format!("{prefix}:hub:"),
            members: format!("{prefix}:members:"),
            leases: format!("{prefix}:processes"),
            ttl: time_to_live(config),
            history_messages: config.history_messages,
            history_bytes: config.history_bytes,
            member_limit: config.members,
        }
    }

    fn stream(&self, topic: &str) -> Vec<u8> {
        [&self.streams, topic].concat().into_bytes()
    }

    fn members(&self, topic: &str) -> Vec<u8> {
        [&self.members, topic].concat().into_bytes()
    }

    fn ttl_millis(&self) -> u64 {
        u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Session {
    pub(crate) async fn open(client: Client, names: Names, response_timeout: Duration) -> Result<Self, SessionError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(response_timeout))
            .set_response_timeout(Some(response_timeout));
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.map_err(session_error)?;
        let channels = within(response_timeout, client.get_async_pubsub()).await?;
        let (channels, messages) = channels.split();
        let scripts = Scripts::new();
        scripts.load(&mut connection).await.map_err(session_error)?;
        Ok(Session {
            connection,
            channels,
            messages: ReceivedMessages::new(messages, WAITING_BYTES),
            scripts,
            names,
            response_timeout,
        })
    }

    /// The update in a message; another publisher may use the channel.
    fn parse(&self, message: &Msg) -> Option<RemoteUpdate> {
        let topic = message.get_channel_name().strip_prefix(&self.names.streams)?.into();
        let (kind, text) = str::from_utf8(message.get_payload_bytes()).ok()?.split_at_checked(1)?;
        match kind {
            "m" => {
                let (id, json) = text.split_once(' ')?;
                Some(RemoteUpdate::Message(topic, position(id)?, json.into()))
            }
            "+" | "-" => {
                let (process, member) = parse_member(text)?;
                Some(match kind {
                    "+" => RemoteUpdate::Joined(topic, process, member),
                    _ => RemoteUpdate::Left(topic, process, member),
                })
            }
            _ => None,
        }
    }

    async fn query<T: FromRedisValue>(&mut self, command: &redis::Cmd) -> Result<T, SessionError> {
        command.query_async(&mut self.connection).await.map_err(session_error)
    }
}

impl TopicSession for Session {
    async fn update(&mut self) -> Result<RemoteUpdate, SessionError> {
        loop {
            let message = self.messages.next().await;
            let message =
                message.ok_or_else(|| SessionError::Lost("the connection for messages was lost".to_owned()))?;
            if let Some(update) = self.parse(&message) {
                return Ok(update);
            }
        }
    }

    async fn subscribe(&mut self, topics: &[Arc<str>]) -> Result<(), SessionError> {
        let names: Vec<Vec<u8>> = topics.iter().map(|topic| self.names.stream(topic)).collect();
        let subscribed = within(self.response_timeout, self.channels.subscribe(names));
        subscribed.await
    }

    async fn unsubscribe(&mut self, topic: &Arc<str>) -> Result<(), SessionError> {
        let name = self.names.stream(topic);
        let ended = within(self.response_timeout, self.channels.unsubscribe(name));
        ended.await
    }

    async fn read(
        &mut self,
        topics: &[(Arc<str>, Option<Position>)],
    ) -> Result<Vec<Result<TopicSnapshot, String>>, SessionError> {
        let mut pipeline = redis::pipe();
        pipeline.ignore_errors();
        for (topic, known) in topics {
            let keys = [
                self.names.stream(topic),
                self.names.members(topic),
                self.names.leases.clone().into_bytes(),
            ];
            let mut command = call(&self.scripts.follow, &keys);
            command
                .arg(self.names.ttl_millis())
                .arg(self.names.history_messages)
                .arg(self.names.history_bytes)
                .arg(known.map(id).unwrap_or_default());
            pipeline.add_command(command);
        }
        let replies = pipeline.query_async(&mut self.connection).await;
        let replies: Vec<RedisResult<Vec<String>>> = replies.map_err(session_error)?;
        let mut snapshots = Vec::new();
        for reply in replies {
            if let Err(error) = &reply
                && ends_session(error)
            {
                return Err(session_error(error.clone()));
            }
            let snapshot = reply.and_then(|reply| snapshot(&reply).ok_or_else(foreign_entries));
            snapshots.push(snapshot.map_err(|error| error.to_string()));
        }
        Ok(snapshots)
    }

    async fn publish(&mut self, messages: &[RemoteMessage]) -> Result<Vec<Result<Position, String>>, SessionError> {
        let keys: Vec<_> = messages
            .iter()
            .map(|message| self.names.stream(&message.topic))
            .collect();
        let mut command = call(&self.scripts.publish, &keys);
        command.arg(self.names.ttl_millis()).arg(self.names.history_messages);
        for message in messages {
            command
                .arg(u8::from(message.is_retry))
                .arg(&message.token)
                .arg(&*message.json);
        }
        let results: Vec<String> = self.query(&command).await?;
        check_role(&results)?;
        let result = |text: String| position(&text).ok_or(text);
        Ok(results.into_iter().map(result).collect())
    }

    async fn change_members(
        &mut self,
        process: u64,
        changes: &[MemberChange],
    ) -> Result<Vec<Result<(), HubError>>, SessionError> {
        let mut keys = vec![self.names.leases.clone().into_bytes()];
        for change in changes {
            keys.extend([self.names.members(&change.topic), self.names.stream(&change.topic)]);
        }
        let is_announced = |change: &MemberChange| matches!(change.kind, MemberChangeKind::Announce);
        let script = match changes.iter().all(is_announced) {
            true => &self.scripts.announce,
            false => &self.scripts.members,
        };
        let mut command = call(script, &keys);
        command.arg(self.names.ttl_millis()).arg(self.names.member_limit);
        for change in changes {
            let kind = match change.kind {
                MemberChangeKind::Join => "+",
                MemberChangeKind::Announce => "!",
                MemberChangeKind::Leave => "-",
            };
            command.arg(kind).arg(member_text(process, &change.member));
        }
        let results: Vec<String> = self.query(&command).await?;
        check_role(&results)?;
        let mut errors = results.iter().filter(|text| !matches!(&***text, "1" | "0"));
        if let Some(error) = errors.next() {
            let count = 1 + errors.count();
            tracing::error!(error, count, "Redis rejected changes of members");
        }
        let result = |text: String| match &*text {
            "1" => Ok(()),
            "0" => Err(HubError::Full { what: "members" }),
            _ => Err(HubError::Unavailable),
        };
        Ok(results.into_iter().map(result).collect())
    }

    async fn renew_lease(&mut self, process: u64, lease: Duration) -> Result<ProcessLease, SessionError> {
        let mut command = call(&self.scripts.lease, &[self.names.leases.clone().into_bytes()]);
        command
            .arg(process.to_string())
            .arg(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        let reply: Vec<String> = self.query(&command).await?;
        let alive = within(self.response_timeout, self.channels.ping::<redis::Value>());
        alive.await?;
        Ok(ProcessLease {
            had_ended: reply.first().is_some_and(|had_ended| had_ended == "1"),
            live: reply
                .iter()
                .skip(1)
                .filter_map(|process| process.parse().ok())
                .collect(),
        })
    }

    async fn refresh(&mut self, topics: &[Arc<str>]) -> Result<(), SessionError> {
        let keys = |topic: &Arc<str>| [self.names.stream(topic), self.names.members(topic)];
        let keys: Vec<_> = topics.iter().flat_map(keys).collect();
        let mut command = call(&self.scripts.refresh, &keys);
        command.arg(self.names.ttl_millis());
        let refreshed = self.query::<i64>(&command).await;
        refreshed.map(drop)
    }
}

async fn within<T>(time: Duration, request: impl Future<Output = RedisResult<T>>) -> Result<T, SessionError> {
    match tokio::time::timeout(time, request).await {
        Ok(result) => result.map_err(session_error),
        Err(_) => Err(SessionError::Lost("the server does not respond".to_owned())),
    }
}

/// Returns whether another connection may succeed: this one is lost, or the server has lost the scripts.
fn ends_session(error: &RedisError) -> bool {
    is_lost(error) || error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Returns an error if a script has met the error of a server that has become a replica, and has returned it as a text.
fn check_role(results: &[String]) -> Result<(), SessionError> {
    let is_of_replica = |text: &&String| text.starts_with("READONLY ") || text.starts_with("MASTERDOWN ");
    match results.iter().find(is_of_replica) {
        Some(error) => Err(SessionError::Lost(error.clone())),
        None => Ok(()),
    }
}

/// An error that ends the session, or one that concerns a request, such as that of a full server.
fn session_error(error: RedisError) -> SessionError {
    match ends_session(&error) {
        true => SessionError::Lost(error.to_string()),
        false => SessionError::Refused(error.to_string()),
    }
}

fn foreign_entries() -> RedisError {
    RedisError::from((
        ErrorKind::UnexpectedReturnType,
        "the stream of a topic contains entries of another format",
    ))
}

/// The member of a process as the server has it.
fn member_text(process: u64, member: &str) -> String {
    format!("{process} {member}")
}

fn parse_member(text: &str) -> Option<(u64, Arc<str>)> {
    let (process, member) = text.split_once(' ')?;
    Some((process.parse().ok()?, member.into()))
}

/// The ID of an entry in a stream.
fn id(position: Position) -> String {
    format!("{}-{}", position.epoch(), position.number())
}

fn position(id: &str) -> Option<Position> {
    let (epoch, number) = id.split_once('-')?;
    Some(Position::new(epoch.parse().ok()?, number.parse().ok()?))
}

/// The reply of the script that reads a topic.
fn snapshot(reply: &[String]) -> Option<TopicSnapshot> {
    let [last, now, count, rest @ ..] = reply else {
        return None;
    };
    let last = position(last)?;
    let now: u64 = now.parse().ok()?;
    let (messages, members) = rest.split_at_checked(3 * count.parse::<usize>().ok()?)?;
    let message = |fields: &[String]| {
        let [id, published, json] = fields else { return None };
        Some(EngineMessage {
            position: position(id)?,
            json: json.as_str().into(),
            age: Duration::from_millis(now.saturating_sub(published.parse().ok()?)),
        })
    };
    let messages = messages.chunks(3).rev().map(message).collect::<Option<Vec<_>>>()?;
    let first = messages.first().map(|message| message.position);
    Some(TopicSnapshot {
        last,
        complete_after: first.map_or(last, |first| Position::new(first.epoch(), first.number() - 1)),
        messages,
        members: members.iter().filter_map(|member| parse_member(member)).collect(),
    })
}
