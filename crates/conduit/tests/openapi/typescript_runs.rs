//! The client in TypeScript, run by Node.js against a server: streams of events across a restart, and uploads.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use conduit::events::{Event, Events, LastEventId};
use conduit::openapi::Info;
use conduit::prelude::*;

use crate::chromium::Browser;
use crate::npm::{compile_typescript, installed, run};
use crate::support::{Running, start, wait_for};
use crate::typescript::folder;

/// Compiles a script with the client of these routes, and returns the command that runs it.
pub(crate) fn script<S: 'static>(name: &str, routes: Routes<S>, script: &str) -> Option<Command> {
    let programs = installed("typescript")?;
    let folder = folder(name, &routes.openapi(Info::new(name, "1")));
    std::fs::write(folder.join("calls.ts"), script).expect("the script can be written");
    std::fs::write(folder.join("package.json"), "{ \"type\": \"module\" }").expect("the package can be written");
    compile_typescript(&programs, &folder, &["client.ts", "calls.ts"]);
    let mut command = Command::new("node");
    command.arg(folder.join("calls.js"));
    Some(command)
}

/// A log of events, which outlives its servers.
#[derive(Clone)]
struct NumberLog {
    /// The last event that this server sends.
    last: u32,
    sent: Arc<AtomicU32>,
}

#[derive(serde::Serialize, JsonSchema)]
struct LogEntry {
    number: u32,
}

/// The events after the last one of the client.
#[get("/log")]
async fn log(after: LastEventId, log: State<NumberLog>) -> Events<LogEntry> {
    let first = after.parse().unwrap_or(0) + 1;
    let events = Events::generate(async move |events| {
        for number in first..=log.last {
            events.send(Event::new(LogEntry { number }).id(number)).await?;
            log.sent.store(number, Relaxed);
        }
        events.closed().await;
        Ok::<_, conduit::BoxError>(())
    });
    events.retry(Duration::from_millis(10))
}

/// A request with effects, whose response is a stream.
#[post("/ask")]
async fn ask() -> Events<LogEntry> {
    Events::generate(async move |events| events.send(Event::new(LogEntry { number: 1 })).await)
}

/// A page whose script follows the log.
#[get("/")]
fn page() -> Html<&'static str> {
    Html("<title>Log</title>")
}

const LOG: Routes<NumberLog> = routes![log, ask, page];

fn serve(address: &str, last: u32) -> (Running, Arc<AtomicU32>) {
    let sent = Arc::default();
    let state = NumberLog {
        last,
        sent: Arc::clone(&sent),
    };
    let server = App::new(state).routes(LOG).workers(1).listen(address);
    (start(server.expect("the port is free")), sent)
}

