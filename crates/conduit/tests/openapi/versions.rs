//! The versions of OpenAPI, and the parts of a document besides requests and responses: examples, links and webhooks.

use conduit::events::Events;
use conduit::openapi::{Document, Info, Operation, Version};
use conduit::prelude::*;
use conduit::testing::TestClient;
use serde_json::{Value, json};

use crate::{json, validator};

#[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
#[schemars(example = Link { slug: "rust".to_owned() })]
struct Link {
    slug: String,
}

#[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
struct Search {
    text: String,
}

#[derive(serde::Serialize, JsonSchema)]
struct Followed {
    link: Link,
}

fn example(operation: &mut Operation) {
    let link = Link {
        slug: "rust".to_owned(),
    };
    operation
        .request_example("short", &link)
        .response_example(StatusCode::CREATED, "short", &link)
        .link_to::<show>(StatusCode::CREATED, &[("slug", "$response.body#/slug")]);
}

/// Make a link.
#[post("/links", describe = example)]
fn create(link: Json<Link>) -> Created<Json<Link>> {
    Created::at(format!("/links/{}", link.slug), link)
}

/// Show a link.
#[get("/links/{slug}")]
fn show(slug: Path<String>) -> Json<Link> {
    Json(Link { slug: slug.0 })
}

/// Find links.
#[query("/links")]
fn find(search: Json<Search>) -> Json<Vec<Link>> {
    let slug = search.0.text;
    Json(vec![Link { slug }])
}

/// List a directory.
#[route(PROPFIND, "/links/{slug}")]
fn properties(_slug: Path<String>) -> StatusCode {
    StatusCode::MULTI_STATUS
}

/// A path without an operation of OpenAPI 3.1.
#[query("/events", tool)]
fn find_events(_search: Json<Search>) -> NoContent {
    NoContent
}

/// Follow links.
#[get("/followed")]
fn followed() -> Events<Followed> {
    Events::generate(async |_| ())
}

const ROUTES: Routes = routes![create, show, find, properties, find_events, followed];

fn document() -> Document {
    let info = Info::new("Versions", "1").webhook::<Followed>("link.followed", "A client has followed a link.");
    ROUTES.openapi(info)
}

#[test]
fn validator_and_linters_accept_both_versions() {
    validator::accepts(&document().to_string());
    validator::accepts(&document().in_version(Version::V3_2).to_string());
}

