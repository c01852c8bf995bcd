//! The `h2` crate as the client of an echo server: its encoder against our decoder, our encoder against its decoder,
//! and flow control in both directions, with random requests, windows and table sizes.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use conduit_proto::h1::{BodyLength, Head};
use conduit_proto::h2::{Http2Connection, Http2Event, Http2Limits, StreamId};
use conduit_proto::http_date;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

/// A request and its response.
#[derive(Debug, Clone)]
struct ExchangedMessage {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// The settings of the client.
#[derive(Debug, Clone)]
struct Client {
    window: u32,
    connection_window: u32,
    table: u32,
    frame: u32,
    /// The capacity of the pipe in bytes.
    pipe: usize,
}

/// An exchange of the server.
struct Echo {
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
    sent: usize,
}

/// Responds to each request with its fields, body and trailers, in the order that the engine selects.
async fn serve(mut io: DuplexStream, limits: Http2Limits) {
    let (mut head, mut output) = (Head::new(), Vec::new());
    let mut connection = Http2Connection::new(&limits, &mut output);
    let mut echoes: HashMap<StreamId, Echo> = HashMap::new();
    let (mut pending, mut buffer) = (Vec::new(), [0; 5000]);
    loop {
        if !output.is_empty() {
            io.write_all(&output).await.unwrap();
            output.clear();
        }
        let Ok(received @ 1..) = io.read(&mut buffer).await else {
            return;
        };
        pending.extend_from_slice(&buffer[..received]);
        let mut at = 0;
        loop {
            let step = connection.handle_input(&pending[at..], &mut head, &mut output, Duration::ZERO);
            let (used, event) = step.expect("a client without faults");
            at += used;
            match event {
                Http2Event::NeedMore => break,
                Http2Event::Request(id) => {
                    assert_eq!(head.authority(), Some("example.org"));
                    let mut headers = head.header_map();
                    headers.insert("x-method", head.method().as_str().parse().unwrap());
                    headers.insert("x-target", head.target().parse().unwrap());
                    let echo = Echo {
                        headers,
                        body: Vec::new(),
                        trailers: None,
                        sent: 0,
                    };
                    echoes.insert(id, echo);
                    if head.body() == BodyLength::None {
                        begin(&mut connection, &mut output, &mut echoes, id);
                    }
                }
                Http2Event::Body(id, piece) => {
                    echoes.get_mut(&id).unwrap().body.extend_from_slice(piece);
                    connection.consumed(&mut output, id, piece.len());
                }
                Http2Event::End(id, trailers) => {
                    echoes.get_mut(&id).unwrap().trailers = trailers.map(|trailers| *trailers);
                    begin(&mut connection, &mut output, &mut echoes, id);
                }
                other => panic!("{other:?}"),
            }
        }
        pending.drain(..at);
        while let Some(id) = connection.next_pending() {
            send(&mut connection, &mut output, &mut echoes, id);
        }
    }
}

/// Starts the response to a complete request.
fn begin(connection: &mut Http2Connection, output: &mut Vec<u8>, echoes: &mut HashMap<StreamId, Echo>, id: StreamId) {
    let echo = &echoes[&id];
    let length = match echo.trailers {
        Some(_) => BodyLength::Chunked,
        None => BodyLength::Exact(echo.body.len() as u64),
    };
    connection.write_head(output, id, StatusCode::OK, &echo.headers, length, &http_date(0));
    if echo.body.is_empty() || !connection.wants_body(id) {
        connection.write_end(output, id, echo.trailers.as_ref()).unwrap();
        echoes.remove(&id);
    } else {
        connection.set_pending(id, true);
    }
}

/// Sends a piece of a response.
fn send(connection: &mut Http2Connection, output: &mut Vec<u8>, echoes: &mut HashMap<StreamId, Echo>, id: StreamId) {
    let echo = echoes.get_mut(&id).unwrap();
    let rest = &echo.body[echo.sent..];
    let piece = &rest[..rest.len().min(10_000)];
    let is_last = piece.len() == rest.len() && echo.trailers.is_none();
    let taken = connection.write_body(output, id, piece, is_last).unwrap();
    assert!(taken > 0, "a stream without a window is chosen");
    echo.sent += taken;
    if echo.sent == echo.body.len() {
        if echo.trailers.is_some() {
            connection.write_end(output, id, echo.trailers.as_ref()).unwrap();
        }
        assert!(!connection.is_open(id));
        echoes.remove(&id);
    }
}

/// Sends all messages at once, and compares each response.
async fn exchange(io: DuplexStream, client: &Client, messages: &[ExchangedMessage]) {
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(client.window)
        .initial_connection_window_size(client.connection_window)
        .header_table_size(client.table)
        .max_frame_size(client.frame)
        .enable_push(false)
        .handshake::<_, Bytes>(io)
        .await
        .unwrap();
    let connection = tokio::task::spawn_local(connection);
    let mut responses = Vec::new();
    for message in messages {
        let mut sender = sender.clone().ready().await.unwrap();
        let mut request = Request::builder()
            .method(message.method.clone())
            .version(Version::HTTP_2)
            .uri(format!("https://example.org{}", message.path))
            .body(())
            .unwrap();
        *request.headers_mut() = message.headers.clone();
        let has_body = !message.body.is_empty() || message.trailers.is_some();
        let (response, mut stream) = sender.send_request(request, !has_body).unwrap();
        if has_body {
            stream
                .send_data(message.body.clone().into(), message.trailers.is_none())
                .unwrap();
        }
        if let Some(trailers) = &message.trailers {
            stream.send_trailers(trailers.clone()).unwrap();
        }
        let message = message.clone();
        responses.push(tokio::task::spawn_local(async move {
            let response = response.await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            let (head, mut body) = response.into_parts();
            check_fields(&message, head.headers);
            let mut bytes = Vec::new();
            while let Some(piece) = body.data().await {
                let piece = piece.unwrap();
                bytes.extend_from_slice(&piece);
                body.flow_control().release_capacity(piece.len()).unwrap();
            }
            if message.method == Method::HEAD {
                assert!(bytes.is_empty());
                return;
            }
            assert!(bytes == message.body, "{} of {} bytes", bytes.len(), message.body.len());
            let trailers = body.trailers().await.unwrap();
            assert_eq!(
                sorted(&trailers.unwrap_or_default()),
                sorted(&message.trailers.unwrap_or_default())
            );
        }));
    }
    for response in responses {
        response.await.unwrap();
    }
    connection.abort();
}

fn check_fields(message: &ExchangedMessage, mut fields: HeaderMap) {
    assert_eq!(fields.remove("x-method").unwrap(), message.method.as_str());
    assert_eq!(fields.remove("x-target").unwrap(), message.path);
    fields.remove("content-length");
    if !message.headers.contains_key("date") {
        fields.remove("date");
    }
    assert_eq!(sorted(&fields), sorted(&message.headers));
}

/// The fields sorted by name; fields of one name keep their order.
fn sorted(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> = map
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

fn headers(allowed: usize) -> impl Strategy<Value = HeaderMap> {
    let name = prop_oneof![
        Just("accept".to_owned()),
        Just("user-agent".to_owned()),
        Just("cookie".to_owned()),
        Just("date".to_owned()),
        Just("priority".to_owned()),
        "x-[a-z0-9-]{0,20}",
    ];
    let value = prop_oneof![
        Just(b"text/plain".to_vec()),
        Just(b"u=1, i".to_vec()),
        Just(Vec::new()),
        "[!-~]{1,300}".prop_map(String::into_bytes),
        prop::collection::vec(0x80_u8.., 1..20),
    ];
    prop::collection::vec((name, value), 0..allowed).prop_map(|fields| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            let name = name.parse::<HeaderName>().unwrap();
            let value = HeaderValue::from_bytes(&value).unwrap();
            // The parts of a cookie are joined, and a date of the caller replaces the engine's.
            if name == "cookie" || name == "date" {
                map.insert(name, value);
            } else {
                map.append(name, value);
            }
        }
        map
    })
}

