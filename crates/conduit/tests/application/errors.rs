//! Errors in one form, at the socket: the problem that an error becomes, the parts that the client sees, and its layout.

use std::fmt;

use conduit::BoxError;
use conduit::prelude::*;
use conduit::problem::ErrorContext;

use crate::support::{Running, serve};

/// An error with a source, as in a library.
#[derive(Debug)]
struct Broken(std::num::ParseIntError);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the machine is broken")
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn broken() -> Result<String, Broken> {
    "x".parse::<u8>().map(|number| number.to_string()).map_err(Broken)
}

#[get("/error")]
async fn error() -> Result<String, Problem> {
    Ok(broken()?)
}

#[get("/boxed")]
async fn boxed() -> Result<String, Problem> {
    fn inner() -> Result<String, BoxError> {
        Ok(broken()?)
    }
    Ok(inner()?)
}

#[get("/anyhow")]
async fn with_anyhow() -> Result<String, Problem> {
    use anyhow::Context;
    Ok(broken().context("while starting the machine")?)
}

#[get("/panic")]
async fn panic() {
    panic!("the machine exploded");
}

#[derive(Debug, Problem)]
enum OrderError {
    #[problem(
        status = 404,
        title = "No such order",
        type = "https://example.org/problems/no-order",
        detail = "no order has the id {id}, {{not}} even {id:>4}"
    )]
    NotFound { id: u64 },
    #[problem(status = StatusCode::CONFLICT, detail = "{0} was sold to {1}")]
    Sold(String, String),
    #[problem(status = 422, detail = "at most {limit} may be ordered")]
    TooMany {
        #[problem(member)]
        limit: u32,
        #[problem(member = "ordered")]
        wanted: Vec<u32>,
    },
    #[problem(status = 503, title = "The machine is down")]
    Machine(#[problem(from)] Broken),
    #[problem(status = 502)]
    Gateway { source: BoxError },
    #[problem(transparent)]
    Other(#[problem(from)] anyhow::Error),
    #[problem(status = 410)]
    Gone,
}

#[derive(Debug, Problem)]
#[problem(status = 402, detail = "{amount} more")]
struct Unpaid {
    amount: u32,
}

#[derive(Debug, Problem)]
enum OuterError {
    #[problem(transparent)]
    Order(#[problem(from)] OrderError),
}

/// An error that is a `std::error::Error` as well, by `thiserror`.
#[derive(Debug, thiserror::Error, Problem)]
enum StockError {
    #[error("no article has the number {0}")]
    #[problem(status = 404, title = "No such article", detail)]
    NotFound(u64),
    #[error("the warehouse does not respond")]
    #[problem(status = 503)]
    Warehouse(#[from] Broken),
    #[error(transparent)]
    #[problem(transparent)]
    Order(#[from] Teapot),
    #[error("sold out until {until}")]
    #[problem(status = 409, detail = "sold out until {until}")]
    SoldOut {
        #[problem(member)]
        until: u16,
    },
}

/// The same with an implementation by hand.
#[derive(Debug, Problem)]
#[problem(std_error, status = 418, detail)]
struct Teapot(#[from] std::num::ParseIntError);

impl fmt::Display for Teapot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("short and stout")
    }
}

impl std::error::Error for Teapot {}

fn stock(how: &str) -> Result<&'static str, StockError> {
    match how {
        "none" => return Err(StockError::NotFound(7)),
        "machine" => {
            broken()?;
        }
        "order" => "x".parse::<u8>().map(|_| ()).map_err(Teapot::from)?,
        _ => {}
    }
    Err(StockError::SoldOut { until: 2030 })
}

#[get("/stock/{how}")]
async fn stock_itself(how: Path<String>) -> Result<&'static str, StockError> {
    stock(&how)
}

#[get("/stock-by-question-mark/{how}")]
async fn stock_by_question_mark(how: Path<String>) -> Result<&'static str, Problem> {
    Ok(stock(&how)?)
}

