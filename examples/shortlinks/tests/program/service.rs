//! The API, the short links and the database.

use std::collections::HashSet;

use crate::support::{Directory, Service, client, command};
use serde_json::json;

/// Runs a test against a service with an empty database.
fn with_service(test: impl FnOnce(&Service)) {
    let directory = Directory::new();
    test(&Service::start(&directory.path().join("links.db")));
}

#[test]
fn a_link_is_made_shown_followed_and_removed() {
    with_service(|service| {
        let made = service.create(&json!({ "url": "https://example.com/a b", "slug": "manual" }));
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.header("location"), "/api/links/manual");
        let link = made.json();
        assert_eq!(link["slug"], "manual");
        assert_eq!(link["url"], "https://example.com/a%20b");
        assert_eq!(link["clicks"], 0);
        assert_eq!(service.get("/api/links/manual").json(), link);

        let followed = service.get("/manual");
        assert_eq!(followed.status, 307);
        assert_eq!(followed.header("location"), "https://example.com/a%20b");
        assert_eq!(service.clicks("manual"), 1);

        let removed = service.delete("/api/links/manual");
        assert_eq!((removed.status, &*removed.text), (204, ""));
        service.get("/manual").problem(404);
        service.get("/api/links/manual").problem(404);
        service.delete("/api/links/manual").problem(404);
    });
}

#[test]
fn a_link_without_a_slug_gets_one() {
    with_service(|service| {
        let slugs: HashSet<_> = (0..20)
            .map(|_| {
                let made = service.create(&json!({ "url": "http://example.com" }));
                assert_eq!(made.status, 201, "{made:?}");
                made.json()["slug"].as_str().expect("a slug").to_owned()
            })
            .collect();
        assert_eq!(slugs.len(), 20);
        for slug in slugs {
            assert_eq!(service.get(&format!("/{slug}")).status, 307);
        }
    });
}

#[test]
fn a_slug_that_is_taken_is_a_conflict_and_the_first_link_stays() {
    with_service(|service| {
        service.create(&json!({ "url": "https://example.com/1", "slug": "mine" }));
        let problem = service
            .create(&json!({ "url": "https://example.com/2", "slug": "mine" }))
            .problem(409);
        assert_eq!(problem["detail"], "The slug \"mine\" is taken: choose another.");
        assert_eq!(service.get("/mine").header("location"), "https://example.com/1");
    });
}

#[test]
fn a_link_that_breaks_the_rules_is_refused_with_field_value_and_rule() {
    with_service(|service| {
        let problem = service
            .create(&json!({ "url": "javascript:alert(1)", "slug": "A B" }))
            .problem(422);
        assert_eq!(
            problem["errors"],
            json!([
                { "field": "url", "value": "javascript:alert(1)",
                  "rule": "must be a complete http or https URL of at most 2048 bytes" },
                { "field": "slug", "value": "A B",
                  "rule": "must be 1 to 32 characters, each one of a-z, 0-9 and the hyphen" },
            ])
        );
        // The page of that name would hide the link.
        let problem = service
            .create(&json!({ "url": "https://example.com", "slug": "healthz" }))
            .problem(422);
        assert_eq!(problem["errors"][0]["field"], "slug");
        assert_eq!(service.get("/api/links").json()["links"], json!([]));
    });
}

