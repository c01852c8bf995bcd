//! Notifications for the program's manager: sd_notify(3).

use std::os::unix::ffi::OsStrExt;

use conduit_net::process::monotonic_time;
use conduit_net::{UnixAddress, UnixDatagram};

use crate::panics::emit;

/// The server serves.
pub(super) const READY: &[u8] = b"READY=1";
/// A shutdown has begun, and the server finishes its requests.
pub(super) const STOPPING: &[u8] = b"STOPPING=1";

/// The server reads its configuration again, or passes its sockets to another process; [`READY`] follows. systemd
/// requires the time with `Type=notify-reload`.
pub(super) fn reloading() -> Vec<u8> {
    format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_time().as_micros()).into_bytes()
}

/// Notifies the manager at the socket `NOTIFY_SOCKET`. A failure does not prevent serving.
pub(super) fn notify(state: &[u8]) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = match place.as_bytes() {
        [b'@', name @ ..] => UnixAddress::from_abstract_name(name),
        _ => UnixAddress::from_path(&*place),
    };
    let result = address.and_then(|address| UnixDatagram::unbound()?.send_to(state, &address));
    if let Err(error) = result {
        emit(&|| tracing::warn!(%error, ?place, "cannot notify the manager at NOTIFY_SOCKET"));
    }
}
