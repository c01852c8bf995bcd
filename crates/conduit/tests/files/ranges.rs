//! `Range` and `If-Range` (RFC 9110, sections 13.1.5, 14 and 15.3.7).

use std::path::PathBuf;
use std::sync::LazyLock;

use conduit::Files;
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::{directory, field, write};

const TEXT: &str = "0123456789";

static RANGES: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = directory("ranges");
    let long: String = (0..100).map(|number| format!("{number:010}")).collect();
    write(&path, &[("ten.txt", TEXT), ("long.txt", &long), ("empty.txt", "")]);
    path
});

fn client() -> TestClient {
    TestClient::new(App::new(()).routes(routes![Files::new(&*RANGES)]))
}

#[test]
fn a_range_selects_bytes_by_the_sections_of_rfc_9110() {
    let client = client();
    let whole = client.get("/ten.txt").send();
    let tag = field(&whole, "etag");
    for (range, status, text, content_range) in [
        // Section 14.1.2.
        ("bytes=0-0", 206, "0", "bytes 0-0/10"),
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=-30", 206, TEXT, "bytes 0-9/10"),
        ("bytes=5-500", 206, "56789", "bytes 5-9/10"),
        ("bytes=0-1,1-3", 206, "0123", "bytes 0-3/10"),
        ("bytes=0-1,20-", 206, "01", "bytes 0-1/10"),
        // Section 14.2: ignored.
        ("bytes=4-2", 200, TEXT, ""),
        ("lines=1-2", 200, TEXT, ""),
        ("bytes=", 200, TEXT, ""),
        ("junk", 200, TEXT, ""),
    ] {
        let response = client.get("/ten.txt").header("range", range).send();
        response.assert_status(status).assert_text(text);
        assert_eq!(
            response.header("content-range").unwrap_or_default(),
            content_range,
            "{range}"
        );
        for (name, value) in [
            ("etag", &*tag),
            ("accept-ranges", "bytes"),
            ("cache-control", "no-cache"),
        ] {
            response.assert_header(name, value);
        }
        response.assert_header("content-type", "text/plain; charset=utf-8");
        assert_eq!(response.header("last-modified"), whole.header("last-modified"));
    }
    // Section 15.5.17.
    for range in ["bytes=10-", "bytes=10-20,30-40", "bytes=-0"] {
        let response = client.get("/ten.txt").header("range", range).send();
        response.assert_status(416).assert_header("content-range", "bytes */10");
    }
}

#[test]
fn ranges_need_get_and_a_single_field() {
    let client = client();
    let head = client.head("/ten.txt").header("range", "bytes=0-0").send();
    head.assert_status(200).assert_header("content-length", "10");
    let twice = client
        .get("/ten.txt")
        .header("range", "bytes=0-0")
        .header("range", "bytes=1-1")
        .send();
    twice.assert_status(200).assert_text(TEXT);
}

#[test]
fn an_empty_file_has_no_range() {
    let client = client();
    client
        .get("/empty.txt")
        .header("range", "bytes=0-")
        .send()
        .assert_status(416)
        .assert_header("content-range", "bytes */0");
    client
        .get("/empty.txt")
        .header("range", "bytes=-5")
        .send()
        .assert_status(200)
        .assert_text("");
    client.get("/empty.txt").header("range", "").send().assert_status(200);
}

#[test]
fn several_ranges_are_parts_of_one_body() {
    let client = client();
    let response = client.get("/long.txt").header("range", "bytes=500-509,0-9,-10").send();
    response.assert_status(206);
    assert_eq!(response.header("content-range"), None);
    let content_type = field(&response, "content-type");
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a multipart type");
    let part = |range: &str, text: &str| {
        format!(
            "--{boundary}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-range: bytes {range}/1000\r\n\r\n{text}\r\n"
        )
    };
    let expected = [
        part("500-509", "0000000050"),
        part("0-9", "0000000000"),
        part("990-999", "0000000099"),
        format!("--{boundary}--\r\n"),
    ];
    response.assert_text(&expected.concat());
    response.assert_header("content-length", &expected.concat().len().to_string());
    let again = client.get("/long.txt").header("range", "bytes=500-509,0-9,-10").send();
    assert_ne!(field(&again, "content-type"), content_type, "a boundary is random");
    // Too many: the whole file, once.
    let many = (0..17)
        .map(|place| format!("{}-{}", place * 50, place * 50))
        .collect::<Vec<_>>()
        .join(",");
    client
        .get("/long.txt")
        .header("range", format!("bytes={many}"))
        .send()
        .assert_status(200);
}

#[test]
fn if_range_matches_the_strong_tag_or_the_exact_date() {
    let client = client();
    let file = std::fs::File::options()
        .write(true)
        .open(RANGES.join("ten.txt"))
        .expect("the file");
    let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
    file.set_modified(past).expect("the time of a file can be set");
    let whole = client.get("/ten.txt").send();
    whole.assert_header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let tag = field(&whole, "etag");
    let weak = format!("W/{tag}");
    for (condition, status) in [
        (&*tag, 206),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 206),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 206),
        (&*weak, 200),
        ("\"other\"", 200),
        // A different date, earlier or later, means another version.
        ("Sun, 06 Nov 1994 08:49:36 GMT", 200),
        ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("yesterday", 200),
        ("", 200),
        ("*", 200),
    ] {
        let response = client
            .get("/ten.txt")
            .header("range", "bytes=0-0")
            .header("if-range", condition)
            .send();
        response.assert_status(status);
    }
    // If the condition is not met, a range that is not satisfiable is ignored.
    let response = client
        .get("/ten.txt")
        .header("range", "bytes=99-")
        .header("if-range", "\"other\"")
        .send();
    response.assert_status(200);
}

#[test]
fn a_date_of_this_second_is_not_a_strong_validator() {
    static FRESH: LazyLock<PathBuf> = LazyLock::new(|| directory("fresh-date"));
    let path = FRESH.join("new.txt");
    std::fs::write(&path, TEXT).expect("a file");
    // In the future: no date is sent at all (section 8.8.2.1).
    let future = std::time::SystemTime::now() + std::time::Duration::from_secs(1000);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_modified(future))
        .expect("a time");
    let client = TestClient::new(App::new(()).routes(routes![Files::new(&*FRESH)]));
    let response = client.get("/new.txt").send();
    response.assert_status(200);
    assert_eq!(response.header("last-modified"), None);
    let date = http_date(future);
    let response = client
        .get("/new.txt")
        .header("range", "bytes=0-0")
        .header("if-range", date)
        .send();
    response.assert_status(200);
}

fn http_date(time: std::time::SystemTime) -> String {
    let seconds = time
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    String::from_utf8_lossy(&conduit_proto::http_date(seconds)).into_owned()
}
