//! A program without WebSockets has no handlers of them.

use std::task::Context;

use super::connections::Connections;
use super::delivery::CommandDelivery;

#[derive(Default)]
pub(super) struct HandlerPolls {}

impl HandlerPolls {
    pub(super) fn begin_turn(&mut self, _: &mut Connections, _: &mut CommandDelivery, _: &Context<'_>) {}

    pub(super) fn poll_woken(&mut self, _: &mut Connections, _: &mut CommandDelivery, _: &Context<'_>) {}
}
