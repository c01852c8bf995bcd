//! Routes: the items that the route attributes and `routes!` generate, and the table of an application.
//!
//! Route attributes such as `#[get("/users/{id}")]` keep the function unchanged and add a type of the same name that implements
//! [`Route`] and [`Handler`]. `routes![…]` makes [`Routes`] from such names and from other lists: the compiler sorts
//! their [`Definition`]s into a [`Table`] in static memory, or rejects them.

mod build;
#[cfg_attr(feature = "openapi", path = "route/descriptions.rs")]
#[cfg_attr(not(feature = "openapi"), path = "route/without_descriptions.rs")]
mod descriptions;
mod handler;
mod mount;
mod respond;

use std::borrow::Cow;
use std::marker::PhantomData;
use std::rc::Rc;

pub(crate) use self::build::{EndpointBuilder, LayerBuilder};
pub use self::descriptions::Descriptions;
pub use self::handler::{Attributed, Handler, NotARoute, Route};
pub use self::mount::{Mount, MountEntry, Mounted, definitions as mount_definitions};
pub use self::respond::*;
pub use crate::a_handler_is_a_function_outside_of_impl_and_adds_a_type_of_its_name;
pub use crate::cross_origin::CrossOrigin;
pub use conduit_route::{
    Definition, Disconnect, ParameterPlace, Part, Table, ToolName, require_last, require_names, require_one_body,
    require_prefixes, table,
};

use crate::endpoint::handler_endpoint;
pub use crate::endpoint::{CallSlot, ServingFuture};
use crate::extract::FromRef;
use crate::layer::erased::{EndpointWrapper, endpoint_wrapper};
use crate::layer::{Continuation, Middleware};
pub use crate::provided::MarkerIn;
use crate::provided::ProvidesAll;

/// One entry of [`Routes`]: a handler as a [`Leaf`], the `Routes` of another module or crate ([`Included`]), or the scope of a
/// layer ([`Scope`]). `V` are the values that the layers around it provide.
pub trait Node<S, V>: Sync {
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
pub struct Leaf<H, M>(PhantomData<fn() -> (H, M)>);

impl<H, M> Leaf<H, M> {
    /// The entry.
    pub const NEW: Self = Leaf(PhantomData);
}

impl<S: 'static, V: 'static, M: 'static, H: Handler<S, V, M>> Node<S, V> for Leaf<H, M> {
    fn make(&self, making: &mut LayerBuilder) {
        making.layers.push(making.open.clone());
    }

    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) {
        connecting.add(handler_endpoint(state, H::serve), H::CROSS_ORIGIN);
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        descriptions.add::<S, V, M, H>();
    }
}

/// A list of routes: [`Routes`] or [`NestedRoutes`].
pub trait RouteList: Copy {
    /// The state that its handlers take their `State` from.
    type State: 'static;
    /// The values that its handlers take from layers around it.
    type Values: 'static;

    /// Returns the routes.
    fn routes(self) -> Routes<Self::State, Self::Values>;
}

impl<S, V> RouteList for Routes<S, V> {
    type State = S;
    type Values = V;

    fn routes(self) -> Routes<S, V> {
        self
    }
}

/// A list of routes as an entry of another list. `M` are the places of the values that it needs.
pub struct Included<L, M> {
    list: L,
    places: PhantomData<fn() -> M>,
}

impl<L: Copy, M> Included<L, M> {
    /// The entry.
    pub const fn new(list: L) -> Self {
        Included {
            list,
            places: PhantomData,
        }
    }
}

impl<S, V, L, M> Node<S, V> for Included<L, M>
where
    S: 'static,
    L: RouteList<State: FromRef<S>> + Sync,
    V: ProvidesAll<L::Values, M>,
{
    fn make(&self, making: &mut LayerBuilder) {
        self.list.routes().make(making);
    }

    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) {
        let part = L::State::from_ref(state);
        self.list.routes().connect(&Rc::new(part), connecting);
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        self.list.routes().describe_all(descriptions);
    }
}

/// A layer of a list; `routes!` generates it.
///
/// A function makes the layer once, together with the application, so that any expression is possible.
pub struct Layered<F, L, M> {
    make: F,
    types: PhantomData<fn() -> (L, M)>,
}

impl<F: Fn() -> L, L, M> Layered<F, L, M> {
    /// The layer that `make` returns.
    pub const fn new(make: F) -> Self {
        Layered {
            make,
            types: PhantomData,
        }
    }
}

/// A layer of a list inside of layers with the values `V`. `W` are these values and its own.
pub trait ScopeLayer<S, V, W>: Sync {
    /// Makes the layer, which is cloned for each worker.
    fn make(&self, making: &mut LayerBuilder);