fn fail(how: &str) -> Result<&'static str, OrderError> {
    Err(match how {
        "none" => OrderError::NotFound { id: 7 },
        "sold" => OrderError::Sold("the lamp".to_owned(), "Ada".to_owned()),
        "many" => OrderError::TooMany {
            limit: 3,
            wanted: vec![2, 4],
        },
        "machine" => {
            broken()?;
            OrderError::Gone
        }
        "gateway" => OrderError::Gateway {
            source: "no route to it".into(),
        },
        "other" => anyhow::anyhow!("a secret").into(),
        _ => OrderError::Gone,
    })
}

#[get("/derived/{how}")]
async fn derived(how: Path<String>) -> Result<&'static str, OrderError> {
    fail(&how)
}

#[get("/by-question-mark/{how}")]
async fn by_question_mark(how: Path<String>) -> Result<&'static str, Problem> {
    Ok(fail(&how)?)
}

#[get("/through-a-box/{how}")]
async fn through_a_box(how: Path<String>) -> Result<&'static str, Problem> {
    fn inner(how: &str) -> Result<&'static str, BoxError> {
        Ok(fail(how)?)
    }
    Ok(inner(&how)?)
}

#[get("/outer/{how}")]
async fn outer(how: Path<String>) -> Result<&'static str, OuterError> {
    Ok(fail(&how)?)
}

#[get("/unpaid")]
async fn unpaid() -> Result<String, Unpaid> {
    Err(Unpaid { amount: 12 })
}

#[post("/length")]
async fn length(body: Bytes) -> String {
    body.len().to_string()
}

#[get("/later")]
async fn later() -> Problem {
    tokio::task::yield_now().await;
    Problem::conflict("later").with_header(conduit::http::header::RETRY_AFTER, HeaderValue::from_static("7"))
}

const ROUTES: Routes = routes![
    error,
    boxed,
    with_anyhow,
    panic,
    derived,
    by_question_mark,
    through_a_box,
    outer,
    unpaid,
    length,
    later,
    stock_itself,
    stock_by_question_mark,
];

fn server(development: bool) -> Running {
    serve(App::new(()).routes(ROUTES).development(development))
}

#[test]
fn any_error_is_a_500_whose_text_the_client_does_not_see_in_production() {
    let server = server(false);
    for target in ["/error", "/boxed", "/anyhow", "/panic"] {
        let response = server.get(target);
        assert_eq!(response.status, 500, "{target}");
        assert_eq!(
            response.text(),
            r#"{"title":"Internal Server Error","status":500}"#,
            "{target}"
        );
    }
}

#[test]
fn in_development_the_client_sees_the_error_with_its_sources() {
    let server = server(true);
    let digit = "invalid digit found in string";
    for (target, causes) in [
        ("/error", vec!["the machine is broken", digit]),
        ("/boxed", vec!["the machine is broken", digit]),
        (
            "/anyhow",
            vec!["while starting the machine", "the machine is broken", digit],
        ),
        (
            "/panic",
            vec!["the handling of the request panicked: the machine exploded"],
        ),
    ] {
        let problem = server.get(target).problem();
        assert_eq!(problem["detail"], causes.join(": "), "{target}");
        assert_eq!(problem["causes"], serde_json::json!(causes), "{target}");
    }
}

#[test]
fn an_error_of_thiserror_keeps_its_status_through_a_question_mark() {
    let (server, verbose) = (server(false), server(true));
    for way in ["stock", "stock-by-question-mark"] {
        for (how, expected) in [
            (
                "none",
                serde_json::json!({"title": "No such article", "status": 404, "detail": "no article has the number 7"}),
            ),
            (
                "machine",
                serde_json::json!({"title": "Service Unavailable", "status": 503}),
            ),
            (
                "order",
                serde_json::json!({"title": "I'm a teapot", "status": 418, "detail": "short and stout"}),
            ),
            (
                "sold",
                serde_json::json!({
                    "title": "Conflict",
                    "status": 409,
                    "detail": "sold out until 2030",
                    "until": 2030,
                }),
            ),
        ] {
            let response = server.get(&format!("/{way}/{how}"));
            assert_eq!(response.problem(), expected, "{way} {how}");
        }
        let problem = verbose.get(&format!("/{way}/machine")).problem();
        let causes = [
            "the warehouse does not respond",
            "the machine is broken",
            "invalid digit found in string",
        ];
        assert_eq!(problem["causes"], serde_json::json!(causes), "{way}");
    }
}

