//! Runs of event streams: clients of HTTP/1.1 and HTTP/2, some of them over TLS, that subscribe to topics of a hub, read late,
//! disconnect and continue after the last event, while messages are published; steps of the clock; a graceful stop.
//!
//! Each subscriber receives the messages of its topic in their order, without a gap from its first one on, across its reconnects.
//! In the end no subscription is left and the counts are balanced.

use conduit::Events;
use conduit::events::LastEventId;
use conduit::hub::{Access, Hub, TopicFamily};
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::pace::{self, QUIET_TURNS};
use crate::random::Random;
use crate::secure::{self, Wire};
use crate::seeds::{check_replays, check_seeds};
use crate::start::{self, Start};
use crate::tunnel::Tunnel;

const SEEDS: u64 = 300;
const TOPICS: usize = 2;

/// The part of a run that its handlers share with the simulator.
#[derive(Clone, Default)]
struct EventWorld {
    hub: Hub,
    start: Start,
}

/// The topics. A message is its number.
struct Numbers;

impl TopicFamily for Numbers {
    const NAME: &'static str = "numbers";
    type Message = u64;
    type Client = ();

    async fn authorize(_: &(), _: &str) -> Result<Access, Problem> {
        Ok(Access::Subscribe)
    }
}

#[get("/numbers/{topic}")]
async fn numbers(topic: Path<String>, world: State<EventWorld>, last: LastEventId) -> Result<Events<u64>, Problem> {
    Ok(world.hub.trusted::<Numbers>(&topic)?.events(last).await?)
}

/// One subscriber, on one connection after another.
struct Subscriber {
    topic: usize,
    /// `None` while it is disconnected.
    connection: Option<Wire>,
    tunnel: Option<Tunnel>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    /// The text of events that are not complete.
    text: String,
    is_open: bool,
    ended: bool,
    /// The number of messages that were published when the client connected without an earlier event.
    connected: u64,
    /// The number of messages that were published when the client was seen to be subscribed.
    subscribed: Option<u64>,
    /// The next message; `None` before the first.
    next: Option<u64>,
    last_id: Option<String>,
    /// The deadlines of the connection may have passed.
    late: bool,
}

impl Subscriber {
    fn new(topic: usize) -> Self {
        Subscriber {
            topic,
            connection: None,
            tunnel: None,
            outgoing: Vec::new(),
            incoming: Vec::new(),
            text: String::new(),
            is_open: false,
            ended: false,
            connected: 0,
            subscribed: None,
            next: None,
            last_id: None,
            late: false,
        }
    }

    async fn connect(&mut self, client: &TestClient, random: &mut Random, published: u64) {
        let http2 = random.chance(50);
        let connection = Wire::open(client, http2, random).await;
        let path = format!("/numbers/{}", self.topic);
        let last = self.last_id.as_deref();
        self.tunnel = http2.then(|| {
            let mut fields = crate::frames::pseudo("GET", &path).to_vec();
            fields.extend(last.map(|id| ("last-event-id", id)));
            Tunnel::new(&fields, true, random.next())
        });
        let last = last.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
        self.outgoing = match http2 {
            true => Vec::new(),
            false => format!("GET {path} HTTP/1.1\r\nhost: a\r\n{last}\r\n").into_bytes(),
        };
        self.connection = Some(connection);
        self.incoming.clear();
        self.text.clear();
        (self.is_open, self.ended, self.late) = (false, false, false);
        if self.last_id.is_none() {
            // The next connection begins anywhere after the present.
            (self.connected, self.subscribed, self.next) = (published, None, None);
        }
    }

    fn send(&mut self, most: usize) -> usize {
        let Some(connection) = &mut self.connection else {
            return 0;
        };
        let flushed = connection.flush();
        if let Some(tunnel) = &mut self.tunnel {
            return flushed + tunnel.send(&[], most, connection).1;
        }
        let length = self.outgoing.len().min(most);
        let sent = connection.send_now(&self.outgoing[..length]);
        self.outgoing.drain(..sent);
        flushed + sent
    }