fn trailers() -> impl Strategy<Value = HeaderMap> {
    let fields = prop::collection::vec(("x-[a-z0-9-]{0,20}", "[!-~]{0,100}"), 1..4);
    fields.prop_map(|fields| {
        let field = |(name, value): (String, String)| (name.parse().unwrap(), value.parse().unwrap());
        fields.into_iter().map(field).collect::<HeaderMap>()
    })
}

fn message() -> impl Strategy<Value = ExchangedMessage> {
    let method = prop::sample::select(vec![Method::GET, Method::POST, Method::PUT, Method::HEAD]);
    let body = prop_oneof![Just(0), 1_usize..100, 1_usize..200_000];
    let message = (
        method,
        "/[a-z0-9/%-]{0,30}(\\?[a-z=&]{0,20})?",
        headers(12),
        body,
        prop::option::of(trailers()),
    );
    message.prop_map(|(method, path, headers, length, trailers)| ExchangedMessage {
        path: path.replace('%', "%20"),
        headers,
        body: (0..length).map(|at| (at % 251) as u8).collect(),
        trailers,
        method,
    })
}

/// Client settings. With much smaller windows, the WINDOW_UPDATE frames would be a flood.
fn client() -> impl Strategy<Value = Client> {
    let client = (
        4096_u32..200_000,
        65_535_u32..300_000,
        0_u32..10_000,
        16_384_u32..100_000,
        64_usize..100_000,
    );
    client.prop_map(|(window, connection_window, table, frame, pipe)| Client {
        window,
        connection_window,
        table,
        frame,
        pipe,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn h2_client_receives_its_echoes(client in client(), messages in prop::collection::vec(message(), 1..20)) {
        let runtime = Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (near, far) = tokio::io::duplex(client.pipe);
            let server = tokio::task::spawn_local(serve(far, Http2Limits::default()));
            exchange(near, &client, &messages).await;
            server.await.unwrap();
        });
    }
}
