//! Runs of WebSockets, on connections of HTTP/1.1 and on streams of HTTP/2, some of them over TLS, with and without compression:
//! clients that send messages in random fragments and pieces, with PINGs between them, read late, half-close,
//! close, reset and send Close; slow handlers; steps of the clock; a graceful stop.
//!
//! Each handler receives the messages of its client in their order, and each client its echoes and pongs in theirs; those that are
//! not disturbed receive all. Idle WebSockets hold no memory, and in the end no handler is left and the counts are balanced.

mod client;
mod deflate;
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../../conduit-proto/tests/ws/frames.rs"]
mod frames;

use std::sync::{Arc, Mutex, MutexGuard};

use conduit::WebSocketUpgrade;
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::websocket::{Message, WebSocketClosed};
use tokio::sync::oneshot;

use crate::pace::{self, QUIET_TURNS};
use crate::random::Random;
use crate::secure::{self, Wire};
use crate::seeds::{check_replays, check_seeds};
use crate::start::{self, Start};
use client::{Planned, SocketClient};
use conduit_proto::ws::Deflate;
use deflate::Mode;

const SEEDS: u64 = 300;
/// A small limit, which slow handlers reach.
const QUEUE_BYTES: usize = 4 * 1024;

/// The part of a run that its handlers share with the simulator.
#[derive(Clone, Default)]
struct SocketWorld {
    start: Start,
    parts: Arc<Mutex<SocketParts>>,
}

#[derive(Default)]
struct SocketParts {
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

impl SocketWorld {
    fn lock(&self) -> MutexGuard<'_, SocketParts> {
        self.parts.lock().expect("no panic under this lock")
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
struct SocketGuard(SocketWorld);

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.0.lock().alive -= 1;
    }
}

#[get("/socket/{id}/{mode}")]
async fn socket(path: Path<(usize, String)>, upgrade: WebSocketUpgrade, world: State<SocketWorld>) -> Response {
    let ((id, mode), world) = (path.0, world.0.clone());
    let upgrade = match Mode::config(&mode) {
        Some(config) => upgrade.compression(config),
        None => upgrade,
    };
    upgrade.queue_limit(QUEUE_BYTES).on_upgrade(async move |mut socket| {
        world.lock().alive += 1;
        let _alive = SocketGuard(world.clone());
        while let Some(message) = socket.recv().await {
            if let Some(gate) = world.take(id, &message) {
                let _ = gate.await;
            }
            socket.send(message).await?;
        }
        Ok::<_, WebSocketClosed>(())
    })
}

struct SocketRun {
    random: Random,
    world: SocketWorld,
    client: TestClient,
    clients: Vec<SocketClient>,
    is_stopped: bool,
    log: Vec<String>,
}

impl SocketRun {
    async fn run(&mut self) -> Result<(), String> {
        pace::turns(QUIET_TURNS).await;
        self.connect().await;
        for _ in 0..10 + self.random.below(80) {
            self.act().await;
            let turns = self.random.below(4);
            pace::turns(turns).await;
            self.check()?;
        }
        self.complete().await?;
        self.end().await
    }

    async fn connect(&mut self) {
        let http2 = self.random.chance(50);
        let connection = Wire::open(&self.client, http2, &mut self.random).await;
        let client = SocketClient::new(self.clients.len(), connection, http2, &mut self.random);
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
            81..=87 if may_connect => self.connect().await,
            88 if !client.closes => client.close(1000),
            89 => client.end(),
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
            "{} B received, {} B sent, {} gates, taken {:x?}",
            statistics.received_bytes,
            statistics.sent_bytes,
            parts.gates.len(),
            secure::digests(self.clients.iter().map(|client| &client.connection))
        ));
        Ok(())
    }

    /// Sends and reads everything, opens all gates, and checks that all is returned and nothing is held.
    async fn complete(&mut self) -> Result<(), String> {
        self.clients.iter_mut().for_each(SocketClient::close_tunnel);
        for round in 0.. {
            if round == 10_000 {
                return Err("the clients make no progress".to_owned());
            }
            let mut progress = self.world.lock().gates.len();
            for client in &mut self.clients {
                progress += client.send(usize::MAX / 2) + client.read(1 << 16);
            }
            pace::open_gates(&mut self.world.lock().gates, &mut self.random);
            pace::settle(&self.client).await;
            // The server may have sent in these turns.
            progress += self
                .clients
                .iter_mut()
                .map(|client| client.read(1 << 16))
                .sum::<usize>();
            self.check()?;
            if progress == 0 && self.clients.iter().all(SocketClient::has_sent) {
                break;
            }
        }
        for (index, client) in self.clients.iter().enumerate() {
            let checked = client.check_end();
            checked.map_err(|violation| format!("client {index}: {violation}"))?;
        }
        let resources = pace::resources(&self.client).await;
        let alive = self.world.lock().alive;
        // Each compressor counts, without its contexts.
        let compressing = self.clients.iter().filter(|client| client.is_compressing()).count();
        let most = compressing * size_of::<Deflate>();
        // One handler runs the simulator.
        if resources.buffer_bytes > most || resources.handlers != 1 + alive {
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

#[post("/simulate")]
async fn simulate_websockets(world: State<SocketWorld>) -> Result<String, Problem> {
    let (random, client) = world.start.take();
    let mut run = SocketRun {
        random,
        world: world.0,
        client,
        clients: Vec::new(),
        is_stopped: false,
        log: Vec::new(),
    };
    let ended = start::paused(run.run()).await;
    start::outcome(ended, &run.log)
}

fn simulate(seed: u64) -> Result<String, String> {
    let world = SocketWorld::default();
    let app = App::new(world.clone()).routes(routes![socket, simulate_websockets]);
    world.start.simulate(seed, app)
}

#[test]
fn invariants_of_websockets_hold_for_each_seed() {
    check_seeds(SEEDS, simulate);
}

#[test]
fn a_seed_replays_the_same_events_of_websockets() {
    check_replays(30, simulate);
}
