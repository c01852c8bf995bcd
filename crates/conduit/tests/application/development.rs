//! The details that an application in development reports about unmatched requests, and their absence in
//! production.

use conduit::prelude::*;

use crate::support::{Response as Answer, Running, serve};

/// The line of the attribute that follows.
const SHOW_LINE: u32 = line!() + 1;
#[get("/users/{id}")]
async fn show(id: Path<u64>) -> Result<String, Problem> {
    match *id {
        0 => Err(Problem::not_found("no user has the id 0")),
        id => Ok(id.to_string()),
    }
}

#[get("/users")]
async fn list() -> &'static str {
    "all users"
}

#[post("/users")]
async fn create(names: Json<Vec<String>>) -> String {
    names.join(" ")
}

fn server(development: bool) -> Running {
    let routes = routes![show, list, create];
    serve(App::new(()).routes(routes).development(development))
}

/// The response to a browser.
fn browse(server: &Running, line: &str) -> Answer {
    server.request(format!(
        "{line} HTTP/1.1\r\nhost: test\r\naccept: text/html,application/xhtml+xml,*/*;q=0.8\r\ncontent-length: 0\r\n\r\n"
    ))
}

#[test]
fn a_path_without_a_route_names_the_nearest_one_and_the_reason() {
    let problem = server(true).get("/user/7").problem();
    assert_eq!(problem["status"], 404);
    let nearest = &problem["nearest"][0];
    assert_eq!(nearest["method"], "GET");
    assert_eq!(nearest["path"], "/users/{id}");
    assert!(nearest["handler"].as_str().unwrap().ends_with("show"));
    assert!(nearest["file"].as_str().unwrap().ends_with("development.rs"));
    assert_eq!(nearest["line"], SHOW_LINE);
    assert_eq!(nearest["because"], r#"segment 1 is "user", the route has "users""#);
    let slash = server(true).get("/users/").problem();
    assert_eq!(
        slash["nearest"][0]["because"],
        "the path ends in a slash, the route does not"
    );
}

#[test]
fn a_path_without_a_similar_route_has_an_empty_list() {
    let problem = server(true).get("/wp-login.php").problem();
    assert_eq!(problem["nearest"], serde_json::json!([]));
}

#[test]
fn a_wrong_method_names_the_routes_of_the_path() {
    let answer = server(true).request("DELETE /users HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    let problem = answer.problem();
    assert_eq!(problem["status"], 405);
    let because = |place: usize| problem["nearest"][place]["because"].as_str().unwrap().to_owned();
    assert_eq!(because(0), "the method is DELETE, the route has GET");
    assert_eq!(because(1), "the method is DELETE, the route has POST");
}

#[test]
fn rejection_of_an_argument_names_the_route() {
    let server = server(true);
    for (request, status, handler) in [
        (
            "POST /users HTTP/1.1\r\nhost: test\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n[]",
            415,
            "create",
        ),
        (
            "POST /users HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            422,
            "create",
        ),
    ] {
        let problem = server.request(request).problem();
        assert_eq!(problem["status"], status);
        assert!(
            problem["route"]["handler"].as_str().unwrap().ends_with(handler),
            "{problem}"
        );
    }
    let problem = server.get("/users/seven").problem();
    assert_eq!(problem["route"]["path"], "/users/{id}", "{problem}");
    // A handler's 404 is unrelated to routes.
    let problem = server.get("/users/0").problem();
    assert!(problem.get("nearest").is_none(), "{problem}");
}

#[test]
fn a_browser_gets_a_page() {
    let server = server(true);
    let page = browse(&server, "GET /user/7");
    assert_eq!(page.status, 404);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'none'")
    );
    assert_eq!(page.header("vary"), Some("accept"));
    let text = page.text();
    assert!(text.contains("<code>GET /users/{id}</code>"), "{text}");
    assert!(text.contains("segment 1 is &quot;user&quot;"), "{text}");
    let wrong_method = browse(&server, "DELETE /users");
    assert_eq!(wrong_method.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    assert!(wrong_method.text().contains("the method is DELETE"));
    assert!(
        browse(&server, "POST /users")
            .text()
            .contains("The route that rejected it")
    );
}

#[test]
fn a_client_that_prefers_json_gets_no_page() {
    let server = server(true);
    for accept in [
        "*/*",
        "application/json, text/html;q=0.9",
        "text/html;q=0",
        "application/problem+json;q=0.9, text/html;q=0.8",
    ] {
        let answer = server.request(format!(
            "GET /user/7 HTTP/1.1\r\nhost: test\r\naccept: {accept}\r\n\r\n"
        ));
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{accept}"
        );
    }
}

#[test]
fn hostile_paths_are_escaped_and_truncated_in_the_page() {
    let server = server(true);
    for path in [
        "/users/<script>alert(1)</script>/x".to_owned(),
        "/users/%3Cscript%3E/'\"&x".to_owned(),
        format!("/{}", "<b>'\"".repeat(1600)),
        format!("/users/{}", "%00".repeat(2700)),
        format!("/{}", "/".repeat(8000)),
    ] {
        let answer = browse(&server, &format!("GET {path}"));
        let text = answer.text();
        assert!(text.len() < 16 * 1024, "{} bytes", text.len());
        let body = text.split_once("</style>").map_or(text, |page| page.1);
        for markup in ["<script", "<b>", "'\""] {
            assert!(!body.contains(markup), "{markup} of {path} in {body}");
        }
    }
}

/// A problem of the application that has members with the same names.
#[get("/own")]
async fn own() -> Problem {
    let route = serde_json::json!({"line": "<script>", "path": "<script>", "because": "<script>"});
    Problem::not_found("<script>")
        .with("nearest", serde_json::json!([route, "<script>"]))
        .with("route", route)
        .with("<script>", "<script>")
        .with_header(conduit::http::header::VARY, HeaderValue::from_static("origin"))
}

#[test]
fn members_of_the_application_are_escaped_in_the_page() {
    let server = serve(App::new(()).routes(routes![own]).development(true));
    let page = browse(&server, "GET /own");
    let vary = page.headers.iter().filter(|(name, _)| name == "vary");
    assert_eq!(
        vary.map(|(_, value)| &**value).collect::<Vec<_>>(),
        ["origin", "accept"]
    );
    assert!(!page.text().contains("<script>"), "{}", page.text());
}

/// An application whose errors have another form, with a custom page or without.
fn with_form(has_page: bool) -> Running {
    let app = App::new(()).routes(routes![show]).development(true);
    serve(app.errors(move |problem, context| {
        if has_page && context.wants_html() {
            return (problem.status(), Html("<h1>ours</h1>")).into_response();
        }
        (problem.status(), Json(problem.status().as_u16())).into_response()
    }))
}

#[test]
fn a_browser_gets_the_page_unless_the_form_of_errors_has_one() {
    let server = with_form(false);
    let page = browse(&server, "GET /users/0");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("no user has the id 0"), "{}", page.text());
    assert_eq!(page.header("vary"), Some("accept"));
    let other = server.get("/users/0");
    assert_eq!((other.status, other.text()), (404, "404"));
    assert_eq!(other.header("vary"), Some("accept"));
    let own = browse(&with_form(true), "GET /users/0");
    assert_eq!((own.status, own.text()), (404, "<h1>ours</h1>"));
}

#[test]
fn production_discloses_no_details() {
    let server = server(false);
    for line in ["GET /user/7", "DELETE /users", "POST /users", "GET /users/seven"] {
        let answer = browse(&server, line);
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json"),
            "{line}"
        );
        let problem = answer.problem();
        for member in ["nearest", "route", "causes"] {
            assert!(problem.get(member).is_none(), "{line}: {problem}");
        }
        assert!(!answer.text().contains("development.rs"), "{line}");
    }
}