#[test]
fn derived_problem_keeps_its_attributes_on_every_path() {
    let server = server(false);
    for way in ["derived", "by-question-mark", "through-a-box", "outer"] {
        for (how, expected) in [
            (
                "none",
                serde_json::json!({
                    "type": "https://example.org/problems/no-order",
                    "title": "No such order",
                    "status": 404,
                    "detail": "no order has the id 7, {not} even    7",
                }),
            ),
            (
                "sold",
                serde_json::json!({"title": "Conflict", "status": 409, "detail": "the lamp was sold to Ada"}),
            ),
            (
                "many",
                serde_json::json!({
                    "title": "Unprocessable Entity",
                    "status": 422,
                    "detail": "at most 3 may be ordered",
                    "limit": 3,
                    "ordered": [2, 4],
                }),
            ),
            (
                "machine",
                serde_json::json!({"title": "The machine is down", "status": 503}),
            ),
            ("gateway", serde_json::json!({"title": "Bad Gateway", "status": 502})),
            (
                "other",
                serde_json::json!({"title": "Internal Server Error", "status": 500}),
            ),
            ("gone", serde_json::json!({"title": "Gone", "status": 410})),
        ] {
            let response = server.get(&format!("/{way}/{how}"));
            assert_eq!(response.problem(), expected, "{way} {how}");
            assert_eq!(u64::from(response.status), expected["status"], "{way} {how}");
        }
    }
    assert_eq!(server.get("/unpaid").problem()["detail"], "12 more");
}

#[test]
fn the_cause_of_a_derived_problem_is_seen_in_development() {
    let server = server(true);
    for way in ["derived", "by-question-mark", "through-a-box", "outer"] {
        let problem = server.get(&format!("/{way}/machine")).problem();
        assert_eq!(
            problem["causes"],
            serde_json::json!(["the machine is broken", "invalid digit found in string"]),
            "{way}"
        );
        assert_eq!(
            server.get(&format!("/{way}/gateway")).problem()["detail"],
            "no route to it"
        );
        assert_eq!(server.get(&format!("/{way}/other")).problem()["detail"], "a secret");
    }
}

#[get("/sold")]
async fn sold() -> (StatusCode, Problem) {
    (StatusCode::CONFLICT, Problem::bad_request("sold"))
}

#[get("/sold-out")]
async fn sold_out() -> (StatusCode, [(&'static str, &'static str); 1], Problem) {
    (StatusCode::CONFLICT, [("x-sold", "1")], Problem::bad_request("sold"))
}

#[get("/removed")]
async fn removed() -> Problem {
    Problem::not_found("removed")
}

