//! The attacks, each on a fresh server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::process::Signal;

use crate::Size;
use crate::bodies::{album, brotli_bomb, form, get, gzip_bomb, json, payment, post, zstd_bomb};
use crate::server::{Output, Server};

const BODY_BYTES: usize = 2 * 1024 * 1024;
/// The length of a long text, below the limit of a body.
const LONG: usize = 1_900_000;
/// The length of a long target, below the limit of a head.
const LONG_TARGET: usize = 8 * 1024;

pub(crate) struct MemoryAttack {
    pub(crate) name: &'static str,
    pub(crate) output: Output,
    /// The greatest growth of the memory with the program's settings.
    pub(crate) bound_mebibytes: f64,
    /// Returns the connections that stay open while the peak is read.
    pub(crate) run: fn(&Server, Size) -> Vec<TcpStream>,
}

/// An attack while the log is not read.
const fn attack(name: &'static str, bound_mebibytes: f64, run: fn(&Server, Size) -> Vec<TcpStream>) -> MemoryAttack {
    MemoryAttack {
        name,
        output: Output::Unread,
        bound_mebibytes,
        run,
    }
}

pub(crate) const ATTACKS: &[MemoryAttack] = &[
    attack("9,000 quiet streams, each reset by its client", 8.0, |server, size| {
        for _ in 0..size.of(9000, 3000) {
            let mut stream = server.connect();
            stream.write_all(&get("/events", "")).expect("the server reads");
            // Bytes that are not read make the close a reset.
            stream.read_exact(&mut [0; 8]).expect("a response");
        }
        Vec::new()
    }),
    attack(
        "3,000 quiet streams whose clients have ended their half",
        32.0,
        |server, size| {
            let streams = held(server, size.of(3000, 500), |_| get("/events", ""));
            for stream in &streams {
                stream.shutdown(Shutdown::Write).expect("it is open");
            }
            // Waits until the server has closed them after the idle time.
            for mut stream in &streams {
                let _ = stream.read_to_end(&mut Vec::new());
            }
            streams
        },
    ),
    attack("64 bodies of brotli with a large window", 64.0, |server, size| {
        let request = brotli_bomb(30, size);
        held(server, 64, |_| request.clone())
    }),
    attack("64 bodies of brotli that become 64 MiB", 64.0, |server, size| {
        let request = brotli_bomb(24, size);
        held(server, 64, |_| request.clone())
    }),
    attack("64 bodies of gzip that become 64 MiB", 64.0, |server, size| {
        let request = gzip_bomb(size);
        held(server, 64, |_| request.clone())
    }),
    attack("64 bodies of zstd that become 64 MiB", 64.0, |server, size| {
        let request = zstd_bomb(20, size);
        held(server, 64, |_| request.clone())
    }),
    attack("64 bodies of zstd with a window of 128 MiB", 64.0, |server, size| {
        let request = zstd_bomb(27, size);
        held(server, 64, |_| request.clone())
    }),
    attack("10,000 idempotency keys, responses of 32 KiB", 40.0, |server, size| {
        let mut stream = server.connect();
        for number in 0..size.of(10_000, 5000) {
            let key = format!("idempotency-key: {number}\r\n");
            ask(&mut stream, &post("/pay", &key, b""));
        }
        Vec::new()
    }),
    attack("10,000 idempotency keys of as many owners", 40.0, |server, size| {
        let mut stream = server.connect();
        for number in 0..size.of(10_000, 5000) {
            ask(&mut stream, &payment("/pay", number));
        }
        Vec::new()
    }),
    attack(
        "3,000 running requests with idempotency keys of as many owners",
        64.0,
        |server, size| {
            let open = |number| {
                let mut stream = server.connect();
                stream.write_all(&payment("/hang", number)).expect("the server reads");
                stream
            };
            let streams = (0..size.of(3000, 1000)).map(open).collect();
            // When each worker has responded to another request, the server has read all of them.
            for number in 1_000_000..1_000_064 {
                ask(&mut server.connect(), &payment("/pay", number));
            }
            streams
        },
    ),
    attack(
        "50,000 long requests while the reader of the log stalls",
        16.0,
        many_requests,
    ),
    MemoryAttack {
        name: "50,000 long requests while the log is on a full disk",
        output: Output::FullDisk,
        bound_mebibytes: 16.0,
        run: many_requests,
    },
    MemoryAttack {
        name: "50,000 long requests after the reader of the log has closed",
        output: Output::ClosedPipe,
        bound_mebibytes: 16.0,
        run: many_requests,
    },
    attack("20 strings of 1.9 MB in place of a number", 64.0, |server, _| {
        let request = json("/number", &format!("\"{}\"", "\\u0001".repeat(LONG / 6)));
        held(server, 20, |_| request.clone())
    }),
    attack("20 unknown field names of 1.9 MB", 64.0, |server, _| {
        let request = json("/order", &format!("{{\"{}\":1}}", "\\u0001".repeat(LONG / 6)));
        held(server, 20, |_| request.clone())
    }),
    attack("20 forms with a name of 1.9 MB in brackets", 64.0, |server, _| {
        let request = form(&format!("a{}=1", "[b]".repeat(LONG / 3)));
        held(server, 20, |_| request.clone())
    }),
    attack("20 forms of 1.9 MB with many names in brackets", 64.0, |server, _| {
        let body: String = (0..150_000).map(|number| format!("a[{number:x}]=&")).collect();
        let request = form(&body);
        held(server, 20, |_| request.clone())
    }),
    attack("1,000 unfinished bodies of 2 MiB", 320.0, |server, size| {
        let request = post("/length", "", &vec![b'x'; BODY_BYTES]);
        unfinished(server, size.of(1000, 200), &request)
    }),
    // Beyond the budget, each file takes a descriptor.
    attack("400 unfinished forms with 33 files of 60 KiB", 320.0, |server, size| {
        unfinished(server, size.of(400, 200), &album())
    }),
    attack("3,000 compressed streams", 96.0, |server, size| {
        held(server, size.of(3000, 600), |number| {
            let coding = ["zstd", "br", "gzip"][number % 3];
            get("/events", &format!("accept-encoding: {coding}\r\n"))
        })
    }),
    attack("a certificate whose file becomes /dev/zero", 16.0, |server, _| {
        let chain = server.certificate.chain();
        std::fs::remove_file(chain).expect("it is there");
        std::os::unix::fs::symlink("/dev/zero", chain).expect("a link");
        server.signal(Signal::HUP);
        // The server also checks its files once a second.
        std::thread::sleep(Duration::from_secs(3));
        Vec::new()
    }),
];

