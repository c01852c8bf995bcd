//! A site whose users sign in at an identity provider with OpenID Connect. `docs/guide/sign-in.md` explains it.
//!
//! `ISSUER`, `CLIENT_ID` and `CLIENT_SECRET` are those of the provider, and `SITE` is the address of this site there.

#![forbid(unsafe_code)]

mod application;

use std::env::var;
use std::sync::Arc;

use application::{Provider, ROUTES, Site, security_headers};
use conduit::App;
use conduit::session::Sessions;

fn main() -> conduit::Result {
    let headers = security_headers(&var("ISSUER")?)?;
    let sessions = Sessions::in_memory();
    let open = move || {
        let sessions = sessions.clone();
        async move {
            let (id, secret) = (var("CLIENT_ID")?, var("CLIENT_SECRET")?);
            let provider = Provider::discover(var("ISSUER")?, &id, &secret, var("SITE")?).await?;
            let provider = Arc::new(provider);
            Ok::<_, conduit::Error>(Site { sessions, provider })
        }
    };
    App::open_per_worker(open).routes(ROUTES).layer(headers).run()
}