#[test]
fn status_that_a_handler_or_a_layer_sets_on_a_problem_is_the_same_in_development_and_production() {
    async fn gone(request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        *response.status_mut() = StatusCode::GONE;
        response
    }
    let routes = || {
        routes![
            sold,
            sold_out,
            #[layer(gone)]
            removed
        ]
    };
    for development in [false, true] {
        let server = serve(App::new(()).routes(routes()).development(development));
        for path in ["/sold", "/sold-out"] {
            let response = server.get(path);
            assert_eq!(response.status, 409, "{path} in development: {development}");
            assert_eq!(
                response.problem()["status"],
                409,
                "{path} in development: {development}"
            );
            assert_eq!(response.problem()["title"], "Conflict", "{path}");
            assert_eq!(response.problem()["detail"], "sold", "{path}");
        }
        let removed = server.get("/removed");
        let statuses = (removed.status, removed.problem()["status"].as_u64());
        assert_eq!(statuses, (410, Some(410)), "in development: {development}");
    }
    let form = serve(App::new(()).routes(routes()).errors(line).development(false));
    assert_eq!(form.get("/sold").text(), r#"409 Some("GET") Some("/sold") /sold false"#);
    let removed = form.get("/removed");
    assert_eq!(
        (removed.status, removed.text()),
        (410, r#"410 Some("GET") Some("/removed") /removed false"#)
    );
}

/// One line for each error: the target, the client and the route.
fn line(problem: Problem, request: &ErrorContext<'_>) -> Response {
    let line = format!(
        "{} {:?} {:?} {} {}",
        problem.status().as_u16(),
        request.method().map(Method::as_str),
        request.path(),
        request.route().map_or("no route", |route| route.path),
        request.wants_html(),
    );
    (problem.status(), line).into_response()
}

#[test]
fn the_application_has_one_form_for_all_errors_those_of_the_framework_too() {
    async fn tagged(request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        response.headers_mut().insert("x-tag", HeaderValue::from_static("seen"));
        response
    }
    let server = serve(
        App::new(())
            .routes(ROUTES)
            .layer(tagged)
            .errors(line)
            .development(false)
            .body_limit(3),
    );
    let mut client = server.connect();
    for (request, status, text) in [
        ("GET /later", 409, r#"409 Some("GET") Some("/later") /later false"#),
        (
            "GET /nowhere",
            404,
            r#"404 Some("GET") Some("/nowhere") no route false"#,
        ),
        ("PUT /later", 405, r#"405 Some("PUT") Some("/later") no route false"#),
        ("GET /panic", 500, r#"500 Some("GET") Some("/panic") /panic false"#),
    ] {
        client.send(format!("{request} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.text()), (status, text), "{request}");
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(response.header("x-tag"), Some("seen"), "{request}");
    }
    client.send("PUT /later HTTP/1.1\r\nhost: test\r\naccept: text/HTML,*/*\r\n\r\n");
    let response = client.response();
    assert!(response.text().ends_with("true"), "{response:?}");
    assert_eq!(response.header("allow"), Some("GET, HEAD, OPTIONS"));
    // The lines of a field are one list.
    for (second, wants_html) in [("text/html", "true"), ("text/html;q=0.5, application/json", "false")] {
        client.send(format!(
            "PUT /later HTTP/1.1\r\nhost: test\r\naccept: image/png\r\naccept: {second}\r\n\r\n"
        ));
        let text = client.response().text().to_owned();
        assert!(text.ends_with(wants_html), "{text}");
    }
    client.send("GET /later HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response().header("retry-after"), Some("7"));
    client.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\n1234");
    assert!(client.response().text().starts_with("413"));
    // Errors of invalid requests have the form too.
    let response = server.request("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(response.text(), "400 None None no route false");
}

#[test]
fn values_of_layers_stay_next_to_those_of_the_form() {
    use conduit::layer::Cors;
    let form = |problem: Problem, _: &ErrorContext<'_>| {
        let fields = [("vary", "accept"), ("cache-control", "no-cache")];
        (fields, problem).into_response()
    };
    let app = App::new(()).routes(routes![error]).errors(form).development(false);
    let server = serve(app.layer(Cors::new().allow_origin("https://example.org")));
    let answer = server.request("GET /error HTTP/1.1\r\nhost: test\r\norigin: https://example.org\r\n\r\n");
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let of_vary = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("vary"));
    let mut values: Vec<&str> = of_vary.map(|(_, value)| &**value).collect();
    values.sort_unstable();
    assert_eq!(values, ["accept", "origin"]);
}

#[test]
fn member_that_is_set_again_is_replaced() {
    let problem = Problem::new(StatusCode::CONFLICT).with("code", 1).with("code", 2);
    let text = serde_json::to_string(&problem).expect("a problem is JSON");
    assert_eq!(text.matches("code").count(), 1, "{text}");
    assert_eq!(problem.member("code"), Some(&serde_json::json!(2)));
}
