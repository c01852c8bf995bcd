//! Authentication: credentials, and guards that check them.
//!
//! [`Bearer`], [`Basic`] and [`ApiKey`] take credentials from a request, and reject a request without them with 401
//! and a `www-authenticate` field. They do not verify the credentials: a type that implements [`Authenticate`] does, and
//! `Auth<User>` as an argument rejects clients that fail it. A [`Jwt`](crate::Jwt) is verified by its signature. All of
//! them are security schemes of the operation in the OpenAPI document.
//!
//! # Example
//!
//! Users that are identified by a token:
//!
//! ```
//! use conduit::prelude::*;
//! use conduit::{Auth, Authenticate, Bearer};
//!
//! #[derive(Clone)]
//! struct Users(std::sync::Arc<[(String, String)]>);
//!
//! struct User(String);
//!
//! impl<S> Authenticate<S> for User
//! where
//!     Users: FromRef<S>,
//! {
//!     type Credentials = Bearer;
//!
//!     async fn authenticate(bearer: Bearer, state: &S) -> Result<User, Problem> {
//!         let users = Users::from_ref(state);
//!         match users.0.iter().find(|(_, token)| bearer.token.is(token)) {
//!             Some((name, _)) => Ok(User(name.clone())),
//!             None => Err(Bearer::refused("no user has this token")),
//!         }
//!     }
//! }
//!
//! #[get("/me")]
//! async fn me(user: Auth<User>) -> String {
//!     format!("you are {}", user.0.0)
//! }
//!
//! let users = Users([("ada".to_owned(), "0123456789abcdef".to_owned())].into());
//! let app = App::new(users).routes(routes![me]);
//! ```

mod credentials;
#[cfg(feature = "jwt")]
pub(crate) mod jwt;
#[cfg(feature = "jwt")]
pub(crate) mod jwt_signer;
mod secret;

use std::future::Future;

use super::FromRequest;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;

pub use credentials::{ApiKey, Basic, Bearer, Key, KeyPlace};
pub use secret::Secret;

/// The verification of a client's credentials.
///
/// The [module](self) has an example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not authenticated in an application whose state is `{S}`",
    label = "`Auth` requires `Authenticate`",
    note = "implement `Authenticate<S>` for `{Self}`: its `Credentials` can be `Bearer`, `Basic` or `ApiKey<…>`"
)]
pub trait Authenticate<S>: Sized {
    /// The credentials: [`Bearer`], [`Basic`], [`ApiKey`], or a custom extractor.
    type Credentials: FromRequest<S, Rejection = Problem>;

    /// Verifies the credentials and returns the client's identity.
    ///
    /// # Errors
    ///
    /// The problem that is sent to a client with wrong credentials: 401 with a `www-authenticate` field, as
    /// [`Bearer::refused`] and its counterparts make it; or 403 for a known client without permission.
    fn authenticate(credentials: Self::Credentials, state: &S) -> impl Future<Output = Result<Self, Problem>>;
}

/// An authenticated client: a guard before the handler. `Option<Auth<T>>` is `None` for a client without
/// credentials, and still rejects wrong ones.
#[derive(Clone, Copy, Debug)]
pub struct Auth<T>(pub T);

impl<S, T: Authenticate<S>> FromRequest<S> for Auth<T> {
    const TAKES_BODY: bool = T::Credentials::TAKES_BODY;
    const IS_AMBIENT: bool = T::Credentials::IS_AMBIENT;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let credentials = T::Credentials::from_request(request, state).await?;
        T::authenticate(credentials, state).await.map(Auth)
    }

    fn describe(operation: &mut Operation) {
        T::Credentials::describe(operation);
    }

    fn is_absent(request: &Request) -> bool {
        T::Credentials::is_absent(request)
    }
}
