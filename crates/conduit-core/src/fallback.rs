//! The handler of requests that no route matches.

use std::future::Future;
use std::rc::Rc;

use crate::endpoint::{Endpoint, endpoint};
use crate::extract::{FromRequest, MarkerIn, for_each_arity};
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The argument of `App::fallback`: an `async` function without a path. It takes up to six [extractors](crate::extract), in
/// any order, and returns a [response](IntoResponse).
///
/// `M` distinguishes the argument lists for the compiler and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a fallback in an application whose state is `{S}`",
    label = "not a fallback",
    note = "a fallback is an `async fn` whose arguments are extractors, such as `Request` or `State<…>`, and that returns a response"
)]
pub trait Fallback<S, M>: Clone + Send + 'static {
    /// Set if an argument [is ambient](crate::extract::FromRequest::IS_AMBIENT).
    const IS_AMBIENT: bool = false;

    /// Extracts the arguments from the request, calls the function, and converts its return value into a response.
    fn answer(self: Rc<Self>, request: Request, state: Rc<S>) -> impl Future<Output = Response> + 'static;
}

macro_rules! functions {
    ($($argument:ident $marker:ident)*) => {
        impl<S, F, Answer, $($argument, $marker,)*> Fallback<S, (fn($($argument,)*), ($($marker,)*))> for F
        where
            S: 'static,
            F: Fn($($argument,)*) -> Answer + Clone + Send + 'static,
            Answer: Future<Output: IntoResponse> + 'static,
            $($argument: FromRequest<S, $marker> + 'static, $marker: MarkerIn<()>,)*
        {
            const IS_AMBIENT: bool = false $(|| <$argument as FromRequest<S, $marker>>::IS_AMBIENT)*;

            #[allow(
                non_snake_case,
                unused_mut,
                unused_variables,
                irrefutable_let_patterns,
                reason = "with no argument nothing is taken"
            )]
            fn answer(self: Rc<Self>, mut request: Request, state: Rc<S>) -> impl Future<Output = Response> + 'static {
                const {
                    assert!(
                        0 $(+ <$argument as FromRequest<S, $marker>>::TAKES_BODY as usize)* <= 1,
                        "two arguments of a fallback take the request's body, which can be taken only once: remove one",
                    );
                }
                async move {
                    $(let mut $argument = None;)*
                    for takes_all in [false, true] {
                        $(if <$argument as FromRequest<S, $marker>>::TAKES_ALL == takes_all {
                            match <$argument as FromRequest<S, $marker>>::from_request(&mut request, &state).await {
                                Ok(argument) => $argument = Some(argument),
                                Err(rejection) => return rejection.into_response(),
                            }
                        })*
                    }
                    let ($(Some($argument),)*) = ($($argument,)*) else {
                        unreachable!("one of the two passes extracts an argument");
                    };
                    (*self)($($argument,)*).await.into_response()
                }
            }
        }
    };
}

for_each_arity!(functions);

/// A fallback without its types.
pub trait AnyFallback<S>: Send {
    /// Returns a copy for another worker.
    fn duplicate(&self) -> Box<dyn AnyFallback<S>>;
    /// Returns whether an argument is ambient.
    fn is_ambient(&self) -> bool;

    /// The endpoint of the fallback on this thread.
    fn endpoint(self: Box<Self>, state: &Rc<S>) -> Rc<dyn Endpoint>;
}

/// A fallback of the type `F` for [`AnyFallback`].
struct TypedFallback<F, M>(F, std::marker::PhantomData<fn() -> M>);

impl<S: 'static, F: Fallback<S, M>, M: 'static> AnyFallback<S> for TypedFallback<F, M> {
    fn duplicate(&self) -> Box<dyn AnyFallback<S>> {
        erase::<S, F, M>(self.0.clone())
    }

    fn is_ambient(&self) -> bool {
        F::IS_AMBIENT
    }

    fn endpoint(self: Box<Self>, state: &Rc<S>) -> Rc<dyn Endpoint> {
        let (fallback, state) = (Rc::new(self.0), Rc::clone(state));
        endpoint(move |request| Rc::clone(&fallback).answer(request, Rc::clone(&state)))
    }
}

/// A fallback without its types.
pub fn erase<S: 'static, F: Fallback<S, M>, M: 'static>(fallback: F) -> Box<dyn AnyFallback<S>> {
    Box::new(TypedFallback(fallback, std::marker::PhantomData))
}
