//! What differs from system to system, each in a whole file behind one name.

#[cfg_attr(all(target_os = "linux", not(conduit_portable)), path = "epoll.rs")]
#[cfg_attr(any(not(target_os = "linux"), conduit_portable), path = "portable.rs")]
pub(crate) mod poller;

#[cfg_attr(target_os = "linux", path = "socket_linux.rs")]
#[cfg_attr(target_os = "freebsd", path = "socket_freebsd.rs")]
#[cfg_attr(target_vendor = "apple", path = "socket_apple.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")),
    path = "socket_bsd.rs"
)]
pub(crate) mod socket;
