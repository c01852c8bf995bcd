//! Sockets that go to tokio and come back.
#![cfg(feature = "tokio")]

use conduit_net::{ListenOptions, TcpListener, TcpStream, wait_readable};

#[test]
fn sockets_of_tokio_come_and_go() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let listener = tokio::net::TcpListener::try_from(listener).unwrap();
        let (far, _) = listener.accept().await.unwrap();
        far.writable().await.unwrap();
        assert_eq!(far.try_write(b"from tokio").unwrap(), 10);
        let far = TcpStream::try_from(far).unwrap();
        far.send(b" and back").unwrap();
        wait_readable(&near, None).unwrap();
        TcpListener::try_from(listener).unwrap();
    });
}
