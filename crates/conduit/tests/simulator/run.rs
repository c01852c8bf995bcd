//! One run: random actions of clients, handlers and the clock, with the invariants checked after each.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use conduit::testing::{Resources, TestClient};
use conduit::{Problem, Statistics};

use crate::application::{Activity, World};
use crate::client::Client;
use crate::http2::Http2;
use crate::model::Exchange;
use crate::pace::{self, QUIET_TURNS};
use crate::random::Random;
use crate::secure::{self, Transferred, Wire};
use crate::start::{self, DEADLINE};

/// The number of small steps of the clock, of a second each.
const SMALL_STEPS: usize = 10;
/// The server receives a body with fewer bytes whole while its handler has not read it.
const WINDOW_BYTES: usize = 64 * 1024;

pub(crate) struct Run {
    random: Random,
    world: World,
    client: TestClient,
    clients: Vec<Client>,
    /// The bytes of each client, and the bytes that the server had received and sent before the first.
    transferred: Vec<Arc<Transferred>>,
    transferred_before: (u64, u64),
    small_steps: usize,
    stopped: bool,
    /// The actions, each followed by the server's progress.
    log: Vec<String>,
}

/// The bytes of all clients, as both sides count them.
#[derive(Debug)]
struct Bytes {
    sent_by_clients: u64,
    received_by_clients: u64,
    received: u64,
    sent: u64,
    /// The maximum number of bytes that were sent and are not counted: the last one of each encrypted connection, while a part of its
    /// record waits for room.
    uncounted: u64,
}

impl Run {
    pub(crate) fn new(world: World) -> Self {
        let (random, client) = world.start.take();
        Run {
            random,
            world,
            client,
            clients: Vec::new(),
            transferred: Vec::new(),
            transferred_before: (0, 0),
            small_steps: 0,
            stopped: false,
            log: Vec::new(),
        }
    }

    pub(crate) async fn simulate(mut self) -> Result<String, Problem> {
        let ended = start::paused(self.run()).await;
        if ended.is_err() {
            let exchanges = self.world.lock().exchanges.clone();
            let clients = self.clients.iter().map(|client| client.describe(&exchanges));
            self.log.extend(clients);
        }
        start::outcome(ended, &self.log)
    }

    async fn run(&mut self) -> Result<(), String> {
        let steps = 10 + self.random.below(80);
        // The test's thread may have woken the worker again for the request that runs the simulator.
        pace::turns(QUIET_TURNS).await;
        let statistics = self.client.handle().statistics();
        self.transferred_before = (statistics.received_bytes, statistics.sent_bytes);
        self.connect().await;
        for _ in 0..steps {
            self.act().await?;
            let turns = self.random.below(4);
            pace::turns(turns).await;
            self.check(turns > 0)?;
        }
        self.complete().await?;
        self.close().await
    }

    async fn connect(&mut self) {
        let http2 = self.random.chance(40).then(|| Http2::new(self.random.next()));
        let connection = Wire::open(&self.client, http2.is_some(), &mut self.random).await;
        self.transferred.push(connection.transferred());
        let mut client = Client::new(connection, http2);
        let mut parts = self.world.lock();
        let uploads = self.random.chance(10);
        for count in 0..1 + self.random.below(5) {
            let id = parts.exchanges.len();
            let exchange = match uploads {
                true => Exchange::upload(count % 2 == 0, &mut self.random),
                false => Exchange::random(&mut self.random),
            };
            client.add(id, &exchange, &exchange.request(id, &mut self.random));
            parts.exchanges.push(exchange);
            parts.activity.push(Default::default());
        }
        drop(parts);
        self.clients.push(client);
    }

