//! The API and the page in this process: the complete service with a temporary database, without a socket.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use conduit::health::Dependency;
use conduit::openapi::DescribeRoutes;
use conduit::testing::{TestClient, TestResponse, assert_lock};
use serde_json::{Value, json};

use crate::app;
use crate::settings::Settings;

mod pages;

const PASSWORD: &str = "correct horse";
const COOKIE: &str = "__Host-session";

/// A directory for a database, which is removed when the test ends.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("shortlinks-api-{}-{number}", std::process::id()));
        // A killed process with this id may have left it.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("the directory for temporary files can be written to");
        Directory(path)
    }

    fn settings(&self) -> Settings {
        Settings::new(self.0.join("links.db"))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The system cleans files that cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test as a client of the service that has not signed up.
fn with_client(test: impl FnOnce(TestClient)) {
    let directory = Directory::new();
    test(TestClient::new(app(directory.settings()).development(false)));
}

#[test]
fn the_api_equals_the_lock() {
    let directory = Directory::new();
    assert_lock(&app(directory.settings()), "api.lock");
}

/// Runs a test as a client that has signed in as Ada.
fn as_ada(test: impl FnOnce(TestClient)) {
    with_client(|client| test(signed_in(&client, "ada")));
}

/// Another client, which signs up and in with this name.
fn signed_in(client: &TestClient, name: &str) -> TestClient {
    let client = client.another();
    let credentials = json!({ "name": name, "password": PASSWORD });
    client.post("/api/users").json(&credentials).send().assert_status(201);
    client.post("/api/session").json(&credentials).send().assert_status(201);
    client
}

fn create(client: &TestClient, link: Value) -> TestResponse {
    client.post("/api/links").json(&link).send()
}

fn clicks(client: &TestClient, slug: &str) -> Value {
    client.get(&format!("/api/links/{slug}")).send().json::<Value>()["clicks"].clone()
}

/// The places of the errors.
fn paths(refusal: &TestResponse) -> Vec<Value> {
    refusal.assert_status(422);
    let problem = refusal.problem();
    let errors = problem["errors"].as_array().expect("errors");
    errors.iter().map(|error| error["path"].clone()).collect()
}

#[test]
fn a_link_is_created_shown_followed_and_removed() {
    as_ada(|client| {
        let made = create(&client, json!({ "url": "https://example.com/a b", "slug": "manual" }));
        made.assert_status(201).assert_header("location", "/api/links/manual");
        made.assert_json_contains(&json!({ "slug": "manual", "url": "https://example.com/a%20b", "clicks": 0 }));
        client
            .get("/api/links/manual")
            .send()
            .assert_json(&made.json::<Value>());

        let followed = client.another().get("/manual").send();
        followed
            .assert_status(307)
            .assert_header("location", "https://example.com/a%20b");
        assert_eq!(clicks(&client, "manual"), 1);
        client.head("/manual").send().assert_status(307);
        assert_eq!(
            clicks(&client, "manual"),
            1,
            "a request for the target without following it is not counted"
        );

        client
            .delete("/api/links/manual")
            .send()
            .assert_status(204)
            .assert_text("");
        client.get("/manual").send().assert_status(404);
        client.get("/api/links/manual").send().assert_status(404);
        client.delete("/api/links/manual").send().assert_status(404);
    });
}

#[test]
fn a_link_without_a_slug_gets_one() {
    as_ada(|client| {
        let made: Value = create(&client, json!({ "url": "http://example.com" })).json();
        let slug = made["slug"].as_str().expect("a slug");
        client.get(&format!("/{slug}")).send().assert_status(307);
    });
}

#[test]
fn a_slug_that_is_taken_is_a_conflict_and_the_first_link_remains() {
    as_ada(|client| {
        create(&client, json!({ "url": "https://example.com/1", "slug": "mine" }));
        // The page with that name would hide the second link.
        for slug in ["mine", "healthz", "docs"] {
            let refused = create(&client, json!({ "url": "https://example.com/2", "slug": slug }));
            refused.assert_status(409);
            let detail = format!("The slug \"{slug}\" is taken: choose another.");
            assert_eq!(refused.problem()["detail"], detail);
        }
        client
            .get("/mine")
            .send()
            .assert_header("location", "https://example.com/1");
    });
}

#[test]
fn all_violated_rules_of_a_link_are_reported_at_once() {
    as_ada(|client| {
        let refused = create(&client, json!({ "url": "javascript:alert(1)", "slug": "A B" }));
        assert_eq!(paths(&refused), ["body.slug", "body.url"]);
        client
            .get("/api/links")
            .send()
            .assert_json(&json!({ "links": [], "next": null }));
    });
}

#[test]
fn a_body_that_is_not_a_link_is_refused() {
    as_ada(|client| {
        let send = |body: &str| {
            client
                .post("/api/links")
                .header("content-type", "application/json")
                .body(body.to_owned())
                .send()
        };
        send("{").assert_status(400);
        send("{}").assert_status(422).assert_text_contains("url");
        send(r#"{ "url": "http://example.com", "slgu": "a" }"#)
            .assert_status(422)
            .assert_text_contains("slgu");
        send(&json!({ "url": "a".repeat(20_000) }).to_string()).assert_status(413);
        client.post("/api/links").text("{}").send().assert_status(415);
    });
}

#[test]
fn the_list_comes_in_pages_with_the_newest_first() {
    as_ada(|client| {
        for number in 1..=25 {
            create(
                &client,
                json!({ "url": "https://example.com", "slug": format!("link-{number}") }),
            );
        }
        let part = |query: &str| {
            let part: Value = client.get(&format!("/api/links{query}")).send().json();
            let slugs: Vec<_> = part["links"]
                .as_array()
                .expect("links")
                .iter()
                .map(|link| link["slug"].clone())
                .collect();
            (slugs, part["next"].as_i64())
        };
        let expected = |numbers: std::ops::RangeInclusive<u32>| -> Vec<String> {
            numbers.rev().map(|number| format!("link-{number}")).collect()
        };

        let (slugs, next) = part("");
        assert_eq!(slugs, expected(6..=25));
        // A change of earlier links does not shift later ones.
        client.delete("/api/links/link-25").send().assert_status(204);
        client.delete("/api/links/link-6").send().assert_status(204);
        let (slugs, end) = part(&format!("?after={}", next.expect("there is more")));
        assert_eq!(
            (slugs, end),
            (expected(1..=5).into_iter().map(Value::from).collect(), None)
        );
        assert_eq!(part("?limit=2").0, expected(23..=24));
        assert_eq!(part("?limit=23").1, None, "there is nothing after the last link");

        for query in ["?limit=0", "?limit=101"] {
            assert_eq!(
                paths(&client.get(&format!("/api/links{query}")).send()),
                ["query.limit"]
            );
        }
        client.get("/api/links?limit=many").send().assert_status(400);
    });
}

#[test]
fn the_links_of_another_user_can_be_followed_and_nothing_else() {
    as_ada(|ada| {
        let eve = signed_in(&ada, "eve");
        create(&ada, json!({ "url": "https://example.com", "slug": "hers" }));
        eve.get("/hers").send().assert_status(307);
        eve.get("/api/links")
            .send()
            .assert_json(&json!({ "links": [], "next": null }));
        eve.get("/api/links/hers").send().assert_status(404);
        eve.delete("/api/links/hers").send().assert_status(404);
        assert_eq!(clicks(&ada, "hers"), 1);
    });
}

#[test]
fn links_require_a_session() {
    with_client(|client| {
        let refused = client.get("/api/links").send();
        let challenge = r#"ApiKey in="cookie", name="__Host-session""#;
        refused.assert_status(401).assert_header("www-authenticate", challenge);
        create(&client, json!({ "url": "https://example.com" })).assert_status(401);
        client.get("/api/session").send().assert_status(401);
        client
            .get("/api/links")
            .cookie(COOKIE, "nonsense")
            .send()
            .assert_status(401);
    });
}

#[test]
fn session_begins_with_the_password_and_ends_at_logout() {
    with_client(|client| {
        let ada = json!({ "name": "ada", "password": PASSWORD });
        client
            .post("/api/users")
            .json(&ada)
            .send()
            .assert_status(201)
            .assert_json(&json!({ "name": "ada" }));
        client.post("/api/users").json(&ada).send().assert_status(409);
        for (name, password) in [("ada", "incorrect horse"), ("eve", PASSWORD)] {
            let refused = client
                .post("/api/session")
                .json(&json!({ "name": name, "password": password }))
                .send();
            refused.assert_status(401);
            assert_eq!(refused.problem()["detail"], "No user has this name and password.");
        }

        // The cookie is sufficient, and no script can read it.
        let signed_in = client.post("/api/session").json(&ada).send();
        signed_in.assert_status(201).assert_json(&json!({ "name": "ada" }));
        let cookie = signed_in.header("set-cookie").expect("a cookie");
        let attributes = "; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=2592000";
        assert!(cookie.starts_with(COOKIE) && cookie.ends_with(attributes), "{cookie}");
        let session = client.get("/api/session").send();
        session.assert_status(200).assert_json(&json!({ "name": "ada" }));
        assert_eq!(session.header("set-cookie"), None);

        // The second session of the same browser invalidates the id of the first one.
        let first = client.cookie(COOKIE).expect("a cookie");
        client.post("/api/session").json(&ada).send().assert_status(201);
        let second = client.cookie(COOKIE).expect("a cookie");
        assert_ne!(first, second);
        let thief = client.another();
        thief
            .get("/api/session")
            .cookie(COOKIE, &first)
            .send()
            .assert_status(401);

        client.delete("/api/session").send().assert_status(204);
        assert_eq!(client.cookie(COOKIE), None);
        client.get("/api/session").send().assert_status(401);
        thief
            .get("/api/session")
            .cookie(COOKIE, &second)
            .send()
            .assert_status(401);
    });
}

#[test]
fn pages_of_other_sites_cannot_act_for_the_user() {
    as_ada(|client| {
        create(&client, json!({ "url": "https://example.com", "slug": "mine" }));
        for (method, target) in [
            ("POST", "/api/session"),
            ("DELETE", "/api/session"),
            ("POST", "/api/links"),
            ("DELETE", "/api/links/mine"),
            ("POST", "/page/sign-up"),
            ("POST", "/page/sign-in"),
            ("POST", "/page/sign-out"),
            ("POST", "/page/links"),
            ("POST", "/page/links/mine/remove"),
        ] {
            let attack = client.request(method, target).header("sec-fetch-site", "cross-site");
            attack.send().assert_status(403);
            let attack = client.request(method, target).header("origin", "https://evil.example");
            attack.send().assert_status(403);
        }
        client.get("/api/links/mine").send().assert_status(200);
    });
}

#[test]
fn a_name_and_a_password_have_rules() {
    with_client(|client| {
        let refused = client
            .post("/api/users")
            .json(&json!({ "name": "A", "password": "short" }))
            .send();
        assert_eq!(paths(&refused), ["body.name", "body.password"]);
    });
}

#[test]
fn guessing_and_flooding_are_slowed_down() {
    let directory = Directory::new();
    let mut settings = directory.settings();
    settings.new_links_per_minute = 2;
    settings.sign_ins_per_minute = 3;
    let ada = signed_in(&TestClient::new(app(settings).development(false)), "ada");
    ada.post("/api/session")
        .json(&json!({ "name": "ada", "password": "a wrong guess" }))
        .send()
        .assert_status(401);
    let refused = ada
        .post("/api/session")
        .json(&json!({ "name": "ada", "password": PASSWORD }))
        .send();
    refused.assert_status(429);
    assert!(refused.header("retry-after").is_some());

    create(&ada, json!({ "url": "https://example.com" })).assert_status(201);
    create(&ada, json!({ "url": "https://example.com" })).assert_status(201);
    create(&ada, json!({ "url": "https://example.com" })).assert_status(429);
    ada.get("/api/links").send().assert_status(200);
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    with_client(|client| {
        client.get("/nothing-here").send().assert_status(404);
        client.get("/nothing/here").send().assert_status(404);
        let refused = client.delete("/api/links").send();
        refused
            .assert_status(405)
            .assert_header("allow", "GET, HEAD, POST, OPTIONS");
        client.post("/").json(&json!({})).send().assert_status(405);
    });
}

#[test]
fn health_checks_respond_and_the_document_is_revalidated() {
    with_client(|client| {
        client.get("/healthz").send().assert_status(200);
        client.get("/readyz").send().assert_text("ready\n");
        let queue = Dependency::new("no connection to the queue");
        queue.set_available(false);
        let unready = client.get("/readyz").send();
        assert_eq!(
            unready.assert_status(503).json::<Value>()["detail"],
            "no connection to the queue"
        );
        drop(queue);
        client.get("/readyz").send().assert_text("ready\n");
        let document = client.get("/docs/openapi.json").send();
        let tag = document.header("etag").expect("a tag").to_owned();
        let again = client.get("/docs/openapi.json").header("if-none-match", &tag);
        again.send().assert_status(304);
    });
}

#[test]
fn the_metrics_are_for_this_machine_only() {
    with_client(|client| {
        client
            .get("/metrics")
            .send()
            .assert_status(200)
            .assert_text_contains("conduit_requests_total");
        let outside = client.another().with_peer_address(([192, 0, 2, 1], 4711));
        outside.get("/metrics").send().assert_status(403);
    });
}

#[test]
fn the_document_has_no_gaps() {
    let document = crate::ROUTES.openapi(conduit::openapi::Info::new("Short links", "1"));
    assert!(document.gaps().is_empty(), "{:?}", document.gaps());
}
