//! The return type of a handler, also where it cannot be named.

use std::any::type_name;
use std::future::Future;
use std::marker::PhantomData;

use super::IntoResponse;
use crate::openapi::Operation;

/// The type that a handler returns, found by inference, so that `impl IntoResponse` is described too. The route
/// attributes write the calls.
#[derive(Debug)]
pub struct Returned<R>(PhantomData<fn() -> R>);

impl<R> Returned<R> {
    /// Infers the type that the handler returns; the closure is never called.
    pub fn by(_: impl FnOnce() -> R) -> Self {
        Returned(PhantomData)
    }

    /// Infers the type that an `async` handler returns; the closure is never called.
    pub fn by_future<F: Future<Output = R>>(_: impl FnOnce() -> F) -> Self {
        Returned(PhantomData)
    }
}

impl Operation {
    /// Adds the responses of a handler's return type.
    pub fn returned<R: IntoResponse>(&mut self) {
        self.returned_as(type_name::<R>(), R::describe);
    }
}

impl<R: IntoResponse> Returned<R> {
    /// Adds the responses.
    pub fn describe(self, operation: &mut Operation) {
        operation.returned_as(type_name::<R>(), R::describe);
    }
}

/// A value of any type, for the arguments of a call that is never made.
///
/// # Panics
///
/// Always panics: the compiler only needs the type.
pub fn never_made<T>() -> T {
    unreachable!("a call is described by its type and never made")
}

/// Describes nothing where the type is not a response, which is a separate error elsewhere.
pub trait NotAResponse: Sized {
    /// Does nothing.
    fn describe(self, operation: &mut Operation) {
        let _ = operation;
    }
}

impl<R> NotAResponse for Returned<R> {}
