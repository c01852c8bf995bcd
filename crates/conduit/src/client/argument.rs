//! The arguments of calls: the input of each extractor.

use bytes::Bytes;
use serde::Serialize;

use super::call_parts::CallParts;
use super::error::CallError;
#[cfg(feature = "multipart")]
use super::form_parts::FormParts;
use super::pages::PageRequest;
#[cfg(feature = "cookies")]
use crate::CookieValues;
#[cfg(feature = "jwt")]
use crate::Jwt;
#[cfg(feature = "validate")]
use crate::Valid;
use crate::extract::auth::{ApiKey, Auth, Basic, Bearer};
use crate::extract::{Direction, Paging, Sort, Submission};
use crate::http::{HeaderMap, Method, Uri, Version};
use crate::link::LinkValue as _;
#[cfg(feature = "sessions")]
use crate::session::{ActiveSession, Session};
use crate::{Body, Client, Extension, Form, Header, Json, PeerAddr, Provided, Query, Shutdown, State, Tasks, UnixPeer};

/// An extractor whose value is an argument of a call. The extractors of this crate implement it.
#[diagnostic::on_unimplemented(
    message = "a client cannot send the argument `{Self}`",
    label = "not an argument of a typed call",
    note = "the option `client` needs the content of `Query`, `Header`, `CookieValues`, `Json` and `Form`, and the fields of `Sort`, to implement `serde::Serialize`: derive it, or remove `client`"
)]
pub trait CallArgument {
    /// The type of the argument.
    type Input<'a>;

    /// Adds the input to the request.
    #[doc(hidden)]
    fn write(input: Self::Input<'_>, call: &mut CallParts) -> Result<(), CallError>;
}

/// An extractor whose value the server, a layer or the credentials of the client provide, so that a call has no argument for it.
///
/// Implement it for such extractors of an application. A [`TypedClient`](super::TypedClient) sends credentials and other header
/// fields with each request.
///
/// # Example
///
/// ```
/// use conduit::client::NoArgument;
/// use conduit::prelude::*;
///
/// struct Tenant(String);
///
/// impl<S> FromRequest<S> for Tenant {
///     type Rejection = Problem;
///
///     async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
///         let name = request.header("x-tenant").and_then(|name| str::from_utf8(name).ok());
///         Ok(Tenant(name.unwrap_or("public").to_owned()))
///     }
/// }
///
/// impl NoArgument for Tenant {}
///
/// #[get("/notes", client)]
/// fn notes(tenant: Tenant) -> String {
///     tenant.0
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a typed call does not know the input of the extractor `{Self}`",
    label = "neither an argument of the call nor known to have none",
    note = "if the server, a layer or the credentials provide its value, write `impl conduit::client::NoArgument for {Self} {{}}`",
    note = "if the request contains its value, take `Path`, `Query`, `Header`, `CookieValues`, `Json`, `Form`, `Bytes` or `Body` by this name, or remove the option `client`"
)]
pub trait NoArgument {}

/// Asserts that a call needs no argument for this extractor. The route attributes generate the call of this function.
pub fn has_no_argument<E: NoArgument>() {}

macro_rules! no_argument {
    ($($type:ty),* $(,)?) => {$(
        #[diagnostic::do_not_recommend]
        impl NoArgument for $type {}
    )*};
}

no_argument!(
    Method,
    Uri,
    Version,
    HeaderMap,
    PeerAddr,
    Client,
    UnixPeer,
    Shutdown,
    Tasks,
    Bearer,
    Basic,
    crate::events::LastEventId,
    crate::layer::RequestId,
    crate::layer::IdempotencyKey,
    crate::layer::Preconditions,
    crate::layer::CspNonce,
);
#[cfg(feature = "tls")]
no_argument!(crate::ClientCertificate);
#[cfg(feature = "cookies")]
no_argument!(
    crate::extract::Cookies,
    crate::extract::SignedCookies,
    crate::extract::PrivateCookies
);
#[cfg(feature = "sessions")]
no_argument!(crate::session::FormToken, crate::session::TokenSession);
#[cfg(feature = "minijinja")]
no_argument!(crate::Templates);

macro_rules! no_argument_of_any {
    ($($type:ident),*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T> NoArgument for $type<T> {}
    )*};
}

no_argument_of_any!(State, Provided, Extension, Auth, ApiKey);
#[cfg(feature = "jwt")]
no_argument_of_any!(Jwt);
#[cfg(feature = "sessions")]
no_argument_of_any!(Session, ActiveSession);

