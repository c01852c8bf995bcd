//! The start of a run: its server, the request whose handler runs the simulator, and the outcome.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit_server::internal::clock;

use crate::pace;
use crate::random::Random;
use crate::secure;

/// Each deadline of the server. The small steps of the clock add up to less.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The wall-clock time at which each run begins, since 1970: 29 November 2026, 12:00:00.
const BEGIN: Duration = Duration::from_secs(1_795_953_600);
/// The maximum number of turns of a run. The longest of 3,750 seeds has 1,440.
const MOST_TURNS: u64 = 100_000;

/// The seed and the client of a run, for the handler that runs the simulator.
#[derive(Clone, Default)]
pub(crate) struct Start(Arc<Mutex<Option<(u64, TestClient)>>>);

impl Start {
    /// Runs the simulator of this application, which has a handler of `POST /simulate`. Returns the log of its events.
    pub(crate) fn simulate<S: 'static>(&self, seed: u64, app: App<S, Routes<S>>) -> Result<String, String> {
        let app = app
            .head_timeout(DEADLINE)
            .idle_timeout(DEADLINE)
            .minimum_rate(1, DEADLINE)
            // Windows are opened in small steps, which costs glitches.
            .http2_glitch_limit(1_000_000, 1000)
            .shutdown_timeout(Duration::from_secs(3600))
            .tls(secure::tls());
        let client = TestClient::new(app).with_timeout(Duration::from_secs(120));
        *self.0.lock().expect("no panic under this lock") = Some((seed, client.clone()));
        let response = client.post("/simulate").send();
        let text = response.text();
        match response.status().as_u16() {
            200 => Ok(text.to_owned()),
            _ => Err(text.replace("\\n", "\n").replace("), (", "),\n  (")),
        }
    }

    /// Takes the client: the server must end with the test's own client.
    pub(crate) fn take(&self) -> (Random, TestClient) {
        let start = self.0.lock().expect("no panic under this lock").take();
        let (seed, client) = start.expect("one run");
        (Random::new(seed), client)
    }
}

/// Runs with the clock paused, on the worker's thread, which orders all events by the seed alone. The wall-clock time is that of
/// the run, too, so that two runs of a seed have the same bytes.
pub(crate) async fn paused(run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::time::pause();
    clock::set(BEGIN);
    // The second ends whose beginning was in real time.
    pace::second().await;
    // While nothing happens, tokio moves the paused clock from timer to timer: a run that waits without end reaches this time.
    let ended = tokio::time::timeout(Duration::from_secs(MOST_TURNS), within_turns(run)).await;
    tokio::time::resume();
    ended.unwrap_or_else(|_| Err(format!("the run has not ended after {MOST_TURNS} s of its clock")))
}

/// Ends a run after [`MOST_TURNS`].
async fn within_turns(run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let mut run = pin!(run);
    let mut turns = 0;
    poll_fn(|context| {
        turns += 1;
        match turns > MOST_TURNS {
            true => Poll::Ready(Err(format!("the run has not ended after {MOST_TURNS} turns"))),
            false => run.as_mut().poll(context),
        }
    })
    .await
}

/// The log of a run, or the violated invariant with the log before it as a problem.
pub(crate) fn outcome(ended: Result<(), String>, log: &[String]) -> Result<String, Problem> {
    let log = log.join("\n");
    match ended {
        Ok(()) => Ok(log),
        Err(violation) => Err(Problem::new(StatusCode::CONFLICT).with_detail(format!("{violation}\n{log}"))),
    }
}

/// A way in which a run fails, for the tests of the runner.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    Panic,
    Yields,
    Waits,
}

/// Runs a seed of a simulator that fails in this way for one seed.
pub(crate) fn fails_at(seed: u64, failing: u64, failure: Failure) -> Result<String, String> {
    let start = Start::default();
    let app = App::new((start.clone(), (seed == failing).then_some(failure))).routes(routes![simulate_failure]);
    start.simulate(seed, app)
}

#[post("/simulate")]
async fn simulate_failure(state: State<(Start, Option<Failure>)>) -> Result<String, Problem> {
    let _client = state.0.0.take();
    let failure = state.0.1;
    let run = async {
        match failure {
            None => Ok(()),
            Some(Failure::Panic) => panic!("a simulated panic of the simulator"),
            Some(Failure::Yields) => loop {
                tokio::task::yield_now().await;
            },
            Some(Failure::Waits) => std::future::pending().await,
        }
    };
    outcome(paused(run).await, &[])
}
