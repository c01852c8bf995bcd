//! The requests and responses of both servers.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use conduit::JsonSchema;
use garde::Validate;
use serde::{Deserialize, Serialize};

/// The key for tokens and cookies.
pub(crate) const SECRET: &str = "a secret of at least sixty-four bytes, which is what a key of cookies has";

/// A body.
#[derive(Deserialize, Serialize, JsonSchema)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) year: u32,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    pub(crate) active: bool,
}

/// A body with rules.
#[derive(Deserialize, JsonSchema, Validate)]
pub(crate) struct Checked {
    #[garde(length(min = 1, max = 100))]
    pub(crate) name: String,
    #[garde(range(min = 1000, max = 3000))]
    pub(crate) year: u32,
    #[serde(default)]
    #[garde(skip)]
    pub(crate) tags: Vec<String>,
    #[garde(skip)]
    pub(crate) active: bool,
}

/// The value that a layer attaches.
#[derive(Clone)]
pub(crate) struct Tenant(pub(crate) u32);

/// The claims of a token.
#[derive(Deserialize, Serialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) exp: u64,
}

/// A token that is valid for a day.
pub(crate) fn token() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let claims = Claims {
        sub: "ada".to_owned(),
        exp: (now + Duration::from_secs(86_400)).as_secs(),
    };
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("claims are JSON")
}

/// A query.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Page {
    pub(crate) page: u32,
    pub(crate) size: u32,
    pub(crate) sort: String,
}

/// The header fields of the layers: as many as `SecurityHeaders` sets.
pub(crate) const FIELDS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// 8 KiB of JSON.
pub(crate) static LARGE: LazyLock<String> = LazyLock::new(|| {
    let rows: Vec<String> = (0..128)
        .map(|id| {
            format!(
                "{{\"id\":{id},\"name\":\"item number {id}\",\"price\":{}.99,\"stock\":true}}",
                id * 7
            )
        })
        .collect();
    format!("[{}]", rows.join(","))
});
