//! The document of an application: its golden file, an independent validator, and the report of gaps.

#[path = "../support/chromium.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod chromium;
#[path = "../support/judges.rs"]
mod judges;
#[path = "../support/npm.rs"]
mod npm;
#[path = "../support/packages.rs"]
mod packages;
#[path = "../support/mod.rs"]
mod support;

mod documentation;
mod errors;
mod extractors;
mod guarded;
mod linters;
mod names;
mod problems;
#[cfg(all(feature = "cookies", feature = "multipart"))]
mod rust_runs;
mod sample;
mod schemas;
mod shapes;
mod tools;
mod typescript;
mod typescript_runs;
mod validator;
mod versions;

use conduit::extract::{Paged, Paging};
use conduit::openapi::{Document, Info, Operation};
use conduit::prelude::*;
use serde_json::Value;

/// Holds a text against the golden file of this name.
fn assert_golden(file: &str, text: &str) {
    let path = format!("{}/tests/openapi/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("CONDUIT_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file can be read");
    assert!(
        golden == text,
        "{file} is another one: run with CONDUIT_WRITE_GOLDEN=1 and read the difference\n{text}"
    );
}

/// The value that a reference refers to.
fn target(document: &Value, reference: &str) -> Value {
    let pointer = reference.strip_prefix('#').expect("a reference into the document");
    let target = document.pointer(pointer);
    target.unwrap_or_else(|| panic!("nothing is at {reference}")).clone()
}

/// Fails if a reference in the document refers to nothing, or if a component is referred to by none.
fn assert_references_resolve(document: &Value) {
    fn walk(value: &Value, document: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, document, found)),
            Value::Object(members) => {
                for (key, member) in members {
                    match member {
                        Value::String(reference) if key == "$ref" => {
                            assert!(!target(document, reference).is_null(), "{reference}");
                            found.push(reference.clone());
                        }
                        member => walk(member, document, found),
                    }
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document, document, &mut found);
    for section in ["schemas", "headers", "parameters"] {
        let names = document["components"][section].as_object();
        for name in names.into_iter().flatten().map(|(name, _)| name) {
            let reference = format!("#/components/{section}/{name}");
            assert!(
                found.contains(&reference),
                "no part of the document refers to {reference}"
            );
        }
    }
}

/// Handlers at the root of a crate, whose functions in a client would have names that TypeScript or the client itself uses.
mod root {
    use conduit::openapi::{Info, Operation, SecurityScheme};
    use conduit::prelude::*;

    pub(crate) struct Token;

    impl<S> FromRequest<S> for Token {
        type Rejection = Problem;

        async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
            Ok(Token)
        }

        fn describe(operation: &mut Operation) {
            let scheme = SecurityScheme::bearer(None).description("This */ ends no comment.");
            operation.security("token", scheme, &[]);
        }
    }

    pub(crate) const ROUTES: Routes = routes![
        super::package,
        super::set_timeout,
        super::数,
        super::var,
        super::exports,
        super::set,
        super::query,
        super::input,
        super::list,
        super::list_pages,
        super::loose,
        super::hooks,
    ];

    pub(crate) fn info() -> Info {
        Info::new("root */", "1").webhook::<super::Webhooks>("link.followed", "A client has followed a link.")
    }
}

#[derive(serde::Serialize, JsonSchema)]
struct RequestRedirect {
    is_done: bool,
}

#[get("/package/{name}/files/v{number}.json")]
fn package(_path: Path<(String, u32)>, _token: root::Token) -> Json<RequestRedirect> {
    Json(RequestRedirect { is_done: true })
}

#[get("/{name}")]
fn set_timeout(_name: Path<String>) {}

#[get("/a/{*rest}")]
fn 数(_rest: Path<String>) {}

#[get("/texts/{name}.txt")]
fn var(_name: Path<String>) {}

#[get("/exports")]
fn exports() {}

/// A schema with the name of the type of webhooks in a client.
#[derive(serde::Serialize, JsonSchema)]
struct Webhooks {
    count: u32,
}

#[get("/hooks")]
fn hooks() -> Json<Webhooks> {
    Json(Webhooks { count: 7 })
}

#[put("/value")]
fn set(_value: Json<u32>) {}

/// A list whose function has the name of a variable in the function of its pages.
#[get("/query")]
fn query(paging: Paging<u32>) -> Paged<u32> {
    paging.page(Vec::new(), |number| *number)
}

