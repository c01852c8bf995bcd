//! Functions as layers.

use std::borrow::Cow;
use std::future::Future;
use std::rc::Rc;

use super::{Middleware, Next, short_name};
use crate::extract::{FromRequest, for_each_arity};
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

macro_rules! takes_the_body {
    () => {
        "takes the request's body, which the handler needs: take it out of the layer's arguments; to look at the body, take \
         it from the `Request` with `take_body` and put it back with `set_body`"
    };
}

/// Demands that no argument of a layer takes the body; each says whether it does, from the first on.
///
/// `FromRequest` says it by a constant, which no bound can ask for. The assertion is one of each function that is given a
/// layer, so that the compiler shows the call, and the name of the function that is the layer.
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
    ($($argument:ident)*) => {
        impl<S, F, Answer, $($argument,)*> Middleware<S, fn($($argument,)* Request, Next)> for F
        where
            S: 'static,
            F: Fn($($argument,)* Request, Next) -> Answer + Clone + Send + 'static,
            Answer: Future<Output: IntoResponse> + 'static,
            $($argument: FromRequest<S> + 'static,)*
        {
            const LEAVES_THE_BODY: () = leave_the_body(&[$($argument::TAKES_BODY),*]);

            #[allow(non_snake_case, unused_mut, unused_variables, reason = "with no extractor nothing is taken")]
            fn handle(
                self: Rc<Self>,
                mut request: Request,
                state: Rc<S>,
                next: Next,
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
                $(<$argument as FromRequest<S>>::describe(operation);)*
                operation.returned_by_a_layer::<Answer::Output>();
            }
        }
    };
}

for_each_arity!(functions);