    /// Reads at most `length` bytes, and compares the complete events. Returns the number of bytes.
    fn read(&mut self, most: usize, published: u64) -> Result<usize, String> {
        let Some(connection) = &mut self.connection else {
            return Ok(0);
        };
        let bytes = connection.read_now(most.max(1));
        self.ended |= bytes.is_empty() && connection.is_closed();
        let content = match &mut self.tunnel {
            Some(tunnel) => {
                let content = tunnel.receive(&bytes)?;
                self.ended |= tunnel.has_ended;
                if let Some(fields) = &tunnel.head {
                    self.is_open = fields[0].1 == "200";
                }
                content
            }
            None => {
                self.incoming.extend_from_slice(&bytes);
                self.take_chunks()?
            }
        };
        if self.is_open && self.subscribed.is_none() {
            self.subscribed = Some(published);
        }
        self.text += &String::from_utf8(content).map_err(|error| error.to_string())?;
        self.take_events(published)?;
        Ok(bytes.len())
    }

    /// The content of the chunks that have arrived whole.
    fn take_chunks(&mut self) -> Result<Vec<u8>, String> {
        let line = |bytes: &[u8], end: &[u8]| bytes.windows(end.len()).position(|window| window == end);
        if !self.is_open {
            let Some(length) = line(&self.incoming, b"\r\n\r\n") else {
                return Ok(Vec::new());
            };
            let head = String::from_utf8_lossy(&self.incoming[..length]).into_owned();
            let is_late = self.late && head.starts_with("HTTP/1.1 408 ");
            self.is_open = head.starts_with("HTTP/1.1 200 ");
            if !(self.is_open || is_late) {
                return Err(format!("no 200: {head}"));
            }
            self.incoming.drain(..length + 4);
        }
        let mut content = Vec::new();
        while let Some(length) = line(&self.incoming, b"\r\n") {
            let size = String::from_utf8_lossy(&self.incoming[..length]).into_owned();
            let Ok(size) = usize::from_str_radix(&size, 16) else {
                return if self.is_open {
                    Err(format!("a chunk of {size:.20}"))
                } else {
                    Ok(content)
                };
            };
            let Some(chunk) = self.incoming.get(length + 2..length + 2 + size + 2) else {
                break;
            };
            content.extend_from_slice(&chunk[..size]);
            self.incoming.drain(..length + 2 + size + 2);
        }
        Ok(content)
    }

    fn take_events(&mut self, published: u64) -> Result<(), String> {
        while let Some(end) = self.text.find("\n\n") {
            let event: String = self.text.drain(..end + 2).collect();
            let field = |name: &str| {
                event
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            if let Some(id) = field("id") {
                self.last_id = Some(id.to_owned());
            }
            let Some(data) = field("data") else { continue };
            let number = data.parse::<u64>().ok().filter(|_| field("event").is_none());
            let number = number.ok_or_else(|| format!("another event: {event:?}"))?;
            let is_right = match self.next {
                Some(next) => number == next,
                None => {
                    let subscribed = self.subscribed;
                    subscribed.is_some_and(|subscribed| (self.connected..=subscribed).contains(&number))
                }
            };
            if !is_right || number >= published {
                return Err(format!("message {number} in place of {:?}, of {published}", self.next));
            }
            self.next = Some(number + 1);
        }
        Ok(())
    }

    fn disconnect(&mut self, is_reset: bool) {
        self.tunnel = None;
        if let Some(connection) = self.connection.take()
            && is_reset
        {
            connection.reset();
        }
    }
}

struct EventRun {
    random: Random,
    hub: Hub,
    client: TestClient,
    clients: Vec<Subscriber>,
    /// The number of messages of each topic.
    published: [u64; TOPICS],
    is_stopped: bool,
    log: Vec<String>,
}

impl EventRun {
    async fn run(&mut self) -> Result<(), String> {
        pace::turns(QUIET_TURNS).await;
        for count in 0..1 + self.random.below(5) {
            self.clients.push(Subscriber::new(count % TOPICS));
        }
        for _ in 0..20 + self.random.below(80) {
            self.act().await?;
            let turns = self.random.below(4);
            pace::turns(turns).await;
        }
        if !self.is_stopped {
            for client in &mut self.clients {
                if client.connection.is_none() || client.ended || client.late {
                    client.disconnect(false);
                    let published = self.published[client.topic];
                    client.connect(&self.client, &mut self.random, published).await;
                }
            }
            self.complete().await?;
            for topic in 0..TOPICS {
                self.publish(topic).await?;
            }
        }
        self.complete().await?;
        self.check_complete()?;
        self.end().await
    }

    async fn publish(&mut self, topic: usize) -> Result<(), String> {
        let number = self.published[topic];
        let published = self.hub.trusted::<Numbers>(&topic.to_string());
        let published = published.map_err(|error| format!("{error:?}"))?;
        published.publish(&number).await.map_err(|error| format!("{error:?}"))?;
        self.published[topic] += 1;
        Ok(())
    }

