//! The two connections of an engine, from their beginning until one is lost.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use conduit::hub::{EngineMessage, HubError, Position, TopicSnapshot};
use futures_core::Stream as _;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Msg, RedisError, RedisResult, ServerErrorKind};

use crate::scripts::{Scripts, call};
use crate::store::is_lost;

/// The number of topics that one pipeline reads: the snapshots of these are in memory at once.
const TOPICS_AT_ONCE: usize = 16;

pub(crate) struct Session {
    connection: MultiplexedConnection,
    channels: PubSubSink,
    messages: PubSubStream,
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
    pub(crate) ttl: Duration,
    /// The bounds of a history.
    pub(crate) history_messages: usize,
    pub(crate) history_bytes: usize,
    pub(crate) member_limit: usize,
}

/// A message, or the change of a member.
pub(crate) enum Update {
    Message(Position, Arc<str>),
    Joined(u64, Arc<str>),
    Left(u64, Arc<str>),
}

/// The result of a renewed lease.
pub(crate) struct Lease {
    /// The lease had ended, and the members of this process with it.
    pub(crate) had_ended: bool,
    /// The processes with a lease.
    pub(crate) live: Vec<u64>,
}

impl Names {
    pub(crate) fn new(prefix: &str, config: &conduit::hub::HubConfig) -> Self {
        Names {
            streams: format!("{prefix}:hub:"),
            members: format!("{prefix}:members:"),
            leases: format!("{prefix}:processes"),
            ttl: (2 * config.history_time).max(Duration::from_secs(60)),
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
    pub(crate) async fn open(client: Client, names: Names, response_timeout: Duration) -> RedisResult<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(response_timeout))
            .set_response_timeout(Some(response_timeout));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let channels = within(response_timeout, client.get_async_pubsub()).await?;
        let (channels, messages) = channels.split();
        let scripts = Scripts::new();
        scripts.load(&mut connection).await?;
        Ok(Session {
            connection,
            channels,
            messages,
            scripts,
            names,
            response_timeout,
        })
    }

    /// The next update of a topic; an error after the end of the connection.
    pub(crate) async fn update(&mut self) -> RedisResult<(Arc<str>, Update)> {
        loop {
            let message = poll_fn(|context| Pin::new(&mut self.messages).poll_next(context)).await;
            let message = message.ok_or_else(|| broken("the connection for messages was lost"))?;
            if let Some(update) = self.parse(&message) {
                return Ok(update);
            }
        }
    }

    /// The update in a message; another publisher may use the channel.
    fn parse(&self, message: &Msg) -> Option<(Arc<str>, Update)> {
        let topic = message.get_channel_name().strip_prefix(&self.names.streams)?;
        let (kind, text) = str::from_utf8(message.get_payload_bytes()).ok()?.split_at_checked(1)?;
        let update = match kind {
            "m" => {
                let (id, json) = text.split_once(' ')?;
                Update::Message(position(id)?, json.into())
            }
            "+" | "-" => {
                let (process, member) = parse_member(text)?;
                match kind {
                    "+" => Update::Joined(process, member),
                    _ => Update::Left(process, member),
                }
            }
            _ => return None,
        };
        Some((topic.into(), update))
    }

    /// Subscribes to the channels of topics. Their messages are received from now on.
    pub(crate) async fn subscribe(&mut self, topics: &[Arc<str>]) -> RedisResult<()> {
        let names: Vec<Vec<u8>> = topics.iter().map(|topic| self.names.stream(topic)).collect();
        within(self.response_timeout, self.channels.subscribe(names)).await
    }

    pub(crate) async fn unsubscribe(&mut self, topic: &str) -> RedisResult<()> {
        within(
            self.response_timeout,
            self.channels.unsubscribe(self.names.stream(topic)),
        )
        .await
    }

    /// Reads topics, each after the position that this process has. An error of the server concerns one topic.
    pub(crate) async fn read(
        &mut self,
        topics: &[(Arc<str>, Option<Position>)],
    ) -> RedisResult<Vec<RedisResult<TopicSnapshot>>> {
        let mut snapshots = Vec::new();
        for topics in topics.chunks(TOPICS_AT_ONCE) {
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
            let replies: Vec<RedisResult<Vec<String>>> = pipeline.query_async(&mut self.connection).await?;
            for reply in replies {
                if let Err(error) = &reply
                    && ends_session(error)
                {
                    return Err(error.clone());
                }
                snapshots.push(reply.and_then(|reply| snapshot(&reply).ok_or_else(foreign_entries)));
            }
        }
        Ok(snapshots)
    }

