//! The layers of a request: their order, and the changes that each may make.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conduit::prelude::*;

use crate::request;
use crate::support::{Response as Received, serve, start, wake_from_other_threads};

/// The application's state, and the state of the lists in it.
#[derive(Clone, FromRef)]
struct Site {
    title: Title,
}

#[derive(Clone)]
struct Title(&'static str);

/// Prepends its name to the response, so that the outermost layer is first.
#[derive(Clone)]
struct Mark(&'static str);

impl Layer for Mark {
    async fn call(&self, request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        mark(&mut response, self.0);
        response
    }
}

fn mark(response: &mut Response, name: &str) {
    let before = response
        .headers()
        .get("way")
        .map_or("", |way| way.to_str().expect("text"));
    let way = format!("{name} {before}");
    response
        .headers_mut()
        .insert("way", HeaderValue::from_str(way.trim()).expect("text"));
}

async fn function(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    mark(&mut response, "function");
    response
}

async fn titled(title: State<Title>, method: Method, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    mark(&mut response, &format!("{}-{method}", title.0.0));
    response
}

async fn refuse(_: Request, _: Next) -> Problem {
    Problem::forbidden("no access")
}

async fn choose(request: Request, next: Next) -> Result<Response, Problem> {
    match request.header("x-key") {
        Some(b"open") => Ok(next.run(request).await),
        _ => Err(Problem::unauthorized("the key is missing")),
    }
}

async fn panics(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    assert!(response.status().is_server_error(), "the layer panics");
    response
}

#[get("/plain")]
async fn plain() -> &'static str {
    "plain"
}

#[get("/one")]
async fn one() -> &'static str {
    "one"
}

#[get("/later")]
async fn later() -> &'static str {
    tokio::task::yield_now().await;
    wake_from_other_threads(1).await;
    "later"
}

#[get("/refused")]
async fn refused() -> &'static str {
    unreachable!("the layer answers")
}

#[get("/chosen")]
async fn chosen() -> &'static str {
    "chosen"
}

#[get("/after")]
async fn after() -> &'static str {
    "after"
}

#[get("/panic")]
async fn panicking() {
    panic!("the handler panics");
}

#[get("/unlucky")]
async fn unlucky() {}

mod inner {
    use super::*;

    #[get("/title")]
    async fn title(title: State<Title>) -> &'static str {
        title.0.0
    }

    pub(super) const ROUTES: Routes<Title> = routes![
        #[layer(Mark("list"), titled)]
        title,
        after_all
    ];

    #[get("/after")]
    async fn after_all() {}
}

const ROUTES: Routes<Site> = routes![
    plain,
    #[layer(Mark("a"), function)]
    #[layer(titled)]
    one,
    #[layer(Mark("later"))]
    later,
    #[layer(refuse)]
    refused,
    #[layer(choose)]
    [chosen],
    #[layer(Mark("outside"))]
    panicking,
    #[layer(Mark("outside"), panics)]
    unlucky,
    #[layer(Mark("group"), Mark("second"))]
    "/inner" => inner::ROUTES,
    after,
];

fn site() -> App<Site, Routes<Site>> {
    App::new(Site { title: Title("site") }).routes(ROUTES)
}

fn way(response: &Received) -> &str {
    response.header("way").unwrap_or("")
}

#[test]
fn layers_of_a_list_wrap_only_their_entry_the_first_outermost() {
    let server = serve(site());
    assert_eq!(way(&server.get("/plain")), "");
    assert_eq!(way(&server.get("/after")), "");
    let response = server.get("/one");
    assert_eq!((response.status, response.text()), (200, "one"));
    assert_eq!(way(&response), "a function site-GET");
    let response = server.get("/inner/title");
    assert_eq!((response.status, response.text()), (200, "site"));
    assert_eq!(way(&response), "group second list site-GET");
    assert_eq!(way(&server.get("/inner/after")), "group second");
}

