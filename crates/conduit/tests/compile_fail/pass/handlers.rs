//! Every form of a handler that must compile, without a warning from the expansion.
#![deny(warnings, missing_docs, unreachable_pub, unused)]
#![deny(clippy::all, clippy::pedantic)]

use conduit::prelude::*;

/// A state with two parts.
#[derive(Clone, FromRef)]
pub struct Store {
    name: String,
    count: u64,
    is_valid: fn(&str) -> bool,
    #[from_ref(skip)]
    _other: u64,
}

/// All parameters of a path.
#[derive(serde::Deserialize, PathParams)]
struct PostPath {
    id: u64,
    #[serde(rename = "slug")]
    title: String,
    #[serde(skip)]
    unread: u8,
}

/// An argument with a lifetime.
struct Borrowed<'a>(std::marker::PhantomData<&'a ()>);

impl<S> FromRequest<S> for Borrowed<'_> {
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(Borrowed(std::marker::PhantomData))
    }
}

#[get("/")]
fn nothing() {}

#[get("/unit")]
#[expect(clippy::unused_unit)]
fn unit() -> () {}

/// Linked.
#[get("/linked/{id}", link, disconnect = "abort")]
fn linked(id: Path<u64>, _query: Option<Query<Vec<(String, String)>>>) -> String {
    linked::path(id.0)
}

/// A keyword, and a lifetime that is elided.
#[get("/keywords/{type}/{*rest}", link)]
fn keyword(Path(r#type): Path<std::borrow::Cow<'_, str>>, #[cfg(unix)] Path(rest): Path<String>) -> String {
    format!("{type} {}", keyword::path(std::borrow::Cow::Borrowed("a"), rest))
}

/// Documented.
#[get("/users/{id}")]
async fn show(id: Path<u64>, State(name): State<String>) -> String {
    std::future::ready(()).await;
    format!("{name} {}", id.0)
}

#[put("/users/{id}")]
fn with_mutable_patterns(mut id: Path<u64>, State(mut count): State<u64>) -> String {
    id.0 += 1;
    count += 1;
    format!("{} {count}", id.0)
}

#[delete("/users/{id}")]
fn unread(_id: Path<u64>) {}

#[patch("/users/{id}")]
fn destructured(Path(id): Path<u64>) -> impl IntoResponse {
    id.to_string()
}

#[get("/users/{id}/posts/{slug}")]
fn named(Path((slug, id)): Path<(String, u64)>) -> String {
    format!("{slug} {id}")
}

#[put("/users/{id}/posts/{slug}")]
fn in_order(both: Path<(u64, String)>) -> String {
    let Path((id, slug)) = both;
    format!("{slug} {id}")
}

#[patch("/users/{id}/posts/{slug}")]
fn structured(Path(path): Path<PostPath>) -> String {
    format!("{} {} {}", path.id, path.title, path.unread)
}

#[delete("/users/{id}/posts/{slug}")]
fn wrapped(id: Option<Path<u64>>, slug: Result<Path<String>, Problem>) -> Result<String, Problem> {
    Ok(format!("{:?} {}", id.map(|id| id.0), slug?.0))
}

#[post("/users")]
async fn body(count: State<u64>, text: String) -> String {
    std::future::ready(()).await;
    format!("{} {text}", count.0)
}

/// The largest number of arguments, and the whole request before others.
#[post("/many")]
#[expect(clippy::too_many_arguments)]
async fn many(
    _a: Request,
    _b: Method,
    _c: Method,
    _d: Method,
    _e: Method,
    _f: Method,
    _g: Method,
    _h: Method,
    _i: Method,
    _j: Method,
    _k: Method,
    _l: Method,
    _m: Method,
    _n: Method,
    _o: Method,
    _p: Method,
) {
    std::future::ready(()).await;
}

#[options("/lifetime")]
fn lifetime(_: Borrowed<'_>) {}

#[route(PROPFIND, "/files/{*path}")]
fn rest(path: Path<String>) -> String {
    path.0
}

#[route("M-SEARCH", "/search/{type}")]
#[cfg(not(windows))]
fn r#type(r#type: Path<String>) -> String {
    r#type.0
}

#[get("/conditional/{id}")]
fn conditional(#[cfg(unix)] id: Path<u64>, #[cfg(not(unix))] id: Path<String>, #[cfg(any())] none: Nothing) -> String {
    id.0.to_string()
}

#[head("/absent")]
#[cfg(any())]
fn absent() {}

#[deprecated]
#[get("/deprecated")]
#[must_use]
fn deprecated() -> &'static str {
    "still served"
}

mod admin {
    use conduit::prelude::*;

