//! Routes: the items that the route attributes and `routes!` generate, and the table of an application.
//!
//! Route attributes such as `#[get("/users/{id}")]` keep the function unchanged and add a type of the same name that implements
//! [`Route`] and [`Handler`]. `routes![…]` makes [`Routes`] from such names and from other lists: the compiler sorts
//! their [`Definition`]s into a [`Table`] in static memory, or rejects them.

mod build;
#[cfg_attr(feature = "openapi", path = "route/descriptions.rs")]
#[cfg_attr(not(feature = "openapi"), path = "route/without_descriptions.rs")]
mod descriptions;
mod mount;

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;

pub(crate) use self::build::{EndpointBuilder, LayerBuilder};
pub use self::descriptions::Descriptions;
pub use self::mount::{Mount, Mounted, definitions as mount_definitions};
pub use crate::a_handler_is_a_function_outside_of_impl_and_adds_a_type_of_its_name;
pub use crate::cross_origin::CrossOrigin;
pub use conduit_route::{
    Definition, Disconnect, ParameterPlace, Part, Table, ToolName, require_names, require_one_body, require_prefixes,
    table,
};

use http::StatusCode;

use crate::endpoint::endpoint;
use crate::extract::FromRef;
use crate::layer::Middleware;
use crate::layer::erased::endpoint_wrapper;
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::Response;

/// A handler's place in the application: its method and path. The route attributes implement it.
#[diagnostic::on_unimplemented(
    message = "this is not a route: it has no attribute such as `#[get(\"/path\")]`",
    label = "not a route",
    note = "write `#[get(\"/path\")]` or another route attribute before the function; a list of routes is a constant with an upper-case name"
)]
pub trait Route {
    /// Method, path, and the source location of the handler.
    const DEFINITION: Definition;
}

/// Links between operations.
impl Operation {
    /// Adds a link from the response with this status to the operation of another handler, which has to be a route of the
    /// application. The values of its parameters are runtime expressions, such as `$response.body#/id` and `$request.path.id`, or
    /// constants (OpenAPI 3.1, "Link Object").
    pub fn link_to<H: Route>(&mut self, status: StatusCode, parameters: &[(&str, &str)]) -> &mut Self {
        self.link(status, H::DEFINITION.handler, parameters)
    }
}

/// The method and path that a route attribute names. The attributes implement it, and [`Route`] follows: so an error about a
/// type that is not a route does not list all handlers.
pub trait Attributed {
    /// Method, path, and the position of the handler in the source.
    const DEFINITION: Definition;
}

#[diagnostic::do_not_recommend]
impl<H: Attributed> Route for H {
    const DEFINITION: Definition = H::DEFINITION;
}

/// Defines the type that a route attribute adds to a handler. The compiler rejects the type in an `impl`, and next to a
/// module or type of the same name; its error contains the name of this macro.
#[macro_export]
#[doc(hidden)]
macro_rules! a_handler_is_a_function_outside_of_impl_and_adds_a_type_of_its_name {
    ($(#[$attribute:meta])* $visibility:vis $name:ident) => {
        $(#[$attribute])*
        #[allow(non_camel_case_types, missing_docs, unreachable_pub)]
        $visibility struct $name {}
    };
}

/// The type of an entry that is a function without a route attribute, for a precise compile error.
pub struct NotARoute;

/// Suppresses a second error: the compiler already reports that the entry is not a [`Route`].
#[diagnostic::do_not_recommend]
impl<S: 'static> Handler<S> for NotARoute {
    fn call(_: Request, _: Rc<S>) -> impl Future<Output = Response> + 'static {
        std::future::pending()
    }
}

/// A handler that works in an application whose state is `S`. The route attributes implement it for every state
/// that the handler's arguments can be taken from.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler in an application whose state is `{S}`",
    note = "write `#[get(\"/path\")]` or another route attribute before the function"
)]
pub trait Handler<S>: 'static {
    /// The requests of other origins that the handler takes. Default: all of them, for handlers without ambient extractors.
    const CROSS_ORIGIN: CrossOrigin = CrossOrigin::Harmless;

    /// Extracts the arguments from the request, calls the function, and converts its return value into a response.
    fn call(request: Request, state: Rc<S>) -> impl Future<Output = Response> + 'static;

    /// Adds the input of the arguments and the responses to the description of an operation. The default adds
    /// nothing.
    fn describe(operation: &mut Operation) {
        let _ = operation;
    }
}