#[diagnostic::do_not_recommend]
impl<E: NoArgument> NoArgument for Option<E> {}

#[diagnostic::do_not_recommend]
impl<E: NoArgument, R> NoArgument for Result<E, R> {}

#[diagnostic::do_not_recommend]
impl<E: CallArgument> CallArgument for Option<E> {
    type Input<'a> = Option<E::Input<'a>>;

    fn write(input: Self::Input<'_>, call: &mut CallParts) -> Result<(), CallError> {
        input.map_or(Ok(()), |input| E::write(input, call))
    }
}

#[diagnostic::do_not_recommend]
impl<E: CallArgument, R> CallArgument for Result<E, R> {
    type Input<'a> = E::Input<'a>;

    fn write(input: Self::Input<'_>, call: &mut CallParts) -> Result<(), CallError> {
        E::write(input, call)
    }
}

macro_rules! wrappers {
    ($($wrapper:ident),*) => {$(
        #[diagnostic::do_not_recommend]
        impl<E: CallArgument> CallArgument for $wrapper<E> {
            type Input<'a> = E::Input<'a>;

            fn write(input: Self::Input<'_>, call: &mut CallParts) -> Result<(), CallError> {
                E::write(input, call)
            }
        }
    )*};
}

wrappers!(Submission);
#[cfg(feature = "validate")]
wrappers!(Valid);

/// Extractors whose input is a reference to their content.
macro_rules! contents {
    ($($extractor:ident $call:ident),*) => {$(
        #[diagnostic::do_not_recommend]
        impl<T: Serialize + 'static> CallArgument for $extractor<T> {
            type Input<'a> = &'a T;

            fn write(input: &T, call: &mut CallParts) -> Result<(), CallError> {
                call.$call(input)
            }
        }
    )*};
}

contents!(Query query, Header headers, Json json, Form form);
#[cfg(feature = "cookies")]
contents!(CookieValues cookies);

/// Extractors of a body of any media type.
macro_rules! bytes {
    ($($extractor:ty),*) => {$(
        impl CallArgument for $extractor {
            type Input<'a> = Bytes;

            fn write(input: Bytes, call: &mut CallParts) -> Result<(), CallError> {
                call.bytes(input);
                Ok(())
            }
        }
    )*};
}

bytes!(Bytes, Body);
#[cfg(feature = "multipart")]
bytes!(crate::Upload);

impl CallArgument for String {
    type Input<'a> = &'a str;

    fn write(input: &str, call: &mut CallParts) -> Result<(), CallError> {
        call.text(input);
        Ok(())
    }
}

impl<C, const DEFAULT: u32, const MAX: u32> CallArgument for Paging<C, DEFAULT, MAX> {
    type Input<'a> = PageRequest;

    fn write(input: PageRequest, call: &mut CallParts) -> Result<(), CallError> {
        call.query(&input)
    }
}

#[diagnostic::do_not_recommend]
impl<F: Serialize + 'static> CallArgument for Sort<F> {
    type Input<'a> = &'a [(F, Direction)];

    fn write(input: &[(F, Direction)], call: &mut CallParts) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct Fields {
            sort: Option<String>,
        }
        let mut sort = String::new();
        for (field, direction) in input {
            let pairs = field.pairs();
            let name = pairs.only().ok_or_else(|| {
                CallError::input("a field of the order does not serialize to a string: use an enum of unit variants")
            })?;
            if !sort.is_empty() {
                sort.push(',');
            }
            if *direction == Direction::Descending {
                sort.push('-');
            }
            sort.push_str(name);
        }
        let sort = (!sort.is_empty()).then_some(sort);
        call.query(&Fields { sort })
    }
}

#[cfg(feature = "multipart")]
mod multipart {
    use super::{CallArgument, CallError, CallParts, FormParts};
    use crate::{Multipart, MultipartForm};

    impl CallArgument for Multipart {
        type Input<'a> = FormParts;

        fn write(input: FormParts, call: &mut CallParts) -> Result<(), CallError> {
            call.form_parts(&input)
        }
    }

    impl<T> CallArgument for MultipartForm<T> {
        type Input<'a> = FormParts;

        fn write(input: FormParts, call: &mut CallParts) -> Result<(), CallError> {
            call.form_parts(&input)
        }
    }
}
