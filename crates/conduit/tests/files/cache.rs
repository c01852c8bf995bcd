//! The open files of a worker: their content is current, within the interval at which paths are checked.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use conduit::Files;
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::{directory, field, write};

const INTERVAL: Duration = Duration::from_secs(1);

macro_rules! tree {
    ($name:ident, $path:literal) => {
        static $name: LazyLock<PathBuf> = LazyLock::new(|| directory($path));
    };
}

/// Gives both files the same length and the same dates, as reproducible builds do.
fn equalise(path: &std::path::Path) {
    let file = fs::File::options().write(true).open(path).expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).expect("a time");
}

#[test]
fn a_change_in_place_is_seen_at_once() {
    tree!(TREE, "cache-in-place");
    write(&TREE, &[("a", "first")]);
    let client = TestClient::new(App::new(()).development(false).routes(routes![Files::new(&*TREE)]));
    let first = client.get("/a").send();
    first.assert_text("first");
    write(&TREE, &[("a", "second one")]);
    let second = client.get("/a").header("if-none-match", field(&first, "etag")).send();
    second.assert_status(200).assert_text("second one");
    // The lengths are equal, and the change may be within one tick of the file system's clock: the tag is that of the content.
    write(&TREE, &[("a", "third  one")]);
    equalise(&TREE.join("a"));
    let third = client.get("/a").header("if-none-match", field(&second, "etag")).send();
    third.assert_status(200).assert_text("third  one");
}

#[test]
fn a_replaced_file_is_seen_after_the_interval_although_dates_and_length_are_equal() {
    tree!(TREE, "cache-replaced");
    write(&TREE, &[("a", "old"), ("b", "new")]);
    equalise(&TREE.join("a"));
    equalise(&TREE.join("b"));
    let client = TestClient::new(App::new(()).development(false).routes(routes![Files::new(&*TREE)]));
    let old = client.get("/a").send();
    old.assert_text("old");
    fs::rename(TREE.join("b"), TREE.join("a")).expect("a rename");
    client.get("/a").send().assert_text("old");
    client.advance(INTERVAL);
    let new = client.get("/a").header("if-none-match", field(&old, "etag")).send();
    new.assert_status(200).assert_text("new");
    assert_eq!(new.header("last-modified"), old.header("last-modified"));
}

#[test]
fn replaced_and_removed_files_are_seen_at_once_in_development() {
    tree!(TREE, "cache-development");
    write(
        &TREE,
        &[("a", "old"), ("b", "new"), ("c.css", "c"), ("c.css.br", "coded")],
    );
    equalise(&TREE.join("a"));
    equalise(&TREE.join("b"));
    let client = TestClient::new(
        App::new(())
            .development(true)
            .routes(routes![Files::new(&*TREE).precompressed()]),
    );
    client.get("/a").send().assert_text("old");
    fs::rename(TREE.join("b"), TREE.join("a")).expect("a rename");
    client.get("/a").send().assert_text("new");
    fs::remove_file(TREE.join("a")).expect("a file");
    client.get("/a").send().assert_status(404);

    let coding = || {
        let response = client.get("/c.css").header("accept-encoding", "br").send();
        response.header("content-encoding").map(str::to_owned)
    };
    assert_eq!(coding().as_deref(), Some("br"));
    fs::remove_file(TREE.join("c.css.br")).expect("a file");
    assert_eq!(coding(), None);
    fs::write(TREE.join("c.css.br"), "coded").expect("a file");
    assert_eq!(coding().as_deref(), Some("br"));
}

#[test]
fn a_removed_file_and_a_removed_variant_are_not_found_after_the_interval() {
    tree!(TREE, "cache-removed");
    write(&TREE, &[("a", "plain"), ("a.gz", "gzip"), ("b", "plain")]);
    let client = TestClient::new(
        App::new(())
            .development(false)
            .routes(routes![Files::new(&*TREE).precompressed()]),
    );
    let get = |path: &str| client.get(path).header("accept-encoding", "gzip").send();
    get("/a").assert_text("gzip");
    get("/b").assert_text("plain");
    fs::remove_file(TREE.join("a.gz")).expect("a file");
    write(&TREE, &[("b.gz", "gzip")]);
    client.advance(INTERVAL);
    get("/a").assert_text("plain");
    get("/b").assert_text("gzip");
    fs::remove_file(TREE.join("a")).expect("a file");
    client.advance(INTERVAL);
    get("/a").assert_status(404);
    write(&TREE, &[("a", "again")]);
    get("/a").assert_status(200).assert_text("again");
}

