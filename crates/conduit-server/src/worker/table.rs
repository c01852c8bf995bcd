//! The open connections of a worker, by their identifiers.

use slab::Slab;

use crate::connection::Connection;
use crate::deadlines::Second;
use crate::exchange_id::ConnectionId;
use crate::idle::Idle;

/// Keys below this are the indices of listening sockets. The upper half of a connection's identifier counts from 1, the lower half
/// is its index in the slab.
pub(super) const FIRST_CONNECTION_KEY: ConnectionId = 1 << 32;

/// The table of the connections, with the longest idle ones.
#[derive(Default)]
pub(super) struct ConnectionTable {
    slab: Slab<Connection>,
    /// Counts connections; it is the upper half of their identifiers.
    accepted: u32,
    idle: Idle,
}

impl ConnectionTable {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// Adds the connection that `create` returns for a new identifier. Returns the identifier.
    pub(super) fn insert(&mut self, create: impl FnOnce(ConnectionId) -> Connection) -> ConnectionId {
        // 0 in the upper half is for listeners.
        self.accepted = self.accepted.wrapping_add(1).max(1);
        let entry = self.slab.vacant_entry();
        let id = ConnectionId::from(self.accepted) << 32 | entry.key() as ConnectionId;
        entry.insert(create(id));
        id
    }

    /// The connection with this identifier, if it is open.
    #[inline]
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let connection = self.slab.get(index_of(id));
        connection.filter(|connection| connection.id() == id)
    }

    /// The same, to change it.
    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.slab.get_mut(index_of(id));
        connection.filter(|connection| connection.id() == id)
    }

    /// Removes a connection, if it is open.
    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.get(id)?;
        Some(self.slab.remove(index_of(id)))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slab.iter().map(|(_, connection)| connection)
    }

    /// The connection that makes room for a new one at the limit, if one has been idle for long enough.
    pub(super) fn longest_idle(&mut self, now: Second) -> Option<ConnectionId> {
        let ConnectionTable { slab, idle, .. } = self;
        let all = || {
            let each = slab.iter();
            each.filter_map(|(_, connection)| Some((connection.idle_since()?, connection.id())))
        };
        idle.longest(now, all, |id| {
            let connection = slab.get(index_of(id));
            let connection = connection.filter(|connection| connection.id() == id)?;
            // If its next request is in the kernel already, another one closes.
            connection.idle_since().filter(|_| !connection.has_unread_input())
        })
    }
}

/// The index of a connection in the slab.
fn index_of(id: ConnectionId) -> usize {
    id as u32 as usize
}
