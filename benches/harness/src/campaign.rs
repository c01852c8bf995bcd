//! The rounds: every row for every server, interleaved.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::Result;
use crate::arguments::Arguments;
use crate::broadcast::{self, Broadcast, Subscribers};
use crate::machine::{self, Machine};
use crate::probe::AfterAnswer;
use crate::process::{self, Process};
use crate::results::{Build, IdleSample, LoadSample, PacedSample, Remark, Results, StartSample};
use crate::rows::{Ability, Idle, Load, PLAINTEXT, Row, Work};
use crate::servers::{Server, Source};
use crate::websocket::{self, Echo};
use crate::{http2, load, memory, paced, probe, servers};

/// Starts of each server in a round: a start is short, and its time varies more than any other figure.
const STARTS: u32 = 10;

/// A server with the programs that the rows need.
struct Contestant {
    server: &'static Server,
    programs: Vec<(Ability, Source, PathBuf)>,
}

struct Campaign<'a> {
    arguments: &'a Arguments,
    /// The files that the servers read.
    directory: &'a Path,
    idle_connections: u64,
    results: Results,
}

/// Builds and measures the selected servers. A failure of one server is reported, and the others continue.
///
/// # Errors
///
/// Returns an error if nothing can be measured: without `wrk`, or without a second core.
pub(crate) fn run(arguments: &Arguments) -> Result<Results> {
    let wrk = load::version()?;
    if arguments.server_core == arguments.load_core {
        return Err("the server and the load need a core each: --server-core and --load-core are the same".into());
    }
    let results = Results {
        started: machine::now(),
        commit: machine::commit(),
        machine: Machine::look(wrk, arguments.server_core, arguments.load_core),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        ..Results::default()
    };
    let idle_connections = memory::raise_descriptor_limit()?;
    let directory = std::env::temp_dir().join(format!("conduit-benches-{}", std::process::id()));
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    servers::furnish(&directory)?;
    let mut campaign = Campaign {
        arguments,
        directory: &directory,
        idle_connections,
        results,
    };
    let mut contestants = campaign.build();
    if contestants.is_empty() {
        return Err("no server could be built".into());
    }
    // The cores are bound after the build, because cargo may use every core.
    process::pin(arguments.load_core)?;
    for round in 1..=arguments.rounds {
        for row in &arguments.rows {
            for contestant in &contestants {
                campaign.measure(contestant, row, round);
            }
        }
        // The order changes, so that no server always follows the same one.
        contestants.rotate_left(1);
    }
    let results = campaign.results;
    // A leftover in the directory of temporary files is harmless.
    let _ = std::fs::remove_dir_all(&directory);
    Ok(results)
}

