//! The policy of a handler for cross-origin requests.

/// The cross-origin requests that a handler accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossOrigin {
    /// All of them: the handler has no [ambient](crate::extract::FromRequest::IS_AMBIENT) extractor.
    Harmless,
    /// Requests with a safe method.
    Rejected,
    /// All of them: the route has the option `cross_origin`.
    Permitted,
}

impl CrossOrigin {
    /// Returns the policy of a handler whose extractors have these values of `FromRequest::IS_AMBIENT`.
    pub const fn of(is_ambient: &[bool]) -> Self {
        let mut place = 0;
        while place < is_ambient.len() {
            if is_ambient[place] {
                return CrossOrigin::Rejected;
            }
            place += 1;
        }
        CrossOrigin::Harmless
    }

    /// Returns the policy of the handler inside of a layer.
    pub(crate) fn in_layer(self, is_ambient: bool) -> Self {
        match self {
            CrossOrigin::Harmless if is_ambient => CrossOrigin::Rejected,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CrossOrigin;

    #[test]
    fn one_ambient_extractor_or_layer_is_enough() {
        assert_eq!(CrossOrigin::of(&[]), CrossOrigin::Harmless);
        assert_eq!(CrossOrigin::of(&[false, true]), CrossOrigin::Rejected);
        assert_eq!(CrossOrigin::Harmless.in_layer(true), CrossOrigin::Rejected);
        assert_eq!(CrossOrigin::Rejected.in_layer(false), CrossOrigin::Rejected);
        assert_eq!(CrossOrigin::Permitted.in_layer(true), CrossOrigin::Permitted);
    }
}
