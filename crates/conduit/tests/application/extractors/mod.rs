//! Extractors besides path, query and body, at the socket.

#[cfg(feature = "cookies")]
mod cookie_values;
#[cfg(feature = "cookies")]
mod cookies;
mod extension;
#[cfg(all(feature = "multipart", feature = "openapi"))]
mod multipart;
#[cfg(feature = "openapi")]
mod nested;
mod paging;
mod pairs;
mod pairs_twin;
#[cfg(all(feature = "testing", feature = "validate"))]
mod submission;
#[cfg(feature = "validate")]
mod valid;
