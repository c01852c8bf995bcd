//! `JwtSigner`: signs the tokens that a `JwtVerifier` accepts (RFC 7519).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::jwt::{JwtKeyError, long_enough};

/// The lifetime of a token unless one is [set](JwtSigner::lifetime).
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Signs JSON Web Tokens with one key.
///
/// A token has the claims that [`sign`](JwtSigner::sign) takes, `iat` and `exp`, and the issuer and audience of the signer.
/// Clones share the key, so a signer can be a part of the application's state.
///
/// # Example
///
/// A login that returns a token, with the secret that the [`JwtVerifier`](crate::JwtVerifier) has:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::JwtSigner;
///
/// #[derive(serde::Serialize)]
/// struct Claims {
///     sub: String,
/// }
///
/// #[post("/login")]
/// async fn login(signer: State<JwtSigner>) -> Result<String, Problem> {
///     Ok(signer.sign(&Claims { sub: "ada".to_owned() })?)
/// }
///
/// fn main() -> conduit::Result {
///     let signer = JwtSigner::hs256(b"a secret of at least thirty-two bytes")?
///         .issuer("https://login.example")
///         .audience("orders");
///     let app = App::new(signer).routes(routes![login]);
/// #   Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct JwtSigner {
    key: Arc<EncodingKey>,
    header: Header,
    issuer: Option<String>,
    audience: Option<String>,
    lifetime: Duration,
}

impl JwtSigner {
    /// Signs by HMAC with SHA-256.
    ///
    /// # Errors
    ///
    /// Returns an error if the secret is shorter than 32 bytes (RFC 7518, section 3.2).
    pub fn hs256(secret: &[u8]) -> Result<Self, JwtKeyError> {
        long_enough(secret)?;
        Ok(JwtSigner::new(Algorithm::HS256, EncodingKey::from_secret(secret)))
    }

    /// Signs by RSASSA-PKCS1-v1_5 with SHA-256; the private key in PEM.
    ///
    /// # Errors
    ///
    /// Returns an error if the text does not contain an RSA private key.
    pub fn rs256(private_key_pem: &str) -> Result<Self, JwtKeyError> {
        let key = EncodingKey::from_rsa_pem(private_key_pem.as_bytes());
        key.map(|key| JwtSigner::new(Algorithm::RS256, key))
            .map_err(JwtKeyError::of)
    }

    /// Signs by ECDSA with P-256 and SHA-256; the private key in PEM (PKCS #8).
    ///
    /// # Errors
    ///
    /// Returns an error if the text does not contain a private key on an elliptic curve.
    pub fn es256(private_key_pem: &str) -> Result<Self, JwtKeyError> {
        let key = EncodingKey::from_ec_pem(private_key_pem.as_bytes());
        key.map(|key| JwtSigner::new(Algorithm::ES256, key))
            .map_err(JwtKeyError::of)
    }

    /// Signs by Ed25519; the private key in PEM (PKCS #8).
    ///
    /// # Errors
    ///
    /// Returns an error if the text does not contain an Ed25519 private key.
    pub fn eddsa(private_key_pem: &str) -> Result<Self, JwtKeyError> {
        let key = EncodingKey::from_ed_pem(private_key_pem.as_bytes());
        key.map(|key| JwtSigner::new(Algorithm::EdDSA, key))
            .map_err(JwtKeyError::of)
    }

    fn new(algorithm: Algorithm, key: EncodingKey) -> Self {
        JwtSigner {
            key: Arc::new(key),
            header: Header::new(algorithm),
            issuer: None,
            audience: None,
            lifetime: LIFETIME,
        }
    }

    /// Sets the `kid` in the header of each token, by which a verifier selects the key. Default: none.
    pub fn key_id(mut self, id: &str) -> Self {
        self.header.kid = Some(id.to_owned());
        self
    }

    /// Sets the claim `iss` of each token. Default: none.
    pub fn issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// Sets the claim `aud` of each token. Default: none.
    pub fn audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.to_owned());
        self
    }

    /// Sets the time from signing to the claim `exp`, in whole seconds. Default: 15 minutes.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Signs a token with these claims, which serialize as a JSON object. They take precedence over the signer's claims of the same
    /// name.
    ///
    /// # Errors
    ///
    /// Returns an error if the claims are not a JSON object, or if the key cannot sign.
    pub fn sign<C: Serialize>(&self, claims: &C) -> Result<String, JwtSignError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut all = Map::new();
        all.insert("iat".to_owned(), now.as_secs().into());
        all.insert("exp".to_owned(), now.saturating_add(self.lifetime).as_secs().into());
        let named = [("iss", &self.issuer), ("aud", &self.audience)];
        all.extend(
            named
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))),
        );
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => all.extend(claims),
            Ok(_) => {
                return Err(JwtSignError(
                    "the claims are not a JSON object: sign a struct or a map".to_owned(),
                ));
            }
            Err(error) => return Err(JwtSignError(format!("the claims cannot be serialized: {error}"))),
        }
        encode(&self.header, &all, &self.key)
            .map_err(|error| JwtSignError(format!("the key cannot sign a token: {error}")))
    }
}

impl fmt::Debug for JwtSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSigner")
            .field("algorithm", &self.header.alg)
            .finish_non_exhaustive()
    }
}

/// The reason why a token cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtSignError(String);

impl fmt::Display for JwtSignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JwtSignError {}
