//! The printed clients of values whose schemas combine objects, alternatives and maps, and of operations with unusual names,
//! methods or credentials. Each value returns unchanged from the server.

use std::collections::BTreeMap;

use conduit::extract::{Paged, Paging};
use conduit::openapi::{Info, Operation, SecurityScheme};
use conduit::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::npm::run;
use crate::typescript_runs::script;

#[rustfmt::skip]
#[allow(dead_code, unreachable_pub, reason = "it is the source of a library")]
#[path = "shapes.txt"]
mod printed;

/// An object with the members of one of several forms.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Event {
    id: u64,
    #[serde(flatten)]
    kind: EventKind,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum EventKind {
    Created { by: String },
    Renamed(NewName),
    Removed,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct NewName {
    name: String,
}

/// An object with the members of one of several forms, or without them.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Sighting {
    place: String,
    #[serde(flatten)]
    kind: Option<EventKind>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct BookPrice {
    cents: u32,
}

/// A map whose keys are numbers.
#[derive(Serialize, Deserialize, JsonSchema)]
struct BookPrices {
    prices: BTreeMap<u32, BookPrice>,
}

/// An object with further members of one type.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Counts {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(flatten)]
    counts: BTreeMap<String, u32>,
}

/// An object with any further members.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Open {
    name: String,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// An object with the members of one of several forms and any further members.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Mixed {
    id: u64,
    #[serde(flatten)]
    kind: EventKind,
    #[serde(flatten)]
    more: BTreeMap<String, Value>,
}

/// A list of itself.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Nest(Vec<Nest>);

/// A map of itself.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Folder(BTreeMap<String, Folder>);

/// An object whose only alternative contains the object again.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Chain {
    name: String,
    #[serde(flatten)]
    rest: Option<ChainRest>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum ChainRest {
    Next { next: Box<Chain> },
}

/// Returns an event.
///
/// ```
/// send(event)?;
/// ```
#[post("/events")]
fn event(event: Json<Event>) -> Json<Event> {
    event
}

#[post("/sightings")]
fn sighting(sighting: Json<Sighting>) -> Json<Sighting> {
    sighting
}

#[post("/stock")]
fn stock(stock: Json<BookPrices>) -> Json<BookPrices> {
    stock
}

#[post("/counts")]
fn counts(counts: Json<Counts>) -> Json<Counts> {
    counts
}

#[post("/open")]
fn open(open: Json<Open>) -> Json<Open> {
    open
}

/// The members that the server has received.
#[post("/mixed")]
fn mixed(mixed: Json<Map<String, Value>>) -> Json<Map<String, Value>> {
    mixed
}

#[get("/mixed")]
fn shown() -> Json<Mixed> {
    let kind = EventKind::Created { by: "Ada".to_owned() };
    Json(Mixed {
        id: 7,
        kind,
        more: BTreeMap::new(),
    })
}

#[post("/trees")]
fn tree(tree: Json<Nest>) -> Json<Nest> {
    tree
}

#[post("/folders")]
fn folder(folder: Json<Folder>) -> Json<Folder> {
    folder
}

#[post("/chains")]
fn chain(chain: Json<Chain>) -> Json<Chain> {
    chain
}

/// The head of a list in pages.
#[head("/numbers")]
fn numbers(page: Paging<u64>) -> Paged<u64> {
    page.page(Vec::new(), |number| *number)
}

#[derive(Debug, Problem)]
enum Absent {
    #[problem(status = 404, title = "Absent")]
    Absent,
}

/// Responses without a body, one of them an error.
#[head("/present/{id}")]
fn present(id: Path<u32>) -> Result<Json<u32>, Absent> {
    if *id == 7 { Ok(Json(*id)) } else { Err(Absent::Absent) }
}

/// A program with a certificate and a token.
struct Machine;

impl<S> FromRequest<S> for Machine {
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(Machine)
    }

    fn describe(operation: &mut Operation) {
        operation.security("certificate", SecurityScheme::mutual_tls(), &[]);
        operation.security("token", SecurityScheme::bearer(None), &[]);
    }
}

/// The credentials of the request.
#[get("/machine")]
fn machine(_machine: Machine, all: HeaderMap) -> String {
    let sent = all.get("authorization").and_then(|value| value.to_str().ok());
    sent.unwrap_or_default().to_owned()
}

const ROUTES: Routes = routes![
    event,
    sighting,
    stock,
    counts,
    open,
    mixed,
    shown,
    tree,
    folder,
    chain,
    numbers,
    present,
    machine,
    crate::set,
    crate::input,
    crate::list,
    crate::list_pages,
    crate::loose,
];

#[test]
fn compiled_client_is_the_printed_one() {
    crate::assert_golden("shapes.txt", &ROUTES.openapi(Info::new("shapes", "1")).rust());
}

/// Asserts that a value returns unchanged through a function of the client in Rust.
macro_rules! assert_returns {
    ($client:expr, $function:ident, $input:ident, $reply:ident, $value:expr) => {
        let value: Value = $value;
        let body = serde_json::from_value(value.clone()).expect("the type of the body reads the value");
        let reply = printed::$function(&$client, &printed::$input { body }).await?;
        let printed::$reply::Status200(body) = reply.body else {
            panic!("{value}: {reply:?}")
        };
        assert_eq!(serde_json::to_value(body).expect("JSON"), value);
    };
}

