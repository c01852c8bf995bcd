//! Platform-specific code: each platform has whole files under a common name.

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

#[cfg_attr(target_os = "linux", path = "network_errors_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "network_errors_other.rs")]
pub(crate) mod network_errors;
