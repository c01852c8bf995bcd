//! Layers without their types.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::marker::PhantomData;
use std::rc::Rc;

use super::next::MakeContinuation;
use super::{Middleware, Next};
use crate::endpoint::{Endpoint, endpoint};
use crate::openapi::Operation;

/// Puts a layer around an endpoint.
pub type EndpointWrapper = Box<dyn Fn(Rc<dyn Endpoint>) -> Rc<dyn Endpoint>>;

/// Wraps endpoints in this layer, which they share.
pub fn endpoint_wrapper<S: 'static, L: Middleware<S, M, V>, M, V>(layer: L, state: &Rc<S>) -> EndpointWrapper {
    let (layer, state) = (Rc::new(layer), Rc::clone(state));
    let memory = Rc::default();
    Box::new(move |inner| {
        let (layer, state, memory) = (Rc::clone(&layer), Rc::clone(&state), Rc::clone(&memory));
        endpoint(move |request| {
            let next = L::Next::new(Next::new(Rc::clone(&inner)), &memory);
            Rc::clone(&layer).handle(request, Rc::clone(&state), next)
        })
    })
}

/// A layer of the application, its type erased.
pub trait AnyLayer<S>: Send {
    /// Returns a copy for another worker.
    fn duplicate(&self) -> Box<dyn AnyLayer<S>>;
    /// The name in the table of routes.
    fn name(&self) -> Cow<'static, str>;
    /// The type of the layer.
    fn layer_type(&self) -> TypeId;
    /// Returns whether an argument is ambient.
    fn is_ambient(&self) -> bool;
    /// Adds the responses of the layer to an operation.
    fn describe(&self, operation: &mut Operation);
    /// Connects the layer on this thread.
    fn endpoint_wrapper(self: Box<Self>, state: &Rc<S>) -> EndpointWrapper;
}

struct TypedLayer<L, M>(L, PhantomData<fn() -> M>);

impl<S: 'static, L: Middleware<S, M>, M: 'static> AnyLayer<S> for TypedLayer<L, M> {
    fn duplicate(&self) -> Box<dyn AnyLayer<S>> {
        erase::<S, L, M>(self.0.clone())
    }

    fn name(&self) -> Cow<'static, str> {
        self.0.name()
    }

    fn layer_type(&self) -> TypeId {
        TypeId::of::<L>()
    }

    fn is_ambient(&self) -> bool {
        L::IS_AMBIENT
    }

    fn describe(&self, operation: &mut Operation) {
        self.0.describe(operation);
    }

    fn endpoint_wrapper(self: Box<Self>, state: &Rc<S>) -> EndpointWrapper {
        endpoint_wrapper::<S, L, M, ()>(self.0, state)
    }
}

/// A layer without its type.
pub fn erase<S: 'static, L: Middleware<S, M>, M: 'static>(layer: L) -> Box<dyn AnyLayer<S>> {
    Box::new(TypedLayer(layer, PhantomData))
}

/// A layer of a list, whose state only the list knows.
pub trait ErasedLayer: Send {
    /// Returns a copy for another worker.
    fn duplicate(&self) -> Box<dyn ErasedLayer>;
    /// The layer, for a downcast to its type.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<L: Clone + Send + 'static> ErasedLayer for L {
    fn duplicate(&self) -> Box<dyn ErasedLayer> {
        Box::new(self.clone())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}
