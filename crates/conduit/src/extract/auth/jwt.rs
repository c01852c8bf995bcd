//! `Jwt`: signed tokens (RFC 7519).

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

use super::credentials::Bearer;
use crate::excerpt::bounded;
use crate::extract::Readable;
use crate::extract::{FromRef, FromRequest};
use crate::openapi::{Operation, SecurityScheme};
use crate::problem::Problem;
use crate::request::Request;

/// RFC 7518, section 3.2: a key for HS256 has at least as many bits as the hash.
const SHORTEST_SECRET_BYTES: usize = 32;

/// The claims of a verified JSON Web Token from `authorization: Bearer …`: a guard before the handler.
///
/// The application's state contains a [`JwtVerifier`] (see [`FromRef`]), which defines the accepted tokens.
///
/// # Errors
///
/// Rejects with 401 and a `www-authenticate` field if there is no token, or if the token is not signed with a key of
/// the verifier by the algorithm of that key, has expired, is not valid yet, is from another issuer, for another
/// audience, or lacks claims that `C` requires.
///
/// # Example
///
/// A handler for clients with a token of the application's issuer:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::{Jwt, JwtVerifier};
///
/// #[derive(serde::Deserialize)]
/// struct Claims {
///     sub: String,
/// }
///
/// #[get("/me")]
/// async fn me(claims: Jwt<Claims>) -> String {
///     format!("you are {}", claims.sub)
/// }
///
/// fn main() -> conduit::Result {
///     let verifier = JwtVerifier::hs256(b"a secret of at least thirty-two bytes")?
///         .issuer("https://login.example")
///         .audience("orders");
///     let app = App::new(verifier).routes(routes![me]);
/// #   Ok(())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Jwt<C>(pub C);

impl<C> Deref for Jwt<C> {
    type Target = C;
    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C> DerefMut for Jwt<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.0
    }
}

