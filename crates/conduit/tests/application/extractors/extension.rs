//! Values that layers attach.

use conduit::Extension;
use conduit::prelude::*;

use crate::support::serve;

#[derive(Clone, Debug)]
struct Tenant(&'static str);

async fn with_tenant(mut request: Request, next: Next) -> Response {
    if request.header("x-tenant").is_some() {
        request.extensions_mut().insert(Tenant("acme"));
    }
    next.run(request).await
}

#[get("/needed")]
fn needed(tenant: Extension<Tenant>) -> &'static str {
    tenant.0.0
}

#[get("/wanted")]
fn wanted(tenant: Option<Extension<Tenant>>) -> String {
    format!("{:?}", tenant.map(|tenant| tenant.0.0))
}

#[test]
fn an_extension_of_a_layer_reaches_the_handler() {
    let server = serve(App::new(()).layer(with_tenant).routes(routes![needed, wanted]));
    for (path, text) in [("/needed", "acme"), ("/wanted", "Some(\"acme\")")] {
        let response = server.request(format!("GET {path} HTTP/1.1\r\nhost: test\r\nx-tenant: 1\r\n\r\n"));
        assert_eq!(response.text(), text);
    }
    assert_eq!(server.get("/wanted").text(), "None");
}

#[test]
fn missing_extension_is_a_server_error_with_the_remedy() {
    let server = serve(
        App::new(())
            .development(true)
            .layer(with_tenant)
            .routes(routes![needed]),
    );
    let response = server.get("/needed");
    assert_eq!(response.status, 500);
    let detail = response.problem()["detail"].to_string();
    assert!(detail.contains("extension::Tenant"), "{detail}");
    assert!(detail.contains("request.extensions_mut().insert"), "{detail}");

    let server = serve(App::new(()).development(false).routes(routes![needed]));
    assert!(server.get("/needed").problem().get("detail").is_none());
}
