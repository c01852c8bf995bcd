//! The application of a run: each handler follows the plan of its exchange, and counts its parts that are alive.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use conduit::prelude::*;
use conduit::{BodyError, BoxError, Embedded, Files, Response, Tasks, embed};
use futures_core::Stream;
use tokio::sync::oneshot;

use crate::model::{Answer, Exchange, Piece, Reads, StreamEnd, TRAILER, content, digest, streamed_bytes};
use crate::run::Run;
use crate::start::Start;

/// The part of a run that its handlers share with the simulator.
#[derive(Clone, Default)]
pub(crate) struct World {
    pub(crate) start: Start,
    parts: Arc<Mutex<Parts>>,
}

#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) exchanges: Vec<Exchange>,
    /// For each exchange.
    pub(crate) activity: Vec<Activity>,
    /// Bytes that a handler or a task has read and its request does not have, and errors of bodies without a reason.
    pub(crate) violations: Vec<String>,
    /// The exchanges with a body that ended with an error for its reader while its handler ran, so that no response is its reason.
    pub(crate) aborted_bodies: Vec<usize>,
    /// Handlers, streams and tasks that wait for the simulator.
    pub(crate) gates: Vec<oneshot::Sender<()>>,
}

/// The parts of an exchange in the application.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Activity {
    pub(crate) started: usize,
    pub(crate) handlers: usize,
    pub(crate) streams: usize,
    pub(crate) tasks: usize,
    /// The server has received the whole body of the request while its handler ran.
    pub(crate) has_whole_body: bool,
}

impl World {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().expect("no panic under this lock")
    }

    fn gate(&self) -> oneshot::Receiver<()> {
        let (open, opened) = oneshot::channel();
        self.lock().gates.push(open);
        opened
    }

    fn enter(&self, id: usize, count: fn(&mut Activity) -> &mut usize) -> HandlerGuard {
        *count(&mut self.lock().activity[id]) += 1;
        HandlerGuard {
            world: self.clone(),
            id,
            count,
        }
    }
}

impl Parts {
    /// Compares the bytes that were read of a body, and its end: `None` if the reader has not read further.
    fn check_body(&mut self, id: usize, read: &[u8], end: Option<Result<(), BodyError>>) {
        let expected = content(id, self.exchanges[id].body_length());
        let is_right = match end {
            Some(Ok(())) => read == expected,
            _ => expected.starts_with(read),
        };
        if !is_right {
            let bytes = read.len();
            self.violations
                .push(format!("a reader of exchange {id} has {bytes} bytes that differ"));
        }
        let Some(Err(error)) = end else { return };
        let activity = self.activity[id];
        if activity.has_whole_body || !matches!(error, BodyError::Incomplete) {
            self.violations
                .push(format!("a reader of exchange {id} has an error: {error}: {activity:?}"));
        }
        if activity.handlers > 0 {
            self.aborted_bodies.push(id);
        }
    }
}

/// Counts a handler or a stream until its drop.
struct HandlerGuard {
    world: World,
    id: usize,
    count: fn(&mut Activity) -> &mut usize,
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        *(self.count)(&mut self.world.lock().activity[self.id]) -= 1;
    }
}

/// The body of a streamed response.
struct Pieces {
    world: World,
    _alive: HandlerGuard,
    pieces: std::vec::IntoIter<Piece>,
    content: Bytes,
    gate: Option<oneshot::Receiver<()>>,
}

