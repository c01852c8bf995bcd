//! The WebSocket engine from outside.

mod cases;
mod conformance;
mod deflate;
mod drive;
mod fragments;
mod frames;
mod handshake;
mod naive;
mod twin;
