//! Handlers as tools: names, schemas and requests.

use conduit::layer::RateLimit;
use conduit::openapi::Tool;
use conduit::prelude::*;
use conduit::{Bearer, Created, Valid};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize, Serialize, JsonSchema, garde::Validate)]
struct Node {
    /// The name of the node.
    #[garde(length(chars, max = 10))]
    name: String,
    #[serde(default)]
    #[garde(skip)]
    children: Vec<Node>,
}

#[derive(Deserialize, JsonSchema)]
struct NodeFilter {
    /// The first names.
    tags: Option<Vec<String>>,
    depth: Option<Depth>,
}

#[derive(Deserialize, JsonSchema)]
struct Depth {
    most: u32,
}

#[derive(Deserialize, JsonSchema)]
struct Tenant {
    x_tenant: String,
}

mod nodes {
    use super::*;

    /// Create a node.
    ///
    /// The parent has to exist.
    #[post("/trees/{tree}/nodes", tool)]
    pub(super) fn create(tree: Path<String>, tenant: Header<Tenant>, new: Valid<Json<Node>>) -> Created<Json<Node>> {
        let _ = (tree, tenant.0.x_tenant);
        Created::at("/", new.0)
    }

    /// Find nodes.
    #[get("/trees/{tree}/nodes", tool = "find_nodes")]
    pub(super) fn list(_: Bearer, tree: Path<u32>, filter: Query<NodeFilter>) -> Json<Vec<Node>> {
        let _ = (tree, filter.0.tags, filter.0.depth.map(|depth| depth.most));
        Json(Vec::new())
    }
}

/// Remove a file.
#[delete("/files/{*path}", tool)]
fn remove(path: Path<String>) -> NoContent {
    let _ = path;
    NoContent
}

/// Set a text.
#[put("/text", tool)]
fn text(text: String) -> String {
    text
}

#[get("/not-a-tool")]
fn other() {}

#[post("/conflicts/{name}", tool)]
fn conflict(name: Path<String>, new: Json<Node>) {
    let _ = (name, new);
}

const ROUTES: Routes = routes![
    nodes::create,
    #[layer(RateLimit::new(9, std::time::Duration::from_secs(1)))]
    nodes::list,
    remove,
    text,
    other
];

fn tools() -> Vec<Tool> {
    let document = App::new(()).routes(ROUTES).openapi();
    document.tools().expect("all of them can be tools")
}

fn request(tool: &Tool, arguments: Value) -> Result<(String, String), String> {
    let Value::Object(arguments) = arguments else {
        panic!("an object")
    };
    let request = tool.request(arguments)?;
    Ok((format!("{} {}", request.method, request.target), request.body))
}

#[test]
fn names_and_descriptions_are_those_of_the_handlers() {
    let tools = tools();
    let names: Vec<&str> = tools.iter().map(|tool| &*tool.name).collect();
    assert_eq!(
        names,
        ["tools_nodes_create", "find_nodes", "tools_remove", "tools_text"]
    );
    assert_eq!(tools[0].description, "Create a node.\n\nThe parent has to exist.");
    let hints: Vec<_> = tools
        .iter()
        .map(|tool| tool.hints)
        .map(|hints| (hints.read_only, hints.idempotent))
        .collect();
    assert_eq!(hints, [(false, false), (true, true), (false, true), (false, true)]);
    assert_eq!(tools[1].security, [["bearer"]]);
}

#[test]
fn the_input_is_one_object_with_its_own_definitions() {
    let tools = tools();
    let schema = Value::Object(tools[0].input_schema.clone());
    assert_eq!(schema["required"], json!(["tree", "x-tenant", "name"]));
    assert_eq!(
        schema["properties"]["name"],
        json!({ "type": "string", "maxLength": 10, "description": "The name of the node." })
    );
    let node = schema["properties"]["children"]["items"]["$ref"]
        .as_str()
        .expect("a reference");
    let name = node.strip_prefix("#/$defs/").expect("a definition of the schema");
    assert_eq!(schema["$defs"][name]["properties"]["children"]["items"]["$ref"], node);
    let output = tools[0].output_schema.clone().expect("an object");
    assert_eq!(
        (&output["type"], output.contains_key("$defs")),
        (&json!("object"), true)
    );
}

#[test]
fn an_output_that_is_no_object_is_the_member_result() {
    let tools = tools();
    let output = tools[1].output_schema.clone().expect("a list");
    assert_eq!(output["required"], json!(["result"]));
    assert_eq!(tools[1].structured(json!([])), Some(json!({ "result": [] })));
    assert_eq!(tools[2].output_schema, None);
}