impl Stream for Pieces {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(gate) = &mut self.gate {
                let _ = std::task::ready!(Pin::new(gate).poll(context));
                self.gate = None;
            }
            match self.pieces.next() {
                Some(Piece::Bytes(length)) => return Poll::Ready(Some(Ok(self.content.split_to(length)))),
                Some(Piece::Wait) => self.gate = Some(self.world.gate()),
                Some(Piece::Fail) => return Poll::Ready(Some(Err("a simulated failure".into()))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// Reads a body with its own pace, while its handler or a later one runs.
async fn read_late(world: World, id: usize, mut body: Body, waits: usize, _alive: HandlerGuard) {
    let mut read = Vec::new();
    for count in 0.. {
        if count < waits {
            let _ = world.gate().await;
        }
        match poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
            Some(Ok(piece)) => read.extend_from_slice(&piece),
            ended => {
                let end = ended.map_or(Ok(()), |ended| ended.map(drop));
                return world.lock().check_body(id, &read, Some(end));
            }
        }
    }
}

/// The bytes as a part of a file. It is in memory, so that no read waits for a thread, whose end a seed does not determine.
#[cfg(target_os = "linux")]
fn file(bytes: &[u8]) -> Body {
    use std::io::Write as _;

    const BEFORE: &[u8] = b"before";
    let descriptor = rustix::fs::memfd_create("simulated", rustix::fs::MemfdFlags::CLOEXEC).expect("a file in memory");
    let mut file = std::fs::File::from(descriptor);
    file.write_all(&[BEFORE, bytes, b"after"].concat()).expect("memory");
    let start = BEFORE.len() as u64;
    Body::from_file(file, start..start + bytes.len() as u64)
}

#[cfg(not(target_os = "linux"))]
fn file(bytes: &[u8]) -> Body {
    Body::from(bytes.to_vec())
}

/// Reads a body to its end. Returns its digest, and the value of its trailer field.
async fn read_with_trailer(body: &mut Body) -> Result<String, Problem> {
    let mut read = Vec::new();
    while let Some(piece) = poll_fn(|context| Pin::new(&mut *body).poll_next(context)).await {
        read.extend_from_slice(&piece?);
    }
    let trailers = body.trailers().unwrap_or_default();
    let trailer = trailers.get(TRAILER).and_then(|value| value.to_str().ok());
    Ok(format!("{} {}", digest(&read), trailer.unwrap_or("without a trailer")))
}

async fn answer(world: World, tasks: Tasks, id: usize, mut body: Body) -> Result<Response, Problem> {
    let _alive = world.enter(id, |activity| &mut activity.handlers);
    let plan = {
        let mut parts = world.lock();
        parts.activity[id].started += 1;
        parts.exchanges[id].clone()
    };
    if plan.waits_first {
        let _ = world.gate().await;
    }
    let mut held = None;
    let read = match plan.reads {
        Reads::All if plan.has_trailer() => read_with_trailer(&mut body).await?,
        Reads::All => digest(&body.collect().await?),
        Reads::Part => {
            let mut part = Bytes::new();
            let end = match poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
                Some(Ok(piece)) => {
                    part = piece;
                    None
                }
                Some(Err(error)) => Some(Err(error)),
                None => Some(Ok(())),
            };
            world.lock().check_body(id, &part, end);
            "a part".to_owned()
        }
        Reads::Drops => {
            drop(body);
            "nothing".to_owned()
        }
        Reads::Task(waits) => {
            let alive = world.enter(id, |activity| &mut activity.tasks);
            tasks.spawn("reads late", read_late(world.clone(), id, body, waits, alive));
            "nothing".to_owned()
        }
        Reads::Holds => {
            held = Some(body);
            "nothing".to_owned()
        }
    };
    if plan.waits_after {
        let _ = world.gate().await;
    }
    drop(held);
    let body = match plan.answer {
        Answer::Text(length) => Body::from(content(id, length)),
        Answer::File(length) => file(&content(id, length)),
        Answer::Problem => return Err(Problem::new(StatusCode::IM_A_TEAPOT)),
        Answer::Panic => panic!("a simulated panic"),
        Answer::Stream { pieces, end } => {
            let length = streamed_bytes(&pieces);
            // A stream that fails has less than it declared.
            let declared = length as u64 + u64::from(pieces.contains(&Piece::Fail));
            let stream = Pieces {
                _alive: world.enter(id, |activity| &mut activity.streams),
                world,
                pieces: pieces.into_iter(),
                content: content(id, length).into(),
                gate: None,
            };
            match end {
                StreamEnd::Sized => Body::from_sized_stream(stream, declared),
                StreamEnd::Unknown => Body::from_stream(stream),
                StreamEnd::Trailer => {
                    let trailer = (HeaderName::from_static(TRAILER), HeaderValue::from(id));
                    let trailers = std::future::ready(HeaderMap::from_iter([trailer]));
                    Body::from_stream(stream).with_trailers(trailers)
                }
            }
        }
    };
    Ok(([(HeaderName::from_static("x-exchange"), format!("{id} {read}"))], body).into_response())
}

#[get("/finish/{id}")]
async fn get_finish(id: Path<usize>, world: State<World>, tasks: Tasks, body: Body) -> Result<Response, Problem> {
    answer(world.0, tasks, *id, body).await
}

#[post("/finish/{id}", disconnect = "finish")]
async fn post_finish(id: Path<usize>, world: State<World>, tasks: Tasks, body: Body) -> Result<Response, Problem> {
    answer(world.0, tasks, *id, body).await
}

#[get("/abort/{id}", disconnect = "abort")]
async fn get_abort(id: Path<usize>, world: State<World>, tasks: Tasks, body: Body) -> Result<Response, Problem> {
    answer(world.0, tasks, *id, body).await
}

#[post("/abort/{id}", disconnect = "abort")]
async fn post_abort(id: Path<usize>, world: State<World>, tasks: Tasks, body: Body) -> Result<Response, Problem> {
    answer(world.0, tasks, *id, body).await
}

#[post("/simulate")]
async fn simulate(world: State<World>) -> Result<String, Problem> {
    Run::new(world.0).simulate().await
}

const ASSETS: Embedded = embed!("tests/assets", "/assets", always);

pub(crate) const ROUTES: conduit::Routes<World> = routes![
    get_finish,
    post_finish,
    get_abort,
    post_abort,
    simulate,
    "/assets" => Files::embedded(ASSETS)
];
