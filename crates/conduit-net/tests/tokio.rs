//! Conversions from and to tokio's sockets, and a poller nested in a tokio runtime.
#![cfg(feature = "tokio")]

use conduit_net::{AsyncPoller, Events, Interest, ListenOptions, Poller, TcpListener, TcpStream};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

#[test]
fn poller_can_be_nested_in_a_tokio_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept_timeout(Duration::from_secs(5)).unwrap();
        let poller = Poller::new().unwrap();
        poller.add(&far, 7, Interest::READABLE).unwrap();
        let poller = AsyncPoller::new(Rc::new(poller)).unwrap();
        let mut events = Events::with_capacity(8);
        for round in 0..3 {
            tokio::task::spawn_blocking({
                let near = near.try_clone().unwrap();
                move || near.send(b"x").unwrap()
            });
            let mut guard = poll_fn(|context| poller.poll_ready(context)).await.unwrap();
            assert_eq!(
                poller.poller().wait(&mut events, Some(Duration::ZERO)).unwrap(),
                1,
                "round {round}"
            );
            assert!(events.iter().all(|event| event.key == 7 && event.readable));
            far.recv(&mut [0; 8]).unwrap();
            // No event is left, which is required before the readiness may be cleared.
            assert_eq!(poller.poller().wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);
            guard.clear_ready();
        }
    });
}

#[test]
fn tokio_sockets_convert_both_ways() {
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
        conduit_net::wait_readable(&near, None).unwrap();
        TcpListener::try_from(listener).unwrap();
    });
}
