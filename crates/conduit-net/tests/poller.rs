//! Readiness, equal on every backend. `crates/conduit-net/portable` runs these tests with the portable backend on
//! Linux.

#[cfg(target_os = "linux")]
#[path = "support/timer.rs"]
mod timer;

use conduit_net::{Event, Events, Interest, ListenOptions, Poller, TcpListener, TcpStream};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    loop {
        match listener.accept() {
            Ok((far, _)) => return (near, far),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

/// Waits until a source is ready.
fn wait(poller: &Poller, events: &mut Events) -> Vec<Event> {
    while poller.wait(events, None).unwrap() == 0 {}
    assert_eq!(events.len(), events.iter().count());
    events.iter().collect()
}

fn quiet(poller: &Poller, events: &mut Events) -> bool {
    let count = poller.wait(events, NOW).unwrap();
    assert_eq!((count, events.is_empty(), events.iter().count()), (0, true, 0));
    true
}

#[test]
fn capacity_of_events_is_bounded() {
    for (capacity, expected) in [(0, 1), (1, 1), (1000, 1000), (usize::MAX, 65_536)] {
        assert_eq!(Events::with_capacity(capacity).capacity(), expected);
    }
}

#[test]
fn one_thread_echoes_for_many_clients() {
    const CLIENTS: usize = 50;
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    let address = listener.local_addr().unwrap();
    let clients = std::thread::spawn(move || {
        let streams: Vec<_> = (0..CLIENTS).map(|_| TcpStream::connect(address).unwrap()).collect();
        for (number, stream) in streams.into_iter().enumerate() {
            use std::io::{Read, Write};
            let mut stream = std::net::TcpStream::from(stream);
            stream.set_nonblocking(false).unwrap();
            let text = format!("client {number}").repeat(1000);
            stream.write_all(text.as_bytes()).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut back = String::new();
            stream.read_to_string(&mut back).unwrap();
            assert_eq!(back, text);
        }
    });

    let poller = Poller::new().unwrap();
    poller.add(&listener, 0, Interest::READABLE).unwrap();
    let mut events = Events::with_capacity(16);
    let mut streams: Vec<Option<TcpStream>> = vec![None];
    let mut pending: Vec<Vec<u8>> = vec![Vec::new()];
    let mut finished = 0;
    let mut buffer = [0; 4096];
    while finished < CLIENTS {
        poller.wait(&mut events, None).unwrap();
        for event in &events {
            let key = event.key as usize;
            if key == 0 {
                while let Ok((stream, _)) = listener.accept() {
                    poller.add(&stream, streams.len() as u64, Interest::READABLE).unwrap();
                    streams.push(Some(stream));
                    pending.push(Vec::new());
                }
                continue;
            }
            let stream = streams[key].as_ref().unwrap();
            let mut ended = false;
            if event.readable {
                match stream.recv(&mut buffer) {
                    Ok(0) => ended = true,
                    Ok(count) => pending[key].extend_from_slice(&buffer[..count]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            match stream.send(&pending[key]) {
                Ok(count) => drop(pending[key].drain(..count)),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            if ended && pending[key].is_empty() {
                poller.close(streams[key].take().unwrap()).unwrap();
                finished += 1;
            } else if !pending[key].is_empty() {
                poller.modify(stream, event.key, Interest::BOTH).unwrap();
            }
        }
    }
    clients.join().unwrap();
}

#[test]
fn readiness_is_reported_until_consumed() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 7, Interest::READABLE).unwrap();
    assert!(quiet(&poller, &mut events));
    far.send(b"ab").unwrap();
    for _ in 0..3 {
        let ready = wait(&poller, &mut events);
        assert_eq!(ready.len(), 1);
        assert_eq!((ready[0].key, ready[0].readable, ready[0].writable), (7, true, false));
        assert_eq!((ready[0].hang_up, ready[0].error), (false, false));
    }
    near.recv(&mut [0]).unwrap();
    assert_eq!(wait(&poller, &mut events).len(), 1);
    near.recv(&mut [0]).unwrap();
    assert!(quiet(&poller, &mut events));
}

#[test]
fn interest_can_be_modified_and_removed() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    far.send(b"x").unwrap();
    poller.add(&near, 1, Interest::WRITABLE).unwrap();
    let ready = wait(&poller, &mut events);
    assert!(
        ready
            .iter()
            .all(|event| event.key == 1 && event.writable && !event.readable)
    );
    poller.modify(&near, 2, Interest::READABLE).unwrap();
    assert!(
        wait(&poller, &mut events)
            .iter()
            .all(|event| event.key == 2 && event.readable && !event.writable)
    );
    poller.modify(&near, 3, Interest::BOTH).unwrap();
    let ready = wait(&poller, &mut events);
    assert!(ready.iter().all(|event| event.key == 3));
    assert!(ready.iter().any(|event| event.readable) && ready.iter().any(|event| event.writable));
    poller.modify(&near, 3, Interest::NONE).unwrap();
    assert!(quiet(&poller, &mut events));
    poller.modify(&near, 3, Interest::READABLE).unwrap();
    assert_eq!(wait(&poller, &mut events).len(), 1);
    poller.remove(&near).unwrap();
    assert!(quiet(&poller, &mut events));
}

#[test]
fn short_read_keeps_pending_hangup() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 1, Interest::READABLE).unwrap();
    far.send(b"the end").unwrap();
    drop(far);
    assert!(wait(&poller, &mut events)[0].readable);
    let mut buffer = [0; 64];
    assert_eq!(near.recv(&mut buffer).unwrap(), 7);
    assert!(wait(&poller, &mut events)[0].readable);
    assert_eq!(near.recv(&mut buffer).unwrap(), 0);
    assert!(wait(&poller, &mut events)[0].readable);
}

#[test]
fn reset_is_reported_as_readable() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 1, Interest::READABLE).unwrap();
    far.set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    let ready = wait(&poller, &mut events);
    assert!(ready[0].readable);
    #[cfg(target_os = "linux")]
    assert!(ready[0].hang_up && ready[0].error);
    assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