#[test]
fn layers_of_the_application_wrap_everything_the_last_outermost() {
    let server = serve(site().layer(Mark("first")).layer(function).layer(Mark("last")));
    assert_eq!(way(&server.get("/plain")), "last function first");
    assert_eq!(way(&server.get("/one")), "last function first a function site-GET");
    let missing = server.get("/missing");
    assert_eq!((missing.status, way(&missing)), (404, "last function first"));
    let wrong = server.request(request("DELETE", "/plain", &[]));
    assert_eq!((wrong.status, way(&wrong)), (405, "last function first"));
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, OPTIONS"));
    let options = server.request(request("OPTIONS", "/plain", &[]));
    assert_eq!((options.status, way(&options)), (204, "last function first"));
    let whole = server.request("OPTIONS * HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!((whole.status, way(&whole)), (204, "last function first"));
}

#[test]
fn names_of_layers_are_in_the_order_of_a_request() {
    let app = site().layer(Mark("first")).layer(function);
    assert_eq!(app.layers(), ["function", "Mark"]);
    let layers = ROUTES.layers();
    assert_eq!(layers.len(), ROUTES.definitions().len());
    let of = |path| {
        let place = ROUTES.definitions().iter().position(|route| route.path == path);
        layers[place.expect("the route is there")].clone()
    };
    assert_eq!(of("/plain"), [""; 0]);
    assert_eq!(of("/one"), ["Mark", "function", "titled"]);
    assert_eq!(of("/inner/title"), ["Mark", "Mark", "Mark", "titled"]);
    assert_eq!(of("/inner/after"), ["Mark", "Mark"]);
    assert_eq!(of("/after"), [""; 0]);
}

#[test]
fn a_layer_may_respond_without_the_handler() {
    let server = serve(site());
    let refused = server.get("/refused");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.problem()["detail"], "no access");
    assert_eq!(server.get("/chosen").status, 401);
    let chosen = server.request(request("GET", "/chosen", &[("x-key", "open")]));
    assert_eq!((chosen.status, chosen.text()), (200, "chosen"));
}

#[test]
fn a_pending_response_passes_through_all_layers() {
    let server = serve(site().layer(function).layer(Mark("last")));
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(request("GET", "/later", &[]));
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "later"));
        assert_eq!(way(&response), "last function later");
    }
}

#[test]
fn a_panic_is_a_500_for_the_layers_around_it_and_the_next_request_is_served() {
    let server = serve(site());
    let mut client = server.connect();
    for target in ["/panic", "/unlucky"] {
        client.send(request("GET", target, &[]));
        let response = client.response();
        assert_eq!((response.status, way(&response)), (500, "outside"));
    }
    client.send(request("GET", "/plain", &[]));
    assert_eq!(client.response().status, 200);
}

#[test]
fn layer_is_cloned_for_each_worker_and_shared_by_its_routes() {
    #[derive(Clone)]
    struct CountingLayer(Arc<AtomicUsize>, Cell<usize>);

    impl Layer for CountingLayer {
        async fn call(&self, request: Request, next: Next) -> Response {
            self.0.fetch_add(1, Ordering::SeqCst);
            // No lock and no atomic: this clone is not shared.
            self.1.set(self.1.get() + 1);
            let mut response = next.run(request).await;
            mark(&mut response, &self.1.get().to_string());
            response
        }
    }

    const WORKERS: usize = 3;
    let count = Arc::new(AtomicUsize::new(0));
    let app = site()
        .layer(CountingLayer(Arc::clone(&count), Cell::new(0)))
        .workers(WORKERS);
    let server = start(
        app.listen("127.0.0.1:0")
            .expect("a port of loopback can be listened on"),
    );
    let (mut requests, mut firsts) = (0, 0);
    let mut is_first = || {
        requests += 1;
        way(&server.get(["/plain", "/after"][requests % 2])) == "1"
    };
    // The kernel distributes connections by a hash of their ports.
    for _ in 0..10_000 {
        firsts += usize::from(is_first());
        if firsts == WORKERS {
            break;
        }
    }
    assert_eq!(firsts, WORKERS, "a worker has no clone, or serves no request");
    for _ in 0..50 {
        assert!(!is_first(), "a worker has a second clone");
    }
    assert_eq!(count.load(Ordering::SeqCst), requests);
}

#[test]
fn a_closure_is_a_layer() {
    let server = serve(site().layer(|request: Request, next: Next| async move {
        let mut response = next.run(request).await;
        mark(&mut response, "closure");
        response
    }));
    assert_eq!(way(&server.get("/plain")), "closure");
}

