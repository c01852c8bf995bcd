//! The start of a run: its server, the request whose handler runs the simulator, and the outcome.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::random::Random;
use crate::secure;

/// Each deadline of the server. The small steps of the clock add up to less.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

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
        let client = TestClient::new(app).with_patience(Duration::from_secs(120));
        *self.0.lock().expect("no panic under this lock") = Some((seed, client.clone()));
        let response = client.post("/simulate").send();
        let text = response.text();
        match response.status().as_u16() {
            200 => Ok(text.to_owned()),
            _ => Err(format!(
                "seed {seed}: {}\nreplay: CONDUIT_SIMULATOR_SEED={seed} cargo test -p conduit-web --all-features --test simulator",
                text.replace("\\n", "\n").replace("), (", "),\n  (")
            )),
        }
    }

    /// Takes the client: the server must end with the test's own client.
    pub(crate) fn take(&self) -> (Random, TestClient) {
        let start = self.0.lock().expect("no panic under this lock").take();
        let (seed, client) = start.expect("one run");
        (Random::new(seed), client)
    }
}

/// Runs with the clock paused, on the worker's thread, which orders all events by the seed alone.
pub(crate) async fn paused(run: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::time::pause();
    let ended = run.await;
    tokio::time::resume();
    ended
}

/// The log of a run, or the violated invariant with the log before it as a problem.
pub(crate) fn outcome(ended: Result<(), String>, log: &[String]) -> Result<String, Problem> {
    let log = log.join("\n");
    match ended {
        Ok(()) => Ok(log),
        Err(violation) => Err(Problem::new(StatusCode::CONFLICT).with_detail(format!("{violation}\n{log}"))),
    }
}
