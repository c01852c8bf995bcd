//! Ready-made layers that read a value of an outer layer.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use super::{Layer, Middleware, Next};
use crate::extract::{FromLayer, Provides};
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::Response;

/// A layer that reads a `T` of a layer outside of it, made by [`RateLimit::by_provided`](super::RateLimit::by_provided) and
/// [`Idempotency::owned_by_provided`](super::Idempotency::owned_by_provided). Without such a layer it does not compile.
pub struct Reading<T, L> {
    layer: L,
    value: PhantomData<fn() -> T>,
}

impl<T, L> Reading<T, L> {
    pub(super) fn new(layer: L) -> Self {
        Reading {
            layer,
            value: PhantomData,
        }
    }
}

impl<T, L: Clone> Clone for Reading<T, L> {
    fn clone(&self) -> Self {
        Reading::new(self.layer.clone())
    }
}

impl<T, L: fmt::Debug> fmt::Debug for Reading<T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.layer.fmt(f)
    }
}

impl<S, V, I, T, L> Middleware<S, FromLayer<V, I>, V> for Reading<T, L>
where
    S: 'static,
    V: Provides<T, I>,
    I: 'static,
    T: 'static,
    L: Layer,
{
    type Next = Next;

    async fn handle(self: Rc<Self>, request: Request, _: Rc<S>, next: Next) -> Response {
        self.layer.call(request, next).await
    }

    fn name(&self) -> Cow<'static, str> {
        self.layer.name()
    }

    fn describe(&self, operation: &mut Operation) {
        self.layer.describe(operation);
    }
}
