//! The program with two pages of Chromium, across restarts, and two processes that share Redis or PostgreSQL.

#[path = "../../../../crates/conduit/tests/support/chromium.rs"]
mod chromium;
#[path = "../../../../crates/conduit/tests/support/redis.rs"]
mod redis_server;
#[path = "../../../../crates/conduit/tests/support/service.rs"]
mod service;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use chromium::{Browser, Page};
use redis_server::RedisServer;
use service::Service;

/// The number of times that the program stops and starts again while the pages stay open.
const RESTARTS: usize = 10;

/// The program, which ends with the test.
struct Program {
    child: Child,
    /// `127.0.0.1:PORT`.
    address: String,
}

impl Program {
    /// Starts the program at this address, and waits until it listens.
    fn start(address: &str) -> Self {
        Program::start_with(address, &[])
    }

    /// Starts the program as [`start`](Self::start) does, with variables of the environment.
    fn start_with(address: &str, variables: &[(&str, String)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_board"))
            .env("CONDUIT_ADDR", address)
            .env("CONDUIT_WORKERS", "2")
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("its output is piped"));
        output.read_line(&mut line).expect("it prints its address");
        let address = line.trim_end().strip_prefix("Listening on http://");
        Program {
            address: address
                .unwrap_or_else(|| panic!("expected the address, found {line:?}"))
                .to_owned(),
            child,
        }
    }

    /// Stops the program as a service manager does, and starts it again at the same address.
    fn restart(mut self) -> Self {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the program runs");
        let status = self.child.wait().expect("it is our child");
        let mut log = String::new();
        let mut errors = self.child.stderr.take().expect("it is piped");
        errors.read_to_string(&mut log).expect("the log is text");
        assert!(status.success() && !log.contains("ERROR"), "{status}\n{log}");
        Program::start(&self.address)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The texts of the messages on a page.
const NOTES: &str = "[...document.querySelectorAll('#notes li')].map((note) => note.lastChild.textContent)";

/// Waits until both pages show these messages, each once, in any order.
fn assert_notes(browser: &mut Browser, pages: [&Page; 2], expected: &[String]) {
    let mut sorted: Vec<_> = expected.iter().map(|text| json!(text)).collect();
    sorted.sort_by_key(|text| text.to_string());
    for page in pages {
        browser.wait(page, &format!("{NOTES}.length >= {}", expected.len()));
        let mut notes = browser.value(page, NOTES);
        let notes = notes.as_array_mut().expect("texts");
        notes.sort_by_key(|text| text.to_string());
        assert_eq!(notes, &sorted);
    }
}

/// Records the positions of the received messages, because the page displays a repeated message only once.
const RECORD: &str = "globalThis.positions = []; globalThis.show = receive;
    receive = (event) => { if (event.type === 'note') positions.push(event.position); show(event); };";

/// The shared files in the activity of a page.
const FILES: &str = "[...document.querySelectorAll('#feed a')].map((link) => link.parentElement.textContent)";

/// The sizes of the shared files that a page can load, and the status of the others.
const CONTENTS: &str = "Promise.all([...document.querySelectorAll('#feed a')].map(async (link) => {
    const response = await fetch(link.href);
    return response.ok ? (await response.arrayBuffer()).byteLength : response.status;
}))";

/// Moves the cursor of a page.
const MOVE: &str =
    "document.querySelector('#board').dispatchEvent(new PointerEvent('pointermove', { clientX: 99, clientY: 199 }))";

/// Shares a file of this size from a page.
fn share(browser: &mut Browser, page: &Page, bytes: usize) {
    let share = format!(
        "{{ const files = new DataTransfer(); files.items.add(new File(['x'.repeat({bytes})], 'x.txt'));
        element('file').files = files.files; element('file').onchange() }}"
    );
    browser.value(page, &share);
}

/// The number of stops of the server while both processes run.
const STOPS: usize = 3;

#[test]
fn two_processes_share_the_board_across_stops_of_redis() {
    let Some(mut redis) = RedisServer::durable() else {
        return;
    };
    share_board("redis", ("CONDUIT_REDIS_URL", redis.url()), |is_up| match is_up {
        true => redis.start(),
        false => redis.stop(Signal::TERM),
    });
}

#[test]
fn two_processes_share_the_board_across_stops_of_postgresql() {
    let Some(mut database) = Service::start() else {
        return;
    };
    share_board("postgresql", ("BOARD_DATABASE_URL", database.url.clone()), |is_up| {
        database.command(if is_up { "start" } else { "stop" });
    });
}

