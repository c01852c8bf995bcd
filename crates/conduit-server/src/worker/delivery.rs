//! The delivery of commands: the output of a connection is sent once for several of them.

use super::connections::Connections;
use crate::batch::BATCH_LIMIT;
use crate::commands::Command;
use crate::connection::{Connection, Disposition};
use crate::exchange_id::{ConnectionId, ExchangeId};

/// Delivers the commands of a turn.
#[derive(Default)]
pub(super) struct CommandDelivery {
    /// The memory of the last turn's commands.
    spare: Vec<(ExchangeId, Command)>,
    /// The connections that have received commands since the last send: at most [`BATCH_LIMIT`].
    commanded: Vec<ConnectionId>,
}

impl CommandDelivery {
    /// Delivers the commands in the queue of the worker.
    pub(super) fn deliver(&mut self, connections: &mut Connections) {
        // Commands that these lead to follow in the next turn, so that a turn has an end.
        let mut commands = connections.shared.commands.take(std::mem::take(&mut self.spare));
        if commands.is_empty() {
            self.spare = commands;
            return;
        }
        for (exchange, command) in commands.drain(..) {
            let id = exchange.connection;
            let is_commanded = self.commanded.contains(&id);
            connections.with_connection(id, |connection, shared| {
                if is_commanded && !connection.defers_output() && connection.finish(shared) == Disposition::Closed {
                    return Disposition::Closed;
                }
                connection.on_command(exchange, command, shared)
            });
            if !is_commanded {
                self.add(id, connections);
            }
        }
        self.finish(connections);
        self.spare = commands;
    }

    /// Passes the wake-up of a WebSocket's handler to its connection. [`finish`](Self::finish) must follow.
    ///
    /// A connection with two wake-ups is finished twice, unless they follow each other.
    #[cfg(feature = "websocket")]
    pub(super) fn wake_socket(&mut self, exchange: ExchangeId, connections: &mut Connections) {
        let id = exchange.connection;
        connections.with_connection(id, |connection, shared| {
            connection.on_command(exchange, Command::Socket, shared)
        });
        if self.commanded.last() != Some(&id) {
            self.add(id, connections);
        }
    }

    /// Records that a connection has received a command.
    fn add(&mut self, id: ConnectionId, connections: &mut Connections) {
        self.commanded.push(id);
        if self.commanded.len() == BATCH_LIMIT {
            self.finish(connections);
        }
    }

    /// Sends the output of the connections that have received commands.
    pub(super) fn finish(&mut self, connections: &mut Connections) {
        for id in self.commanded.drain(..) {
            connections.with_connection(id, Connection::finish);
        }
    }
}
