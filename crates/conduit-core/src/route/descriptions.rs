//! The descriptions of an application's handlers.

use std::fmt;
use std::rc::Rc;

use super::Handler;
use crate::openapi::Operation;

/// The descriptions of an application's handlers, in the order of its table.
#[derive(Default)]
pub struct Descriptions {
    handlers: Vec<Description>,
    /// The layers around the next handler, the outermost first.
    open: Vec<Layer>,
}

/// The description functions of a handler and of its layers, the outermost first.
struct Description {
    handler: fn(&mut Operation),
    layers: Vec<Layer>,
}

/// The description function of a layer.
type Layer = Rc<dyn Fn(&mut Operation)>;

impl Descriptions {
    /// Adds a handler's.
    pub fn add<S, H: Handler<S>>(&mut self) {
        self.add_described(H::describe);
    }

    /// Adds a handler by its description.
    pub(super) fn add_described(&mut self, handler: fn(&mut Operation)) {
        self.handlers.push(Description {
            handler,
            layers: self.open.clone(),
        });
    }

    /// Begins the scope of the layer that `make` makes.
    pub(super) fn begin_layer<L: 'static>(&mut self, make: impl FnOnce() -> L, describe: fn(&L, &mut Operation)) {
        let layer = make();
        self.open.push(Rc::new(move |operation| describe(&layer, operation)));
    }

    /// Ends the scope of the innermost open layer.
    pub(super) fn end_layer(&mut self) {
        self.open.pop();
    }

    /// The number of handlers.
    #[doc(hidden)]
    pub fn handler_count(&self) -> usize {
        self.handlers.len()
    }

    /// Adds the descriptions of a handler and of its layers, from the innermost on.
    #[doc(hidden)]
    pub fn describe(&self, index: usize, operation: &mut Operation) {
        let description = &self.handlers[index];
        (description.handler)(operation);
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
