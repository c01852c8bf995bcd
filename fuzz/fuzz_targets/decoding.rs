//! Paths, queries and forms reach the handler as naive twins and the `url` crate read them.
//!
//! A server runs inside of the fuzzer, and one connection asks it everything: the way is the whole way, from the bytes
//! of the target to the argument. The input is the parameter of a path, and after a `?` a query, which is sent as a
//! form too.
#![no_main]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{LazyLock, Mutex};

use conduit::prelude::*;
use libfuzzer_sys::fuzz_target;

type Pairs = Vec<(String, String)>;

#[get("/path/{value}")]
fn path(value: Path<String>) -> Vec<u8> {
    value.0.into_bytes()
}

#[get("/pair/{first}/{second}")]
fn pair(first: Path<String>, second: Path<String>) -> Vec<u8> {
    [first.0.into_bytes(), vec![0], second.0.into_bytes()].concat()
}

#[get("/query")]
fn query(pairs: Query<Pairs>) -> Vec<u8> {
    flat(&pairs.0)
}

#[post("/form")]
async fn form(pairs: Form<Pairs>) -> Vec<u8> {
    flat(&pairs.0)
}

const ROUTES: Routes = routes![path, pair, query, form];

/// Each text after its length.
fn flat(pairs: &[(String, String)]) -> Vec<u8> {
    let mut all = Vec::new();
    for text in pairs.iter().flat_map(|(name, value)| [name, value]) {
        all.extend_from_slice(&(text.len() as u32).to_le_bytes());
        all.extend_from_slice(text.as_bytes());
    }
    all
}

static CONNECTION: LazyLock<Mutex<TcpStream>> = LazyLock::new(|| {
    let server = App::new(())
        .routes(ROUTES)
        .workers(1)
        .request_limit(u64::MAX)
        .listen("127.0.0.1:0")
        .expect("loopback has a port");
    let address = server.address();
    std::thread::spawn(move || server.serve());
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_nodelay(true).expect("no delay can be set");
    Mutex::new(stream)
});

/// Sends a request, and gives the status and the body of the answer.
fn ask(request: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = CONNECTION.lock().expect("no thread panics");
    stream.write_all(request).expect("the server reads");
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match stream.read(&mut buffer) {
            // The fuzzer's own alarm.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.expect("the server answers"),
        };
        assert!(count > 0, "the server closed at {}", request.escape_ascii());
        answer.extend_from_slice(&buffer[..count]);
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut fields);
        let Ok(httparse::Status::Complete(head)) = response.parse(&answer) else {
            continue;
        };
        let length = response.headers.iter().find(|field| field.name == "content-length");
        let length = length.and_then(|field| str::from_utf8(field.value).ok()?.parse().ok());
        let status = response.code.expect("a status");
        if answer.len() - head == length.unwrap_or(0) {
            answer.drain(..head);
            return (status, answer);
        }
    }
}

/// Percent-decoding byte by byte; a `%` without two digits stays (as the URL standard has it).
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut bytes = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

/// The pairs of a form, as the URL standard has it.
fn pairs(text: &[u8]) -> Pairs {
    let decoded = |part: &[u8]| {
        let spaced: Vec<u8> = part
            .iter()
            .map(|&byte| if byte == b'+' { b' ' } else { byte })
            .collect();
        String::from_utf8_lossy(&decode(&spaced)).into_owned()
    };
    let parts = text.split(|&byte| byte == b'&').filter(|part| !part.is_empty());
    parts
        .map(|part| match part.iter().position(|&byte| byte == b'=') {
            Some(equals) => (decoded(&part[..equals]), decoded(&part[equals + 1..])),
            None => (decoded(part), String::new()),
        })
        .collect()
}

fn get(target: &[u8]) -> (u16, Vec<u8>) {
    ask(&[b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat())
}

fuzz_target!(|data: &[u8]| {
    let question = data.iter().position(|&byte| byte == b'?').unwrap_or(data.len());
    let (value, query) = (&data[..question], data.get(question + 1..).unwrap_or_default());
    // The engine rejects these bytes, which a URI cannot hold.
    let sendable = |text: &[u8], rejected: &[u8]| {
        let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !rejected.contains(byte);
        text.len() < 2048 && text.iter().all(is_allowed)
    };

    if sendable(value, b"#<>`") && !value.is_empty() && !value.contains(&b'/') {
        let (status, body) = get(&[b"/path/", value].concat());
        let twin = decode(value);
        match String::from_utf8(twin) {
            Ok(twin) => {
                assert_eq!((status, body), (200, twin.clone().into_bytes()));
                let (status, body) = get(&[b"/pair/", value, b"/", value].concat());
                assert_eq!(
                    (status, body),
                    (200, [twin.as_bytes(), b"\0", twin.as_bytes()].concat())
                );
            }
            Err(_) => assert_eq!(status, 400),
        }
    }
    if sendable(query, b"\"#<>") {
        let twin = pairs(query);
        let (status, body) = get(&[b"/query?", query].concat());
        assert_eq!((status, body), (200, flat(&twin)));
        let url = [b"http://a/query?", query].concat();
        let url = url::Url::parse(str::from_utf8(&url).expect("it is ASCII")).expect("a URL");
        assert_eq!(url.query_pairs().into_owned().collect::<Pairs>(), twin);
    }
    // A body may have any bytes.
    if query.len() < 2048 {
        let head = format!(
            "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            query.len()
        );
        let (status, body) = ask(&[head.as_bytes(), query].concat());
        assert_eq!((status, body), (200, flat(&pairs(query))));
    }
});
