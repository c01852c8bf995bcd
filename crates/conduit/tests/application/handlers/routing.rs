//! The handler that serves a request: precedence, methods, prefixes.

use conduit::prelude::*;

use super::request;
use crate::support::{Response, Running, serve};

#[get("/users/me")]
fn me() -> &'static str {
    "static"
}

#[get("/users/v{version}")]
fn version(version: Path<String>) -> String {
    format!("prefix {version}")
}

#[get("/users/v{name}.json")]
fn version_file(name: Path<String>) -> String {
    format!("prefix and suffix {name}")
}

#[get("/users/{name}.json")]
fn file(name: Path<String>) -> String {
    format!("suffix {name}")
}

#[get("/users/{id}")]
fn user(id: Path<String>) -> String {
    format!("parameter {id}")
}

#[delete("/users/{id}")]
fn remove(id: Path<String>) -> String {
    format!("removed {id}")
}

#[get("/users/{*rest}")]
fn everything(rest: Path<String>) -> String {
    format!("rest {rest}")
}

#[get("/users/{id}/posts")]
fn posts(id: Path<String>) -> String {
    format!("posts of {id}")
}

#[put("/users/me/posts/{post}")]
fn put_post(post: Path<String>) -> String {
    format!("put {post}")
}

#[route(PROPFIND, "/dav")]
fn find_properties() -> &'static str {
    "properties"
}

#[route("PURGE", "/dav")]
fn purge() -> StatusCode {
    StatusCode::NO_CONTENT
}

#[get("/own")]
fn own_get() -> &'static str {
    "get"
}

#[head("/own")]
fn own_head() -> impl IntoResponse {
    ([("x-own", "head")], "the body of the head")
}

#[options("/own")]
fn own_options() -> impl IntoResponse {
    ([("x-own", "options")], "asked")
}

#[patch("/own")]
fn own_patch() -> &'static str {
    "patch"
}

mod admin {
    use conduit::prelude::*;

    #[get("/")]
    fn index() -> &'static str {
        "admin"
    }

    #[get("/users")]
    fn users() -> &'static str {
        "admin users"
    }

    pub(super) mod audit {
        use conduit::prelude::*;

        #[get("/{day}")]
        pub(crate) fn day(day: Path<u32>) -> String {
            format!("audit of {day}")
        }

        pub(crate) const ROUTES: Routes = routes![day];
    }

    pub(super) const ROUTES: Routes = routes![index, users, "/audit" => audit::ROUTES];
}

const ROUTES: Routes = routes![
    // The least specific routes are first: the order must not matter.
    everything, user, remove, file, version, version_file, me, posts, put_post, find_properties, purge, own_get,
    own_head, own_options, own_patch,
    "/admin" => admin::ROUTES,
    "/v1" => [own_get, "/deep" => [own_patch, "/er" => [me]], "/again" => admin::audit::ROUTES],
];

fn server() -> Running {
    serve(App::new(()).routes(ROUTES))
}

fn ask(server: &Running, method: &str, target: &str) -> Response {
    let mut client = server.connect();
    client.send(request(method, target));
    client.response_to(method)
}

fn assert_reaches(cases: &[(&str, &str, &str)]) {
    let server = server();
    for (method, target, expected) in cases {
        let response = ask(&server, method, target);
        assert_eq!(
            (response.status, response.text()),
            (200, *expected),
            "{method} {target}"
        );
    }
}

#[test]
fn the_most_specific_route_serves() {
    assert_reaches(&[
        ("GET", "/users/me", "static"),
        ("GET", "/users/v7", "prefix 7"),
        ("GET", "/users/v7.json", "prefix and suffix 7"),
        ("GET", "/users/7.json", "suffix 7"),
        ("GET", "/users/7", "parameter 7"),
        ("GET", "/users/v", "parameter v"),
        ("GET", "/users/.json", "parameter .json"),
        ("GET", "/users/7/8", "rest 7/8"),
        ("GET", "/users/me/posts", "posts of me"),
        ("GET", "/users/me/", "rest me/"),
        ("GET", "/users/me?x=/users/7", "static"),
    ]);
}

#[test]
fn a_route_without_the_method_does_not_hide_one_with_it() {
    assert_reaches(&[
        ("DELETE", "/users/me", "removed me"),
        ("DELETE", "/users/v7.json", "removed v7.json"),
        ("GET", "/users/me/posts/1", "rest me/posts/1"),
        ("PUT", "/users/me/posts/1", "put 1"),
    ]);
}

#[test]
fn response_405_lists_the_methods_of_the_path() {
    let server = server();
    for (method, target, allow) in [
        ("PATCH", "/users/me", "DELETE, GET, HEAD, OPTIONS"),
        ("DELETE", "/users/a/b", "GET, HEAD, OPTIONS"),
        ("GET", "/dav", "OPTIONS, PROPFIND, PURGE"),
        ("MKCOL", "/dav", "OPTIONS, PROPFIND, PURGE"),
        ("POST", "/own", "GET, HEAD, OPTIONS, PATCH"),
    ] {
        let response = ask(&server, method, target);
        assert_eq!(response.status, 405, "{method} {target}");
        let mut methods: Vec<_> = response
            .header("allow")
            .expect("a 405 has an allow")
            .split(", ")
            .collect();
        methods.sort_unstable();
        assert_eq!(methods.join(", "), allow, "{method} {target}");
    }
    assert_eq!(
        ask(&server, "GET", "/users/").status,
        404,
        "an empty parameter matches nothing"
    );
    assert_eq!(ask(&server, "GET", "/USERS/me").status, 404, "paths have case");
    assert_eq!(ask(&server, "get", "/users/me").status, 501, "and methods have, too");
    assert_eq!(
        ask(&server, "UNKNOWN", "/dav").status,
        501,
        "neither a standard nor a route defines the method"
    );
    assert_eq!(
        ask(&server, "PURGE", "/users/me").status,
        405,
        "a route of another path defines the method"
    );
}

