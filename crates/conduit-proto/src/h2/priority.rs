//! Priorities of requests (RFC 9218).

/// The priority of a response (RFC 9218, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// The urgency, from 0, the most urgent, to 7. Default: 3.
    pub urgency: u8,
    /// The client can process parts of the response as they arrive. Default: false.
    pub incremental: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self {
            urgency: 3,
            incremental: false,
        }
    }
}

impl Priority {
    /// Parses the value of the field `priority`, a dictionary (RFC 8941, section 3.2). Unknown members, parameters, and
    /// values of another type are ignored. The last occurrence of a repeated member counts.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let mut priority = Self::default();
        for member in value.split(|&byte| byte == b',') {
            let member = member.split(|&byte| byte == b';').next().unwrap_or_default();
            match member.trim_ascii() {
                [b'u', b'=', digit @ b'0'..=b'7'] => priority.urgency = digit - b'0',
                b"i" | b"i=?1" => priority.incremental = true,
                b"i=?0" => priority.incremental = false,
                _ => {}
            }
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_and_types_are_ignored() {
        for (value, urgency, incremental) in [
            ("", 3, false),
            ("u=0", 0, false),
            ("u=7, i", 7, true),
            ("i,u=1", 1, true),
            ("u=2;x=1 , i=?1;y", 2, true),
            ("i, i=?0", 3, false),
            ("u=8, i=1, foo=\"a\"", 3, false),
            ("u=1,u=5", 5, false),
            ("U=1", 3, false),
        ] {
            let priority = Priority::parse(value.as_bytes());
            assert_eq!(
                (priority.urgency, priority.incremental),
                (urgency, incremental),
                "{value}"
            );
        }
    }
}