#[test]
fn a_query_is_an_operation_of_3_2_and_a_gap_of_3_1() {
    let document = document();
    let gaps: Vec<String> = document.gaps().iter().map(|gap| gap.what.clone()).collect();
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    assert!(
        gaps[0].contains("no operations of the method QUERY: `--openapi 3.2`"),
        "{gaps:?}"
    );
    let old = json(&document);
    assert_eq!(old["openapi"], "3.1.0");
    assert!(old["paths"]["/links"].get("query").is_none());
    assert!(old["paths"].get("/events").is_none());

    let document = document.in_version(Version::V3_2);
    assert_eq!(document.gaps(), []);
    let new = json(&document);
    assert_eq!(new["openapi"], "3.2.0");
    let query = &new["paths"]["/links"]["query"];
    assert_eq!(query["summary"], "Find links.");
    let schema = &query["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["$ref"], "#/components/schemas/versions.Search");
    let others = &new["paths"]["/links/{slug}"]["additionalOperations"];
    assert_eq!(others["PROPFIND"]["summary"], "List a directory.");
}

#[test]
fn a_query_is_routed_and_compared_with_its_operation() {
    let client = TestClient::new(App::new(()).routes(ROUTES));
    let search = Search {
        text: "rust".to_owned(),
    };
    let found = client.request("QUERY", "/links").json(&search).send();
    found.assert_status(200).assert_json(&json!([{ "slug": "rust" }]));
    let allowed = client.put("/links").send();
    allowed.assert_header("allow", "POST, QUERY, OPTIONS");
}

#[cfg(feature = "sessions")]
mod with_session {
    use super::*;
    use conduit::session::{FormToken, Sessions, require_token};

    #[query("/visits")]
    fn find_visits(_: FormToken) -> NoContent {
        NoContent
    }

    #[post("/visits")]
    fn add_visit(_: FormToken) -> NoContent {
        NoContent
    }

    #[test]
    fn only_an_unsafe_method_documents_the_rejection_of_other_origins_and_missing_tokens() {
        let alone: Routes<Sessions> = routes![find_visits, add_visit];
        let with_token: Routes<Sessions> = routes![
            #[layer(require_token)]
            [find_visits, add_visit],
        ];
        for routes in [alone, with_token] {
            let document = routes.openapi(Info::new("Visits", "1")).in_version(Version::V3_2);
            let operations = &json(&document)["paths"]["/visits"];
            assert_eq!(operations["query"]["responses"].get("403"), None);
            assert!(operations["post"]["responses"].get("403").is_some(), "{operations}");
        }
        let client = TestClient::new(App::new(Sessions::in_memory()).routes(with_token));
        let foreign = |method| {
            client
                .request(method, "/visits")
                .header("sec-fetch-site", "cross-site")
                .send()
        };
        foreign("QUERY").assert_status(204);
        foreign("POST").assert_status(403);
    }
}

#[test]
fn an_event_stream_has_a_schema_for_each_event_in_3_2() {
    let stream = |document: &Value| {
        let pointer = "/paths/~1followed/get/responses/200/content/text~1event-stream";
        document.pointer(pointer).expect("there is a stream").clone()
    };
    let old = stream(&json(&document()));
    assert_eq!(old["schema"]["$ref"], "#/components/schemas/versions.Followed");
    let new = stream(&json(&document().in_version(Version::V3_2)));
    assert!(new.get("schema").is_none());
    let data = &new["itemSchema"]["properties"]["data"];
    assert_eq!(data["contentMediaType"], "application/json");
    assert_eq!(data["contentSchema"]["$ref"], "#/components/schemas/versions.Followed");
}

#[test]
fn examples_links_and_webhooks_are_in_the_document() {
    let document = json(&document());
    let example = json!({ "slug": "rust" });
    assert_eq!(
        document["components"]["schemas"]["versions.Link"]["examples"],
        json!([example])
    );
    let create = &document["paths"]["/links"]["post"];
    let body = &create["requestBody"]["content"]["application/json"];
    assert_eq!(body["examples"]["short"]["value"], example);
    let created = &create["responses"]["201"];
    assert_eq!(
        created["content"]["application/json"]["examples"]["short"]["value"],
        example
    );
    assert_eq!(
        created["links"]["versions_show"],
        json!({ "operationId": "versions_show", "parameters": { "slug": "$response.body#/slug" } })
    );
    let hook = &document["webhooks"]["link.followed"]["post"];
    assert_eq!(
        hook["requestBody"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/versions.Followed"
    );
    assert!(document["components"]["schemas"].get("versions.Followed").is_some());
}

fn links(operation: &mut Operation) {
    operation
        .link_to::<find>(StatusCode::CREATED, &[])
        .link_to::<show>(StatusCode::CREATED, &[("slug", "$response.body#/slug")])
        .link_to::<properties>(StatusCode::BAD_REQUEST, &[]);
}

#[post("/links", describe = links)]
fn create_with_links(link: Json<Link>) -> Created<Json<Link>> {
    Created::at(format!("/links/{}", link.slug), link)
}

#[test]
fn a_link_to_an_operation_that_3_1_omits_is_in_3_2_only() {
    let routes: Routes = routes![create_with_links, show, find, properties];
    let document = routes.openapi(Info::new("Links", "1"));
    let links = |document: &Document| {
        let responses = json(document)["paths"]["/links"]["post"]["responses"].clone();
        let names = |status: &str| {
            let links = responses[status]["links"].as_object();
            links.map(|links| links.keys().cloned().collect::<Vec<String>>())
        };
        [names("201"), names("400")]
    };
    let names = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect::<Vec<String>>());
    assert_eq!(links(&document), [names(&["versions_show"]), None]);
    let new = document.in_version(Version::V3_2);
    assert_eq!(
        links(&new),
        [
            names(&["versions_find", "versions_show"]),
            names(&["versions_properties"])
        ]
    );
}

#[test]
fn a_webhook_has_a_type_in_the_client() {
    let client = document().typescript();
    assert!(client.contains("\"link.followed\": VersionsFollowed;"), "{client}");
}

fn broken(operation: &mut Operation) {
    operation
        .request_example("none", &7)
        .response_example(StatusCode::ACCEPTED, "none", &7)
        .link_to::<show>(StatusCode::OK, &[])
        .link_to::<create>(StatusCode::ACCEPTED, &[]);
}

#[get("/broken", describe = broken)]
fn incomplete() -> Json<u32> {
    Json(7)
}

#[test]
fn an_example_or_link_without_its_response_is_a_gap() {
    let routes: Routes = routes![incomplete, create];
    let gaps: Vec<String> = routes
        .openapi(Info::new("gaps", "1"))
        .gaps()
        .iter()
        .map(|gap| gap.what.clone())
        .collect();
    for expected in [
        "the document has no request with content",
        "the document has no response 202 with content",
        "versions::show`, which the document does not have: add it to the routes",
        "the response 202, which has a link to",
    ] {
        assert!(gaps.iter().any(|gap| gap.contains(expected)), "{expected}: {gaps:?}");
    }
}

/// The schema that a type generates by itself, with each reference replaced by the schema of its target.
fn expanded(schema: &Value, definitions: &Value, place: &str) -> Value {
    match schema {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                let name = name.strip_prefix(place).expect("a reference to a definition");
                return expanded(&definitions[name], definitions, place);
            }
            let members = members
                .iter()
                .filter(|(name, _)| !["title", "$schema", "$defs"].contains(&&***name));
            members
                .map(|(name, member)| (name.clone(), expanded(member, definitions, place)))
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| expanded(item, definitions, place)).collect(),
        other => other.clone(),
    }
}

