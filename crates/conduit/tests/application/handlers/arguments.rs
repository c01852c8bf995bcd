//! Arguments from the head of the request: path, query, fields, and the state.

use std::fmt::Debug;
use std::rc::Rc;

use conduit::http::Version;
use conduit::prelude::*;

use super::{detail, request};
use crate::support::{Running, serve};

#[get("/u8/{value}")]
fn u8_value(value: Path<u8>) -> String {
    value.to_string()
}

#[get("/i64/{value}")]
fn i64_value(value: Path<i64>) -> String {
    value.to_string()
}

#[get("/u128/{value}")]
fn u128_value(value: Path<u128>) -> String {
    value.to_string()
}

#[get("/f64/{value}")]
fn f64_value(value: Path<f64>) -> String {
    value.to_string()
}

#[get("/bool/{value}")]
fn bool_value(value: Path<bool>) -> String {
    value.to_string()
}

#[get("/char/{value}")]
fn char_value(value: Path<char>) -> String {
    value.to_string()
}

#[get("/text/{value}")]
fn text(value: Path<String>) -> String {
    value.0
}

#[get("/rest/{*value}")]
fn rest(value: Path<String>) -> String {
    value.0
}

#[derive(Debug, serde::Deserialize)]
struct UserId(u32);

#[get("/newtype/{id}")]
fn newtype(id: Path<UserId>) -> String {
    id.0.0.to_string()
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Color {
    Red,
    DarkGreen,
}

#[get("/enum/{color}")]
fn enumeration(color: Path<Color>) -> &'static str {
    match *color {
        Color::Red => "red",
        Color::DarkGreen => "dark green",
    }
}

#[get("/pair/{a}/{b}")]
fn pair(both: Path<(u32, String)>) -> String {
    let Path((a, b)) = both;
    format!("{a} {b}")
}

#[get("/swapped/{a}/{b}")]
fn swapped(Path((b, a)): Path<(String, u32)>) -> String {
    format!("{a} {b}")
}

#[get("/separate/{a}/{b}")]
fn separate(b: Path<String>, a: Path<u32>) -> String {
    format!("{a} {b}")
}

#[derive(serde::Deserialize, PathParams)]
struct Parameters {
    #[serde(rename = "b")]
    name: String,
    a: u32,
    #[serde(skip)]
    unread: u8,
}

#[get("/struct/{a}/{b}")]
fn structure(parameters: Path<Parameters>) -> String {
    format!("{} {} {}", parameters.a, parameters.name, parameters.unread)
}

#[get("/file/{name}.json")]
fn affixes(name: Path<String>) -> String {
    name.0
}

#[get("/optional/{id}")]
fn optional(id: Option<Path<u32>>) -> String {
    format!("{:?}", id.map(|id| *id))
}

#[get("/result/{id}")]
fn result(id: Result<Path<u32>, Problem>) -> String {
    match id {
        Ok(id) => id.to_string(),
        Err(problem) => format!("not taken: {}", problem.detail().unwrap_or_default()),
    }
}

#[derive(Debug, serde::Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
    #[serde(default = "ten")]
    limit: u32,
    after: Option<u64>,
    #[serde(default)]
    tag: Vec<String>,
    #[serde(default)]
    exact: bool,
}

fn ten() -> u32 {
    10
}

#[get("/search")]
fn search(query: Query<Search>) -> String {
    let Search {
        q,
        limit,
        after,
        tag,
        exact,
    } = query.0;
    format!("{q} {limit} {after:?} {tag:?} {exact}")
}

#[derive(Debug, serde::Deserialize)]
struct Page {
    number: u32,
}

#[get("/page")]
fn page(page: Query<Page>) -> String {
    page.number.to_string()
}

#[get("/optional-page")]
fn optional_page(page: Option<Query<Page>>) -> String {
    match page {
        Some(page) => page.number.to_string(),
        None => "no page".to_owned(),
    }
}

#[get("/fields")]
fn fields(headers: HeaderMap) -> String {
    let show = |name: &str| {
        let values = headers.get_all(name).into_iter();
        values
            .map(|value| value.to_str().unwrap_or("?").to_owned())
            .collect::<Vec<_>>()
            .join(" | ")
    };
    format!("{} / {} / {}", show("x-tag"), show("host"), show("x-none"))
}