/// One entry of [`Routes`]: a handler as a [`Leaf`], the `Routes` of another module or crate, or the beginning
/// ([`Layered`]) or the end ([`EndOfLayer`]) of the scope of a layer.
pub trait Node<S>: Sync {
    /// Makes the layers of this entry, in the order of the list; they are cloned for each worker.
    fn make(&self, making: &mut LayerBuilder);

    /// Makes the handlers of this entry ready to serve on a worker, in the order of the table.
    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder);

    /// Adds the descriptions of this entry's handlers, in the order of the table. The default adds none.
    fn describe(&self, descriptions: &mut Descriptions) {
        let _ = descriptions;
    }
}

/// A handler as an entry of [`Routes`].
pub struct Leaf<H>(PhantomData<fn() -> H>);

impl<H> Leaf<H> {
    /// The entry.
    pub const NEW: Self = Leaf(PhantomData);
}

impl<S: 'static, H: Handler<S>> Node<S> for Leaf<H> {
    fn make(&self, making: &mut LayerBuilder) {
        making.layers.push(making.open.clone());
    }

    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) {
        let state = Rc::clone(state);
        let endpoint = endpoint(move |request| H::call(request, Rc::clone(&state)));
        connecting.add(endpoint, H::CROSS_ORIGIN);
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        descriptions.add::<S, H>();
    }
}

impl<S: 'static, Part: FromRef<S> + 'static> Node<S> for Routes<Part> {
    fn make(&self, making: &mut LayerBuilder) {
        Routes::make(self, making);
    }

    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) {
        Routes::connect(self, &Rc::new(Part::from_ref(state)), connecting);
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        for node in self.nodes {
            node.describe(descriptions);
        }
    }
}

/// The start of the scope of a layer in a list, which [`EndOfLayer`] ends; `routes!` generates it.
///
/// A function makes the layer once, together with the application, so that any expression is possible.
pub struct Layered<F, L, M> {
    make: F,
    types: PhantomData<fn() -> (L, M)>,
}

impl<F: Fn() -> L, L, M> Layered<F, L, M> {
    /// The entry for the layer that `make` returns.
    pub const fn new(make: F) -> Self {
        Layered {
            make,
            types: PhantomData,
        }
    }
}

impl<S: 'static, F: Fn() -> L + Sync, L: Middleware<S, M>, M> Node<S> for Layered<F, L, M> {
    fn make(&self, making: &mut LayerBuilder) {
        const { L::LEAVES_THE_BODY };
        let layer = (self.make)();
        making.open.push(layer.name());
        making.made.push(Box::new(layer));
    }

    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) {
        let layer = connecting.take_made::<L>();
        let from = connecting.endpoints.len();
        connecting
            .open
            .push((endpoint_wrapper(layer, state), from, L::IS_AMBIENT));
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        descriptions.begin_layer(&self.make, Middleware::<S, M>::describe, L::IS_AMBIENT);
    }
}

/// The end of the scope of the innermost open layer; `routes!` generates it.
pub struct EndOfLayer;

impl<S> Node<S> for EndOfLayer {
    fn make(&self, making: &mut LayerBuilder) {
        making.open.pop();
    }

    fn connect(&self, _: &Rc<S>, connecting: &mut EndpointBuilder) {
        let (surround, from, is_ambient) = connecting.open.pop().expect("each layer has a beginning and an end");
        for (endpoint, cross_origin) in &mut connecting.endpoints[from..] {
            *endpoint = surround(Rc::clone(endpoint));
            *cross_origin = cross_origin.in_layer(is_ambient);
        }
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        descriptions.end_layer();
    }
}

/// The package of a list of routes, according to cargo.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its description; empty where it has none.
    pub description: &'static str,
    /// The module of the list: `app::users`.
    pub module: &'static str,
}

impl Package {
    /// A package from cargo's variables, if cargo builds it.
    pub const fn new(
        name: Option<&'static str>,
        version: Option<&'static str>,
        description: Option<&'static str>,
        module: &'static str,
    ) -> Self {
        Package {
            module,
            name: or(name, "application"),
            version: or(version, "0.0.0"),
            description: or(description, ""),
        }
    }
}

/// `Option::unwrap_or` is no `const fn`.
const fn or(text: Option<&'static str>, otherwise: &'static str) -> &'static str {
    match text {
        Some(text) => text,
        None => otherwise,
    }
}

