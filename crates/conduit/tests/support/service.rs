//! A database that tests start by the script `tests/support/postgresql`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// The exit code of the script if its server is not installed.
const NOT_INSTALLED: i32 = 77;

/// A running server.
pub(crate) struct Service {
    /// Stops the server when its input ends.
    script: Child,
    output: BufReader<ChildStdout>,
    pub(crate) url: String,
}

#[allow(dead_code, reason = "not each test file uses all of these")]
impl Service {
    /// A PostgreSQL server for all tests of this process, with whose end it stops.
    pub(crate) fn postgresql() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Service>> = OnceLock::new();
        SERVER.get_or_init(Service::start).as_ref()
    }

    /// Starts a server. Returns `None` where it is not installed and the test is to be skipped; with `CI=true` it fails.
    pub(crate) fn start() -> Option<Self> {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../crates/conduit/tests/support/postgresql"
        );
        let mut script = Command::new(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the script is there");
        let mut url = String::new();
        let mut output = BufReader::new(script.stdout.take().expect("a pipe"));
        output.read_line(&mut url).expect("the output is text");
        if url.is_empty() {
            let mut errors = String::new();
            let mut pipe = script.stderr.take().expect("a pipe");
            pipe.read_to_string(&mut errors).expect("the errors are text");
            let code = script.wait().expect("the script ends").code();
            let is_skipped = code == Some(NOT_INSTALLED) && std::env::var("CI").as_deref() != Ok("true");
            assert!(is_skipped, "no server: {errors}");
            eprintln!("skipped: {errors}");
            return None;
        }
        let url = url.trim_end().to_owned();
        Some(Service { script, output, url })
    }

    /// Sends a command to the script, `stop`, `kill` or `start`, and waits for its end.
    pub(crate) fn command(&mut self, command: &str) {
        let mut input = self.script.stdin.as_ref().expect("a pipe");
        writeln!(input, "{command}").expect("the script runs");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("the output is text");
        assert_eq!(answer.trim_end(), command);
    }
}
