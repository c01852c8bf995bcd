//! The heads of parts in `multipart/form-data` (RFC 7578).

/// Returns a name for a quoted parameter of `content-disposition`, escaped as browsers do (WHATWG HTML, section 4.10.21.8).
pub fn escaped_name(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
