//! Sends a file over UDP on this machine, once by single datagrams and once with segmentation offload (GSO and GRO),
//! and prints the saved system calls and CPU time of the sending thread.
//!
//! ```text
//! udp_gso FILE
//! ```
#![allow(clippy::print_stdout, reason = "the results are for the terminal")]

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("segmentation offload requires Linux (UDP_SEGMENT, UDP_GRO)");
}

#[cfg(target_os = "linux")]
mod linux {
    use conduit_net::io::{IoSlice, IoSliceMut};
    use conduit_net::{
        ControlMessage, Options, ReceiveControl, SendControl, UdpSocket, option, wait_readable, wait_writable,
    };
    use std::error::Error;
    use std::io::ErrorKind;
    use std::time::Duration;

    /// The payload of a datagram on Ethernet, minus the overhead of tunnels.
    const DATAGRAM: usize = 1200;
    /// The kernel accepts at most 64 segments and 64 KB per call.
    const AT_ONCE: usize = 50 * DATAGRAM;

    struct Sent {
        calls: u64,
        cpu: Duration,
    }

    pub(crate) fn main() -> Result<(), Box<dyn Error>> {
        let path = std::env::args().nth(1).ok_or("usage: udp_gso FILE")?;
        let file = std::fs::read(&path)?;
        let plain = transfer(&file, DATAGRAM)?;
        let offload = transfer(&file, AT_ONCE)?;
        println!(
            "{}: {} bytes in datagrams of {DATAGRAM}, each way received whole",
            path,
            file.len()
        );
        println!(
            "one by one:   {:>8} calls, {:>8.2} ms of CPU",
            plain.calls,
            plain.cpu.as_secs_f64() * 1e3
        );
        println!(
            "with offload: {:>8} calls, {:>8.2} ms of CPU",
            offload.calls,
            offload.cpu.as_secs_f64() * 1e3
        );
        println!(
            "saved: {:.1} % of the calls",
            100.0 - 100.0 * offload.calls as f64 / plain.calls.max(1) as f64
        );
        Ok(())
    }

    /// Sends `file` in pieces of `at_once`, which the kernel splits into datagrams, and checks the received bytes.
    fn transfer(file: &[u8], at_once: usize) -> Result<Sent, Box<dyn Error>> {
        let receiver = UdpSocket::bind("127.0.0.1:0".parse()?)?;
        receiver.set_option(option::COALESCE, true)?;
        receiver.set_option(option::RECEIVE_BUFFER, 4 << 20)?;
        let sender = UdpSocket::bind("127.0.0.1:0".parse()?)?;
        sender.connect(receiver.local_addr()?)?;
        let mut control = SendControl::new();
        control.push_segment_bytes(DATAGRAM as u16)?;

        let mut buffer = vec![0; 65536];
        let mut taken = 0;
        let mut sent = Sent {
            calls: 0,
            cpu: Duration::ZERO,
        };
        for piece in file.chunks(at_once) {
            let before = thread_cpu();
            loop {
                sent.calls += 1;
                match sender.send_message(&[IoSlice::new(piece)], &control) {
                    Ok(_) => break,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => drop(wait_writable(&sender, None)?),
                    Err(error) => return Err(error.into()),
                }
            }
            sent.cpu += thread_cpu() - before;
            // UDP has no flow control: each piece is received before the next one is sent.
            let mut left = piece.len();
            while left > 0 {
                let came = receive(&receiver, &mut buffer)?;
                if buffer[..came] != file[taken..taken + came] {
                    return Err(format!("the bytes from {taken} on are damaged").into());
                }
                taken += came;
                left -= came;
            }
        }
        Ok(sent)
    }

    /// Receives one datagram, or several coalesced ones.
    fn receive(receiver: &UdpSocket, buffer: &mut [u8]) -> Result<usize, Box<dyn Error>> {
        if !wait_readable(receiver, Some(Duration::from_secs(5)))? {
            return Err("a datagram was lost".into());
        }
        let mut control = ReceiveControl::new();
        let got = receiver.receive_message(&mut [IoSliceMut::new(buffer)], &mut control)?;
        let size = control.messages().find_map(|message| match message {
            ControlMessage::SegmentBytes(bytes) => Some(bytes as usize),
            _ => None,
        });
        if got.bytes > size.unwrap_or(DATAGRAM) && size.is_none() {
            return Err("coalesced datagrams without their size".into());
        }
        Ok(got.bytes)
    }

    fn thread_cpu() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}