impl<S, C: Readable> FromRequest<S> for Jwt<C>
where
    JwtVerifier: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let token = Bearer::of(request)?;
        match JwtVerifier::from_ref(state).verify(token) {
            Ok(claims) => Ok(Jwt(claims)),
            Err(reason) => {
                let challenge = format!(r#"Bearer error="invalid_token", error_description="{reason}""#);
                let challenge = HeaderValue::try_from(challenge)
                    .unwrap_or(HeaderValue::from_static(r#"Bearer error="invalid_token""#));
                Err(Problem::unauthorized(reason.0).with_header(WWW_AUTHENTICATE, challenge))
            }
        }
    }

    fn describe(operation: &mut Operation) {
        operation
            .security("jwt", SecurityScheme::bearer(Some("JWT")), &[])
            .problem(StatusCode::UNAUTHORIZED, "The request has no valid token.");
    }

    fn is_absent(request: &Request) -> bool {
        <Bearer as FromRequest<S>>::is_absent(request)
    }
}

/// The accepted tokens: the keys, each with one algorithm, and the required claims.
///
/// The claim `exp` is required and must be in the future; `nbf`, if present, must be in the past. The leeway is 60 s
/// unless [set](JwtVerifier::leeway). A token with an audience is rejected unless it is the one set with
/// [`audience`](JwtVerifier::audience). The algorithm is that of the key and not that of the token (RFC 8725,
/// section 3.1); `none` is not accepted; tokens with `crit`ical header parameters are rejected, since none is supported.
///
/// Clones share the keys, so that [`replace_keys`](JwtVerifier::replace_keys) on one of them applies to all workers.
#[derive(Clone)]
pub struct JwtVerifier(Arc<Rules>);

#[derive(Clone)]
struct Rules {
    keys: Arc<RwLock<Arc<[VerificationKey]>>>,
    validation: Validation,
}

struct VerificationKey {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier {
    /// Accepts tokens signed by HMAC with SHA-256 and this secret, which the issuer shares.
    ///
    /// # Errors
    ///
    /// Returns an error if the secret is shorter than 32 bytes (RFC 7518, section 3.2).
    pub fn hs256(secret: &[u8]) -> Result<Self, JwtKeyError> {
        long_enough(secret)?;
        Ok(JwtVerifier::with(Algorithm::HS256, DecodingKey::from_secret(secret)))
    }

    /// Tokens signed by RSASSA-PKCS1-v1_5 with SHA-256; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Returns an error if the text does not contain an RSA public key.
    pub fn rs256(public_key_pem: &str) -> Result<Self, JwtKeyError> {
        let key = DecodingKey::from_rsa_pem(public_key_pem.as_bytes());
        key.map(|key| JwtVerifier::with(Algorithm::RS256, key))
            .map_err(JwtKeyError::of)
    }

    /// Tokens signed by ECDSA with P-256 and SHA-256; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Returns an error if the text does not contain a public key on an elliptic curve.
    pub fn es256(public_key_pem: &str) -> Result<Self, JwtKeyError> {
        let key = DecodingKey::from_ec_pem(public_key_pem.as_bytes());
        key.map(|key| JwtVerifier::with(Algorithm::ES256, key))
            .map_err(JwtKeyError::of)
    }

    /// Tokens signed by Ed25519; the public key in PEM.
    ///
    /// # Errors
    ///
    /// Returns an error if the text does not contain an Ed25519 public key.
    pub fn eddsa(public_key_pem: &str) -> Result<Self, JwtKeyError> {
        let key = DecodingKey::from_ed_pem(public_key_pem.as_bytes());
        key.map(|key| JwtVerifier::with(Algorithm::EdDSA, key))
            .map_err(JwtKeyError::of)
    }

    /// Tokens signed with any of the keys in a JSON Web Key Set (RFC 7517): RSA, P-256, P-384 and Ed25519. A token's `kid` selects
    /// the key. Keys for encryption and keys of other kinds are ignored, including symmetric ones, because a set is public; so are
    /// keys that cannot be read, with a warning in the log.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not a key set, or has no key for signatures.
    pub fn key_set(json: &str) -> Result<Self, JwtKeyError> {
        Ok(JwtVerifier::of(keys_of_set(json)?))
    }

    fn with(algorithm: Algorithm, key: DecodingKey) -> Self {
        JwtVerifier::of(Arc::new([VerificationKey {
            id: None,
            algorithm,
            key,
        }]))
    }

    fn of(keys: Arc<[VerificationKey]>) -> Self {
        let first = keys.first().map_or(Algorithm::HS256, |key| key.algorithm);
        let mut validation = Validation::new(first);
        validation.validate_nbf = true;
        JwtVerifier(Arc::new(Rules {
            keys: Arc::new(RwLock::new(keys)),
            validation,
        }))
    }

    /// Sets the accepted issuer: the claim `iss` must be present and equal to it.
    pub fn issuer(mut self, issuer: &str) -> Self {
        let validation = &mut Arc::make_mut(&mut self.0).validation;
        validation.set_issuer(&[issuer]);
        validation.required_spec_claims.insert("iss".to_owned());
        self
    }

    /// Sets the accepted audience: the claim `aud` must be present, and equal or contain it.
    pub fn audience(mut self, audience: &str) -> Self {
        let validation = &mut Arc::make_mut(&mut self.0).validation;
        validation.set_audience(&[audience]);
        validation.required_spec_claims.insert("aud".to_owned());
        self
    }

    /// Sets the tolerated difference between clocks, in whole seconds. Default: 60 s.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        Arc::make_mut(&mut self.0).validation.leeway = leeway.as_secs();
        self
    }

    /// Replaces the keys, here and in every clone, to rotate keys without a restart.
    ///
    /// # Errors
    ///
    /// Returns an error as [`key_set`](JwtVerifier::key_set) does; the keys are then unchanged.
    pub fn replace_keys(&self, json: &str) -> Result<(), JwtKeyError> {
        let keys = keys_of_set(json)?;
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Verifies a token, and returns its claims.
    ///
    /// # Errors
    ///
    /// Returns the reason for the rejection, which a client may read.
    pub fn verify<C: Readable>(&self, token: &str) -> Result<C, JwtRefused> {
        let header = decode_header(token).map_err(|_| JwtRefused("the token is not a signed JSON Web Token"))?;
        if header.crit.is_some() {
            return Err(JwtRefused(
                "the token has critical header parameters that are not understood",
            ));
        }
        let keys = Arc::clone(&self.0.keys.read().unwrap_or_else(PoisonError::into_inner));
        let mut refused = JwtRefused("no known key matches the token");
        for key in keys.iter() {
            let is_other = header.kid.is_some() && key.id.is_some() && header.kid != key.id;
            if is_other || key.algorithm != header.alg {
                continue;
            }
            let validation = &self.0.validation;
            // Keys of one algorithm, the usual case, need the same checks for all tokens.
            let validation = match validation.algorithms[..] == [key.algorithm] {
                true => Cow::Borrowed(validation),
                false => Cow::Owned(Validation {
                    algorithms: vec![key.algorithm],
                    ..validation.clone()
                }),
            };
            match decode(token, &key.key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => {
                    // The text of an error of the claims quotes a value of the token.
                    tracing::debug!(error = bounded(&error), "rejected a token");
                    refused = JwtRefused(reason(error.kind()));
                    if !matches!(error.kind(), ErrorKind::InvalidSignature) {
                        break;
                    }
                }
            }
        }
        Err(refused)
    }
}

impl fmt::Debug for JwtVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        let algorithms: Vec<Algorithm> = keys.iter().map(|key| key.algorithm).collect();
        f.debug_struct("JwtVerifier")
            .field("keys", &algorithms)
            .finish_non_exhaustive()
    }
}

