//! The polls of the handlers of WebSockets.

use std::sync::Arc;
use std::task::Context;

use tokio::task::coop::has_budget_remaining;

use super::connections::Connections;
use super::delivery::CommandDelivery;

/// The number of woken handlers of WebSockets that are polled in a row.
const HANDLERS_PER_TURN: usize = 128;

/// The polls of the WebSocket handlers that an event other than a message has woken.
#[derive(Default)]
pub(super) struct HandlerPolls {
    /// The last turn has not polled all of the handlers that were woken.
    is_incomplete: bool,
}

impl HandlerPolls {
    /// Polls the handlers that the last turn has left: its events may have spent its budget, as those of this turn may.
    pub(super) fn begin_turn(
        &mut self,
        connections: &mut Connections,
        delivery: &mut CommandDelivery,
        context: &Context<'_>,
    ) {
        if !has_handlers(connections) {
            return;
        }
        if std::mem::take(&mut self.is_incomplete) {
            self.poll_woken(connections, delivery, context);
        }
        // Those that are woken from here on are polled before the turn ends.
        connections.shared.websockets.woken_handlers.begin_turn();
    }

    /// Polls the woken handlers, while the turn has budget left.
    pub(super) fn poll_woken(
        &mut self,
        connections: &mut Connections,
        delivery: &mut CommandDelivery,
        context: &Context<'_>,
    ) {
        if !has_handlers(connections) {
            return;
        }
        let mut polls = 0;
        loop {
            if polls == HANDLERS_PER_TURN || !has_budget_remaining() {
                self.is_incomplete = true;
                connections.shared.links.poll_again = true;
                break;
            }
            let Some(exchange) = connections.shared.websockets.woken_handlers.next(context) else {
                break;
            };
            delivery.wake_socket(exchange, connections);
            polls += 1;
        }
        delivery.finish(connections);
    }
}

/// Returns whether there is a handler of a WebSocket.
fn has_handlers(connections: &Connections) -> bool {
    Arc::strong_count(&connections.shared.websockets.woken_handlers) > 1
}
