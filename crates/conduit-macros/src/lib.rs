//! The attributes and macros of the Conduit web framework. Use them through the crate `conduit`.
//!
//! - `handler`: `#[get]` and the other route attributes; `attribute`: their arguments
//! - `arguments`: the assignment of the path's parameters to arguments
//! - `describe`: the description of a handler for the OpenAPI document
//! - `link`: the functions that make links to a route
//! - `client`: the functions that call a handler at a server
//! - `tool`: the checks of the option `tool`
//! - `list`: `routes!` and `nested_routes!`
//! - `embed`: `embed!`
//! - `derive`: `PathParams` and `FromRef`; `derive_problem`: `Problem`
#![forbid(unsafe_code)]

mod arguments;
mod attribute;
mod client;
mod derive;
mod derive_problem;
mod describe;
#[cfg(feature = "files")]
mod embed;
mod extraction;
mod handler;
mod link;
mod list;
mod tool;

use proc_macro::TokenStream;

macro_rules! method_attributes {
    ($($name:ident $method:literal)*) => {$(
        #[doc = concat!("Makes a function the handler of `", $method, "` requests for a path.")]
        ///
        /// This is [`macro@route`] with a fixed method; see there for the details.
        #[proc_macro_attribute]
        pub fn $name(arguments: TokenStream, item: TokenStream) -> TokenStream {
            handler::expand($method, arguments.into(), item.into()).into()
        }
    )*};
}

method_attributes! {
    get "GET"
    post "POST"
    put "PUT"
    patch "PATCH"
    delete "DELETE"
    head "HEAD"
    options "OPTIONS"
    query "QUERY"
}

/// Makes a function the handler for requests with a method and a path: `#[route(PROPFIND, "/files/{*path}")]`.
///
/// The function may be `async` and is not changed. The attribute adds a type of the same name, which
/// [`routes!`](macro@routes) refers to. Each argument is extracted from the request: a `Path` from the parameters of
/// the path, any other type by `FromRequest`. `IntoResponse` converts the return value into a response.
///
/// # Path arguments
/// | argument | takes |
/// | --- | --- |
/// | `id: Path<u64>`, `Path(id): Path<u64>` | the parameter `{id}`; write `_id` for an unused one |
/// | `Path((a, b)): Path<(A, B)>` | the parameters `{a}` and `{b}` |
/// | `all: Path<(A, B)>` | all parameters, in the order of the path |
/// | `all: Path<T>` with `T: PathParams` | all parameters, by the names of the fields |
///
/// Each of them may be in an `Option` or a `Result`.
///
/// # Client disconnects
/// The optional argument `disconnect` selects the action on a pending handler whose client disconnects. With
/// `#[get("/report", disconnect = "abort")]` the handler is dropped; with `disconnect = "finish"` it runs to completion
/// and its response is discarded. Default: the setting of `App::disconnect`, which is to finish.
///
/// # Pages of other origins
/// A handler that reads cookies or other credentials that browsers attach automatically rejects requests with an unsafe method,
/// such as `POST`, from a page of another origin: the response is 403. The option `cross_origin`, as in
/// `#[post("/hook", cross_origin)]`, permits these requests for one route; `App::trusted_origin` permits those of one origin.
///
/// # Links
/// With the option `link`, as in `#[get("/users/{id}", link)]`, the type has the function `path`, which makes links to the route:
/// `show::path(7)` is `/users/7`. Its arguments are the values of the path's parameters, of the types that the handler takes. If
/// the handler takes a `Query<T>`, the function `path_and_query` has one more argument, a `T` or a reference to one. The types
/// implement `serde::Serialize`. A route whose lists have a prefix names it, `link = "/admin"`, so that the link contains it;
/// parameters of the prefix are arguments too. The functions panic for a value that makes its segment empty, `.` or `..`, because
/// the link would lead to another route or site.
///
/// # Description
/// The option `describe`, as in `#[post("/users", describe = examples)]`, names a `fn(&mut Operation)` that adds to the operation of
/// the OpenAPI document, such as examples and links.
///
/// # Clients
/// With the option `client` and the feature `client` of `conduit-web`, the type has the function `call`, which calls the handler at
/// a server: `show::call(&client, 7).await`. Its arguments are the input of the request, its result is the content of the response.
/// The option `link` sets the prefix of the path. An extractor that implements neither `CallArgument` nor `NoArgument` is a compile
/// error.
///
/// # Tools
/// With the option `tool`, as in `#[get("/users/{id}", tool)]`, the handler is a tool for language models, which `App::mcp` and
/// `program --mcp` serve. Its name is that of its module and function, `users_show`; `tool = "find_user"` names another, in which
/// `{prefix}` is the prefix of the list. The types of its input need `JsonSchema`.
///
/// # Errors
/// It is a compile error if `routes!` has a route whose path with all prefixes is not the path of its links. An invalid path, a
/// path parameter without an argument, an argument for an unknown parameter, and two arguments that
/// consume the body are compile errors.
#[proc_macro_attribute]
pub fn route(arguments: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand_route(arguments.into(), item.into()).into()
}

