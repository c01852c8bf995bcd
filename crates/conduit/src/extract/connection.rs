//! Who is at the other end of the connection, where it is more than an address.

use super::FromRequest;
use crate::problem::Problem;
use crate::request::Request;
use http::StatusCode;

/// The process at the other end of a Unix socket, as it was when it connected: unix(7), `SO_PEERCRED`. The system vouches
/// for it. Linux.
///
/// A request that came another way is answered 403; `Option<UnixPeer>` takes both.
///
/// # Example
///
/// A service for one user of the machine:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::UnixPeer;
///
/// #[get("/whoami")]
/// async fn whoami(peer: UnixPeer) -> String {
///     format!("user {} by process {}", peer.user, peer.process)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnixPeer {
    /// The process's number; 0 for one of another container.
    pub process: u32,
    /// The number of the user whose rights it has.
    pub user: u32,
    /// The number of its group.
    pub group: u32,
}

impl UnixPeer {
    pub(crate) fn new(process: u32, user: u32, group: u32) -> Self {
        UnixPeer { process, user, group }
    }
}

fn unix_peer(request: &Request) -> Option<UnixPeer> {
    request.facts()?.unix
}

impl<S> FromRequest<S> for UnixPeer {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        unix_peer(request).ok_or_else(|| {
            Problem::new(StatusCode::FORBIDDEN).with_detail("this is answered over the Unix socket only")
        })
    }

    fn is_absent(request: &Request) -> bool {
        unix_peer(request).is_none()
    }
}
