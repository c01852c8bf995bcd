//! Functions as layers.

use std::borrow::Cow;
use std::future::Future;
use std::rc::Rc;

use super::{Middleware, Next, short_name};
use crate::extract::FromRequest;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

macro_rules! functions {
    ($($argument:ident)*) => {
        impl<S, F, Answer, $($argument,)*> Middleware<S, fn($($argument,)* Request, Next)> for F
        where
            S: 'static,
            F: Fn($($argument,)* Request, Next) -> Answer + Clone + Send + 'static,
            Answer: Future<Output: IntoResponse> + 'static,
            $($argument: FromRequest<S> + 'static,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables, reason = "with no extractor nothing is taken")]
            fn handle(
                self: Rc<Self>,
                mut request: Request,
                state: Rc<S>,
                next: Next,
            ) -> impl Future<Output = Response> + 'static {
                const {
                    assert!(
                        !(false $(|| $argument::TAKES_BODY)*),
                        "an extractor of a layer takes the request's body, which the handler needs: \
                         take it from the `Request` and put another in its place with `set_body`",
                    );
                }
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
        }
    };
}

functions!();
functions!(A);
functions!(A B);
functions!(A B C);
functions!(A B C D);
functions!(A B C D E);
functions!(A B C D E G);
