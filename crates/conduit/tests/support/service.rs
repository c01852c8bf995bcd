//! A database that tests start by the script `tests/support/postgresql`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The exit code of the script if its server is not installed.
const NOT_INSTALLED: i32 = 77;

/// A running server.
pub(crate) struct Service {
    /// Stops the server when its input ends.
    _script: Child,
    pub(crate) url: String,
}

impl Service {
    /// A PostgreSQL server for all tests of this process, with whose end it stops.
    pub(crate) fn postgresql() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Service>> = OnceLock::new();
        SERVER.get_or_init(Service::start).as_ref()
    }

    /// Starts a server. Returns `None` where it is not installed and the test is to be skipped; with `CI=true` it fails.
    fn start() -> Option<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../conduit/tests/support/postgresql");
        let mut script = Command::new(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the script is there");
        let mut url = String::new();
        let output = script.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut url).expect("the output is text");
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
        Some(Service { _script: script, url })
    }
}
