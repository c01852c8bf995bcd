//! Native sockets and readiness polling.
//!
//! Each hot function makes one system call and allocates nothing. The crate owns its descriptors. Errors contain the
//! operation, the address, the cause and the remedy.
//!
//! A server with one thread that echoes bytes:
//!
//! ```
//! use conduit_net::{Events, Interest, ListenOptions, Poller, TcpListener, TcpStream};
//! use std::io::ErrorKind::WouldBlock;
//!
//! let listener = TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new())?;
//! let poller = Poller::new()?;
//! poller.add(&listener, 0, Interest::READABLE)?;
//!
//! let client = TcpStream::connect(listener.local_addr()?)?;
//! client.send(b"Hello Conduit")?;
//!
//! let mut events = Events::with_capacity(64);
//! let mut connection = None;
//! 'serve: loop {
//!     poller.wait(&mut events, None)?;
//!     for event in events.iter() {
//!         if event.key == 0 {
//!             let (stream, _peer) = listener.accept()?;
//!             poller.add(&stream, 1, Interest::READABLE)?;
//!             connection = Some(stream);
//!         } else if let Some(stream) = &connection {
//!             let mut bytes = [0; 64];
//!             match stream.recv(&mut bytes) {
//!                 Ok(count) => {
//!                     stream.send(&bytes[..count])?;
//!                     break 'serve;
//!                 }
//!                 Err(error) if error.kind() == WouldBlock => {}
//!                 Err(error) => return Err(error.into()),
//!             }
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | purpose | items |
//! | --- | --- |
//! | sockets | [`TcpListener`], [`TcpStream`], [`UdpSocket`], [`UnixListener`], [`UnixStream`], [`UnixDatagram`]; any kind: [`Socket`] |
//! | addresses | [`Address`], [`UnixAddress`], [`VsockAddress`]; host names: [`resolve`] |
//! | options | [`option`]: one typed constant each, set and read through [`Options`]; [`ListenOptions`], [`KeepAlive`] |
//! | control messages | [`SendControl`], [`ReceiveControl`], [`ControlMessage`] |
//! | many at once | [`ReceiveBatch`], [`SendBatch`], [`ZeroCopy`], [`send_file`], [`send_more`], [`splice`], [`receive_error`] (Linux) |
//! | readiness | [`Poller`], [`Interest`], [`Events`], [`Event`] |
//! | files below a directory (feature `directory`) | `Directory` |
//! | errors | [`Error`], [`Operation`] |
//! | TLS (feature `tls`) | `tls`: `TlsServer`, `TlsClient`, `TlsStream` |
//! | sockets that a service manager passes | [`socket_activation`] |
//! | the process: descriptors, standard input, signals | [`process`] |
//! | tokio (feature `tokio`) | `TryFrom` for its sockets, both ways; `AsyncPoller`, a poller that a runtime watches |
//!
//! # Systems
//!
//! Linux has an epoll backend. macOS, iOS and the BSDs use kqueue through the `polling` crate, which
//! `RUSTFLAGS="--cfg conduit_portable"` selects on Linux too. With `default-features = false` the crate works without `std`
//! on Linux, and allocates nothing; its input and output types are then those of [`io`].

#![cfg_attr(not(feature = "std"), no_std)]
// Without std, errors are plain numbers.
#![cfg_attr(
    not(feature = "std"),
    allow(clippy::useless_conversion, clippy::needless_question_mark)
)]
#![allow(
    unsafe_code,
    reason = "system calls take pointers: this crate contains the unsafe code of the workspace"
)]
#![allow(
    clippy::unnecessary_cast,
    reason = "the C types of lengths and numbers differ between systems"
)]

mod address;
mod clock;
mod control;
#[cfg(feature = "directory")]
mod directory;
mod error;
#[cfg(feature = "std")]
mod host;
#[cfg(target_os = "linux")]
mod linux;
pub mod option;
mod options;
mod poller;
#[cfg(feature = "std")]
pub mod process;
mod socket;
#[cfg(feature = "std")]
pub mod socket_activation;
mod sys;
mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tokio")]
mod tokio;
mod udp;
mod unix;

/// The input and output types: those of `std`, or rustix's types of the same names without `std`.
#[cfg_attr(feature = "std", path = "io/std.rs")]
#[cfg_attr(not(feature = "std"), path = "io/core.rs")]
pub mod io;

#[cfg(feature = "tokio")]
pub use self::tokio::AsyncPoller;
pub use address::{Address, UnixAddress, VsockAddress};
pub use control::{ControlMessage, ControlMessages, Descriptors, QueuedError, ReceiveControl, SendControl};
#[cfg(feature = "directory")]
pub use directory::{Attributes, Directory, DirectoryEntry, Found, Waiting};
pub use error::{Error, Operation};
#[cfg(feature = "std")]
pub use host::resolve;
#[cfg(target_os = "linux")]
pub use linux::*;
pub use option::Options;
pub use options::{KeepAlive, ListenOptions};
#[cfg(all(target_os = "linux", not(conduit_portable)))]
pub use poller::EventSlot;
#[cfg(feature = "std")]
pub use poller::Events;
pub use poller::{Event, Interest, Iter, Poller};
pub use socket::{Domain, Kind, Protocol, Received, Shutdown, Socket, can_accept_after, wait_readable, wait_writable};
pub use tcp::{TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};

/// The code of the guide, compiled and run as doc tests.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../../../docs/sockets.md")]
struct Guide;

/// The code of the README, compiled as doc tests.
#[cfg(all(doctest, feature = "std"))]
#[doc = include_str!("../README.md")]
struct Readme;