/// Two types of one name in different modules, and one that contains both.
mod first {
    #[derive(serde::Serialize, conduit::JsonSchema)]
    pub(super) struct Item {
        pub(super) first: u64,
    }
}

mod second {
    #[derive(serde::Serialize, conduit::JsonSchema)]
    pub(super) struct Item {
        pub(super) second: String,
    }
}

use conduit::schemars;

#[derive(serde::Serialize, JsonSchema)]
struct Both {
    first: first::Item,
    second: Vec<second::Item>,
}

#[get("/first")]
fn one() -> Json<first::Item> {
    Json(first::Item { first: 1 })
}

#[get("/second")]
fn other() -> Json<second::Item> {
    let second = String::new();
    Json(second::Item { second })
}

#[get("/both")]
fn both() -> Json<Both> {
    let second = String::new();
    Json(Both {
        first: first::Item { first: 1 },
        second: vec![second::Item { second }],
    })
}

#[test]
fn each_reference_resolves_to_the_schema_of_its_type() {
    let routes: Routes = routes![both, one, other];
    let document = json(&routes.openapi(Info::new("types", "1")));
    let generated = |schema: schemars::Schema| {
        let schema = schema.to_value();
        expanded(&schema, &schema["$defs"], "#/$defs/")
    };
    for (path, expected) in [
        ("first", generated(schemars::schema_for!(first::Item))),
        ("second", generated(schemars::schema_for!(second::Item))),
        ("both", generated(schemars::schema_for!(Both))),
    ] {
        let pointer = format!("/paths/~1{path}/get/responses/200/content/application~1json/schema");
        let schema = document.pointer(&pointer).expect("the response has a schema");
        let found = expanded(schema, &document["components"]["schemas"], "#/components/schemas/");
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn a_query_has_its_types_in_the_rust_client_of_3_1() {
    let client = document().rust();
    let input = client.split("pub struct VersionsFindEventsInput {").nth(1);
    let input = input
        .and_then(|rest| rest.split('}').next())
        .expect("the input of the query");
    assert!(input.contains("pub body: VersionsSearch,"), "{input}");
    assert!(client.contains("pub struct VersionsSearch {"), "{client}");
}

#[test]
fn a_query_has_its_types_in_the_tool_of_3_1() {
    let tools = document().tools().expect("a tool");
    let schema = Value::Object(tools[0].input_schema.clone());
    assert_eq!(schema["properties"], json!({ "text": { "type": "string" } }));
    assert_eq!(schema.get("$defs"), None);
}
