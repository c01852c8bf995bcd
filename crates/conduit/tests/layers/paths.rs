//! Layers that change the route of a request.

use conduit::layer::{MethodOverride, TrailingSlash};
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::request;
use crate::support::{Running, serve};

#[get("/about")]
async fn about() -> &'static str {
    "about"
}

#[get("/docs/")]
async fn docs() -> &'static str {
    "docs"
}

#[post("/about")]
async fn post() -> &'static str {
    "posted"
}

#[delete("/about")]
async fn remove() -> &'static str {
    "removed"
}

mod open {
    use super::*;

    #[get("/{*rest}")]
    pub(super) async fn everything(rest: Path<String>) -> String {
        rest.0
    }
}

const ROUTES: Routes = routes![about, docs, post, remove];

fn with(layer: impl Layer) -> Running {
    serve(App::new(()).routes(ROUTES).layer(layer))
}

#[test]
fn a_path_with_a_surplus_or_missing_slash_redirects_to_the_one_with_a_route() {
    let server = with(TrailingSlash::redirect());
    let answer = server.get("/about/?a=1");
    assert_eq!((answer.status, answer.header("location")), (308, Some("../about?a=1")));
    let answer = server.get("/docs");
    assert_eq!((answer.status, answer.header("location")), (308, Some("./docs/")));
    assert_eq!(server.get("/about").text(), "about");
    assert_eq!(server.get("/docs/").text(), "docs");
    assert_eq!(server.get("/nowhere/").status, 404);
    assert_eq!(server.get("/").status, 404);
}

#[test]
fn the_redirect_leads_to_the_route_from_any_segment() {
    #[get("/")]
    async fn root() -> &'static str {
        "root"
    }
    #[get("/notes/{id}")]
    async fn note(id: Path<String>, request: Request) -> String {
        format!("note {} {}", *id, request.uri())
    }
    #[get("/lists/{id}/")]
    async fn list(id: Path<String>, request: Request) -> String {
        format!("list {} {}", *id, request.uri())
    }
    #[get("/deep/{a}/{b}/")]
    async fn deep(both: Path<(String, String)>, request: Request) -> String {
        format!("deep {} {} {}", both.0.0, both.0.1, request.uri())
    }
    let app = App::new(()).routes(routes![root, note, list, deep]);
    let client = TestClient::new(app.layer(TrailingSlash::redirect())).follow_redirects();
    for (target, text) in [
        ("/notes/a/", "note a /notes/a"),
        ("/notes/a:b/?c=/d/../e", "note a:b /notes/a:b?c=/d/../e"),
        ("/notes/%2F%3F%25/", "note /?% /notes/%2F%3F%25"),
        ("/notes/%C3%A4/", "note ä /notes/%C3%A4"),
        ("/notes/.../", "note ... /notes/..."),
        ("/lists/a:b?", "list a:b /lists/a:b/?"),
        ("/lists/%2F?c", "list / /lists/%2F/?c"),
        ("/deep/a/b:c", "deep a b:c /deep/a/b:c/"),
        ("//", "root"),
    ] {
        client.get(target).send().assert_status(200).assert_text(text);
    }
}

#[test]
fn the_slash_can_be_ignored() {
    let server = with(TrailingSlash::ignore());
    assert_eq!(server.get("/about/").text(), "about");
    assert_eq!(server.get("/docs").text(), "docs");
    assert_eq!(server.request(request("POST", "/about/", &[])).text(), "posted");
    assert_eq!(server.get("/nowhere/").status, 404);
}

#[cfg(feature = "openapi")]
#[test]
fn a_built_in_page_has_the_redirect_of_a_route() {
    let app = || App::new(()).routes(ROUTES).docs("/api");
    let client = TestClient::new(app().layer(TrailingSlash::redirect()));
    for (method, target) in [("GET", "/api/"), ("HEAD", "/api/"), ("GET", "/api/openapi.json/")] {
        client.request(method, target).send().assert_status(308);
    }
    client
        .get("/api/?a=1")
        .send()
        .assert_status(308)
        .assert_header("location", "../api?a=1");
    client.get("/api").send().assert_status(200);
    client.post("/api/").undocumented().send().assert_status(404);
    let ignoring = TestClient::new(app().layer(TrailingSlash::ignore()));
    ignoring.get("/api/").send().assert_status(200);
}

#[cfg(feature = "openapi")]
#[test]
fn a_built_in_page_has_no_redirect_to_a_route_with_a_slash() {
    let app = App::new(()).routes(ROUTES).docs("/docs");
    let client = TestClient::new(app.layer(TrailingSlash::redirect()));
    let page = client.get("/docs").send();
    page.assert_status(200)
        .assert_header("content-type", "text/html; charset=utf-8");
    client.get("/docs/").send().assert_text("docs");
}

#[test]
fn no_redirect_leads_to_another_host() {
    #[get("/{a}/{b}")]
    async fn pair(_both: Path<(String, String)>) {}

    let server = serve(
        App::new(())
            .routes(routes![pair, "/open" => [open::everything]])
            .layer(TrailingSlash::redirect()),
    );
    for target in [
        "//evil.example/",
        "//evil.example//",
        "/%2F/evil.example/",
        "/a/\\evil.example/",
        "/a/https:%2F%2Fevil.example/",
        "/a/https:evil.example/",
    ] {
        let answer = server.get(target);
        assert!(
            answer
                .header("location")
                .is_none_or(|location| location.starts_with("../") && !location.contains('\\')),
            "{target}: {answer:?}"
        );
    }
}

#[test]
fn post_overrides_its_method_if_that_is_enabled() {
    let field = ("x-http-method-override", "DELETE");
    let plain = serve(App::new(()).routes(ROUTES));
    assert_eq!(plain.request(request("POST", "/about", &[field])).text(), "posted");
    let server = with(MethodOverride::new());
    assert_eq!(server.request(request("POST", "/about", &[field])).text(), "removed");
    assert_eq!(server.request(request("GET", "/about", &[field])).text(), "about");
    assert_eq!(server.request(request("POST", "/about", &[])).text(), "posted");
    let refused = server.request(request("POST", "/about", &[(field.0, "CONNECT")]));
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.problem()["detail"],
        "invalid x-http-method-override \"CONNECT\": expected PUT, PATCH or DELETE, in upper case"
    );
}
