//! Nested and repeated fields of queries and forms, and header fields in a struct.
#![allow(dead_code, reason = "only `Debug` reads the fields")]

use std::collections::BTreeMap;

use conduit::Header;
use conduit::openapi::Info;
use conduit::prelude::*;

use crate::support::{Response, Running, serve};

#[derive(Debug, serde::Deserialize, JsonSchema)]
struct ItemSearch {
    #[serde(default)]
    tags: Vec<String>,
    /// The properties of the items.
    filter: Option<Filter>,
    #[serde(default)]
    items: Vec<SearchedItem>,
    #[serde(default)]
    labels: BTreeMap<String, u8>,
    limit: Option<u8>,
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
struct Filter {
    name: String,
    price: Option<PriceRange>,
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
struct PriceRange {
    gt: Option<u32>,
    lt: Option<u32>,
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
struct SearchedItem {
    id: u32,
}

#[get("/search")]
fn search(search: Query<ItemSearch>) -> String {
    format!("{:?}", search.0)
}

#[post("/form")]
fn form(search: Form<ItemSearch>) -> String {
    format!("{:?}", search.0)
}

#[get("/pairs")]
fn pairs(pairs: Query<Vec<(String, String)>>) -> String {
    format!("{:?}", pairs.0)
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
struct Call {
    /// The maximum number.
    x_limit: u8,
    #[serde(default)]
    accept_language: Vec<String>,
    user_agent: Option<String>,
    #[serde(rename = "X-Debug")]
    debug: Option<bool>,
}

#[get("/call")]
fn call(call: Header<Call>) -> String {
    let Call {
        x_limit,
        accept_language,
        user_agent,
        debug,
    } = call.0;
    format!("{x_limit} {accept_language:?} {user_agent:?} {debug:?}")
}

const ROUTES: Routes = routes![search, form, pairs, call];

fn server() -> Running {
    serve(App::new(()).routes(ROUTES))
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, detail: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.problem()["detail"], detail);
}

#[test]
fn names_in_brackets_are_fields_inside_of_fields() {
    let server = server();
    let query = "tags=a&filter[name]=x%26y&filter%5Bprice%5D%5Bgt%5D=3&tags[]=b&items[10][id]=2&items[2][id]=1\
                 &labels[a.b]=1&limit=&other[x]=1&odd[=1&[odd]=2";
    let expected = "ItemSearch { tags: [\"a\", \"b\"], filter: Some(Filter { name: \"x&y\", price: Some(PriceRange { gt: Some(3), \
                    lt: None }) }), items: [SearchedItem { id: 1 }, SearchedItem { id: 2 }], labels: {\"a.b\": 1}, limit: None }";
    assert_eq!(server.get(&format!("/search?{query}")).text(), expected);
    let length = query.len();
    let response = server.request(format!(
        "POST /form HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {length}\r\n\r\n{query}"
    ));
    assert_eq!(response.text(), expected);
    assert_eq!(
        server.get("/pairs?a[b]=1&a=2").text(),
        "[(\"a[b]\", \"1\"), (\"a\", \"2\")]"
    );
}

#[test]
fn a_nested_field_that_does_not_fit_is_refused_with_its_place() {
    let server = server();
    for (query, detail) in [
        ("filter[price][gt]=1", "query.filter.name: missing"),
        (
            "filter[name]=x&filter[price][gt]=much",
            "query.filter.price.gt: expected a whole number from 0 up, of 32 bits, found \"much\"",
        ),
        (
            "items[0][id]=1&items[1][id]=x",
            "query.items[1].id: expected a whole number from 0 up, of 32 bits, found \"x\"",
        ),
        (
            "labels[a.b]=256",
            "query.labels[\"a.b\"]: expected a whole number from 0 to 255, found \"256\"",
        ),
        (
            "tags[x]=a",
            "query.tags: expected a list, found fields in brackets that are not numbers",
        ),
        ("filter=x&tags[]=", "query.filter: expected an object, found \"x\""),
        (
            "limit[a]=1",
            "query.limit: expected one value, found fields in brackets",
        ),
        ("limit=1&limit=2&tags[]=a", "query.limit: expected one value, found 2"),
        (
            "filter[name]=x&filter[name][y]=1",
            "query.filter.name: expected a value or fields in brackets, found both",
        ),
        (
            "a[1][2][3][4][5][6][7][8][9]=x",
            "query.a: expected at most 8 names in brackets, found more",
        ),
    ] {
        assert_refused(&server.get(&format!("/search?{query}")), 400, detail);
    }
}

#[test]
fn many_names_and_large_numbers_cost_no_more_than_their_length() {
    let server = server();
    let body: String = (0..100_000).map(|index| format!("labels[{index}]=x&")).collect();
    let body = format!("{body}items[4294967295][id]=1");
    let length = body.len();
    let mut client = server.connect();
    client.send(format!(
        "POST /form HTTP/1.1\r\nhost: test\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(client.response().status, 413);
    let numbers = "items[4294967295][id]=1&items[4294967294][id]=2";
    let items = server.get(&format!("/search?{numbers}"));
    assert!(
        items
            .text()
            .contains("items: [SearchedItem { id: 2 }, SearchedItem { id: 1 }]"),
        "{items:?}"
    );
}

#[test]
fn header_fields_fill_a_struct_by_their_names() {
    let server = server();
    let ask = |fields: &str| server.request(format!("GET /call HTTP/1.1\r\nhost: test\r\n{fields}\r\n"));
    assert_eq!(ask("X-Limit: 7\r\n").text(), "7 [] None None");
    assert_eq!(
        ask("x-limit: 7\r\nAccept-Language: de, \"a,b\" ,,en\r\naccept-language: fr\r\nuser-agent: a, b\r\nx-debug: true\r\n")
            .text(),
        "7 [\"de\", \"\\\"a,b\\\"\", \"en\", \"fr\"] Some(\"a, b\") Some(true)"
    );
    assert_refused(&ask(""), 400, "header.x-limit: missing");
    assert_refused(
        &ask("x-limit: many\r\n"),
        400,
        "header.x-limit: expected a whole number from 0 to 255, found \"many\"",
    );
    assert_refused(
        &ask("x-limit: 1\r\nx-limit: 2\r\n"),
        400,
        "header.x-limit: expected one value, found 2",
    );
}

#[test]
fn the_document_has_nested_fields_and_header_fields() {
    const LIST: Routes = routes![search, form, call];
    let document = LIST.openapi(Info::new("test", "1"));
    assert_eq!(document.gaps(), []);
    let document = serde_json::to_value(&document).expect("a document is JSON");
    let parameters = |path: &str| document["paths"][path]["get"]["parameters"].clone();
    let find = |parameters: &serde_json::Value, name: &str| {
        let all = parameters.as_array().expect("a list").iter();
        all.clone()
            .find(|parameter| parameter["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let search = parameters("/search");
    assert_eq!(find(&search, "filter")["style"], "deepObject");
    assert_eq!(find(&search, "filter")["explode"], true);
    assert_eq!(find(&search, "filter")["description"], "The properties of the items.");
    assert_eq!(find(&search, "labels")["style"], "deepObject");
    assert_eq!(find(&search, "tags")["style"], serde_json::Value::Null);
    let form = &document["paths"]["/form"]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"];
    assert_eq!(form["encoding"]["filter"]["style"], "deepObject");
    assert_eq!(form["encoding"]["tags"], serde_json::Value::Null);
    let call = parameters("/call");
    let limit = find(&call, "x-limit");
    assert_eq!((&limit["in"], &limit["required"]), (&"header".into(), &true.into()));
    assert_eq!(limit["description"], "The maximum number.");
    assert_eq!(find(&call, "user-agent")["required"], serde_json::Value::Null);
    assert_eq!(find(&call, "x-debug")["schema"]["type"], "boolean");
}
