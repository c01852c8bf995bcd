//! Tokens against cross-site requests, for browsers that send neither Fetch Metadata nor `origin`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conduit_core::internal::method::is_safe;
use http::StatusCode;
use http::header::ORIGIN;
use subtle::ConstantTimeEq;

use super::Sessions;
use super::current::CurrentSession;
use super::id::SessionId;
use super::token_field::{FIELD, take_token};
use crate::extract::{FromRef, FromRequest};
use crate::layer::Next;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::Response;

/// The header field of a script.
const HEADER: &str = "x-csrf-token";

const BYTES: usize = 32;

/// Separates the codes of tokens from other uses of an id.
const PURPOSE: &[u8] = b"form token 1";

/// The token of a form, which [`require_token`] expects: an argument of the handler of its page. A visitor without a
/// session gets an empty one.
///
/// `Display` writes the token, letters, digits, `-` and `_`, for a script to send as `x-csrf-token`. It is bound to the session and
/// to its id: a token from before a sign-in is invalid afterwards, a token of another session is always invalid, and pages of other
/// sites cannot read it. It is masked with random bits, so that the length of a compressed page does not reveal it.
///
/// # Errors
///
/// Rejects as [`Session`](super::Session) does.
#[derive(Clone)]
pub struct FormToken {
    current: CurrentSession,
    mask: [u8; BYTES],
}

