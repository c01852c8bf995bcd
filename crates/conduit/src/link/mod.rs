//! Links to routes, which the compiler checks.
//!
//! A route with the option `link` has a function that returns links to it. A changed path changes all links; a renamed handler,
//! another type of a parameter or an additional parameter is a compile error.
//!
//! ```
//! use conduit::prelude::*;
//!
//! #[get("/users/{name}/files/{*file}", link)]
//! async fn show(name: Path<String>, file: Path<String>) -> Html<String> {
//!     Html(format!(r#"<a href="{}">up</a> {file}"#, list::path(&name.0)))
//! }
//!
//! #[derive(serde::Deserialize, serde::Serialize, JsonSchema)]
//! struct Page {
//!     after: Option<u32>,
//! }
//!
//! #[get("/users/{name}", link)]
//! async fn list(name: Path<String>, page: Query<Page>) -> Html<String> {
//!     let next = list::path_and_query(&name.0, Page { after: Some(page.after.unwrap_or(0) + 20) });
//!     Html(format!(r#"<a href="{next}">more</a>"#))
//! }
//!
//! assert_eq!(show::path("ada", "notes/to do.txt"), "/users/ada/files/notes/to%20do.txt");
//! assert_eq!(list::path_and_query("ada", Page { after: Some(20) }), "/users/ada?after=20");
//! let app = App::new(()).routes(routes![show, list]);
//! ```
//!
//! # Prefixes
//!
//! The link has to contain the prefix of every list around the route, which the attribute of a handler cannot see. The option
//! names it, and `routes!` compares it with the list: a missing or outdated prefix is a compile error at the list. A list whose
//! prefix is in another list is written with `nested_routes!`. Parameters of the prefix are arguments of the link.
//!
//! ```
//! use conduit::prelude::*;
//!
//! mod comments {
//!     use conduit::prelude::*;
//!
//!     #[get("/{id}", link = "/articles/{slug}/comments")]
//!     pub async fn show(slug: Path<String>, id: Path<u64>) -> String {
//!         format!("comment {id} on {slug}")
//!     }
//!
//!     pub const ROUTES: NestedRoutes = nested_routes![show];
//! }
//!
//! assert_eq!(comments::show::path("rust", 7), "/articles/rust/comments/7");
//! let app = App::new(()).routes(routes!["/articles/{slug}/comments" => comments::ROUTES]);
//! ```
//!
//! An application that another server mounts under a prefix, with [`App::into_service`](crate::App::into_service), returns links
//! without that prefix.
//!
//! # Encoding
//!
//! Values are percent-encoded, except for letters, digits and `-._~`, so that a link needs no further escaping in HTML. `{*rest}`
//! keeps its slashes, unless the value has an empty segment, `.` or `..`: then they are encoded too, so that clients do not
//! resolve it.
//!
//! A value that makes its whole segment empty, `.` or `..` has no link: clients resolve such a segment (RFC 3986, section 5.2.4),
//! so the link would lead to another route; with an empty first segment, `//host` would be another site. `{*rest}` may be empty
//! after a prefix.
//!
//! # Panics
//!
//! The function panics for a value without a link, which results in a 500 if a handler calls it. Check client input first, for
//! example with a parameter type that accepts only valid names.
//!
//! A query has the form that [`Query`](crate::Query) reads: a list repeats its name, a struct in a struct has its fields in
//! brackets, `None` is omitted.

pub(crate) mod target;

pub use conduit_core::internal::field_pairs::FieldPairs;
use serde::Serialize;

/// A value for a parameter of the type `T` in a link: a `T` or a reference to one, and a `&str` for a `String`. The type derives
/// `serde::Serialize`; there is nothing to implement.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a link parameter of type `{T}`",
    label = "expected `{T}`, or a reference to one",
    note = "the type of the parameter must implement `serde::Serialize`: write `#[derive(serde::Serialize)]` on `{T}`"
)]
pub trait LinkValue<T: ?Sized> {
    /// Returns the strings of the value.
    ///
    /// # Panics
    ///
    /// Panics if the value is not a string, a number, a struct of them, or a similar type that a path or a query can
    /// contain.
    fn pairs(&self) -> FieldPairs;
}

impl<T: Serialize> LinkValue<T> for T {
    #[track_caller]
    fn pairs(&self) -> FieldPairs {
        pairs_of(self)
    }
}

// Templates pass references to the values of a page; loops over references add another one.
macro_rules! references {
    ($($reference:tt)*) => {
        #[diagnostic::do_not_recommend]
        impl<T: Serialize> LinkValue<T> for &$($reference)* T {
            #[track_caller]
            fn pairs(&self) -> FieldPairs {
                pairs_of(self)
            }
        }

        #[diagnostic::do_not_recommend]
        impl LinkValue<String> for &$($reference)* str {
            fn pairs(&self) -> FieldPairs {
                pairs_of(self)
            }
        }
    };
}

references!();
references!(&);
references!(& &);

/// The strings of a value.
#[track_caller]
pub(crate) fn pairs_of<T: Serialize + ?Sized>(value: &T) -> FieldPairs {
    match FieldPairs::of(value) {
        Ok(pairs) => pairs,
        Err(error) => panic!("a link cannot contain this value: {error}"),
    }
}
