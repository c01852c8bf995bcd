//! What both servers read and answer.

use std::sync::LazyLock;

use conduit::JsonSchema;
use serde::{Deserialize, Serialize};

/// A body.
#[derive(Deserialize, Serialize, JsonSchema)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) year: u32,
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    pub(crate) active: bool,
}

/// A query.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Page {
    pub(crate) page: u32,
    pub(crate) size: u32,
    pub(crate) sort: String,
}

/// What the layers that only set a field set: as many as `SecurityHeaders` does.
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