#[test]
fn arguments_return_to_their_places() {
    let tools = tools();
    let arguments = json!({ "tree": "a/b ü", "x-tenant": "t", "name": "n" });
    let created = tools[0]
        .request(arguments.as_object().expect("an object").clone())
        .expect("a request");
    assert_eq!(created.target, "/trees/a%2Fb%20%C3%BC/nodes");
    assert_eq!(
        created.headers,
        [("x-tenant", "t"), ("content-type", "application/json")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(created.body, r#"{"name":"n"}"#);
    let arguments = json!({ "tree": 7, "tags": ["a", "b&c"], "depth": { "most": 3 } });
    let expected = "GET /trees/7/nodes?depth%5Bmost%5D=3&tags=a&tags=b%26c";
    let (target, _) = request(&tools[1], arguments).expect("a request");
    let mut sent: Vec<&str> = target.split(['?', '&']).collect();
    sent.sort_unstable();
    let mut all: Vec<&str> = expected.split(['?', '&']).collect();
    all.sort_unstable();
    assert_eq!(sent, all);
    let deleted = request(&tools[2], json!({ "path": "a b/c" })).map(|(target, _)| target);
    assert_eq!(deleted.as_deref(), Ok("DELETE /files/a%20b/c"));
    assert_eq!(
        request(&tools[3], json!({ "body": "hello" })),
        Ok(("PUT /text".to_owned(), "hello".to_owned()))
    );
}

/// The handler has its arguments in another order than the path.
#[get("/files/{*path}", tool = "open")]
fn open(path: Path<String>, tenant: Path<String>) {
    let _ = (path, tenant);
}

#[test]
fn only_the_rest_of_the_path_keeps_its_slashes() {
    let routes = routes!["/{tenant}" => [open]];
    let document = App::new(()).routes(routes).openapi();
    let tools = document.tools().expect("a tool");
    let opened = request(&tools[0], json!({ "tenant": "a/b", "path": "c/d" }));
    assert_eq!(opened, Ok(("GET /a%2Fb/files/c/d".to_owned(), String::new())));
    for arguments in [
        json!({ "tenant": "..", "path": "c" }),
        json!({ "tenant": "a", "path": "../c" }),
    ] {
        assert!(request(&tools[0], arguments.clone()).is_err(), "{arguments}");
    }
    let client = document.rust();
    for call in [
        r#"path("tenant", &input.tenant, false)"#,
        r#"path("path", &input.path, true)"#,
    ] {
        assert!(client.contains(call), "{call} is missing");
    }
}

#[test]
fn arguments_that_lead_to_another_route_are_rejected() {
    let tools = tools();
    for (tool, arguments, reason) in [
        (
            0,
            json!({ "tree": "..", "x-tenant": "t", "name": "n" }),
            "invalid argument `tree`",
        ),
        (
            0,
            json!({ "tree": "", "x-tenant": "t", "name": "n" }),
            "invalid argument `tree`",
        ),
        (2, json!({ "path": "a/../b" }), "invalid argument `path`"),
        (0, json!({ "name": "n" }), "the argument `tree` is missing"),
        (1, json!({ "tree": [1] }), "invalid argument `tree`"),
        (
            1,
            json!({ "tree": 1, "other": 1 }),
            "the tool `find_nodes` has no argument `other`",
        ),
    ] {
        let error = request(&tools[tool], arguments).expect_err(reason);
        assert!(error.starts_with(reason), "{error}");
    }
}

#[post("/filters", tool = "filter")]
fn filter(form: Form<NodeFilter>) {
    let _ = form;
}

#[test]
fn names_of_members_that_repeat_do_not_make_a_long_request() {
    let document = App::new(()).routes(routes![nodes::list, filter]).openapi();
    let tools = document.tools().expect("tools");
    let find = |name| tools.iter().find(|tool| tool.name == name).expect("a tool");
    let (in_query, in_form) = (find("find_nodes"), find("filter"));
    let member = |name: &str, leaves: usize| json!({ "tree": 1, "depth": { name: vec![0; leaves] } });
    let without_tree = |name: &str, leaves| json!({ "depth": member(name, leaves)["depth"] });
    let (long, short) = ("n".repeat(20_000), "n".repeat(1000));
    for (tool, arguments, reason) in [
        (in_query, member(&long, 10_000), "more than 1024 bytes"),
        (
            in_query,
            member(&short, 100),
            "the query of the request has more than 65536 bytes",
        ),
        (in_form, without_tree(&long, 10_000), "more than 1024 bytes"),
        (
            in_form,
            without_tree(&short, 3000),
            "the form of the request has more than 2097152 bytes",
        ),
        (
            in_query,
            json!({ "tree": 1, "tags": "ü".repeat(20_000) }),
            "more than 65536 bytes",
        ),
    ] {
        let error = request(tool, arguments).expect_err(reason);
        assert!(error.contains(reason) && error.len() < 200, "{error}");
    }
    assert!(request(in_query, member(&short, 10)).is_ok());
    assert!(request(in_form, without_tree(&short, 1000)).is_ok());
}

#[test]
fn two_inputs_of_one_name_are_reported_with_both_places() {
    let document = App::new(()).routes(routes![conflict]).openapi();
    let gaps = document.tools().expect_err("two inputs have one name");
    assert!(
        gaps[0]
            .what
            .contains("`name`, a parameter of the path and a member of the body"),
        "{}",
        gaps[0]
    );
}

#[test]
fn the_table_of_routes_lists_tools_with_their_guards() {
    let text = App::new(()).routes(ROUTES).routes_table().to_string();
    assert!(
        text.contains("find_nodes          GET /trees/{tree}/nodes  (bearer; RateLimit"),
        "{text}"
    );
    assert!(
        text.contains("tools_remove        DELETE /files/{*path}  (no credentials)"),
        "{text}"
    );
}

#[derive(Deserialize, JsonSchema)]
struct Patch {
    text: String,
}

/// Change a text.
#[post("/patches", tool)]
fn patch(patch: Option<Json<Patch>>) -> String {
    patch.map_or_else(String::new, |patch| patch.0.text)
}

#[test]
fn an_optional_body_without_members_is_omitted() {
    let document = App::new(()).routes(routes![patch]).openapi();
    let tools = document.tools().expect("a tool");
    let sent = |arguments| request(&tools[0], arguments).expect("a request");
    assert_eq!(sent(json!({})), ("POST /patches".to_owned(), String::new()));
    assert_eq!(sent(json!({ "text": "a" })).1, r#"{"text":"a"}"#);
}