#[test]
fn any_method_can_have_a_handler() {
    let server = server();
    assert_eq!(ask(&server, "PROPFIND", "/dav").text(), "properties");
    assert_eq!(ask(&server, "PURGE", "/dav").status, 204);
}

#[test]
fn custom_head_and_options_replace_the_automatic_ones() {
    let server = server();
    let response = ask(&server, "HEAD", "/own");
    assert_eq!((response.status, response.header("x-own")), (200, Some("head")));
    assert_eq!(
        response.header("content-length"),
        Some("20"),
        "the length of the body that is not sent"
    );
    let response = ask(&server, "OPTIONS", "/own");
    assert_eq!((response.text(), response.header("x-own")), ("asked", Some("options")));
    let response = ask(&server, "HEAD", "/users/me");
    assert_eq!(
        (response.status, response.header("content-length")),
        (200, Some("6")),
        "as GET has"
    );
    let response = ask(&server, "OPTIONS", "/users/me");
    assert_eq!(response.status, 204);
    assert!(
        response.header("allow").is_some_and(|allow| allow.contains("DELETE")),
        "{response:?}"
    );
}

#[test]
fn lists_are_mounted_under_prefixes_of_any_depth() {
    assert_reaches(&[
        ("GET", "/admin", "admin"),
        ("GET", "/admin/users", "admin users"),
        ("GET", "/admin/audit/20", "audit of 20"),
        ("GET", "/v1/own", "get"),
        ("PATCH", "/v1/deep/own", "patch"),
        ("GET", "/v1/deep/er/users/me", "static"),
        ("GET", "/v1/again/3", "audit of 3"),
    ]);
    let server = server();
    for target in ["/admin/", "/v1", "/v1/deep", "/deep/own", "/admin/audit", "/audit/20"] {
        assert_eq!(ask(&server, "GET", target).status, 404, "{target}");
    }
}

mod comments {
    use conduit::prelude::*;

    #[get("/{id}")]
    fn show(slug: Path<String>, id: Path<u64>) -> String {
        format!("comment {id} on {slug}")
    }

    /// The parameter of the prefix as a type of the application.
    #[get("/")]
    fn list(Path((slug,)): Path<(Slug,)>) -> String {
        format!("comments on {}", slug.0)
    }

    #[put("/{id}")]
    fn without_the_prefix(id: Path<u64>) -> String {
        format!("changed {id}")
    }

    #[delete("/{year}/{id}")]
    fn in_order(all: Path<(u16, u64)>, slug: Option<Path<String>>) -> String {
        format!("removed {:?} of {:?}", all.0, slug.map(|slug| slug.0))
    }

    #[derive(serde::Deserialize, JsonSchema)]
    pub(super) struct Slug(String);

    pub(super) const ROUTES: NestedRoutes = nested_routes![show, list, without_the_prefix, in_order];
}

/// An alias of an extractor.
type EditionNumber = Path<u8>;

#[get("/edition/{number}")]
fn numbered(tenant: Path<String>, number: EditionNumber) -> String {
    format!("{tenant} has edition {number}")
}

#[cfg(any())]
#[get("/absent")]
fn absent() {}

#[get("/present")]
fn present() -> &'static str {
    "present"
}

#[test]
fn a_prefix_may_have_parameters_that_handlers_take_or_not() {
    let server = serve(App::new(()).routes(routes![
        "/articles/{slug}/comments" => comments::ROUTES,
        "/{tenant}/v{version}" => [numbered, "/by/{slug}" => comments::ROUTES],
    ]));
    for (method, target, expected) in [
        ("GET", "/articles/a%20b/comments/7", "comment 7 on a b"),
        ("GET", "/articles/a/comments", "comments on a"),
        ("PUT", "/articles/a/comments/7", "changed 7"),
        (
            "DELETE",
            "/articles/a/comments/2030/7",
            "removed (2030, 7) of Some(\"a\")",
        ),
        ("GET", "/acme/v3/edition/4", "acme has edition 4"),
        ("GET", "/acme/v3/by/ada/7", "comment 7 on ada"),
        ("PUT", "/acme/v3/by/ada/7", "changed 7"),
    ] {
        let response = ask(&server, method, target);
        assert_eq!((response.status, response.text()), (200, expected), "{method} {target}");
    }
    let problem = ask(&server, "GET", "/articles/a/comments/x").problem();
    assert_eq!(problem["status"], 400);
}

#[test]
fn an_entry_with_a_false_condition_does_not_exist() {
    let routes: Routes = routes![
        #[cfg(any())]
        absent,
        #[cfg(all())]
        "/a" => [#[cfg(any())] self::absent, self::present],
        #[cfg(any())]
        "/b" => comments::ABSENT,
        #[cfg(any())]
        #[layer(absent)]
        [present],
        #[cfg(all())]
        "/c" => [present],
    ];
    let paths: Vec<_> = routes.definitions().iter().map(|definition| definition.path).collect();
    assert_eq!(paths, ["/a/present", "/c/present"]);
    assert_eq!(
        ask(&serve(App::new(()).routes(routes)), "GET", "/c/present").text(),
        "present"
    );
}
