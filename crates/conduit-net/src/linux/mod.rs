//! Linux-specific calls.

#[cfg(feature = "std")]
mod batch;
mod error_queue;
mod transfer;
#[cfg(feature = "std")]
mod zero_copy;

#[cfg(feature = "std")]
pub use batch::{Datagram, ReceiveBatch, SendBatch};
pub use error_queue::receive_error;
pub use transfer::{read_cached, send_file, send_more, splice};
#[cfg(feature = "std")]
pub use zero_copy::{Completion, ZeroCopy};
