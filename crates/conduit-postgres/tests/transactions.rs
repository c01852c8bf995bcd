//! A handler whose effects, idempotency key and session are one transaction, in a process that is killed.

#[path = "../../conduit/tests/support/program.rs"]
#[allow(dead_code, reason = "the test needs some of it")]
mod program;
#[path = "../../conduit/tests/support/service.rs"]
mod service;

use std::io::{Read, Write};
use std::time::Duration;

use conduit::Header;
use conduit::layer::{Idempotency, IdempotencyKey};
use conduit::prelude::*;
use conduit::session::{Session, Sessions};
use conduit::testing::{TestClient, TestResponse};
use conduit_postgres::PostgresStore;
use program::{Directory, Program, begin_program};
use service::Service;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

/// The URL of the database for the program.
const DATABASE: &str = "CONDUIT_TEST_DATABASE";

#[derive(Clone, FromRef)]
struct Shop {
    pool: PgPool,
    sessions: Sessions,
}

#[derive(Default, serde::Serialize, serde::Deserialize)]
struct Visitor {
    payments: u32,
}

/// The step at which a payment ends without a response.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum End {
    Never,
    Before,
    After,
    Refused,
    Failed,
    /// The marker of the request has expired before.
    Late,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Ending {
    x_end: End,
}

#[post("/pay")]
async fn pay(
    ending: Header<Ending>,
    key: IdempotencyKey,
    mut session: Session<Visitor>,
    pool: State<PgPool>,
) -> Result<Response, Problem> {
    let mut transaction = pool.begin().await?;
    let payments = "UPDATE balance SET payments = payments + 1 RETURNING payments";
    let paid: i32 = sqlx::query_scalar(payments).fetch_one(&mut *transaction).await?;
    let mut store = PostgresStore::within(&mut transaction);
    let change = |visitor: &mut Visitor| {
        visitor.payments += 1;
        visitor.payments
    };
    let of_visitor = session.update_in(&mut store, change).await?;
    if ending.x_end == End::Refused {
        let response = StatusCode::FORBIDDEN.into_response();
        return key.complete_in(&mut store, response).await;
    }
    if ending.x_end == End::Late {
        let end = "UPDATE conduit_store SET expires_at = now() WHERE key LIKE 'idempotency:%'";
        sqlx::query(end).execute(&*pool).await?;
    }
    let response = key.complete_in(&mut store, format!("{paid} {of_visitor}")).await?;
    match ending.x_end {
        End::Before => std::process::abort(),
        End::Failed => return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE)),
        _ => transaction.commit().await?,
    }
    if ending.x_end == End::After {
        std::process::abort();
    }
    Ok(response)
}

/// A change of the session after one in a transaction.
#[derive(Clone, Copy, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Next {
    Again,
    Back,
    Flash,
    Flashes,
    Rotate,
    End,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Following {
    x_next: Next,
}

#[post("/next")]
async fn next(
    following: Header<Following>,
    mut session: Session<Visitor>,
    pool: State<PgPool>,
) -> Result<String, Problem> {
    let mut transaction = pool.begin().await?;
    let mut store = PostgresStore::within(&mut transaction);
    session.flash("before").await?;
    session.update_in(&mut store, |visitor| visitor.payments += 1).await?;
    match following.x_next {
        Next::Again => session.update_in(&mut store, |visitor| visitor.payments += 1).await?,
        // The value before `update_in`: the comparison with it must not end in a change that is lost.
        Next::Back => session.update(|visitor| visitor.payments = 3).await?,
        Next::Flash => session.flash("after").await?,
        Next::Flashes => drop(session.take_flashes().await?),
        Next::Rotate => session.rotate(|_| ()).await?,
        Next::End => session.end().await?,
    }
    transaction.commit().await?;
    Ok(session.payments.to_string())
}

#[get("/visitor")]
async fn visitor(session: Session<Visitor>) -> String {
    session.payments.to_string()
}

fn pools() -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(60))
}

fn shop(url: &str) -> App<Shop, Routes<Shop>> {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let store = PostgresStore::per_worker(pools(), options.clone());
    let keys = Idempotency::new().store(store.clone()).owned_by(|_| "ada".to_owned());
    let open = move || {
        let (store, options) = (store.clone(), options.clone());
        async move {
            store.create_table().await?;
            let pool = pools().connect_with(options).await?;
            let table = "CREATE TABLE IF NOT EXISTS balance AS SELECT 0 AS payments";
            sqlx::query(table).execute(&pool).await?;
            let sessions = Sessions::new(store);
            Ok::<_, sqlx::Error>(Shop { pool, sessions })
        }
    };
    App::open_per_worker(open)
        .routes(routes![pay, next, visitor])
        .layer(keys)
        .development(false)
}

