//! The same echo on conduit-net, raw C epoll, mio, tokio and std threads, side by side in one run.
//!
//! ```text
//! cargo run --release [-- ROUNDS [MILLISECONDS]]
//! ```
//! The server is a separate process on CPU 0, the load runs on CPU 1. Each case runs ROUNDS times, the servers in turn; the
//! table shows each server's round with the least CPU per message, which other activity disturbs least.

mod calls;
mod load;
mod servers;
mod udp;

use conduit_net::{ListenOptions, TcpListener};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CLIENTS: [usize; 3] = [1, 64, 1000];
const BYTES: [usize; 2] = [64, 16 * 1024];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [serve, name] = arguments.as_slice()
        && serve == "serve"
    {
        return server(name);
    }
    let number = |index: usize, default| arguments.get(index).map_or(Ok(default), |text| text.parse());
    let (rounds, time) = (number(0, 5)?, Duration::from_millis(number(1, 700)?));
    pin(1)?;
    println!(
        "| bytes | clients | server | messages/s | CPU µs/message | × C |\n| ---: | ---: | --- | ---: | ---: | ---: |"
    );
    for bytes in BYTES {
        for clients in CLIENTS {
            case(bytes, clients, rounds, time)?;
        }
    }
    println!("\n| UDP, 1200 bytes | packets/s | CPU µs/packet (sent and received) |\n| --- | ---: | ---: |");
    for udp::Way { name, rate, cpu } in udp::run(time)? {
        println!("| {name} | {rate:.0} | {cpu:.3} |");
    }
    let [libc, conduit] = calls::run()?;
    println!("\n| send and recv of 64 bytes, Unix pair | CPU ns |\n| --- | ---: |");
    println!(
        "| through libc | {} |\n| conduit-net | {} |",
        libc.as_nanos(),
        conduit.as_nanos()
    );
    Ok(())
}

/// All servers with one size and number of clients.
fn case(bytes: usize, clients: usize, rounds: u64, time: Duration) -> Result<(), Box<dyn Error>> {
    let mut best = [(0.0, f64::MAX); servers::SERVERS.len()];
    for round in 0..rounds as usize {
        // Each round begins with another server, so that none has a fixed position.
        for turn in 0..best.len() {
            let index = (round + turn) % best.len();
            let (name, best) = (servers::SERVERS[index].0, &mut best[index]);
            let server = Server::start(name)?;
            let seen = load::run(server.address, clients, bytes, time, || server.cpu())?;
            let cpu = seen.cpu.as_secs_f64() * 1e6 / seen.messages as f64;
            if cpu < best.1 {
                *best = (seen.messages as f64 / seen.took.as_secs_f64(), cpu);
            }
        }
    }
    let floor = best[0].1;
    for ((name, _), (rate, cpu)) in servers::SERVERS.iter().zip(best) {
        println!(
            "| {bytes} | {clients} | {name} | {rate:.0} | {cpu:.2} | {:.2} |",
            cpu / floor
        );
    }
    Ok(())
}

fn server(name: &str) -> Result<(), Box<dyn Error>> {
    pin(0)?;
    let (_, serve) = servers::SERVERS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or("no such server")?;
    let listener = TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new().no_delay(true))?;
    println!("{}", listener.local_addr()?);
    Ok(serve(listener)?)
}

struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(name: &str) -> Result<Server, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", name])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Server {
            process,
            address: line.trim().parse()?,
        })
    }

    /// The CPU time of all threads, to the nanosecond: proc_pid_schedstat(5).
    fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id()))
            .into_iter()
            .flatten()
            .flatten();
        let nanoseconds = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pin(cpu: usize) -> Result<(), Box<dyn Error>> {
    let mut only = rustix::thread::CpuSet::new();
    only.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &only)?)
}
