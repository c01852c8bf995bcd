//! Path patterns, conflict rules and a route table that the compiler builds.
//!
//! A [`Definition`] is one route: a method and a path such as `/users/{id}`, in the grammar of [`Pattern`]. [`table!`]
//! concatenates lists of routes, each with an optional prefix, and builds a [`Table`] in static memory at compile time.
//! An invalid path, or two routes that match the same paths, are compile errors that name the places.
//!
//! ```
//! use conduit_route::{Definition, Miss, Parameters, Part, Table, table};
//!
//! const SHOW: Definition =
//!     Definition { method: "GET", path: "/users/{id}", handler: "show", file: file!(), line: line!(), disconnect: None, of_prefix: &[], link: None, tool: None };
//! const FILES: &[Definition] =
//!     &[Definition { method: "GET", path: "/{*rest}", handler: "files", file: file!(), line: line!(), disconnect: None, of_prefix: &[], link: None, tool: None }];
//! const TABLE: &Table = table![Part::Route(SHOW), Part::Mount { prefix: "/files", definitions: FILES }];
//!
//! let mut parameters = Parameters::new();
//! assert_eq!(TABLE.find("GET", "/users/7", &mut parameters), Ok(0));
//! assert_eq!(parameters.get(0, "/users/7"), Some("7"));
//! assert_eq!(TABLE.find("GET", "/files/css/main.css", &mut parameters), Ok(1));
//! assert_eq!(parameters.get(0, "/files/css/main.css"), Some("css/main.css"));
//! assert_eq!(TABLE.find("PUT", "/users/7", &mut parameters), Err(Miss::MethodNotAllowed));
//! assert_eq!(TABLE.allow("/users/7"), ["GET", "HEAD"]);
//! ```
//!
//! - `pattern`: the grammar of a path
//! - `definition`: a route, and the concatenation of lists of routes
//! - `draft`: construction of a table
//! - `table`: matching
//! - `names`, `body`: checks of a handler's arguments
//! - `key`: a segment as three integers
//! - `text`: messages in `const` evaluation
#![forbid(unsafe_code)]

mod body;
mod definition;
mod draft;
mod key;
mod names;
mod pattern;
mod table;
mod text;
mod tool;

pub use body::{require_last, require_one_body};
pub use definition::{Definition, Disconnect, ParameterPlace, Part, ToolName, count, flatten, join, joined_bytes};
pub use draft::{Draft, ExactSize, Size};
pub use names::{require_names, require_prefixes};
pub use pattern::{PARAMETER_LIMIT, PATH_LIMIT, PathError, Pattern, Segment, Segments};
pub use table::{Miss, Parameters, Storage, Table};

/// Builds a table in static memory from a list of constant [`Part`]s: `&'static Table`.
///
/// [`Table::find`] returns an index into the list. An error in a route is a compile error.
///
/// ```compile_fail
/// use conduit_route::{Definition, Part, table};
///
/// const fn get(path: &'static str, handler: &'static str) -> Part {
///     Part::Route(Definition { method: "GET", path, handler, file: file!(), line: line!(), disconnect: None, of_prefix: &[], link: None, tool: None })
/// }
/// // route conflict: GET /users/{id} (show, src/lib.rs:4) and GET /users/{name} (find, src/lib.rs:4)
/// // match the same paths: remove one or change its path
/// let table = table![get("/users/{id}", "show"), get("/users/{name}", "find")];
/// ```
#[macro_export]
macro_rules! table {
    ($($part:expr),* $(,)?) => {{
        // Constants are not hygienic: the user may have a constant `TABLE` or a type `u8`.
        const __PARTS: &[$crate::Part] = &[$($part),*];
        const __JOINED: &[::core::primitive::u8] = &$crate::join::<{ $crate::joined_bytes(__PARTS) }>(__PARTS);
        const __DEFINITIONS: &[$crate::Definition] = &$crate::flatten::<{ $crate::count(__PARTS) }>(__PARTS, __JOINED);
        const __SIZE: $crate::Size = $crate::Size::of(__DEFINITIONS);
        #[allow(long_running_const_eval)]
        const __DRAFT: $crate::Draft<{ __SIZE.routes }, { __SIZE.nodes }, { __SIZE.slots }> = $crate::Draft::new(__DEFINITIONS);
        const __EXACT: $crate::ExactSize = __DRAFT.size();
        #[allow(long_running_const_eval)]
        const __STORAGE: &$crate::Storage<
            { __EXACT.nodes }, { __EXACT.slots }, { __EXACT.literals }, { __EXACT.alternatives }, { __SIZE.routes },
        > = &__DRAFT.finish();
        const __TABLE: &$crate::Table = {
            __DRAFT.accept(__DEFINITIONS);
            &$crate::Table::new(__DEFINITIONS, __STORAGE)
        };
        __TABLE
    }};
}

/// The code of the README, compiled as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