#[test]
#[ignore = "a program of the tests"]
fn the_program() {
    begin_program();
    let url = std::env::var(DATABASE).expect("the test sets it");
    shop(&url).run().expect("it serves");
}

fn start(directory: &Directory, url: &str) -> Program {
    Program::start(program::program(directory).env(DATABASE, url), 1)
}

/// Sends a payment to a program, which ends without a response.
fn pay_to_the_end(directory: &Directory, url: &str, cookie: &str, key: &str, end: &str) {
    let program = start(directory, url);
    let mut stream = program.connect().stream;
    let request = format!("POST /pay HTTP/1.1\r\nhost: test\r\ncookie: {cookie}\r\nx-end: {end}\r\n");
    let fields = format!("idempotency-key: {key}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all((request + &fields).as_bytes()).expect("it is sent");
    let mut answer = Vec::new();
    // The end of the process may reset the connection.
    let _ = stream.read_to_end(&mut answer);
    assert_eq!(answer, b"", "{}", program.log());
}

fn pay_again(client: &TestClient, key: &str, end: &str) -> TestResponse {
    client
        .post("/pay")
        .header("idempotency-key", key)
        .header("x-end", end)
        .send()
}

/// Lets the markers of requests in progress expire.
fn end_markers(url: &str) {
    let execute = async {
        let mut connection = PgConnection::connect(url).await?;
        let end = "UPDATE conduit_store SET expires_at = now() WHERE length(value) = 33 AND get_byte(value, 0) = 0";
        sqlx::query(end).execute(&mut connection).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime.expect("a runtime").block_on(execute).expect("it is executed");
    assert_eq!(ended.rows_affected(), 1);
}

/// A client with a session that has one payment, and its cookie.
fn visitor_of(url: &str) -> (TestClient, String) {
    let client = TestClient::new(shop(url));
    let first = pay_again(&client, "first", "never");
    first.assert_text("1 1");
    let cookie = first.header("set-cookie").and_then(|cookie| cookie.split(';').next());
    let cookie = cookie.expect("a cookie").to_owned();
    (client, cookie)
}

#[test]
fn killed_process_neither_loses_nor_doubles_the_effects() {
    let Some(server) = Service::start() else { return };
    let (client, cookie) = visitor_of(&server.url);
    let directory = Directory::new("transactions");

    // After the commit: the repeated request receives the response that no client has received.
    pay_to_the_end(&directory, &server.url, &cookie, "second", "after");
    client.get("/visitor").send().assert_text("2");
    let again = pay_again(&client, "second", "never");
    again.assert_text("2 2").assert_header("idempotency-replayed", "true");

    // Before the commit: the repeated request is processed, after the time of the marker.
    pay_to_the_end(&directory, &server.url, &cookie, "third", "before");
    client.get("/visitor").send().assert_text("2");
    pay_again(&client, "third", "never").assert_status(409);
    end_markers(&server.url);
    pay_again(&client, "third", "never").assert_text("3 3");
    client.get("/visitor").send().assert_text("3");
}

#[test]
fn rolled_back_payment_leaves_key_and_session_unchanged() {
    let Some(server) = Service::start() else { return };
    let (client, _) = visitor_of(&server.url);
    pay_again(&client, "second", "refused").assert_status(500);
    pay_again(&client, "second", "failed").assert_status(503);
    client.get("/visitor").send().assert_text("1");
    pay_again(&client, "second", "never").assert_text("2 2");
    client.get("/visitor").send().assert_text("2");
    client.post("/pay").header("x-end", "never").send().assert_status(400);
}

#[test]
fn change_outside_the_transaction_is_rejected_rather_than_waiting_for_it() {
    let Some(server) = Service::start() else { return };
    let (client, _) = visitor_of(&server.url);
    let send = |next: &str| client.post("/next").header("x-next", next).send();
    send("again").assert_text("3");
    client.get("/visitor").send().assert_text("3");
    for next in ["back", "flash", "flashes", "rotate", "end"] {
        send(next).assert_status(500);
        client.get("/visitor").send().assert_text("3");
    }
    send("again").assert_text("5");
}

#[test]
fn request_with_an_expired_marker_has_no_effect() {
    let Some(server) = Service::start() else { return };
    let (client, _) = visitor_of(&server.url);
    let late = pay_again(&client, "second", "late");
    late.assert_status(409).assert_header("retry-after", "1");
    assert!(
        late.text().contains("has expired or belongs to another request"),
        "{}",
        late.text()
    );
    client.get("/visitor").send().assert_text("1");
}
