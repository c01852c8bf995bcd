//! Values that layers provide: each handler receives those of its request.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conduit::extract::{FromLayer, Provides};
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{Auth, Authenticate, Bearer, Events};

use crate::support::serve;

#[derive(Clone, FromRef)]
struct TenantSite {
    names: Names,
}

#[derive(Clone)]
struct Names(&'static [&'static str]);

const SITE: TenantSite = TenantSite {
    names: Names(&["ada", "grace"]),
};

#[derive(Clone, Debug, PartialEq)]
struct User(String);

#[derive(Clone, Debug)]
struct Tenant(String);

fn field(request: &Request, name: &str) -> String {
    let value = request.header(name).unwrap_or(b"nothing");
    String::from_utf8_lossy(value).into_owned()
}

/// A guard that finds the user in the state.
async fn signed_in(names: State<Names>, request: Request, next: NextWith<User>) -> Result<Response, Problem> {
    let name = field(&request, "x-user");
    if !names.0.0.contains(&&*name) {
        return Err(Problem::unauthorized("sign in first"));
    }
    Ok(next.run(request, User(name)).await)
}

/// A layer as a type.
#[derive(Clone)]
struct TenantOf(&'static str);

impl Layer<NextWith<Tenant>> for TenantOf {
    async fn call(&self, request: Request, next: NextWith<Tenant>) -> Response {
        let tenant = Tenant(field(&request, self.0));
        next.run(request, tenant).await
    }
}

/// A layer that takes the value of an outer layer, and awaits.
async fn own_tenant(user: Provided<User>, request: Request, next: NextWith<Tenant>) -> Response {
    tokio::task::yield_now().await;
    next.run(request, Tenant(format!("of {}", user.0.0))).await
}

async fn plain(request: Request, next: Next) -> Response {
    next.run(request).await
}

#[get("/home")]
async fn home() -> &'static str {
    "home"
}

#[get("/me")]
async fn me(user: Provided<User>) -> String {
    user.0.0
}

#[post("/both")]
async fn both(tenant: Provided<Tenant>, body: String, user: Option<Provided<User>>, _: State<Names>) -> String {
    format!("{:?} {:?} {body}", tenant.0.0, user.map(|user| user.0.0))
}

/// An extractor that is implemented for one state only.
struct Known(bool);

impl FromRequest<Names> for Known {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, names: &Names) -> Result<Self, Problem> {
        Ok(Known(names.0.contains(&&*field(request, "x-user"))))
    }
}

/// An extractor that takes two values.
struct Membership(String);

impl<S, V, I, J> FromRequest<S, FromLayer<V, (I, J)>> for Membership
where
    V: Provides<User, I> + Provides<Tenant, J>,
    I: 'static,
    J: 'static,
{
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let user = <Provided<User> as FromRequest<S, FromLayer<V, I>>>::from_request(request, state).await?;
        let tenant = <Provided<Tenant> as FromRequest<S, FromLayer<V, J>>>::from_request(request, state).await?;
        match tenant.0.0.as_str() {
            "nothing" => Err(Problem::forbidden("no tenant")),
            tenant => Ok(Membership(format!("{} in {tenant}", user.0.0))),
        }
    }
}

mod account {
    use super::*;

    #[get("/{id}")]
    async fn show(section: Path<String>, id: Path<u64>, member: Result<Membership, Problem>, known: Known) -> String {
        let member = member.map_or_else(|problem| problem.status().to_string(), |member| member.0);
        format!("{member}: {id} of {}, {}", section.0, known.0)
    }

    #[get("/me")]
    async fn me(user: Provided<User>, member: Membership) -> String {
        format!("{} {}", user.0.0, member.0)
    }

    /// The values are in another order than the layers.
    pub(super) const NESTED: NestedRoutes<Names, With<User, With<Tenant>>> = nested_routes![show];
    pub(super) const ROUTES: Routes<Names, With<Tenant, With<User>>> = routes![
        me,
        "/deeper" => ONLY_USER,
        #[layer(plain)]
        "/layered" => ONLY_USER,
    ];

    const ONLY_USER: Routes<Site2, With<User>> = routes![super::me];
}

