//! Optional users, and several `Sessions` in one application.

use crate::*;

#[get("/greeting")]
async fn greeting(user: Option<Auth<User>>) -> String {
    user.map_or_else(|| "visitor".to_owned(), |user| user.0.0)
}

#[test]
fn optional_user_is_absent_without_a_cookie_of_a_session() {
    let site = Site {
        sessions: Sessions::in_memory().cookie_name("shop"),
        barrier: Arc::new(Barrier::new(2)),
    };
    let app = App::new(site).routes(routes![greeting, sign_in, sign_out]);
    let client = TestClient::new(app.development(false));
    client.get("/greeting").send().assert_text("visitor");
    // Cookies of others, one with a value like an id.
    let like_an_id = "A".repeat(43);
    for (name, value) in [("__Host-theme", "dark"), ("__Host-shop", "x"), ("tracker", &like_an_id)] {
        client.set_cookie(name, value);
        client.get("/greeting").send().assert_text("visitor");
    }
    client.post("/sign-in/ada").send().assert_status(200);
    client.get("/greeting").send().assert_text("ada");

    let ended = client.cookie("__Host-shop").expect("a cookie");
    client.post("/sign-out").send().assert_status(200);
    client.get("/greeting").send().assert_text("visitor");
    client.set_cookie("__Host-shop", &ended);
    client.get("/greeting").send().assert_status(401);
}

#[derive(Clone, FromRef)]
struct Admin {
    sessions: Sessions,
}

#[derive(Clone, FromRef)]
struct Whole {
    sessions: Sessions,
    admin: Admin,
}

const ADMIN: Routes<Admin> = routes![count, read];

/// A client of an application whose layer counts in one session, and whose mounted list in another.
fn client_of_two(admin: Sessions) -> TestClient {
    let whole = Whole {
        sessions: Sessions::in_memory(),
        admin: Admin { sessions: admin },
    };
    let routes = routes![read, "/admin" => ADMIN];
    TestClient::new(App::new(whole).routes(routes).layer(counted).development(true))
}

#[test]
fn list_with_other_sessions_does_not_share_those_of_a_layer() {
    let client = client_of_two(Sessions::in_memory().cookie_name("admin"));
    let first = client.post("/admin/count").send();
    first.assert_text("1");
    assert_eq!(first.headers().get_all("set-cookie").iter().count(), 2);
    let cookies = [client.cookie("session"), client.cookie("admin")];
    assert!(cookies.iter().all(Option::is_some) && cookies[0] != cookies[1]);
    client.post("/admin/count").send().assert_text("2");
    client.get("/admin/count").send().assert_text("2");
    client.get("/count").send().assert_text("4");
}

#[test]
fn two_stores_with_one_cookie_are_an_error() {
    let client = client_of_two(Sessions::in_memory());
    client
        .get("/admin/count")
        .send()
        .assert_status(500)
        .assert_text_contains("two `Sessions` of one request use the cookie `session`");
}
