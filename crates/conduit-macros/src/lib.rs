//! The attributes and macros of the Conduit web framework; use them through its crate, `conduit`.
//!
//! - `handler`: `#[get]` and the other route attributes
//! - `arguments`: the assignment of the path's parameters to arguments
//! - `describe`: the description of a handler for the OpenAPI document
//! - `list`: `routes!` and `nested_routes!`
//! - `derive`: `PathParams` and `FromRef`; `derive_problem`: `Problem`
#![forbid(unsafe_code)]

mod arguments;
mod derive;
mod derive_problem;
mod describe;
mod handler;
mod list;

use proc_macro::TokenStream;

macro_rules! method_attributes {
    ($($name:ident $method:literal)*) => {$(
        #[doc = concat!("Makes a function the handler of `", $method, "` requests for a path.")]
        ///
        /// The same as [`macro@route`] with this method; see there for the details.
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
}

/// Makes a function the handler of one method's requests for a path: `#[route(PROPFIND, "/files/{*path}")]`.
///
/// The function, `async` or not, is unchanged. The attribute adds a type of the same name, which
/// [`routes!`](macro@routes) takes. Each argument is extracted from the request: a `Path` by the parameters
/// of the path, any other through `FromRequest`. `IntoResponse` makes the return value a response.
///
/// # Path arguments
/// | argument | takes |
/// | --- | --- |
/// | `id: Path<u64>`, `Path(id): Path<u64>` | the parameter `{id}`; `_id` for an unused one |
/// | `Path((a, b)): Path<(A, B)>` | the parameters `{a}` and `{b}` |
/// | `all: Path<(A, B)>` | all parameters, from left to right |
/// | `all: Path<T>` with `T: PathParams` | all parameters, by the names of the struct's fields |
///
/// Each of them may be in an `Option` or a `Result`.
///
/// # Client disconnects
/// An argument after the path sets the treatment of an unfinished handler when its client disconnects: with
/// `#[get("/report", disconnect = "abort")]` the handler is dropped, with `disconnect = "finish"` it runs to its end
/// and its response is discarded. The default is that of `App::disconnect`, which is to finish unless
/// set.
///
/// # Errors
/// Compile errors are: an invalid path, a parameter of the path without an argument, an argument for a
/// parameter that the path does not have, and two arguments that take the body.
#[proc_macro_attribute]
pub fn route(arguments: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand_route(arguments.into(), item.into()).into()
}

/// A list of routes, for `App::routes` or as a constant for other lists.
///
/// ```text
/// pub const ROUTES: Routes<Store> = routes![
///     show, users::create,            // handlers
///     health::ROUTES,                 // all routes of another list: its name is in upper case
///     "/admin" => admin::ROUTES,      // the same, each path with a prefix
///     "/v1" => [list, find],          // handlers with a prefix
///     #[layer(auth)] change,          // a handler inside of a layer
///     #[layer(auth, Timeout::new(LONG))] "/jobs" => jobs::ROUTES, // a list inside of two: `auth` is the outer
///     #[layer(auth)] [rename, remove], // handlers inside of a layer they share
///     "/articles/{slug}/comments" => [list, add], // a prefix with a parameter, which handlers may take
///     #[cfg(debug_assertions)] inspect, // only where the condition holds
/// ];
/// ```
///
/// A layer is any expression, which is evaluated once, when the application is made; each worker gets a clone.
///
/// A prefix starts with a slash, does not end in one, and has no `{*rest}`. A route `/` under a prefix is the prefix itself.
/// A handler may take a parameter of the prefix like one of its path, by an argument of the same name. Use
/// [`nested_routes!`](macro@nested_routes) for a list whose handlers take parameters of a prefix in another list.
///
/// # Errors
/// It is a compile error if two routes of one method match the same paths, wherever they come from, if a path with its
/// prefixes has two parameters of one name, and if a handler takes a parameter that neither its path nor a prefix has.
#[proc_macro]
pub fn routes(input: TokenStream) -> TokenStream {
    list::expand(list::List::Routes, input.into()).into()
}

/// A list of routes for a prefix in another list, whose handlers may take the parameters of that prefix.
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
/// The entries are those of [`routes!`](macro@routes). `App::routes` takes only a list in which each parameter that a handler
/// takes is in its path, and `routes!` checks that.
#[proc_macro]
pub fn nested_routes(input: TokenStream) -> TokenStream {
    list::expand(list::List::Nested, input.into()).into()
}

/// Makes the names of a struct's fields available, so that it can take all parameters of a path.
///
/// A field's name is the parameter's; `#[serde(rename = "…")]` changes it as for serde, and
/// `#[serde(skip)]` leaves the field out.
#[proc_macro_derive(PathParams, attributes(serde))]
pub fn path_params(input: TokenStream) -> TokenStream {
    derive::path_params(input.into()).into()
}

/// Makes each field of a state available by its type: implements `FromRef<State>` for it, by cloning.
///
/// A field with `#[from_ref(skip)]` is left out; so must all but one of the fields of the same type be.
#[proc_macro_derive(FromRef, attributes(from_ref))]
pub fn from_ref(input: TokenStream) -> TokenStream {
    derive::from_ref(input.into()).into()
}

/// Makes an error type into problem details (RFC 9457): each variant has its status, title and detail.
///
/// A handler may then return it as the `Err` of a `Result`, and `?` turns it into a `Problem` with the same members.
///
/// # Attributes of a struct or a variant
/// | attribute | sets |
/// | --- | --- |
/// | `#[problem(status = 404)]`, `#[problem(status = StatusCode::NOT_FOUND)]` | the status; required |
/// | `title = "…"` | the text that all problems of the kind share; by default the status's reason phrase |
/// | `type = "…"` | the URI of the kind of problem |
/// | `detail = "no user has the id {id}"` | the text of this occurrence, a format string over the fields, `{0}` in a tuple |
/// | `detail` | the same, as the error displays itself |
/// | `#[problem(transparent)]` | the problem is that of the only field, any error |
///
/// # Attributes of a field
/// | attribute | sets |
/// | --- | --- |
/// | `#[from]`, `#[problem(from)]` | the cause, which `?` makes the variant from |
/// | `#[source]`, `#[problem(source)]` | the cause; so is a field named `source` |
/// | `#[problem(member)]`, `#[problem(member = "…")]` | a member of the problem, as serde writes the field |
///
/// A cause is logged with its sources. In production the client does not see it.
///
/// # Together with `std::error::Error`
/// The type may derive `thiserror::Error` too; the derive sees its `#[error(…)]`, and leaves the conversion of a `#[from]`
/// to it. A type that implements `std::error::Error` in another way has `#[problem(std_error)]`. The error then is its own
/// cause, and is logged with its sources.
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
/// Such a type keeps its status where `?` turns it into a `Problem`. A `BoxError` or an `anyhow::Error` in between hides it,
/// and the response is a 500: convert before, with `Problem::from`. The type is not `Unpin`, which no error needs.
#[proc_macro_derive(Problem, attributes(problem, from, source))]
pub fn problem(input: TokenStream) -> TokenStream {
    derive_problem::expand(input.into()).into()
}
