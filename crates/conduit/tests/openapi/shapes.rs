//! The printed clients of values whose schemas combine objects, alternatives and maps, and of operations with unusual names,
//! methods or credentials. Each value returns unchanged from the server.

use std::collections::BTreeMap;

use conduit::openapi::Info;
use conduit::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::npm::run;
use crate::typescript_runs::script;

#[rustfmt::skip]
#[allow(dead_code, unreachable_pub, reason = "it is the source of a library")]
#[path = "shapes.txt"]
mod printed;

#[derive(Serialize, Deserialize, JsonSchema)]
struct BookPrice {
    cents: u32,
}

/// A map whose keys are numbers.
#[derive(Serialize, Deserialize, JsonSchema)]
struct BookPrices {
    prices: BTreeMap<u32, BookPrice>,
}

#[post("/stock")]
fn stock(stock: Json<BookPrices>) -> Json<BookPrices> {
    stock
}

const ROUTES: Routes = routes![stock,];

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
        let client = printed::Client::new(format!("http://{}", server.address), reqwest::Client::new());
        assert_returns!(
            client,
            shapes_stock,
            ShapesStockInput,
            ShapesStockReply,
            json!({ "prices": { "7": { "cents": 100 } } })
        );
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
        const stock: client_.ShapesBookPrices = { prices: { "7": { cents: 100 } } };
        await expect(client_.shapesStock(client, { body: stock }), stock);
        // @ts-expect-error the price is no object
        const prices: client_.ShapesBookPrices = { prices: { "7": 100 } };
        void prices;
    "#;
    let Some(mut calls) = script("shapes", ROUTES, calls) else {
        return;
    };
    let server = crate::support::serve(App::new(()).routes(ROUTES));
    run(calls.arg(format!("http://{}", server.address)));
}
