//! Preconditions (RFC 9110, section 13), and their precedence over ranges.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, UNIX_EPOCH};

use conduit::Files;
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::{directory, field};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

static DATED: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = directory("preconditions");
    std::fs::write(path.join("a.txt"), "0123456789").expect("a file");
    let file = std::fs::File::options()
        .write(true)
        .open(path.join("a.txt"))
        .expect("a file");
    file.set_modified(UNIX_EPOCH + Duration::from_secs(784_111_777))
        .expect("a time");
    path
});

#[test]
fn preconditions_decide_in_their_order_and_before_ranges() {
    let client = TestClient::new(App::new(()).routes(routes![Files::new(&*DATED)]));
    let whole = client.get("/a.txt").send();
    whole.assert_header("last-modified", DATE);
    let tag = field(&whole, "etag");
    let weak = format!("W/{tag}");
    let list = format!("\"x\", {tag}");
    let cases: &[(&[(&str, &str)], u16)] = &[
        // Section 13.1.2.
        (&[("if-none-match", &tag)], 304),
        (&[("if-none-match", &weak)], 304),
        (&[("if-none-match", &list)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", "\"x\"")], 200),
        (&[("if-none-match", "junk")], 200),
        // Section 13.1.1.
        (&[("if-match", &tag)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", &weak)], 412),
        (&[("if-match", "\"x\"")], 412),
        // Section 13.1.3.
        (&[("if-modified-since", DATE)], 304),
        (&[("if-modified-since", BEFORE)], 200),
        (&[("if-modified-since", "Sat, 01 Jan 2050 00:00:00 GMT")], 304),
        (&[("if-modified-since", "junk")], 200),
        // Section 13.1.4.
        (&[("if-unmodified-since", DATE)], 200),
        (&[("if-unmodified-since", BEFORE)], 412),
        // Section 13.2.2: tags before dates, and all before ranges.
        (&[("if-none-match", "\"x\""), ("if-modified-since", DATE)], 200),
        (&[("if-match", &tag), ("if-unmodified-since", BEFORE)], 200),
        (&[("if-none-match", &tag), ("range", "bytes=0-0")], 304),
        (&[("if-match", "\"x\""), ("range", "bytes=99-")], 412),
        (&[("if-match", &tag), ("range", "bytes=0-0")], 206),
        (
            &[("if-none-match", &tag), ("range", "bytes=0-0"), ("if-range", "\"x\"")],
            304,
        ),
    ];
    for (fields, status) in cases {
        for method in ["GET", "HEAD"] {
            let mut request = client.request(method, "/a.txt");
            for (name, value) in *fields {
                request = request.header(name, value);
            }
            let response = request.send();
            // `HEAD` has no ranges.
            let expected = if method == "HEAD" && *status == 206 {
                200
            } else {
                *status
            };
            assert_eq!(response.status().as_u16(), expected, "{method} {fields:?}");
            if expected == 304 {
                // Section 15.4.5.
                response
                    .assert_header("etag", &tag)
                    .assert_header("cache-control", "no-cache")
                    .assert_text("");
                for name in ["content-type", "content-encoding", "content-range", "accept-ranges"] {
                    assert_eq!(response.header(name), None, "{name}");
                }
            }
        }
    }
}
