//! One syntax for queries, forms and multipart forms, for all names and values of a request.
#![allow(dead_code, reason = "only `Debug` reads the fields")]

use std::collections::{BTreeMap, HashMap};

use conduit::prelude::*;
use conduit::{Header, MultipartForm, UploadedFile, Valid};
use serde::de::Error as _;
use serde_json::Value;

use crate::support::{Response, Running, serve};

/// A date that is parsed from a string and rejects an invalid one, as the types of the date crates do.
#[derive(Debug)]
struct Date(u16, u8);

impl<'de> serde::Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let date = text
            .split_once('-')
            .and_then(|(year, month)| Some(Date(year.parse().ok()?, month.parse().ok()?)));
        date.ok_or_else(|| D::Error::custom("expected a date"))
    }
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum PaintColor {
    Red,
    Green,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Scalars {
    pair: Option<(u8, i8)>,
    array: Option<[u16; 3]>,
    list: Vec<u32>,
    large: Option<u128>,
    small: Option<i128>,
    flag: Option<bool>,
    letter: Option<char>,
    unit: Option<()>,
    color: Option<PaintColor>,
    date: Option<Date>,
    text: Option<String>,
    ratio: Option<f64>,
    by_number: BTreeMap<u16, bool>,
    #[serde(rename = "tags[]")]
    tags: Vec<String>,
    tag: Vec<String>,
}

#[get("/scalars")]
fn scalars(scalars: Query<Scalars>) -> String {
    format!("{:?}", scalars.0)
}

#[post("/scalars")]
fn scalars_form(scalars: Form<Scalars>) -> String {
    format!("{:?}", scalars.0)
}

#[derive(Debug, serde::Deserialize)]
struct PageQuery {
    page: u32,
    size: Option<u8>,
    ratio: Option<f32>,
    all: Option<bool>,
    #[serde(default)]
    sort: Vec<String>,
    #[serde(default)]
    ids: Vec<u64>,
    color: Option<PaintColor>,
}

#[derive(Debug, serde::Deserialize)]
struct Text {
    q: String,
    note: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
struct Flattened {
    #[serde(flatten)]
    page: PageQuery,
    #[serde(flatten)]
    text: Text,
    own: Option<u8>,
}

#[get("/flattened")]
fn flattened(query: Query<Flattened>) -> String {
    format!("{:?}", query.0)
}

#[get("/rest")]
fn rest(query: Query<WithRest>) -> String {
    format!("{:?}", query.0)
}

#[derive(Debug, serde::Deserialize)]
struct WithRest {
    page: u32,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Tagged {
    Circle { radius: f64, name: String },
    Point(Point),
    Nothing,
}

#[derive(Debug, serde::Deserialize)]
struct Point {
    x: i32,
    y: i32,
}

#[derive(Debug, serde::Deserialize)]
#[serde(tag = "kind", content = "of", rename_all = "lowercase")]
enum Adjacent {
    Circle { radius: f64 },
    Number(u32),
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum External {
    Circle { radius: f64 },
    Number(u32),
    Pair(u8, u8),
    Nothing,
}

#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Flag(bool),
    Point(Point),
    Named { name: String, rank: u8 },
    Name(String),
}

#[get("/tagged")]
fn tagged(query: Query<Tagged>) -> String {
    format!("{:?}", query.0)
}

#[derive(Debug, serde::Deserialize)]
struct Enums {
    adjacent: Option<Adjacent>,
    external: Option<External>,
    untagged: Option<Untagged>,
    tagged: Option<Tagged>,
}

#[get("/enums")]
fn enums(query: Query<Enums>) -> String {
    format!("{:?}", query.0)
}

#[get("/untagged")]
fn untagged(query: Query<Untagged>) -> String {
    format!("{:?}", query.0)
}

#[get("/external")]
fn external(query: Query<External>) -> String {
    format!("{:?}", query.0)
}

#[derive(Debug, serde::Deserialize)]
struct Row {
    name: Option<String>,
    date: Option<Date>,
    count: Option<u8>,
}

#[derive(Debug, serde::Deserialize)]
struct Rows {
    rows: Vec<Row>,
}

#[post("/rows")]
fn rows(rows: Form<Rows>) -> String {
    format!("{} {:?}", rows.0.rows.len(), rows.0.rows.last())
}

#[get("/counts")]
fn counts(counts: Query<HashMap<u8, u8>>) -> String {
    format!("{:?}", counts.0)
}

#[derive(serde::Deserialize, garde::Validate)]
struct Share {
    #[garde(range(min = 0.0, max = 1.0))]
    share: f64,
}

#[get("/share")]
fn share(share: Valid<Query<Share>>) -> String {
    share.share.to_string()
}

#[derive(Debug, serde::Deserialize)]
struct HeaderPair {
    x_pair: (u8, u8),
}

#[get("/header")]
fn header(pair: Header<HeaderPair>) -> String {
    format!("{:?}", pair.x_pair)
}

#[derive(Debug, serde::Deserialize)]
struct CookiePair {
    pair: (u8, u8),
}

#[get("/cookie")]
fn cookie(pair: CookieValues<CookiePair>) -> String {
    format!("{:?}", pair.pair)
}

#[derive(Debug, serde::Deserialize)]
struct Upload {
    file: UploadedFile,
    #[serde(flatten)]
    page: PageQuery,
}

#[post("/upload")]
async fn upload(form: MultipartForm<Upload>) -> Result<String, Problem> {
    let upload = form.0;
    let text = format!("{:?}", upload.page);
    let length = upload.file.bytes().await?.len();
    upload.file.into_file().await?;
    Ok(format!("{text} {length}"))
}

#[post("/optional")]
async fn optional(form: Form<BTreeMap<String, Option<u32>>>) -> String {
    format!(
        "{} without a value",
        form.values().filter(|value| value.is_none()).count()
    )
}

const ROUTES: Routes = routes![
    scalars,
    scalars_form,
    flattened,
    rest,
    tagged,
    enums,
    untagged,
    external,
    rows,
    counts,
    optional,
    share,
    header,
    cookie,
    upload
];

fn server() -> Running {
    serve(App::new(()).routes(ROUTES))
}

fn post_form(server: &Running, path: &str, body: impl AsRef<[u8]>) -> Response {
    let body = body.as_ref();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    server.request([head.as_bytes(), body].concat())
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, detail: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.problem()["detail"], detail);
}

/// Each query with the result of `/scalars`, without the fields that have their default.
const SCALARS: &[(&str, &str)] = &[
    ("pair=1&pair=-2", "pair: Some((1, -2))"),
    ("pair[]=1&pair[]=-2", "pair: Some((1, -2))"),
    ("pair[1]=-2&pair[0]=1", "pair: Some((1, -2))"),
    ("array=1&array=2&array=3", "array: Some([1, 2, 3])"),
    ("list=1", "list: [1]"),
    ("list=3&list=1&list=2", "list: [3, 1, 2]"),
    ("list[10]=3&list[9]=1", "list: [1, 3]"),
    (
        "large=340282366920938463463374607431768211455",
        "large: Some(340282366920938463463374607431768211455)",
    ),
    (
        "small=-170141183460469231731687303715884105728",
        "small: Some(-170141183460469231731687303715884105728)",
    ),
    ("flag=on", "flag: Some(true)"),
    ("flag=false", "flag: Some(false)"),
    ("letter=%C3%A9", "letter: Some('é')"),
    ("unit=", "unit: Some(())"),
    ("color=red", "color: Some(Red)"),
    ("color[green]=", "color: Some(Green)"),
    ("date=2024-2", "date: Some(Date(2024, 2))"),
    ("ratio=1e3", "ratio: Some(1000.0)"),
    ("by_number[7]=true&by_number[1]=on", "by_number: {1: true, 7: true}"),
    ("tags[]=a&tags[]=b", "tags: [\"a\", \"b\"]"),
    ("tag[]=a&tag=b&tag[]=c", "tag: [\"a\", \"b\", \"c\"]"),
    ("text=a%5Bb%5D+c%2Bd", "text: Some(\"a[b] c+d\")"),
    // An empty string is no value for a type that rejects it.
    ("large=&flag=&letter=&color=&date=&ratio=", ""),
    ("text=", "text: Some(\"\")"),
];

/// The fields of a `Scalars` in its `Debug` form that differ from the default.
fn changed(text: &str) -> String {
    let default = format!("{:?}", Scalars::default());
    let fields = |text: &str| -> Vec<String> {
        let inside = text.trim_start_matches("Scalars { ").trim_end_matches(" }");
        let names = [
            "pair", "array", "list", "large", "small", "flag", "letter", "unit", "color", "date", "text", "ratio",
        ];
        let names = names.iter().chain(&["by_number", "tags", "tag"]);
        let mut starts: Vec<usize> = names
            .map(|name| {
                if inside.starts_with(&format!("{name}: ")) {
                    0
                } else {
                    inside.find(&format!(", {name}: ")).expect(name) + 2
                }
            })
            .collect();
        starts.push(inside.len() + 2);
        starts
            .windows(2)
            .map(|pair| inside[pair[0]..pair[1] - 2].to_owned())
            .collect()
    };
    let changed = fields(text)
        .into_iter()
        .zip(fields(&default))
        .filter(|(one, other)| one != other);
    changed.map(|(field, _)| field).collect::<Vec<_>>().join(", ")
}

#[test]
fn values_of_every_kind_are_read_whether_or_not_there_are_brackets() {
    let server = server();
    for (query, expected) in SCALARS {
        for more in ["", "&other=[", "&other[x]=1", "&[=&x]=%5B", "&other=%25"] {
            let response = server.get(&format!("/scalars?{query}{more}"));
            assert_eq!(response.status, 200, "{query}{more}: {response:?}");
            assert_eq!(changed(response.text()), *expected, "{query}{more}");
            let response = post_form(&server, "/scalars", format!("{query}{more}"));
            assert_eq!(changed(response.text()), *expected, "{query}{more}");
        }
    }
}

#[test]
fn values_that_do_not_fit_are_refused_with_their_place_whether_or_not_there_are_brackets() {
    let server = server();
    for (query, detail) in [
        (
            "pair=1&pair=2&pair=3",
            "query.pair: expected a list of 2 elements, found 3",
        ),
        ("pair=1", "query.pair: expected a list of 2 elements, found 1"),
        (
            "array=1&array=2&array=3&array=4",
            "query.array: expected a list of 3 elements, found 4",
        ),
        (
            "pair=1&pair=x",
            "query.pair[1]: expected a whole number from -128 to 127, found \"x\"",
        ),
        ("flag=1&flag=2", "query.flag: expected one value, found 2"),
        ("text=1&text=2", "query.text: expected one value, found 2"),
        (
            "text=1&text[x]=2",
            "query.text: expected a value or fields in brackets, found both",
        ),
        ("ratio=NaN", "query.ratio: expected a number, found \"NaN\""),
        ("ratio=-inf", "query.ratio: expected a number, found \"-inf\""),
        ("ratio=1e999", "query.ratio: expected a number, found \"1e999\""),
        ("color=blue", "query.color: expected `red` or `green`, found \"blue\""),
        (
            "color[red]=&color[green]=",
            "query.color: expected one field, named `red` or `green`, found 2",
        ),
        ("date=x", "query.date: expected a date, found \"x\""),
        ("letter=xy", "query.letter: expected one character, found \"xy\""),
        (
            "by_number[x]=on",
            "query.by_number.x: expected a whole number from 0 to 65535, found \"x\"",
        ),
        (
            "tags[]=x&a[1][2][3][4][5][6][7][8][9]=x",
            "query.a: expected at most 8 names in brackets, found more",
        ),
        (
            "date=&list=x",
            "query.list[0]: expected a whole number from 0 up, of 32 bits, found \"x\"",
        ),
    ] {
        for more in ["", "&other=[", "&other[x]=1"] {
            assert_refused(&server.get(&format!("/scalars?{query}{more}")), 400, detail);
        }
    }
    assert_refused(
        &server.get("/counts?7=1&x=2"),
        400,
        "query.x: expected a whole number from 0 to 255, found \"x\"",
    );
}

#[test]
fn surplus_elements_are_refused_in_header_fields_and_cookies() {
    let server = server();
    let ask = |path: &str, field: &str| server.request(format!("GET {path} HTTP/1.1\r\nhost: test\r\n{field}\r\n\r\n"));
    assert_eq!(ask("/header", "x-pair: 1, 2").text(), "(1, 2)");
    assert_refused(
        &ask("/header", "x-pair: 1,2,3"),
        400,
        "header.x-pair: expected a list of 2 elements, found 3",
    );
    assert_eq!(ask("/cookie", "cookie: pair=1,2").text(), "(1, 2)");
    assert_refused(
        &ask("/cookie", "cookie: pair=1,2,3"),
        400,
        "cookie.pair: expected a list of 2 elements, found 3",
    );
}

#[test]
fn nan_and_infinities_do_not_pass_a_range() {
    let server = server();
    assert_eq!(server.get("/share?share=0.5").text(), "0.5");
    for share in ["NaN", "nan", "-NaN", "inf", "infinity"] {
        assert_eq!(server.get(&format!("/share?share={share}")).status, 400, "{share}");
    }
    assert_eq!(server.get("/share?share=2").status, 422);
}

#[test]
fn text_that_is_not_utf_8_is_refused_with_its_name() {
    let server = server();
    for (query, detail) in [
        (
            "text=a%ff",
            "query.text: expected UTF-8 once percent-decoded, found \"a%ff\"",
        ),
        (
            "text=x&tag=%C3",
            "query.tag: expected UTF-8 once percent-decoded, found \"%C3\"",
        ),
        (
            "text=%C3&%A9=x",
            "query.text: expected UTF-8 once percent-decoded, found \"%C3\"",
        ),
        ("%ff=x", "query.%ff: expected UTF-8 once percent-decoded, found \"%ff\""),
    ] {
        assert_refused(&server.get(&format!("/scalars?{query}")), 400, detail);
    }
    for body in [&b"text=a%ff"[..], b"text=a\xff", b"text=a+\xff", b"a\xff=x"] {
        assert_eq!(post_form(&server, "/scalars", body).status, 400, "{body:?}");
    }
    assert_eq!(
        changed(post_form(&server, "/scalars", "text=é").text()),
        "text: Some(\"é\")"
    );
}

#[test]
fn flattened_structs_have_numbers_and_texts() {
    let server = server();
    for (query, expected) in [
        (
            "page=7&q=7",
            "page: PageQuery { page: 7, size: None, ratio: None, all: None, sort: [], ids: [], color: None }, text: Text { q: \"7\", note: None }, own: None",
        ),
        (
            "q=true&page=7&size=3&ratio=0.5&all=true&sort=1&ids=5&color=red&note=&own=4",
            "page: PageQuery { page: 7, size: Some(3), ratio: Some(0.5), all: Some(true), sort: [\"1\"], ids: [5], color: Some(Red) }, text: Text { q: \"true\", note: Some(\"\") }, own: Some(4)",
        ),
        (
            "q=&page=7&size=&ratio=&all=on&sort=x&sort=y&ids=5&ids=6&color=&own=",
            "page: PageQuery { page: 7, size: None, ratio: None, all: Some(true), sort: [\"x\", \"y\"], ids: [5, 6], color: None }, text: Text { q: \"\", note: None }, own: None",
        ),
    ] {
        let response = server.get(&format!("/flattened?{query}"));
        assert_eq!(response.status, 200, "{query}: {response:?}");
        assert_eq!(response.text(), format!("Flattened {{ {expected} }}"), "{query}");
    }
    assert_refused(
        &server.get("/flattened?q=1&page=x"),
        400,
        "query.page: expected u32, found \"x\"",
    );
    assert_refused(
        &server.get("/flattened?q=1&page=1&size=256"),
        400,
        "query.size: expected u8, found \"256\"",
    );
    assert_refused(&server.get("/flattened?page=1"), 400, "query.q: missing");
    // A type that accepts any value receives the string.
    assert_eq!(
        server.get("/rest?page=1&a=2&b=x&c[d]=3").text(),
        "WithRest { page: 1, rest: {\"a\": String(\"2\"), \"b\": String(\"x\"), \"c\": Object {\"d\": String(\"3\")}} }"
    );
}

#[test]
fn enums_are_tagged_internally_adjacently_externally_and_untagged() {
    let server = server();
    for (query, expected) in [
        (
            "/tagged?kind=circle&radius=2&name=5",
            "Circle { radius: 2.0, name: \"5\" }",
        ),
        ("/tagged?x=1&y=-2&kind=point", "Point(Point { x: 1, y: -2 })"),
        ("/tagged?kind=nothing&other=1", "Nothing"),
        ("/untagged?x=1&y=2", "Point(Point { x: 1, y: 2 })"),
        ("/untagged?name=7&rank=7", "Named { name: \"7\", rank: 7 }"),
        ("/external?circle[radius]=2", "Circle { radius: 2.0 }"),
        ("/external?number=2", "Number(2)"),
        ("/external?pair=1&pair=2", "Pair(1, 2)"),
        ("/external?nothing", "Nothing"),
    ] {
        let response = server.get(query);
        assert_eq!((response.status, response.text()), (200, expected), "{query}");
    }
    for (query, field) in [
        (
            "adjacent[kind]=circle&adjacent[of][radius]=2",
            "adjacent: Some(Circle { radius: 2.0 })",
        ),
        ("adjacent[kind]=number&adjacent[of]=2", "adjacent: Some(Number(2))"),
        ("external=nothing", "external: Some(Nothing)"),
        ("external[number]=2", "external: Some(Number(2))"),
        ("external[pair][]=1&external[pair][]=2", "external: Some(Pair(1, 2))"),
        ("untagged=5", "untagged: Some(Number(5))"),
        ("untagged=true", "untagged: Some(Flag(true))"),
        ("untagged=x", "untagged: Some(Name(\"x\"))"),
        (
            "untagged[x]=1&untagged[y]=2",
            "untagged: Some(Point(Point { x: 1, y: 2 }))",
        ),
        (
            "tagged[kind]=circle&tagged[radius]=1&tagged[name]=1",
            "tagged: Some(Circle { radius: 1.0, name: \"1\" })",
        ),
    ] {
        let response = server.get(&format!("/enums?{query}"));
        assert_eq!(response.status, 200, "{query}: {response:?}");
        assert!(response.text().contains(field), "{query}: {}", response.text());
    }
    assert_eq!(server.get("/tagged?kind=circle&radius=x&name=1").status, 400);
    assert_eq!(server.get("/external?number=2&pair=1").status, 400);
    assert_eq!(server.get("/untagged?rank=7").status, 400);
}

#[test]
fn empty_inputs_of_many_rows_are_no_values() {
    let server = server();
    let body: String = (0..500)
        .map(|row| format!("rows[{row}][name]=&rows[{row}][date]=&rows[{row}][count]=&"))
        .collect();
    assert_eq!(
        post_form(&server, "/rows", &body).text(),
        "500 Some(Row { name: Some(\"\"), date: None, count: None })"
    );
    assert_refused(
        &post_form(&server, "/rows", body.replace("[499][date]=", "[499][date]=x")),
        422,
        "body.rows[499].date: expected a date, found \"x\"",
    );
}

#[test]
fn files_come_with_flattened_numbers() {
    let server = server();
    let part =
        |head: &str, content: &str| format!("--b\r\ncontent-disposition: form-data; {head}\r\n\r\n{content}\r\n");
    for length in [3, 100_000] {
        let body = [
            part("name=file; filename=x", &"x".repeat(length)),
            part("name=page", "3"),
            part("name=size", ""),
            "--b--\r\n".to_owned(),
        ]
        .concat();
        let request = format!(
            "POST /upload HTTP/1.1\r\nhost: test\r\ncontent-type: multipart/form-data; boundary=b\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let expected = "PageQuery { page: 3, size: None, ratio: None, all: None, sort: [], ids: [], color: None }";
        assert_eq!(server.request(request).text(), format!("{expected} {length}"));
    }
}

#[test]
fn fields_beyond_the_limit_are_refused() {
    let server = server();
    assert_eq!(post_form(&server, "/scalars", "a&".repeat(10_000)).status, 200);
    assert_eq!(post_form(&server, "/scalars", "&".repeat(100_000)).status, 200);
    assert_refused(
        &post_form(&server, "/scalars", "a&".repeat(10_001)),
        413,
        "the body has more fields than the limit of 10000",
    );
}

#[test]
fn empty_fields_beyond_the_limit_are_refused_with_the_number_and_the_remedy() {
    let server = server();
    let fields = |count: usize| -> String { (0..count).map(|field| format!("f{field}=&")).collect() };
    assert_eq!(
        post_form(&server, "/optional", fields(300)).text(),
        "300 without a value"
    );
    assert_refused(
        &post_form(&server, "/optional", fields(400)),
        422,
        "body: more than 250 of the 400 fields have a value that their type rejects as a string: omit empty fields, or send fewer fields",
    );
}
