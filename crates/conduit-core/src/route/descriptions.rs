//! The descriptions of an application's handlers.

use std::fmt;
use std::rc::Rc;

use http::StatusCode;

use super::handler::Handler;
use crate::cross_origin::CrossOrigin;
use crate::method::is_safe;
use crate::openapi::Operation;

/// The descriptions of an application's handlers, in the order of its table.
#[derive(Default)]
pub struct Descriptions {
    handlers: Vec<Description>,
    /// The layers around the next handler, the outermost first, and whether their extractors are ambient.
    open: Vec<(LayerDescription, bool)>,
    /// A layer of the application has ambient extractors.
    is_ambient: bool,
}

/// The description functions of a handler and of its layers, the outermost first.
struct Description {
    handler: fn(&mut Operation),
    layers: Vec<LayerDescription>,
    cross_origin: CrossOrigin,
}

/// Adds the rejection of requests of other origins to an operation with an unsafe method.
fn describe_rejection(operation: &mut Operation) {
    if !is_safe(operation.method()) {
        operation.problem(
            StatusCode::FORBIDDEN,
            "The request comes from a page of another origin, which may not act for the user.",
        );
    }
}

/// The description function of a layer.
type LayerDescription = Rc<dyn Fn(&mut Operation)>;

impl Descriptions {
    /// Returns the descriptions of an application without handlers. `is_ambient` is set if one of its layers has ambient
    /// extractors.
    pub fn in_application(is_ambient: bool) -> Self {
        Descriptions {
            is_ambient,
            ..Descriptions::default()
        }
    }

    /// Adds the description of a handler.
    pub fn add<S, V, M, H: Handler<S, V, M>>(&mut self) {
        self.push(H::describe, H::CROSS_ORIGIN);
    }

    /// Adds a handler by its description.
    pub(super) fn add_described(&mut self, handler: fn(&mut Operation)) {
        self.push(handler, CrossOrigin::Harmless);
    }

    fn push(&mut self, handler: fn(&mut Operation), cross_origin: CrossOrigin) {
        let is_ambient = self.is_ambient || self.open.iter().any(|(_, is_ambient)| *is_ambient);
        self.handlers.push(Description {
            handler,
            layers: self.open.iter().map(|(layer, _)| Rc::clone(layer)).collect(),
            cross_origin: cross_origin.in_layer(is_ambient),
        });
    }

    /// Begins the scope of the layer that `make` makes.
    pub(super) fn begin_layer<L: 'static>(
        &mut self,
        make: impl FnOnce() -> L,
        describe: fn(&L, &mut Operation),
        is_ambient: bool,
    ) {
        let layer = make();
        let layer: LayerDescription = Rc::new(move |operation| describe(&layer, operation));
        self.open.push((layer, is_ambient));
    }

    /// Ends the scope of the innermost open layer.
    pub(super) fn end_layer(&mut self) {
        self.open.pop();
    }

    /// The number of handlers.
    pub fn handler_count(&self) -> usize {
        self.handlers.len()
    }

    /// Adds the descriptions of a handler and of its layers, from the innermost on.
    pub fn describe(&self, index: usize, operation: &mut Operation) {
        let description = &self.handlers[index];
        (description.handler)(operation);
        if description.cross_origin == CrossOrigin::Rejected {
            describe_rejection(operation);
        }
        for layer in description.layers.iter().rev() {
            layer(operation);
        }
    }
}

impl fmt::Debug for Descriptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptions")
            .field("handlers", &self.handlers.len())
            .finish_non_exhaustive()
    }
}
