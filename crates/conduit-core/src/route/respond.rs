//! Calls of handlers: the arguments are taken from the request, the function is called, and its return value becomes a response.
//!
//! A route attribute generates a call of one of these functions. The compiler checks their code once, in this crate; statements
//! that the attribute generated would be checked for each handler.

use std::convert::Infallible;
use std::future::{self, Future};
use std::marker::PhantomData;
use std::rc::Rc;

use crate::endpoint::{CallSlot, ServingFuture};
use crate::extract::FromRequest;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The way to take one argument of a handler from a request. It is `Copy`, so that no code drops it.
pub trait ArgumentSource<S>: Copy {
    /// The argument.
    type Value;
    /// The response if the request has no valid value.
    type Rejection: IntoResponse;

    /// Takes the argument.
    ///
    /// # Errors
    ///
    /// The rejection of the extractor.
    fn take(self, request: &mut Request, state: &S) -> impl Future<Output = Result<Self::Value, Self::Rejection>>;
}

/// An argument that is an extractor.
pub struct Extractor<T, M>(PhantomData<fn() -> (T, M)>);

impl<T, M> Clone for Extractor<T, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, M> Copy for Extractor<T, M> {}

impl<T, M> Extractor<T, M> {
    /// The source.
    pub const NEW: Self = Extractor(PhantomData);
}

impl<S, T: FromRequest<S, M>, M> ArgumentSource<S> for Extractor<T, M> {
    type Value = T;
    type Rejection = T::Rejection;

    #[inline]
    fn take(self, request: &mut Request, state: &S) -> impl Future<Output = Result<T, T::Rejection>> {
        T::from_request(request, state)
    }
}

/// An argument that a function takes from the parameters of the path.
#[derive(Clone, Copy)]
pub struct Parameters<F>(pub F);

impl<S, T, R, F> ArgumentSource<S> for Parameters<F>
where
    R: IntoResponse,
    F: Fn(&Request) -> Result<T, R> + Copy,
{
    type Value = T;
    type Rejection = R;

    #[inline]
    fn take(self, request: &mut Request, _: &S) -> impl Future<Output = Result<T, R>> {
        future::ready((self.0)(request))
    }
}

/// Defines the function for a number of arguments: the type and the name of each source.
///
/// A closure returns the parts of the handler, and the function is generic in this closure alone: its future contains the names of
/// all type parameters in the debug information of each type that contains the future.
macro_rules! respond {
    ($name:ident $parts:ident $($source:ident $argument:ident)*) => {
        /// A function that returns the sources of the arguments, the handler, and `IntoResponse::into_response`: a bound instead of
        /// the last one would report a wrong return type twice.
        pub trait $parts<S>: Copy {
            $(
                /// The source of an argument.
                type $source: ArgumentSource<S>;
            )*
            /// The handler.
            type Function: Fn($(<Self::$source as ArgumentSource<S>>::Value),*) -> Self::Returned + Copy;
            /// The future that the handler returns.
            type Returned: Future;
            /// Converts the output of the future.
            type Convert: Fn(<Self::Returned as Future>::Output) -> Response + Copy;
        }

        impl<S, Parts, $($source,)* Function, Returned, Convert> $parts<S> for Parts
        where
            Parts: Fn() -> ($($source,)* Function, Convert) + Copy,
            $($source: ArgumentSource<S>,)*
            Function: Fn($($source::Value),*) -> Returned + Copy,
            Returned: Future,
            Convert: Fn(Returned::Output) -> Response + Copy,
        {
            $(type $source = $source;)*
            type Function = Function;
            type Returned = Returned;
            type Convert = Convert;
        }

        /// Takes the arguments of each request in their order, calls the handler, and converts its return value into the response.
        /// The first rejection is the response.
        #[allow(unused_labels, unused_mut, unused_variables)]
        pub fn $name<S: 'static, Parts>(state: Rc<S>, call: Rc<CallSlot>, parts: Parts) -> ServingFuture
        where
            Parts: $parts<S> + Fn() -> ($(<Parts as $parts<S>>::$source,)* Parts::Function, Parts::Convert) + 'static,
        {
            let future: Box<dyn Future<Output = Infallible>> = Box::new(async move {
                loop {
                    let mut request = call.request().await;
                    let ($($argument,)* function, convert) = parts();
                    let response = 'response: {
                        $(
                            let $argument = match $argument.take(&mut request, &state).await {
                                Ok(value) => value,
                                Err(rejection) => break 'response rejection.into_response(),
                            };
                        )*
                        convert(function($($argument),*).await)
                    };
                    drop(request);
                    call.respond(response);
                }
            });
            // After the coercion: `Box::pin` would be compiled for each handler.
            Box::into_pin(future)
        }
    };
}

respond!(respond_0 Parts0);
respond!(respond_1 Parts1 A a);
respond!(respond_2 Parts2 A a B b);
respond!(respond_3 Parts3 A a B b C c);
respond!(respond_4 Parts4 A a B b C c D d);
respond!(respond_5 Parts5 A a B b C c D d E e);
respond!(respond_6 Parts6 A a B b C c D d E e G g);
respond!(respond_7 Parts7 A a B b C c D d E e G g H h);
respond!(respond_8 Parts8 A a B b C c D d E e G g H h I i);
respond!(respond_9 Parts9 A a B b C c D d E e G g H h I i J j);
respond!(respond_10 Parts10 A a B b C c D d E e G g H h I i J j K k);
respond!(respond_11 Parts11 A a B b C c D d E e G g H h I i J j K k L l);
respond!(respond_12 Parts12 A a B b C c D d E e G g H h I i J j K k L l M m);
respond!(respond_13 Parts13 A a B b C c D d E e G g H h I i J j K k L l M m N n);
respond!(respond_14 Parts14 A a B b C c D d E e G g H h I i J j K k L l M m N n P p);
respond!(respond_15 Parts15 A a B b C c D d E e G g H h I i J j K k L l M m N n P p Q q);
respond!(respond_16 Parts16 A a B b C c D d E e G g H h I i J j K k L l M m N n P p Q q R r);
