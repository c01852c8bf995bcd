//! The real program with a temporary database, and an independent client.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use ureq::Agent;

pub(crate) const PASSWORD: &str = "correct horse";

/// More than the number of cores, so that several runtimes share the database in every test.
const WORKERS: &str = "4";

/// A directory that is removed when the test ends.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "shortlinks-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        // A killed process with this id may have left it.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("the directory for temporary files can be written to");
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The system cleans files that cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program, which ends with the test.
pub(crate) struct Service {
    child: Child,
    // Kept open, so that the program can continue to write to it.
    _output: BufReader<ChildStdout>,
    pub(crate) address: String,
    agent: Agent,
    /// The field `cookie` of the requests; empty before signing in.
    cookie: String,
}

impl Service {
    /// Starts the program and waits until it listens.
    pub(crate) fn start(database: &Path) -> Self {
        Service::start_at("127.0.0.1:0", database)
    }

    /// Starts the program at this address.
    pub(crate) fn start_at(address: &str, database: &Path) -> Self {
        let mut child = command(database)
            .env("CONDUIT_ADDR", address)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it prints its address");
        let address = line
            .trim_end()
            .strip_prefix("Listening on ")
            .unwrap_or_else(|| panic!("expected the address, found {line:?}"))
            .to_owned();
        Service {
            child,
            _output: output,
            address,
            agent: client(),
            cookie: String::new(),
        }
    }

    /// Starts the program, and signs in as a user with this name, after a sign-up if necessary.
    pub(crate) fn start_as(name: &str, database: &Path) -> Self {
        let mut service = Service::start(database);
        let credentials = json!({ "name": name, "password": PASSWORD });
        service.post("/api/users", &credentials);
        let session = service.post("/api/session", &credentials);
        assert_eq!(session.status, 201, "{session:?}");
        let cookie = session.header("set-cookie").split(';').next();
        service.cookie = cookie.expect("a name and a value").to_owned();
        service
    }

    /// Ends the program as a service manager does.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the program runs");
        self.child.wait().expect("it is our child")
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(self.at(path));
        request.header("cookie", &self.cookie).call().expect("an answer").into()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .agent
            .post(self.at(path))
            .header("content-type", "application/json");
        let request = request.header("cookie", &self.cookie);
        request.send(body.to_string()).expect("an answer").into()
    }

    /// Creates a link.
    pub(crate) fn create(&self, link: &Value) -> Answer {
        self.post("/api/links", link)
    }

    /// The number of redirects according to the API.
    pub(crate) fn clicks(&self, slug: &str) -> u64 {
        let link = self.get(&format!("/api/links/{slug}"));
        link.json()["clicks"].as_u64().expect("clicks are a number")
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // After `terminate` it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, not started yet, on a port that the system chooses.
pub(crate) fn command(database: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shortlinks"));
    command
        .env("SHORTLINKS_DB", database)
        .env("CONDUIT_ADDR", "127.0.0.1:0")
        .env("CONDUIT_ENV", "production")
        .env("CONDUIT_WORKERS", WORKERS);
    command
}

/// A client with separate connections. It returns redirects and errors as responses.
pub(crate) fn client() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0);
    config.build().into()
}

/// A response of the service.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: ureq::http::HeaderMap,
    pub(crate) text: String,
}

impl From<ureq::http::Response<ureq::Body>> for Answer {
    fn from(mut response: ureq::http::Response<ureq::Body>) -> Self {
        Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            text: response.body_mut().read_to_string().expect("the body is whole"),
        }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("{name} is missing in {self:?}"))
            .to_str()
            .expect("the value is ASCII")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}
