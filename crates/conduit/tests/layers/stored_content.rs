//! Idempotency keys of responses with cookies, of problems, and of requests that pass several layers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use conduit::layer::{Idempotency, MemoryStore};
use conduit::prelude::*;
use conduit::problem::ErrorContext;
use conduit::testing::{TestClient, TestResponse};

/// The number of executions.
type Count = Arc<AtomicUsize>;

fn keyed(client: &TestClient, target: &str) -> TestResponse {
    client.post(target).header("idempotency-key", "7f9c").send()
}

fn keys() -> Idempotency {
    // A cookie of the first response would change the owner.
    Idempotency::new().owned_by(|_| "one".to_owned())
}

#[post("/cookie")]
async fn cookie(count: State<Count>) -> ([(&'static str, &'static str); 1], &'static str) {
    count.fetch_add(1, Ordering::SeqCst);
    ([("set-cookie", "id=secret")], "done")
}

#[track_caller]
fn assert_is_not_stored(again: &TestResponse) {
    again.assert_status(409);
    assert_eq!((again.header("retry-after"), again.header("set-cookie")), (None, None));
    let detail = again.problem()["detail"].to_string();
    assert!(detail.contains("its response was not stored"), "{detail}");
}

#[test]
fn response_with_a_cookie_is_not_stored() {
    let count = Count::default();
    let client = TestClient::new(App::new(Arc::clone(&count)).routes(routes![cookie]).layer(keys()));
    keyed(&client, "/cookie")
        .assert_text("done")
        .assert_header("set-cookie", "id=secret");
    assert_is_not_stored(&keyed(&client, "/cookie"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[cfg(feature = "sessions")]
#[test]
fn response_that_changes_the_cookie_of_a_session_is_not_stored() {
    use conduit::session::{Session, Sessions};

    #[post("/sign-in")]
    async fn sign_in(mut session: Session<u32>) -> Result<&'static str, Problem> {
        session.rotate(|visits| *visits += 1).await?;
        Ok("done")
    }

    #[post("/visit")]
    async fn visit(mut session: Session<u32>) -> Result<String, Problem> {
        session.update(|visits| *visits += 1).await?;
        Ok(session.to_string())
    }

    /// A layer that opens the session outside of the list.
    async fn guard(_session: Session<u32>, request: Request, next: Next) -> Response {
        next.run(request).await
    }

    let app = || App::new(Sessions::new(MemoryStore::default())).development(false);
    let apps = [
        app().routes(routes![sign_in, visit]).layer(keys()),
        app().routes(routes![
            #[layer(keys())]
            [sign_in, visit]
        ]),
        app()
            .routes(routes![
                #[layer(keys())]
                [sign_in, visit]
            ])
            .layer(guard),
    ];
    for app in apps {
        let client = TestClient::new(app);
        let first = keyed(&client, "/sign-in");
        first.assert_text("done");
        assert!(first.header("set-cookie").is_some());
        assert_is_not_stored(&keyed(&client, "/sign-in"));
        // The cookie does not change.
        let visit = || client.post("/visit").header("idempotency-key", "7f9d").send();
        visit().assert_text("2");
        visit().assert_text("2").assert_header("idempotency-replayed", "true");
    }
}

/// The renewal of a cookie with the same id prevented that the response was stored.
#[cfg(feature = "sessions")]
#[test]
fn response_that_renews_a_session_in_a_cookie_is_stored() {
    use conduit::extract::CookieKey;
    use conduit::session::{Session, Sessions};

    #[post("/visit")]
    async fn visit(mut session: Session<u32>) -> Result<String, Problem> {
        session.update(|visits| *visits += 1).await?;
        Ok(session.to_string())
    }

    #[post("/pay")]
    async fn pay(session: Session<u32>) -> String {
        session.to_string()
    }

    let client = |sessions| {
        let routes = routes![
            #[layer(keys())]
            [visit, pay]
        ];
        TestClient::new(App::new(sessions).development(false).routes(routes))
    };
    let key = CookieKey::random();
    let before = client(Sessions::in_cookies(key.clone(), []));
    before.post("/visit").send().assert_text("1");
    let cookie = before.cookie("__Host-session").expect("a cookie");
    let after = client(Sessions::in_cookies(CookieKey::random(), [key]));
    let send = |target, key| {
        let request = after.post(target).header("idempotency-key", key);
        request.header("cookie", format!("__Host-session={cookie}")).send()
    };
    let first = send("/pay", "7f9c");
    first.assert_text("1");
    assert!(
        first.header("set-cookie").is_some(),
        "the key of the cookie is replaced"
    );
    send("/pay", "7f9c")
        .assert_text("1")
        .assert_header("idempotency-replayed", "true");
    // The cookie has the data of the session.
    send("/visit", "7f9d").assert_text("2");
    assert_is_not_stored(&send("/visit", "7f9d"));
}

/// The error format was applied only to requests without a key.
#[test]
fn error_format_applies_to_a_stored_problem() {
    #[post("/invalid")]
    async fn invalid(count: State<Count>) -> Problem {
        let number = count.fetch_add(1, Ordering::SeqCst);
        Problem::unprocessable("too long")
            .with_title("Invalid")
            .with("number", number)
    }

    fn page(problem: Problem, _: &ErrorContext<'_>) -> Response {
        let text = format!("{problem}, {:?}, {:?}", problem.title(), problem.member("number"));
        (problem.status(), Html(text)).into_response()
    }

    let app = || {
        App::new(Count::default())
            .routes(routes![invalid])
            .layer(Idempotency::new())
    };
    let client = TestClient::new(app().errors(page).development(false));
    let first = keyed(&client, "/invalid");
    first
        .assert_status(422)
        .assert_header("content-type", "text/html; charset=utf-8");
    let again = keyed(&client, "/invalid");
    again
        .assert_status(422)
        .assert_header("content-type", "text/html; charset=utf-8");
    again
        .assert_header("idempotency-replayed", "true")
        .assert_text(first.text());

    let client = TestClient::new(app().development(false));
    let first = keyed(&client, "/invalid");
    let again = keyed(&client, "/invalid");
    again
        .assert_status(422)
        .assert_header("content-type", "application/problem+json");
    assert_eq!(again.text(), first.text());
}

#[test]
fn conflict_that_is_to_be_repeated_is_not_stored() {
    #[post("/{seconds}")]
    async fn conflict(seconds: Path<String>, count: State<Count>) -> Result<String, Problem> {
        match (count.fetch_add(1, Ordering::SeqCst), &**seconds) {
            (0, "never") => Err(Problem::conflict("taken")),
            (0, seconds) => {
                let seconds = HeaderValue::from_str(seconds).expect("a number");
                Err(Problem::conflict("send the request again").with_header(http::header::RETRY_AFTER, seconds))
            }
            (number, _) => Ok(number.to_string()),
        }
    }

    for (target, second) in [("/1", 200), ("/never", 409)] {
        let app = App::new(Count::default()).routes(routes![conflict]);
        let client = TestClient::new(app.layer(Idempotency::new()));
        keyed(&client, target).assert_status(409);
        keyed(&client, target).assert_status(second);
    }
}

/// The inner layer found the marker of the outer one, and rejected each request.
#[test]
fn request_passes_two_layers_with_one_store() {
    #[post("/pay")]
    async fn pay(count: State<Count>) -> String {
        (count.fetch_add(1, Ordering::SeqCst) + 1).to_string()
    }

    static STORE: LazyLock<MemoryStore> = LazyLock::new(MemoryStore::default);

    fn keys() -> Idempotency {
        Idempotency::new().required().store(STORE.clone())
    }

    let app = App::new(Count::default()).routes(routes![
        #[layer(keys(), keys())]
        pay
    ]);
    let client = TestClient::new(app.layer(keys()));
    keyed(&client, "/pay").assert_text("1");
    keyed(&client, "/pay")
        .assert_text("1")
        .assert_header("idempotency-replayed", "true");
}
