//! The body of an event stream: available events at once, comments while the stream is quiet, and the end.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::event::write_retry;
use crate::BoxError;
use crate::server::live::{LiveSignal, LiveStream};

/// A comment, which clients ignore.
const COMMENT: &[u8] = b":\n\n";
/// Events that are available at the same time are sent together, up to this number of bytes.
const PIECE_BYTES: usize = 16 * 1024;
/// The minimum time before clients reconnect after a shutdown, and the maximum random time added to it.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_JITTER_MILLIS: u64 = 4000;

/// The maximum interval between comments, about a century: its end is in the range of the clock.
const LONGEST_INTERVAL: Duration = Duration::from_secs(u32::MAX as u64);

pin_project! {
    /// The events of a source, which is a part of the body: an idle stream holds one block of memory for both.
    pub(super) struct EventBody<S> {
        #[pin]
        source: S,
        quiet: QuietTimer,
        phase: BodyPhase,
    }
}

/// The beginning and the end of the stream, in little memory.
enum BodyPhase {
    /// The first field, if the application has set it.
    Retry(Duration),
    Open,
    // The end, after the piece that is sent now.
    Failed(BoxError),
    Ended,
}

/// The signals of the worker, or a timer where the application is the service of another server.
enum QuietTimer {
    Worker(LiveStream),
    Own(Box<(Duration, Pin<Box<Sleep>>)>),
}

impl QuietTimer {
    fn new(interval: Duration) -> Self {
        match LiveStream::open(interval) {
            Some(live) => QuietTimer::Worker(live),
            None => QuietTimer::Own(Box::new((interval, Box::pin(sleep(interval))))),
        }
    }

    fn has_sent(&mut self) {
        match self {
            QuietTimer::Worker(live) => live.has_sent(),
            QuietTimer::Own(own) => own.1.as_mut().reset(Instant::now() + own.0),
        }
    }

    fn poll_signal(&mut self, context: &mut Context<'_>) -> Poll<LiveSignal> {
        match self {
            QuietTimer::Worker(live) => live.poll_signal(context),
            QuietTimer::Own(own) => own.1.as_mut().poll(context).map(|()| LiveSignal::Quiet),
        }
    }
}

impl<S: Stream<Item = Result<Bytes, BoxError>>> EventBody<S> {
    pub(super) fn new(source: S, keep_alive: Duration, retry: Option<Duration>) -> Self {
        EventBody {
            source,
            quiet: QuietTimer::new(keep_alive.min(LONGEST_INTERVAL)),
            phase: retry.map_or(BodyPhase::Open, BodyPhase::Retry),
        }
    }

    /// The available events, and the end if the stream has ended.
    fn take_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Piece {
        let mut this = self.project();
        let mut piece = Piece::Empty;
        if let BodyPhase::Retry(time) = *this.phase {
            *this.phase = BodyPhase::Open;
            piece.push(retry_field(time));
        }
        while piece.len() < PIECE_BYTES {
            match this.source.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(event))) => piece.push(event),
                Poll::Ready(Some(Err(error))) => {
                    *this.phase = BodyPhase::Failed(error);
                    break;
                }
                Poll::Ready(None) => {
                    *this.phase = BodyPhase::Ended;
                    break;
                }
                Poll::Pending => break,
            }
        }
        piece
    }
}

impl<S: Stream<Item = Result<Bytes, BoxError>>> Stream for EventBody<S> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let signal = self.as_mut().project().quiet.poll_signal(context);
        if let BodyPhase::Open | BodyPhase::Retry(_) = self.phase {
            if let Poll::Ready(LiveSignal::Closing) = signal {
                *self.project().phase = BodyPhase::Ended;
                // Clients that all connect again do so at different times.
                let random = RandomState::new().hash_one(0) % RETRY_JITTER_MILLIS;
                return Poll::Ready(Some(Ok(retry_field(RETRY + Duration::from_millis(random)))));
            }
            if let Some(piece) = self.as_mut().take_ready(context).into_bytes() {
                self.project().quiet.has_sent();
                return Poll::Ready(Some(Ok(piece)));
            }
        }
        let this = self.project();
        match std::mem::replace(this.phase, BodyPhase::Ended) {
            BodyPhase::Failed(error) => Poll::Ready(Some(Err(error))),
            BodyPhase::Ended => Poll::Ready(None),
            BodyPhase::Open | BodyPhase::Retry(_) => {
                *this.phase = BodyPhase::Open;
                if signal.is_pending() {
                    return Poll::Pending;
                }
                this.quiet.has_sent();
                Poll::Ready(Some(Ok(Bytes::from_static(COMMENT))))
            }
        }
    }
}

fn retry_field(time: Duration) -> Bytes {
    let mut field = Vec::new();
    write_retry(&mut field, time);
    field.push(b'\n');
    Bytes::from(field)
}

/// Events that are sent together. One alone is not copied.
enum Piece {
    Empty,
    One(Bytes),
    Many(Vec<u8>),
}

impl Piece {
    fn len(&self) -> usize {
        match self {
            Piece::Empty => 0,
            Piece::One(bytes) => bytes.len(),
            Piece::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, event: Bytes) {
        *self = match std::mem::replace(self, Piece::Empty) {
            Piece::Empty => Piece::One(event),
            Piece::One(first) => Piece::Many([&first[..], &event[..]].concat()),
            Piece::Many(mut bytes) => {
                bytes.extend_from_slice(&event);
                Piece::Many(bytes)
            }
        };
    }

    fn into_bytes(self) -> Option<Bytes> {
        match self {
            Piece::Empty => None,
            Piece::One(bytes) => Some(bytes),
            Piece::Many(bytes) => Some(bytes.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    struct Once(Option<Bytes>);

    impl Stream for Once {
        type Item = Result<Bytes, BoxError>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.take().map(Ok))
        }
    }

    #[tokio::test]
    async fn interval_of_comments_may_exceed_the_range_of_the_clock() {
        let source = Once(Some(Bytes::from_static(b"data: 1\n\n")));
        let mut body = EventBody::new(source, Duration::MAX, None);
        let piece = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await;
        assert_eq!(piece.expect("a piece").expect("no error"), "data: 1\n\n");
    }
}
