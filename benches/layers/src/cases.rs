//! What is asked, and of whom.

use std::fmt::Write;

/// One extractor or layer: each server has a route for it, and nothing else.
pub(crate) struct Case {
    /// As the servers are told it.
    pub(crate) name: &'static str,
    /// What it is in Conduit, and in axum.
    pub(crate) titles: (&'static str, &'static str),
    request: (&'static str, &'static str, &'static [(&'static str, &'static str)]),
    body: Body,
}

enum Body {
    None,
    Text(&'static str),
    /// So many letters.
    Letters(usize),
}

const JSON: &str = r#"{"name":"Ada Lovelace","year":1815,"tags":["first","programmer"],"active":true}"#;
const FORM: &str = "name=Ada+Lovelace&year=1815&active=true";

/// What every other case is an addition to.
pub(crate) const NOTHING: &str = "nothing";

/// Everything that both have.
pub(crate) static ALL: &[Case] = &[
    get(NOTHING, ("no argument, no layer", "the same"), "/x", &[]),
    get("path", ("`Path<u64>`", "`Path<u64>`"), "/x/42", &[]),
    get(
        "paths",
        ("`Path` twice", "`Path<(u64, String)>`"),
        "/x/42/items/lamp",
        &[],
    ),
    get(
        "query",
        ("`Query<T>`, 3 fields", "`Query<T>`"),
        "/x?page=3&size=20&sort=name",
        &[],
    ),
    get("state", ("`State<Arc<T>>`", "`State<Arc<T>>`"), "/x", &[]),
    get(
        "headers",
        ("`HeaderMap`", "`HeaderMap`"),
        "/x",
        &[("x-client", "seven")],
    ),
    get(
        "cookies",
        ("`Cookies`", "`CookieJar` of axum-extra"),
        "/x",
        &[("cookie", "theme=dark; visits=7")],
    ),
    post(
        "bytes",
        ("`Bytes`, 1 KiB", "`Bytes`"),
        "application/octet-stream",
        Body::Letters(1024),
    ),
    post(
        "json",
        ("`Json<T>`, in and out", "`Json<T>`"),
        "application/json",
        Body::Text(JSON),
    ),
    post(
        "form",
        ("`Form<T>`, 3 fields", "`Form<T>`"),
        "application/x-www-form-urlencoded",
        Body::Text(FORM),
    ),
    get(
        "function",
        ("an empty `async fn` as layer", "`middleware::from_fn`"),
        "/x",
        &[],
    ),
    get(
        "cors",
        ("`Cors`", "`CorsLayer`"),
        "/x",
        &[("origin", "https://app.example.com")],
    ),
    get(
        "request-id",
        ("`RequestIds`", "`SetRequestIdLayer`, `PropagateRequestIdLayer`"),
        "/x",
        &[],
    ),
    get("timeout", ("`Timeout`", "`TimeoutLayer`"), "/x", &[]),
    get(
        "concurrency",
        ("`ConcurrencyLimit`", "`ConcurrencyLimitLayer` of tower"),
        "/x",
        &[],
    ),
    post(
        "limit",
        ("`BodyLimit`, 1 KiB in", "`RequestBodyLimitLayer`"),
        "application/octet-stream",
        Body::Letters(1024),
    ),
    get(
        "security",
        ("`SecurityHeaders`, 6 fields", "`SetResponseHeaderLayer`, 6 times"),
        "/x",
        &[],
    ),
    get(
        "gzip",
        ("`Compression`, 8 KiB of JSON", "`CompressionLayer`"),
        "/x",
        &[("accept-encoding", "gzip")],
    ),
    get(
        "trace",
        ("spans, nobody listens: always there", "`TraceLayer`, nobody listens"),
        "/x",
        &[],
    ),
];

const fn get(
    name: &'static str,
    titles: (&'static str, &'static str),
    target: &'static str,
    fields: &'static [(&'static str, &'static str)],
) -> Case {
    let (request, body) = (("GET", target, fields), Body::None);
    Case {
        name,
        titles,
        request,
        body,
    }
}

const fn post(name: &'static str, titles: (&'static str, &'static str), media_type: &'static str, body: Body) -> Case {
    let fields: &[_] = match media_type.as_bytes() {
        b"application/json" => &[("content-type", "application/json")],
        b"application/x-www-form-urlencoded" => &[("content-type", "application/x-www-form-urlencoded")],
        _ => &[("content-type", "application/octet-stream")],
    };
    let request = ("POST", "/x", fields);
    Case {
        name,
        titles,
        request,
        body,
    }
}

impl Case {
    pub(crate) fn named(name: &str) -> Option<&'static Case> {
        ALL.iter().find(|case| case.name == name)
    }

    /// The request as it is sent.
    pub(crate) fn request(&self) -> Vec<u8> {
        let (method, target, fields) = self.request;
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\naccept: */*\r\n");
        for (name, value) in fields {
            write!(text, "{name}: {value}\r\n").expect("a string takes all");
        }
        let body = match self.body {
            Body::None => String::new(),
            Body::Text(text) => text.to_owned(),
            Body::Letters(count) => "a".repeat(count),
        };
        if !body.is_empty() {
            write!(text, "content-length: {}\r\n", body.len()).expect("a string takes all");
        }
        (text + "\r\n" + &body).into_bytes()
    }
}
