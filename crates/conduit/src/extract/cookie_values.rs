//! `CookieValues`: cookie values, deserialized to a struct.

use std::borrow::Cow;

use http::StatusCode;

use super::error::Error;
use super::lines::Lines;
use super::sent_cookies::sent_values;
use super::{FromRequest, Readable};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;

/// The values of the request's cookies, parsed: each field of the struct takes the cookie of its name. Requires the feature
/// `cookies`.
///
/// An `Option` is `None` if the request lacks the cookie. A `Vec` contains the comma-separated items, and needs
/// `#[serde(default)]` if the cookie may be absent. Any other type requires a cookie that is sent once.
/// `#[serde(rename = "…")]` sets another name. Values are percent-decoded and names are not, as in [`Cookies`](super::Cookies).
///
/// In the OpenAPI document, each is a parameter with type, description and whether it is required. The client can send any
/// value: use [`SignedCookies`](super::SignedCookies) for values that must not be forged, and an [`ApiKey`](crate::ApiKey) for
/// credentials.
///
/// # Errors
///
/// Rejects with 400 for cookies that are not a `T`: `cookie.page_size: expected a whole number from 0 to 255, found "many"`.
///
/// # Example
///
/// Display preferences of a page:
///
/// ```
/// use conduit::prelude::*;
///
/// #[derive(serde::Deserialize, JsonSchema)]
/// struct Look {
///     /// Light or dark.
///     theme: Option<String>,
///     #[serde(default = "twenty")]
///     page_size: u8,
/// }
///
/// fn twenty() -> u8 {
///     20
/// }
///
/// #[get("/")]
/// async fn home(look: CookieValues<Look>) -> String {
///     format!("{} lines, {}", look.page_size, look.theme.as_deref().unwrap_or("light"))
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct CookieValues<T>(pub T);

#[diagnostic::do_not_recommend]
impl<S, T: Readable> FromRequest<S> for CookieValues<T> {
    const IS_AMBIENT: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let request = &*request;
        let values = |name: &str| -> Result<Vec<Cow<'_, str>>, Error> {
            let not_text = |_| Error::new("expected UTF-8 once percent-decoded").in_field(name);
            sent_values(request, name)
                .map(|value| value.map_err(not_text))
                .collect()
        };
        let fields = Lines {
            part: "cookie",
            find: values,
        };
        match T::deserialize(fields) {
            Ok(value) => Ok(CookieValues(value)),
            Err(error) => Err(Problem::faults(StatusCode::BAD_REQUEST, &[error.fault("cookie")])),
        }
    }

    fn describe(operation: &mut Operation) {
        operation
            .cookie_fields::<T>()
            .faults(StatusCode::BAD_REQUEST, "A cookie is missing or has an invalid value.");
    }
}