    /// Public, in a module.
    #[get("/")]
    pub(crate) fn index(count: State<u64>) -> String {
        count.0.to_string()
    }

    #[get("/state")]
    pub(crate) fn state() {}

    #[get("/request")]
    pub(crate) fn request() {}

    pub(crate) const ROUTES: Routes<u64> = routes![index, state, request];
}

const ROUTES: Routes<Store> = routes![
    nothing,
    unit,
    show,
    self::with_mutable_patterns,
    unread,
    destructured,
    named,
    in_order,
    structured,
    wrapped,
    body,
    many,
    lifetime,
    rest,
    r#type,
    conditional,
    deprecated,
    "/admin" => admin::ROUTES,
    "/v1" => [show, body, "/admin" => admin::ROUTES, "/deep" => show],
];

/// The names of crates, of functions of the standard library and of handlers in outer modules: a list resolves to the handlers in
/// this module.
mod named_as_others {
    use super::*;

    #[get("/bytes")]
    fn bytes() {}

    #[get("/core")]
    fn core() {}

    #[get("/drop")]
    fn drop() {}

    #[get("/show")]
    fn show() {}

    #[get("/unit")]
    pub(crate) fn unit() {}

    #[get("/serde_json")]
    pub(crate) fn serde_json() {}

    pub(crate) const ROUTES: Routes<Store> =
        routes![bytes, core, "/more" => [self::serde_json], drop, show, self::unit];
}

fn with_handlers_of_its_own() -> Routes {
    #[get("/inner")]
    fn inner() {}

    #[get("/bytes")]
    fn bytes() {}

    #[get("/show")]
    fn show() {}

    routes![inner, bytes, show]
}

mod named_as_generated_code {
    use conduit::prelude::*;

    /// An argument of the call has the name `client` too.
    #[get("/clients/{client}/invoices/{call}", client)]
    fn invoices(all: Path<(u64, u64)>) -> String {
        format!("{} {}", all.0.0, all.0.1)
    }

    /// Keywords without a raw form.
    #[get("/{crate}/{self}/{super}/{Self}", link)]
    fn keywords(all: Path<(String, String, String, String)>) -> String {
        let Path((a, b, c, d)) = all;
        keywords::path(a, b, c, d)
    }

    /// A type of the application with the name of an extractor that a tool cannot have.
    #[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
    struct Request {
        text: String,
    }

    #[post("/requests", tool)]
    fn r#type(new: Json<Request>) -> Json<Request> {
        new
    }

    /// Documented, and hidden in the document.
    #[doc(hidden, alias = "x")]
    #[get("/hidden")]
    fn hidden(is_valid: State<fn(&str) -> bool>) -> String {
        (is_valid.0)("a").to_string()
    }

    pub(crate) const ROUTES: Routes<super::Store> = routes![invoices, keywords, r#type, hidden];
}

/// A type with the name of an extractor that takes the body.
struct Upload;

impl<S> FromRequest<S> for Upload {
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(Upload)
    }
}

fn with_other_types_of_the_names() -> Routes {
    #[post("/uploads")]
    async fn upload(_: Upload, note: Json<String>) -> String {
        note.0
    }

    routes![upload]
}

fn paths_of<S>(routes: Routes<S>) -> Vec<&'static str> {
    routes.definitions().iter().map(|definition| definition.path).collect()
}

pub(crate) fn main() {
    assert_eq!(
        paths_of(named_as_others::ROUTES),
        ["/bytes", "/core", "/more/serde_json", "/drop", "/show", "/unit"]
    );
    assert_eq!(paths_of(with_handlers_of_its_own()), ["/inner", "/bytes", "/show"]);
    assert_eq!(paths_of(with_other_types_of_the_names()), ["/uploads"]);
    let _ = App::new(()).routes(with_other_types_of_the_names());
    let tool = named_as_generated_code::ROUTES.definitions()[2].tool_name();
    assert!(tool.is_some_and(|name| name.ends_with("named_as_generated_code_type")));
    let app = App::new(Store {
        name: String::new(),
        count: 0,
        is_valid: str::is_empty,
        _other: 0,
    });
    let _ = app.routes(ROUTES);
    let paths = paths_of(ROUTES);
    assert_eq!(paths[17..20], ["/admin", "/admin/state", "/admin/request"]);
    assert_eq!(
        paths[20..],
        [
            "/v1/users/{id}",
            "/v1/users",
            "/v1/admin",
            "/v1/admin/state",
            "/v1/admin/request",
            "/v1/deep/users/{id}"
        ]
    );
    assert_eq!(ROUTES.definitions()[14].method, "M-SEARCH");
    assert!(ROUTES.definitions()[2].handler.ends_with("::show"));
}
