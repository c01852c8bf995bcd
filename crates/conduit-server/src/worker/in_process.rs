//! The connections of a test client in the memory of the process.

use std::task::Waker;

use super::connections::Connections;
use crate::connection::Connection;
use crate::handle::ServerHandle;
use crate::in_process::{Resources, ServerEnd};
use crate::listening::Accepted;
use crate::transport::Transport;
use crate::work::WorkCounts;

impl Connections {
    /// Accepts the connections of a test client, and serves the ready ones.
    pub(super) fn serve_in_process(&mut self, waker: &Waker) {
        let Some(process) = self.shared.config.in_process.clone() else {
            return;
        };
        for (end, peer) in process.begin_turn(waker) {
            let Some(transport) = self.memory_transport(end) else {
                continue;
            };
            self.add(Accepted {
                transport,
                peer,
                info: None,
            });
        }
        let ready = |connection: &Connection| Some((connection.id(), connection.memory_readiness()?));
        let ready: Vec<_> = self.table.iter().filter_map(ready).collect();
        if !ready.is_empty() {
            // Polled again, until none is ready.
            waker.wake_by_ref();
        }
        for (id, ready) in ready {
            self.with_input(id, |connection, input, shared| {
                connection.on_ready(ready, input, shared)
            });
        }
    }

    /// The transport of a connection in memory; `None` if it expects TLS, which cannot begin.
    fn memory_transport(&self, end: ServerEnd) -> Option<Transport> {
        let is_encrypted = end.is_encrypted();
        let transport = Transport::Memory(end);
        if !is_encrypted {
            return Some(transport);
        }
        let acceptor = self.shared.config.in_process_tls.as_ref()?;
        acceptor.accept(transport).ok().map(Transport::Tls)
    }

    /// Reports the resources to a test client.
    pub(super) fn report_resources(&self, handle: &ServerHandle) {
        let Some(process) = &self.shared.config.in_process else {
            return;
        };
        let WorkCounts { handlers, tasks } = self.shared.environment.handlers.counts();
        let mut resources = Resources::default();
        for connection in self.table.iter() {
            let bytes = connection.buffer_bytes();
            resources.buffer_bytes += bytes;
            if connection.idle_since().is_some() {
                resources.idle_connections += 1;
                resources.idle_buffer_bytes += bytes;
            }
        }
        resources.handlers = handlers;
        resources.tasks = tasks;
        resources.body_memory_bytes = handle.budgets().bodies.used_bytes();
        process.end_turn(resources);
    }
}