/// The routes of an application, or of a module or crate that an application mounts; `routes!` makes them.
///
/// `S` is the state that the handlers take their `State` from. A list with another state can be
/// mounted where the application's state has that one as a part (see [`FromRef`]).
///
/// # Example
///
/// A module's list, mounted under a prefix:
///
/// ```
/// use conduit::prelude::*;
///
/// mod admin {
///     use conduit::prelude::*;
///
///     #[get("/users")]
///     pub async fn users() -> &'static str {
///         "all users"
///     }
///
///     pub const ROUTES: Routes = routes![users];
/// }
///
/// #[get("/")]
/// async fn home() -> &'static str {
///     "home"
/// }
///
/// let app = App::new(()).routes(routes![home, "/admin" => admin::ROUTES]);
/// ```
pub struct Routes<S: 'static = ()> {
    table: &'static Table,
    nodes: &'static [&'static dyn Node<S>],
    package: Package,
}

impl<S> Routes<S> {
    /// Routes from a table and an entry for each of its definitions or mounted lists, in the same order; `routes!`
    /// writes the call.
    pub const fn new(table: &'static Table, nodes: &'static [&'static dyn Node<S>], package: Package) -> Self {
        Routes { table, nodes, package }
    }

    /// Method, path, handler and place in the source of each route.
    pub const fn definitions(&self) -> &'static [Definition] {
        self.table.definitions()
    }

    /// The package that the list is written in.
    pub const fn package(&self) -> Package {
        self.package
    }

    /// The names of the layers around each route, the outermost first, in the order of [`definitions`](Self::definitions).
    /// The layers of the application, which are around all of it, are not among them.
    pub fn layers(&self) -> Vec<Vec<Cow<'static, str>>> {
        let mut making = LayerBuilder::default();
        self.make(&mut making);
        making.layers
    }
}

/// A list of routes whose handlers may take parameters of a prefix that another list mounts it under; made by
/// `nested_routes!`.
///
/// # Example
///
/// The comments of an article, with the article in the prefix:
///
/// ```
/// use conduit::prelude::*;
///
/// mod comments {
///     use conduit::prelude::*;
///
///     #[get("/{id}")]
///     async fn show(slug: Path<String>, id: Path<u64>) -> String {
///         format!("comment {id} on {slug}")
///     }
///
///     pub const ROUTES: NestedRoutes = nested_routes![show];
/// }
///
/// let app = App::new(()).routes(routes!["/articles/{slug}/comments" => comments::ROUTES]);
/// ```
pub struct NestedRoutes<S: 'static = ()>(Routes<S>);

impl<S> NestedRoutes<S> {
    /// As [`Routes::new`]; `nested_routes!` writes the call.
    pub const fn new(table: &'static Table, nodes: &'static [&'static dyn Node<S>], package: Package) -> Self {
        NestedRoutes(Routes::new(table, nodes, package))
    }

    /// Method, path, handler and position in the source of each route.
    pub const fn definitions(&self) -> &'static [Definition] {
        self.0.definitions()
    }
}

impl<S: 'static, Part: FromRef<S> + 'static> Node<S> for NestedRoutes<Part> {
    fn make(&self, making: &mut LayerBuilder) {
        Node::<S>::make(&self.0, making);
    }

    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) {
        Node::<S>::connect(&self.0, state, connecting);
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        Node::<S>::describe(&self.0, descriptions);
    }
}

impl<S> Clone for NestedRoutes<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for NestedRoutes<S> {}

impl<S> Clone for Routes<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Routes<S> {}

impl Package {
    /// The name of the crate, as it begins the paths of its types.
    #[cfg(feature = "openapi")]
    pub fn crate_name(&self) -> &'static str {
        self.module.split("::").next().unwrap_or(self.module)
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl<S> Routes<S> {
    /// The table that finds the route of a request.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    #[cfg(feature = "openapi")]
    pub fn describe_all(&self, descriptions: &mut Descriptions) {
        for node in self.nodes {
            node.describe(descriptions);
        }
    }

    pub(crate) fn make(&self, making: &mut LayerBuilder) {
        for node in self.nodes {
            node.make(making);
        }
    }

    pub(crate) fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) {
        for node in self.nodes {
            node.connect(state, connecting);
        }
    }
}