#[cfg(target_os = "linux")]
fn hangup_requires_both_directions_closed() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 1, Interest::READABLE).unwrap();
    far.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(!wait(&poller, &mut events)[0].hang_up);
    near.shutdown(std::net::Shutdown::Write).unwrap();
    let ready = wait(&poller, &mut events)[0];
    assert!(ready.readable && ready.hang_up && !ready.error);
}

#[test]
fn refused_connection_is_writable_with_its_error() {
    let free = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new())
        .unwrap()
        .local_addr()
        .unwrap();
    let Ok(stream) = TcpStream::start_connect(free) else {
        return; // refused at once
    };
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&stream, 1, Interest::WRITABLE).unwrap();
    assert!(wait(&poller, &mut events).iter().any(|event| event.writable));
    assert_eq!(
        stream.take_error().unwrap().unwrap().kind(),
        ErrorKind::ConnectionRefused
    );
}

#[test]
fn notify_wakes_a_wait_without_limit() {
    let poller = Poller::new().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            done.store(true, Ordering::Relaxed);
            poller.notify().unwrap();
        });
        let mut events = Events::with_capacity(8);
        while !done.load(Ordering::Relaxed) {
            assert_eq!(poller.wait(&mut events, None).unwrap(), 0);
            assert_eq!(events.iter().count(), 0);
        }
    });
}

#[test]
fn several_notifications_are_one_wakeup() {
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(1);
    for _ in 0..3 {
        poller.notify().unwrap();
        poller.notify().unwrap();
        assert_eq!(poller.wait(&mut events, None).unwrap(), 0);
        assert!(quiet(&poller, &mut events));
    }
}

#[test]
fn no_notification_is_lost_between_threads() {
    let poller = Poller::new().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let sender = sender;
            for number in 0..20_000u32 {
                sender.send(number).unwrap();
                poller.notify().unwrap();
            }
        });
        let mut events = Events::with_capacity(8);
        let mut expected = 0;
        while expected < 20_000 {
            poller.wait(&mut events, None).unwrap();
            while let Ok(number) = receiver.try_recv() {
                assert_eq!(number, expected);
                expected += 1;
            }
        }
    });
}

#[test]
fn adding_a_source_twice_is_an_error_and_keeps_the_first_key() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 1, Interest::READABLE).unwrap();
    assert_eq!(
        poller.add(&near, 2, Interest::READABLE).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    far.send(b"x").unwrap();
    assert_eq!(wait(&poller, &mut events)[0].key, 1);
}

#[test]
fn unknown_source_cannot_be_modified_or_removed() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    poller.add(&far, 1, Interest::READABLE).unwrap();
    assert_eq!(
        poller.modify(&near, 1, Interest::READABLE).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(poller.remove(&near).unwrap_err().kind(), ErrorKind::NotFound);
    poller.remove(&far).unwrap();
    assert_eq!(poller.remove(&far).unwrap_err().kind(), ErrorKind::NotFound);
    poller.add(&far, 1, Interest::READABLE).unwrap();
}