    async fn act(&mut self) -> Result<(), String> {
        let index = self.random.below(self.clients.len());
        let length = self.random.length() + 1;
        let choice = self.random.below(100);
        self.log
            .push(format!("client {index}, action {choice}, length {length}"));
        let client = &mut self.clients[index];
        let published = self.published[client.topic];
        match choice {
            0..=24 => {
                client.send(length);
            }
            25..=54 => {
                client.read(length, published)?;
            }
            55..=74 => {
                let topic = self.random.below(TOPICS);
                self.publish(topic).await?;
            }
            75..=84 if client.connection.is_none() && !self.is_stopped => {
                client.connect(&self.client, &mut self.random, published).await;
            }
            85..=88 => client.disconnect(choice == 88),
            89..=92 => pace::second().await,
            93 if self.random.chance(30) => {
                self.clients.iter_mut().for_each(|client| client.late = true);
                for _ in 0..self.random.below(100) {
                    pace::second().await;
                }
            }
            94 if self.random.chance(20) => self.stop(),
            _ => {}
        }
        // The `retry` of a stream that a stop ends is random.
        let compared = self.clients.iter().filter(|_| !self.is_stopped);
        let digests = secure::digests(compared.map(|client| &client.connection));
        self.log
            .push(format!("{:?} messages, taken {digests:x?}", self.published));
        Ok(())
    }

    fn stop(&mut self) {
        self.client.handle().stop();
        self.is_stopped = true;
        self.clients.iter_mut().for_each(|client| client.late = true);
    }

    /// Sends and reads everything.
    async fn complete(&mut self) -> Result<(), String> {
        loop {
            let before = self.client.handle().statistics();
            let mut progress = 0;
            for client in &mut self.clients {
                let published = self.published[client.topic];
                progress += client.send(usize::MAX / 2) + client.read(1 << 16, published)?;
            }
            pace::settle(&self.client).await;
            if progress == 0 && before == self.client.handle().statistics() {
                return Ok(());
            }
        }
    }

    /// Each subscriber has the last message.
    fn check_complete(&self) -> Result<(), String> {
        for (index, client) in self.clients.iter().enumerate() {
            if client.connection.is_none() || client.late {
                continue;
            }
            let published = self.published[client.topic];
            if client.ended || client.next != Some(published) {
                let Subscriber {
                    next, ended, is_open, ..
                } = client;
                return Err(format!(
                    "client {index} waits for {next:?} of {published}, ended {ended}, open {is_open}"
                ));
            }
        }
        Ok(())
    }

    /// Ends all streams, and checks that nothing is left of them.
    async fn end(&mut self) -> Result<(), String> {
        if self.random.chance(50) {
            self.stop();
            for _ in 0..30 {
                pace::second().await;
                self.complete().await?;
            }
            if let Some(index) = self
                .clients
                .iter()
                .position(|client| client.connection.is_some() && !client.ended)
            {
                return Err(format!("client {index} is connected after the stop"));
            }
        }
        self.clients.iter_mut().for_each(|client| client.disconnect(false));
        for _ in 0..10 {
            pace::second().await;
        }
        pace::settle(&self.client).await;
        let resources = pace::resources(&self.client).await;
        let statistics = self.client.handle().statistics();
        // One connection and one handler run the simulator.
        if resources.handlers != 1 || resources.buffer_bytes > 0 || statistics.open_connections != 1 {
            return Err(format!("after the end: {resources:?} {statistics:?}"));
        }
        Ok(())
    }
}

#[post("/simulate")]
async fn simulate_events(world: State<EventWorld>) -> Result<String, Problem> {
    let (random, client) = world.start.take();
    let mut run = EventRun {
        random,
        hub: world.hub.clone(),
        client,
        clients: Vec::new(),
        published: [0; TOPICS],
        is_stopped: false,
        log: Vec::new(),
    };
    let ended = start::paused(run.run()).await;
    start::outcome(ended, &run.log)
}

fn simulate(seed: u64) -> Result<String, String> {
    let world = EventWorld::default();
    let app = App::new(world.clone()).routes(routes![numbers, simulate_events]);
    world.start.simulate(seed, app)
}

#[test]
fn subscribers_miss_no_message_for_any_seed() {
    check_seeds(SEEDS, simulate);
}

#[test]
fn a_seed_replays_the_same_messages() {
    check_replays(20, simulate);
}
