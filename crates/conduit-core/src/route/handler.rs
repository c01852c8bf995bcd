//! The traits of handlers, which the route attributes implement.

use std::rc::Rc;

use conduit_route::Definition;
use http::StatusCode;

use crate::cross_origin::CrossOrigin;
use crate::endpoint::{CallSlot, ServingFuture};
use crate::openapi::Operation;

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
impl<S: 'static, V: 'static> Handler<S, V, ()> for NotARoute {
    fn serve(_: Rc<S>, _: Rc<CallSlot>) -> ServingFuture {
        Box::pin(std::future::pending())
    }
}

/// A handler that works in an application whose state is `S`, inside of layers that provide the values `V`. The route
/// attributes implement it for every state and all values that the handler's arguments can be taken from; `M` are the
/// markers of the arguments, which the compiler infers.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler in an application whose state is `{S}`",
    note = "write `#[get(\"/path\")]` or another route attribute before the function"
)]
pub trait Handler<S, V, M>: 'static {
    /// The requests of other origins that the handler takes. Default: all of them, for handlers without ambient extractors. The
    /// evaluation fails if two arguments take the body.
    const CROSS_ORIGIN: CrossOrigin = CrossOrigin::Harmless;

    /// Makes the future that extracts the arguments from each request, calls the function, and converts its return value into the
    /// response.
    fn serve(state: Rc<S>, call: Rc<CallSlot>) -> ServingFuture;

    /// Adds the input of the arguments and the responses to the description of an operation. The default adds
    /// nothing.
    fn describe(operation: &mut Operation) {
        let _ = operation;
    }
}