    /// Returns a function that puts the layer around an endpoint.
    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) -> EndpointWrapper;

    /// Returns whether an extractor of the layer is ambient.
    fn is_ambient(&self) -> bool;

    /// Begins the scope of the layer.
    fn describe(&self, descriptions: &mut Descriptions);
}

impl<S, V, W, F, L, M> ScopeLayer<S, V, W> for Layered<F, L, M>
where
    S: 'static,
    V: 'static,
    F: Fn() -> L + Sync,
    L: Middleware<S, M, V>,
    L::Next: Continuation<Values<V> = W>,
{
    fn make(&self, making: &mut LayerBuilder) {
        const { L::LEAVES_THE_BODY };
        let layer = (self.make)();
        making.open.push(layer.name());
        making.made.push(Box::new(layer));
    }

    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) -> EndpointWrapper {
        endpoint_wrapper(connecting.take_made::<L>(), state)
    }

    fn is_ambient(&self) -> bool {
        L::IS_AMBIENT
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        descriptions.begin_layer(&self.make, Middleware::<S, M, V>::describe, L::IS_AMBIENT);
    }
}

/// A layer and the entries inside of it.
pub struct Scope<S: 'static, V: 'static, W: 'static> {
    layer: &'static dyn ScopeLayer<S, V, W>,
    nodes: &'static [&'static dyn Node<S, W>],
}

impl<S, V, W> Scope<S, V, W> {
    /// The scope of a layer.
    pub const fn new(layer: &'static dyn ScopeLayer<S, V, W>, nodes: &'static [&'static dyn Node<S, W>]) -> Self {
        Scope { layer, nodes }
    }
}

impl<S, V, W> Node<S, V> for Scope<S, V, W> {
    fn make(&self, making: &mut LayerBuilder) {
        self.layer.make(making);
        for node in self.nodes {
            node.make(making);
        }
        making.open.pop();
    }

    fn connect(&self, state: &Rc<S>, connecting: &mut EndpointBuilder) {
        let surround = self.layer.connect(state, connecting);
        let first = connecting.endpoints.len();
        for node in self.nodes {
            node.connect(state, connecting);
        }
        for (endpoint, cross_origin) in &mut connecting.endpoints[first..] {
            *endpoint = surround(Rc::clone(endpoint));
            *cross_origin = cross_origin.in_layer(self.layer.is_ambient());
        }
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        self.layer.describe(descriptions);
        for node in self.nodes {
            node.describe(descriptions);
        }
        descriptions.end_layer();
    }
}

/// A scope as an entry; `routes!` writes the call. Its return type passes the state of the list on to the entries inside.
/// It has no bounds, from which the compiler would infer another state where the state lacks a part.
pub const fn scope<S, V, W>(scope: &'static Scope<S, V, W>) -> &'static dyn Node<S, V> {
    scope
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
/// `V` are the values that the handlers take from layers around the list: see [`With`](crate::extract::With).
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
pub struct Routes<S: 'static = (), V: 'static = ()> {
    table: &'static Table,
    nodes: &'static [&'static dyn Node<S, V>],
    package: Package,
}

impl<S, V> Routes<S, V> {
    /// Routes from a table and an entry for each of its definitions or mounted lists, in the same order; `routes!`
    /// writes the call.
    pub const fn new(table: &'static Table, nodes: &'static [&'static dyn Node<S, V>], package: Package) -> Self {
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
pub struct NestedRoutes<S: 'static = (), V: 'static = ()>(Routes<S, V>);

impl<S, V> NestedRoutes<S, V> {
    /// Creates the list as [`Routes::new`] does; `nested_routes!` writes the call.
    pub const fn new(table: &'static Table, nodes: &'static [&'static dyn Node<S, V>], package: Package) -> Self {
        NestedRoutes(Routes::new(table, nodes, package))
    }

    /// Method, path, handler and position in the source of each route.
    pub const fn definitions(&self) -> &'static [Definition] {
        self.0.definitions()
    }
}

impl<S, V> RouteList for NestedRoutes<S, V> {
    type State = S;
    type Values = V;

    fn routes(self) -> Routes<S, V> {
        self.0
    }
}

impl<S, V> Clone for NestedRoutes<S, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, V> Copy for NestedRoutes<S, V> {}

impl<S, V> Clone for Routes<S, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, V> Copy for Routes<S, V> {}

impl Package {
    /// The name of the crate, as it begins the paths of its types.
    #[cfg(feature = "openapi")]
    pub fn crate_name(&self) -> &'static str {
        self.module.split("::").next().unwrap_or(self.module)
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl<S, V> Routes<S, V> {
    /// The table that finds the route of a request.
    pub fn table(&self) -> &'static Table {
        self.table
    }

    /// Adds the descriptions of all routes.
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
