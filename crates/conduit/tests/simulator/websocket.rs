//! Runs of WebSockets: clients that send messages in random fragments and pieces, with PINGs between them, read late, half-close,
//! close, reset and send Close; handlers that lag; steps of the clock; a graceful stop.
//!
//! Each handler receives the messages of its client in their order, and each client its echoes and pongs in theirs; those that are
//! not disturbed receive all. Idle WebSockets hold no memory, and in the end no handler is left and the counts are balanced.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use conduit::WebSocketUpgrade;
use conduit::prelude::*;
use conduit::testing::{TestClient, TestConnection};
use conduit::websocket::{Message, WebSocketClosed};
use tokio::sync::oneshot;

use crate::from_environment;
use crate::pace::{self, QUIET_TURNS};
use crate::random::Random;
use crate::run::DEADLINE;

#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../conduit-proto/tests/ws/frames.rs"]
mod frames;

use frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame, ping};

const SEEDS: u64 = 300;
/// Small, so that handlers lag.
const QUEUE_BYTES: usize = 4 * 1024;

/// The part of a run that its handlers share with the simulator.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Parts>>);

#[derive(Default)]
struct Parts {
    seed: u64,
    client: Option<TestClient>,
    /// The messages of each client.
    plans: Vec<Vec<Planned>>,
    /// The number of messages that each handler has received.
    received: Vec<usize>,
    /// The number of handlers that run.
    alive: usize,
    violations: Vec<String>,
    /// Handlers that wait for the simulator.
    gates: Vec<oneshot::Sender<()>>,
}

#[derive(Clone)]
struct Planned {
    content: Message,
    /// The handler waits for the simulator after it has received it.
    waits: bool,
}

impl Planned {
    fn random(random: &mut Random) -> Self {
        let length = random.length();
        let content = if random.chance(50) {
            let characters = ['a', 'é', '€', '😀'];
            let text: String = (0..length / 3).map(|_| characters[random.below(4)]).collect();
            Message::from(text)
        } else {
            let first = random.next();
            Message::from((0..length).map(|at| (first as usize + at) as u8).collect::<Vec<_>>())
        };
        Planned {
            content,
            waits: random.chance(30),
        }
    }

    /// The frames of the message, with PINGs between its fragments.
    fn frames(&self, random: &mut Random, pings: &mut Vec<Vec<u8>>) -> Vec<u8> {
        let mut rest = self.content.as_bytes();
        let mut opcode = self.content.as_text().map_or(BINARY, |_| TEXT);
        let mut bytes = Vec::new();
        for _ in 0..random.below(5) {
            let piece = rest
                .split_off(..random.below(rest.len() + 1))
                .expect("it is not longer");
            bytes.extend(frame(opcode, piece));
            opcode = CONTINUATION;
            if random.chance(30) {
                let payload = vec![pings.len() as u8; random.below(126)];
                bytes.extend(ping(&payload));
                pings.push(payload);
            }
        }
        bytes.extend(frame(FIN | opcode, rest));
        bytes
    }
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().expect("no panic under this lock")
    }

    /// A message has arrived at the handler. Returns the gate that it waits for.
    fn take(&self, id: usize, message: &Message) -> Option<oneshot::Receiver<()>> {
        let mut parts = self.lock();
        let number = parts.received[id];
        parts.received[id] += 1;
        let planned = parts.plans[id].get(number).cloned();
        match planned {
            Some(planned) if planned.content == *message => planned.waits.then(|| {
                let (open, opened) = oneshot::channel();
                parts.gates.push(open);
                opened
            }),
            _ => {
                parts
                    .violations
                    .push(format!("the handler of {id} has received another message {number}"));
                None
            }
        }
    }
}

/// Counts a handler until its drop.
struct Alive(World);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.lock().alive -= 1;
    }
}

#[get("/socket/{id}")]
async fn socket(id: Path<usize>, upgrade: WebSocketUpgrade, world: State<World>) -> Response {
    let (id, world) = (*id, world.0.clone());
    upgrade.queue_limit(QUEUE_BYTES).on_upgrade(async move |mut socket| {
        world.lock().alive += 1;
        let _alive = Alive(world.clone());
        while let Some(message) = socket.recv().await {
            if let Some(gate) = world.take(id, &message) {
                let _ = gate.await;
            }
            socket.send(message).await?;
        }
        Ok::<_, WebSocketClosed>(())
    })
}

