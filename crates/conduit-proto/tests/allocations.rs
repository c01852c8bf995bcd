//! In the steady state, a small request does not allocate.

mod small_requests;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use conduit_proto::h1::{BodyLength, Connection, Event, Head, Limits};
use conduit_proto::{h2, http_date};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use small_requests::{OPENING, push};

/// Counts the allocations of each thread, so that those of the test harness are excluded.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed unchanged to the system allocator.
#[expect(unsafe_code, reason = "an allocator that counts is an unsafe implementation")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller fulfils the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller fulfils the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller fulfils the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(call: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    call();
    COUNT.with(Cell::get) - before
}

/// Parses all requests in the stream, which ends with a complete one, and writes their responses.
fn serve(stream: &[u8], head: &mut Head, out: &mut Vec<u8>, headers: &HeaderMap) {
    let mut connection = Connection::new();
    let date = &http_date(784_111_777);
    let limits = Limits::default();
    let mut at = 0;
    loop {
        let step = connection.handle_input(&stream[at..], head, &limits);
        let (used, event) = step.expect("a valid stream");
        at += used;
        match event {
            Event::NeedMore if at == stream.len() => return,
            Event::Request if head.body() != BodyLength::None => {
                connection.write_continue(out);
            }
            Event::Request => {
                connection.write_response(out, StatusCode::OK, headers, b"hello", date);
            }
            Event::End(_) => {
                let body = BodyLength::Chunked;
                connection.write_head(out, StatusCode::NOT_FOUND, headers, body, date);
                connection.write_body(out, b"hello").expect("no length");
                connection.write_end(out, None).expect("no length");
            }
            Event::Body(_) => {}
            event => panic!("{event:?}"),
        }
    }
}

#[test]
fn small_request_and_response_do_not_allocate() {
    let stream = b"GET /users/7?full HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\nCookie: a=b\r\n\r\n\
        DELETE /users/8 HTTP/1.1\r\nHost: example.org\r\nX-Token: 0123456789abcdef\r\n\r\n\
        POST /users HTTP/1.1\r\nHost: example.org\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde\
        PUT /users/9 HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nabcde\r\n0\r\n\r\n\
        PROPFIND /users HTTP/1.1\r\nHost: example.org\r\n\r\n";
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::SERVER, HeaderValue::from_static("conduit"));
    let (mut head, mut out) = (Head::new(), Vec::new());

    let first = allocations(|| serve(stream, &mut head, &mut out, &headers));
    assert!(first > 0, "the counter does not count");
    out.clear();
    let steady = allocations(|| {
        for _ in 0..100 {
            serve(stream, &mut head, &mut out, &headers);
            out.clear();
        }
    });
    assert_eq!(steady, 0);
}

/// HEADERS of a `GET /` with a field for the dynamic table, and of a `POST` with a body, on these streams.
fn h2_requests(get: u32, post: u32) -> Vec<u8> {
    let field = format!("a{}", (b'a' + (get % 23) as u8) as char);
    let fields = |method: u8| {
        [
            &[method, 0x84, 0x87, 0x41, 1, b'a', 0x40, 1, b'x', 2][..],
            field.as_bytes(),
        ]
        .concat()
    };
    let mut frames = Vec::new();
    push(&mut frames, 1, 5, get, &fields(0x82));
    push(&mut frames, 1, 4, post, &fields(0x83));
    push(&mut frames, 0, 1, post, b"hello");
    push(&mut frames, 8, 0, 0, &10_u32.to_be_bytes());
    frames
}

#[test]
fn small_http_2_requests_do_not_allocate() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(header::SERVER, HeaderValue::from_static("conduit"));
    headers.insert("x-app", HeaderValue::from_static("a"));
    let (mut head, mut out) = (Head::new(), Vec::new());
    let mut connection = h2::Http2Connection::new(&h2::Http2Limits::default(), &mut out);
    small_requests::serve(&mut connection, OPENING, &mut head, &mut out, &headers, b"hello");

    let inputs: Vec<_> = (0..2000)
        .map(|index| h2_requests(1 + 4 * index, 3 + 4 * index))
        .collect();
    let (first, rest) = inputs.split_at(1000);
    let warm_up = allocations(|| {
        for input in first {
            small_requests::serve(&mut connection, input, &mut head, &mut out, &headers, b"hello");
            out.clear();
        }
    });
    assert!(warm_up > 0, "the counter does not count");
    let steady = allocations(|| {
        for input in rest {
            small_requests::serve(&mut connection, input, &mut head, &mut out, &headers, b"hello");
            out.clear();
        }
    });
    assert_eq!(steady, 0);
}

#[test]
fn date_does_not_allocate() {
    let count = allocations(|| {
        std::hint::black_box(http_date(784_111_777));
    });
    assert_eq!(count, 0);
}

#[test]
fn header_map_shares_one_buffer() {
    let head_of = |fields: &str| {
        let stream = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}Cookie: a=b\r\nReferer: c\r\n\r\n");
        let mut head = Head::new();
        let found = Connection::new().handle_input(stream.as_bytes(), &mut head, &Limits::default());
        assert!(matches!(found, Ok((_, Event::Request))));
        head
    };
    let head = head_of("Accept: */*\r\n");
    // A thread keeps the names of its first map.
    drop(head.header_map());
    let count = allocations(|| drop(head.header_map()));
    assert!(count <= 3, "{count} allocations: the buffer, and two of the map");

    let other = head_of(&format!("User-Agent: {}\r\n", "x".repeat(300)));
    let count = allocations(|| drop(other.header_map()));
    assert!(
        count <= 4,
        "{count} allocations for other names and more bytes: the buffer and its owner, and two of the map"
    );
}

#[cfg(feature = "ws")]
#[test]
fn a_message_allocates_only_the_buffer_of_the_caller() {
    use conduit_proto::ws::{Codecs, WebSocketConnection, WebSocketEvent, WebSocketLimits};

    // Two texts and a ping, with a mask of zeros.
    let input = b"\x81\x85\0\0\0\0Hello\x89\x82\0\0\0\0hi\x81\x85\0\0\0\0Hello";
    let mut connection = WebSocketConnection::new(WebSocketLimits::default(), None);
    let (mut codecs, mut out) = (Codecs::new(), Vec::with_capacity(1024));
    let mut serve = || {
        out.clear();
        let mut at = 0;
        loop {
            let step = connection.handle_input(&input[at..], &mut codecs, &mut out);
            let (used, event) = step.expect("valid frames");
            at += used;
            match event {
                WebSocketEvent::Text(text) => {
                    connection.write_text(&text, &mut codecs, &mut out);
                }
                WebSocketEvent::NeedMore => break,
                event => assert_eq!(event, WebSocketEvent::Ping),
            }
        }
        assert_eq!(out, b"\x81\x05Hello\x8a\x02hi\x81\x05Hello");
    };
    for _ in 0..100 {
        assert_eq!(allocations(&mut serve), 2);
    }
}