/// Two pages at different processes, while the server that both share stops and starts.
fn share_board(server: &str, variable: (&str, String), mut switch: impl FnMut(bool)) {
    let directory = std::env::temp_dir().join(format!("board-{server}-{}", std::process::id()));
    let Some(mut browser) = Browser::start(&directory) else {
        return;
    };
    let variables = [variable];
    let programs = [(); 2].map(|()| Program::start_with("127.0.0.1:0", &variables));
    let page = |program: &Program, name: &str| format!("http://{}/?name={name}", program.address);
    let ada = browser.open(&page(&programs[0], "ada"));
    let bob = browser.open(&page(&programs[1], "bob"));
    for page in [&ada, &bob] {
        browser.wait(page, "document.querySelectorAll('#present li').length === 2");
        browser.value(page, RECORD);
    }
    browser.value(&ada, MOVE);
    browser.wait(&bob, "document.querySelector('#cursors span')?.textContent === 'ada'");
    let mut expected = Vec::new();
    let write = |browser: &mut Browser, page: &Page, text: String| {
        browser.value(page, &format!("write('{text}')"));
        text
    };
    for round in 0..=STOPS {
        if round > 0 {
            switch(false);
            expected.push(write(&mut browser, &ada, format!("ada during {round}")));
            expected.push(write(&mut browser, &bob, format!("bob during {round}")));
            switch(true);
        }
        expected.push(write(&mut browser, &ada, format!("ada {round}")));
        expected.push(write(&mut browser, &bob, format!("bob {round}")));
        assert_notes(&mut browser, [&ada, &bob], &expected);
        // The sizes distinguish the files. Each is an event of the activity on both pages, in the same order.
        for (count, page) in [(2 * round + 1, &ada), (2 * round + 2, &bob)] {
            share(&mut browser, page, 100 + count);
            for page in [&ada, &bob] {
                browser.wait(page, &format!("document.querySelectorAll('#feed a').length >= {count}"));
            }
        }
    }
    let files = browser.value(&ada, FILES);
    assert_eq!(browser.value(&bob, FILES), files);
    let texts = files.as_array().expect("texts");
    assert_eq!(texts.len(), 2 * (STOPS + 1), "{files}");
    for (index, text) in texts.iter().enumerate() {
        let ending = format!(" of {} bytes", 101 + index);
        assert!(text.as_str().expect("a text").ends_with(&ending), "{files}");
    }
    // A process serves the files that it received, and none of the other process under their paths.
    assert_eq!(
        browser.value(&ada, CONTENTS),
        json!([101, 404, 103, 404, 105, 404, 107, 404])
    );
    // Both processes have the same order, and no message twice.
    let positions = browser.value(&ada, "positions");
    assert_eq!(browser.value(&bob, "positions"), positions);
    assert_eq!(
        browser.value(&ada, "new Set(positions).size"),
        json!(positions.as_array().map(Vec::len)),
        "{positions}"
    );
    for page in [&ada, &bob] {
        browser.wait(page, "document.querySelectorAll('#present li').length === 2");
    }
    browser.screenshot(&bob, "BOARD_SCREENSHOTS", &format!("board-{server}"));
    drop(browser);
    // The system cleans files that cannot be removed.
    let _ = std::fs::remove_dir_all(directory);
}

#[test]
fn two_pages_share_the_board_across_restarts() {
    let directory = std::env::temp_dir().join(format!("board-{}", std::process::id()));
    let Some(mut browser) = Browser::start(&directory) else {
        return;
    };
    let mut program = Program::start("127.0.0.1:0");
    let page = |name: &str| format!("http://{}/?name={name}", program.address);
    let (ada, bob) = (browser.open(&page("ada")), browser.open(&page("bob")));
    for page in [&ada, &bob] {
        browser.wait(page, "document.querySelectorAll('#present li').length === 2");
    }

    // The cursor of one page is displayed on the other.
    browser.value(&ada, MOVE);
    browser.wait(&bob, "document.querySelector('#cursors span')?.textContent === 'ada'");

    // A file, and the feed.
    share(&mut browser, &ada, 100_000);
    browser.wait(
        &bob,
        "document.querySelector('#feed a')?.textContent === 'has shared a file of 100000 bytes'",
    );

    // Every message is displayed once on both pages, although the server restarts while messages are sent.
    let mut expected = Vec::new();
    for round in 0..=RESTARTS {
        if round > 0 {
            browser.value(&ada, &format!("write('during {round}')"));
            expected.push(format!("during {round}"));
            program = program.restart();
        }
        browser.value(&bob, &format!("write('<i>after {round}</i>')"));
        expected.push(format!("<i>after {round}</i>"));
        assert_notes(&mut browser, [&ada, &bob], &expected);
        for page in [&ada, &bob] {
            browser.wait(page, "document.querySelectorAll('#present li').length === 2");
        }
    }
    assert_eq!(browser.value(&bob, "document.querySelectorAll('#notes i').length"), 0);
    for page in [&ada, &bob] {
        assert_eq!(
            browser.value(page, "violations"),
            json!([]),
            "the page respects its policy"
        );
    }
    browser.screenshot(&bob, "BOARD_SCREENSHOTS", "board");
    drop(browser);
    // The system cleans files that cannot be removed.
    let _ = std::fs::remove_dir_all(directory);
}