#[get("/head")]
fn head_of(method: Method, uri: Uri, version: Version, peer: PeerAddr) -> String {
    format!("{method} {uri} {version:?} {}", peer.0.ip())
}

#[get("/whole/{id}")]
fn whole(request: Request, _id: Path<String>) -> String {
    let agent = request
        .header("User-Agent")
        .map(|value| String::from_utf8_lossy(value).into_owned());
    format!(
        "{} {} {:?} {:?} {:?} {}",
        request.method(),
        request.path(),
        request.query(),
        request.parameter(0),
        agent,
        request.headers().len(),
    )
}

#[derive(Clone)]
struct Greeting(&'static str);

#[derive(Clone, FromRef)]
struct Site {
    greeting: Greeting,
    #[from_ref(skip)]
    visits: u64,
}

/// A part with a manual implementation.
struct Visits(u64);

impl FromRef<Site> for Visits {
    fn from_ref(site: &Site) -> Self {
        Visits(site.visits)
    }
}

#[get("/state")]
fn state(State(greeting): State<Greeting>, visits: State<Visits>, site: State<Site>) -> String {
    format!("{} {} {}", greeting.0, visits.0.0, site.visits + 1)
}

#[get("/not-send")]
async fn not_send(site: State<Site>) -> String {
    let shared = Rc::new(site.greeting.0);
    let other = Rc::clone(&shared);
    tokio::task::yield_now().await;
    format!("{other} {}", Rc::strong_count(&shared))
}

/// A module that uses only its part of the state.
mod part {
    use super::{Greeting, State};
    use conduit::prelude::*;

    #[get("/greeting")]
    fn greeting(greeting: State<Greeting>) -> &'static str {
        greeting.0.0
    }

    pub(super) const ROUTES: Routes<Greeting> = routes![greeting];
}

/// A custom argument: the name of the caller in a header field.
struct Asker(String);

impl<S> FromRequest<S> for Asker {
    type Rejection = (StatusCode, &'static str);

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Self::Rejection> {
        // An extractor may await.
        tokio::task::yield_now().await;
        match request.header("x-asker") {
            Some(name) => Ok(Asker(String::from_utf8_lossy(name).into_owned())),
            None => Err((StatusCode::UNAUTHORIZED, "the caller has no name")),
        }
    }

    fn is_absent(request: &Request) -> bool {
        request.header("x-asker").is_none()
    }
}

#[get("/asker")]
async fn asker(asker: Asker, optional: Option<Asker>) -> String {
    format!("{} {}", asker.0, optional.is_some())
}

#[get("/optional-asker")]
async fn optional_asker(asker: Option<Asker>) -> String {
    asker.map_or_else(|| "nobody".to_owned(), |asker| asker.0)
}

const ROUTES: Routes<Site> = routes![
    u8_value,
    i64_value,
    u128_value,
    f64_value,
    bool_value,
    char_value,
    text,
    rest,
    newtype,
    enumeration,
    pair,
    swapped,
    separate,
    structure,
    affixes,
    optional,
    result,
    search,
    page,
    optional_page,
    fields,
    head_of,
    whole,
    state,
    not_send,
    asker,
    optional_asker,
    "/part" => part::ROUTES,
];

fn server() -> Running {
    let site = Site {
        greeting: Greeting("hello"),
        visits: 7,
    };
    serve(App::new(site).routes(ROUTES))
}

/// Requests each target on one connection; each response must be a 200 with this text.
fn assert_texts<T: AsRef<str> + Debug>(cases: &[(&str, T)]) {
    let server = server();
    let mut client = server.connect();
    for (target, expected) in cases {
        client.send(request("GET", target));
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, expected.as_ref()), "{target}");
    }
}