/// A list of routes, for `App::routes` or for a constant that other lists include.
///
/// ```text
/// pub const ROUTES: Routes<Store> = routes![
///     show, users::create,            // handlers
///     health::ROUTES,                 // all routes of another list: a constant with an upper-case name
///     "/admin" => admin::ROUTES,      // the same, each path with a prefix
///     "/v1" => [list, find],          // handlers with a prefix
///     #[layer(auth)] change,          // a handler in a layer
///     #[layer(auth, Timeout::new(LONG))] "/jobs" => jobs::ROUTES, // a list in two layers: `auth` is the outer one
///     #[layer(auth)] [rename, remove], // handlers that share a layer
///     "/articles/{slug}/comments" => [list, add], // a prefix with a parameter, which the handlers may take
///     "/static" => Files::new("public"), // the files of a directory: an expression, with the feature `files`
///     #[cfg(debug_assertions)] inspect, // only if the condition holds
/// ];
/// ```
///
/// A layer is an expression. It is evaluated once, when the application is built; each worker gets a clone of the
/// value.
///
/// A prefix starts with a slash and has neither a trailing slash nor a `{*rest}`. A route `/` under a prefix has the
/// prefix as its path. A handler takes a parameter of the prefix by an argument of the same name. Use
/// [`nested_routes!`](macro@nested_routes) for a list whose handlers take parameters of a prefix in another list.
///
/// # Errors
/// It is a compile error if two routes with the same method match the same paths, if a path with its prefixes has two
/// parameters with the same name, or if a handler takes a parameter that its full path does not have.
#[proc_macro]
pub fn routes(input: TokenStream) -> TokenStream {
    list::expand(list::List::Routes, input.into()).into()
}

/// A list of routes for use under a prefix in another list; its handlers may take the parameters of that prefix.
///
/// ```text
/// mod comments {
///     #[get("/{id}")]
///     async fn show(slug: Path<String>, id: Path<u64>) -> String { … }
///
///     pub const ROUTES: NestedRoutes<Store> = nested_routes![show];
/// }
///
/// routes!["/articles/{slug}/comments" => comments::ROUTES]
/// ```
///
/// The entries have the syntax of [`routes!`](macro@routes), which checks that each parameter of a handler is in its
/// full path. `App::routes` does not accept this list directly.
#[proc_macro]
pub fn nested_routes(input: TokenStream) -> TokenStream {
    list::expand(list::List::Nested, input.into()).into()
}

