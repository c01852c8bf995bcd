//! The page and its forms, in a browser without scripts.

use super::*;

/// The page after an accepted form.
fn followed(client: &TestClient, response: &TestResponse) -> TestResponse {
    response.assert_status(303).assert_header("location", "/");
    client.get("/").send()
}

fn signed_up(client: &TestClient) {
    let form = [("name", "ada"), ("password", PASSWORD)];
    client.post("/page/sign-up").form(&form).send().assert_status(303);
}

#[test]
fn page_has_a_strict_policy_with_a_nonce_of_the_response() {
    with_client(|client| {
        let nonce = || {
            let page = client.get("/").send();
            page.assert_status(200)
                .assert_header("content-type", "text/html; charset=utf-8")
                .assert_header("x-content-type-options", "nosniff");
            let policy = page.header("content-security-policy").expect("a policy");
            assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
            let nonce = policy
                .split('\'')
                .nth(3)
                .and_then(|source| source.strip_prefix("nonce-"));
            let nonce = nonce.expect("a nonce").to_owned();
            assert_eq!(page.text().matches(&format!("nonce=\"{nonce}\"")).count(), 2);
            nonce
        };
        assert_ne!(nonce(), nonce());
    });
}

#[test]
fn visitor_signs_up_out_and_in_by_forms() {
    with_client(|client| {
        let form = [("name", "ada"), ("password", PASSWORD)];
        let page = followed(&client, &client.post("/page/sign-up").form(&form).send());
        page.assert_text_contains("Welcome, ada.")
            .assert_text_contains(r#"<strong id="user">ada</strong>"#);
        let first = client.cookie(COOKIE).expect("a cookie");
        assert!(
            !client.get("/").send().text().contains("Welcome"),
            "a message is shown once"
        );

        let page = followed(&client, &client.post("/page/sign-out").send());
        page.assert_text_contains(r#"id="account""#);
        let page = followed(&client, &client.post("/page/sign-in").form(&form).send());
        page.assert_text_contains("Welcome, ada.");
        let second = client.cookie(COOKIE).expect("a cookie");
        assert_ne!(first, second, "each sign-in has another id");
    });
}

#[test]
fn errors_of_a_form_are_next_to_its_fields_and_values_are_kept() {
    with_client(|client| {
        let form = [("name", "<A>"), ("password", "short")];
        let page = client.post("/page/sign-up").form(&form).send();
        page.assert_status(422)
            .assert_text_contains(r#"value="&#60;A&#62;""#)
            .assert_text_contains(r#"id="name-rule">not 2 to 32 characters, each one of a-z, 0-9 and the hyphen</p>"#)
            .assert_text_contains(r#"id="password-rule">length is lower than 10</p>"#);
        assert!(!page.text().contains("short\""), "a password is not sent back");

        signed_up(&client);
        let other = client.another();
        let form = [("name", "ada"), ("password", "another password")];
        let page = other.post("/page/sign-up").form(&form).send();
        page.assert_status(422)
            .assert_text_contains("is taken: choose another.</p>");
        let page = other.post("/page/sign-in").form(&form).send();
        page.assert_status(422)
            .assert_text_contains(r#"id="password-rule">No user has this name and password.</p>"#);

        let form = [("url", "javascript:alert(1)"), ("slug", "A B")];
        let page = client.post("/page/links").form(&form).send();
        page.assert_status(422)
            .assert_text_contains(r#"value="A B""#)
            .assert_text_contains(r#"id="slug-rule">not 0 to 32 characters"#)
            .assert_text_contains(r#"id="url-rule">not a complete http or https URL of at most 2048 bytes</p>"#);
    });
}

#[test]
fn links_are_created_listed_and_removed_by_forms() {
    with_client(|client| {
        signed_up(&client);
        for number in 1..=21 {
            let (url, slug) = (format!("https://example.com/?q=<{number}>"), format!("link-{number}"));
            let made = client
                .post("/page/links")
                .form(&[("url", &url), ("slug", &slug)])
                .send();
            made.assert_status(303);
        }
        let page = client.get("/").send();
        page.assert_text_contains("Made the link link-21.");
        assert!(
            page.text().contains(r#"<a class="short" href="/link-2""#) && !page.text().contains("href=\"/link-1\"")
        );
        let older = page
            .text()
            .split("id=\"more\" href=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        client
            .get(older.expect("a link"))
            .send()
            .assert_text_contains("href=\"/link-1\"");

        let taken = client
            .post("/page/links")
            .form(&[("url", "https://example.com"), ("slug", "link-3")])
            .send();
        taken
            .assert_status(422)
            .assert_text_contains("is taken: choose another.</p>");
        let random = client
            .post("/page/links")
            .form(&[("url", "https://example.com"), ("slug", "")])
            .send();
        followed(&client, &random).assert_text_contains("Made the link ");

        let page = followed(&client, &client.post("/page/links/link-21/remove").send());
        page.assert_text_contains("Removed the link link-21.");
        client.get("/link-21").send().assert_status(404);

        // The session has ended in another window: the form has no effect, and the page requests a sign-in.
        let visitor = client.another();
        let form = [("url", "https://example.com"), ("slug", "stolen")];
        let page = followed(&visitor, &visitor.post("/page/links").form(&form).send());
        page.assert_text_contains(r#"id="account""#);
        followed(&visitor, &visitor.post("/page/links/link-2/remove").send());
        client.get("/link-2").send().assert_status(307);
        client.get("/stolen").send().assert_status(404);
    });
}
