//! The client in TypeScript, compiled by the compiler of TypeScript.

use std::path::PathBuf;
use std::process::Command;

use conduit::events::Events;
use conduit::extract::{Paged, Paging, Sort};
use conduit::openapi::{Document, Info};
use conduit::prelude::*;

use crate::npm::{compile_typescript, installed, run};
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
pub(crate) fn folder(name: &str, document: &Document) -> PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("typescript-clients")
        .join(name);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    std::fs::write(folder.join("client.ts"), document.typescript()).expect("the client can be written");
    folder
}

#[test]
fn the_clients_compile_with_every_strict_setting() {
    let Some(programs) = installed("typescript") else {
        return;
    };
    for (name, document) in [
        ("sample", sample::ROUTES.openapi(sample::info())),
        ("guarded", guarded::app().openapi()),
        ("problems", problems::ROUTES.openapi(Info::new("problems", "1"))),
        ("streams", ROUTES.openapi(Info::new("streams", "1"))),
        ("root", crate::root::ROUTES.openapi(crate::root::info())),
        #[cfg(feature = "multipart")]
        ("forms", crate::forms::ROUTES.openapi(Info::new("forms", "1"))),
    ] {
        compile_typescript(&programs, &folder(name, &document), &["client.ts"]);
    }
}

#[test]
fn a_wrong_call_does_not_compile() {
    let Some(programs) = installed("typescript") else {
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
    let Some(programs) = installed("typescript") else {
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

#[derive(serde::Deserialize, JsonSchema)]
struct Visit {
    _theme: String,
    _sizes: Option<Vec<u32>>,
}

/// A list with cookies in its input.
#[get("/items")]
fn items(paging: Paging<u32, 2, 10>, _visit: CookieValues<Visit>, _sort: Sort<Column>) -> Paged<Price> {
    paging.page(Vec::new(), |price| price.cents)
}

/// A column of the list.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Column {
    /// By price.
    Cents,
    Name,
}

#[test]
fn a_client_iterates_over_pages_and_sends_cookies() {
    let Some(programs) = installed("typescript") else {
        return;
    };
    let routes: Routes = routes![items];
    let folder = folder("pages", &routes.openapi(Info::new("pages", "1")));
    let calls = r#"
        import { PageError, typescriptItemsPages, type Client } from "./client.js";
        const sent: string[] = [];
        const client: Client = {
            baseUrl: "",
            fetch: (address, init) => {
                sent.push(`${String(address)} ${new Headers(init?.headers).get("cookie")}`);
                const page = (items: number[], next: string | null) =>
                    Response.json({ items: items.map((cents) => ({ cents })), next });
                const first = sent.length === 1 ? page([1, 2], "a-b") : page([3], null);
                return Promise.resolve(sent.length === 3 ? new Response("", { status: 503 }) : first);
            },
        };
        const input = { query: { limit: 2, sort: ["-cents" as const, "name" as const] }, cookies: { _theme: "a; b", _sizes: [1, 2] } };
        const found: number[] = [];
        for await (const page of typescriptItemsPages(client, input)) found.push(...page.items.map((item) => item.cents));
        if (found.join() !== "1,2,3") throw new Error(`unexpected items ${found.join()}`);
        const expected = [
            "/items?limit=2&sort=-cents&sort=name _theme=a%3B%20b; _sizes=1,2",
            "/items?limit=2&sort=-cents&sort=name&cursor=a-b _theme=a%3B%20b; _sizes=1,2",
        ];
        if (sent.join("\n") !== expected.join("\n")) throw new Error(sent.join("\n"));
        const failed = await typescriptItemsPages(client, input).next().catch((error: unknown) => error);
        if (!(failed instanceof PageError) || failed.status !== 503) throw new Error("a 503 is no page");
        // @ts-expect-error a column is missing
        void typescriptItemsPages(client, { ...input, query: { sort: ["size"] } });
        export {};
    "#;
    std::fs::write(folder.join("calls.ts"), calls).expect("the calls can be written");
    std::fs::write(folder.join("package.json"), "{ \"type\": \"module\" }").expect("the package can be written");
    compile_typescript(&programs, &folder, &["client.ts", "calls.ts"]);
    run(Command::new("node").arg(folder.join("calls.js")));
}

const FIVE: Routes = routes![prices, delete, items, shop, crate::slug];
const FIFTY: Routes = routes![
    "/a" => FIVE, "/b" => FIVE, "/c" => FIVE, "/d" => FIVE, "/e" => FIVE,
    "/f" => FIVE, "/g" => FIVE, "/h" => FIVE, "/i" => FIVE, "/j" => FIVE,
];
const FIVE_HUNDRED: Routes = routes![
    "/a" => FIFTY, "/b" => FIFTY, "/c" => FIFTY, "/d" => FIFTY, "/e" => FIFTY,
    "/f" => FIFTY, "/g" => FIFTY, "/h" => FIFTY, "/i" => FIFTY, "/j" => FIFTY,
];

#[post("/shop")]
fn shop(price: Json<Visit>) -> Created<Json<Price>> {
    let _ = price;
    Created::at("/shop", Json(Price { cents: 7 }))
}

/// The work of an editor grows with the types that it makes: each operation may have few.
#[test]
fn the_types_of_500_routes_are_few() {
    let Some(programs) = installed("typescript") else {
        return;
    };
    let folder = folder("large", &FIVE_HUNDRED.openapi(Info::new("large", "1")));
    let options =
        "--noEmit --strict --extendedDiagnostics --target es2022 --module nodenext --lib es2022,dom,dom.iterable";
    let output = run(Command::new(programs.join("tsc"))
        .current_dir(&folder)
        .args(options.split(' '))
        .args(["--types", "", "client.ts"]));
    let text = String::from_utf8_lossy(&output.stdout);
    let count = |name: &str| -> u32 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let digits: String = line.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("{name} is missing: {text}"))
    };
    let (types, instantiations) = (count("Types:"), count("Instantiations:"));
    assert!(types < 60_000, "{types} types of 500 routes");
    assert!(
        instantiations < 100_000,
        "{instantiations} instantiations of 500 routes"
    );
}