/// One client of a run.
struct Client {
    /// `None` once the client has closed it.
    connection: Option<TestConnection>,
    plan: Vec<Planned>,
    /// The place in `outgoing` where each message ends.
    ends: Vec<usize>,
    pings: Vec<Vec<u8>>,
    outgoing: Vec<u8>,
    sent: usize,
    incoming: Vec<u8>,
    is_open: bool,
    echoes: usize,
    pongs: usize,
    /// The server has ended its half of the stream.
    ended: bool,
    /// The code of the server's Close.
    closed: Option<u16>,
    /// The client's Close is in `outgoing`.
    closes: bool,
    /// The client has ended its half, or was silent for long, or the server stops: messages may be missing.
    is_disturbed: bool,
}

impl Client {
    fn new(id: usize, connection: TestConnection, random: &mut Random) -> Self {
        let request = format!(
            "GET /socket/{id} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let (mut outgoing, mut ends, mut pings) = (request.into_bytes(), Vec::new(), Vec::new());
        let plan: Vec<_> = (0..random.below(6)).map(|_| Planned::random(random)).collect();
        for planned in &plan {
            outgoing.extend(planned.frames(random, &mut pings));
            ends.push(outgoing.len());
        }
        Client {
            connection: Some(connection),
            plan,
            ends,
            pings,
            outgoing,
            sent: 0,
            incoming: Vec::new(),
            is_open: false,
            echoes: 0,
            pongs: 0,
            ended: false,
            closed: None,
            closes: false,
            is_disturbed: false,
        }
    }

    fn send(&mut self, most: usize) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        let end = self.outgoing.len().min(self.sent.saturating_add(most));
        let sent = connection.send_now(&self.outgoing[self.sent..end]).unwrap_or(0);
        self.sent += sent;
        sent
    }

    fn read(&mut self, most: usize) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        let bytes = connection.read_now(most.max(1));
        if bytes.is_empty() {
            self.ended = connection.is_closed();
        }
        self.incoming.extend_from_slice(&bytes);
        bytes.len()
    }

    /// Sends Close after all that is queued.
    fn close(&mut self, code: u16) {
        if !self.closes {
            self.closes = true;
            self.outgoing.extend(frames::close(code, b""));
        }
    }

    /// Returns whether nothing is left to send.
    fn has_sent(&self) -> bool {
        self.connection.is_none() || self.ended || self.sent == self.outgoing.len()
    }

    /// The number of messages that are sent completely.
    fn sent_messages(&self) -> usize {
        self.ends.iter().filter(|end| **end <= self.sent).count()
    }

    /// Compares the frames that have arrived with the plan.
    fn check(&mut self, is_stopped: bool) -> Result<(), String> {
        if !self.is_open {
            let Some(at) = self.incoming.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Ok(());
            };
            if self.is_disturbed && self.incoming.starts_with(b"HTTP/1.1 408 ") {
                self.incoming.clear();
                return Ok(());
            }
            if !self.incoming.starts_with(b"HTTP/1.1 101 ") {
                return Err(format!("no 101: {}", String::from_utf8_lossy(&self.incoming[..at])));
            }
            self.incoming.drain(..at + 4);
            self.is_open = true;
        }
        while let Some((first, payload, used)) = server_frame(&self.incoming) {
            let payload = payload.to_vec();
            self.incoming.drain(..used);
            if self.closed.is_some() {
                return Err(format!("a frame {first:#x} follows Close"));
            }
            self.receive(first, &payload, is_stopped)?;
        }
        Ok(())
    }

    fn receive(&mut self, first: u8, payload: &[u8], is_stopped: bool) -> Result<(), String> {
        match first ^ FIN {
            opcode @ (TEXT | BINARY) => {
                let number = self.echoes;
                self.echoes += 1;
                let expected = self.plan.get(number).map(|planned| &planned.content);
                let is_right = expected.is_some_and(|message| {
                    message.as_bytes() == payload && message.as_text().is_some() == (opcode == TEXT)
                });
                if !is_right || self.sent_messages() < self.echoes {
                    return Err(format!(
                        "echo {number} differs, or is too early: {} bytes",
                        payload.len()
                    ));
                }
            }
            PONG => {
                if self.pings.get(self.pongs).is_none_or(|ping| ping != payload) {
                    return Err(format!("pong {} differs", self.pongs));
                }
                self.pongs += 1;
            }
            PING if !self.closes => self.outgoing.extend(frame(FIN | PONG, payload)),
            PING => {}
            CLOSE => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                match code {
                    Some(1000) if self.closes => {}
                    Some(1001) if is_stopped => self.is_disturbed = true,
                    code => return Err(format!("Close with {code:?}")),
                }
                self.closed = code;
                self.close(1000);
            }
            _ => return Err(format!("a frame {first:#x}")),
        }
        Ok(())
    }

    /// Every message that was sent must have been returned.
    fn check_end(&self) -> Result<(), String> {
        let is_lost = self.connection.is_none() || self.is_disturbed || self.closes;
        if is_lost || (self.echoes, self.pongs) == (self.plan.len(), self.pings.len()) && !self.ended {
            return Ok(());
        }
        let (echoes, pongs, ended) = (self.echoes, self.pongs, self.ended);
        let (messages, pings) = (self.plan.len(), self.pings.len());
        Err(format!(
            "{echoes} echoes of {messages}, {pongs} pongs of {pings}, ended: {ended}"
        ))
    }
}