impl FormToken {
    /// Returns the hidden field of a form, as HTML: `{{ token.field()|safe }}` in a template.
    pub fn field(&self) -> String {
        format!(r#"<input type="hidden" name="{FIELD}" value="{self}">"#)
    }
}

impl fmt::Display for FormToken {
    /// Writes nothing if the session has ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.current.id() {
            Some(id) => f.write_str(&token(id, self.mask)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FormToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormToken(…)")
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for FormToken
where
    Sessions: FromRef<S>,
{
    const IS_AMBIENT: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let current = CurrentSession::of(request, Sessions::from_ref(state)).await?;
        current.begin_if_absent().await?;
        let mut mask = [0; BYTES];
        getrandom::fill(&mut mask).map_err(|error| Problem::internal(&error))?;
        Ok(FormToken { current, mask })
    }

    fn describe(operation: &mut Operation) {
        super::extract::describe_problems(operation);
    }
}

/// The mask, and the code under it.
fn token(id: SessionId, mask: [u8; BYTES]) -> String {
    let mut bytes = [0; 2 * BYTES];
    bytes[..BYTES].copy_from_slice(&mask);
    for (byte, (mask, code)) in bytes[BYTES..].iter_mut().zip(mask.iter().zip(id.code(PURPOSE))) {
        *byte = mask ^ code;
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns whether a token belongs to this session. The decoder rejects a last character with spare bits that are set.
fn is_token_of(id: SessionId, token: &[u8]) -> bool {
    let decoded = URL_SAFE_NO_PAD.decode(token);
    let Some(bytes) = decoded.ok().and_then(|bytes| <[u8; 2 * BYTES]>::try_from(bytes).ok()) else {
        return false;
    };
    let mut code = [0; BYTES];
    for (place, byte) in code.iter_mut().enumerate() {
        *byte = bytes[place] ^ bytes[place + BYTES];
    }
    code.ct_eq(&id.code(PURPOSE)).into()
}

/// The session of a request: an argument of [`require_token`]. A layer that requires tokens for some requests only
/// takes it as an argument, and passes it on.
///
/// # Errors
///
/// Rejects as [`Session`](super::Session) does.
pub struct TokenSession(CurrentSession);

impl fmt::Debug for TokenSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSession(…)")
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for TokenSession
where
    Sessions: FromRef<S>,
{
    const IS_AMBIENT: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let current = CurrentSession::of(request, Sessions::from_ref(state)).await?;
        Ok(TokenSession(current))
    }

    fn describe(operation: &mut Operation) {
        super::extract::describe_problems(operation);
        if !is_safe(operation.method()) {
            operation.problem(
                StatusCode::FORBIDDEN,
                "The request has neither `sec-fetch-site` nor `origin`, and no valid token.",
            );
        }
    }
}

/// A layer that requires a [`FormToken`] in requests of unknown origin: those with an unsafe method and neither
/// `sec-fetch-site` nor `origin`, as from old browsers. By default such a request is accepted, because browsers have
/// sent one of the two since 2020, and other clients need neither. With this layer, programs send `origin` or a token.
///
/// The token is the field `csrf_token` of a form, [`FormToken::field`], or the header field `x-csrf-token`. In a form with files
/// it is the first field, within its first KiB. The layer removes the field from the body, so that handlers do not receive it. A form
/// without files is read into memory for that, within the limit of the body.
///
/// # Errors
///
/// Rejects with 403 without a valid token, as [`Form`](crate::Form) for a form that cannot be read, and as
/// [`Session`](super::Session).
///
/// # Example
///
/// ```
/// use conduit::prelude::*;
/// use conduit::session::{FormToken, Sessions, require_token};
/// use conduit::testing::TestClient;
///
/// #[get("/join")]
/// async fn form(token: FormToken) -> Html<String> {
///     Html(format!(r#"<form method="post">{}<button>Join</button></form>"#, token.field()))
/// }
///
/// #[post("/join")]
/// async fn join() -> &'static str {
///     "welcome"
/// }
///
/// let routes = routes![form, #[layer(require_token)] join];
/// let client = TestClient::new(App::new(Sessions::in_memory()).routes(routes));
/// client.post("/join").send().assert_status(403);
///
/// let page = client.get("/join").send();
/// let token = page.text().split("value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
/// client.post("/join").form(&[("csrf_token", token)]).send().assert_text("welcome");
/// client.post("/join").header("x-csrf-token", token).send().assert_text("welcome");
/// client.post("/join").header("sec-fetch-site", "same-origin").send().assert_text("welcome");
/// client.another().post("/join").header("x-csrf-token", token).send().assert_status(403);
/// ```
pub async fn require_token(session: TokenSession, mut request: Request, next: Next) -> Result<Response, Problem> {
    if request.method().is_safe() {
        return Ok(next.run(request).await);
    }
    let token = request.header(HEADER).map(<[u8]>::to_vec);
    let in_form = take_token(&mut request).await?;
    let token = token.or(in_form);
    let is_known = request.header("sec-fetch-site").is_some() || request.header(ORIGIN.as_str()).is_some();
    if is_known {
        return Ok(next.run(request).await);
    }
    let is_valid = match (session.0.id(), &token) {
        (Some(id), Some(token)) => is_token_of(id, token),
        _ => false,
    };
    if !is_valid {
        return Err(rejection(token.is_some()));
    }
    Ok(next.run(request).await)
}

#[cold]
fn rejection(has_token: bool) -> Problem {
    let fault = if has_token {
        "its token belongs to another session"
    } else {
        "no token"
    };
    Problem::forbidden(format!(
        "the request has neither sec-fetch-site nor origin, and {fault}: load the page again and send its field {FIELD}, or \
         the header field {HEADER}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_valid_for_its_session_alone() {
        let (one, other) = (
            SessionId::random().expect("random"),
            SessionId::random().expect("random"),
        );
        let (first, second) = (token(one, [7; BYTES]), token(one, [8; BYTES]));
        assert_ne!(first, second);
        for token in [&first, &second] {
            assert!(is_token_of(one, token.as_bytes()));
            assert!(!is_token_of(other, token.as_bytes()));
        }
        for token in ["", "A", &first[1..], &format!("{first}A"), &one.to_value()] {
            assert!(!is_token_of(one, token.as_bytes()), "{token}");
        }
        for index in 0..first.len() {
            let mut changed = first.clone().into_bytes();
            // Of the last character, `B` sets only bits that belong to no byte.
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(!is_token_of(one, &changed), "{index}");
        }
    }
}