/// A deployment that replaces the link to the directory.
#[test]
fn a_replaced_directory_is_seen_after_the_interval() {
    tree!(BASE, "cache-deployed");
    static CURRENT: LazyLock<PathBuf> = LazyLock::new(|| BASE.join("current"));
    write(&BASE, &[("v1/a", "one"), ("v2/a", "two"), ("v2/b", "new")]);
    symlink("v1", &*CURRENT).expect("a link");
    let client = TestClient::new(App::new(()).development(false).routes(routes![Files::new(&*CURRENT)]));
    client.get("/a").send().assert_text("one");
    client.get("/b").send().assert_status(404);
    symlink("v2", BASE.join("next")).expect("a link");
    fs::rename(BASE.join("next"), &*CURRENT).expect("a rename");
    client.advance(INTERVAL);
    client.get("/a").send().assert_text("two");
    client.get("/b").send().assert_text("new");
}

#[test]
fn a_missing_directory_is_served_once_it_exists() {
    tree!(BASE, "cache-missing");
    static LATER: LazyLock<PathBuf> = LazyLock::new(|| BASE.join("later"));
    let client = TestClient::new(App::new(()).development(false).routes(routes![Files::new(&*LATER)]));
    client.get("/a").send().assert_status(404);
    write(&LATER, &[("a", "here")]);
    client.get("/a").send().assert_status(200).assert_text("here");
}

#[test]
fn the_number_of_open_files_is_bounded() {
    tree!(TREE, "cache-bounded");
    for number in 0..200 {
        fs::write(TREE.join(number.to_string()), "x").expect("a file");
    }
    let client = TestClient::new(
        App::new(())
            .development(false)
            .file_cache(20)
            .routes(routes![Files::new(&*TREE)]),
    );
    for number in 0..200 {
        client.get(&format!("/{number}")).send().assert_status(200);
    }
    let open = fs::read_dir("/proc/self/fd").map_or(0, |descriptors| {
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(&*TREE)).count()
    });
    // The directory is open, too.
    assert!(open <= 21, "{open} files are open");
}

#[test]
fn without_a_cache_each_request_checks_the_path() {
    tree!(TREE, "cache-none");
    write(&TREE, &[("a", "old"), ("b", "new")]);
    let client = TestClient::new(
        App::new(())
            .development(false)
            .file_cache(0)
            .file_check_interval(Duration::ZERO)
            .routes(routes![Files::new(&*TREE)]),
    );
    client.get("/a").send().assert_text("old");
    fs::rename(TREE.join("b"), TREE.join("a")).expect("a rename");
    client.get("/a").send().assert_text("new");
}

/// The files of the repository are older than the time after which a worker keeps the content of a small file.
#[test]
fn responses_with_cached_content_equal_those_of_the_file() {
    let path = "/css/app.css";
    let content = fs::read_to_string("tests/assets/css/app.css").expect("a file");
    let client = TestClient::new(
        App::new(())
            .development(false)
            .routes(routes![Files::new("tests/assets")]),
    );
    let first = client.get(path).send();
    for _ in 0..3 {
        client.advance(INTERVAL);
        let response = client.get(path).send();
        response.assert_status(200).assert_text(&content);
        for name in ["etag", "last-modified", "content-type", "cache-control"] {
            assert_eq!(response.header(name), first.header(name), "{name}");
        }
        let part = client.get(path).header("range", "bytes=1-3").send();
        part.assert_status(206).assert_text(&content[1..4]);
        let parts = client.get(path).header("range", "bytes=0-0,5-6").send();
        parts.assert_status(206).assert_text_contains(&content[5..7]);
        let known = client.get(path).header("if-none-match", field(&first, "etag"));
        known.send().assert_status(304);
        client
            .head(path)
            .send()
            .assert_header("content-length", &content.len().to_string());
    }
}

#[test]
fn many_requests_for_files_that_change_find_one_version_each() {
    tree!(TREE, "cache-racing");
    write(&TREE, &[("a", "0")]);
    let client = TestClient::new(App::new(()).development(false).routes(routes![Files::new(&*TREE)]));
    let writer = std::thread::spawn(|| {
        for number in 0..2_000 {
            fs::write(TREE.join("next"), "x".repeat(number % 50)).expect("a file");
            fs::rename(TREE.join("next"), TREE.join("a")).expect("a rename");
        }
    });
    while !writer.is_finished() {
        let response = client.get("/a").send();
        response.assert_status(200);
        assert_eq!(field(&response, "content-length"), response.bytes().len().to_string());
        client.advance(INTERVAL);
    }
    writer.join().expect("the writer ends");
}
