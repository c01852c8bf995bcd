//! Native sockets and readiness polling.
//!
//! The crate owns its descriptors, makes one system call for each call of its hot functions, allocates nothing in them, and says
//! in its errors what was tried, on which address, why it failed and what to do about it.
//!
//! A server of one thread accepts, echoes and waits like this:
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
//! | module | what lives there |
//! | --- | --- |
//! | `tcp` | [`TcpListener`], [`TcpStream`], [`Shutdown`] |
//! | `options` | [`ListenOptions`], [`KeepAlive`] |
//! | `poller` | [`Poller`], [`Interest`], [`Events`], [`Event`] |
//! | `error` | [`Error`], [`Operation`] |
//! | `sys` | what differs from system to system: the poller's backend and how sockets are made |
//!
//! # Systems
//!
//! Linux has its own epoll backend. macOS, iOS and the BSDs use kqueue through the `polling` crate; building with
//! `RUSTFLAGS="--cfg conduit_portable"` uses that crate on Linux too.

mod error;
mod options;
mod poller;
mod sys;
mod tcp;

pub use error::{Error, Operation};
pub use options::{KeepAlive, ListenOptions};
pub use poller::{Event, Events, Interest, Iter, Poller};
pub use tcp::{Shutdown, TcpListener, TcpStream};