/// A part of a part of the state.
#[derive(Clone)]
struct Site2;

impl FromRef<Names> for Site2 {
    fn from_ref(_: &Names) -> Self {
        Site2
    }
}

const ROUTES: Routes<TenantSite> = routes![
    home,
    #[layer(signed_in)]
    [
        me,
        #[layer(plain, TenantOf("x-tenant"))]
        both,
        #[layer(TenantOf("x-tenant"))]
        "/sections/{section}" => account::NESTED,
        #[layer(own_tenant)]
        "/own" => [both, account::ROUTES],
    ],
    #[layer(TenantOf("x-tenant"), signed_in)]
    "/account" => account::ROUTES,
];

fn client() -> TestClient {
    TestClient::new(App::new(SITE).routes(ROUTES))
}

#[test]
fn handler_receives_the_value_of_a_layer_around_it() {
    let client = client();
    let get = |path: &str| client.get(path).header("x-user", "ada").header("x-tenant", "acme");
    client.get("/home").send().assert_text("home");
    client.get("/me").send().assert_status(401);
    get("/me").send().assert_text("ada");
    let both = client
        .post("/both")
        .header("x-user", "ada")
        .header("x-tenant", "acme")
        .body("!");
    both.send().assert_text("\"acme\" Some(\"ada\") !");
    let own = client.post("/own/both").header("x-user", "ada").body("!");
    own.send().assert_text("\"of ada\" Some(\"ada\") !");
}

#[test]
fn mounted_list_receives_the_values_of_its_type_in_any_order() {
    let client = client();
    let get = |path: &str| client.get(path).header("x-user", "grace").header("x-tenant", "acme");
    get("/sections/a/7").send().assert_text("grace in acme: 7 of a, true");
    get("/account/me").send().assert_text("grace grace in acme");
    get("/own/me").send().assert_text("grace grace in of grace");
    get("/account/deeper/me").send().assert_text("grace");
    get("/account/layered/me").send().assert_text("grace");
    let without = client.get("/sections/a/7").header("x-user", "ada");
    without.send().assert_text("403 Forbidden: 7 of a, true");
    let without = client.get("/account/me").header("x-user", "ada");
    without.send().assert_status(403);
}

#[test]
fn each_request_has_its_own_value_while_others_wait() {
    #[get("/{place}")]
    async fn slow(place: Path<usize>, user: Provided<User>, turns: State<Arc<AtomicUsize>>) -> String {
        turns.fetch_add(1, Ordering::SeqCst);
        // All requests are in their handlers before the first continues.
        while turns.load(Ordering::SeqCst) < 8 {
            tokio::task::yield_now().await;
        }
        format!("{} {}", *place, user.0.0)
    }

    async fn later(user: Provided<User>, request: Request, next: Next) -> Response {
        tokio::task::yield_now().await;
        let mut response = next.run(request).await;
        let name = HeaderValue::try_from(user.0.0).expect("a name");
        response.headers_mut().insert("x-layer", name);
        response
    }

    async fn anyone(request: Request, next: NextWith<User>) -> Response {
        let name = field(&request, "x-user");
        next.run(request, User(name)).await
    }

    let turns = Arc::new(AtomicUsize::new(0));
    let routes = routes![
        #[layer(anyone, later)]
        slow
    ];
    let server = serve(App::new(turns).routes(routes));
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for (place, client) in clients.iter_mut().enumerate() {
        client.send(format!(
            "GET /{place} HTTP/1.1\r\nhost: test\r\nx-user: u{place}\r\n\r\n"
        ));
    }
    for (place, client) in clients.iter_mut().enumerate() {
        let response = client.response();
        assert_eq!(response.text(), format!("{place} u{place}"));
        assert_eq!(response.header("x-layer"), Some(&*format!("u{place}")));
    }
}

