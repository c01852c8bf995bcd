//! Ready-made handlers for all paths below a prefix, as entries of `routes!`.

use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;

use conduit_route::Definition;

use super::{CrossOrigin, Descriptions, EndpointBuilder, LayerBuilder, Node};
use crate::endpoint::endpoint;
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::Response;

/// A handler of `GET` requests for all paths below a prefix, such as `Files`; in `routes!` it is an expression.
///
/// It is made once, together with the application, and cloned for each worker.
#[diagnostic::on_unimplemented(
    message = "this expression is not an entry of a list of routes",
    label = "not `Files`",
    note = "an entry is the name of a handler or of a list, or an expression such as `Files::new(\"public\")`; write a handler without `(…)`"
)]
pub trait Mount: Clone + Send + 'static {
    /// The name of the handler in the table of routes.
    const HANDLER: &'static str;

    /// The response to a request of this entry.
    fn call(self: Rc<Self>, request: Request, entry: MountEntry) -> impl Future<Output = Response> + 'static;

    /// Adds its responses to the description of an operation.
    fn describe(operation: &mut Operation);
}

/// A route of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountEntry {
    /// The prefix with a slash at the end.
    Slash,
    /// The paths below the prefix: the parameter `path` is the part after its slash.
    Below,
    /// The prefix without a slash at the end.
    Prefix,
}

/// The entries in the order in which `routes!` writes their paths. A mount without a prefix has no [`MountEntry::Prefix`].
const ENTRIES: [MountEntry; 3] = [MountEntry::Slash, MountEntry::Below, MountEntry::Prefix];

/// The routes of a mount at these paths. `make` is not called; it names the type.
pub const fn definitions<M: Mount, const PATHS: usize>(
    _make: &impl Fn() -> M,
    paths: [&'static str; PATHS],
    file: &'static str,
    line: u32,
) -> [Definition; PATHS] {
    let mut definitions = [Definition {
        method: "GET",
        path: "",
        handler: M::HANDLER,
        file,
        line,
        disconnect: None,
        of_prefix: &[],
        link: None,
        tool: None,
    }; PATHS];
    let mut place = 0;
    while place < PATHS {
        definitions[place].path = paths[place];
        place += 1;
    }
    definitions
}

/// A [`Mount`] as an entry of a list; `routes!` writes it.
pub struct Mounted<F, M> {
    make: F,
    routes: usize,
    types: PhantomData<fn() -> M>,
}

impl<F: Fn() -> M, M: Mount> Mounted<F, M> {
    /// The entry with this number of routes.
    pub const fn new(make: F, routes: usize) -> Self {
        Mounted {
            make,
            routes,
            types: PhantomData,
        }
    }
}

impl<S: 'static, V, F: Fn() -> M + Sync, M: Mount> Node<S, V> for Mounted<F, M> {
    fn make(&self, making: &mut LayerBuilder) {
        making.add_mount(Box::new((self.make)()), self.routes);
    }

    fn connect(&self, _: &Rc<S>, connecting: &mut EndpointBuilder) {
        let mount = Rc::new(connecting.take_made::<M>());
        for entry in ENTRIES.into_iter().take(self.routes) {
            let mount = Rc::clone(&mount);
            let endpoint = endpoint(move |request| Rc::clone(&mount).call(request, entry));
            connecting.add(endpoint, CrossOrigin::Harmless);
        }
    }

    fn describe(&self, descriptions: &mut Descriptions) {
        for _ in 0..self.routes {
            descriptions.add_described(M::describe);
        }
    }
}
