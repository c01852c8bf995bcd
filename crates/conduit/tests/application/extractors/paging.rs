//! The pages of a list, and the reference to the next one.

use conduit::extract::{Paged, Paging, Sort};
use conduit::layer::Versions;
use conduit::prelude::*;

use crate::support::serve;

#[get("/numbers")]
fn numbers(paging: Paging<u32, 2, 10>) -> Paged<u32> {
    let first = paging.cursor().map_or(1, |last| last + 1);
    paging.page((first..=3).take(paging.rows()).collect(), |last| *last)
}

#[test]
fn link_has_the_query_with_another_cursor() {
    let server = serve(App::new(()).routes(routes![numbers]));
    for (target, link) in [
        ("/numbers", Some("<?cursor=Mg>; rel=\"next\"")),
        (
            "/numbers?limit=1&name=%C3%A4+b",
            Some("<?limit=1&name=%C3%A4+b&cursor=MQ>; rel=\"next\""),
        ),
        (
            "/numbers?cursor=MQ&&limit=1",
            Some("<?limit=1&cursor=Mg>; rel=\"next\""),
        ),
        ("/numbers?cursor=Mg", None),
    ] {
        let response = server.get(target);
        assert_eq!((response.status, response.header("link")), (200, link), "{target}");
    }
}

/// The layer adds a prefix that the client has not sent.
#[test]
fn link_is_relative_to_the_path_that_the_client_sent() {
    let versions = Versions::by_header("api-version")
        .version("1", "/v1")
        .default_version("1");
    let server = serve(App::new(()).routes(routes!["/v1" => [numbers]]).layer(versions));
    assert_eq!(
        server.get("/numbers?limit=1").header("link"),
        Some("<?limit=1&cursor=MQ>; rel=\"next\"")
    );
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Column {
    Created,
    Name,
}

#[get("/sorted")]
fn sorted(sort: Sort<Column>) -> String {
    format!("{:?}", sort.0)
}

#[test]
fn a_field_of_the_order_that_occurs_twice_is_rejected() {
    let server = serve(App::new(()).routes(routes![sorted]));
    assert_eq!(
        server.get("/sorted?sort=-created&sort=name,").text(),
        "[(Created, Descending), (Name, Ascending)]"
    );
    let long = format!("/sorted?sort={}", "name,".repeat(1000));
    for target in ["/sorted?sort=name,-name", "/sorted?sort=name&sort=name", &long] {
        let response = server.get(target);
        let text = response.text();
        assert_eq!(response.status, 422, "{text}");
        assert!(text.contains(r#"the field \"name\" occurs twice"#), "{text}");
        assert!(text.contains("query.sort"), "{text}");
    }
}
