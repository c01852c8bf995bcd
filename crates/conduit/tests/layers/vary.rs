//! `vary`, which a cache needs to be the same for all responses to one target.

use std::collections::BTreeSet;

use conduit::layer::{Compression, Conditional, Cors, SecurityHeaders};
use conduit::prelude::*;

use crate::request;
use crate::support::{Response as Answer, Running, serve};

const LARGE: &str = "All animals are equal, but some animals are more equal than others. ";

/// One target; the request selects the status and the length of the response.
#[get("/page")]
async fn page(request: Request) -> Result<([(&'static str, &'static str); 1], String), Problem> {
    match request.header("x-wanted") {
        Some(b"small") => Ok(([("etag", "\"v1\"")], "small".to_owned())),
        Some(b"image") => Ok(([("content-type", "image/png")], LARGE.repeat(100))),
        Some(b"404") => Err(Problem::not_found("no such page")),
        Some(b"500") => panic!("as the request asked"),
        Some(b"503") => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail(LARGE.repeat(100))),
        _ => Ok(([("etag", "\"v1\"")], LARGE.repeat(100))),
    }
}

fn members(answer: &Answer) -> BTreeSet<String> {
    let fields = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
    fields
        .flat_map(|(_, value)| value.split(','))
        .map(|member| member.trim().to_ascii_lowercase())
        .collect()
}

/// Each difference between requests for the same target.
fn requests(method: &str) -> Vec<String> {
    let origins: [&[(&str, &str)]; 3] = [
        &[],
        &[("origin", "https://app.example.com")],
        &[("origin", "https://evil.example.com")],
    ];
    let codings: [&[(&str, &str)]; 3] = [&[], &[("accept-encoding", "gzip")], &[("accept-encoding", "identity")]];
    let conditions: [&[(&str, &str)]; 4] = [
        &[],
        &[("if-none-match", "\"v1\"")],
        &[("if-match", "\"v0\"")],
        &[("access-control-request-method", "GET")],
    ];
    let mut all = Vec::new();
    for origin in origins {
        for coding in codings {
            for condition in conditions {
                for wanted in ["large", "small", "image", "404", "500", "503"] {
                    let fields = [origin, coding, condition, &[("x-wanted", wanted)]].concat();
                    all.push(request(method, "/page", &fields));
                }
            }
        }
    }
    all
}

/// The fields that all responses of the application to one target and method vary by.
#[track_caller]
fn vary(server: &Running, method: &str) -> BTreeSet<String> {
    let mut statuses = BTreeSet::new();
    let mut first = None;
    let mut client = server.connect();
    for request in requests(method) {
        client.send(&request);
        let answer = client.response_to(method);
        statuses.insert(answer.status);
        let members = members(&answer);
        let first = first.get_or_insert_with(|| members.clone());
        assert_eq!(members, *first, "{request}{answer:?}");
        if answer.status == 500 && answer.header("connection") == Some("close") {
            client = server.connect();
        }
    }
    assert!(method == "OPTIONS" || statuses.contains(&404), "{statuses:?}");
    first.expect("a response")
}

fn site() -> Cors {
    Cors::new()
        .allow_origin("https://app.example.com")
        .expose_headers(["x-total"])
}

#[test]
fn vary_depends_neither_on_the_status_nor_on_the_fields_of_the_request() {
    let app = || App::new(()).routes(routes![page]).development(false);
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let preflight = [
        "origin",
        "access-control-request-method",
        "access-control-request-headers",
    ];
    let cases = [
        ("nothing", app(), set(&[]), set(&[])),
        ("Conditional", app().layer(Conditional::new()), set(&[]), set(&[])),
        (
            "SecurityHeaders",
            app().layer(SecurityHeaders::new()),
            set(&[]),
            set(&[]),
        ),
        (
            "Compression",
            app().layer(Compression::new()),
            set(&["accept-encoding"]),
            set(&["accept-encoding"]),
        ),
        ("Cors", app().layer(site()), set(&["origin"]), set(&preflight)),
        (
            "Cors::permissive",
            app().layer(Cors::permissive()),
            set(&[]),
            set(&preflight),
        ),
        (
            "Cors with a function",
            app().layer(Cors::new().allow_origins(|origin| origin.ends_with("//app.example.com"))),
            set(&["origin"]),
            set(&preflight),
        ),
        (
            "Conditional inside of Compression inside of Cors",
            app().layer(Conditional::new()).layer(Compression::new()).layer(site()),
            set(&["accept-encoding", "origin"]),
            set(&preflight),
        ),
        (
            "Cors inside of Compression inside of Conditional",
            app().layer(site()).layer(Compression::new()).layer(Conditional::new()),
            set(&["accept-encoding", "origin"]),
            set(&[&preflight[..], &["accept-encoding"]].concat()),
        ),
    ];
    for (name, app, read, options) in cases {
        let server = serve(app);
        for method in ["GET", "HEAD"] {
            assert_eq!(vary(&server, method), read, "{name}, {method}");
        }
        // There Cors responds to preflights before Compression; no cache stores a response to OPTIONS.
        if name != "Conditional inside of Compression inside of Cors" {
            assert_eq!(vary(&server, "OPTIONS"), options, "{name}");
        }
    }
}

/// In development a problem varies by `accept`, which other responses to the target do not: no cache stores it.
#[test]
fn a_problem_of_development_is_not_stored() {
    let server = serve(App::new(()).routes(routes![page]).development(true));
    for accept in ["text/html", "application/json"] {
        let answer = server.request(request("GET", "/nowhere", &[("accept", accept)]));
        assert_eq!(answer.header("vary"), Some("accept"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}
