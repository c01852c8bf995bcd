//! Precompressed variants of files.

use std::path::PathBuf;
use std::sync::LazyLock;

use conduit::Files;
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::{directory, field, write};

static CODED: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = directory("codings");
    write(
        &path,
        &[
            ("all.js", "plain content"),
            ("all.js.zst", "zstd content"),
            ("all.js.br", "brotli content"),
            ("all.js.gz", "gzip content"),
            ("some.css", "plain"),
            ("some.css.gz", "gzip"),
            ("none.txt", "plain"),
            ("LICENSE", "plain"),
            ("README", "plain"),
            ("README.br", "brotli"),
            ("only.js.gz", "gzip"),
            ("index.html", "plain"),
            ("index.html.br", "brotli"),
        ],
    );
    path
});

fn client() -> TestClient {
    TestClient::new(App::new(()).routes(routes![Files::new(&*CODED).precompressed().single_page("index.html")]))
}

#[test]
fn the_client_selects_a_variant() {
    let client = client();
    for (path, accepted, coding, text) in [
        ("/all.js", "gzip, br, zstd", "zstd", "zstd content"),
        ("/all.js", "gzip, br", "br", "brotli content"),
        ("/all.js", "gzip", "gzip", "gzip content"),
        ("/all.js", "gzip;q=0.9, br;q=0.1", "gzip", "gzip content"),
        ("/all.js", "identity", "", "plain content"),
        ("/all.js", "zstd;q=0", "", "plain content"),
        ("/all.js", "", "", "plain content"),
        ("/some.css", "zstd, br, gzip", "gzip", "gzip"),
        ("/some.css", "br", "", "plain"),
        ("/none.txt", "zstd, br, gzip", "", "plain"),
        ("/LICENSE", "zstd, br, gzip", "", "plain"),
        ("/README", "zstd, br, gzip", "br", "brotli"),
        ("/", "br", "br", "brotli"),
    ] {
        let response = client.get(path).header("accept-encoding", accepted).send();
        response.assert_status(200).assert_text(text);
        assert_eq!(
            response.header("content-encoding").unwrap_or_default(),
            coding,
            "{path} {accepted}"
        );
        response.assert_header("vary", "accept, accept-encoding, sec-fetch-mode");
    }
    client
        .get("/all.js")
        .header("accept-encoding", "br")
        .send()
        .assert_header("content-type", "text/javascript; charset=utf-8");
    // Requested by its name, a variant is a file like any other.
    let own = client.get("/all.js.gz").header("accept-encoding", "gzip").send();
    own.assert_status(200)
        .assert_text("gzip content")
        .assert_header("content-type", "application/gzip");
    assert_eq!(own.header("content-encoding"), None);
    // Without the file itself no representation exists for every client.
    client
        .get("/only.js")
        .header("accept-encoding", "gzip")
        .send()
        .assert_status(404);
    let page = client
        .get("/any")
        .header("accept-encoding", "br")
        .header("sec-fetch-mode", "navigate")
        .send();
    page.assert_status(200)
        .assert_text("brotli")
        .assert_header("content-type", "text/html; charset=utf-8");
}

/// RFC 9110, section 8.8.3.3: the tags of the codings differ, and `vary` is the same in every response.
#[test]
fn each_coding_has_its_tag_and_its_ranges() {
    let client = client();
    let mut tags = Vec::new();
    for (accepted, text) in [
        ("", "plain content"),
        ("zstd", "zstd content"),
        ("br", "brotli content"),
        ("gzip", "gzip content"),
    ] {
        let get = || client.get("/all.js").header("accept-encoding", accepted);
        let whole = get().send();
        let tag = field(&whole, "etag");
        assert!(!tags.contains(&tag) && !tag.starts_with("W/"), "{tag}");
        let known = get().header("if-none-match", &tag).send();
        known.assert_status(304).assert_header("etag", &tag);
        let part = get().header("range", "bytes=0-3").header("if-range", &tag).send();
        part.assert_status(206)
            .assert_text(&text[..4])
            .assert_header("etag", &tag);
        part.assert_header("content-range", &format!("bytes 0-3/{}", text.len()));
        let outside = get().header("range", "bytes=99-").send();
        outside.assert_status(416);
        assert_eq!(part.header("content-encoding"), whole.header("content-encoding"));
        for response in [&whole, &known, &part, &outside] {
            response.assert_header("vary", "accept, accept-encoding, sec-fetch-mode");
        }
        // Neither a range nor a 304 of another coding.
        for other in &tags {
            get().header("if-none-match", other).send().assert_status(200);
            get()
                .header("range", "bytes=0-3")
                .header("if-range", other)
                .send()
                .assert_status(200);
        }
        tags.push(tag);
    }
}

#[test]
fn without_the_setting_variants_are_not_served() {
    let client = TestClient::new(App::new(()).routes(routes![Files::new(&*CODED)]));
    let response = client.get("/all.js").header("accept-encoding", "br").send();
    response.assert_text("plain content");
    assert_eq!(response.header("vary"), None);
}
