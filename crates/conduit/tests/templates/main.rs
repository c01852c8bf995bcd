//! Templates of minijinja: escaping, links, nonces, changes of files, and errors in development and in production.

use std::fs;

use conduit::layer::SecurityHeaders;
use conduit::minijinja::context;
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{Embedded, Templates, embed};
use tempfile::TempDir;

#[get("/page/{name}", link)]
async fn page(name: Path<String>, templates: Templates) -> Result<Html<String>, Problem> {
    templates.render(&name, context! { text => "<b>'\"&", id => 7 })
}

#[derive(serde::Serialize)]
struct Book {
    title: &'static str,
}

#[get("/struct")]
async fn of_struct(templates: Templates) -> Result<Html<String>, Problem> {
    templates.render("struct.html", Book { title: "Emma" })
}

#[get("/books/{id}", link)]
async fn show(id: Path<u32>) -> String {
    id.to_string()
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }
    directory
}

fn client(directory: &TempDir, is_development: bool) -> TestClient {
    let templates = Templates::new(directory.path()).function("show", |id: u32| show::path(id));
    let routes: Routes<Templates> = routes![page, of_struct, show];
    TestClient::new(App::new(templates).routes(routes).development(is_development))
}

#[test]
fn values_are_escaped_in_files_of_any_name() {
    let directory = directory(&[
        ("a.html", "{{ text }}"),
        ("a.txt", "{{ text }}"),
        ("dir/a.j2", "{{ text }}"),
    ]);
    let client = client(&directory, false);
    for name in ["a.html", "a.txt", "dir%2Fa.j2"] {
        let page = client.get(&format!("/page/{name}")).send();
        page.assert_text("&lt;b&gt;&#x27;&quot;&amp;")
            .assert_header("content-type", "text/html; charset=utf-8");
    }
}