#[test]
fn layers_see_the_route_before_the_handler_runs() {
    async fn route(request: Request, next: Next) -> Response {
        let route = request.route().map_or("none", |route| route.path);
        let mut response = next.run(request).await;
        mark(&mut response, route);
        response
    }

    let server = serve(site().layer(route));
    assert_eq!(way(&server.get("/inner/after")), "/inner/after group second");
    assert_eq!(way(&server.get("/missing")), "none");
    assert_eq!(way(&server.request(request("DELETE", "/plain", &[]))), "none");
}

#[test]
fn changed_method_or_path_is_routed_again() {
    #[get("/users/{id}/name")]
    async fn name(id: Path<String>, uri: Uri) -> String {
        format!("{} {uri}", *id)
    }

    #[delete("/users/{id}/name")]
    async fn unname(id: Path<String>) -> String {
        format!("{} has no name", *id)
    }

    async fn change(mut request: Request, next: Next) -> Response {
        if request.header("x-method") == Some(b"DELETE") {
            request.set_method(Method::DELETE);
        }
        if let Some(path) = request.path().strip_prefix("/old").map(str::to_owned) {
            request.set_path(&path);
            assert!(request.route().is_none(), "the route of the new path is not known yet");
        }
        next.run(request).await
    }

    let server = serve(App::new(()).routes(routes![name, unname]).layer(change));
    let response = server.get("/old/users/7/name?x=1");
    assert_eq!(response.text(), "7 /users/7/name?x=1");
    let response = server.request(request("POST", "/users/7/name", &[("x-method", "DELETE")]));
    assert_eq!(response.text(), "7 has no name");
    assert_eq!(server.get("/old/nowhere").status, 404);
}

#[test]
fn handler_receives_the_request_as_changed_by_a_layer() {
    #[post("/echo")]
    async fn echo(headers: HeaderMap, body: String) -> String {
        format!("{:?} {:?} {body}", headers.get("x-added"), headers.get("x-removed"))
    }

    async fn change(mut request: Request, next: Next) -> Result<Response, Problem> {
        let body = request.take_body().collect().await?;
        assert_eq!(request.header("x-removed"), Some(&b"1"[..]));
        request.headers_mut().insert("x-added", HeaderValue::from_static("2"));
        request.headers_mut().remove("x-removed");
        assert_eq!(request.header("x-removed"), None);
        assert_eq!(request.header("x-added"), Some(&b"2"[..]));
        request.set_body(Body::from(format!("{} bytes", body.len())));
        Ok(next.run(request).await)
    }

    let server = serve(App::new(()).routes(routes![
        #[layer(change)]
        echo
    ]));
    let response =
        server.request("POST /echo HTTP/1.1\r\nhost: test\r\nx-removed: 1\r\ncontent-length: 5\r\n\r\nHello");
    assert_eq!(response.text(), "Some(\"2\") None 5 bytes");
}

#[test]
fn the_fallback_serves_paths_without_a_route_inside_of_the_layers() {
    async fn missing(title: State<Title>, request: Request) -> (StatusCode, String) {
        (
            StatusCode::NOT_FOUND,
            format!("{} has no {}", title.0.0, request.path()),
        )
    }

    let server = serve(site().fallback(missing).layer(Mark("layer")));
    let response = server.get("/nowhere");
    assert_eq!((response.status, response.text()), (404, "site has no /nowhere"));
    assert_eq!(way(&response), "layer");
    assert_eq!(server.request(request("DELETE", "/plain", &[])).status, 405);
    assert_eq!(server.get("/plain").text(), "plain");
}

#[test]
fn a_fallback_extracts_the_request_after_all_other_arguments() {
    type Whole = Request;

    async fn first(request: Request, method: Method, headers: HeaderMap, title: State<Title>) -> String {
        format!("{} {method} {:?} {}", request.path(), headers.get("x-a"), title.0.0)
    }

    async fn alias(uri: Uri, request: Option<Whole>, method: Method) -> String {
        let request = request.expect("a request is not absent");
        format!("{} {method} {uri}", request.path())
    }

    let request = |path| request("PUT", path, &[("x-a", "1")]);
    let server = serve(site().fallback(first));
    assert_eq!(server.request(request("/a")).text(), "/a PUT Some(\"1\") site");
    let server = serve(site().fallback(alias));
    assert_eq!(server.request(request("/b?c")).text(), "/b PUT /b?c");
}
