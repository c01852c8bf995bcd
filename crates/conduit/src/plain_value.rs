//! Values of header fields that an application configures.

use http::HeaderValue;

/// Converts a value of visible ASCII and spaces, which every recipient reads in the same way (RFC 9110, section 5.5).
///
/// # Panics
///
/// Panics if the value has any other character. The message has the value and the name of the field.
#[track_caller]
pub(crate) fn plain_value(name: &str, value: &str) -> HeaderValue {
    let is_plain = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    assert!(
        is_plain,
        "{value:?} is not a valid value of {name}: use visible ASCII and spaces"
    );
    HeaderValue::try_from(value).expect("visible ASCII and spaces are allowed in a header field")
}