impl Campaign<'_> {
    fn build(&mut self) -> Vec<Contestant> {
        let mut contestants = Vec::new();
        for server in &self.arguments.servers {
            eprintln!("building {}", server.name);
            let mut contestant = Contestant {
                server,
                programs: Vec::new(),
            };
            let mut built = Ok(());
            for (ability, source) in server.programs {
                let is_needed = self.arguments.rows.iter().any(|row| row.ability == *ability);
                if is_needed && built.is_ok() {
                    built = source
                        .build(self.arguments.jobs)
                        .map(|program| contestant.programs.push((*ability, *source, program)));
                }
            }
            let program = contestant.programs.first();
            self.results.servers.push(Build {
                name: server.name.into(),
                version: server.version(),
                note: server.note.into(),
                binary_bytes: program
                    .and_then(|(.., path)| path.metadata().ok())
                    .map(|metadata| metadata.len()),
            });
            match built {
                Ok(()) => contestants.push(contestant),
                Err(error) => self.fail(server, "", error),
            }
        }
        contestants
    }

    fn measure(&mut self, contestant: &Contestant, row: &Row, round: u32) {
        let server = contestant.server;
        let is_able = server.source(row.ability).is_some();
        if !is_able || self.results.is_not_applicable(server.name, row.name) {
            return;
        }
        let outcome = match &row.work {
            Work::Load(load) => self.load(contestant, row, load, round),
            Work::Idle(kind) => self.idle(contestant, row, *kind, round),
            Work::Start => self.start(contestant, row, round),
            Work::Paced(load) => self.paced(contestant, row, load, round),
            Work::Echo(echo) => self.echo(contestant, row, echo, round),
            Work::Broadcast(kind) => self.broadcast(contestant, row, *kind, round),
        };
        match outcome {
            Ok(figure) => {
                eprintln!(
                    "round {round}/{}  {:<13} {:<13} {figure}",
                    self.arguments.rounds, row.name, server.name
                );
            }
            Err(error) => self.fail(server, row.name, error),
        }
    }

    fn fail(&mut self, server: &Server, row: &str, text: String) {
        let failure = Remark {
            server: server.name.into(),
            row: row.into(),
            text,
        };
        eprintln!("FAILED: {failure}");
        if !self.results.has_failed(server.name, row) {
            self.results.failures.push(failure);
        }
    }

    fn spawn(&self, contestant: &Contestant, ability: Ability, canned: &str, tls: bool) -> Result<Process> {
        let program = contestant.programs.iter().find(|program| program.0 == ability);
        let (_, source, program) = program.ok_or("has no program for this row")?;
        Process::start(
            |address| source.command(program, address, canned, tls, self.directory),
            self.arguments.server_core,
            self.arguments.load_core,
        )
    }

    fn load(&mut self, contestant: &Contestant, row: &Row, load: &Load, round: u32) -> Result<String> {
        let canned = if load.close { "close" } else { load.question.canned };
        let mut process = self.spawn(contestant, row.ability, canned, load.tls)?;
        let stream = process.connect_when_ready()?;
        let after = match load.streams {
            Some(_) => http2::rehearse(process.address, load, self.directory)?,
            None => probe::rehearse(stream, load)?,
        };
        if load.close && after == AfterAnswer::StillOpen {
            return Ok(self.skip(contestant, row, "keeps the connection open after `Connection: close`"));
        }
        let seconds = self.arguments.seconds * load.times();
        let directory = self.directory;
        self.sample(contestant, row, round, &process, |address| match load.streams {
            Some(streams) => http2::run(load, streams, address, seconds, directory),
            None => load::run(load, address, seconds),
        })
    }

    /// The server lacks the ability of a row, which does not count as a failure.
    fn skip(&mut self, contestant: &Contestant, row: &Row, text: &str) -> String {
        self.results.not_applicable.push(Remark {
            server: contestant.server.name.into(),
            row: row.name.into(),
            text: text.to_owned(),
        });
        text.to_owned()
    }

    fn echo(&mut self, contestant: &Contestant, row: &Row, echo: &Echo, round: u32) -> Result<String> {
        let mut process = self.spawn(contestant, row.ability, PLAINTEXT.canned, false)?;
        let opened = websocket::open(process.connect_when_ready()?, "/echo", false)?;
        echo.once(&opened.stream)?;
        drop(opened);
        let seconds = self.arguments.seconds;
        self.sample(contestant, row, round, &process, |address| {
            websocket::run(echo, address, seconds)
        })
    }

    /// Measures the memory of each subscriber, and then the CPU time of each delivery. The figures do not include opening the
    /// connections.
    fn broadcast(&mut self, contestant: &Contestant, row: &Row, kind: Subscribers, round: u32) -> Result<String> {
        let mut process = self.spawn(contestant, row.ability, PLAINTEXT.canned, false)?;
        let mut topic = match Broadcast::new(&mut process, kind) {
            Err(error) if error == broadcast::UNCOMPRESSED => return Ok(self.skip(contestant, row, &error)),
            result => result?,
        };
        // The first delivery initialises the state that all subscribers share.
        topic.round()?;
        process.settle()?;
        let before = process.memory()?;
        for _ in 1..self.idle_connections {
            topic.subscribe(&process)?;
        }
        topic.round()?;
        process.settle()?;
        let after = process.memory()?;
        let bytes = (after.anonymous as f64 - before.anonymous as f64) / (self.idle_connections - 1) as f64;
        self.results.idles.push(IdleSample {
            server: contestant.server.name.into(),
            row: row.name.into(),
            round,
            connections: self.idle_connections,
            bytes_per_connection: bytes,
        });
        let seconds = self.arguments.seconds;
        let figure = self.sample(contestant, row, round, &process, |_| topic.run(seconds))?;
        Ok(format!("{figure}, {bytes:.0} B a subscriber"))
    }

    /// Runs a load, and adds its sample.
    fn sample(
        &mut self,
        contestant: &Contestant,
        row: &Row,
        round: u32,
        process: &Process,
        run: impl FnOnce(std::net::SocketAddr) -> Result<load::Report>,
    ) -> Result<String> {
        process.settle()?;
        let core = self.arguments.server_core;
        let (busy_before, stolen_before) = machine::busy_ticks(core);
        let before = process.cpu_time()?;
        let report = run(process.address)?;
        // Closing the connections is part of the work, also after the end of the load.
        process.settle()?;
        let used = process.cpu_time()?.since(before);
        let (busy, stolen) = machine::busy_ticks(core);
        let memory = process.memory()?;
        let core_seconds = (busy - busy_before + stolen - stolen_before) as f64 / 100.0;
        let sample = LoadSample {
            server: contestant.server.name.into(),
            row: row.name.into(),
            round,
            requests: report.requests,
            seconds: report.microseconds as f64 / 1e6,
            cpu_nanoseconds: used.nanoseconds,
            user_ticks: used.user_ticks,
            system_ticks: used.system_ticks,
            p50_us: report.p50_us,
            p99_us: report.p99_us,
            resident_bytes: memory.resident,
            anonymous_bytes: memory.anonymous,
            disturbed_seconds: (core_seconds - used.nanoseconds as f64 / 1e9).max(0.0),
        };
        let figure = format!("{:.2} µs, {:.0}/s", sample.cpu_us(), sample.per_second());
        self.results.loads.push(sample);
        Ok(figure)
    }

    fn idle(&mut self, contestant: &Contestant, row: &Row, kind: Idle, round: u32) -> Result<String> {
        let mut process = self.spawn(contestant, row.ability, PLAINTEXT.canned, kind == Idle::Https)?;
        let bytes = memory::idle_connection_bytes(&mut process, self.idle_connections, kind)?;
        self.results.idles.push(IdleSample {
            server: contestant.server.name.into(),
            row: row.name.into(),
            round,
            connections: self.idle_connections,
            bytes_per_connection: bytes,
        });
        Ok(format!("{bytes:.0} B a connection"))
    }

    /// Finds the server's capacity with the load of the row, and then measures at half of it.
    fn paced(&mut self, contestant: &Contestant, row: &Row, load: &Load, round: u32) -> Result<String> {
        let mut process = self.spawn(contestant, row.ability, load.question.canned, load.tls)?;
        drop(process.connect_when_ready()?);
        let capacity = match load.streams {
            Some(streams) => http2::run(load, streams, process.address, 1, self.directory)?,
            None => load::run(load, process.address, 1)?,
        };
        process.settle()?;
        let rate = capacity.requests * 1_000_000 / capacity.microseconds.max(1) / 2;
        let is_http2 = load.streams.is_some();
        let latencies = paced::run(load.question, process.address, rate, self.arguments.seconds, is_http2)?;
        self.results.paced.push(PacedSample {
            server: contestant.server.name.into(),
            row: row.name.into(),
            round,
            rate,
            p50_us: latencies.p50_us,
            p99_us: latencies.p99_us,
            p999_us: latencies.p999_us,
        });
        Ok(format!(
            "{rate}/s: {:.0} · {:.0} · {:.0} µs",
            latencies.p50_us, latencies.p99_us, latencies.p999_us
        ))
    }

    fn start(&mut self, contestant: &Contestant, row: &Row, round: u32) -> Result<String> {
        let mut fastest = f64::INFINITY;
        for _ in 0..STARTS {
            let start = Instant::now();
            let mut process = self.spawn(contestant, row.ability, PLAINTEXT.canned, false)?;
            let seconds = memory::first_answer_seconds(&mut process, start)?;
            process.settle()?;
            let memory = process.memory()?;
            self.results.starts.push(StartSample {
                server: contestant.server.name.into(),
                round,
                first_answer_seconds: seconds,
                resident_bytes: memory.resident,
                anonymous_bytes: memory.anonymous,
            });
            fastest = fastest.min(seconds);
        }
        Ok(format!("{:.2} ms at best", fastest * 1e3))
    }
}
