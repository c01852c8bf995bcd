//! Conversions between bodies of this crate and of `http_body`, on one thread and across threads.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

use crate::body::{Body, BodyError, BodyKind, BoxError, PieceStream, causes};
use crate::pool::Buffer;
use crate::problem::Problem;

/// A body that may leave its worker's thread: of a request to a service, or of a response of an `AppService`.
///
/// Bytes in memory are passed unchanged, and so is the body of a request that has arrived. A task on the worker hands a
/// stream over piece by piece, starting with the first poll, and each after the previous one was taken. Dropping this end ends
/// the task and the stream.
pub struct SendBody {
    pieces: SendPieces,
    /// The problem that it displays: converting it back to this library's body restores the problem.
    problem: Option<Box<Problem>>,
    /// Keeps the application's threads alive, which produce the pieces of a response.
    threads: Option<Arc<dyn Any + Send + Sync>>,
}

enum SendPieces {
    Memory(Bytes),
    Stream {
        pieces: mpsc::Receiver<Piece>,
        /// Starts the task.
        begin: Option<oneshot::Sender<()>>,
        /// The number of remaining bytes, if known.
        left: Option<u64>,
    },
    Ended,
}

/// Messages of a stream's task. They include the end, because a task that ends with its runtime does not send it.
enum Piece {
    Data(Bytes),
    Failed(BodyError),
    End(Option<HeaderMap>),
}

impl SendBody {
    /// Converts a body; call it on the worker's thread.
    pub fn new(body: Body) -> Self {
        let mut body = body;
        let left = body.len();
        let mut problem = None;
        if let BodyKind::Incoming(incoming) = &mut body.0
            && let Some(whole) = incoming.take_whole()
        {
            body = Body(BodyKind::Buffer(whole));
        }
        let bytes = match body.0 {
            BodyKind::Empty => Bytes::new(),
            BodyKind::Static(bytes) => Bytes::from_static(bytes),
            BodyKind::Bytes(bytes) => bytes,
            BodyKind::Buffer(buffer) => Bytes::from(buffer),
            BodyKind::Presented(value, buffer) => {
                problem = value.downcast().ok();
                Bytes::from(buffer.into_vec())
            }
            kind => {
                let (sender, pieces) = mpsc::channel(1);
                let (begin, begun) = oneshot::channel();
                tokio::task::spawn_local(hand_over(Body(kind), begun, sender));
                let begin = Some(begin);
                return SendBody {
                    pieces: SendPieces::Stream { pieces, begin, left },
                    problem,
                    threads: None,
                };
            }
        };
        SendBody {
            pieces: SendPieces::Memory(bytes),
            problem,
            threads: None,
        }
    }

    /// Keeps the threads until the stream has ended, or is dropped; a body in memory needs none.
    pub fn keep<T: Any + Send + Sync>(&mut self, threads: &Arc<T>) {
        let threads = || Arc::clone(threads) as Arc<dyn Any + Send + Sync>;
        self.threads = matches!(self.pieces, SendPieces::Stream { .. }).then(threads);
    }

    fn poll_next_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.pieces {
            SendPieces::Ended => Poll::Ready(None),
            SendPieces::Memory(bytes) => {
                let bytes = std::mem::take(bytes);
                self.pieces = SendPieces::Ended;
                Poll::Ready((!bytes.is_empty()).then_some(Ok(Frame::data(bytes))))
            }
            SendPieces::Stream { pieces, begin, left } => {
                if let Some(begin) = begin.take() {
                    // A task that ended with its runtime is detected below.
                    let _ = begin.send(());
                }
                let last = match std::task::ready!(pieces.poll_recv(context)) {
                    Some(Piece::Data(bytes)) => {
                        if let Some(left) = left {
                            *left = left.saturating_sub(bytes.len() as u64);
                        }
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                    Some(Piece::Failed(error)) => Some(Err(error)),
                    Some(Piece::End(trailers)) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
                    None => Some(Err(BodyError::Incomplete)),
                };
                self.pieces = SendPieces::Ended;
                self.threads = None;
                Poll::Ready(last)
            }
        }
    }
}

/// Hands a stream over, a piece at a time, until it has ended or its receiver is dropped.
async fn hand_over(mut body: Body, begun: oneshot::Receiver<()>, sender: mpsc::Sender<Piece>) {
    if begun.await.is_err() {
        return;
    }
    loop {
        let Ok(room) = sender.reserve().await else { return };
        let mut closed = pin!(sender.closed());
        let next = poll_fn(|context| {
            if closed.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            // The application's stream may panic. It is then dropped and never polled again.
            let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut body).poll_next(context)));
            match polled {
                Ok(next) => next.map(Some),
                Err(_) => Poll::Ready(Some(Some(Err(BodyError::Stream(
                    "the stream of a body panicked".into(),
                ))))),
            }
        });
        match next.await {
            None => return,
            Some(None) => return room.send(Piece::End(body.trailers())),
            Some(Some(Err(error))) => return room.send(Piece::Failed(error)),
            Some(Some(Ok(piece))) => room.send(Piece::Data(piece)),
        }
    }
}

/// A body without bytes.
impl Default for SendBody {
    fn default() -> Self {
        SendBody {
            pieces: SendPieces::Ended,
            problem: None,
            threads: None,
        }
    }
}

impl fmt::Debug for SendBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendBody")
    }
}