#[get("/input")]
fn input(paging: Paging<u32>) -> Paged<u32> {
    paging.page(Vec::new(), |number| *number)
}

#[get("/list")]
fn list(paging: Paging<u32>) -> Paged<u32> {
    paging.page(Vec::new(), |number| *number)
}

/// A handler with the name of the function of another list's pages.
#[get("/list/pages")]
fn list_pages() {}

/// A list without the cursor of the next page.
#[get("/loose")]
fn loose(_paging: Paging<u32>) -> Json<Vec<u32>> {
    Json(Vec::new())
}

/// A document as JSON.
fn json(document: &Document) -> Value {
    serde_json::to_value(document).expect("a document is JSON")
}

#[test]
fn the_document_of_the_sample_is_unchanged() {
    assert_golden("sample.json", &sample::ROUTES.openapi(sample::info()).to_string());
}

#[test]
fn the_sample_has_no_gaps() {
    assert_eq!(sample::ROUTES.openapi(sample::info()).gaps(), []);
}

#[test]
fn an_outside_validator_accepts_the_document() {
    validator::accepts(&sample::ROUTES.openapi(sample::info()).to_string());
    validator::accepts(&guarded::app().openapi().to_string());
    validator::accepts(&problems::ROUTES.openapi(Info::new("problems", "1")).to_string());
    #[cfg(feature = "multipart")]
    validator::accepts(&forms::ROUTES.openapi(Info::new("forms", "1")).to_string());
}

/// Forms with files, nested fields and header fields.
#[cfg(feature = "multipart")]
mod forms {
    use conduit::prelude::*;
    use conduit::{Header, Multipart, MultipartForm, UploadedFile};

    #[derive(serde::Deserialize, JsonSchema)]
    struct Upload {
        _title: String,
        _address: Option<Address>,
        _pictures: Vec<UploadedFile>,
    }

    #[derive(serde::Deserialize, JsonSchema)]
    struct Address {
        _city: String,
    }

    #[derive(serde::Deserialize, JsonSchema)]
    struct Call {
        _x_token: String,
        _accept_language: Vec<String>,
    }

    #[post("/upload")]
    fn upload(_upload: MultipartForm<Upload>, _call: Header<Call>) {}

    #[post("/stream")]
    fn stream(_form: Option<Multipart>, _address: Query<Address>) {}

    #[post("/form")]
    fn form(_form: Form<Upload>) {}

    pub(crate) const ROUTES: Routes = routes![upload, stream, form];
}

#[derive(serde::Serialize)]
struct Mute;

/// A response that does not describe itself.
struct SilentResponse;

impl IntoResponse for SilentResponse {
    fn into_response(self) -> Response {
        "picture".into_response()
    }
}

#[get("/mute")]
fn mute() -> Json<Mute> {
    Json(Mute)
}

#[get("/picture")]
fn picture() -> Result<SilentResponse, Problem> {
    Ok(SilentResponse)
}

#[test]
fn gaps_of_the_document_have_their_place() {
    let routes: Routes = routes![mute, picture];
    let document = routes.openapi(Info::new("gaps", "1"));
    let [schema, answer] = document.gaps() else {
        panic!("{:?}", document.gaps())
    };
    assert!(
        schema.what.contains("openapi::Mute` is not known: derive `JsonSchema`"),
        "{schema}"
    );
    assert!(schema.to_string().contains("main.rs:"), "{schema}");
    assert!(answer.what.contains("implement `IntoResponse::describe`"), "{answer}");
    let document = serde_json::to_value(&document).expect("a document is JSON");
    assert_eq!(
        document["paths"]["/mute"]["get"]["responses"]["200"]["content"]["application/json"]["schema"],
        serde_json::json!({})
    );
}

#[doc(hidden)]
#[get("/hidden")]
fn hidden() {}

#[test]
fn a_hidden_handler_is_omitted() {
    let routes: Routes = routes![hidden, mute];
    let document = serde_json::to_value(routes.openapi(Info::new("hidden", "1"))).expect("a document is JSON");
    assert_eq!(document["paths"].as_object().map(|paths| paths.len()), Some(1));
}

