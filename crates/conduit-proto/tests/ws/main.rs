//! Tests of the WebSocket engine through its public interface.

mod cases;
mod conformance;
mod deflate;
mod drive;
mod fragments;
mod frames;
mod handshake;
mod inflate;
mod naive;
mod naive_inflate;
mod twin;
