//! The page in a real browser: Chromium without a window, driven over its DevTools pipe.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::chromium::{self, Page};
use crate::support::{Directory, PASSWORD, Service};

/// Runs a test with a browser, if one is installed.
fn with_browser(test: impl FnOnce(&mut Browser, &Path)) {
    let directory = Directory::new();
    if let Some(chromium) = chromium::Browser::start(&directory.path().join("profile")) {
        let mut browser = Browser { chromium, page: None };
        test(&mut browser, &directory.path().join("links.db"));
    }
}

/// True once the script of the page has run: it inserts the whole address of each link.
const HAS_RUN_SCRIPT: &str =
    "'http://' + document.querySelector('li .short').textContent === document.querySelector('li .short').href";

#[test]
fn a_user_signs_up_creates_links_and_signs_out_on_the_page() {
    with_browser(|browser, database| {
        let service = Service::start(database);
        browser.open(&service.address);

        // Before the sign-in the page contains only that form. An error is shown at its field.
        assert_eq!(browser.value("document.forms.length"), 1);
        browser.sign("sign-up", "A", "short");
        browser.wait("document.querySelector('#password[aria-invalid=true]')");
        assert_eq!(
            browser.text("#name-rule"),
            "not 2 to 32 characters, each one of a-z, 0-9 and the hyphen"
        );
        assert_eq!(browser.value("document.querySelector('#name').value"), "A");
        browser.sign("sign-in", "ada", PASSWORD);
        browser.wait("document.querySelector('#password-rule')?.textContent === 'No user has this name and password.'");
        browser.screenshot("signed-out");
        browser.sign("sign-up", "ada", PASSWORD);
        browser.wait("document.querySelector('#user')");
        assert_eq!(browser.text("#user"), "ada");
        assert_eq!(browser.text(".message"), "Welcome, ada.");
        assert_eq!(browser.value("document.cookie"), "", "no script can read the session");

        // A signed-in user sees the page at once, with all links, and a message once.
        browser.submit("https://example.com/first", "first");
        browser.wait("document.querySelector('li[data-slug=first]')");
        assert_eq!(browser.text(".message"), "Made the link first.");
        browser.open(&service.address);
        assert_eq!(browser.text("#user"), "ada");
        assert_eq!(browser.value("document.querySelector('.message')"), Value::Null);

        assert_eq!(browser.value("violations"), json!([]), "the page respects its policy");
        // Inline scripts and styles do not run, nor does a script with another nonce.
        browser.value(
            "const injected = document.createElement('script'); injected.textContent = 'window.injected = true';
            injected.nonce = 'guessed'; document.body.append(injected);
            document.body.setAttribute('style', 'color: red')",
        );
        assert_eq!(browser.value("window.injected === undefined"), true);
        assert_eq!(
            browser.value("violations"),
            json!(["script-src-elem inline", "style-src-attr inline"])
        );

        browser.value("document.querySelector('header button').click()");
        browser.wait("document.querySelector('#account')");
        assert_eq!(browser.value("document.querySelector('li')"), Value::Null);
        assert_eq!(browser.value("violations"), json!([]));
        browser.open(&service.address);
        browser.wait("document.querySelector('#account')");
    });
}