#[test]
fn the_package_of_the_list_names_the_document() {
    let app = App::new(()).routes(routes![mute]);
    let document = serde_json::to_value(app.openapi()).expect("a document is JSON");
    assert_eq!(document["info"]["title"], "conduit-web");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn any_text_is_a_string() {
    assert_eq!(Operation::text()["type"], "string");
}

#[get("/{slug}")]
fn slug(slug: Path<String>) -> String {
    slug.0
}

#[get("/docs/openapi.json")]
fn own_document() {}

#[test]
fn the_docs_do_not_take_the_path_of_a_route() {
    let app = App::new(()).routes(routes![own_document]).docs("/docs");
    let Err(error) = app.listen("127.0.0.1:0") else {
        panic!("the path is taken")
    };
    let text = error.to_string();
    assert!(
        text.contains("/docs/openapi.json") && text.contains("own_document") && text.contains("main.rs:"),
        "{text}"
    );
}

#[cfg(feature = "testing")]
#[test]
fn docs_page_rejects_other_methods_with_the_methods_of_its_path() {
    #[put("/{slug}")]
    fn put_slug(slug: Path<String>) -> String {
        slug.0
    }

    let app = App::new(()).routes(routes![put_slug]).docs("/docs");
    let client = conduit::testing::TestClient::new(app.fallback(async || "the fallback"));
    client
        .get("/nowhere/else")
        .undocumented()
        .send()
        .assert_text("the fallback");
    client.put("/docs").send().assert_text("docs");
    for (path, methods) in [
        ("/docs", "PUT, GET, HEAD, OPTIONS"),
        ("/docs/openapi.json", "GET, HEAD, OPTIONS"),
    ] {
        for (method, status) in [("DELETE", 405), ("POST", 405), ("OPTIONS", 204)] {
            let response = client.request(method, path).undocumented().send();
            response.assert_status(status).assert_header("allow", methods);
        }
        client.request("UNKNOWN", path).undocumented().send().assert_status(501);
    }
}

#[test]
fn docs_page_precedes_a_parameter_and_the_document_equals_the_printed_one() {
    let app = App::new(()).routes(routes![slug]).docs("/docs").workers(1);
    let expected = serde_json::to_value(app.openapi()).expect("a document is JSON");
    let server = app.listen("127.0.0.1:0").expect("a free port");
    let (address, handle) = (server.address(), server.handle());
    let serving = std::thread::spawn(move || server.serve());
    let get = |path: &str| {
        let mut stream = std::net::TcpStream::connect(address).expect("the server listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("the request is sent");
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).expect("the answer ends");
        let end = answer
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head ends");
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        (head, answer[end + 4..].to_vec())
    };
    assert_eq!(get("/other").1, b"other");
    let (head, page) = get("/docs");
    assert!(
        head.contains("text/html") && head.contains("default-src 'none'"),
        "{head}"
    );
    assert!(
        String::from_utf8_lossy(&page).contains("src=\"docs/swagger-ui.js"),
        "{page:?}"
    );
    let (_, document) = get("/docs/openapi.json");
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&document).expect("JSON"),
        expected
    );
    for path in ["/docs", "/docs/openapi.json", "/docs/start.js", "/docs/swagger-ui.css"] {
        let (head, _) = get(path);
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: "));
        let tag = tag.unwrap_or_else(|| panic!("no etag: {head}")).to_owned();
        let (head, body) = get(&format!(
            "{path} HTTP/1.1\r\nif-none-match: \"other\", {tag}\r\nx-rest:"
        ));
        assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{path}: {head}");
        assert!(head.contains(&format!("etag: {tag}")), "{path}: {head}");
        let (head, _) = get(&format!("{path} HTTP/1.1\r\nif-none-match: \"other\"\r\nx-rest:"));
        assert!(head.starts_with("http/1.1 200"), "{path}: {head}");
        let (head, _) = get(&format!("{path} HTTP/1.1\r\nif-match: \"other\"\r\nx-rest:"));
        assert!(head.starts_with("http/1.1 412"), "{path}: {head}");
    }
    let (head, script) = get("/docs/swagger-ui.js");
    assert!(
        head.contains("content-encoding: gzip") && head.contains("immutable"),
        "{head}"
    );
    assert_eq!(script[..2], [0x1f, 0x8b]);
    assert!(get("/docs/none").0.starts_with("http/1.1 404"));
    handle.stop();
    serving
        .join()
        .expect("the server does not panic")
        .expect("the server ends well");
}
