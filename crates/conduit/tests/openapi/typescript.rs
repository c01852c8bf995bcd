//! The client in TypeScript, compiled by the compiler of TypeScript.

use std::path::PathBuf;
use std::process::Command;

use conduit::events::Events;
use conduit::openapi::{Document, Info};
use conduit::prelude::*;

use crate::npm::{TYPESCRIPT, compile_typescript, installed, run};
use crate::{guarded, problems, sample};

#[derive(serde::Serialize, JsonSchema)]
struct Price {
    cents: u32,
}

/// The prices from now on.
///
/// They are not in the past: */ ends no comment.
#[get("/prices/{*names}")]
fn prices(_names: Path<String>) -> Events<Price> {
    Events::generate(async |_| ())
}

/// A name that is a word of the language, and a schema that has the name of a type of the environment.
#[delete("/items/{response}/{id}")]
fn delete(_path: Path<(String, u32)>) -> Json<Response> {
    Json(Response { is_done: true })
}

#[derive(serde::Serialize, JsonSchema)]
struct Response {
    is_done: bool,
}

const ROUTES: Routes = routes![prices, delete];

/// A folder with a client of this document.
fn folder(name: &str, document: &Document) -> PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("typescript-clients")
        .join(name);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    std::fs::write(folder.join("client.ts"), document.typescript()).expect("the client can be written");
    folder
}

#[test]
fn the_clients_compile_with_every_strict_setting() {
    let Some(programs) = installed("typescript", &TYPESCRIPT) else {
        return;
    };
    for (name, document) in [
        ("sample", sample::ROUTES.openapi(sample::info())),
        ("guarded", guarded::app().openapi()),
        ("problems", problems::ROUTES.openapi(Info::new("problems", "1"))),
        ("streams", ROUTES.openapi(Info::new("streams", "1"))),
        ("root", crate::root::ROUTES.openapi(Info::new("root */", "1"))),
        #[cfg(feature = "multipart")]
        ("forms", crate::forms::ROUTES.openapi(Info::new("forms", "1"))),
    ] {
        compile_typescript(&programs, &folder(name, &document), &["client.ts"]);
    }
}

#[test]
fn a_wrong_call_does_not_compile() {
    let Some(programs) = installed("typescript", &TYPESCRIPT) else {
        return;
    };
    let folder = folder("calls", &ROUTES.openapi(Info::new("calls", "1")));
    let calls = r#"
        import { type Client, typescriptDelete, typescriptPrices } from "./client.js";
        const client: Client = { baseUrl: "" };
        const done = await DELETE_CALL;
        if (done.status === 200) {
            const isDone: boolean = done.body.is_done;
            // @ts-expect-error the body of a success has no title
            done.body.title;
            void isDone;
        } else if (done.status === 404) {
            const title: string | undefined = done.body.title;
            void title;
        }
        // @ts-expect-error a parameter is missing
        await typescriptDelete(client, { path: { id: 7 } });
        // @ts-expect-error a number is expected
        await typescriptDelete(client, { path: { response: "a", id: "7" } });
        const stream = await typescriptPrices(client, { path: { names: "a/b" } }, { signal: AbortSignal.timeout(10) });
        if (stream.status === 200) for await (const event of stream.body) void (event.data.cents satisfies number);
        export {};
    "#;
    let calls = calls.replace(
        "DELETE_CALL",
        r#"typescriptDelete(client, { path: { response: "a", id: 7 } })"#,
    );
    std::fs::write(folder.join("calls.ts"), calls).expect("the calls can be written");
    std::fs::write(folder.join("package.json"), "{ \"type\": \"module\" }").expect("the package can be written");
    compile_typescript(&programs, &folder, &["client.ts", "calls.ts"]);
}

#[test]
fn a_value_makes_no_request_to_another_route_or_site() {
    let Some(programs) = installed("typescript", &TYPESCRIPT) else {
        return;
    };
    let folder = folder("paths", &crate::root::ROUTES.openapi(Info::new("paths", "1")));
    let calls = r#"
        import { _, package_, setTimeout_, var_, type Client } from "./client.js";
        let found = "";
        const client: Client = {
            baseUrl: "",
            fetch: (address) => {
                found = String(address);
                return Promise.resolve(new Response());
            },
        };
        const failed: string[] = [];
        async function expect(call: () => Promise<unknown>, expected: string): Promise<void> {
            found = "";
            try {
                await call();
            } catch (error) {
                found = error instanceof TypeError ? "TypeError" : String(error);
            }
            if (found !== expected) failed.push(`expected ${expected}, found ${found}`);
        }
        for (const name of ["", ".", ".."]) {
            await expect(() => setTimeout_(client, { path: { name } }), "TypeError");
            await expect(() => package_(client, { path: { name, number: 7 } }), "TypeError");
        }
        for (const rest of [".", ".."]) await expect(() => _(client, { path: { rest } }), "TypeError");
        for (const [rest, expected] of [
            ["", ""],
            ["b c/d", "b%20c/d"],
            ["b/", "b/"],
            ["/evil.example", "%2Fevil.example"],
            ["b//c", "b%2F%2Fc"],
            ["../b", "..%2Fb"],
            ["b/./c", "b%2F.%2Fc"],
        ] as const) await expect(() => _(client, { path: { rest } }), `/a/${expected}`);
        await expect(() => setTimeout_(client, { path: { name: "/evil.example" } }), "/%2Fevil.example");
        await expect(() => package_(client, { path: { name: "a", number: 7 } }), "/package/a/files/v7.json");
        // The whole segment counts.
        await expect(() => var_(client, { path: { name: "." } }), "/texts/..txt");
        await expect(() => var_(client, { path: { name: "" } }), "TypeError");
        if (failed.length > 0) throw new Error(failed.join("; "));
    "#;
    std::fs::write(folder.join("calls.ts"), calls).expect("the calls can be written");
    std::fs::write(folder.join("package.json"), "{ \"type\": \"module\" }").expect("the package can be written");
    compile_typescript(&programs, &folder, &["client.ts", "calls.ts"]);
    run(Command::new("node").arg(folder.join("calls.js")));
}