#[test]
fn the_page_creates_lists_refuses_and_deletes_links() {
    with_browser(|browser, database| {
        let service = Service::start_as("ada", database);
        service.create(&json!({ "url": "https://example.com/?q='<i>'&lt;", "slug": "first" }));
        service.get("/first");
        browser.open(&service.address);
        browser.sign("sign-in", "ada", PASSWORD);

        // An existing link is listed with its count, and its text is escaped.
        browser.wait("document.querySelector('li .short')");
        assert_eq!(
            browser.text("li .target"),
            service.get("/api/links/first").json()["url"]
        );
        assert_eq!(browser.text("li .clicks span"), "1 click");
        assert_eq!(browser.value("document.querySelectorAll('li i').length"), 0);

        // A link that the form creates is the first, and the service has stored it. The script has inserted the whole address.
        browser.submit("https://example.com/second", "second");
        browser.wait("document.querySelector('li[data-slug=second]')");
        assert_eq!(browser.value("document.querySelector('li').dataset.slug"), "second");
        assert_eq!(browser.text("li .clicks span"), "0 clicks");
        assert_eq!(browser.text(".message"), "Made the link second.");
        let address = format!("{}/second", service.address);
        assert_eq!(browser.value("document.querySelector('li .short').href"), address);
        browser.wait(HAS_RUN_SCRIPT);
        assert_eq!(service.get("/second").status, 307);
        browser.screenshot("signed-in");

        // A conflict is shown at its field, and the form keeps its values.
        browser.submit("https://example.com/third", "second");
        browser.wait("document.querySelector('#slug[aria-invalid=true]')");
        assert_eq!(
            browser.text("#slug-rule"),
            "The slug \"second\" is taken: choose another."
        );
        assert_eq!(
            browser.value("document.querySelector('#url').value"),
            "https://example.com/third"
        );
        browser.screenshot("refused");

        browser.submit("javascript:alert(1)", "");
        browser.wait("document.querySelector('#url[aria-invalid=true]')");
        assert_eq!(
            browser.text("#url-rule"),
            "not a complete http or https URL of at most 2048 bytes"
        );
        assert_eq!(browser.text("#slug-rule"), "");

        // The page asks before it deletes a link; then the service has removed it. Without its script it would not ask.
        browser.wait(HAS_RUN_SCRIPT);
        browser.value("window.confirm = () => false; document.querySelector('li .delete').click()");
        browser.value("window.confirm = () => true; document.querySelector('li .delete').click()");
        browser.wait("document.querySelector('.message')?.textContent === 'Removed the link second.'");
        assert_eq!(service.get("/second").status, 404);
        assert_eq!(service.get("/first").status, 307);
    });
}

#[test]
fn the_docs_page_tries_an_operation_as_a_user() {
    with_browser(|browser, database| {
        let service = Service::start_as("ada", database);
        service.create(&json!({ "url": "https://example.com/", "slug": "shown-in-docs" }));
        browser.open(&format!("{}/docs", service.address));
        let list = "#operations-links-links_list";
        browser.wait(&format!("document.querySelector('{list}')"));

        // The page of the documentation has the origin of the service, so that the browser sends the cookie.
        browser.sign_in_by_script(&service.address);

        browser.value(&format!(
            "document.querySelector('{list} button.opblock-summary-control').click()"
        ));
        // The page resolves the references of an opened operation; a click before that is lost.
        browser.wait(&format!("document.querySelector('{list} [data-name=examplePanel]')"));
        browser.wait(&format!(
            "document.querySelector('{list} .try-out__btn, {list} .execute')"
        ));
        browser.value(&format!("document.querySelector('{list} .execute').click()"));
        browser.wait(&format!(
            "document.querySelector('{list} .live-responses-table .response-col_status')"
        ));
        let answer = browser.text(&format!("{list} .live-responses-table"));
        let answer = answer.as_str().expect("text");
        assert!(answer.contains("200") && answer.contains("shown-in-docs"), "{answer}");
        browser.screenshot("docs");
        browser.value(&format!(
            "document.querySelector('{list} .responses-wrapper').scrollIntoView()"
        ));
        browser.screenshot("docs-answer");
    });
}

/// A page of another site, with arbitrary scripts.
fn attacker() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let page =
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\nevil";
            // The browser may have closed the connection.
            let _ = stream.read(&mut head).and_then(|_| stream.write_all(page.as_bytes()));
        }
    });
    // The host differs from that of the service, so it is another site.
    format!("http://localhost:{port}/")
}

#[test]
fn pages_of_another_site_cannot_act_for_the_user() {
    with_browser(|browser, database| {
        let service = Service::start_as("ada", database);
        service.create(&json!({ "url": "https://example.com/", "slug": "mine" }));
        browser.open(&service.address);
        browser.sign("sign-in", "ada", PASSWORD);
        browser.wait("document.querySelector('#user')");
        let evil = attacker();
        let address = json!(service.address);

        // An image, a script and a simple request with cookies: they change nothing.
        browser.open(&evil);
        browser.value(&format!("new Image().src = {address} + '/api/session'"));
        let simple = "{ method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' }";
        browser.value(&format!(
            "fetch({address} + '/api/links', {simple}).then(() => 0, () => 0)"
        ));
        // A request with another method needs a permission, which the service does not grant.
        let delete = "{ method: 'DELETE', credentials: 'include' }";
        let failed = browser.value(&format!(
            "fetch({address} + '/api/session', {delete}).then(() => 'sent', () => 'blocked')"
        ));
        assert_eq!(failed, "blocked");

        // A form that signs its victim in as another user.
        browser.value(&format!(
            "const form = document.createElement('form'); form.method = 'post'; form.action = {address} + '/api/session';
            document.body.append(form); form.submit()"
        ));
        browser.wait("document.body?.textContent.includes('a page of another origin')");

        // The forms of the page, which sign out, or create and remove links, with the cookies of the browser.
        for path in [
            "/page/sign-out",
            "/page/sign-in",
            "/page/links",
            "/page/links/mine/remove",
        ] {
            browser.open(&evil);
            browser.value(&format!(
                "const form = document.createElement('form'); form.method = 'post'; form.action = {address} + {};
                document.body.append(form); form.submit()",
                json!(path)
            ));
            browser.wait("document.body?.textContent.includes('a page of another origin')");
        }

        browser.open(&service.address);
        browser.wait("document.querySelector('#user')");
        assert_eq!(browser.text("#user"), "ada");
        browser.wait("document.querySelector('li[data-slug=mine]')");
    });
}

