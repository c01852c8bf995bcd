//! The pages under `docs/` and the README, whose code is compiled and run as doc tests.

macro_rules! pages {
    ($($name:ident = $path:literal;)*) => {$(
        #[doc = include_str!(concat!("../../../", $path))]
        struct $name;
    )*};
}

pages! {
    Readme = "README.md";
    PackageReadme = "crates/conduit/README.md";
    Limits = "docs/limits.md";
    Extractors = "docs/extractors.md";
    Proxies = "docs/proxies.md";
    Guide = "docs/guide/README.md";
}

#[cfg(all(feature = "compression", feature = "tower"))]
pages! {
    Middleware = "docs/middleware.md";
}

#[cfg(feature = "opentelemetry")]
pages! {
    Watching = "docs/watching.md";
}

#[cfg(feature = "tls")]
pages! {
    Deployment = "docs/deployment.md";
}

#[cfg(all(feature = "lock", feature = "testing"))]
pages! {
    OpenApi = "docs/openapi.md";
}

#[cfg(feature = "testing")]
pages! {
    Testing = "docs/testing.md";
    Hello = "docs/guide/01-hello.md";
    Paths = "docs/guide/02-paths.md";
}

#[cfg(all(feature = "hub", feature = "testing", feature = "websocket"))]
pages! {
    Live = "docs/guide/live.md";
}

#[cfg(all(feature = "testing", feature = "mcp"))]
pages! {
    Tools = "docs/guide/tools.md";
}

#[cfg(all(feature = "testing", feature = "reqwest", feature = "openapi"))]
pages! {
    Clients = "docs/guide/clients.md";
}

#[cfg(all(feature = "testing", feature = "openapi"))]
pages! {
    Input = "docs/guide/03-input.md";
    Changes = "docs/guide/changes.md";
    State = "docs/guide/04-state.md";
    Errors = "docs/guide/05-errors.md";
}

#[cfg(all(feature = "testing", feature = "openapi", feature = "validate"))]
pages! {
    Rules = "docs/guide/06-rules.md";
    Tests = "docs/guide/07-testing.md";
    Guards = "docs/guide/08-guards.md";
    Describing = "docs/guide/09-openapi.md";
    FromFastApi = "docs/guide/from-fastapi.md";
}

#[cfg(all(feature = "testing", feature = "openapi", feature = "validate", feature = "tls"))]
pages! {
    Deploying = "docs/guide/10-deploy.md";
}

#[cfg(all(feature = "testing", feature = "openapi", feature = "tower", feature = "validate"))]
pages! {
    FromAxum = "docs/guide/from-axum.md";
}

#[cfg(all(feature = "testing", feature = "openapi", feature = "sessions"))]
pages! {
    Sessions = "docs/guide/sessions.md";
}

#[cfg(all(
    feature = "askama",
    feature = "files",
    feature = "minijinja",
    feature = "testing",
    feature = "openapi",
    feature = "sessions",
    feature = "validate"
))]
pages! {
    Forms = "docs/guide/forms.md";
}

#[cfg(all(feature = "testing", feature = "files"))]
pages! {
    Files = "docs/guide/files.md";
}
