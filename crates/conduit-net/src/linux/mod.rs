//! What only Linux has.

#[cfg(feature = "std")]
mod batch;
mod transfer;
#[cfg(feature = "std")]
mod zero_copy;

#[cfg(feature = "std")]
pub use batch::{Datagram, ReceiveBatch, SendBatch};
pub use transfer::{send_file, splice};
#[cfg(feature = "std")]
pub use zero_copy::{Completion, ZeroCopy};