#[test]
fn cookie_of_a_session_is_for_this_host_only_and_changes_at_sign_in() {
    with_browser(|browser, database| {
        let service = Service::start_as("ada", database);
        browser.open(&service.address);
        browser.sign("sign-in", "ada", PASSWORD);
        browser.wait("document.querySelector('#user')");
        assert_eq!(browser.value("document.cookie"), "", "no script can read it");
        let mut seen = Vec::new();
        for is_again in [false, true] {
            if is_again {
                // A second sign-in in the same session. The policy of the page permits no request of a script, that of the docs does.
                browser.open(&format!("{}/docs", service.address));
                browser.sign_in_by_script(&service.address);
            }
            let cookies = browser.call("Network.getCookies", json!({ "urls": [service.address] }));
            let [cookie] = &cookies["cookies"].as_array().expect("cookies")[..] else {
                panic!("one cookie: {cookies}");
            };
            assert_eq!(cookie["name"], "__Host-session");
            assert_eq!(cookie["domain"], "127.0.0.1");
            assert_eq!(cookie["path"], "/");
            assert_eq!(cookie["httpOnly"], true);
            assert_eq!(cookie["secure"], true);
            assert_eq!(cookie["sameSite"], "Strict");
            seen.push(cookie["value"].clone());
        }
        assert_ne!(seen[0], seen[1]);
    });
}

/// A browser with one page.
struct Browser {
    chromium: chromium::Browser,
    page: Option<Page>,
}

impl Browser {
    /// Opens a page and waits until it is loaded.
    fn open(&mut self, address: &str) {
        self.page = Some(self.chromium.open(address));
    }

    /// Sends a command to the page and waits for its result.
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.chromium.call(self.page.as_ref(), method, params)
    }

    /// The value of a JavaScript expression, or of its promise.
    fn value(&mut self, expression: &str) -> Value {
        self.chromium.value(page(&self.page), expression)
    }

    fn text(&mut self, selector: &str) -> Value {
        self.value(&format!("document.querySelector({}).textContent", json!(selector)))
    }

    /// Waits until a condition is true.
    #[track_caller]
    fn wait(&mut self, condition: &str) {
        self.chromium.wait(page(&self.page), condition);
    }

    /// Signs in as Ada from a page of the service.
    fn sign_in_by_script(&mut self, address: &str) {
        let credentials = json!({ "name": "ada", "password": PASSWORD }).to_string();
        let options = json!({
            "method": "POST", "headers": { "content-type": "application/json" }, "body": credentials,
        });
        let status = self.value(&format!(
            "fetch({} + '/api/session', {options}).then((response) => response.status)",
            json!(address)
        ));
        assert_eq!(status, 201);
    }

    /// Fills in the form of a name and a password, and presses the button.
    fn sign(&mut self, button: &str, name: &str, password: &str) {
        self.value(&format!(
            "document.querySelector('#name').value = {}; document.querySelector('#password').value = {};
            document.querySelector('#{button}').click()",
            json!(name),
            json!(password)
        ));
    }

    /// Writes images of the page into the directory in `SHORTLINKS_SCREENSHOTS`.
    fn screenshot(&mut self, name: &str) {
        self.chromium
            .screenshot(page(&self.page), "SHORTLINKS_SCREENSHOTS", name);
    }

    /// Fills in the form of a link and sends it.
    fn submit(&mut self, url: &str, slug: &str) {
        self.value(&format!(
            "document.querySelector('#url').value = {}; document.querySelector('#slug').value = {};
            document.querySelector('#new button').click()",
            json!(url),
            json!(slug)
        ));
    }
}

fn page(page: &Option<Page>) -> &Page {
    page.as_ref().expect("a page is open")
}
