//! Functions as layers.

use std::borrow::Cow;
use std::future::Future;
use std::rc::Rc;

use super::name::short_name;
use super::{Continuation, Middleware};
use crate::extract::{FromRequest, MarkerIn, for_each_arity};
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

macro_rules! takes_the_body {
    () => {
        "consumes the request body, which the handler needs: remove the argument; to inspect the body, remove it from the \
         `Request` with `take_body` and restore it with `set_body`"
    };
}

/// Panics, at compile time, if an argument of a layer consumes the body; `takes_body` has one entry for each argument.
///
/// `FromRequest::TAKES_BODY` is a constant, which a trait bound cannot check. Each function that receives a layer
/// evaluates the assertion, so that the compiler prints the call and the name of the layer.
#[track_caller]
const fn leave_the_body(takes_body: &[bool]) {
    let mut place = 0;
    while place < takes_body.len() {
        if takes_body[place] {
            match place {
                0 => panic!(concat!("the first argument of a layer ", takes_the_body!())),
                1 => panic!(concat!("the second argument of a layer ", takes_the_body!())),
                2 => panic!(concat!("the third argument of a layer ", takes_the_body!())),
                _ => panic!(concat!("an argument of a layer ", takes_the_body!())),
            }
        }
        place += 1;
    }
}

macro_rules! functions {
    ($($argument:ident $marker:ident)*) => {
        impl<S, V, F, N, Answer, $($argument, $marker,)*> Middleware<S, (fn($($argument,)* Request, N), ($($marker,)*)), V> for F
        where
            S: 'static,
            V: 'static,
            N: Continuation,
            F: Fn($($argument,)* Request, N) -> Answer + Clone + Send + 'static,
            Answer: Future<Output: IntoResponse> + 'static,
            $($argument: FromRequest<S, $marker> + 'static, $marker: MarkerIn<V>,)*
        {
            const LEAVES_THE_BODY: () = leave_the_body(&[$(<$argument as FromRequest<S, $marker>>::TAKES_BODY),*]);
            const IS_AMBIENT: bool = false $(|| <$argument as FromRequest<S, $marker>>::IS_AMBIENT)*;

            type Next = N;

            #[allow(non_snake_case, unused_mut, unused_variables, reason = "with no extractor nothing is taken")]
            fn handle(
                self: Rc<Self>,
                mut request: Request,
                state: Rc<S>,
                next: N,
            ) -> impl Future<Output = Response> + 'static {
                async move {
                    $(let $argument = match $argument::from_request(&mut request, &state).await {
                        Ok(argument) => argument,
                        Err(rejection) => return rejection.into_response(),
                    };)*
                    (*self)($($argument,)* request, next).await.into_response()
                }
            }

            fn name(&self) -> Cow<'static, str> {
                Cow::Borrowed(short_name::<F>())
            }

            fn describe(&self, operation: &mut Operation) {
                $(<$argument as FromRequest<S, $marker>>::describe(operation);)*
                operation.returned_by_a_layer(<Answer::Output as IntoResponse>::describe);
            }
        }
    };
}

for_each_arity!(functions);