#[test]
fn templates_extend_and_include_others_and_make_links() {
    let directory = directory(&[
        ("base.html", "<main>{% block main %}{% endblock %}</main>"),
        ("parts/link.html", r#"<a href="{{ show(id) }}">{{ id }}</a>"#),
        (
            "a.html",
            r#"{% extends "base.html" %}{% block main %}{% include "parts/link.html" %}{% endblock %}"#,
        ),
        ("struct.html", "{{ title }}"),
    ]);
    let client = client(&directory, false);
    client
        .get("/page/a.html")
        .send()
        .assert_text(r#"<main><a href="&#x2f;books&#x2f;7">7</a></main>"#);
    client.get("/struct").send().assert_text("Emma");
}

#[test]
fn changed_file_is_read_again_in_development() {
    let directory = directory(&[
        ("base.html", "one {% block b %}{% endblock %}"),
        ("a.html", r#"{% extends "base.html" %}"#),
    ]);
    let client = client(&directory, true);
    client.get("/page/a.html").send().assert_text("one ");
    // Another length, so that no clock decides.
    fs::write(directory.path().join("base.html"), "second {% block b %}{% endblock %}").expect("a file");
    client.get("/page/a.html").send().assert_text("second ");

    fs::remove_file(directory.path().join("a.html")).expect("a file");
    client.get("/page/a.html").send().assert_status(500);
    fs::write(directory.path().join("a.html"), "back").expect("a file");
    client.get("/page/a.html").send().assert_text("back");
    client.get("/page/b.html").send().assert_status(500);
    fs::write(directory.path().join("b.html"), "created").expect("a file");
    client.get("/page/b.html").send().assert_text("created");
}

#[test]
fn template_is_compiled_once_in_production() {
    let directory = directory(&[("a.html", "one")]);
    let client = client(&directory, false);
    client.get("/page/a.html").send().assert_text("one");
    fs::write(directory.path().join("a.html"), "second").expect("a file");
    client.get("/page/a.html").send().assert_text("one");
}

#[test]
fn error_names_the_file_and_the_line_in_development() {
    let broken = "<ul>\n{% for book in books %}\n<li>{{ book }}\n</ul>\n";
    let directory = directory(&[
        ("syntax.html", broken),
        ("name.html", "<p>\n{{ unknown }}\n</p>"),
        ("outer.html", "one\n{% include 'name.html' %}"),
        ("function.html", "{{ missing(1) }}"),
        ("argument.html", "\n\n{{ show('x') }}"),
    ]);
    let client = client(&directory, true);
    for (name, place, line) in [
        ("syntax.html", "syntax.html:", "<li>{{ book }}"),
        ("name.html", "name.html:2", ">   2 | {{ unknown }}"),
        ("outer.html", "name.html:2", ">   2 | {{ unknown }}"),
        ("function.html", "function.html:1", ">   1 | {{ missing(1) }}"),
        ("argument.html", "argument.html:3", ">   3 | {{ show('x') }}"),
    ] {
        let failed = client.get(&format!("/page/{name}")).send();
        failed
            .assert_status(500)
            .assert_text_contains(place)
            .assert_text_contains(line);
        let page = client
            .get(&format!("/page/{name}"))
            .header("accept", "text/html")
            .send();
        page.assert_status(500)
            .assert_header("content-type", "text/html; charset=utf-8")
            .assert_text_contains(place)
            .assert_text_contains("<h2>The template</h2>");
    }
    let missing = client.get("/page/none.html").send();
    missing.assert_status(500).assert_text_contains("none.html");
}

#[test]
fn error_is_a_plain_500_in_production() {
    let directory = directory(&[("a.html", "secret\n{{ unknown }}")]);
    let failed = client(&directory, false).get("/page/a.html").send();
    failed.assert_status(500);
    for text in ["secret", "unknown", "a.html:"] {
        assert!(!failed.text().contains(text), "{}", failed.text());
    }
}

#[test]
fn name_does_not_lead_out_of_the_directory() {
    let outer = directory(&[
        ("secret.html", "secret"),
        ("in/a.html", "a"),
        ("in/.hidden.html", "hidden"),
    ]);
    let templates = Templates::new(outer.path().join("in"));
    for name in [
        "../secret.html",
        "a/../../secret.html",
        "..",
        ".hidden.html",
        "..\\secret.html",
        "",
    ] {
        assert!(templates.render(name, ()).is_err(), "{name}");
    }
    assert!(templates.render("a.html", ()).is_ok());
}

#[test]
fn nonce_of_the_policy_is_a_value() {
    let directory = directory(&[("a.html", r#"<script nonce="{{ csp_nonce }}">1</script>"#)]);
    let routes: Routes<Templates> = routes![page];
    let headers = SecurityHeaders::new().content_security_policy("script-src {nonce}");
    let app = App::new(Templates::new(directory.path())).routes(routes).layer(headers);
    let page = TestClient::new(app).get("/page/a.html").send();
    let nonce = page.text().split('"').nth(1).expect("a nonce").replace("&#x2f;", "/");
    assert_eq!(
        page.header("content-security-policy"),
        Some(format!("script-src 'nonce-{nonce}'").as_str())
    );
}

const EMBEDDED: Embedded = embed!("tests/templates/embedded", "", always);

#[test]
fn embedded_templates_need_no_directory() {
    let templates = Templates::embedded(EMBEDDED);
    let page = templates
        .render("page.html", context! { name => "<Ada>" })
        .expect("a page");
    assert_eq!(page.0, "<p>Hello &lt;Ada&gt;</p>");
    assert!(templates.render("none.html", ()).is_err());
}

#[test]
fn check_finds_the_error_of_a_template_that_no_test_renders() {
    let good = directory(&[("a.html", "{{ a }}"), ("b/c.html", "c"), ("note.txt", "{{ a }}")]);
    assert!(Templates::new(good.path()).check().is_ok());
    for name in ["b/c.html", "note.txt", "b/mail"] {
        let bad = directory(&[("a.html", "{{ a }}"), (name, "\n{% for %}")]);
        let error = Templates::new(bad.path()).check().expect_err("a syntax error");
        assert!(error.to_string().contains(&format!("{name}:2")), "{error}");
    }
    assert!(Templates::new("/nonexistent").check().is_err());
}

#[test]
fn check_skips_files_that_no_handler_can_render() {
    let hidden = directory(&[
        ("a.html", "{{ a }}"),
        (".a.html.swp", "\0{% for %}"),
        (".x.html", "{% for %}"),
        (".git/x.html", "{% for %}"),
    ]);
    let templates = Templates::new(hidden.path());
    assert!(templates.render(".x.html", ()).is_err());
    templates.check().expect("hidden files are no templates");
}

#[cfg(unix)]
#[test]
fn check_follows_links_once() {
    let shared = directory(&[("base.html", "{% for %}")]);
    let linked = directory(&[("a.html", "{{ a }}")]);
    std::os::unix::fs::symlink(linked.path(), linked.path().join("loop")).expect("a link");
    Templates::new(linked.path()).check().expect("a loop has an end");
    std::os::unix::fs::symlink(shared.path(), linked.path().join("shared")).expect("a link");
    let error = Templates::new(linked.path()).check().expect_err("a syntax error");
    assert!(error.to_string().contains("shared/base.html:1"), "{error}");
}

const FAULTY: Embedded = embed!("tests/templates/faulty", "", always);

#[test]
fn check_compiles_embedded_templates() {
    Templates::embedded(EMBEDDED).check().expect("they have no error");
    let error = Templates::embedded(FAULTY).check().expect_err("a syntax error");
    assert!(error.to_string().contains("mail/welcome.txt:2"), "{error}");
}
