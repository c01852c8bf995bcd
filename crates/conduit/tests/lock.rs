//! `api.lock`, and differences between the document, the behaviour and the lock of an application that a test detects.

#[path = "lock/maps.rs"]
mod maps;
#[path = "lock/schemas.rs"]
mod schemas;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use conduit::layer::{BodyLimit, ConcurrencyLimit, Middleware, ProvidesNothing, RateLimit, Timeout};
use conduit::openapi::{LayerLimit, Lock, Operation, Parameter};
use conduit::prelude::*;
use conduit::testing::{TestClient, assert_lock};
use conduit::{ApiKey, Auth, Authenticate, Events, Key, KeyPlace};
use serde::{Deserialize, Serialize};

struct Session;

impl Key for Session {
    const PLACE: KeyPlace = KeyPlace::Cookie("session");
}

/// A signed-in user.
struct User;

impl Authenticate<()> for User {
    type Credentials = ApiKey<Session>;

    async fn authenticate(_: ApiKey<Session>, _: &()) -> Result<Self, Problem> {
        Ok(User)
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum State {
    Open,
    Closed,
}

#[derive(Serialize, JsonSchema)]
struct Link {
    id: u32,
    slug: String,
    state: State,
    owner: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct NewLink {
    #[schemars(length(max = 100))]
    slug: String,
    state: Option<State>,
}

#[derive(Deserialize, JsonSchema)]
struct Filter {
    #[schemars(range(min = 1, max = 100))]
    _limit: Option<u32>,
}

#[derive(Debug, Problem)]
enum LinkError {
    #[problem(status = 404, title = "No such link")]
    Missing,
}

/// List links.
#[get("/links")]
fn list(_user: Auth<User>, _filter: Query<Filter>) -> Json<Vec<Link>> {
    Json(Vec::new())
}

/// Make a link.
#[post("/links")]
fn create(_link: Json<NewLink>) -> Created<Json<Link>> {
    Created::at("/links/7", Json(link()))
}

/// Show a link.
#[get("/links/{id}", tool = "find_link")]
fn show(id: Path<u32>) -> Result<Json<Link>, LinkError> {
    match *id {
        7 => Ok(Json(link())),
        _ => Err(LinkError::Missing),
    }
}

fn link() -> Link {
    Link {
        id: 7,
        slug: "rust".to_owned(),
        state: State::Open,
        owner: None,
    }
}

/// A response that differs from its description in the way that its name states.
struct Differing(String);

impl IntoResponse for Differing {
    fn into_response(self) -> Response {
        let body = r#"{"id":7,"slug":"rust","state":"open","owner":null}"#;
        let (json, total) = (("content-type", "application/json"), ("x-total", "1"));
        match &*self.0 {
            "none" => ([json, total], body).into_response(),
            "status" => (StatusCode::ACCEPTED, [json, total], body).into_response(),
            "redirect" => Redirect::to("/").into_response(),
            "no content" => StatusCode::NO_CONTENT.into_response(),
            "content type" => ([("content-type", "text/plain"), total], body).into_response(),
            "error type" => (StatusCode::NOT_FOUND, [("content-type", "text/plain")], "missing").into_response(),
            "missing header" => ([json], body).into_response(),
            "header" => ([json, total, ("x-other", "1")], body).into_response(),
            other => {
                let body = match other {
                    "type" => body.replace('7', "\"7\""),
                    "field" => body.replace(r#""slug":"rust","#, ""),
                    "value" => body.replace("open", "sold"),
                    "null" => body.replace("\"rust\"", "null"),
                    "bound" => body.replace('7', "-7"),
                    "list" => format!("[{body}]"),
                    _ => "{".to_owned(),
                };
                ([json, total], body).into_response()
            }
        }
    }

    fn describe(operation: &mut Operation) {
        let schema = operation.output_schema::<Link>();
        operation
            .response("application/json", schema)
            .required_response_header("x-total", "The number of links.");
    }
}

/// Differ from the document.
#[get("/differing/{way}")]
fn differing(way: Path<String>) -> Differing {
    Differing(way.0)
}

/// Follow the links.
#[get("/links/events")]
fn follow() -> Events<Link> {
    Events::generate(async |_| ())
}

/// A guard that a function implements.
async fn only_here(request: Request, next: Next) -> Response {
    next.run(request).await
}

fn app() -> App<(), Routes> {
    App::new(()).routes(ROUTES).body_limit(16_384)
}

const ROUTES: Routes = routes![
    #[layer(only_here, RateLimit::new(10, Duration::from_secs(60)))]
    list,
    #[layer(BodyLimit::new(1024))]
    create,
    show,
    follow,
    differing,
];

#[test]
fn the_lock_of_the_application_is_unchanged() {
    assert_lock(&app(), "tests/lock.txt");
}

/// The message of the panic in a function.
fn failure(run: impl FnOnce()) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(run)) else {
        return String::new();
    };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}

/// Each row is a change of the lock that an earlier version of the code would have had: a text, its replacement, whether the
/// change to the present code breaks clients, and a part of the message.
const EARLIER: [(&str, &str, bool, &str); 36] = [
    (
        "GET /links/{id}\n",
        "GET /links/{slug}\n",
        true,
        "GET /links/{slug} (show): is removed",
    ),
    ("POST /links\n", "PUT /links\n", false, "POST /links (create, "),
    ("  guards: session\n", "", true, "guards is added: session"),
    (
        "  guards: session\n",
        "  guards: session, anonymous\n",
        true,
        "the guard anonymous is no longer an alternative",
    ),
    (
        "  guards: session\n",
        "  guards: token\n",
        true,
        "the guard token is no longer an alternative",
    ),
    (
        "  guards: session\n",
        "  guards: session[read write]\n",
        false,
        "the guard session[read write] is no longer an alternative",
    ),
    (
        "path id: required, integer, format uint32",
        "path id: required, integer, format uint16",
        false,
        "path id: format uint16 becomes uint32",
    ),
    (
        "path id: required, integer, format uint32",
        "path id: required, integer, format uint64",
        true,
        "path id: format uint64 becomes uint32",
    ),
    ("only_here, ", "", false, "the layer only_here is added"),
    (
        "BodyLimit(1024 bytes)",
        "BodyLimit(4096 bytes)",
        false,
        "the layer BodyLimit(4096 bytes) becomes BodyLimit(1024 bytes)",
    ),
    (
        "limits: body 1024 bytes",
        "limits: body 4096 bytes",
        true,
        "the limit body 4096 bytes becomes body 1024 bytes",
    ),
    (
        "limits: body 1024 bytes",
        "limits: body 512 bytes",
        false,
        "the limit body 512 bytes becomes body 1024 bytes",
    ),
    (
        "  limits: body 1024 bytes\n",
        "",
        true,
        "the limit body 1024 bytes is added",
    ),
    (
        "limits: body 1024 bytes",
        "limits: rate 1 in 60 s, body 1048576 bytes",
        true,
        "the limit body 1048576 bytes becomes body 1024 bytes",
    ),
    (
        "limits: rate 10 in 60 s",
        "limits: rate 10 in 60 s, time 5 s",
        false,
        "the limit time 5 s is removed",
    ),
    (
        "CONDUIT_BODY_LIMIT: 16KiB",
        "CONDUIT_BODY_LIMIT: 2MiB",
        true,
        "CONDUIT_BODY_LIMIT: 2MiB becomes: 16KiB",
    ),
    (
        "maximum 100",
        "maximum 200",
        true,
        "query _limit: maximum 200 becomes 100",
    ),
    (
        "maximum 100",
        "maximum 50",
        false,
        "query _limit: maximum 50 becomes 100",
    ),
    (
        "  query _limit: ",
        "  query _limit: required, ",
        false,
        "query _limit: is no longer required",
    ),
    ("  query _limit: ", "  query _page: ", true, "query _page is removed"),
    (
        "  path id: required, integer",
        "  path id: required, string",
        true,
        "path id: the type string becomes integer",
    ),
    (
        "maxLength 100",
        "maxLength 200",
        true,
        "body application/json NewLink-Input .slug: maxLength 200 becomes 100",
    ),
    (
        "body application/json",
        "body application/xml",
        true,
        "body application/xml is removed",
    ),
    ("  201\n", "  200\n", true, "200 is removed"),
    (
        "  .owner: required, string|null",
        "  .owner: required, string",
        true,
        ".owner: the type string becomes null|string",
    ),
    (
        "  .owner: required, string|null",
        "  .seller: required, string|null",
        true,
        ".seller is removed",
    ),
    ("  .slug: required, string\n", "", false, ".slug is added"),
    (
        "enum [\"closed\",\"open\"]",
        "enum [\"open\"]",
        true,
        "the values [\"open\"] become [\"closed\",\"open\"]",
    ),
    (
        "enum [\"closed\",\"open\"]",
        "enum [\"closed\",\"open\",\"sold\"]",
        true,
        "the values [\"closed\",\"open\",\"sold\"] become",
    ),
    (
        "  200 header x-total: required\n",
        "  200 header x-count: required\n",
        true,
        "200 header x-count is removed",
    ),
    (
        "  handler: show\n",
        "  handler: find\n",
        false,
        "handler: find becomes: show",
    ),
    (
        "  tool: find_link\n",
        "  tool: show_link\n",
        true,
        "tool: show_link becomes: find_link",
    ),
    ("  tool: find_link\n", "", false, "tool is added: find_link"),
    (
        "GET /links/events\n",
        "GET /links/stream\n",
        true,
        "GET /links/stream (follow): is removed",
    ),
    (
        "  200 text/event-stream: #Link\n",
        "  200 application/json: #Link\n",
        true,
        "200 application/json is removed",
    ),
    (
        "  200 text/event-stream: #Link\n",
        "  200 text/event-stream: #Event\n",
        false,
        "200 text/event-stream: the schema Event has the name Link",
    ),
];

#[test]
fn each_seeded_difference_of_the_lock_is_found_and_classified() {
    let lock = app().lock();
    let text = lock.to_string();
    assert_eq!(lock.differences(&text), []);
    let mut failures = Vec::new();
    for (now, earlier, is_breaking, expected) in EARLIER {
        assert!(text.contains(now), "{now:?} is not in the lock:\n{text}");
        let differences = lock.differences(&text.replace(now, earlier));
        let found = differences
            .iter()
            .find(|difference| difference.to_string().contains(expected));
        if found.is_none_or(|found| found.is_breaking != is_breaking) {
            failures.push(format!("{earlier:?}: expected {expected:?}, found {differences:#?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The lock of an application with this layer around its handler.
fn around<L: Middleware<(), M, Next: ProvidesNothing>, M: 'static>(layer: L) -> Lock {
    App::new(()).routes(routes![show]).layer(layer).lock()
}

/// Asserts that the only difference in limits from an earlier lock is this one.
#[track_caller]
fn assert_limit_changes(now: &Lock, earlier: &Lock, is_breaking: bool, change: &str) {
    let differences = now.differences(&earlier.to_string());
    let limits: Vec<_> = differences
        .iter()
        .filter(|found| found.change.starts_with("the limit "))
        .collect();
    assert_eq!(limits.len(), 1, "{differences:#?}");
    assert_eq!(
        (&*limits[0].operation, limits[0].is_breaking, &*limits[0].change),
        ("application", is_breaking, change)
    );
    assert!(
        differences.iter().filter(|found| found.is_breaking).count() == usize::from(is_breaking),
        "{differences:#?}"
    );
}

#[test]
fn a_body_limit_above_that_of_the_application_permits_more() {
    let without = App::new(()).routes(routes![show]).lock();
    let large = around(BodyLimit::new(64 << 20));
    assert_limit_changes(&large, &without, false, "the limit body 67108864 bytes is added");
    assert_limit_changes(&without, &large, true, "the limit body 67108864 bytes is removed");
}

#[test]
fn a_stricter_limit_of_each_layer_breaks_clients_and_a_looser_one_does_not() {
    let rate = |requests, seconds| around(RateLimit::new(requests, Duration::from_secs(seconds)));
    let time = |milliseconds| around(Timeout::new(Duration::from_millis(milliseconds)));
    let without = App::new(()).routes(routes![show]).lock();
    for (strict, loose, strict_text, loose_text) in [
        (
            around(BodyLimit::new(1024)),
            around(BodyLimit::new(4096)),
            "body 1024 bytes",
            "body 4096 bytes",
        ),
        (rate(5, 60), rate(10, 60), "rate 5 in 60 s", "rate 10 in 60 s"),
        (rate(10, 60), rate(10, 30), "rate 10 in 60 s", "rate 10 in 30 s"),
        (
            around(ConcurrencyLimit::new(4)),
            around(ConcurrencyLimit::new(16)),
            "concurrency 4",
            "concurrency 16",
        ),
        (time(500), time(2000), "time 0.5 s", "time 2 s"),
    ] {
        assert_limit_changes(
            &strict,
            &loose,
            true,
            &format!("the limit {loose_text} becomes {strict_text}"),
        );
        assert_limit_changes(
            &loose,
            &strict,
            false,
            &format!("the limit {strict_text} becomes {loose_text}"),
        );
        assert_limit_changes(&loose, &without, true, &format!("the limit {loose_text} is added"));
    }
}

/// A layer of an application, with the name of one of `conduit::layer`.
#[derive(Clone)]
struct OwnTimeout(u32);

impl Layer for OwnTimeout {
    async fn call(&self, request: Request, next: Next) -> Response {
        next.run(request).await
    }

    fn name(&self) -> Cow<'static, str> {
        format!("Timeout({}s)", self.0).into()
    }
}

#[test]
fn a_layer_with_the_name_of_a_limit_does_not_count() {
    let (short, long) = (around(OwnTimeout(5)), around(OwnTimeout(60)));
    let without = App::new(()).routes(routes![show]).lock();
    for (now, earlier, change) in [
        (&short, &long, "the layer Timeout(60s) becomes Timeout(5s)"),
        (&long, &without, "the layer Timeout(60s) is added"),
    ] {
        let differences = now.differences(&earlier.to_string());
        let [difference] = &differences[..] else {
            panic!("one difference is expected, found {differences:#?}");
        };
        assert_eq!((difference.is_breaking, &*difference.change), (false, change));
    }
}

#[test]
fn a_layer_of_the_application_adds_a_limit_by_its_description() {
    #[derive(Clone)]
    struct Quota(u32);

    impl Layer for Quota {
        async fn call(&self, request: Request, next: Next) -> Response {
            next.run(request).await
        }

        fn describe(&self, operation: &mut Operation) {
            let period = Duration::from_secs(86_400);
            operation.limit(LayerLimit::Rate {
                requests: self.0,
                period,
            });
        }
    }

    let change = "the limit rate 1000 in 86400 s becomes rate 500 in 86400 s";
    assert_limit_changes(&around(Quota(500)), &around(Quota(1000)), true, change);
}

/// A limit of the application is in its section, and not in that of each operation; a limit of a route is in that of its operation.
#[test]
fn a_limit_is_in_the_section_of_its_layer() {
    async fn user(request: Request, next: NextWith<u32>) -> Response {
        next.run(request, 7).await
    }
    fn limit() -> RateLimit {
        RateLimit::new(10, Duration::from_secs(60))
    }
    let routes = routes![
        #[layer(user, limit().by_provided(|user: &u32| Some(*user)), Timeout::new(Duration::from_secs(5)))]
        show,
        create
    ];
    let text = App::new(())
        .routes(routes)
        .layer(BodyLimit::new(1024))
        .lock()
        .to_string();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("  limits")).collect();
    assert_eq!(
        lines,
        ["  limits: body 1024 bytes", "  limits: rate 10 in 60 s, time 5 s"]
    );
}

#[test]
fn limits_are_not_compared_with_a_lock_of_an_earlier_version() {
    let lock = app().lock();
    let text = lock.to_string();
    let lines = text.lines().filter(|line| !line.starts_with("  limits"));
    let differences = lock.differences(&lines.collect::<Vec<_>>().join("\n"));
    let [difference] = &differences[..] else {
        panic!("one difference is expected, found {differences:#?}");
    };
    assert!(
        !difference.is_breaking && difference.operation == "application",
        "{difference}"
    );
    assert!(
        difference.change.contains("`CONDUIT_UPDATE_LOCK=1 cargo test`"),
        "{difference}"
    );
}

#[test]
fn a_difference_has_the_handler_and_its_line() {
    let lock = app().lock();
    let earlier = lock.to_string().replace("maximum 100", "maximum 200");
    let [difference] = &lock.differences(&earlier)[..] else {
        panic!("one difference is expected");
    };
    let text = difference.to_string();
    assert!(text.starts_with("breaking: GET /links (list, "), "{text}");
    assert!(text.contains("lock.rs:"), "{text}");
}

#[test]
fn each_seeded_difference_of_a_response_fails_a_test() {
    let client = TestClient::new(app());
    client.get("/differing/none").send().assert_status(200);
    for (way, expected) in [
        ("status", "the status: expected 200"),
        ("redirect", "the status: expected 200"),
        ("no content", "the status: expected 200"),
        ("content type", "content-type: expected application/json"),
        ("error type", "the status: expected 200"),
        ("missing header", "the header field x-total is missing"),
        ("header", "the header field x-other is not documented"),
        ("type", "id"),
        ("field", "slug"),
        ("value", "state"),
        ("null", "slug"),
        ("bound", "id"),
        ("list", "object"),
        ("syntax", "JSON"),
    ] {
        let message = failure(|| {
            client.get(&format!("/differing/{}", way.replace(' ', "%20"))).send();
        });
        assert!(message.contains(expected), "{way}: {message}");
        assert!(
            message.contains("`lock::differing`") && message.contains("lock.rs:"),
            "{way}: {message}"
        );
    }
}

#[test]
fn a_missing_and_a_changed_file_fail_with_the_remedy() {
    if std::env::var_os("CONDUIT_UPDATE_LOCK").is_some_and(|value| value == "1") {
        return;
    }
    let missing = failure(|| assert_lock(&app(), "tests/no-such-lock.txt"));
    assert!(missing.contains("no-such-lock.txt is missing or empty"), "{missing}");
    let directory = failure(|| assert_lock(&app(), "tests"));
    assert!(directory.contains("cannot read tests: "), "{directory}");
    let changed = std::env::temp_dir().join(format!("conduit-lock-{}", std::process::id()));
    std::fs::write(&changed, app().lock().to_string().replace("maximum 100", "maximum 200")).expect("a file");
    let message = failure(|| assert_lock(&app(), &changed));
    std::fs::remove_file(&changed).expect("the file is there");
    assert!(message.contains("CONDUIT_UPDATE_LOCK=1 cargo test"), "{message}");
    assert!(message.contains("\n  breaking: GET /links"), "{message}");
}

/// The fields of a filter may have any names: those with spaces, colons and marks of a lock are read again.
#[test]
fn names_with_marks_of_the_lock_are_read_again() {
    fn odd(operation: &mut Operation) {
        operation.parameter(Parameter::query("a: b")).response(
            "text/plain; charset=utf-8",
            serde_json::json!({ "enum": ["a, b", "c: \"d\"", "]"] }),
        );
    }
    #[get("/odd", describe = odd)]
    fn odd_names() -> NoContent {
        NoContent
    }
    let lock = App::new(()).routes(routes![odd_names]).lock();
    assert_eq!(lock.differences(&lock.to_string()), []);
}

#[test]
fn name_of_a_layer_with_a_comma_is_one_name() {
    #[derive(Clone)]
    struct Named(&'static str);
    impl Layer for Named {
        async fn call(&self, request: Request, next: Next) -> Response {
            next.run(request).await
        }

        fn name(&self) -> Cow<'static, str> {
            self.0.into()
        }
    }
    let earlier = App::new(()).routes(routes![show]).lock().to_string();
    for name in [
        "First, second",
        "Limit(1, 2",
        "\"open, last",
        "two\nlines",
        "",
        "a: b, c",
    ] {
        let lock = around(Named(name));
        assert_eq!(lock.differences(&lock.to_string()), [], "{name}");
        let [difference] = &lock.differences(&earlier)[..] else {
            panic!("one difference is expected: {name}: {lock}");
        };
        let name = serde_json::to_string(name).expect("a text is JSON");
        assert_eq!(difference.change, format!("the layer {name} is added"));
    }
}
