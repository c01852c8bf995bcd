//! The fast path for a common response and the general one write the same bytes.

use conduit_proto::h2::Http2Limits;
use conduit_proto::http_date;
use http::header::{CONTENT_TYPE, SERVER};
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;

use crate::drive::Server;
use crate::frames::{pseudo, request, reset, settings, window_update};

const TYPES: [&str; 5] = [
    "text/plain; charset=utf-8",
    "application/json",
    "text/html; charset=utf-8",
    "text/html",
    "image/png",
];

/// A response, or a change of the connection before it.
#[derive(Debug, Clone)]
struct ResponseStep {
    method: &'static str,
    content_type: usize,
    /// Another field, which only the general path writes.
    server: Option<u8>,
    body: Vec<u8>,
    second: u64,
    table_size: Option<u32>,
}

fn exchange() -> impl Strategy<Value = ResponseStep> {
    let method = prop_oneof![8 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST")];
    let length = prop_oneof![
        0..4_usize,
        8..12_usize,
        98..102_usize,
        998..1002_usize,
        9_998..10_002_usize,
        16_380..16_390_usize
    ];
    let table_size =
        prop_oneof![12 => Just(None), 1 => Just(Some(0)), 1 => (0..200_u32).prop_map(Some), 1 => Just(Some(4096))];
    let fields = (
        0..TYPES.len(),
        prop_oneof![3 => Just(None), 1 => any::<u8>().prop_map(Some)],
    );
    (method, fields, length, 0..3_u64, table_size).prop_map(
        |(method, (content_type, server), length, second, table_size)| ResponseStep {
            method,
            content_type,
            server,
            body: vec![b'b'; length],
            second,
            table_size,
        },
    )
}

/// The output of a server with these responses, on the fast path if `short` is set, and the number of responses on the fast path.
fn output(exchanges: &[ResponseStep], short: bool) -> (Vec<u8>, usize) {
    let mut server = Server::open(&Http2Limits::default());
    server.receive(&settings(&[(4, 20_000)]));
    server.receive(&window_update(0, 1 << 30));
    let mut count = 0;
    for (index, exchange) in exchanges.iter().enumerate() {
        if let Some(size) = exchange.table_size {
            server.receive(&settings(&[(1, size)]));
        }
        let number = 1 + 2 * index as u32;
        server.receive(&request(number, &pseudo(exchange.method, "/hold")));
        let (id, date) = (server.stream(number), http_date(exchange.second));
        let content_type = TYPES[exchange.content_type];
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(name) = exchange.server {
            headers.insert(SERVER, HeaderValue::from(u16::from(name)));
        }
        let (connection, out) = (&mut server.connection, &mut server.output);
        let is_written = short
            && exchange.server.is_none()
            && connection.write_typed_response(out, id, content_type, &exchange.body, &date);
        if is_written {
            count += 1;
        } else {
            connection.write_response(out, id, StatusCode::OK, &headers, &exchange.body, &date);
        }
        // A response that is not complete ends here.
        server.receive(&reset(number, conduit_proto::h2::ErrorCode::CANCEL));
    }
    (server.output, count)
}

#[test]
fn common_responses_use_the_fast_path_from_the_second_one_on() {
    let exchange = ResponseStep {
        method: "GET",
        content_type: 0,
        server: None,
        body: b"body".to_vec(),
        second: 0,
        table_size: None,
    };
    assert_eq!(output(&vec![exchange; 5], true).1, 4);
}

proptest! {
    #[test]
    fn fast_and_general_responses_are_equal(exchanges in prop::collection::vec(exchange(), 0..40)) {
        prop_assert_eq!(output(&exchanges, true).0, output(&exchanges, false).0);
    }
}