/// Requests each target on one connection; each response must be a 400 with these parts in its detail.
fn assert_refused(cases: &[(&str, &[&str])]) {
    let server = server();
    let mut client = server.connect();
    for (target, parts) in cases {
        client.send(request("GET", target));
        let response = client.response();
        assert_eq!(response.status, 400, "{target}: {response:?}");
        let detail = detail(&response);
        for part in *parts {
            assert!(detail.contains(part), "{target}: no {part} in: {detail}");
        }
    }
}

#[test]
fn a_parameter_is_parsed_as_the_type_of_its_argument() {
    assert_texts(&[
        ("/u8/255", "255"),
        ("/u8/%31%32", "12"),
        ("/i64/-9223372036854775808", "-9223372036854775808"),
        (
            "/u128/340282366920938463463374607431768211455",
            "340282366920938463463374607431768211455",
        ),
        ("/f64/-2.5e3", "-2500"),
        ("/bool/true", "true"),
        ("/char/x", "x"),
        ("/char/%C3%A9", "é"),
        ("/newtype/12", "12"),
        ("/enum/dark-green", "dark green"),
        ("/enum/red", "red"),
    ]);
}

#[test]
fn several_parameters_are_extracted_as_a_tuple_a_struct_or_one_by_one() {
    for form in ["pair", "swapped", "separate"] {
        assert_texts(&[(&*format!("/{form}/3/x%20y"), "3 x y")]);
    }
    assert_texts(&[("/struct/3/x%20y", "3 x y 0")]);
}

#[test]
fn a_parameter_is_decoded_once() {
    assert_texts(&[
        ("/text/a%20b", "a b"),
        ("/text/a+b", "a+b"),
        ("/text/a%2Fb", "a/b"),
        ("/text/a%2fb", "a/b"),
        ("/text/100%25", "100%"),
        ("/text/%252F", "%2F"),
        ("/text/%2e%2e", ".."),
        ("/text/%F0%9F%A6%80", "🦀"),
        ("/text/%00", "\0"),
        ("/text/%0d%0a", "\r\n"),
        // A percent sign that encodes nothing is itself.
        ("/text/50%", "50%"),
        ("/text/%zz", "%zz"),
        ("/rest/a/b%2Fc/d%25", "a/b/c/d%"),
        ("/rest/a//b/", "a//b/"),
        ("/file/a%2Eb.json", "a.b"),
        ("/file/.json.json", ".json"),
    ]);
}

#[test]
fn a_parameter_that_does_not_fit_is_400_and_named_with_its_value() {
    assert_refused(&[
        ("/u8/256", &["path.value: expected", "\"256\"", "0 to 255"]),
        ("/u8/-1", &["path.value: expected", "\"-1\""]),
        ("/u8/1.0", &["path.value: expected", "\"1.0\""]),
        ("/u8/%20%31", &["path.value: expected", "\" 1\""]),
        (
            "/i64/9223372036854775808",
            &["path.value: expected", "9223372036854775808", "64 bits"],
        ),
        ("/u128/-1", &["path.value: expected", "-1"]),
        ("/f64/x", &["path.value: expected", "\"x\"", "a number"]),
        ("/bool/yes", &["path.value: expected", "\"yes\"", "true or false"]),
        ("/char/xy", &["path.value: expected", "\"xy\"", "one character"]),
        ("/newtype/x", &["path.id: expected", "\"x\""]),
        ("/enum/blue", &["path.color: expected", "blue", "red", "dark-green"]),
        ("/pair/x/y", &["path.a: expected", "\"x\""]),
        ("/swapped/x/y", &["path.a: expected", "\"x\""]),
        ("/separate/x/y", &["path.a: expected", "\"x\""]),
        ("/struct/x/y", &["path.a: expected", "\"x\""]),
    ]);
}

#[test]
fn a_parameter_that_is_not_utf_8_is_400_and_named_with_its_value_as_sent() {
    assert_refused(&[
        ("/text/%FF", &["path.value: expected", "\"%FF\"", "UTF-8"]),
        ("/text/a%C3", &["path.value: expected", "\"a%C3\"", "UTF-8"]),
        ("/text/%ED%A0%80", &["path.value: expected", "UTF-8"]),
        ("/rest/a/%80", &["path.value: expected", "\"a/%80\""]),
        ("/struct/3/%FF", &["path.b: expected", "\"%FF\""]),
        ("/pair/3/%FF", &["path.b: expected", "\"%FF\""]),
    ]);
}

