//! Typed calls of handlers, in the process and over HTTP.

mod support;

use bytes::Bytes;
use conduit::client::{CallError, Server, Transport, TypedClient};
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{Auth, Authenticate, Bearer};
use serde::{Deserialize, Serialize};

struct User(String);

impl Authenticate<()> for User {
    type Credentials = Bearer;

    async fn authenticate(bearer: Bearer, _: &()) -> Result<User, Problem> {
        match bearer.token.reveal() {
            "secret" => Ok(User("ada".to_owned())),
            _ => Err(Bearer::refused("the token is unknown")),
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Note {
    id: u64,
    text: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Search {
    text: Option<String>,
    tags: Vec<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Tenant {
    x_tenant: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Flags {
    x_flags: Vec<String>,
}

mod notes {
    use super::*;

    #[get("/{id}", link = "/notes", client)]
    pub(super) async fn show(id: Path<u64>) -> Result<Json<Note>, Problem> {
        match *id {
            7 => Ok(Json(Note {
                id: 7,
                text: "engine".to_owned(),
            })),
            id => Err(Problem::not_found(format!("no note has the id {id}")).with("id", id)),
        }
    }

    #[post("/", link = "/notes", client)]
    pub(super) async fn add(user: Auth<User>, tenant: Header<Tenant>, new: Json<Note>) -> Created<Json<Note>> {
        let Note { id, text } = new.0;
        let text = format!("{text} of {} at {}", user.0.0, tenant.0.x_tenant);
        Created::at(show::path(id), Json(Note { id, text }))
    }

    pub(super) const ROUTES: NestedRoutes = nested_routes![show, add];
}

#[get("/search/{kind}", client)]
fn search(kind: Path<String>, search: Query<Search>) -> String {
    format!("{}: {:?} {:?}", kind.0, search.0.text, search.0.tags)
}

#[put("/text", client)]
fn set(text: String) -> NoContent {
    assert_eq!(text, "hello");
    NoContent
}

#[post("/form", client)]
fn form(search: Form<Search>) -> String {
    search.0.tags.join("+")
}

#[get("/flags", client)]
fn flags(flags: Header<Flags>) -> String {
    flags.0.x_flags.join("+")
}

fn app() -> App<(), Routes> {
    App::new(()).routes(routes!["/notes" => notes::ROUTES, search, set, form, flags])
}

async fn calls_have_the_types_of_the_handlers<T: Transport>(client: TypedClient<T>) {
    let note = notes::show::call(&client, 7).await.expect("a note");
    assert_eq!(
        note,
        Note {
            id: 7,
            text: "engine".to_owned()
        }
    );
    match notes::show::call(&client, 8).await {
        Err(CallError::Problem(problem)) => {
            assert_eq!(problem.status, StatusCode::NOT_FOUND);
            assert_eq!(problem.detail.as_deref(), Some("no note has the id 8"));
            assert_eq!(problem.members["id"], 8);
        }
        other => panic!("{other:?}"),
    }
    let tenant = Tenant {
        x_tenant: "t".to_owned(),
    };
    let new = Note {
        id: 9,
        text: "note".to_owned(),
    };
    let refused = notes::add::call(&client, &tenant, &new).await;
    assert!(matches!(refused, Err(CallError::Problem(problem)) if problem.status == StatusCode::UNAUTHORIZED));
    let client = client.with_bearer("secret");
    let added = notes::add::call(&client, &tenant, &new).await.expect("a note");
    assert_eq!(added.text, "note of ada at t");
    let wanted = Search {
        text: Some("a&b".to_owned()),
        tags: vec!["x".to_owned(), "y z".to_owned()],
    };
    let found = search::call(&client, "a/b", &wanted).await.expect("a text");
    assert_eq!(found, r#"a/b: Some("a&b") ["x", "y z"]"#);
    assert_eq!(form::call(&client, &wanted).await.expect("a text"), "x+y z");
    set::call(&client, "hello").await.expect("no content");
    let set_flags = Flags {
        x_flags: vec!["x".to_owned(), "y".to_owned()],
    };
    assert_eq!(flags::call(&client, &set_flags).await.expect("a text"), "x+y");
    let elsewhere = search::call(&client, "..", &wanted).await;
    assert!(matches!(elsewhere, Err(CallError::Input(_))), "{elsewhere:?}");
    // The fields of a call replace those of the client.
    let client = client.with_header("x-flags", "z");
    assert_eq!(flags::call(&client, &set_flags).await.expect("a text"), "x+y");
}

/// A service that responds with the field `accept` of each request.
struct Accepts;

impl Transport for Accepts {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, conduit::BoxError> {
        let accept = request.headers()["accept"].as_bytes();
        Ok(http::Response::new(Bytes::copy_from_slice(accept)))
    }
}

#[test]
fn a_header_field_of_the_client_takes_precedence_over_the_default() {
    block_on(async {
        let wanted = Search {
            text: None,
            tags: Vec::new(),
        };
        let client = TypedClient::new(Accepts);
        assert_eq!(form::call(&client, &wanted).await.expect("a text"), "*/*");
        let client = client.with_header("accept", "text/plain");
        assert_eq!(form::call(&client, &wanted).await.expect("a text"), "text/plain");
    });
}

#[test]
fn the_output_of_debug_has_no_credentials() {
    let client = TypedClient::new(())
        .with_bearer("abc")
        .with_header("cookie", "session=abc")
        .with_header("x-tenant", "t");
    let text = format!("{client:?}");
    assert!(!text.contains("abc") && text.contains("x-tenant"), "{text}");
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(future);
}

#[test]
fn in_the_process() {
    block_on(calls_have_the_types_of_the_handlers(TypedClient::new(TestClient::new(
        app(),
    ))));
}

#[test]
fn over_http() {
    let server = support::serve(app());
    let transport = Server::new(format!("http://{}/", server.address), reqwest::Client::new());
    block_on(calls_have_the_types_of_the_handlers(TypedClient::new(transport)));
}