/// Reads a directory when the program is compiled: `embed!("assets", "/assets")` is an `Embedded`, for `Files::embedded` and
/// `asset!`.
///
/// The first argument is the directory, relative to the package's `Cargo.toml`, the second the prefix that its routes have, which is
/// empty without one. Release builds contain the files, each also compressed with gzip where that saves more than 5 %, and in the
/// codings of precompressed files next to them, such as `app.js.br`; their URL paths contain a hash of the content. Debug builds
/// contain the names only, and read the files when they are requested, so that a change needs no build; `embed!("assets",
/// "/assets", always)` contains the files in debug builds too. Names that begin with a dot are omitted, except for `.well-known` in
/// the directory itself, and so are links to a directory around them. The compiler notices changed files; for a new one the source
/// with `embed!` has to change too.
///
/// Store it in a constant. Each use of the macro contains another copy of the files.
#[cfg(feature = "files")]
#[proc_macro]
pub fn embed(input: TokenStream) -> TokenStream {
    embed::expand(input.into()).into()
}

/// Implements `PathParams`: an argument `Path<T>` of this struct takes all parameters of a path by their names.
///
/// The name of a field is the name of its parameter; `#[serde(rename = "…")]` changes it as for serde, and
/// `#[serde(skip)]` excludes the field.
#[proc_macro_derive(PathParams, attributes(serde))]
pub fn path_params(input: TokenStream) -> TokenStream {
    derive::path_params(input.into()).into()
}

/// Implements `FromRef` for the type of each field of an application state, by cloning the field.
///
/// `#[from_ref(skip)]` excludes a field. If several fields have the same type, exclude all but one.
#[proc_macro_derive(FromRef, attributes(from_ref))]
pub fn from_ref(input: TokenStream) -> TokenStream {
    derive::from_ref(input.into()).into()
}

/// Converts an error type into problem details (RFC 9457): each variant has a status, a title and a detail.
///
/// A handler may return the type as the `Err` of a `Result`, and `?` converts it into a `Problem` with the same
/// members.
///
/// # Attributes of a struct or a variant
/// | attribute | sets |
/// | --- | --- |
/// | `#[problem(status = 404)]`, `#[problem(status = StatusCode::NOT_FOUND)]` | the status; required |
/// | `title = "…"` | the summary that all problems of this type share; default: the reason phrase of the status |
/// | `type = "…"` | the URI of the problem type |
/// | `detail = "no user has the id {id}"` | the text for one occurrence, a format string over the fields; `{0}` in a tuple |
/// | `detail` | the same, from the `Display` text of the error |
/// | `#[problem(transparent)]` | the problem of the only field, which may be any error |
///
/// # Attributes of a field
/// | attribute | sets |
/// | --- | --- |
/// | `#[from]`, `#[problem(from)]` | the cause; `?` converts it into the variant |
/// | `#[source]`, `#[problem(source)]` | the cause; also set by the field name `source` |
/// | `#[problem(member)]`, `#[problem(member = "…")]` | a member of the problem with the serialized field |
///
/// A cause is logged with its sources. In production, the client does not receive it.
///
/// # Together with `std::error::Error`
/// The type may also derive `thiserror::Error`; the derive detects its `#[error(…)]` and leaves the conversion of a
/// `#[from]` to it. A type that implements `std::error::Error` in another way requires `#[problem(std_error)]`. The
/// error is then its own cause and is logged with its sources.
///
/// ```text
/// #[derive(Debug, thiserror::Error, Problem)]
/// enum OrderError {
///     #[error("no order has the id {0}")]
///     #[problem(status = 404, detail)]
///     NotFound(u64),
///     #[error("the warehouse does not respond")]
///     #[problem(status = 503)]
///     Warehouse(#[from] io::Error),
/// }
/// ```
///
/// Such a type keeps its status when `?` converts it into a `Problem`. A `BoxError` or an `anyhow::Error` in between
/// hides the status, and the response is a 500; convert with `Problem::from` first. The type does not implement
/// `Unpin`, which errors do not need.
#[proc_macro_derive(Problem, attributes(problem, from, source))]
pub fn problem(input: TokenStream) -> TokenStream {
    derive_problem::expand(input.into()).into()
}
