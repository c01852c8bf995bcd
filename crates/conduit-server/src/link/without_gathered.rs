//! A program without HTTP/2 and WebSocket sends no bytes between parts of the output.

use std::io;

use crate::transport::Transport;

#[derive(Default)]
pub(crate) struct Gathered;

impl Gathered {
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    #[cfg(feature = "testing")]
    pub(super) fn length(&self) -> usize {
        0
    }

    pub(super) fn shift(&mut self, _: usize) {}

    pub(super) fn send(&mut self, _: &mut Transport, _: &[u8], _: &mut usize) -> io::Result<u64> {
        Ok(0)
    }
}