fn keys_of_set(json: &str) -> Result<Arc<[VerificationKey]>, JwtKeyError> {
    let set: JwkSet =
        serde_json::from_str(json).map_err(|error| JwtKeyError(format!("the key set cannot be read: {error}")))?;
    let mut keys = Vec::new();
    for jwk in &set.keys {
        let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS384)) => Algorithm::RS384,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS512)) => Algorithm::RS512,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS256)) => Algorithm::PS256,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS384)) => Algorithm::PS384,
            (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS512)) => Algorithm::PS512,
            (AlgorithmParameters::EllipticCurve(curve), None | Some(KeyAlgorithm::ES256))
                if curve.curve == EllipticCurve::P256 =>
            {
                Algorithm::ES256
            }
            (AlgorithmParameters::EllipticCurve(curve), None | Some(KeyAlgorithm::ES384))
                if curve.curve == EllipticCurve::P384 =>
            {
                Algorithm::ES384
            }
            (AlgorithmParameters::OctetKeyPair(_), None | Some(KeyAlgorithm::EdDSA)) => Algorithm::EdDSA,
            _ => continue,
        };
        let operations = jwk.common.key_operations.as_deref();
        let verifies = operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify));
        if !is_for_signatures || !verifies {
            continue;
        }
        match DecodingKey::from_jwk(jwk) {
            Ok(key) => keys.push(VerificationKey {
                id: jwk.common.key_id.clone(),
                algorithm,
                key,
            }),
            // The other keys of the set are used (RFC 7517, section 5).
            Err(error) => {
                let id = jwk.common.key_id.as_deref();
                tracing::warn!(id, %error, "a key of the set cannot be read and is ignored");
            }
        }
    }
    if keys.is_empty() {
        return Err(JwtKeyError(
            "no key of the set is a public key for signatures: expected a key of type RSA, EC or OKP".to_owned(),
        ));
    }
    Ok(keys.into())
}

/// Rejects a secret that is too short for HS256.
pub(super) fn long_enough(secret: &[u8]) -> Result<(), JwtKeyError> {
    match secret.len() {
        SHORTEST_SECRET_BYTES.. => Ok(()),
        length => Err(JwtKeyError(format!(
            "the secret for HS256 has {length} bytes, but at least {SHORTEST_SECRET_BYTES} are required: create one with `openssl rand -base64 48`"
        ))),
    }
}

/// The reason for a rejected token, in a form that may be disclosed to the client.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a required claim: exp, iss or aud",
        ErrorKind::InvalidSignature => "the signature of the token is wrong",
        ErrorKind::Json(_) | ErrorKind::InvalidClaimFormat(_) => {
            "a claim of the token is missing or has an invalid value"
        }
        _ => "the token cannot be verified",
    }
}

/// The reason why a token is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwtRefused(&'static str);

impl fmt::Display for JwtRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for JwtRefused {}

/// The reason why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtKeyError(String);

impl JwtKeyError {
    pub(super) fn of(error: jsonwebtoken::errors::Error) -> Self {
        JwtKeyError(format!("the key cannot be read: {error}"))
    }
}

impl fmt::Display for JwtKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JwtKeyError {}