#[test]
fn reserved_key_is_rejected() {
    let (near, _far) = pair();
    let poller = Poller::new().unwrap();
    assert_eq!(
        poller.add(&near, u64::MAX, Interest::BOTH).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    poller.add(&near, u64::MAX - 1, Interest::NONE).unwrap();
    assert_eq!(
        poller.modify(&near, u64::MAX, Interest::BOTH).unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[test]
fn descriptor_number_can_be_reused_after_close() {
    let poller = Poller::new().unwrap();
    for round in 0..3 {
        let (near, far) = pair();
        poller.add(&near, round, Interest::READABLE).unwrap();
        poller.close(near).unwrap();
        poller.add(&far, round, Interest::READABLE).unwrap();
        poller.close(OwnedFd::from(far)).unwrap();
    }
    assert!(quiet(&poller, &mut Events::with_capacity(8)));
}

#[test]
fn ready_sources_beyond_capacity_are_reported_in_turn() {
    let pairs: Vec<_> = (0..10).map(|_| pair()).collect();
    let poller = Poller::new().unwrap();
    for (key, (near, far)) in pairs.iter().enumerate() {
        far.send(b"x").unwrap();
        poller.add(near, key as u64, Interest::READABLE).unwrap();
    }
    let mut events = Events::with_capacity(3);
    assert!(events.capacity() >= 3);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        assert!(wait(&poller, &mut events).len() <= events.capacity());
        seen.extend(events.iter().map(|event| event.key));
    }
    assert_eq!(seen.len(), 10);
}

#[test]
fn poller_can_be_nested() {
    let (near, far) = pair();
    let inner = Poller::new().unwrap();
    let outer = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    inner.add(&near, 1, Interest::READABLE).unwrap();
    outer.add(&inner, 2, Interest::READABLE).unwrap();
    assert!(quiet(&outer, &mut events));
    far.send(b"x").unwrap();
    assert_eq!(wait(&outer, &mut events)[0].key, 2);
    assert_eq!(wait(&inner, &mut events)[0].key, 1);
    near.recv(&mut [0; 8]).unwrap();
    assert!(quiet(&inner, &mut events));
    assert!(quiet(&outer, &mut events));
    inner.notify().unwrap();
    assert_eq!(wait(&outer, &mut events)[0].key, 2);
    assert!(quiet(&inner, &mut events));
    assert!(quiet(&outer, &mut events));
}

/// Below the resolution of the kernel's timers, not a whole number of milliseconds, and a whole number.
const TIMEOUTS: [Duration; 3] = [
    Duration::from_nanos(1),
    Duration::from_micros(1500),
    Duration::from_millis(3),
];

#[test]
fn timeouts_of_every_length_end() {
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    for timeout in TIMEOUTS {
        assert_eq!(poller.wait(&mut events, Some(timeout)).unwrap(), 0);
    }
    poller.notify().unwrap();
    assert_eq!(poller.wait(&mut events, Some(Duration::MAX)).unwrap(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn wait_without_events_lasts_for_its_timeout() {
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    for timeout in TIMEOUTS {
        let timer = timer::KernelTimer::start(timeout);
        assert_eq!(poller.wait(&mut events, Some(timeout)).unwrap(), 0);
        assert!(timer.has_expired(), "{timeout:?}");
    }
}

#[test]
fn interest_debug_output_has_its_names() {
    assert_eq!(format!("{:?}", Interest::READABLE | Interest::WRITABLE), "BOTH");
    assert_eq!(format!("{:?}", Interest::NONE), "NONE");
}

#[test]
fn edge_triggered_event_is_reported_once_per_change() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 1, Interest::READABLE.edge()).unwrap();
    far.send(b"a").unwrap();
    assert!(wait(&poller, &mut events)[0].readable);
    assert!(quiet(&poller, &mut events));
    far.send(b"b").unwrap();
    assert!(wait(&poller, &mut events)[0].readable);
    assert!(quiet(&poller, &mut events));
}

#[test]
fn one_shot_event_is_reported_once_until_modified() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    for mode in [Interest::READABLE.one_shot(), Interest::READABLE.edge().one_shot()] {
        poller.add(&near, 1, mode).unwrap();
        far.send(b"a").unwrap();
        assert!(wait(&poller, &mut events)[0].readable);
        far.send(b"b").unwrap();
        assert!(quiet(&poller, &mut events));
        poller.modify(&near, 2, mode).unwrap();
        assert_eq!(wait(&poller, &mut events)[0].key, 2);
        poller.remove(&near).unwrap();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn out_of_band_data_is_reported_as_priority() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 1, Interest::READABLE | Interest::PRIORITY).unwrap();
    rustix::net::send(&far, b"!", rustix::net::SendFlags::OOB).unwrap();
    assert!(wait(&poller, &mut events)[0].priority);
}

#[test]
#[cfg(all(target_os = "linux", not(conduit_portable)))]
fn half_close_is_reported_on_request() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 1, Interest::READABLE | Interest::HANG_UP).unwrap();
    far.send(b"last words").unwrap();
    assert!(!wait(&poller, &mut events)[0].read_closed);
    far.shutdown(std::net::Shutdown::Write).unwrap();
    while !wait(&poller, &mut events)[0].read_closed {}
    assert_eq!(near.recv(&mut [0; 64]).unwrap(), 10);
}

#[test]
#[cfg(all(target_os = "linux", not(conduit_portable)))]
fn wait_into_uses_memory_of_the_caller() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut slots = [conduit_net::EventSlot::EMPTY; 4];
    poller.add(&near, 9, Interest::READABLE).unwrap();
    assert_eq!(poller.wait_into(&mut slots, NOW).unwrap().count(), 0);
    far.send(b"x").unwrap();
    let keys: Vec<_> = poller
        .wait_into(&mut slots, None)
        .unwrap()
        .map(|event| event.key)
        .collect();
    assert_eq!(keys, [9]);
    poller.remove(&near).unwrap();
    poller.notify().unwrap();
    assert_eq!(poller.wait_into(&mut slots, None).unwrap().count(), 0);
    let error = poller.wait_into(&mut [], NOW).map(Iterator::count).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
