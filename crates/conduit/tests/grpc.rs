//! A service of `tonic` next to routes, on one port: gRPC over HTTP/2, with the client of Google as the judge.

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::future::Future;
use std::path::Path as FilePath;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};

use bytes::{Buf as _, BufMut as _};
use conduit::prelude::*;
use conduit::tower::SendBody;
use futures_core::Stream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, StreamingService, UnaryService};
use tonic::{Request as Call, Response as Reply, Status, Streaming};
use tower::Service;

const GRPCIO: &str = "grpcio==1.85.3";

/// Messages are bytes as they are; a generated service has the codec of its messages.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Plain;
    type Decoder = Plain;

    fn encoder(&mut self) -> Plain {
        Plain
    }

    fn decoder(&mut self) -> Plain {
        Plain
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length).to_vec()))
    }
}

/// Returns each message, as its methods have it.
#[derive(Clone, Copy)]
struct Echo;

struct Unary;

impl UnaryService<Vec<u8>> for Unary {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<Reply<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: Call<Vec<u8>>) -> Self::Future {
        Box::pin(async move {
            let message = request.into_inner();
            if message == b"fail" {
                return Err(Status::invalid_argument("on purpose"));
            }
            Ok(Reply::new(message))
        })
    }
}

struct Both;

impl StreamingService<Vec<u8>> for Both {
    type Response = Vec<u8>;
    type ResponseStream = Messages;
    type Future = Pin<Box<dyn Future<Output = Result<Reply<Messages>, Status>> + Send>>;

    fn call(&mut self, request: Call<Streaming<Vec<u8>>>) -> Self::Future {
        Box::pin(async move { Ok(Reply::new(Messages(request.into_inner()))) })
    }
}

/// The messages of a client, and an error after one that is `fail`.
struct Messages(Streaming<Vec<u8>>);

impl Stream for Messages {
    type Item = Result<Vec<u8>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = std::task::ready!(Pin::new(&mut self.0).poll_next(context));
        Poll::Ready(match next {
            Some(Ok(message)) if message == b"fail" => Some(Err(Status::aborted("on purpose"))),
            next => next,
        })
    }
}

impl Service<http::Request<SendBody>> for Echo {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<SendBody>) -> Self::Future {
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/test.Echo/Unary" => Grpc::new(Plain).unary(Unary, request).await,
                "/test.Echo/Both" => Grpc::new(Plain).streaming(Both, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

#[get("/rest")]
fn rest() -> &'static str {
    "rest"
}

const CLIENT: &str = r#"
import sys, grpc
plain = dict(request_serializer=bytes, response_deserializer=bytes)
with grpc.insecure_channel(sys.argv[1]) as channel:
    unary = channel.unary_unary("/test.Echo/Unary", **plain)
    both = channel.stream_stream("/test.Echo/Both", **plain)
    assert unary(b"") == b""
    for length in [1, 1000, 100_000, 3_000_000]:
        assert unary(b"m" * length, timeout=60) == b"m" * length
    calls = [unary.future(b"%d" % index) for index in range(200)]
    assert [call.result() for call in calls] == [b"%d" % index for index in range(200)]
    # A response of trailers only.
    try:
        unary(b"fail")
        assert False
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert error.details() == "on purpose", error
    try:
        channel.unary_unary("/test.Echo/Missing", **plain)(b"")
        assert False
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    # Messages in both directions, one after the other.
    import queue
    messages = queue.Queue()
    replies = both(iter(messages.get, None))
    for index in range(100):
        messages.put(b"%d" % index)
        assert next(replies) == b"%d" % index
    messages.put(None)
    assert list(replies) == []
    assert replies.code() == grpc.StatusCode.OK
    assert len(list(both(iter([b"x" * 10_000] * 1000)))) == 1000
    replies = both(iter([b"first", b"fail", b"last"]))
    assert next(replies) == b"first"
    try:
        assert False, next(replies)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.ABORTED, error
    # A deadline of the client ends the call, and the connection continues.
    try:
        next(both(iter(queue.Queue().get, None), timeout=0.2))
        assert False
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert unary(b"last") == b"last"
"#;

#[test]
fn a_service_of_tonic_is_served_next_to_routes() {
    let echo = conduit::tower::service(Echo);
    let app = App::new(())
        .routes(routes![rest])
        .body_limit(16 * 1024 * 1024)
        .fallback(echo);
    let server = support::serve(app);
    assert_eq!(server.get("/rest").body, b"rest");
    let Some(python) = grpcio() else { return };
    let output = Command::new(python)
        .args(["-c", CLIENT, &server.address.to_string()])
        .output()
        .expect("the client runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

/// The Python of an environment below the target directory that has grpcio; `None` where it cannot be made, but never in CI.
fn grpcio() -> Option<std::path::PathBuf> {
    let folder = FilePath::new(env!("CARGO_TARGET_TMPDIR")).join("grpcio");
    let python = folder.join("bin/python");
    let run = |program: &FilePath, arguments: &[&str]| Command::new(program).args(arguments).output();
    let is_there = || run(&python, &["-c", "import grpc"]).is_ok_and(|output| output.status.success());
    if !is_there() {
        let made = run(FilePath::new("python3"), &["-m", "venv", &folder.to_string_lossy()])
            .and_then(|_| run(&python, &["-m", "pip", "install", "--quiet", GRPCIO]));
        if !made.is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "{GRPCIO} could not be installed");
            eprintln!("SKIPPED: {GRPCIO} could not be installed");
            return None;
        }
    }
    Some(python)
}
