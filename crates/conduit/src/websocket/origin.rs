//! The origins whose pages may open a WebSocket (RFC 6454; RFC 6455, section 10.2).

use crate::origin::PageOrigin;

/// The permitted origins.
#[derive(Debug)]
pub(super) enum PermittedOrigins {
    /// The origin of the request itself.
    Own,
    /// The origin of the request, and these.
    Listed(Vec<String>),
    Any,
}

impl PermittedOrigins {
    pub(super) fn permit(&self, origin: &PageOrigin) -> bool {
        match self {
            PermittedOrigins::Any => true,
            PermittedOrigins::Own => origin.is_own(),
            PermittedOrigins::Listed(listed) => origin.is_own() || origin.is_among(listed),
        }
    }
}
