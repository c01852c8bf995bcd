//! `attack [SECONDS]`: how long real clients wait while others attack, at Conduit and at nginx beside it.
//!
//! Both servers run with two workers and comparable deadlines, one after the other in one run on one machine, which
//! makes the attack too: what is seen is the difference between a line and the one without attack, and between the two
//! servers, no absolute speed. nginx is left out where it is not installed.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use conduit_conformance::process::Target;

/// Threads that are real clients; each waits a millisecond between its requests.
const CLIENTS: usize = 4;

/// Every so manieth request is made on a connection of its own.
const FRESH: usize = 10;

const PLAIN: &[u8] = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &[u8] = b"POST /plain HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;";

/// What an attacker does, until it is told to stop.
type Attack = fn(SocketAddr, &AtomicBool);

const ATTACKS: &[(&str, Attack)] = &[
    ("no attack", |_, _| {}),
    ("10,000 connections that say nothing", |address, over| {
        crowd(address, over, 10_000, b"", b"");
    }),
    ("1,000 heads, a byte at a time", |address, over| {
        crowd(address, over, 1000, b"GET /plain HTTP/1.1\r\nHost: a\r\nX: ", b"x");
    }),
    ("1,000 bodies, a byte at a time", |address, over| {
        let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
        crowd(address, over, 1000, head, b"x");
    }),
    ("500 readers of 10 MB that do not read", |address, over| {
        crowd(
            address,
            over,
            500,
            b"GET /stream/10000 HTTP/1.1\r\nHost: a\r\n\r\n",
            b"",
        );
    }),
    ("500 pipelines that do not read", |address, over| {
        crowd(address, over, 500, &PLAIN.repeat(64), &PLAIN.repeat(64));
    }),
    ("header bombs", |address, over| {
        bombs(
            address,
            over,
            PLAIN.trim_ascii_end(),
            b"\r\nX-Bomb: boom boom boom boom",
        );
    }),
    ("chunk extensions without end", |address, over| {
        bombs(address, over, CHUNKED, &[b'e'; 64])
    }),
    ("connections that reset at once", |address, over| {
        while !over.load(Ordering::Relaxed) {
            if let Ok(mut stream) = TcpStream::connect(address) {
                let _ = stream.write_all(PLAIN);
                let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
            }
        }
    }),
];

