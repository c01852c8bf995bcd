//! Platform-specific code: each platform has whole files under a common name.

#[cfg_attr(all(target_os = "linux", not(conduit_portable)), path = "epoll.rs")]
#[cfg_attr(any(not(target_os = "linux"), conduit_portable), path = "portable.rs")]
pub(crate) mod poller;

#[cfg_attr(target_vendor = "apple", path = "socket_apple.rs")]
pub(crate) mod socket;

#[cfg_attr(target_os = "linux", path = "queue_linux.rs")]
#[cfg_attr(any(target_os = "freebsd", target_os = "netbsd"), path = "queue_bsd.rs")]
#[cfg_attr(target_vendor = "apple", path = "queue_apple.rs")]
#[cfg_attr(
    not(any(
        target_os = "linux",
        target_os = "freebsd",
        target_os = "netbsd",
        target_vendor = "apple"
    )),
    path = "queue_other.rs"
)]
pub(crate) mod queue;

#[cfg_attr(target_os = "linux", path = "names_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "names_other.rs")]
pub(crate) mod names;

#[cfg_attr(target_os = "linux", path = "constants_linux.rs")]
#[cfg_attr(target_os = "freebsd", path = "constants_freebsd.rs")]
#[cfg_attr(target_vendor = "apple", path = "constants_apple.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")),
    path = "constants_posix.rs"
)]
pub(crate) mod constants;

#[cfg_attr(target_os = "linux", path = "control_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "control_other.rs")]
pub(crate) mod control;