    /// Publishes messages: the topic, whether it is another attempt, the token and the JSON of each.
    pub(crate) async fn publish(
        &mut self,
        messages: &[(&str, bool, String, &str)],
    ) -> RedisResult<Vec<Result<Position, String>>> {
        let keys: Vec<_> = messages.iter().map(|(topic, ..)| self.names.stream(topic)).collect();
        let mut command = call(&self.scripts.publish, &keys);
        command.arg(self.names.ttl_millis()).arg(self.names.history_messages);
        for (_, is_retry, token, json) in messages {
            command.arg(u8::from(*is_retry)).arg(token).arg(json);
        }
        let results: Vec<String> = self.query(&command).await?;
        let result = |text: String| position(&text).ok_or(text);
        Ok(results.into_iter().map(result).collect())
    }

    /// Changes members: `+`, `-` or `!`, the topic, and the member with its process.
    pub(crate) async fn change_members(
        &mut self,
        changes: &[(char, &str, String)],
    ) -> RedisResult<Vec<Result<(), HubError>>> {
        let mut keys = vec![self.names.leases.clone().into_bytes()];
        for (_, topic, _) in changes {
            keys.extend([self.names.members(topic), self.names.stream(topic)]);
        }
        let mut command = call(&self.scripts.members, &keys);
        command.arg(self.names.ttl_millis()).arg(self.names.member_limit);
        for (change, _, member) in changes {
            command.arg(change.to_string()).arg(member);
        }
        let results: Vec<String> = self.query(&command).await?;
        let result = |text: String| match &*text {
            "1" => Ok(()),
            "0" => Err(HubError::Full { what: "members" }),
            error => {
                tracing::error!(error, "Redis has refused the change of a member");
                Err(HubError::Unavailable)
            }
        };
        Ok(results.into_iter().map(result).collect())
    }

    pub(crate) async fn renew_lease(&mut self, process: u64, lease: Duration) -> RedisResult<Lease> {
        let mut command = call(&self.scripts.lease, &[self.names.leases.clone().into_bytes()]);
        command
            .arg(process.to_string())
            .arg(u64::try_from(lease.as_millis()).unwrap_or(u64::MAX));
        let reply: Vec<String> = self.query(&command).await?;
        within(self.response_timeout, self.channels.ping::<redis::Value>()).await?;
        Ok(Lease {
            had_ended: reply.first().is_some_and(|had_ended| had_ended == "1"),
            live: reply
                .iter()
                .skip(1)
                .filter_map(|process| process.parse().ok())
                .collect(),
        })
    }

    /// Extends the time to live of topics.
    pub(crate) async fn refresh(&mut self, topics: &[Arc<str>]) -> RedisResult<()> {
        let keys = |topic: &Arc<str>| [self.names.stream(topic), self.names.members(topic)];
        let keys: Vec<_> = topics.iter().flat_map(keys).collect();
        let mut command = call(&self.scripts.refresh, &keys);
        command.arg(self.names.ttl_millis());
        self.query::<i64>(&command).await.map(drop)
    }

    async fn query<T: FromRedisValue>(&mut self, command: &redis::Cmd) -> RedisResult<T> {
        command.query_async(&mut self.connection).await
    }
}

async fn within<T>(time: Duration, request: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let result = tokio::time::timeout(time, request).await;
    result.unwrap_or_else(|_| Err(broken("the server does not respond")))
}

/// Returns whether another connection may succeed: this one is lost, or the server has lost the scripts.
fn ends_session(error: &RedisError) -> bool {
    is_lost(error) || error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Logs an error that concerns one request, such as that of a full server; returns one that ends the session.
pub(crate) fn unless_lost<T>(result: RedisResult<T>) -> RedisResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if ends_session(&error) => Err(error),
        Err(error) => {
            tracing::error!(%error, "Redis has refused a request");
            Ok(None)
        }
    }
}

fn foreign_entries() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "a stream of a topic has other entries"))
}

fn broken(cause: &'static str) -> RedisError {
    RedisError::from((ErrorKind::Io, cause))
}

/// The member of a process as the server has it.
pub(crate) fn member_text(process: u64, member: &str) -> String {
    format!("{process} {member}")
}

fn parse_member(text: &str) -> Option<(u64, Arc<str>)> {
    let (process, member) = text.split_once(' ')?;
    Some((process.parse().ok()?, member.into()))
}

/// The identity of an entry in a stream.
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
