//! The content of an error: the operation, the address, the cause and the remedy.

use conduit_net::{Error, ListenOptions, Operation, TcpListener, TcpStream};
use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

fn bind(address: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(address.parse().unwrap(), &ListenOptions::new())
}

#[test]
fn address_in_use_error_has_address_and_remedy() {
    let first = bind("127.0.0.1:0").unwrap();
    let address = first.local_addr().unwrap();
    let error = TcpListener::bind(address, &ListenOptions::new()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot bind {address}: address in use (EADDRINUSE); another socket uses the port: stop it, choose another port, \
             or set reuse_port on every listener of this port"
        )
    );
    assert_eq!((error.operation(), error.address()), (Operation::Bind, Some(address)));
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn foreign_address_error_has_address_and_remedy() {
    assert_eq!(
        bind("192.0.2.1:8080").unwrap_err().to_string(),
        "cannot bind 192.0.2.1:8080: address not available (EADDRNOTAVAIL); no interface of this machine has this address: bind \
         0.0.0.0 or [::] for all interfaces, or the address of one"
    );
}

/// The thread drops its capabilities, so that the result does not depend on the user.
#[test]
#[cfg(target_os = "linux")]
fn privileged_port_error_has_port_and_remedy() {
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if start.trim().parse::<u16>().unwrap() <= 79 {
        eprintln!("skipped: on this system every user can bind port 79");
        return;
    }
    std::thread::spawn(|| {
        if let Ok(sets) = rustix::thread::capabilities(None) {
            rustix::thread::set_capabilities(
                None,
                rustix::thread::CapabilitySets { effective: rustix::thread::CapabilitySet::empty(), ..sets },
            )
            .unwrap();
        }
        assert_eq!(
            bind("127.0.0.1:79").unwrap_err().to_string(),
            "cannot bind 127.0.0.1:79: permission denied (EACCES); ports below 1024 require CAP_NET_BIND_SERVICE: choose a higher \
             port"
        );
    })
    .join()
    .unwrap();
}

#[test]
fn refused_connection_error_has_address_and_remedy() {
    let free = bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = TcpStream::connect(free).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot connect to {free}: connection refused (ECONNREFUSED); no server listens on the port: check the port, and that \
             the server is running"
        )
    );
    assert_eq!(error.operation(), Operation::Connect);
}

#[test]
fn conversion_to_io_error_and_back_is_lossless() {
    let address: SocketAddr = "192.0.2.1:8080".parse().unwrap();
    let error = bind("192.0.2.1:8080").unwrap_err();
    let text = error.to_string();
    assert!(error.source().is_some());
    let error = io::Error::from(error);
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::AddrNotAvailable, text.clone())
    );
    let error = Error::from(error);
    assert_eq!(
        (error.operation(), error.address(), error.to_string()),
        (Operation::Bind, Some(address), text)
    );
}

#[test]
fn foreign_io_error_keeps_its_kind_and_number() {
    let error = Error::from(io::Error::from_raw_os_error(rustix::io::Errno::PIPE.raw_os_error()));
    assert_eq!(error.to_string(), "cannot read or write: closed for writing (EPIPE)");
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::PIPE.raw_os_error()));
    let error = Error::from(io::Error::new(ErrorKind::InvalidData, "invalid data"));
    assert_eq!(error.to_string(), "cannot read or write: invalid data");
}
