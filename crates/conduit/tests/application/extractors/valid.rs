//! Values that are validated by the rules of their types.

use std::collections::HashMap;

use conduit::Valid;
use conduit::openapi::Info;
use conduit::prelude::*;
use garde::Validate;
use serde_json::json;

use crate::support::{Response, Running, serve};

#[derive(serde::Deserialize, JsonSchema, Validate)]
struct Order {
    #[garde(length(chars, min = 2, max = 5))]
    name: String,
    #[garde(length(min = 1), dive)]
    items: Vec<PricedItem>,
}

#[derive(serde::Deserialize, JsonSchema, Validate)]
struct PricedItem {
    #[garde(range(min = 1, max = 99))]
    price: u32,
}

#[derive(serde::Deserialize, JsonSchema, Validate)]
struct PageSize {
    #[garde(range(max = 10))]
    size: u32,
}

#[post("/order")]
fn order(order: Valid<Json<Order>>) -> String {
    format!("{} {} {}", order.name, order.items.len(), order.items[0].price)
}

#[post("/list")]
fn list(#[allow(unused)] items: Valid<Json<Vec<PricedItem>>>) {}

#[get("/page")]
fn page(page: Valid<Query<PageSize>>) -> String {
    page.size.to_string()
}

#[get("/maybe")]
fn maybe(page: Option<Valid<Query<PageSize>>>) -> String {
    page.map_or("none".to_owned(), |page| page.size.to_string())
}

#[post("/form")]
fn form(page: Valid<Form<PageSize>>) -> String {
    page.size.to_string()
}

#[derive(serde::Deserialize, JsonSchema, PathParams, Validate)]
struct Month {
    #[garde(range(min = 1970))]
    year: u16,
    #[garde(range(min = 1, max = 12))]
    month: u8,
}

#[derive(serde::Deserialize, JsonSchema, Validate)]
#[garde(transparent)]
struct Number(#[garde(range(min = 1))] u32);

#[get("/archive/{year}/{month}")]
fn archive(of: Valid<Path<Month>>) -> String {
    format!("{}-{:02}", of.year, of.month)
}

#[get("/numbers/{id}")]
fn number(Valid(Path(id)): Valid<Path<Number>>) -> String {
    id.0.to_string()
}

#[get("/pairs/{first}/{second}")]
fn pair(pair: Valid<Path<(Number, Number)>>) -> String {
    format!("{} {}", pair.0.0.0.0, pair.0.0.1.0)
}

#[get("/result/{id}")]
fn result(id: Result<Valid<Path<Number>>, Problem>) -> String {
    match id {
        Ok(id) => id.0.0.0.to_string(),
        Err(problem) => problem.detail().unwrap_or_default().to_owned(),
    }
}

#[get("/option/{id}")]
fn option(id: Option<Valid<Path<Number>>>) -> String {
    id.map_or("none".to_owned(), |id| id.0.0.0.to_string())
}

/// Names that serde renames: by a rule, one by one, and not at all.
#[derive(serde::Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "camelCase")]
struct Renamed {
    #[garde(range(max = 3))]
    the_value: u32,
    #[serde(rename = "kind")]
    #[garde(range(max = 3))]
    sort: u32,
    #[serde(default)]
    #[garde(length(min = 1))]
    not_sent: String,
    #[serde(default)]
    #[garde(dive)]
    sub_values: Vec<Sub>,
    #[serde(default)]
    #[garde(dive)]
    wrapped: Wrapped,
    #[serde(default)]
    #[garde(dive)]
    by_name: HashMap<String, Sub>,
}

#[derive(serde::Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
struct Sub {
    #[garde(range(max = 3))]
    the_value: u32,
}

#[derive(Default, serde::Deserialize, JsonSchema, Validate)]
struct Wrapped(#[garde(range(max = 3))] u32);

#[post("/renamed")]
fn renamed(#[allow(unused)] body: Valid<Json<Renamed>>) {}

#[derive(serde::Deserialize, JsonSchema, Validate)]
#[serde(rename_all = "camelCase")]
struct PageFilter {
    #[garde(range(max = 3))]
    page_size: u32,
    #[garde(dive)]
    sub_filter: Sub,
}

#[get("/filter")]
fn filter(#[allow(unused)] filter: Valid<Query<PageFilter>>) {}

#[post("/filter")]
fn filter_form(#[allow(unused)] filter: Valid<Form<PageFilter>>) {}

#[derive(serde::Deserialize, JsonSchema, Validate)]
struct LimitHeaders {
    #[garde(range(max = 3))]
    x_limit: u32,
}

#[get("/call")]
fn call(#[allow(unused)] call: Valid<Header<LimitHeaders>>) {}

const ROUTES: Routes = routes![
    order,
    list,
    page,
    maybe,
    form,
    archive,
    number,
    pair,
    result,
    option,
    renamed,
    filter,
    filter_form,
    call
];

/// The path and the pointer of each fault, in order of the paths.
fn places(response: &Response) -> Vec<(String, Option<String>)> {
    assert_eq!(response.status, 422);
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let problem = response.problem();
    let errors = problem["errors"].as_array().expect("a list");
    let place = |error: &serde_json::Value| (text(&error["path"]).expect("a path"), text(&error["pointer"]));
    let mut places: Vec<_> = errors.iter().map(place).collect();
    places.sort();
    places
}

#[test]
fn a_fault_has_the_sent_names_and_its_pointer_resolves() {
    let server = serve(App::new(()).routes(ROUTES));
    let body = json!({
        "other": 1,
        "theValue": 4,
        "kind": 4,
        "subValues": [{"THE-VALUE": 1}, {"THE-VALUE": 4}],
        "wrapped": 4,
        "byName": {"a/b": {"THE-VALUE": 4}, "A_B": {"THE-VALUE": 1}},
    });
    let places = places(&post(&server, "/renamed", "application/json", &body.to_string()));
    let expected = [
        (r#"body.byName.a/b.THE-VALUE"#, "#/byName/a~1b/THE-VALUE"),
        // It cannot be recognised as `kind`.
        ("body.notSent", "#"),
        ("body.sort", "#"),
        ("body.subValues[1].THE-VALUE", "#/subValues/1/THE-VALUE"),
        ("body.theValue", "#/theValue"),
        ("body.wrapped", "#/wrapped"),
    ];
    let expected = expected.map(|(path, pointer)| (path.replace("notSent", "not_sent"), Some(pointer.to_owned())));
    assert_eq!(places, expected);
    for (path, pointer) in places {
        let pointer = pointer.expect("a body of JSON has pointers");
        assert!(body.pointer(&pointer[1..]).is_some(), "{path} leads nowhere: {pointer}");
    }
}

#[test]
fn an_ambiguous_name_is_omitted() {
    let server = serve(App::new(()).routes(ROUTES));
    // The second is not known, and ignored.
    let body = r#"{"theValue": 4, "the-value": 1, "kind": 1, "notSent": "x"}"#;
    let response = post(&server, "/renamed", "application/json", body);
    assert_eq!(places(&response), [("body.the_value".to_owned(), Some("#".to_owned()))]);
}

#[test]
fn fields_have_the_names_that_were_sent() {
    let server = serve(App::new(()).routes(ROUTES));
    let fields = "pageSize=4&subFilter[THE-VALUE]=4";
    let response = server.get(&format!("/filter?{fields}"));
    assert_eq!(
        places(&response),
        [
            ("query.pageSize".to_owned(), None),
            ("query.subFilter.THE-VALUE".to_owned(), None)
        ]
    );
    let response = post(&server, "/filter", "application/x-www-form-urlencoded", fields);
    assert_eq!(
        places(&response),
        [
            ("body.pageSize".to_owned(), None),
            ("body.subFilter.THE-VALUE".to_owned(), None)
        ]
    );
    let response = server.request("GET /call HTTP/1.1\r\nhost: test\r\nx-limit: 4\r\n\r\n");
    assert_eq!(places(&response), [("header.x-limit".to_owned(), None)]);
}

#[cfg(feature = "cookies")]
#[test]
fn cookies_satisfy_the_rules_of_their_struct() {
    #[derive(serde::Deserialize, JsonSchema, Validate)]
    struct SizeCookies {
        #[garde(range(max = 3))]
        page_size: u8,
    }
    #[get("/")]
    fn look(look: Valid<CookieValues<SizeCookies>>) -> String {
        look.page_size.to_string()
    }
    let server = serve(App::new(()).routes(routes![look]));
    let look = |size: u8| {
        server.request(format!(
            "GET / HTTP/1.1\r\nhost: test\r\ncookie: page_size={size}\r\n\r\n"
        ))
    };
    assert_eq!(look(3).text(), "3");
    assert_eq!(places(&look(4)), [("cookie.page_size".to_owned(), None)]);
}

#[cfg(feature = "multipart")]
#[test]
fn parts_of_a_form_have_the_names_that_were_sent() {
    #[post("/")]
    async fn parts(#[allow(unused)] filter: Valid<conduit::MultipartForm<PageFilter>>) {}
    let server = serve(App::new(()).routes(routes![parts]));
    let part = |name: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n4\r\n");
    let body = format!("{}{}--b--\r\n", part("pageSize"), part("subFilter[THE-VALUE]"));
    let response = post(&server, "/", "multipart/form-data; boundary=b", &body);
    let paths: Vec<_> = places(&response).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["body.pageSize", "body.subFilter.THE-VALUE"]);
}

fn post(server: &Running, path: &str, media_type: &str, body: &str) -> Response {
    let length = body.len();
    server.request(format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
}

#[test]
fn valid_values_reach_the_handler() {
    let server = serve(App::new(()).routes(ROUTES));
    let body = r#"{"name":"lamp","items":[{"price":7}]}"#;
    assert_eq!(post(&server, "/order", "application/json", body).text(), "lamp 1 7");
    assert_eq!(server.get("/page?size=10").text(), "10");
    assert_eq!(server.get("/maybe").text(), "none");
    let response = post(&server, "/form", "application/x-www-form-urlencoded", "size=3");
    assert_eq!(response.text(), "3");
}

#[test]
fn parameters_of_the_path_are_validated() {
    let server = serve(App::new(()).routes(ROUTES));
    assert_eq!(server.get("/archive/1999/2").text(), "1999-02");
    assert_eq!(server.get("/numbers/7").text(), "7");
    assert_eq!(server.get("/pairs/7/8").text(), "7 8");
    assert_eq!(server.get("/result/7").text(), "7");
    assert_eq!(server.get("/option/7").text(), "7");
    let response = server.get("/archive/1000/13");
    assert_eq!(response.status, 422);
    assert_eq!(
        response.problem()["errors"],
        json!([
            { "path": "path.month", "message": "greater than 12" },
            { "path": "path.year", "message": "lower than 1970" },
        ])
    );
    for (path, detail) in [
        ("/numbers/0", "path.id: lower than 1"),
        ("/pairs/1/0", "path.second: lower than 1"),
    ] {
        let response = server.get(path);
        assert_eq!(response.status, 422, "{path}");
        assert_eq!(response.problem()["detail"], detail);
    }
    assert_eq!(server.get("/result/0").text(), "path.id: lower than 1");
    assert_eq!(server.get("/option/0").text(), "none");
    // A value that cannot be parsed is rejected as without rules.
    let response = server.get("/archive/x/1");
    assert_eq!(response.status, 400);
    assert!(
        response.problem()["detail"]
            .as_str()
            .unwrap()
            .starts_with("path.year: expected")
    );
}

#[cfg(feature = "openapi")]
#[test]
fn the_document_has_the_rules_of_the_path() {
    let document = ROUTES.openapi(Info::new("Rules", "1"));
    let document = serde_json::to_value(&document).expect("a document is JSON");
    let archive = &document["paths"]["/archive/{year}/{month}"]["get"];
    assert_eq!(archive["parameters"][1]["name"], "month");
    assert_eq!(archive["parameters"][1]["in"], "path");
    assert_eq!(archive["parameters"][1]["schema"]["maximum"], 12, "{archive}");
    for status in ["400", "422"] {
        assert!(archive["responses"][status].is_object(), "{archive}");
    }
}

#[test]
fn all_broken_rules_are_listed_at_once_with_their_places() {
    let server = serve(App::new(()).routes(ROUTES));
    let body = r#"{"name":"x","items":[{"price":1},{"price":0},{"price":100}]}"#;
    let response = post(&server, "/order", "application/json", body);
    assert_eq!(response.status, 422);
    let problem = response.problem();
    let errors = problem["errors"].as_array().expect("a list");
    let places: Vec<_> = errors.iter().map(|error| (&error["path"], &error["pointer"])).collect();
    for place in [
        (&json!("body.name"), &json!("#/name")),
        (&json!("body.items[1].price"), &json!("#/items/1/price")),
        (&json!("body.items[2].price"), &json!("#/items/2/price")),
    ] {
        assert!(places.contains(&place), "{places:?}");
    }
    assert_eq!(places.len(), 3);
    assert!(errors.iter().all(|error| error["message"].is_string()));

    let form = post(&server, "/form", "application/x-www-form-urlencoded", "size=11");
    for (response, path) in [
        (server.get("/page?size=11"), "query.size"),
        (server.get("/maybe?size=11"), "query.size"),
        (form, "body.size"),
    ] {
        assert_eq!(response.status, 422);
        assert_eq!(response.problem()["errors"][0]["path"], path);
    }
}

#[test]
fn a_body_that_breaks_many_rules_gets_a_short_response() {
    let server = serve(App::new(()).routes(ROUTES));
    let body = format!("[{}{{\"price\":0}}]", r#"{"price":0},"#.repeat(9_999));
    let response = post(&server, "/list", "application/json", &body);
    assert_eq!(response.status, 422);
    let problem = response.problem();
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(100));
    assert_eq!(problem["errors"][0]["path"], "body[0].price");
    assert_eq!(problem["more_errors"], 9_900);
}

#[test]
fn unreadable_values_are_rejected_as_without_rules() {
    let server = serve(App::new(()).routes(ROUTES));
    assert_eq!(post(&server, "/order", "application/json", "{").status, 400);
    assert_eq!(post(&server, "/order", "text/plain", "{}").status, 415);
    assert_eq!(server.get("/page?size=x").status, 400);
}

#[test]
fn document_contains_the_rules() {
    let document = ROUTES.openapi(Info::new("rules", "1"));
    assert_eq!(document.gaps(), []);
    let document = serde_json::to_value(&document).expect("a document is JSON");
    let schemas = &document["components"]["schemas"];
    let name = &schemas["extractors.valid.Order"]["properties"]["name"];
    assert_eq!((&name["minLength"], &name["maxLength"]), (&json!(2), &json!(5)));
    assert_eq!(schemas["extractors.valid.Order"]["properties"]["items"]["minItems"], 1);
    let price = &schemas["extractors.valid.PricedItem"]["properties"]["price"];
    assert_eq!((&price["minimum"], &price["maximum"]), (&json!(1), &json!(99)));
    let page = &document["paths"]["/page"]["get"];
    assert_eq!(page["parameters"][0]["schema"]["maximum"], 10);
    assert!(page["responses"]["422"].is_object());
}