/// So many connections that begin so; then each says a little more, round after round. One that the server has closed
/// is opened anew.
fn crowd(address: SocketAddr, over: &AtomicBool, count: usize, beginning: &[u8], more: &[u8]) {
    let open = || {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_nonblocking(true).ok()?;
        // A piece that the kernel takes in part is as good.
        let _ = stream.write(beginning);
        Some(stream)
    };
    // Each with how much of the last piece it has taken.
    let mut streams: Vec<(TcpStream, usize)> = Vec::with_capacity(count);
    while streams.len() < count && !over.load(Ordering::Relaxed) {
        streams.extend(open().map(|stream| (stream, 0)));
    }
    while !over.load(Ordering::Relaxed) {
        for (stream, taken) in &mut streams {
            if more.is_empty() || over.load(Ordering::Relaxed) {
                break;
            }
            match stream.write(&more[*taken..]) {
                Ok(count) => *taken = (*taken + count) % more.len(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    if let Some(new) = open() {
                        (*stream, *taken) = (new, 0);
                    }
                }
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// One connection after the other that sends a piece again and again until the server has enough.
fn bombs(address: SocketAddr, over: &AtomicBool, beginning: &[u8], piece: &[u8]) {
    let pieces = piece.repeat(64);
    while !over.load(Ordering::Relaxed) {
        let Ok(mut stream) = TcpStream::connect(address) else {
            continue;
        };
        let _ = stream.write_all(beginning);
        while !over.load(Ordering::Relaxed) && stream.write_all(&pieces).is_ok() {}
    }
}

/// What real clients have seen.
#[derive(Default)]
struct Seen {
    waits: Vec<Duration>,
    failed: usize,
}

impl Seen {
    fn part(&self, part: f64) -> f64 {
        let index = ((self.waits.len() as f64 * part) as usize).min(self.waits.len().saturating_sub(1));
        self.waits
            .get(index)
            .map_or(f64::NAN, |wait| wait.as_secs_f64() * 1000.0)
    }
}

/// Asks as a real client does, and notes how long each answer took.
fn ask(address: SocketAddr, over: &AtomicBool, seen: &Mutex<Seen>) {
    let connect = || {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok::<_, std::io::Error>(stream)
    };
    let mut kept = None;
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let start = Instant::now();
        let answered = if number % FRESH == 0 {
            connect().and_then(|mut stream| exchange(&mut stream))
        } else {
            match &mut kept {
                Some(stream) => exchange(stream),
                none => connect().and_then(|stream| exchange(none.insert(stream))),
            }
        };
        let wait = start.elapsed();
        let mut seen = seen.lock().expect("nobody panics");
        match answered {
            Ok(()) => seen.waits.push(wait),
            Err(_) => {
                kept = None;
                seen.failed += 1;
            }
        }
        drop(seen);
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn exchange(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(PLAIN)?;
    let (mut answer, mut length) = ([0; 2048], 0);
    while !answer[..length].ends_with(b"\r\n\r\nplain") {
        match stream.read(&mut answer[length..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
    }
    Ok(())
}

/// nginx in the foreground of a process of its own, with the files that it serves.
struct Nginx {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl Nginx {
    fn start() -> std::io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let directory = std::env::temp_dir().join(format!("conduit-attack-{}", std::process::id()));
        std::fs::create_dir_all(directory.join("stream"))?;
        std::fs::write(directory.join("stream/10000"), vec![b's'; 10_240_000])?;
        let at = directory.display();
        let configuration = format!(
            "daemon off; pid {at}/pid; error_log /dev/null; worker_processes 2; worker_rlimit_nofile 20000;
            events {{ worker_connections 19000; }}
            http {{
                access_log off; sendfile on; root {at}; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
                fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
                client_header_timeout 10; client_body_timeout 10; send_timeout 10; keepalive_timeout 75;
                keepalive_requests 1000000; client_max_body_size 2m; large_client_header_buffers 4 4k;
                server {{
                    listen {address} reuseport;
                    location = /plain {{ return 200 plain; }}
                    location = /echo {{ proxy_pass http://{address}/plain; }}
                    location /stream/ {{ }}
                }}
            }}"
        );
        std::fs::write(directory.join("nginx.conf"), configuration)?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(directory.join("nginx.conf"))
            .stderr(Stdio::null())
            .spawn()?;
        let nginx = Self {
            child,
            address,
            directory,
        };
        for _ in 0..500 {
            if TcpStream::connect(address).is_ok_and(|mut stream| exchange(&mut stream).is_ok()) {
                return Ok(nginx);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(std::io::Error::other("nginx does not answer"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGQUIT would wait for the clients; SIGTERM lets the master end its workers.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Real clients for a while, and after a moment the attack beside them.
fn measure(address: SocketAddr, attack: Attack, duration: Duration) -> Seen {
    let (over, asked) = (AtomicBool::new(false), AtomicBool::new(false));
    let seen = Mutex::new(Seen::default());
    std::thread::scope(|scope| {
        scope.spawn(|| attack(address, &over));
        // What is measured is a server that is attacked, not how the attack begins.
        std::thread::sleep(Duration::from_secs(1));
        for _ in 0..CLIENTS {
            scope.spawn(|| ask(address, &asked, &seen));
        }
        std::thread::sleep(duration);
        asked.store(true, Ordering::Relaxed);
        over.store(true, Ordering::Relaxed);
    });
    let mut seen = seen.into_inner().expect("nobody panics");
    seen.waits.sort_unstable();
    seen
}

#[expect(clippy::print_stdout, reason = "the table is what the program is for")]
fn main() {
    let seconds = std::env::args()
        .nth(1)
        .map_or(5, |argument| argument.parse().expect("a number"));
    let duration = Duration::from_secs(seconds);
    // Both ends of ten thousand connections do not fit into one process's limit, so each server is one of its own.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let raised = rustix::process::Rlimit {
        current: limit,
        maximum: limit,
    };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Nofile, raised);
    println!("| attack | server | answers | p50 ms | p99 ms | most ms | failed |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (name, attack) in ATTACKS {
        let row = |server: &str, seen: &Seen| {
            let (count, failed) = (seen.waits.len(), seen.failed);
            let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| seen.part(part));
            println!("| {name} | {server} | {count} | {p50:.2} | {p99:.2} | {most:.2} | {failed} |");
        };
        // A server of its own for each attack, so that none meets what another left.
        let target = Target::start(&[]);
        row("Conduit", &measure(target.address(), *attack, duration));
        drop(target);
        match Nginx::start() {
            Ok(nginx) => row("nginx", &measure(nginx.address, *attack, duration)),
            Err(error) => println!("| {name} | nginx | {error} | | | | |"),
        }
    }
}
