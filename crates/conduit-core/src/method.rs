//! The properties of methods.

use http::Method;

/// Returns whether the method is safe: it requests no change (RFC 9110, section 9.2.1). An unknown method is not.
pub fn is_safe(method: &str) -> bool {
    Method::from_bytes(method.as_bytes()).is_ok_and(|method| method.is_safe())
}

#[cfg(test)]
mod tests {
    #[test]
    fn methods_that_only_read_are_safe() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"] {
            assert!(super::is_safe(method), "{method}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "get", ""] {
            assert!(!super::is_safe(method), "{method}");
        }
    }
}
