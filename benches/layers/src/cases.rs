//! The requests and the servers.

use std::fmt::Write;

use crate::shared;

/// One extractor or layer: each server has a route for it, and nothing else.
pub(crate) struct Case {
    /// The name in the servers' arguments.
    pub(crate) name: &'static str,
    /// Its name in Conduit and in axum; [`NONE`] if it does not exist there.
    pub(crate) titles: (&'static str, &'static str),
    request: (&'static str, &'static str, Fields),
    body: Body,
}

type Fields = &'static [(&'static str, &'static str)];

/// The title of an extractor or layer that axum, axum-extra, tower and tower-http lack.
pub(crate) const NONE: &str = "–";

enum Body {
    None,
    Text(&'static str),
    /// A text with this number of letters.
    Letters(usize),
    /// 1024 letters, compressed.
    Gzip,
}

const JSON: &str = r#"{"name":"Ada Lovelace","year":1815,"tags":["first","programmer"],"active":true}"#;
const FORM: &str = "name=Ada+Lovelace&year=1815&active=true";

const MULTIPART: &str = "--b\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nAda Lovelace\r\n\
    --b\r\ncontent-disposition: form-data; name=\"year\"\r\n\r\n1815\r\n--b--\r\n";

/// `gzip -9` of 1024 times `a`.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x4b, 0x4c, 0x1c, 0x05, 0xa3, 0x60, 0x14, 0x8c, 0x54,
    0x00, 0x00, 0xb9, 0x97, 0x55, 0x7c, 0x00, 0x04, 0x00, 0x00,
];

const JSON_TYPE: Fields = &[("content-type", "application/json")];
const FORM_TYPE: Fields = &[("content-type", "application/x-www-form-urlencoded")];
const BYTES_TYPE: Fields = &[("content-type", "application/octet-stream")];
const MULTIPART_TYPE: Fields = &[("content-type", "multipart/form-data; boundary=b")];

/// The placeholder of the cookie that the server sets at `/sign-in`.
const COOKIE: &str = "{cookie}";
/// The placeholder of a currently valid token.
const TOKEN: &str = "{token}";

/// The base of every other case.
pub(crate) const NOTHING: &str = "nothing";