/// The first byte, the payload and the length of a frame that has arrived completely.
fn server_frame(input: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (start, length) = match input.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize),
        length => (2, usize::from(*length)),
    };
    Some((input[0], input.get(start..start + length)?, start + length))
}

struct Run {
    random: Random,
    world: World,
    client: TestClient,
    clients: Vec<Client>,
    is_stopped: bool,
    log: Vec<String>,
}

impl Run {
    async fn run(&mut self) -> Result<(), String> {
        pace::turns(QUIET_TURNS).await;
        self.connect();
        for _ in 0..10 + self.random.below(80) {
            self.act().await;
            let turns = self.random.below(4);
            pace::turns(turns).await;
            self.check()?;
        }
        self.complete().await?;
        self.end().await
    }

    fn connect(&mut self) {
        let mut connection = self.client.connect();
        if self.random.chance(60) {
            connection.shorten_transfers(self.random.next());
        }
        let client = Client::new(self.clients.len(), connection, &mut self.random);
        let mut parts = self.world.lock();
        parts.plans.push(client.plan.clone());
        parts.received.push(0);
        drop(parts);
        self.clients.push(client);
    }

    async fn act(&mut self) {
        let index = self.random.below(self.clients.len());
        let length = self.random.length() + 1;
        let choice = self.random.below(100);
        self.log
            .push(format!("client {index}, action {choice}, length {length}"));
        let may_connect = self.clients.len() < 5 && !self.is_stopped;
        let client = &mut self.clients[index];
        match choice {
            0..=39 => {
                client.send(length);
            }
            40..=64 => {
                client.read(length);
            }
            65..=80 => pace::open_gate(&mut self.world.lock().gates, &mut self.random),
            81..=87 if may_connect => self.connect(),
            88 if !client.closes => client.close(1000),
            89 => {
                if let Some(connection) = &mut client.connection {
                    connection.end();
                    client.outgoing.truncate(client.sent);
                    client.is_disturbed = true;
                    client.closes = true;
                }
            }
            90 => client.connection = None,
            91 => {
                if let Some(connection) = client.connection.take() {
                    connection.reset();
                }
            }
            92..=94 => pace::second().await,
            95 if self.random.chance(30) => {
                self.clients.iter_mut().for_each(|client| client.is_disturbed = true);
                for _ in 0..self.random.below(100) {
                    pace::second().await;
                }
            }
            96 if self.random.chance(20) => self.stop(),
            _ => {}
        }
    }

    fn stop(&mut self) {
        self.client.handle().stop();
        self.is_stopped = true;
        self.clients.iter_mut().for_each(|client| client.is_disturbed = true);
    }

    /// The invariants that hold at each moment.
    fn check(&mut self) -> Result<(), String> {
        let is_stopped = self.is_stopped;
        for (index, client) in self.clients.iter_mut().enumerate() {
            let checked = client.check(is_stopped);
            checked.map_err(|violation| format!("client {index}: {violation}"))?;
        }
        let parts = self.world.lock();
        if let Some(violation) = parts.violations.first() {
            return Err(violation.clone());
        }
        for (index, client) in self.clients.iter().enumerate() {
            let (received, sent) = (parts.received[index], client.sent_messages());
            if received > sent || client.echoes > received {
                let echoes = client.echoes;
                return Err(format!(
                    "client {index}: {sent} messages, {received} received, {echoes} echoes"
                ));
            }
        }
        let statistics = self.client.handle().statistics();
        let (received, echoes) = (
            parts.received.iter().sum::<usize>(),
            self.clients.iter().map(|client| client.echoes),
        );
        let echoes = echoes.sum::<usize>();
        if statistics.received_messages < received as u64 || statistics.sent_messages < echoes as u64 {
            return Err(format!("{received} messages received, {echoes} sent: {statistics:?}"));
        }
        self.log.push(format!(
            "{} B received, {} B sent, {} gates",
            statistics.received_bytes,
            statistics.sent_bytes,
            parts.gates.len()
        ));
        Ok(())
    }

