//! Directories that are embedded in the program.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{Embedded, Files, asset, embed};

use crate::field;

const ASSETS: Embedded = embed!("tests/assets", "/assets", always);
const ON_DISK: Embedded = embed!("tests/assets", "/disk");

fn client() -> TestClient {
    TestClient::new(App::new(()).routes(routes![
        "/assets" => Files::embedded(ASSETS).single_page("index.html"),
        "/disk" => Files::embedded(ON_DISK),
    ]))
}

#[test]
fn an_asset_has_a_hash_in_its_url_and_is_immutable() {
    const STYLE: &str = asset!(ASSETS, "css/app.css");
    let middle = STYLE
        .strip_prefix("/assets/css/app-")
        .and_then(|rest| rest.strip_suffix(".css"));
    assert!(
        middle.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "{STYLE}"
    );
    let client = client();
    let hashed = client.get(STYLE).send();
    hashed
        .assert_status(200)
        .assert_text(include_str!("../assets/css/app.css"))
        .assert_header("content-type", "text/css; charset=utf-8")
        .assert_header("cache-control", "public, max-age=31536000, immutable")
        .assert_header("vary", "accept, accept-encoding, sec-fetch-mode");
    let plain = client.get("/assets/css/app.css").send();
    plain
        .assert_status(200)
        .assert_header("cache-control", "no-cache")
        .assert_header("etag", &field(&hashed, "etag"));
    client
        .get(STYLE)
        .header("if-none-match", field(&plain, "etag"))
        .send()
        .assert_status(304);
}

/// The log of this thread.
#[derive(Clone, Default)]
struct ThreadLog(Arc<Mutex<Vec<u8>>>);

impl Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no thread panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn missing_page_of_a_single_page_application_is_an_error_in_the_log() {
    let log = ThreadLog::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let logged = || String::from_utf8(std::mem::take(&mut *log.0.lock().expect("no thread panics"))).expect("text");
    tracing::subscriber::with_default(subscriber, || {
        for directory in [ASSETS, ON_DISK] {
            let _ = Files::embedded(directory).single_page("/index.html");
            assert_eq!(logged(), "");
            let _ = Files::embedded(directory).single_page("missing.html");
            let text = logged();
            assert!(text.contains("ERROR") && text.contains("missing.html"), "{text}");
        }
    });
}

#[test]
fn hidden_names_are_the_same_in_the_program_and_on_the_disk() {
    let client = TestClient::new(App::new(()).routes(routes![
        "/assets" => Files::embedded(ASSETS).hidden_files(),
        "/disk" => Files::embedded(ON_DISK).hidden_files(),
    ]));
    for prefix in ["/assets", "/disk"] {
        let known = client.get(&format!("{prefix}/.well-known/security.txt")).send();
        known
            .assert_status(200)
            .assert_header("content-type", "text/plain; charset=utf-8");
        client.get(&format!("{prefix}/.hidden")).send().assert_status(404);
    }
}

#[test]
fn embedded_files_are_compressed_once() {
    let client = client();
    let coded = client
        .get(asset!(ASSETS, "app.js"))
        .header("accept-encoding", "br, gzip")
        .send();
    coded.assert_status(200).assert_header("content-encoding", "gzip");
    assert!(coded.bytes().starts_with(b"\x1f\x8b") && coded.bytes().len() < include_bytes!("../assets/app.js").len());
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(coded.bytes()), &mut plain).expect("gzip");
    assert_eq!(plain, include_bytes!("../assets/app.js"));
    let part = client
        .get(asset!(ASSETS, "app.js"))
        .header("accept-encoding", "gzip")
        .header("range", "bytes=0-1")
        .send();
    part.assert_status(206);
    assert_eq!(part.bytes(), b"\x1f\x8b");
    assert_ne!(
        field(&coded, "etag"),
        field(&client.get(asset!(ASSETS, "app.js")).send(), "etag")
    );
    // A compressed variant is a coding of its file, not a separate file.
    let neighbour = client
        .get(asset!(ASSETS, "logo.txt"))
        .header("accept-encoding", "br")
        .send();
    neighbour
        .assert_header("content-encoding", "br")
        .assert_text("not really brotli\n");
    client.get("/assets/logo.txt.br").send().assert_status(404);
    // Too short for compression to pay off.
    let short = client
        .get(asset!(ASSETS, "logo.txt"))
        .header("accept-encoding", "gzip")
        .send();
    assert_eq!(short.header("content-encoding"), None);
}

#[test]
fn embedded_directories_respond_as_others() {
    let client = client();
    client
        .get("/assets")
        .send()
        .assert_status(308)
        .assert_header("location", "./assets/");
    client
        .get("/assets/")
        .send()
        .assert_status(200)
        .assert_text(include_str!("../assets/index.html"));
    client
        .get("/assets/css")
        .send()
        .assert_status(308)
        .assert_header("location", "./css/");
    client.get("/assets/css/").send().assert_status(404);
    client
        .get("/assets/any")
        .header("sec-fetch-mode", "navigate")
        .send()
        .assert_status(200);
    for path in [
        "/assets/missing",
        "/assets/.hidden",
        "/assets/css/..%2fapp.js",
        "/assets/css/%2e%2e/app.js",
    ] {
        client.get(path).send().assert_status(404);
    }
    client.head("/assets/app.js").send().assert_status(200).assert_text("");
    client
        .get("/assets/app.js")
        .header("range", "bytes=0-1,200-201")
        .send()
        .assert_status(206);
}

#[test]
fn debug_builds_read_the_directory() {
    assert_eq!(asset!(ON_DISK, "css/app.css"), "/disk/css/app.css");
    let client = client();
    client
        .get(asset!(ON_DISK, "css/app.css"))
        .send()
        .assert_text(include_str!("../assets/css/app.css"));
    client.get("/disk/logo.txt.br").send().assert_status(200);
}