#[test]
fn values_return_unchanged_through_the_client_in_rust() {
    let server = crate::support::serve(App::new(()).routes(ROUTES));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let calls = async {
        let mut client = printed::Client::new(format!("http://{}", server.address), reqwest::Client::new());
        assert_returns!(
            client,
            shapes_stock,
            ShapesStockInput,
            ShapesStockReply,
            json!({ "prices": { "7": { "cents": 100 } } })
        );
        for value in [
            json!({ "id": 7, "type": "created", "by": "Ada" }),
            json!({ "id": 7, "type": "renamed", "name": "b" }),
            json!({ "id": 7, "type": "removed" }),
        ] {
            assert_returns!(client, shapes_event, ShapesEventInput, ShapesEventReply, value);
        }
        for value in [json!({ "place": "x", "type": "removed" }), json!({ "place": "x" })] {
            assert_returns!(client, shapes_sighting, ShapesSightingInput, ShapesSightingReply, value);
        }
        let value = json!({ "name": "a", "note": "b", "first": 1, "second": 2 });
        assert_returns!(client, shapes_counts, ShapesCountsInput, ShapesCountsReply, value);
        let value = json!({ "name": "a", "first": 1, "second": ["b"] });
        assert_returns!(client, shapes_open, ShapesOpenInput, ShapesOpenReply, value);
        let shown = printed::shapes_shown(&client).await?;
        let printed::ShapesShownReply::Status200(shown) = shown.body else {
            panic!("{shown:?}")
        };
        let value = json!({ "id": 7, "type": "created", "by": "Ada" });
        assert_eq!(serde_json::to_value(shown).expect("JSON"), value);
        assert_returns!(client, shapes_tree, ShapesTreeInput, ShapesTreeReply, json!([[], [[]]]));
        let value = json!({ "a": {}, "b": { "c": {} } });
        assert_returns!(client, shapes_folder, ShapesFolderInput, ShapesFolderReply, value);
        for id in [7, 8] {
            let reply = printed::shapes_present(&client, &printed::ShapesPresentInput { id }).await?;
            let is_expected = match reply.body {
                printed::ShapesPresentReply::Status200 => id == 7,
                printed::ShapesPresentReply::Status404 => id == 8,
                printed::ShapesPresentReply::Status400 | printed::ShapesPresentReply::Other(_) => false,
            };
            assert!(is_expected, "{id}: {reply:?}");
        }
        client.credentials.token = Some("secret".to_owned());
        let reply = printed::shapes_machine(&client).await?;
        let printed::ShapesMachineReply::Status200(sent) = reply.body else {
            panic!("{reply:?}")
        };
        assert_eq!(sent, "Bearer secret");
        Ok::<_, printed::Error>(())
    };
    runtime
        .expect("a runtime")
        .block_on(calls)
        .expect("each response is documented");
}

#[test]
fn values_return_unchanged_through_the_client_in_typescript() {
    let calls = r#"
        import * as client_ from "./client.js";
        declare const process: { argv: string[] };
        const client: client_.Client = { baseUrl: process.argv[2] ?? "" };
        const sorted = (_: string, value: unknown): unknown =>
            typeof value === "object" && value !== null && !Array.isArray(value)
                ? Object.fromEntries(Object.entries(value).sort())
                : value;
        async function expect(reply: Promise<{ status: number; body: unknown }>, value: unknown, status = 200): Promise<void> {
            const sent = JSON.stringify([status, value], sorted);
            const { status: found, body } = await reply;
            const received = JSON.stringify([found, body], sorted);
            if (sent !== received) throw new Error(`expected ${sent}, received ${received}`);
        }
        const created: client_.ShapesEvent = { id: 7, type: "created", by: "Ada" };
        await expect(client_.shapesEvent(client, { body: created }), created);
        const renamed: client_.ShapesEvent = { id: 7, type: "renamed", name: "b" };
        await expect(client_.shapesEvent(client, { body: renamed }), renamed);
        // @ts-expect-error a member of the form is missing
        const incomplete: client_.ShapesEvent = { id: 7, type: "created" };
        void incomplete;
        const seen: client_.ShapesSighting = { place: "x", type: "removed" };
        await expect(client_.shapesSighting(client, { body: seen }), seen);
        await expect(client_.shapesSighting(client, { body: { place: "x" } }), { place: "x" });
        const stock: client_.ShapesBookPrices = { prices: { "7": { cents: 100 } } };
        await expect(client_.shapesStock(client, { body: stock }), stock);
        // @ts-expect-error the price is no object
        const prices: client_.ShapesBookPrices = { prices: { "7": 100 } };
        void prices;
        const counts: client_.ShapesCounts = { name: "a", note: "b", first: 1, second: 2 };
        const name: string = counts.name;
        await expect(client_.shapesCounts(client, { body: counts }), counts);
        const open: client_.ShapesOpen = { name, first: 1, second: ["b"] };
        await expect(client_.shapesOpen(client, { body: open }), open);
        const mixed: client_.ShapesMixed = { id: 7, type: "created", by: "Ada", more: 1 };
        await expect(client_.shapesMixed(client, { body: mixed }), mixed);
        const tree: client_.ShapesNest = [[], [[]]];
        await expect(client_.shapesTree(client, { body: tree }), tree);
        const folder: client_.ShapesFolder = { a: {}, b: { c: {} } };
        await expect(client_.shapesFolder(client, { body: folder }), folder);
        const absent = await client_.shapesPresent(client, { path: { id: 8 } });
        if (absent.status === 404) absent.body satisfies undefined;
        await expect(client_.shapesPresent(client, { path: { id: 8 } }), undefined, 404);
        client.credentials = { token: "secret" };
        await expect(client_.shapesMachine(client), "Bearer secret");
    "#;
    let Some(mut calls) = script("shapes", ROUTES, calls) else {
        return;
    };
    let server = crate::support::serve(App::new(()).routes(ROUTES));
    run(calls.arg(format!("http://{}", server.address)));
}