#[test]
fn a_body_that_is_no_link_is_refused() {
    with_service(|service| {
        let send = |body: &str| service.post("/api/links", "application/json", body);
        send("{").problem(400);
        let missing = send("{}").problem(422);
        assert!(
            missing["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("`url`"))
        );
        let unknown = send(r#"{ "url": "http://example.com", "slgu": "a" }"#).problem(422);
        assert!(
            unknown["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("`slgu`"))
        );
        send(&json!({ "url": "a".repeat(20_000) }).to_string()).problem(413);
        service.post("/api/links", "text/plain", "{}").problem(415);
    });
}

#[test]
fn the_list_comes_in_pages_with_the_newest_first() {
    with_service(|service| {
        for number in 1..=25 {
            service.create(&json!({ "url": "https://example.com", "slug": format!("link-{number}") }));
        }
        let part = |query: String| {
            let part = service.get(&format!("/api/links{query}")).json();
            let slugs: Vec<_> = part["links"]
                .as_array()
                .expect("links")
                .iter()
                .map(|link| link["slug"].as_str().expect("a slug").to_owned())
                .collect();
            (slugs, part["next"].as_i64())
        };
        let expected = |numbers: std::ops::RangeInclusive<u32>| -> Vec<String> {
            numbers.rev().map(|number| format!("link-{number}")).collect()
        };

        let (slugs, next) = part(String::new());
        assert_eq!(slugs, expected(6..=25));
        // What happens to the links before does not move those after.
        service.delete("/api/links/link-25");
        service.delete("/api/links/link-6");
        let (slugs, end) = part(format!("?after={}", next.expect("there is more")));
        assert_eq!((slugs, end), (expected(1..=5), None));

        let (slugs, next) = part("?limit=2".to_owned());
        assert_eq!(slugs, expected(23..=24));
        let (slugs, _) = part(format!("?limit=2&after={}", next.expect("there is more")));
        assert_eq!(slugs, expected(21..=22));
        assert_eq!(
            part("?limit=23".to_owned()).1,
            None,
            "there is nothing after the last link"
        );

        for query in ["?limit=0", "?limit=101", "?limit=many", "?after=x"] {
            service.get(&format!("/api/links{query}")).problem(400);
        }
    });
}

#[test]
fn no_click_is_lost_however_many_follow_at_once() {
    with_service(|service| {
        service.create(&json!({ "url": "https://example.com", "slug": "busy" }));
        std::thread::scope(|scope| {
            for _ in 0..100 {
                // A client of its own for each, so that the kernel spreads them over the workers.
                scope.spawn(|| {
                    let response = client().get(format!("{}/busy", service.address)).call();
                    assert_eq!(response.expect("an answer").status(), 307);
                });
            }
        });
        assert_eq!(service.clicks("busy"), 100);
    });
}

#[test]
fn asking_where_a_link_leads_is_no_click() {
    with_service(|service| {
        service.create(&json!({ "url": "https://example.com/", "slug": "asked" }));
        let asked = service.head("/asked");
        assert_eq!((asked.status, asked.header("location")), (307, "https://example.com/"));
        assert_eq!(service.clicks("asked"), 0);
    });
}

#[test]
fn what_there_is_not_and_what_is_not_allowed_are_problems() {
    with_service(|service| {
        service.get("/nothing-here").problem(404);
        service.get("/nothing/here").problem(404);
        let refused = service.delete("/api/links");
        refused.problem(405);
        let mut allowed: Vec<_> = refused.header("allow").split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(allowed, ["GET", "HEAD", "OPTIONS", "POST"]);
        service.post("/", "application/json", "{}").problem(405);
    });
}

#[test]
fn the_page_and_the_health_check_answer() {
    with_service(|service| {
        let page = service.get("/");
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, "text/html; charset=utf-8")
        );
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
        assert!(page.text.starts_with("<!doctype html>"));
        let health = service.get("/healthz");
        assert_eq!((health.status, &health.json()["status"]), (200, &json!("ok")));
    });
}

#[test]
fn a_restart_keeps_the_links_and_a_signal_ends_the_program_well() {
    let directory = Directory::new();
    let database = directory.path().join("links.db");
    let service = Service::start(&database);
    service.create(&json!({ "url": "https://example.com/kept", "slug": "kept" }));
    service.get("/kept");
    assert_eq!(service.terminate().code(), Some(0));

    let service = Service::start(&database);
    assert_eq!(service.clicks("kept"), 1);
    assert_eq!(service.get("/kept").header("location"), "https://example.com/kept");
}

#[test]
fn a_program_that_dies_loses_nothing_that_it_confirmed() {
    let directory = Directory::new();
    let database = directory.path().join("links.db");
    let service = Service::start(&database);
    service.create(&json!({ "url": "https://example.com/", "slug": "kept" }));
    // Dropping it kills it: nothing is tidied up.
    drop(service);
    assert_eq!(Service::start(&database).get("/kept").status, 307);
}

#[test]
fn a_database_that_cannot_be_opened_is_named_with_the_remedy() {
    let directory = Directory::new();
    let output = command(&directory.path().join("missing").join("links.db"))
        .output()
        .expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("links.db") && text.contains("set SHORTLINKS_DB"),
        "{text}"
    );
}