impl http_body::Body for SendBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_next_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        match &self.pieces {
            SendPieces::Memory(bytes) => bytes.is_empty(),
            SendPieces::Stream { .. } => false,
            SendPieces::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.pieces {
            SendPieces::Memory(bytes) => SizeHint::with_exact(bytes.len() as u64),
            SendPieces::Stream { left, .. } => left.map_or_else(SizeHint::default, SizeHint::with_exact),
            SendPieces::Ended => SizeHint::with_exact(0),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(piece) = std::task::ready!(self.as_mut().poll_next(context)) {
            return Poll::Ready(Some(piece.map(Frame::data)));
        }
        let trailers = self.trailers();
        // Nothing follows: a stream that has ended is not polled again.
        self.0 = BodyKind::Empty;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.len().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Body {
    /// Converts a body of another library, with its trailer fields. Needs the feature `tower`.
    pub fn from_http_body<B>(body: B) -> Self
    where
        B: http_body::Body<Error: Into<BoxError>> + 'static,
    {
        let mut frames = match Frames::of(body, |error| error) {
            Ok(frames) => frames,
            Err(own) => return own,
        };
        let length = frames.body.size_hint().exact();
        // Most bodies are one piece in memory: sent with its length, and without a task.
        if length.is_some() {
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(&mut frames).poll_piece(&mut context) {
                Poll::Ready(Some(Ok(piece))) if length == Some(piece.len() as u64) && frames.body.is_end_stream() => {
                    return Body::from(piece);
                }
                Poll::Ready(first) => frames.first = first,
                Poll::Pending => {}
            }
        }
        Body::from_pieces(frames)
    }

    /// Converts the body of a request from another library. It is not polled before it is read: a client may delay
    /// it until then (RFC 9110, section 10.1.1). Its errors are the client's.
    pub fn of_request<B>(body: B) -> Self
    where
        B: http_body::Body<Error: Into<BoxError>> + 'static,
    {
        let frames = match Frames::of(body, |error| Box::new(BodyError::of_request(error))) {
            Ok(frames) => frames,
            Err(own) => return own,
        };
        let length = frames.body.size_hint().exact();
        Body(BodyKind::Stream(Box::pin(frames), length))
    }
}

/// Returns a body of this crate that passed through a layer unchanged, or an empty body.
fn own_or_empty<B: http_body::Body + 'static>(body: B) -> Result<Body, B> {
    let mut body = Some(body);
    if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Body>>() {
        return Ok(own.take().unwrap_or_default());
    }
    if let Some(Some(sent)) = (&mut body as &mut dyn Any).downcast_mut::<Option<SendBody>>()
        && let SendPieces::Memory(bytes) = &sent.pieces
        && let Some(problem) = sent.problem.take()
    {
        return Ok(Body(BodyKind::Presented(problem, Buffer::from(bytes.to_vec()))));
    }
    match body.filter(|body| !body.is_end_stream()) {
        Some(body) => Err(body),
        None => Ok(Body::empty()),
    }
}

impl BodyError {
    /// Converts an error of another library about a request's body, which may wrap an error of this crate.
    fn of_request(error: BoxError) -> Self {
        let error = match error.downcast() {
            Ok(own) => return *own,
            Err(error) => error,
        };
        let own = causes(&*error)
            .filter_map(|cause| cause.downcast_ref())
            .find(|own| !matches!(own, BodyError::Unreadable(_)));
        match own {
            Some(&BodyError::TooLarge { limit_bytes }) => BodyError::TooLarge { limit_bytes },
            Some(BodyError::Incomplete) => BodyError::Incomplete,
            Some(BodyError::OutOfMemory) => BodyError::OutOfMemory,
            Some(&BodyError::Malformed { coding }) => BodyError::Malformed { coding },
            Some(BodyError::Stream(_)) => BodyError::Stream(error),
            Some(BodyError::Unreadable(_)) | None => BodyError::Unreadable(error),
        }
    }
}

/// The data and the trailer fields of a body's frames.
struct Frames<B> {
    /// The bytes that were read before.
    first: Option<Result<Bytes, BoxError>>,
    body: Pin<Box<B>>,
    trailers: Option<HeaderMap>,
    /// The mapping of its errors.
    map_error: fn(BoxError) -> BoxError,
}

impl<B: http_body::Body + 'static> Frames<B> {
    /// Returns the frames of a body; `Err` has the converted body if it is one of this crate or empty.
    fn of(body: B, map_error: fn(BoxError) -> BoxError) -> Result<Self, Body> {
        match own_or_empty(body) {
            Ok(own) => Err(own),
            Err(body) => Ok(Frames {
                first: None,
                body: Box::pin(body),
                trailers: None,
                map_error,
            }),
        }
    }
}

impl<B: http_body::Body<Error: Into<BoxError>>> PieceStream for Frames<B> {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if self.trailers.is_some() {
            return Poll::Ready(None);
        }
        loop {
            let frame = match std::task::ready!(self.body.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err((self.map_error)(error.into())))),
                None => return Poll::Ready(None),
            };
            match frame.into_data() {
                Ok(mut data) => {
                    let length = data.remaining();
                    return Poll::Ready(Some(Ok(data.copy_to_bytes(length))));
                }
                // They are the last frame: a body need not be ready for another poll.
                Err(frame) => {
                    self.trailers = frame.into_trailers().ok();
                    if self.trailers.is_some() {
                        return Poll::Ready(None);
                    }
                }
            }
        }
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        self.trailers.clone()
    }
}
