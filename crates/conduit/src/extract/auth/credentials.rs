//! `Bearer`, `Basic` and `ApiKey`: the credentials of clients.

use std::borrow::Cow;
use std::marker::PhantomData;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};

use super::Secret;
use crate::extract::sent_cookies::sent_values;
use crate::extract::{FromRequest, pairs};
use crate::openapi::{Operation, SecurityScheme};
use crate::problem::Problem;
use crate::request::Request;

/// The token in `authorization: Bearer …` (RFC 6750, section 2.1).
///
/// A token in the query or in a form is ignored: it would end up in logs (section 5.3).
///
/// # Errors
///
/// Rejects with 401 if there is no token, and with 400 for a malformed or repeated field.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// The token.
    pub token: Secret,
}

impl Bearer {
    /// Returns the 401 for a wrong token; `detail` is the reason, in a form that may be disclosed to the client.
    pub fn refused(detail: &'static str) -> Problem {
        unauthorized(detail, r#"Bearer error="invalid_token""#)
    }

    /// Returns the 403 for a valid token without the required permission: `insufficient_scope` of RFC 6750.
    pub fn insufficient(detail: &'static str) -> Problem {
        let challenge = HeaderValue::from_static(r#"Bearer error="insufficient_scope""#);
        Problem::forbidden(detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    pub(super) fn of(request: &Request) -> Result<&str, Problem> {
        let Some(token) = authorization(request, "bearer")? else {
            return Err(unauthorized(
                "a bearer token is required: send the header field `authorization: Bearer …`",
                "Bearer",
            ));
        };
        let unpadded = token.trim_end_matches('=');
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        if unpadded.is_empty() || !unpadded.bytes().all(is_token) {
            let problem = Problem::bad_request(
                "the bearer token is malformed: expected letters, digits and `-._~+/`, with `=` only at the end",
            );
            return Err(problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static(INVALID_REQUEST)));
        }
        Ok(token)
    }
}

const INVALID_REQUEST: &str = r#"Bearer error="invalid_request""#;

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Bearer {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let token = Secret(Bearer::of(request)?.to_owned());
        Ok(Bearer { token })
    }

    fn describe(operation: &mut Operation) {
        operation
            .security("bearer", SecurityScheme::bearer(None), &[])
            .problem(StatusCode::UNAUTHORIZED, "The request has no valid bearer token.");
    }

    fn is_absent(request: &Request) -> bool {
        matches!(authorization(request, "bearer"), Ok(None))
    }
}

/// The name and password in `authorization: Basic …` (RFC 7617), as UTF-8.
///
/// They are secret only over HTTPS. Compare passwords with their hashes, made by a function such as Argon2.
///
/// # Errors
///
/// Rejects with 401 if there are no credentials, and with 400 for a malformed or repeated field.
#[derive(Clone, Debug)]
pub struct Basic {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// The realm makes a browser ask for name and password; the charset makes it send them as UTF-8.
const BASIC: &str = r#"Basic realm="restricted", charset="UTF-8""#;

impl Basic {
    /// Returns the 401 for a wrong name or password; `detail` should not reveal which one.
    pub fn refused(detail: &'static str) -> Problem {
        unauthorized(detail, BASIC)
    }

    fn parse(encoded: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        // RFC 7617, section 2: "MUST NOT contain any control characters".
        (!text.contains(char::is_control)).then(|| Basic {
            user: user.to_owned(),
            password: Secret(password.to_owned()),
        })
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Basic {
    const IS_AMBIENT: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let Some(encoded) = authorization(request, "basic")? else {
            return Err(Basic::refused(
                "a name and a password are required: send the header field `authorization: Basic …`",
            ));
        };
        Basic::parse(encoded).ok_or_else(|| {
            Problem::bad_request("the header field authorization is malformed: expected `Basic` and the base64 of `name:password` in UTF-8")
        })
    }

    fn describe(operation: &mut Operation) {
        operation
            .security("basic", SecurityScheme::basic(), &[])
            .problem(StatusCode::UNAUTHORIZED, "The request has no valid name and password.");
    }

    fn is_absent(request: &Request) -> bool {
        matches!(authorization(request, "basic"), Ok(None))
    }
}

/// The location of a kind of [`ApiKey`] in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// A header field with this name, in lower case.
    Header(&'static str),
    /// A field of the query with this name. It ends up in logs and in the history of browsers: prefer a header field.
    Query(&'static str),
    /// A cookie with this name.
    Cookie(&'static str),
    /// The field `authorization`, after a scheme with this name: `Token` for `authorization: Token …`. The case of the name
    /// does not matter. For the scheme `Bearer` see [`Bearer`].
    Authorization(&'static str),
}

/// A kind of [`ApiKey`], with its location in a request.
pub trait Key {
    /// The location.
    const PLACE: KeyPlace;
}

/// A key that the application defines, in a header field, the query or a cookie. A field of the query is decoded as `Query`
/// decodes it; a cookie is read as `Cookies` reads it: percent-decoded, without quotes around it.
///
/// # Errors
///
/// Rejects with 401 if there is no key, and with 400 if there are several or the decoded key is not UTF-8.
///
/// # Example
///
/// A key in the field `x-api-key`:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::{ApiKey, Key, KeyPlace};
///
/// struct Partner;
///
/// impl Key for Partner {
///     const PLACE: KeyPlace = KeyPlace::Header("x-api-key");
/// }
///
/// #[get("/prices")]
/// async fn prices(key: ApiKey<Partner>) -> Result<&'static str, Problem> {
///     match key.key.is("opensesame") {
///         true => Ok("17, 4"),
///         false => Err(ApiKey::<Partner>::refused("this key is not known")),
///     }
/// }
/// ```
#[derive(Debug)]
pub struct ApiKey<K> {
    /// The key.
    pub key: Secret,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for ApiKey<K> {
    fn clone(&self) -> Self {
        ApiKey {
            key: self.key.clone(),
            kind: PhantomData,
        }
    }
}

impl<K: Key> ApiKey<K> {
    /// Returns the 401 for a wrong key; `detail` is the reason, in a form that may be disclosed to the client.
    pub fn refused(detail: &'static str) -> Problem {
        // There is no registered scheme, but the field is required (RFC 9110, section 15.5.2).
        let challenge = match K::PLACE {
            KeyPlace::Header(name) => format!("ApiKey in=\"header\", name=\"{name}\""),
            KeyPlace::Query(name) => format!("ApiKey in=\"query\", name=\"{name}\""),
            KeyPlace::Cookie(name) => format!("ApiKey in=\"cookie\", name=\"{name}\""),
            KeyPlace::Authorization(scheme) => scheme.to_owned(),
        };
        let challenge = HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("ApiKey"));
        Problem::unauthorized(detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    /// All keys of the request; `None` for one that is not UTF-8.
    fn all(request: &Request) -> Vec<Option<String>> {
        match K::PLACE {
            KeyPlace::Header(name) => {
                let values = request.header_all(name);
                values.map(|value| String::from_utf8(value.to_vec()).ok()).collect()
            }
            KeyPlace::Query(name) => pairs::values(request.query().unwrap_or("").as_bytes(), name).collect(),
            KeyPlace::Authorization(scheme) => {
                let fields: Vec<&[u8]> = request.header_all("authorization").collect();
                let keys = match fields[..] {
                    [field] => after_scheme(field, scheme).into_iter().collect(),
                    // Another program that reads the same request may use another one of several fields.
                    _ => fields,
                };
                keys.into_iter()
                    .map(|key| String::from_utf8(key.to_vec()).ok())
                    .collect()
            }
            KeyPlace::Cookie(name) => sent_values(request, name)
                .map(|value| value.ok().map(Cow::into_owned))
                .collect(),
        }
    }
}

#[diagnostic::do_not_recommend]
impl<S, K: Key> FromRequest<S> for ApiKey<K> {
    const IS_AMBIENT: bool = matches!(K::PLACE, KeyPlace::Cookie(_));
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let place = match K::PLACE {
            KeyPlace::Header(name) => format!("the header field {name}"),
            KeyPlace::Query(name) => format!("the field {name} of the query"),
            KeyPlace::Cookie(name) => format!("the cookie {name}"),
            KeyPlace::Authorization(scheme) => format!("the header field authorization after the word {scheme}"),
        };
        let mut keys = ApiKey::<K>::all(request);
        let key = match (keys.pop(), keys.is_empty()) {
            (None, _) => {
                let mut problem = ApiKey::<K>::refused("");
                problem = problem.with_detail(format!("a key is required in {place}"));
                return Err(problem);
            }
            (Some(key), true) => key,
            (Some(_), false) => {
                return Err(Problem::bad_request(format!(
                    "{place} is sent more than once: send it once"
                )));
            }
        };
        let key = key.ok_or_else(|| Problem::bad_request(format!("{place} is not UTF-8")))?;
        Ok(ApiKey {
            key: Secret(key),
            kind: PhantomData,
        })
    }

    fn describe(operation: &mut Operation) {
        let (name, scheme) = match K::PLACE {
            KeyPlace::Header(name) => (name, SecurityScheme::api_key_in_header(name)),
            KeyPlace::Query(name) => (name, SecurityScheme::api_key_in_query(name)),
            KeyPlace::Cookie(name) => (name, SecurityScheme::api_key_in_cookie(name)),
            KeyPlace::Authorization(scheme) => (scheme, SecurityScheme::http(scheme)),
        };
        operation
            .security(name, scheme, &[])
            .problem(StatusCode::UNAUTHORIZED, "The request has no valid key.");
    }

    fn is_absent(request: &Request) -> bool {
        ApiKey::<K>::all(request).is_empty()
    }
}

/// The credentials after the name of a scheme, if there are any.
fn after_scheme<'a>(field: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let at = field.iter().position(|byte| *byte == b' ')?;
    let (name, credentials) = (&field[..at], field[at..].trim_ascii());
    (name.eq_ignore_ascii_case(scheme.as_bytes()) && !credentials.is_empty()).then_some(credentials)
}

/// 401 with a challenge (RFC 9110, section 11.6.1).
pub(super) fn unauthorized(detail: &'static str, challenge: &'static str) -> Problem {
    Problem::unauthorized(detail).with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

/// The credentials after the scheme in the field `authorization` (RFC 9110, section 11.6.2); `None` if the field is
/// absent or has another scheme.
fn authorization<'a>(request: &'a Request, scheme: &str) -> Result<Option<&'a str>, Problem> {
    let mut fields = request.header_all("authorization");
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        // Another program that reads the same request may use the other field.
        return Err(Problem::bad_request(
            "the header field authorization is sent more than once: send it once",
        ));
    }
    let text = str::from_utf8(field).map_err(|_| Problem::bad_request("the field authorization is not ASCII"))?;
    let (name, credentials) = text.split_once(' ').unwrap_or((text, ""));
    Ok(name.eq_ignore_ascii_case(scheme).then(|| credentials.trim_matches(' ')))
}
