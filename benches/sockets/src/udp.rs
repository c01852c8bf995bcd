//! UDP packets per second, one by one and with segmentation offload: one thread alternates between sending and receiving, so that
//! no packet is lost, and counts received packets.

use conduit_net::io::{IoSlice, IoSliceMut};
use conduit_net::{Options, ReceiveBatch, ReceiveControl, SendBatch, SendControl, UdpSocket, option};
use std::error::Error;
use std::time::{Duration, Instant};

const PACKET: usize = 1200;
const PACKETS: usize = 50;

/// One method of transfer.
pub struct Way {
    pub name: &'static str,
    /// Received packets per second.
    pub rate: f64,
    /// CPU microseconds for each packet, sending and receiving together.
    pub cpu: f64,
}

/// Transfers some packets from the sender to the receiver.
type Carry = fn(&Pair) -> Result<(), Box<dyn Error>>;

/// Measures every method for `time`.
pub fn run(time: Duration) -> Result<Vec<Way>, Box<dyn Error>> {
    let ways: [(&str, Carry); 3] = [
        ("one by one", one_by_one),
        ("sendmmsg and recvmmsg", batches),
        ("GSO and GRO", offload),
    ];
    let mut results = Vec::new();
    for (name, way) in ways {
        let pair = Pair::new(name.starts_with("GSO"))?;
        let (start, cpu) = (Instant::now(), thread_cpu());
        let mut packets = 0;
        while start.elapsed() < time {
            way(&pair)?;
            packets += PACKETS;
        }
        let cpu = (thread_cpu() - cpu).as_secs_f64() * 1e6 / packets as f64;
        results.push(Way {
            name,
            rate: packets as f64 / start.elapsed().as_secs_f64(),
            cpu,
        });
    }
    Ok(results)
}

struct Pair {
    sender: UdpSocket,
    receiver: UdpSocket,
}

impl Pair {
    fn new(coalesce: bool) -> Result<Pair, Box<dyn Error>> {
        let receiver = UdpSocket::bind("127.0.0.1:0".parse()?)?;
        receiver.set_option(option::RECEIVE_BUFFER, 4 << 20)?;
        receiver.set_option(option::COALESCE, coalesce)?;
        let sender = UdpSocket::bind("127.0.0.1:0".parse()?)?;
        sender.connect(receiver.local_addr()?)?;
        Ok(Pair { sender, receiver })
    }
}

fn one_by_one(pair: &Pair) -> Result<(), Box<dyn Error>> {
    let packet = [7; PACKET];
    let mut buffer = [0; 2048];
    for _ in 0..PACKETS {
        pair.sender.send(&packet)?;
    }
    for _ in 0..PACKETS {
        pair.receiver.recv(&mut buffer)?;
    }
    Ok(())
}

fn batches(pair: &Pair) -> Result<(), Box<dyn Error>> {
    thread_local! {
        static BATCH: std::cell::RefCell<ReceiveBatch> = std::cell::RefCell::new(ReceiveBatch::new(PACKETS, 2048));
    }
    let packet = [7; PACKET];
    let plain = SendControl::new();
    let mut sending = SendBatch::new();
    for _ in 0..PACKETS {
        sending.push(&packet, None, &plain)?;
    }
    while !sending.is_empty() {
        sending.send(&pair.sender)?;
    }
    BATCH.with_borrow_mut(|batch| {
        let mut left = PACKETS;
        while left > 0 {
            left -= batch.receive(&pair.receiver)?;
        }
        Ok(())
    })
}

fn offload(pair: &Pair) -> Result<(), Box<dyn Error>> {
    let packets = [7; PACKET * PACKETS];
    let mut control = SendControl::new();
    control.push_segment_bytes(PACKET as u16)?;
    pair.sender.send_message(&[IoSlice::new(&packets)], &control)?;
    let mut buffer = [0; 65536];
    let mut received = ReceiveControl::new();
    let mut left = packets.len();
    while left > 0 {
        left -= pair
            .receiver
            .receive_message(&mut [IoSliceMut::new(&mut buffer)], &mut received)?
            .bytes;
    }
    Ok(())
}

/// The CPU time of this thread.
pub fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