/// Sends this number of requests without their last byte, and keeps the connections.
fn unfinished(server: &Server, count: usize, request: &[u8]) -> Vec<TcpStream> {
    let open = |_| {
        let mut stream = server.connect();
        let _ = stream.write_all(&request[..request.len() - 1]);
        stream
    };
    let streams = (0..count).map(open).collect();
    // The server may still read.
    server.settle();
    streams
}

/// Sends requests whose lines in the log are together five times the bound, or more.
fn many_requests(server: &Server, size: Size) -> Vec<TcpStream> {
    let mut stream = server.connect();
    let batch = get(&format!("/?{}", "x".repeat(LONG_TARGET)), "").repeat(50);
    for _ in 0..size.of(1000, 200) {
        ask(&mut stream, &batch);
    }
    let _ = stream.write_all(&get("/", "connection: close\r\n"));
    let _ = stream.read_to_end(&mut Vec::new());
    Vec::new()
}

/// Sends a request, and reads the first bytes of its response.
fn ask(stream: &mut TcpStream, request: &[u8]) {
    // A server that rejects the request may close before the end of it.
    let _ = stream.write_all(request);
    let _ = stream.read(&mut [0; 64 * 1024]);
}

/// Sends this number of requests on separate connections, and keeps the connections.
fn held(server: &Server, count: usize, request: impl Fn(usize) -> Vec<u8>) -> Vec<TcpStream> {
    let open = |number| {
        let mut stream = server.connect();
        ask(&mut stream, &request(number));
        stream
    };
    (0..count).map(open).collect()
}