    /// Sends and reads everything, opens all gates, and checks that all is returned and nothing is held.
    async fn complete(&mut self) -> Result<(), String> {
        for round in 0.. {
            if round == 10_000 {
                return Err("the clients make no progress".to_owned());
            }
            let mut progress = self.world.lock().gates.len();
            for client in &mut self.clients {
                progress += client.send(usize::MAX) + client.read(1 << 16);
            }
            while !self.world.lock().gates.is_empty() {
                pace::open_gate(&mut self.world.lock().gates, &mut self.random);
            }
            pace::settle(&self.client).await;
            // The server may have sent in these turns.
            progress += self
                .clients
                .iter_mut()
                .map(|client| client.read(1 << 16))
                .sum::<usize>();
            self.check()?;
            if progress == 0 && self.clients.iter().all(Client::has_sent) {
                break;
            }
        }
        for (index, client) in self.clients.iter().enumerate() {
            let checked = client.check_end();
            checked.map_err(|violation| format!("client {index}: {violation}"))?;
        }
        // The first call wakes the worker.
        self.client.resources();
        pace::turns(2).await;
        let resources = self.client.resources();
        let alive = self.world.lock().alive;
        // One handler runs the simulator.
        if resources.buffer_bytes > 0 || resources.handlers != 1 + alive {
            return Err(format!("complete, with {alive} handlers: {resources:?}"));
        }
        Ok(())
    }

    /// Ends all WebSockets, and checks that nothing is left of them.
    async fn end(&mut self) -> Result<(), String> {
        let choice = self.random.below(3);
        self.log.push(format!("end {choice}"));
        match choice {
            0 => self.stop(),
            1 => self.clients.iter_mut().for_each(|client| client.close(1000)),
            _ => self.clients.iter_mut().for_each(|client| client.connection = None),
        }
        // The time for Close, for connections that linger, and for handlers after the end.
        for _ in 0..30 {
            pace::second().await;
            self.complete().await?;
        }
        let statistics = self.client.handle().statistics();
        let (opened, alive) = (statistics.opened_websockets, self.world.lock().alive);
        let seen = self.clients.iter().filter(|client| client.is_open).count() as u64;
        let is_balanced = (seen..=self.clients.len() as u64).contains(&opened);
        if !is_balanced || statistics.open_websockets > 0 || statistics.open_connections != 1 || alive > 0 {
            return Err(format!(
                "{seen} WebSockets were opened, {alive} handlers are left: {statistics:?}"
            ));
        }
        Ok(())
    }
}

/// Runs the simulator on the worker's thread, which orders all events by the seed alone.
#[post("/simulate")]
async fn simulate_websockets(world: State<World>) -> Result<String, Problem> {
    tokio::time::pause();
    let (seed, client) = {
        let mut parts = world.lock();
        (parts.seed, parts.client.take().expect("a client"))
    };
    let mut run = Run {
        random: Random::new(seed),
        world: world.0,
        client,
        clients: Vec::new(),
        is_stopped: false,
        log: Vec::new(),
    };
    let ended = run.run().await;
    tokio::time::resume();
    let log = run.log.join("\n");
    match ended {
        Ok(()) => Ok(log),
        Err(violation) => Err(Problem::new(StatusCode::CONFLICT).with_detail(format!("{violation}\n{log}"))),
    }
}

fn simulate(seed: u64) -> Result<String, String> {
    let world = World::default();
    let app = App::new(world.clone())
        .routes(routes![socket, simulate_websockets])
        .head_timeout(DEADLINE)
        .idle_timeout(DEADLINE)
        .minimum_rate(1, DEADLINE)
        .shutdown_timeout(Duration::from_secs(3600));
    let client = TestClient::new(app).with_patience(Duration::from_secs(120));
    {
        let mut parts = world.lock();
        (parts.seed, parts.client) = (seed, Some(client.clone()));
    }
    let response = client.post("/simulate").send();
    let text = response.text().replace("\\n", "\n");
    match response.status().as_u16() {
        200 => Ok(text),
        _ => Err(format!("seed {seed}: {text}\nreplay: CONDUIT_SIMULATOR_SEED={seed}")),
    }
}

#[test]
fn invariants_of_websockets_hold_for_each_seed() {
    let seeds = match from_environment("CONDUIT_SIMULATOR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("CONDUIT_SIMULATOR_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        if let Err(violation) = simulate(seed) {
            panic!("{violation}");
        }
    }
}

#[test]
fn a_seed_replays_the_same_events_of_websockets() {
    for seed in 0..10 {
        assert_eq!(simulate(seed), simulate(seed), "seed {seed}");
    }
}
