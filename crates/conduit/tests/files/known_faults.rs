//! Known faults of other file servers, each with its identifier.

use std::path::PathBuf;
use std::sync::LazyLock;

use conduit::Files;
use conduit::layer::Compression;
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::{directory, field, write};

static TREE: LazyLock<PathBuf> = LazyLock::new(|| {
    let base = directory("known-faults");
    write(
        &base,
        &[
            ("secret.txt", "secret"),
            ("public/a.txt", "a"),
            ("public/LICENSE", "free"),
            ("public/app.js", &"script ".repeat(1000)),
            ("public/app.js.gz", "gzip"),
        ],
    );
    base.join("public")
});

fn client() -> TestClient {
    TestClient::new(App::new(()).routes(routes!["/static" => Files::new(&*TREE).precompressed()]))
}

/// CVE-2026-27585: a part of the server treats a backslash as a separator.
#[test]
fn backslashes_are_not_found() {
    let client = client();
    for path in [
        "/static/..%5csecret.txt",
        "/static/..%5Csecret.txt",
        "/static/a%5c..%5c..%5csecret.txt",
        "/static/%5c%5c..%5csecret.txt",
        "/static/..\\secret.txt",
    ] {
        let response = client.get(path).send();
        assert!(
            matches!(response.status().as_u16(), 400 | 404),
            "{path}: {}",
            response.status()
        );
    }
}

/// actix-files 0.6.10: an empty `Range` panics.
#[test]
fn an_empty_range_is_ignored() {
    let client = client();
    for range in ["", "bytes=", "bytes=,", "bytes=-", " "] {
        client
            .get("/static/a.txt")
            .header("range", range)
            .send()
            .assert_status(200)
            .assert_text("a");
    }
}

/// actix-files 0.6.10: a directory that does not exist is the working directory.
#[test]
fn a_missing_directory_serves_nothing() {
    let client = TestClient::new(App::new(()).routes(routes![
        "/missing" => Files::new("a/directory/that/does/not/exist").listing(),
        "/empty" => Files::new("").listing(),
    ]));
    assert!(std::path::Path::new("Cargo.toml").exists(), "tests run in the package");
    for prefix in ["/missing", "/empty"] {
        for path in ["Cargo.toml", "", "src/lib.rs"] {
            client.get(&format!("{prefix}/{path}")).send().assert_status(404);
        }
    }
}

/// goauthentik#25855: one strong tag for several codings.
#[test]
fn codings_do_not_share_a_tag() {
    let client = client();
    let plain = client.get("/static/app.js").send();
    let coded = client.get("/static/app.js").header("accept-encoding", "gzip").send();
    assert_ne!(field(&plain, "etag"), field(&coded, "etag"));
}

/// tower-http#504: with precompression, a file without an extension is not found.
#[test]
fn a_file_without_an_extension_is_found_with_precompression() {
    let response = client()
        .get("/static/LICENSE")
        .header("accept-encoding", "gzip, br, zstd")
        .send();
    response.assert_status(200).assert_text("free");
}

/// actix-web#3923: a partial response is compressed, so that its range refers to other bytes.
#[test]
fn a_partial_response_is_not_compressed() {
    let app = App::new(())
        .routes(routes![Files::new(&*TREE)])
        .layer(Compression::new().from_bytes(0));
    let client = TestClient::new(app);
    for range in ["bytes=0-2999", "bytes=0-2999,4000-5999"] {
        let response = client
            .get("/app.js")
            .header("accept-encoding", "gzip")
            .header("range", range)
            .send();
        response.assert_status(206);
        assert_eq!(response.header("content-encoding"), None);
    }
}

/// A redirect to `//host` leads to another host (open redirect).
#[test]
fn no_redirect_names_another_host() {
    let client = TestClient::new(App::new(()).routes(routes![Files::new(&*TREE)]));
    for path in [
        "//example.org",
        "//example.org/..",
        "/%5cexample.org",
        "/\\example.org",
        "//public",
        "/%2fexample.org",
    ] {
        let response = client.get(path).send();
        assert!(response.status().is_client_error(), "{path}: {}", response.status());
        assert_eq!(response.header("location"), None);
    }
}
