//! A service of `tonic` next to routes, on one port: gRPC over HTTP/2, with the clients of Google and of tonic.

#[path = "support/judges.rs"]
mod judges;
#[path = "support/packages.rs"]
mod packages;
#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::future::{Future, Ready};
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use conduit::prelude::*;
use conduit::tower::SendBody;
use futures_core::Stream;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, ServerStreamingService, StreamingService, UnaryService};
use tonic::{Code, Request as Call, Response as Reply, Status, Streaming};
use tower::{Service, ServiceExt};

/// Messages are raw bytes; a generated service has the codec of its messages.
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

/// The number of calls of the method `Never` that have not ended.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Counts a call until its drop.
struct Alive;

impl Alive {
    fn enter() -> Self {
        CALLS.fetch_add(1, SeqCst);
        Alive
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        CALLS.fetch_sub(1, SeqCst);
    }
}

/// Echoes messages, with a method for each kind of call.
#[derive(Clone, Copy)]
struct Echo;

/// Never responds.
struct Never;

impl UnaryService<Vec<u8>> for Never {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<Reply<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, _: Call<Vec<u8>>) -> Self::Future {
        Box::pin(async move {
            let _alive = Alive::enter();
            std::future::pending().await
        })
    }
}

/// Returns the message, and never ends.
struct Endless;

impl ServerStreamingService<Vec<u8>> for Endless {
    type Response = Vec<u8>;
    type ResponseStream = One;
    type Future = Ready<Result<Reply<One>, Status>>;

    fn call(&mut self, request: Call<Vec<u8>>) -> Self::Future {
        let stream = One(Some(request.into_inner()), Alive::enter());
        std::future::ready(Ok(Reply::new(stream)))
    }
}

struct One(Option<Vec<u8>>, Alive);

impl Stream for One {
    type Item = Result<Vec<u8>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.take() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None => Poll::Pending,
        }
    }
}

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

/// The messages of a client, and an error after the message `fail`.
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
                "/test.Echo/Never" => Grpc::new(Plain).unary(Never, request).await,
                "/test.Echo/Endless" => Grpc::new(Plain).server_streaming(Endless, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

#[get("/rest")]
fn rest() -> &'static str {
    "rest"
}

/// The number of calls of methods that never end.
#[get("/calls")]
fn calls() -> String {
    CALLS.load(SeqCst).to_string()
}

fn app() -> App<(), Routes<()>> {
    App::new(())
        .routes(routes![rest, calls])
        .body_limit(16 * 1024 * 1024)
        .fallback(conduit::tower::service(Echo))
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
    # The service enforces the deadline too: its methods that never end are dropped.
    for index in range(10):
        try:
            channel.unary_unary("/test.Echo/Never", **plain)(b"", timeout=0.1)
            assert False
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    import urllib.request
    calls = lambda: urllib.request.urlopen(f"http://{sys.argv[1]}/calls").read()
    while calls() != b"0":
        pass
"#;

/// The client of tonic leaves the enforcement of its deadline to the server. The clock advances only while all tasks wait.
#[test]
fn a_deadline_ends_a_call_before_and_after_its_response_begins() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let service = app().into_local_service().expect("a service");
        let service = ServiceExt::<http::Request<tonic::body::Body>>::map_response(service, |response: Response| {
            response.map(SendBody::new)
        });
        let mut client = tonic::client::Grpc::with_origin(service, "http://localhost".parse().expect("an address"));
        let path = |method| format!("/test.Echo/{method}").parse().expect("a path");
        let call = || {
            let mut call = Call::new(b"message".to_vec());
            call.set_timeout(Duration::from_secs(60));
            call
        };
        let reply = client.unary(call(), path("Unary"), Plain).await;
        assert_eq!(reply.expect("a reply").into_inner(), b"message");
        let error = client.unary(call(), path("Never"), Plain).await;
        assert_eq!(error.expect_err("the deadline").code(), Code::DeadlineExceeded);
        let replies = client.server_streaming(call(), path("Endless"), Plain).await;
        let mut replies = replies.expect("a response").into_inner();
        let first = replies.message().await.expect("a message");
        assert_eq!(first.expect("not the end"), b"message");
        let error = replies.message().await;
        assert_eq!(error.expect_err("the deadline").code(), Code::DeadlineExceeded);
    });
}

#[test]
fn a_service_of_tonic_is_served_next_to_routes() {
    let server = support::serve(app());
    assert_eq!(server.get("/rest").body, b"rest");
    let Some(folder) = packages::installed("grpcio") else {
        return;
    };
    let output = Command::new(folder.join("bin/python"))
        .args(["-c", CLIENT, &server.address.to_string()])
        .output();
    judges::assert_success(&output.expect("the client runs"));
}