#[test]
fn stream_of_events_continues_after_a_restart_without_a_gap() {
    let follow = r#"
        import { typescriptRunsLog } from "./client.js";
        declare const process: { argv: string[] };
        const stream = await typescriptRunsLog({ baseUrl: process.argv[2] ?? "" });
        if (stream.status !== 200) throw new Error(`the status is ${stream.status}`);
        let expected = 1;
        for await (const event of stream.body) {
            if (event.data.number !== expected || event.id !== String(expected))
                throw new Error(`expected ${expected}, found ${JSON.stringify(event)}`);
            if (expected === 2000) break;
            expected += 1;
        }
        if (expected !== 2000) throw new Error(`the stream ends with ${expected}`);
    "#;
    let Some(mut follow) = script("log", LOG, follow) else {
        return;
    };
    let (first, sent) = serve("127.0.0.1:0", 1000);
    let address = first.address.to_string();
    let client = follow
        .arg(format!("http://{address}"))
        .stderr(std::process::Stdio::piped());
    let client = client.spawn().expect("Node.js starts");
    wait_for(|| sent.load(Relaxed) >= 100);
    // The connection closes, at any place of an event.
    drop(first);
    let (_second, _) = serve(&address, 2000);
    let output = client.wait_with_output().expect("it is our child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn page_of_a_browser_follows_a_stream_across_a_restart_without_a_gap() {
    let Some(programs) = installed("typescript") else {
        return;
    };
    let folder = folder("browser", &LOG.openapi(Info::new("browser", "1")));
    std::fs::write(folder.join("package.json"), "{ \"type\": \"module\" }").expect("the package can be written");
    compile_typescript(&programs, &folder, &["client.ts"]);
    let client = std::fs::read_to_string(folder.join("client.js")).expect("the client can be read");
    let Some(mut browser) = Browser::start(&folder.join("profile")) else {
        return;
    };
    let (first, sent) = serve("127.0.0.1:0", 1000);
    let address = first.address.to_string();
    let page = browser.open(&format!("http://{address}/"));
    let follow = "window.found = [];
        const follow = async () => {
            const stream = await typescriptRunsLog({ baseUrl: '' });
            for await (const event of stream.body) found.push(event.data.number);
        };
        follow().catch((error) => { document.body.innerText = String(error); });";
    browser.value(&page, &crate::npm::script_of_a_page(&client, follow));
    wait_for(|| sent.load(Relaxed) >= 100);
    drop(first);
    let (_second, _) = serve(&address, 2000);
    browser.wait(&page, "found.length >= 2000");
    assert_eq!(
        browser.value(&page, "found.every((number, place) => number === place + 1)"),
        true
    );
}

#[test]
fn event_that_is_incomplete_is_requested_again() {
    let follow = r#"
        import { typescriptRunsLog, type Client } from "./client.js";
        const pieces = [
            'retry: 1\n\nid: 1\ndata: {"number":1}\n\nid: 2\ndata: {"num',
            'id: 2\r\ndata: {"number":2}\r\n\r\nid: 3\n',
            'id: 3\ndata: {"number":3}\n\nid: 4\n\n',
        ];
        const resumed: (string | null)[] = [];
        const client: Client = {
            baseUrl: "",
            fetch: (_, init) => {
                const piece = pieces[resumed.length];
                resumed.push(new Headers(init?.headers).get("last-event-id"));
                const headers = { "content-type": "text/event-stream" };
                return Promise.resolve(new Response(piece ?? null, { status: piece === undefined ? 204 : 200, headers }));
            },
        };
        const stream = await typescriptRunsLog(client);
        if (stream.status !== 200) throw new Error("no stream");
        const found: string[] = [];
        for await (const event of stream.body) found.push(`${event.id}:${event.data.number}`);
        const result = JSON.stringify([found, resumed]);
        // An event without data counts.
        if (result !== '[["1:1","2:2","3:3"],[null,"1","2","4"]]') throw new Error(result);
    "#;
    if let Some(mut follow) = script("broken-log", LOG, follow) {
        run(&mut follow);
    }
}

#[test]
fn stream_of_a_post_ends_with_its_response() {
    let follow = r#"
        import { typescriptRunsAsk, type Client } from "./client.js";
        const found: string[] = [];
        for (const isCut of [false, true]) {
            let requests = 0;
            const client: Client = {
                baseUrl: "",
                fetch: () => {
                    if (requests++ > 0) return Promise.resolve(new Response(null, { status: 204 }));
                    const start = (stream: ReadableStreamDefaultController) => {
                        stream.enqueue(new TextEncoder().encode('retry: 1\n\ndata: {"number":1}\n\n'));
                        if (!isCut) stream.close();
                    };
                    const pull = (stream: ReadableStreamDefaultController) => stream.error(new Error("cut"));
                    const headers = { "content-type": "text/event-stream" };
                    return Promise.resolve(new Response(new ReadableStream({ start, pull }), { headers }));
                },
            };
            const stream = await typescriptRunsAsk(client);
            if (stream.status !== 200) throw new Error("no stream");
            try {
                for await (const event of stream.body) found.push(String(event.data.number));
                found.push(`end after ${requests}`);
            } catch (error) {
                found.push(`${error} after ${requests}`);
            }
        }
        const result = JSON.stringify(found);
        if (result !== '["1","end after 1","1","Error: cut after 1"]') throw new Error(result);
    "#;
    if let Some(mut follow) = script("asked-log", LOG, follow) {
        run(&mut follow);
    }
}

#[test]
fn stream_without_an_event_connects_again_with_longer_pauses() {
    let follow = r#"
        import { typescriptRunsLog, type Client } from "./client.js";
        let requests = 0;
        const client: Client = {
            baseUrl: "",
            fetch: () => {
                requests += 1;
                if (requests === 2 || requests === 3) return Promise.reject(new TypeError("refused"));
                const headers = { "content-type": "text/event-stream" };
                const response = requests === 1 ? new Response("retry: 0\n\n", { headers }) : new Response(null, { status: 204 });
                return Promise.resolve(response);
            },
        };
        const stream = await typescriptRunsLog(client);
        if (stream.status !== 200) throw new Error("no stream");
        const start = performance.now();
        for await (const event of stream.body) throw new Error(JSON.stringify(event));
        const pauses = performance.now() - start;
        // A timer of Node.js may end a millisecond before its time.
        if (pauses < 50 + 100 + 200 - 3) throw new Error(`${pauses} ms`);
    "#;
    if let Some(mut follow) = script("refused-log", LOG, follow) {
        run(&mut follow);
    }
}

#[test]
fn filters_have_the_form_that_the_handler_reads() {
    #[derive(Debug, serde::Deserialize, JsonSchema)]
    struct ProductFilter {
        state: Option<String>,
        #[serde(default)]
        tag: Vec<String>,
        #[serde(default)]
        price: PriceBounds,
    }

    #[derive(Debug, Default, serde::Deserialize, JsonSchema)]
    struct PriceBounds {
        gte: Option<u32>,
        lt: Option<u32>,
    }

    #[get("/filtered")]
    fn filtered(filter: Query<ProductFilter>) -> String {
        let ProductFilter { state, tag, price } = filter.0;
        format!("{state:?} {tag:?} {:?} {:?}", price.gte, price.lt)
    }

    let routes: Routes = routes![filtered];
    let filters = r#"
        import { typescriptRunsFiltered } from "./client.js";
        declare const process: { argv: string[] };
        const query = { state: "a&b", tag: ["x", "y z"], price: { gte: 10, lt: 20 } };
        const reply = await typescriptRunsFiltered({ baseUrl: process.argv[2] ?? "" }, { query });
        const expected = 'Some("a&b") ["x", "y z"] Some(10) Some(20)';
        if (reply.status !== 200 || reply.body !== expected) throw new Error(`${reply.status}: ${String(reply.body)}`);
    "#;
    let Some(mut filters) = script("filters", routes, filters) else {
        return;
    };
    let server = crate::support::serve(App::new(()).routes(routes));
    run(filters.arg(format!("http://{}", server.address)));
}

#[test]
fn lists_of_structs_have_the_form_that_the_handler_reads() {
    #[derive(Debug, serde::Deserialize, JsonSchema)]
    struct OrderForm {
        items: Vec<OrderItem>,
        grid: Vec<Vec<u32>>,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    struct OrderItem {
        id: u32,
        colours: Vec<String>,
    }

    #[post("/ordered")]
    fn ordered(order: Form<OrderForm>) -> String {
        let items = order.items.iter().map(|item| format!("{} {:?}", item.id, item.colours));
        format!("{} {:?}", items.collect::<Vec<_>>().join(", "), order.grid)
    }

    let routes: Routes = routes![ordered];
    let orders = r#"
        import { typescriptRunsOrdered } from "./client.js";
        declare const process: { argv: string[] };
        const items = [{ id: 1, colours: ["red", "blue"] }, { id: 2, colours: ["green"] }];
        const body = { items, grid: [[1, 2], [3]] };
        const reply = await typescriptRunsOrdered({ baseUrl: process.argv[2] ?? "" }, { body });
        const expected = '1 ["red", "blue"], 2 ["green"] [[1, 2], [3]]';
        if (reply.status !== 200 || reply.body !== expected) throw new Error(`${reply.status}: ${JSON.stringify(reply.body)}`);
    "#;
    let Some(mut orders) = script("orders", routes, orders) else {
        return;
    };
    let server = crate::support::serve(App::new(()).routes(routes));
    run(orders.arg(format!("http://{}", server.address)));
}

#[cfg(feature = "multipart")]
#[test]
fn uploaded_file_arrives_and_returns_whole() {
    use conduit::{MultipartForm, UploadedFile};

    #[derive(serde::Deserialize, JsonSchema)]
    struct PictureUpload {
        title: String,
        picture: UploadedFile,
    }

    #[derive(serde::Serialize, JsonSchema)]
    struct Names {
        title: String,
        file_name: Option<String>,
        content_type: Option<String>,
    }

    #[post("/names")]
    async fn names(form: MultipartForm<PictureUpload>) -> Json<Names> {
        let PictureUpload { title, picture } = form.0;
        Json(Names {
            title,
            file_name: picture.file_name().map(str::to_owned),
            content_type: picture.content_type().map(str::to_owned),
        })
    }

    #[post("/content")]
    async fn content(form: MultipartForm<PictureUpload>) -> Result<Vec<u8>, Problem> {
        Ok(form.0.picture.bytes().await?.to_vec())
    }

    let routes: Routes = routes![names, content];
    let round_trip = r#"
        import { typescriptRunsContent, typescriptRunsNames } from "./client.js";
        declare const process: { argv: string[] };
        const client = { baseUrl: process.argv[2] ?? "" };
        // More than a server keeps in memory, with each byte and with line ends.
        const bytes = new Uint8Array(300_000).map((_, index) => (index * index) >> 3);
        const picture = new File([bytes], "a b \u00fc.png", { type: "image/png" });
        const body = { title: "Emma & \u00fc\r\n", picture };
        const names = await typescriptRunsNames(client, { body });
        if (names.status !== 200) throw new Error(`the status is ${names.status}`);
        const found = JSON.stringify(names.body);
        const expected = JSON.stringify({ title: body.title, file_name: picture.name, content_type: "image/png" });
        if (found !== expected) throw new Error(`expected ${expected}, found ${found}`);
        const content = await typescriptRunsContent(client, { body });
        if (content.status !== 200) throw new Error(`the status is ${content.status}`);
        const returned = new Uint8Array(await content.body.arrayBuffer());
        if (returned.length !== bytes.length || returned.some((byte, index) => byte !== bytes[index]))
            throw new Error(`${returned.length} bytes return`);
    "#;
    let Some(mut round_trip) = script("upload", routes, round_trip) else {
        return;
    };
    let server = crate::support::serve(App::new(()).routes(routes));
    run(round_trip.arg(format!("http://{}", server.address)));
}
