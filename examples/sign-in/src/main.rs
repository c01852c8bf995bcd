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
    conduit::log::set_panic_hook();
    let headers = security_headers(&setting("ISSUER")?)?;
    let sessions = Sessions::in_memory();
    let open = move || {
        let sessions = sessions.clone();
        async move {
            let (id, secret) = (setting("CLIENT_ID")?, setting("CLIENT_SECRET")?);
            let provider = Provider::discover(setting("ISSUER")?, &id, &secret, setting("SITE")?).await?;
            let provider = Arc::new(provider);
            Ok::<_, conduit::Error>(Site { sessions, provider })
        }
    };
    App::open_per_worker(open).routes(ROUTES).layer(headers).run()
}

/// The value of an environment variable.
fn setting(name: &str) -> conduit::Result<String> {
    let value = var(name).map_err(|error| format!("{name}: {error}; export the value that the provider has"))?;
    Ok(value)
}
