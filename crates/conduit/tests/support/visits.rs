//! A service with sessions that counts the visits of a client, in several processes with one store.

use conduit::prelude::*;
use conduit::session::Session;
use conduit::testing::{TestClient, TestResponse};

#[derive(Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Visitor {
    visits: u32,
}

#[post("/visit")]
pub(crate) async fn visit(mut session: Session<Visitor>) -> Result<String, Problem> {
    let visits = session.update(|visitor| {
        visitor.visits += 1;
        visitor.visits
    });
    Ok(visits.await?.to_string())
}

/// Two visits, the second of them in both processes with one key. Returns the cookie of the session.
pub(crate) fn visit_both(one: &TestClient, two: &TestClient) -> String {
    let first = one.post("/visit").send();
    first.assert_text("1");
    let cookie = first.header("set-cookie").and_then(|cookie| cookie.split(';').next());
    let cookie = cookie.expect("a cookie").to_owned();
    visit_again(two, &cookie, "a").assert_text("2");
    let replayed = visit_again(one, &cookie, "a");
    replayed.assert_text("2").assert_header("idempotency-replayed", "true");
    cookie
}

/// A visit by another client, which has no cookie but this one.
pub(crate) fn visit_again(process: &TestClient, cookie: &str, key: &str) -> TestResponse {
    let request = process.another().post("/visit").header("cookie", cookie);
    request.header("idempotency-key", key).send()
}