    /// One random action.
    async fn act(&mut self) -> Result<(), String> {
        let index = self.random.below(self.clients.len());
        let length = self.random.length() + 1;
        let choice = self.random.below(100);
        self.log
            .push(format!("client {index}, action {choice}, length {length}"));
        let may_connect = self.clients.len() < 5 && !self.stopped;
        let client = &mut self.clients[index];
        match choice {
            0..=39 => {
                client.send(length);
            }
            40..=64 => {
                client.read(length);
            }
            65..=82 => pace::open_gate(&mut self.world.lock().gates, &mut self.random),
            83..=85 => pace::open_gates(&mut self.world.lock().gates, &mut self.random),
            86..=90 if may_connect => self.connect().await,
            91 => {
                if let Some(connection) = client.connection.as_mut() {
                    connection.end();
                    client.half_closed = true;
                }
            }
            92 => client.connection = None,
            93 => {
                if let Some(connection) = client.connection.take() {
                    connection.reset();
                }
            }
            94 => {
                self.check_quiescent().await?;
            }
            95..=97 if self.small_steps < SMALL_STEPS => {
                self.small_steps += 1;
                pace::second().await;
            }
            98 if self.random.chance(20) => self.jump().await,
            99 if self.random.chance(30) => self.stop(),
            _ => {}
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.client.handle().stop();
        self.stopped = true;
    }

    /// A step of the clock over all deadlines.
    async fn jump(&mut self) {
        self.clients.iter_mut().for_each(Client::pass_deadlines);
        for _ in 0..2 * DEADLINE.as_secs() + 10 {
            pace::second().await;
        }
    }

    /// The invariants that hold at each moment. The drop of a handler that was aborted needs a turn, so `turned` states whether
    /// one was given since the last action.
    fn check(&mut self, turned: bool) -> Result<(), String> {
        let parts = self.world.lock();
        if let Some(violation) = parts.violations.first() {
            return Err(violation.clone());
        }
        for &id in &parts.aborted_bodies {
            let explains = |client: &Client| {
                client.requests.iter().any(|(other, _)| *other == id) && client.explains_an_aborted_body(id)
            };
            if !self.clients.iter().any(explains) {
                return Err(format!("the body of exchange {id} ended early while its handler ran"));
            }
        }
        for (index, client) in self.clients.iter_mut().enumerate() {
            let checked = client.check(&parts.exchanges, self.stopped);
            checked.map_err(|violation| format!("client {index}: {violation}"))?;
            if client.ended && turned {
                for (id, _) in &client.requests {
                    let activity = parts.activity[*id];
                    let aborts = parts.exchanges[*id].aborts();
                    if activity.streams > 0 || (aborts && activity.handlers > 0) {
                        return Err(format!("exchange {id} is alive after its connection: {activity:?}"));
                    }
                }
            }
        }
        let mut started = 0;
        for (id, activity) in parts.activity.iter().enumerate() {
            if activity.started > 1 || activity.handlers > 1 || activity.streams > 1 || activity.tasks > 1 {
                return Err(format!("exchange {id} started more than once: {activity:?}"));
            }
            started += activity.started as u64;
        }
        let statistics = self.client.handle().statistics();
        // The request that runs the simulator is one of them.
        let (least, most) = (started + 1, parts.exchanges.len() as u64 + 1);
        if !(least..=most).contains(&statistics.requests) {
            return Err(format!(
                "{} requests counted, {started} handlers started",
                statistics.requests
            ));
        }
        let bytes = self.bytes(&statistics);
        if bytes.received > bytes.sent_by_clients || bytes.sent + bytes.uncounted < bytes.received_by_clients {
            return Err(format!("wrong counts of bytes: {bytes:?}"));
        }
        self.log.push(format!(
            "{} requests, {} B received, {} B sent, {} gates, taken {:x?}",
            statistics.requests,
            statistics.received_bytes,
            statistics.sent_bytes,
            parts.gates.len(),
            secure::digests(self.clients.iter().map(|client| &client.connection))
        ));
        Ok(())
    }

    fn bytes(&self, statistics: &Statistics) -> Bytes {
        let sum = |count: fn(&Transferred) -> u64| self.transferred.iter().map(|bytes| count(bytes)).sum();
        Bytes {
            sent_by_clients: sum(|bytes| bytes.sent.load(Relaxed)),
            received_by_clients: sum(|bytes| bytes.received.load(Relaxed)),
            received: statistics.received_bytes - self.transferred_before.0,
            sent: statistics.sent_bytes - self.transferred_before.1,
            uncounted: sum(|bytes| u64::from(bytes.is_secure)),
        }
    }

    /// Records the bodies that the server has received whole: it is quiescent, and their clients have sent them.
    fn record_whole_bodies(&mut self) {
        let mut parts = self.world.lock();
        for client in &self.clients {
            for &(id, _) in &client.requests {
                let is_handled = parts.activity[id].handlers == 1;
                if is_handled && parts.exchanges[id].body_length() < WINDOW_BYTES && client.has_sent_whole(id) {
                    parts.activity[id].has_whole_body = true;
                }
            }
        }
    }

    /// The invariants that hold while the server waits for its clients, handlers, streams and tasks.
    async fn check_quiescent(&mut self) -> Result<Resources, String> {
        pace::settle(&self.client).await;
        let resources = pace::resources(&self.client).await;
        let parts = self.world.lock();
        let sum = |count: fn(&Activity) -> usize| parts.activity.iter().map(count).sum::<usize>();
        // One handler runs the simulator.
        let (handlers, tasks) = (1 + sum(|activity| activity.handlers), sum(|activity| activity.tasks));
        if (resources.handlers, resources.tasks) != (handlers, tasks) {
            return Err(format!(
                "{handlers} handlers and {tasks} tasks are alive: {resources:?}"
            ));
        }
        if resources.idle_buffer_bytes > 0 {
            return Err(format!("idle connections hold memory: {resources:?}"));
        }
        let gone = self.clients.iter().filter(|client| client.connection.is_none());
        for (id, _) in gone.flat_map(|client| &client.requests) {
            let activity = parts.activity[*id];
            if activity.streams > 0 || (parts.exchanges[*id].aborts() && activity.handlers > 0) {
                return Err(format!("exchange {id} is alive after its client: {activity:?}"));
            }
        }
        let connected = self.clients.iter().filter(|client| client.connection.is_some()).count();
        let open = self.client.handle().statistics().open_connections;
        if open > 1 + connected as u64 {
            return Err(format!("{open} connections are open, of {connected} clients"));
        }
        Ok(resources)
    }

    /// The invariants that hold when each client has sent and read everything, and every gate is open.
    async fn check_complete(&mut self) -> Result<(), String> {
        let resources = self.check_quiescent().await?;
        let is_open = |client: &&Client| client.connection.is_some() && !client.ended;
        let idle_connections = self.clients.iter().filter(is_open).count();
        let mut expected = Resources::default();
        expected.idle_connections = idle_connections;
        // It runs the simulator.
        expected.handlers = 1;
        match resources == expected {
            true => Ok(()),
            false => Err(format!(
                "complete, with {idle_connections} idle connections: {resources:?}"
            )),
        }
    }

    /// Sends and reads everything, opens all gates, and checks that every response is complete.
    async fn complete(&mut self) -> Result<(), String> {
        self.clients.iter_mut().for_each(Client::close_without_windows);
        loop {
            let mut progress = self.world.lock().gates.len();
            let before = self.client.handle().statistics();
            for client in &mut self.clients {
                progress += client.send(usize::MAX / 2);
                while client.read(1 << 16) > 0 {
                    progress += 1;
                }
            }
            if self.random.chance(50) {
                pace::settle(&self.client).await;
                let mut is_read = false;
                for client in &mut self.clients {
                    is_read |= client.read(1 << 16) > 0;
                }
                // Unread output of one response may delay the input of the next request.
                if !is_read {
                    self.record_whole_bodies();
                }
                progress += usize::from(is_read);
            }
            pace::open_gates(&mut self.world.lock().gates, &mut self.random);
            pace::settle(&self.client).await;
            self.check(true)?;
            for client in &mut self.clients {
                while client.read(1 << 16) > 0 {
                    progress += 1;
                }
            }
            self.check(true)?;
            let is_quiet = before == self.client.handle().statistics() && self.world.lock().gates.is_empty();
            if progress == 0 && is_quiet {
                break;
            }
        }
        self.check_complete().await?;
        let bytes = self.bytes(&self.client.handle().statistics());
        // The server does not send the rest of an output, or receive the rest of an input, after the end of a connection.
        let is_open = |client: &Client| client.connection.is_some() && !client.ended;
        let differ = bytes.sent > bytes.received_by_clients || bytes.received != bytes.sent_by_clients;
        if differ && self.clients.iter().all(is_open) {
            return Err(format!("wrong counts of bytes at the end: {bytes:?}"));
        }
        let exchanges = self.world.lock().exchanges.clone();
        for (index, client) in self.clients.iter().enumerate() {
            let checked = client.check_end(&exchanges, self.stopped);
            checked.map_err(|violation| format!("client {index}: {violation}"))?;
        }
        Ok(())
    }

    /// Ends all connections by a stop, by deadlines or by the clients, and checks that nothing is left of them.
    async fn close(&mut self) -> Result<(), String> {
        let choice = self.random.below(3);
        self.log.push(format!("end {choice}"));
        match choice {
            0 => self.stop(),
            1 => self.jump().await,
            _ => self.clients.iter_mut().for_each(|client| client.connection = None),
        }
        pace::settle(&self.client).await;
        // The time for which connections linger.
        for _ in 0..5 {
            pace::second().await;
        }
        self.complete().await?;
        let statistics = self.client.handle().statistics();
        let accepted = self.clients.len() as u64 + 1;
        if statistics.accepted_connections != accepted || statistics.open_connections != 1 {
            return Err(format!(
                "{accepted} connections were opened, all but one closed: {statistics:?}"
            ));
        }
        let parts = self.world.lock();
        let alive = |activity: &&Activity| activity.handlers + activity.streams + activity.tasks > 0;
        match parts.activity.iter().find(alive) {
            Some(activity) => Err(format!("alive after the end: {activity:?}")),
            None => Ok(()),
        }
    }
}