#[test]
fn value_is_dropped_with_its_request() {
    /// Counts the values that exist.
    struct CountedValue(Rc<Cell<isize>>);

    impl CountedValue {
        fn new(count: &Rc<Cell<isize>>) -> Self {
            count.set(count.get() + 1);
            CountedValue(Rc::clone(count))
        }
    }

    impl Drop for CountedValue {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    thread_local! {
        static COUNT: Rc<Cell<isize>> = Rc::default();
    }

    // Neither `Send` nor `Sync`.
    async fn counted(request: Request, next: NextWith<Rc<CountedValue>>) -> Response {
        let alive = Rc::new(COUNT.with(CountedValue::new));
        let mut response = next.run(request, alive).await;
        let left = COUNT.with(|count| count.get());
        response.headers_mut().insert("x-left", HeaderValue::from(left));
        response
    }

    #[get("/ready")]
    async fn ready(alive: Provided<Rc<CountedValue>>) -> String {
        alive.0.0.get().to_string()
    }

    #[get("/panic")]
    async fn panics(alive: Provided<Rc<CountedValue>>, request: Request) {
        let _values = (alive, request);
        tokio::task::yield_now().await;
        panic!("as the test requires");
    }

    let server = serve(App::new(()).routes(routes![
        #[layer(counted)]
        [ready, panics]
    ]));
    for _ in 0..3 {
        let response = server.get("/ready");
        assert_eq!((response.status, response.text()), (200, "1"));
        assert_eq!(response.header("x-left"), Some("0"));
        let response = server.get("/panic");
        assert_eq!((response.status, response.header("x-left")), (500, Some("0")));
    }
}

#[test]
fn principal_of_a_guard_is_provided() {
    #[derive(Clone)]
    struct Librarian(&'static str);

    impl Authenticate<()> for Librarian {
        type Credentials = Bearer;

        async fn authenticate(bearer: Bearer, _: &()) -> Result<Self, Problem> {
            match bearer.token.is("0123456789abcdef") {
                true => Ok(Librarian("ada")),
                false => Err(Bearer::refused("the token is unknown")),
            }
        }
    }

    async fn librarians(librarian: Auth<Librarian>, request: Request, next: NextWith<Librarian>) -> Response {
        next.run(request, librarian.0).await
    }

    #[get("/name")]
    async fn name(librarian: Provided<Librarian>) -> &'static str {
        librarian.0.0
    }

    let client = TestClient::new(App::new(()).routes(routes![
        #[layer(librarians)]
        name
    ]));
    client.get("/name").send().assert_status(401);
    client.get("/name").bearer("0123456789abcdef").send().assert_text("ada");
}

#[test]
fn layer_that_replaces_the_request_drops_the_values() {
    async fn replace(mut request: Request, next: Next) -> Result<Response, Problem> {
        let other = Request::from_request(&mut request, &())
            .await
            .expect("every request is one");
        drop(other);
        Ok(next.run(request).await)
    }

    let routes: Routes<TenantSite> = routes![
        #[layer(signed_in, replace)]
        me
    ];
    let client = TestClient::new(App::new(SITE).routes(routes).development(true));
    let response = client.get("/me").header("x-user", "ada").send();
    response.assert_status(500);
    let problem: serde_json::Value = response.json();
    let detail = problem["detail"].to_string();
    assert!(detail.contains("provided::User"), "{detail}");
}

#[test]
fn event_stream_receives_the_value() {
    #[get("/events")]
    async fn events(user: Provided<User>) -> Events<String> {
        Events::generate(async move |events| events.send(user.0.0).await)
    }

    let routes: Routes<TenantSite> = routes![
        #[layer(signed_in)]
        events
    ];
    let client = TestClient::new(App::new(SITE).routes(routes));
    let response = client.get("/events").header("x-user", "ada").send();
    let text = response.text();
    assert!(text.contains("ada"), "{text}");
}

#[cfg(feature = "websocket")]
#[test]
fn websocket_receives_the_value() {
    use conduit::{WebSocket, WebSocketUpgrade};

    #[get("/socket")]
    async fn socket(user: Provided<User>, upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(async move |socket: WebSocket| socket.send(user.0.0).await)
    }

    let routes: Routes<TenantSite> = routes![
        #[layer(signed_in)]
        socket
    ];
    let client = TestClient::new(App::new(SITE).routes(routes));
    let mut socket = client.websocket("/socket").header("x-user", "grace").open();
    assert_eq!(socket.recv(), "grace".into());
}

#[cfg(feature = "tower")]
#[test]
fn value_passes_through_a_layer_of_tower() {
    fn timeout() -> ::tower::timeout::TimeoutLayer {
        ::tower::timeout::TimeoutLayer::new(std::time::Duration::from_secs(3600))
    }

    let routes: Routes<TenantSite> = routes![
        #[layer(signed_in, conduit::tower::layer(timeout()))]
        me,
        #[layer(signed_in, conduit::tower::send_layer(timeout()))]
        "/sent" => [me],
    ];
    let client = TestClient::new(App::new(SITE).routes(routes));
    client.get("/me").header("x-user", "ada").send().assert_text("ada");
    client.get("/sent/me").header("x-user", "ada").send().assert_text("ada");
}

#[cfg(feature = "tower")]
#[test]
fn service_provides_the_value() {
    use ::tower::ServiceExt;
    use http_body_util::{BodyExt, Empty};

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let text = runtime.expect("a runtime can be made").block_on(async {
        let service = App::new(SITE).routes(ROUTES).workers(1).into_service();
        let request = conduit::http::Request::get("/account/me")
            .header("x-user", "ada")
            .header("x-tenant", "acme")
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response = service.expect("threads can be started").oneshot(request).await;
        let body = response.expect("a service never fails").into_body();
        body.collect().await.expect("a whole body").to_bytes()
    });
    assert_eq!(text, "ada ada in acme");
}

#[cfg(feature = "openapi")]
#[test]
fn document_has_the_input_of_the_layer_and_not_the_value() {
    /// A type of the same name as the value, with a schema.
    mod shown {
        use super::*;

        #[derive(serde::Serialize, JsonSchema)]
        pub(super) struct User {
            pub(super) name: String,
        }
    }

    #[get("/users/{id}", tool)]
    async fn show(id: Path<u64>, user: Provided<User>) -> Json<shown::User> {
        let name = format!("{id} of {}", user.0.0);
        Json(shown::User { name })
    }

    async fn guard(_: Bearer, request: Request, next: NextWith<User>) -> Response {
        next.run(request, User("ada".to_owned())).await
    }

    let routes: Routes = routes![
        #[layer(guard)]
        show
    ];
    let document = routes.openapi(conduit::openapi::Info::new("test", "1"));
    assert_eq!(document.gaps(), []);
    let document: serde_json::Value = serde_json::from_str(&document.to_string()).expect("JSON");
    let operation = &document["paths"]["/users/{id}"]["get"];
    assert_eq!(
        operation["security"],
        serde_json::json!([{ "bearer": [] }]),
        "{operation}"
    );
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let users: Vec<&String> = schemas.keys().filter(|name| name.contains("User")).collect();
    assert_eq!(users, ["provided.shown.User"]);
}

#[cfg(feature = "client")]
#[test]
fn typed_call_has_no_argument_for_the_value() {
    use conduit::client::TypedClient;

    #[get("/greeting/{word}", client)]
    async fn greeting(word: Path<String>, user: Provided<User>) -> String {
        format!("{} {}", word.0, user.0.0)
    }

    async fn guard(_: Bearer, request: Request, next: NextWith<User>) -> Response {
        next.run(request, User("ada".to_owned())).await
    }

    let routes: Routes = routes![
        #[layer(guard)]
        greeting
    ];
    let client = TypedClient::new(TestClient::new(App::new(()).routes(routes))).with_bearer("token");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let text = runtime
        .expect("a runtime can be made")
        .block_on(greeting::call(&client, "hello"))
        .expect("a text");
    assert_eq!(text, "hello ada");
}

#[cfg(feature = "mcp")]
#[test]
fn call_of_a_tool_passes_through_the_providing_layer() {
    /// Return the caller.
    #[get("/caller", tool = "caller")]
    async fn caller(user: Provided<User>) -> String {
        user.0.0
    }

    let routes: Routes<TenantSite> = routes![
        #[layer(signed_in)]
        caller
    ];
    let client = TestClient::new(App::new(SITE).routes(routes).mcp("/mcp"));
    let message = serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "caller", "arguments": {} }
    });
    let response = client
        .post("/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .header("x-user", "grace")
        .json(&message)
        .send();
    let text = response.text();
    assert!(text.contains("grace"), "{text}");
}
