//! Paths, queries and forms reach the handler as naive twins and the `url` crate parse them.
//!
//! A server runs inside of the fuzzer, and one connection sends all requests, so that the whole path from the bytes of the target
//! to the argument is tested. The input is the parameter of a path, and after a `?` a query, which is also sent as a form.
#![no_main]

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{LazyLock, Mutex};

use conduit::prelude::*;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

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

#[get("/tree")]
fn tree(tree: Query<Map<String, Value>>) -> Json<Map<String, Value>> {
    Json(tree.0)
}

/// A type of each kind that serde buffers or that rejects strings: the server responds to any input.
#[derive(serde::Deserialize)]
#[allow(dead_code)]
struct Mixed {
    pair: Option<(u8, f64)>,
    rows: Option<Vec<BTreeMap<String, Option<u32>>>>,
    either: Option<Either>,
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    rest: BTreeMap<String, Either>,
}

#[derive(serde::Deserialize)]
#[allow(dead_code)]
struct Page {
    page: Option<u32>,
    ids: Option<Vec<i64>>,
    name: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Either {
    Number(u64),
    Flag(bool),
    Texts(Vec<String>),
    Text(String),
    More(BTreeMap<String, Either>),
}

#[get("/mixed")]
fn mixed(_: Query<Mixed>) {}

const ROUTES: Routes = routes![path, pair, query, form, tree, mixed];

/// Each text, prefixed with its length.
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
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    Mutex::new(stream)
});

/// Sends a request, and returns the status and the body of the response.
fn ask(request: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = CONNECTION.lock().expect("no thread panics");
    stream.write_all(request).expect("the server reads");
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match stream.read(&mut buffer) {
            // The alarm of the fuzzer may interrupt the read.
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

/// Percent-decodes byte by byte; a `%` without two digits is unchanged (as in the URL standard).
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

/// The pairs of a form, as in the URL standard; `None` if a part is not UTF-8.
fn pairs(text: &[u8]) -> Option<Pairs> {
    let decoded = |part: &[u8]| {
        let spaced: Vec<u8> = part
            .iter()
            .map(|&byte| if byte == b'+' { b' ' } else { byte })
            .collect();
        String::from_utf8(decode(&spaced)).ok()
    };
    let parts = text.split(|&byte| byte == b'&').filter(|part| !part.is_empty());
    parts
        .map(|part| match part.iter().position(|&byte| byte == b'=') {
            Some(equals) => Some((decoded(&part[..equals])?, decoded(&part[equals + 1..])?)),
            None => Some((decoded(part)?, String::new())),
        })
        .collect()
}

/// The steps of a name; a single one if it does not have the form `a[b][c]`.
fn steps(name: &str) -> Vec<String> {
    let whole = || vec![name.to_owned()];
    let Some((first, mut rest)) = name.find('[').map(|at| name.split_at(at)) else {
        return whole();
    };
    let mut steps = vec![first.to_owned()];
    while let Some(inside) = rest.strip_prefix('[') {
        match inside.split_once(']') {
            Some((step, after)) if !step.contains('[') => {
                steps.push(step.to_owned());
                rest = after;
            }
            _ => return whole(),
        }
    }
    if first.is_empty() || !rest.is_empty() {
        return whole();
    }
    if steps.last().is_some_and(String::is_empty) {
        steps.pop();
    }
    steps
}

/// The tree of these pairs; `None` if it has too many levels, or a value next to nested fields.
fn tree_of(pairs: &Pairs) -> Option<Map<String, Value>> {
    let mut tree = Map::new();
    for (name, value) in pairs {
        let mut steps = steps(name);
        if steps.len() > 9 {
            return None;
        }
        let last = steps.pop()?;
        let mut level = &mut tree;
        for step in steps {
            let inner = level.entry(step).or_insert_with(|| Value::Object(Map::new()));
            level = inner.as_object_mut()?;
        }
        match level.entry(last).or_insert(Value::Null) {
            Value::Object(_) => return None,
            Value::Array(values) => values.push(value.clone().into()),
            place @ Value::Null => *place = value.clone().into(),
            place => *place = vec![place.take(), value.clone().into()].into(),
        }
    }
    Some(tree)
}

fn get(target: &[u8]) -> (u16, Vec<u8>) {
    ask(&[b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat())
}

fuzz_target!(|data: &[u8]| {
    let question = data.iter().position(|&byte| byte == b'?').unwrap_or(data.len());
    let (value, query) = (&data[..question], data.get(question + 1..).unwrap_or_default());
    // The engine rejects these bytes, which a URI cannot contain.
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
        let (tree_status, tree) = get(&[b"/tree?", query].concat());
        match twin {
            Some(twin) => {
                assert_eq!((status, body), (200, flat(&twin)));
                let url = [b"http://a/query?", query].concat();
                let url = url::Url::parse(str::from_utf8(&url).expect("it is ASCII")).expect("a URL");
                assert_eq!(url.query_pairs().into_owned().collect::<Pairs>(), twin);
                match tree_of(&twin) {
                    Some(twin) => {
                        let tree: Value = serde_json::from_slice(&tree).expect("JSON");
                        assert_eq!((tree_status, tree), (200, Value::Object(twin)));
                    }
                    None => assert_eq!(tree_status, 400),
                }
            }
            None => assert_eq!((status, tree_status), (400, 400)),
        }
        let (status, _) = get(&[b"/mixed?", query].concat());
        assert!(status == 200 || status == 400, "{status}");
    }
    // A body may have any bytes.
    if query.len() < 2048 {
        let head = format!(
            "POST /form HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
            query.len()
        );
        let (status, body) = ask(&[head.as_bytes(), query].concat());
        match pairs(query) {
            Some(twin) => assert_eq!((status, body), (200, flat(&twin))),
            None => assert_eq!(status, 400),
        }
    }
});
