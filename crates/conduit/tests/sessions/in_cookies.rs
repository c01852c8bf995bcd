//! Sessions in encrypted cookies: their lifetime, keys and size, and the validity of a copied cookie.

use crate::*;

fn client_of(sessions: Sessions) -> TestClient {
    TestClient::new(app(sessions, 2))
}

fn client() -> TestClient {
    client_of(Sessions::in_cookies(CookieKey::random(), []))
}

/// The cookie of one client in another.
fn copy(from: &TestClient, to: &TestClient) {
    to.set_cookie(COOKIE, &from.cookie(COOKIE).expect("a cookie"));
}

#[test]
fn session_is_stored_in_its_cookie() {
    let client = client();
    let first = client.get("/count").send();
    first.assert_text("0").assert_header("vary", "cookie");
    assert_eq!(set_cookie(&first), None);

    let begun = client.post("/count").send();
    begun.assert_text("1").assert_header("cache-control", "no-store");
    let cookie = set_cookie(&begun).expect("a cookie");
    let (pair, attributes) = cookie.split_once("; ").expect("attributes");
    assert!(pair.starts_with("__Host-session=1."), "{cookie}");
    assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");

    client.post("/count").send().assert_text("2");
    let read = client.get("/count").send();
    read.assert_text("2");
    assert_eq!(set_cookie(&read), None);
    client.post("/flash/saved").send().assert_status(200);
    client.get("/flashes").send().assert_text("saved");
    client.get("/flashes").send().assert_text("");

    client.get("/me").send().assert_status(401);
    client.post("/sign-in/ada").send().assert_status(200);
    client.get("/me").send().assert_text("ada");
    client.get("/count").send().assert_text("2");
    client.post("/sign-out").send().assert_status(200);
    assert_eq!(client.cookie(COOKIE), None);
    client.get("/me").send().assert_status(401);
}

#[test]
fn layer_and_handler_share_the_session() {
    let client = client();
    let response = client.post("/counted").send();
    response.assert_text("2");
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 1);
    client.get("/count").send().assert_text("2");
}

#[test]
fn servers_with_one_key_share_sessions_without_a_store() {
    let key = CookieKey::random();
    let client = client_of(Sessions::in_cookies(key.clone(), []));
    client.post("/count").send().assert_text("1");
    let other = client_of(Sessions::in_cookies(key, []));
    copy(&client, &other);
    other.post("/count").send().assert_text("2");
}

#[test]
fn previous_key_is_accepted_and_replaced() {
    let (old, new) = (CookieKey::random(), CookieKey::random());
    let before = client_of(Sessions::in_cookies(old.clone(), []));
    before.post("/count").send().assert_text("1");

    let between = client_of(Sessions::in_cookies(new.clone(), [CookieKey::random(), old]));
    copy(&before, &between);
    let read = between.get("/count").send();
    read.assert_text("1");
    assert!(set_cookie(&read).is_some());
    assert_eq!(set_cookie(&between.get("/count").send()), None);

    let after = client_of(Sessions::in_cookies(new, []));
    copy(&between, &after);
    after.get("/count").send().assert_text("1");
    copy(&before, &after);
    after.get("/count").send().assert_text("0");
}

#[test]
fn cookie_ends_without_requests_and_at_its_lifetime() {
    assert_ends_without_requests_and_at_its_lifetime(Sessions::in_cookies(CookieKey::random(), []));
}

#[test]
fn session_that_fits_into_no_cookie_is_an_error() {
    let client = client();
    let fits = client.post(&format!("/sign-in/{}", "x".repeat(2800))).send();
    fits.assert_status(200);
    let length = set_cookie(&fits).expect("a cookie").len();
    assert!((3800..=4096).contains(&length), "{length}");

    let sessions = Sessions::in_cookies(CookieKey::random(), []);
    let client = TestClient::new(app(sessions, 2).development(true));
    client.post("/count").send().assert_text("1");
    let refused = client.post(&format!("/sign-in/{}", "x".repeat(3000))).send();
    refused.assert_status(500);
    refused.assert_text_contains("a browser keeps no cookie of more than 4096 bytes: use sessions in a store");
    client.get("/count").send().assert_text("1");
}

#[test]
fn copy_of_a_cookie_stays_valid_until_it_expires() {
    let client = client_of(Sessions::in_cookies(CookieKey::random(), []).idle_timeout(HOUR));
    client.post("/sign-in/ada").send().assert_status(200);
    let thief = client.another();
    copy(&client, &thief);
    client.post("/sign-out").send().assert_status(200);
    thief.get("/me").send().assert_text("ada");
    client.advance(HOUR + Duration::from_secs(1));
    thief.get("/me").send().assert_status(401);
}

#[test]
fn cookie_that_a_client_has_made_is_ignored() {
    let client = client();
    for value in [
        "",
        "1.",
        "1.AAAA",
        &"A".repeat(43),
        &format!("1.{}", "A".repeat(200)),
        &format!("2.{}", "A".repeat(200)),
    ] {
        client.set_cookie(COOKIE, value);
        client.get("/count").send().assert_text("0");
        client.get("/me").send().assert_status(401);
        client.post("/count").send().assert_text("1");
    }
}