/// Every extractor and layer.
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
        "header",
        ("`Header<T>`, 2 fields", "`TypedHeader` of axum-extra, twice"),
        "/x",
        &[],
    ),
    get(
        "cookies",
        ("`Cookies`", "`CookieJar` of axum-extra"),
        "/x",
        &[("cookie", "theme=dark; visits=7")],
    ),
    get(
        "signed",
        ("`SignedCookies`", "`SignedCookieJar` of axum-extra"),
        "/x",
        &[("cookie", COOKIE)],
    ),
    get(
        "private",
        ("`PrivateCookies`", "`PrivateCookieJar` of axum-extra"),
        "/x",
        &[("cookie", COOKIE)],
    ),
    get(
        "extension",
        (
            "`Extension<T>`, and the layer that attaches it",
            "`Extension<T>`, and `from_fn`",
        ),
        "/x",
        &[],
    ),
    get(
        "bearer",
        ("`Bearer`", "`TypedHeader<Authorization<Bearer>>`"),
        "/x",
        &[("authorization", "Bearer 0123456789abcdef")],
    ),
    get(
        "basic",
        ("`Basic`", "`TypedHeader<Authorization<Basic>>`"),
        "/x",
        &[("authorization", "Basic YWRhOmxvdmVsYWNl")],
    ),
    get(
        "api-key",
        ("`ApiKey<K>`, in the head", "`HeaderMap`, and by hand"),
        "/x",
        &[("x-api-key", "0123456789abcdef")],
    ),
    get(
        "jwt",
        (
            "`Jwt<T>`, HS256",
            "`TypedHeader<Authorization<Bearer>>`, and `jsonwebtoken` by hand",
        ),
        "/x",
        &[("authorization", "Bearer {token}")],
    ),
    post(
        "string",
        ("`String`, 1 KiB", "`String`"),
        BYTES_TYPE,
        Body::Letters(1024),
    ),
    post(
        "stream-in",
        ("`Body` as a stream, 1 KiB in", "`Body::into_data_stream`"),
        BYTES_TYPE,
        Body::Letters(1024),
    ),
    get(
        "stream-out",
        ("`Body::from_stream`, 4 pieces", "`Body::from_stream`"),
        "/x",
        &[],
    ),
    post("bytes", ("`Bytes`, 1 KiB", "`Bytes`"), BYTES_TYPE, Body::Letters(1024)),
    post(
        "json",
        ("`Json<T>`, in and out", "`Json<T>`"),
        JSON_TYPE,
        Body::Text(JSON),
    ),
    post(
        "form",
        ("`Form<T>`, 3 fields", "`Form<T>`"),
        FORM_TYPE,
        Body::Text(FORM),
    ),
    post(
        "valid",
        ("`Valid<Json<T>>`, 2 rules", "`Json<T>`, and garde by hand"),
        JSON_TYPE,
        Body::Text(JSON),
    ),
    post(
        "multipart",
        ("`Multipart`, 2 fields", "`Multipart`"),
        MULTIPART_TYPE,
        Body::Text(MULTIPART),
    ),
    post(
        "multipart-form",
        ("`MultipartForm<T>`, 2 fields", "`Multipart`, and by hand"),
        MULTIPART_TYPE,
        Body::Text(MULTIPART),
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
        BYTES_TYPE,
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
    post(
        "gunzip",
        ("`Decompression`, 1 KiB from 29 bytes", "`RequestDecompressionLayer`"),
        &[
            ("content-type", "application/octet-stream"),
            ("content-encoding", "gzip"),
        ],
        Body::Gzip,
    ),
    get(
        "rate",
        (
            "`RateLimit`, by address",
            "`GovernorLayer` of tower_governor, by address",
        ),
        "/x",
        &[],
    ),
    get(
        "slash",
        ("`TrailingSlash`, one too many", "`NormalizePathLayer`"),
        "/x/",
        &[],
    ),
    get(
        "tower",
        (
            "`tower::layer` with tower's `ConcurrencyLimitLayer`",
            "`ConcurrencyLimitLayer` of tower",
        ),
        "/x",
        &[],
    ),
    get(
        "conditional",
        ("`Conditional`, 8 KiB of JSON, another version than the client's", NONE),
        "/x",
        &[("if-none-match", "\"0123456789abcdef0123456789abcdef\"")],
    ),
    post(
        "idempotency",
        ("`Idempotency`, with a stored response", NONE),
        &[
            ("content-type", "application/octet-stream"),
            ("idempotency-key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\""),
        ],
        Body::Letters(1024),
    ),
    post(
        "override",
        ("`MethodOverride`, of `POST` by `PUT`", NONE),
        &[
            ("content-type", "application/octet-stream"),
            ("x-http-method-override", "PUT"),
        ],
        Body::Letters(1024),
    ),
    get(
        "trace",
        (
            "spans without a subscriber: always present",
            "`TraceLayer` without a subscriber",
        ),
        "/x",
        &[],
    ),
];

const fn get(name: &'static str, titles: (&'static str, &'static str), target: &'static str, fields: Fields) -> Case {
    let (request, body) = (("GET", target, fields), Body::None);
    Case {
        name,
        titles,
        request,
        body,
    }
}

const fn post(name: &'static str, titles: (&'static str, &'static str), fields: Fields, body: Body) -> Case {
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

    /// Set if the client sends the cookie of `/sign-in`.
    pub(crate) fn is_signed_in(&self) -> bool {
        self.request.2.iter().any(|(_, value)| *value == COOKIE)
    }

    /// The request as sent, with this cookie if one is required.
    pub(crate) fn request(&self, cookie: &str) -> Vec<u8> {
        let (method, target, fields) = self.request;
        let mut text = format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\naccept: */*\r\n");
        for (name, value) in fields {
            let value = value.replace(COOKIE, cookie);
            let value = match value.contains(TOKEN) {
                true => value.replace(TOKEN, &shared::token()),
                false => value,
            };
            write!(text, "{name}: {value}\r\n").expect("a string takes all");
        }
        let body = match self.body {
            Body::None => Vec::new(),
            Body::Text(text) => text.into(),
            Body::Letters(count) => vec![b'a'; count],
            Body::Gzip => GZIP.into(),
        };
        if !body.is_empty() {
            write!(text, "content-length: {}\r\n", body.len()).expect("a string takes all");
        }
        [text.as_bytes(), b"\r\n", &body].concat()
    }
}
