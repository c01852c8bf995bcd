//! Typed calls of handlers, in the process and over HTTP.

mod support;

use bytes::Bytes;
use conduit::client::{CallError, FormParts, NoArgument, PageRequest, Pages, ReqwestTransport, Transport, TypedClient};
use conduit::extract::{Direction, Paged, Paging, Sort, Submission, Valid};
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{Auth, Authenticate, Bearer, CookieValues, MultipartForm, Upload, UploadedFile};
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

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Filter {
    state: Option<String>,
    price: Bounds,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Bounds {
    gte: Option<u32>,
    lt: Option<u32>,
}

#[get("/filtered", client)]
fn filtered(filter: Query<Filter>) -> String {
    let Filter { state, price } = filter.0;
    format!("{state:?} {:?} {:?}", price.gte, price.lt)
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

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Column {
    Id,
    Text,
}

/// Notes with ids from 1 to 5, in pages.
#[get("/pages", client)]
fn pages(paging: Paging<u64, 2>, order: Sort<Column>, search: Query<Search>) -> Result<Paged<Note>, Problem> {
    let mut ids: Vec<u64> = (1..=5).collect();
    if let Some((Column::Id, Direction::Descending)) = order.0.first() {
        ids.reverse();
    }
    let is_next = |id: &u64| match (paging.cursor(), order.0.first()) {
        (None, _) => true,
        (Some(cursor), Some((_, Direction::Descending))) => id < cursor,
        (Some(cursor), _) => id > cursor,
    };
    let text = format!("{} in an order of {} columns", search.0.tags.join("+"), order.0.len());
    let notes = ids.into_iter().filter(is_next).take(paging.rows());
    let notes = notes.map(|id| Note { id, text: text.clone() });
    Ok(paging.page(notes.collect(), |note| note.id))
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Look {
    theme: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
}

#[get("/cookies", client)]
fn cookies(look: CookieValues<Look>, all: HeaderMap) -> String {
    let sent = all["cookie"].to_str().expect("ASCII");
    format!("{:?} {:?} of {sent}", look.0.theme, look.0.columns)
}

#[put("/bytes", client)]
fn raw(media_type: HeaderMap, body: Bytes) -> String {
    format!("{} bytes of {:?}", body.len(), media_type["content-type"])
}

#[put("/stream", client)]
async fn stream(body: Body) -> Result<String, Problem> {
    Ok(format!("{} bytes", body.collect().await?.len()))
}

#[put("/upload", client)]
async fn upload(body: Upload) -> Result<String, Problem> {
    let path = std::env::temp_dir().join(format!("conduit-call-{}-{:p}", std::process::id(), &raw const body));
    let media_type = body.content_type().unwrap_or_default().to_owned();
    let length = body.save(&path).await?;
    let _ = std::fs::remove_file(&path);
    Ok(format!("{length} bytes of {media_type}"))
}

#[derive(Deserialize, JsonSchema)]
struct Picture {
    title: String,
    picture: UploadedFile,
}

#[post("/pictures", client)]
fn picture(form: MultipartForm<Picture>) -> String {
    let Picture { title, picture } = form.0;
    format!(
        "{title}: {:?}, {} bytes of {:?}",
        picture.file_name(),
        picture.len(),
        picture.content_type()
    )
}

#[derive(Serialize, Deserialize, JsonSchema, garde::Validate)]
struct Registration {
    #[garde(range(min = 18))]
    age: u8,
}

#[post("/register", client)]
fn register(form: Submission<Valid<Form<Registration>>>) -> Result<String, String> {
    match form.into_result() {
        Ok(form) => Ok(format!("welcome at {}", form.0.age)),
        Err(fields) => Ok(format!("{:?}", fields.error("age"))),
    }
}

#[post("/optional", client)]
fn optional(search: Option<Query<Search>>, note: Option<Json<Note>>) -> String {
    format!("{} {}", search.is_some(), note.is_some())
}

/// A custom extractor that reads a field which the client sends with each request.
struct Locale(String);

impl<S> FromRequest<S> for Locale {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let locale = request
            .header("accept-language")
            .and_then(|value| str::from_utf8(value).ok());
        Ok(Locale(locale.unwrap_or("en").to_owned()))
    }
}

impl NoArgument for Locale {}

#[get("/locale/{id}", client)]
fn locale(id: Path<u8>, locale: Locale, _state: State<()>, _peer: PeerAddr) -> String {
    format!("{} {}", *id, locale.0)
}

fn app() -> App<(), Routes> {
    App::new(()).routes(routes![
        "/notes" => notes::ROUTES,
        search, filtered, set, form, flags, pages, cookies, raw, stream, upload, picture, register, optional, locale
    ])
}

async fn each_extractor_has_its_argument<T: Transport + Clone>(client: TypedClient<T>) {
    let wanted = Search {
        text: None,
        tags: vec!["a".to_owned(), "b&c".to_owned()],
    };
    let first = PageRequest::first().with_limit(3);
    let page = pages::call(&client, first.clone(), &[], &wanted).await.expect("a page");
    assert_eq!(page.items.len(), 3);
    assert_eq!(page.items[0].text, "a+b&c in an order of 0 columns");
    let order = [
        (Column::Id, Direction::Descending),
        (Column::Text, Direction::Ascending),
    ];
    let list = Pages::new(async |page| pages::call(&client, page, &order, &wanted).await);
    let all = list.starting_at(first).items().await.expect("all pages");
    assert_eq!(all.iter().map(|note| note.id).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    assert_eq!(all[0].text, "a+b&c in an order of 2 columns");
    let filter = Filter {
        state: Some("a&b".to_owned()),
        price: Bounds {
            gte: None,
            lt: Some(20),
        },
    };
    assert_eq!(
        filtered::call(&client, &filter).await.expect("a text"),
        r#"Some("a&b") None Some(20)"#
    );
    let invalid = pages::call(&client, PageRequest::first().after("?"), &[], &wanted).await;
    assert!(matches!(invalid, Err(CallError::Problem(problem)) if problem.status == 422));

    let look = Look {
        theme: Some("a; b".to_owned()),
        columns: vec!["x".to_owned(), "y".to_owned()],
    };
    let with_cookie = client.clone().with_header("cookie", "session=1");
    assert_eq!(
        cookies::call(&with_cookie, &look).await.expect("a text"),
        r#"Some("a; b") ["x", "y"] of session=1; theme=a%3B%20b; columns=x,y"#
    );

    let sent = raw::call(&client, Bytes::from_static(b"\0\x01")).await.expect("a text");
    assert_eq!(sent, r#"2 bytes of "application/octet-stream""#);
    let image = client.clone().with_header("content-type", "image/png");
    let sent = raw::call(&image, vec![0; 3].into()).await.expect("a text");
    assert_eq!(sent, r#"3 bytes of "image/png""#);
    assert_eq!(
        stream::call(&client, vec![0; 70_000].into()).await.expect("a text"),
        "70000 bytes"
    );
    let sent = upload::call(&image, vec![0; 4].into()).await.expect("a text");
    assert_eq!(sent, "4 bytes of image/png");
    // The form sets the media type even if the client sets another one.
    let form = FormParts::new()
        .text("title", "conduit-boundary\r\n--conduit-boundary-0")
        .file("picture", "a\"b.png", "image/png", vec![0; 5]);
    assert_eq!(
        picture::call(&image, form).await.expect("a text"),
        "conduit-boundary\r\n--conduit-boundary-0: Some(\"a%22b.png\"), 5 bytes of Some(\"image/png\")"
    );
    let young = register::call(&client, &Registration { age: 9 }).await.expect("a text");
    assert!(young.contains("18"), "{young}");
    assert_eq!(
        register::call(&client, &Registration { age: 18 })
            .await
            .expect("a text"),
        "welcome at 18"
    );
    let note = Note {
        id: 1,
        text: String::new(),
    };
    assert_eq!(
        optional::call(&client, None, Some(&note)).await.expect("a text"),
        "false true"
    );
    assert_eq!(
        optional::call(&client, Some(&wanted), None).await.expect("a text"),
        "true false"
    );
    let german = client.with_header("accept-language", "de");
    assert_eq!(locale::call(&german, 7).await.expect("a text"), "7 de");
}

#[test]
fn page_that_is_its_own_next_page_ends_the_iteration() {
    block_on(async {
        let wanted = Search {
            text: None,
            tags: Vec::new(),
        };
        let client = TypedClient::new(SamePage);
        let mut list = Pages::new(async |page| pages::call(&client, page, &[], &wanted).await);
        assert!(matches!(list.next().await, Some(Ok(_))));
        assert!(matches!(list.next().await, Some(Err(CallError::Unreadable { .. }))));
        assert!(list.next().await.is_none());
    });
}

/// A service whose pages never end.
struct SamePage;

impl Transport for SamePage {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, conduit::BoxError> {
        Ok(http::Response::new(Bytes::from_static(br#"{"items":[],"next":"a"}"#)))
    }
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
    let elsewhere = Tenant {
        x_tenant: "\u{dc}nal".to_owned(),
    };
    let added = notes::add::call(&client, &elsewhere, &new).await.expect("a note");
    assert_eq!(added.text, "note of ada at \u{dc}nal");
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

/// A service with one response: the status, a field, and the content.
struct Fixed(u16, &'static str, &'static str, &'static str);

impl Transport for Fixed {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, conduit::BoxError> {
        let response = http::Response::builder().status(self.0).header(self.1, self.2);
        Ok(response.body(Bytes::from_static(self.3.as_bytes()))?)
    }
}

#[get("/old", client)]
fn old() -> Result<Redirect, Problem> {
    Ok(Redirect::to("/new"))
}

#[test]
fn redirect_is_an_error_unless_the_handler_returns_one() {
    block_on(async {
        let client = || TypedClient::new(Fixed(302, "location", "/login", "see /login"));
        let unreadable = |error| match error {
            CallError::Unreadable { status, cause } => assert_eq!(
                (status, &cause.to_string()[..]),
                (StatusCode::FOUND, "it is a redirect to /login")
            ),
            other => panic!("{other:?}"),
        };
        unreadable(set::call(&client(), "hello").await.expect_err("a redirect"));
        let wanted = Search {
            text: None,
            tags: Vec::new(),
        };
        unreadable(form::call(&client(), &wanted).await.expect_err("a redirect"));
        assert_eq!(old::call(&client()).await.expect("a location"), "/login");
    });
}

#[test]
fn response_without_a_modification_is_an_error() {
    block_on(async {
        let client = TypedClient::new(Fixed(304, "etag", "\"1\"", ""));
        match set::call(&client, "hello").await {
            Err(CallError::Unreadable { status, cause }) => assert_eq!(
                (status, &cause.to_string()[..]),
                (
                    StatusCode::NOT_MODIFIED,
                    "it has no content, and a typed call has no stored response"
                )
            ),
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn error_of_another_media_type_has_its_text_as_the_detail() {
    block_on(async {
        let text = r#"{"message":"rate limited"}"#;
        let problem = async |media_type| {
            let client = TypedClient::new(Fixed(429, "content-type", media_type, text));
            match set::call(&client, "hello").await {
                Err(CallError::Problem(problem)) => problem,
                other => panic!("{other:?}"),
            }
        };
        let other = problem("application/json").await;
        assert_eq!((other.detail.as_deref(), other.members.len()), (Some(text), 0));
        let known = problem("Application/Problem+JSON; charset=utf-8").await;
        assert_eq!((known.detail.as_deref(), known.members.len()), (None, 1));
    });
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
        .with_header("x-api-key", "abc")
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
    let client = || TypedClient::new(TestClient::new(app()));
    block_on(calls_have_the_types_of_the_handlers(client()));
    block_on(each_extractor_has_its_argument(client()));
}

#[test]
fn over_http() {
    let server = support::serve(app());
    let transport = ReqwestTransport::new(format!("http://{}/", server.address), reqwest::Client::new());
    block_on(calls_have_the_types_of_the_handlers(TypedClient::new(
        transport.clone(),
    )));
    block_on(each_extractor_has_its_argument(TypedClient::new(transport)));
}