#[test]
fn an_option_or_a_result_of_a_parameter_leaves_the_fault_to_the_handler() {
    assert_texts(&[
        ("/optional/7", "Some(7)"),
        ("/optional/x", "None"),
        ("/result/7", "7"),
        (
            "/result/x",
            "not taken: path.id: expected a whole number from 0 up, of 32 bits, found \"x\"",
        ),
    ]);
}

#[test]
fn a_query_fills_fields_lists_options_and_defaults() {
    assert_texts(&[
        ("/search", " 10 None [] false"),
        ("/search?", " 10 None [] false"),
        ("/search?q=a+b%26c&limit=3", "a b&c 3 None [] false"),
        (
            "/search?q=%C3%A9&after=18446744073709551615",
            "é 10 Some(18446744073709551615) [] false",
        ),
        (
            "/search?tag=x&tag=y+z&q=1&tag=",
            "1 10 None [\"x\", \"y z\", \"\"] false",
        ),
        ("/search?exact=true&unknown=1", " 10 None [] true"),
        ("/search?q=a=b?c", "a=b?c 10 None [] false"),
        ("/page?number=4", "4"),
        ("/optional-page", "no page"),
        ("/optional-page?number=4", "4"),
    ]);
}

#[test]
fn mismatched_query_is_400_with_the_reason() {
    assert_refused(&[
        ("/page", &["query", "number"]),
        ("/page?", &["number"]),
        (
            "/page?number=x",
            &["query.number: expected a whole number from 0 up, of 32 bits, found \"x\""],
        ),
        ("/page?number=-1", &["query"]),
        ("/page?number=4294967296", &["query"]),
        ("/search?limit=many", &["query"]),
        ("/optional-page?number=x", &["query"]),
        ("/optional-page?other=1", &["number"]),
    ]);
}

#[test]
fn repeated_header_fields_are_all_extracted() {
    let server = server();
    let response = server.request("GET /fields HTTP/1.1\r\nHost: test\r\nX-Tag: a\r\nx-tag:b \r\nX-TAG: c, d\r\n\r\n");
    assert_eq!(response.text(), "a | b | c, d / test / ");
}

#[test]
fn method_target_version_and_peer_are_those_of_the_request() {
    let server = server();
    let mut client = server.connect();
    client.send(request("GET", "/head?x=%20y"));
    assert_eq!(client.response().text(), "GET /head?x=%20y HTTP/1.1 127.0.0.1");
    client.send("GET http://test/head HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response().text(), "GET http://test/head HTTP/1.1 127.0.0.1");
    client.send("GET /head HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "GET /head HTTP/1.0 127.0.0.1");
}

#[test]
fn a_whole_request_has_all_parts_unchanged() {
    let response =
        server().request("GET /whole/a%2Fb?x=1&y HTTP/1.1\r\nhost: test\r\nuser-agent: me\r\naccept: */*\r\n\r\n");
    assert_eq!(
        response.text(),
        "GET /whole/a%2Fb Some(\"x=1&y\") Some(\"a%2Fb\") Some(\"me\") 3"
    );
}

#[test]
fn the_state_and_its_parts_are_extracted_by_their_types() {
    assert_texts(&[("/state", "hello 7 8")]);
}

#[test]
fn a_list_with_a_part_of_the_state_is_mounted_where_the_state_has_that_part() {
    assert_texts(&[("/part/greeting", "hello")]);
}

#[test]
fn a_custom_argument_may_await_and_has_a_custom_rejection() {
    let server = server();
    assert_eq!(
        server
            .request("GET /asker HTTP/1.1\r\nhost: test\r\nX-Asker: me\r\n\r\n")
            .text(),
        "me true"
    );
    let response = server.get("/asker");
    assert_eq!((response.status, response.text()), (401, "the caller has no name"));
    assert_eq!(server.get("/optional-asker").text(), "nobody");
}

#[test]
fn a_handler_need_not_be_send() {
    assert_texts(&[("/not-send", "hello 2")]);
}
