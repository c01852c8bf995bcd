//! Files, directories, listings and pages.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::LazyLock;

use conduit::Files;
use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::{directory, field, write};

static SITE: LazyLock<PathBuf> = LazyLock::new(|| {
    let site = directory("site");
    write(
        &site,
        &[
            ("index.html", "<h1>home"),
            ("app.js", "run()"),
            ("data.json", "{}"),
            ("LICENSE", "free"),
            ("empty.txt", ""),
            ("with space.txt", "space"),
            ("100%.txt", "percent"),
            ("ä.txt", "umlaut"),
            ("assets/app-3f2a9c1b.css", "a{}"),
            ("docs/index.html", "<h1>docs"),
            ("plain/a<b>&\"'.txt", "odd"),
            ("plain/sub/file", "x"),
            ("plain/.hidden", "x"),
            (".env", "secret"),
            (".well-known/security.txt", "contact"),
            (".git/config", "secret"),
            ("page.custom", "x"),
        ],
    );
    symlink("app.js", site.join("link.js")).expect("a link");
    symlink("/etc/passwd", site.join("passwd")).expect("a link");
    symlink("../other", site.join("other")).expect("a link");
    drop(UnixListener::bind(site.join("socket")));
    site
});

fn site() -> TestClient {
    TestClient::new(App::new(()).routes(routes!["/static" => Files::new(&*SITE)]))
}

#[get("/api/users")]
async fn users() -> &'static str {
    "users"
}

#[post("/app.js")]
async fn upload() -> &'static str {
    "uploaded"
}

#[test]
fn a_file_is_served_with_the_fields_that_describe_it() {
    let client = site();
    for (path, text, media_type) in [
        ("app.js", "run()", "text/javascript; charset=utf-8"),
        ("index.html", "<h1>home", "text/html; charset=utf-8"),
        ("data.json", "{}", "application/json"),
        ("LICENSE", "free", "application/octet-stream"),
        ("empty.txt", "", "text/plain; charset=utf-8"),
        ("with%20space.txt", "space", "text/plain; charset=utf-8"),
        ("100%25.txt", "percent", "text/plain; charset=utf-8"),
        ("%C3%A4.txt", "umlaut", "text/plain; charset=utf-8"),
        ("link.js", "run()", "text/javascript; charset=utf-8"),
        (".well-known/security.txt", "contact", "text/plain; charset=utf-8"),
    ] {
        let target = format!("/static/{path}");
        let response = client.get(&target).send();
        response.assert_status(200).assert_text(text);
        response
            .assert_header("content-type", media_type)
            .assert_header("content-length", &text.len().to_string())
            .assert_header("accept-ranges", "bytes")
            .assert_header("cache-control", "no-cache")
            .assert_header("x-content-type-options", "nosniff");
        assert!(field(&response, "etag").starts_with('"') && response.header("last-modified").is_some());
        let head = client.head(&target).send();
        head.assert_status(200).assert_text("");
        for name in [
            "content-length",
            "etag",
            "content-type",
            "last-modified",
            "accept-ranges",
        ] {
            assert_eq!(head.header(name), response.header(name), "{name} of {path}");
        }
    }
}

#[test]
fn files_outside_of_the_directory_and_hidden_files_are_not_served() {
    let client = site();
    for path in [
        ".env",
        ".git/config",
        "plain/.hidden",
        "passwd",
        "other",
        "socket",
        "missing",
        "app.js/",
        "app.js/x",
        "..%2f..%2fetc/passwd",
        "%2e%2e/secret",
        "a//b",
        "app.js%00",
        "app%5c.js",
        "%",
        &"a".repeat(300),
    ] {
        let response = client.get(&format!("/static/{path}")).send();
        response
            .assert_status(404)
            .assert_header("content-type", "application/problem+json");
    }
}

#[test]
fn a_directory_redirects_to_the_path_with_a_slash_and_serves_its_index() {
    let client = site();
    for (path, location) in [
        ("/static", "./static/"),
        ("/static?a=b", "./static/?a=b"),
        ("/static/docs", "./docs/"),
        ("/static/docs?x=%2F/", "./docs/?x=%2F/"),
        ("/static/%64ocs", "./%64ocs/"),
    ] {
        let response = client.get(path).send();
        response
            .assert_status(308)
            .assert_header("location", location)
            .assert_header("cache-control", "no-cache");
    }
    client.get("/static/").send().assert_status(200).assert_text("<h1>home");
    client
        .get("/static/docs/")
        .send()
        .assert_status(200)
        .assert_text("<h1>docs");
    client.get("/static/plain/").send().assert_status(404);
    client.get("/static//docs/").send().assert_status(404);
    client.get("/static/docs//").send().assert_status(404);
}

#[test]
fn other_methods_get_a_405_with_the_supported_ones() {
    let client = site();
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let response = client.request(method, "/static/app.js").send();
        response.assert_status(405).assert_header("allow", "GET, HEAD, OPTIONS");
    }
    client
        .options("/static/app.js")
        .send()
        .assert_status(204)
        .assert_header("allow", "GET, HEAD, OPTIONS");
}

#[test]
fn entry_without_a_prefix_serves_paths_without_another_route() {
    let client = TestClient::new(App::new(()).routes(routes![users, upload, Files::new(&*SITE)]));
    client.get("/").send().assert_text("<h1>home");
    client.get("/app.js").send().assert_text("run()");
    client.post("/app.js").send().assert_text("uploaded");
    client.get("/api/users").send().assert_text("users");
    client
        .get("/docs")
        .send()
        .assert_status(308)
        .assert_header("location", "./docs/");
    client.get("/api/other").send().assert_status(404);
}

mod nested {
    use super::*;

    pub(super) const ROUTES: Routes = routes!["/files" => Files::new(&*SITE)];
}

#[test]
fn a_list_with_files_is_mounted_under_a_prefix_with_parameters_and_layers() {
    async fn stamp(request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        response.headers_mut().insert("x-stamp", HeaderValue::from_static("1"));
        response
    }
    let client = TestClient::new(App::new(()).routes(routes![#[layer(stamp)] "/v{n}" => nested::ROUTES, users]));
    for path in ["/v1/files/app.js", "/v1/files/", "/v1/files/docs/"] {
        client.get(path).send().assert_status(200).assert_header("x-stamp", "1");
    }
    client
        .get("/v1/files")
        .send()
        .assert_status(308)
        .assert_header("location", "./files/");
    client
        .get("/v1/files/docs")
        .send()
        .assert_status(308)
        .assert_header("location", "./docs/");
    assert_eq!(client.get("/api/users").send().header("x-stamp"), None);
}

#[test]
fn the_table_of_routes_has_files_and_the_document_does_not() {
    let app = App::new(()).routes(routes![users, #[cfg(unix)] "/static" => Files::new(&*SITE)]);
    let table = app.routes_table();
    let files: Vec<_> = table
        .routes()
        .iter()
        .filter(|row| row.handler == "conduit::Files")
        .collect();
    assert_eq!(
        files.iter().map(|row| row.path).collect::<Vec<_>>(),
        ["/static/", "/static/{*path}", "/static"]
    );
    assert!(
        files
            .iter()
            .all(|row| row.method == "GET" && row.file.ends_with("serving.rs") && row.line > 0)
    );
    let app = App::new(()).routes(routes![users, "/static" => Files::new(&*SITE)]);
    let text = app.openapi().to_string();
    assert!(text.contains("/api/users") && !text.contains("static"));
}

#[test]
fn patterns_set_cache_rules_and_media_types() {
    let client = TestClient::new(App::new(()).routes(routes![
        Files::new(&*SITE)
            .immutable("assets/**")
            .cache_control("*.json", "public, max-age=60")
            .content_type("*.custom", "application/x-custom"),
    ]));
    for (path, expected) in [
        ("/assets/app-3f2a9c1b.css", "public, max-age=31536000, immutable"),
        ("/data.json", "public, max-age=60"),
        ("/index.html", "no-cache"),
    ] {
        client.get(path).send().assert_header("cache-control", expected);
    }
    client
        .get("/page.custom")
        .send()
        .assert_header("content-type", "application/x-custom");
}

#[test]
#[should_panic(
    expected = "\"public, max-age=６０\" is not a valid value of cache-control: use visible ASCII and spaces"
)]
fn cache_rule_with_a_character_outside_of_ascii_is_an_error() {
    let _ = Files::new(&*SITE).cache_control("*.json", "public, max-age=６０");
}

#[test]
#[should_panic(expected = "\"text/é\" is not a valid value of content-type")]
fn media_type_with_a_character_outside_of_ascii_is_an_error() {
    let _ = Files::new(&*SITE).content_type("*.custom", "text/é");
}

#[test]
fn a_listing_is_escaped_and_loads_nothing() {
    let client = TestClient::new(App::new(()).routes(routes![Files::new(&*SITE).without_index().listing()]));
    let response = client.get("/plain/").send();
    response
        .assert_status(200)
        .assert_header("content-type", "text/html; charset=utf-8");
    assert!(field(&response, "content-security-policy").contains("default-src 'none'"));
    let text = response.text();
    assert!(text.contains("<a href=\"sub/\">sub/</a>"), "{text}");
    assert!(text.contains(">a&lt;b&gt;&amp;&quot;&#39;.txt</a>"), "{text}");
    assert!(text.contains("href=\"a%3Cb%3E%26%22%27%2Etxt\""), "{text}");
    assert!(text.contains("<a href=\"../\">") && !text.contains("hidden"), "{text}");
    client.get("/plain/a%3Cb%3E%26%22%27%2Etxt").send().assert_text("odd");
    let root = client.get("/").send();
    let text = root.text();
    assert!(!text.contains("../") && text.contains("app%2Ejs"), "{text}");
    // The list has neither a link out of the directory nor a socket.
    assert!(
        !text.contains("passwd") && !text.contains("socket") && !text.contains("other"),
        "{text}"
    );
    client.get("/plain").send().assert_status(308);
    client.get("/missing/").send().assert_status(404);
    site().get("/static/plain/").send().assert_status(404);
}

#[test]
fn names_that_are_not_utf_8_are_listed_and_served() {
    static ODD: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = directory("odd-names");
        fs::write(path.join(std::ffi::OsStr::from_bytes(b"\xff\x01.txt")), "bytes").expect("a file");
        path
    });
    let client = TestClient::new(App::new(()).routes(routes![Files::new(&*ODD).listing()]));
    assert!(client.get("/").send().text().contains("href=\"%FF%01%2Etxt\""));
    client.get("/%FF%01.txt").send().assert_text("bytes");
}

#[test]
fn a_single_page_is_for_navigations_only() {
    let client = TestClient::new(App::new(()).routes(routes![users, Files::new(&*SITE).single_page("index.html")]));
    let navigation = client.get("/users/7").header("sec-fetch-mode", "navigate").send();
    navigation
        .assert_status(200)
        .assert_text("<h1>home")
        .assert_header("cache-control", "no-cache");
    for (name, value, status) in [
        ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", 200),
        ("accept", "TEXT/HTML;q=0.9", 200),
        ("accept", "*/*", 404),
        ("accept", "image/avif,image/webp,*/*", 404),
        ("accept", "text/htmlx", 404),
        ("sec-fetch-mode", "cors", 404),
        ("sec-fetch-mode", "no-cors", 404),
    ] {
        let response = client.get("/users/7").header(name, value).send();
        response
            .assert_status(status)
            .assert_header("vary", "accept, sec-fetch-mode");
    }
    // Fetch Metadata takes precedence if it is sent: a script may accept any type.
    let fetched = client
        .get("/missing.js")
        .header("sec-fetch-mode", "cors")
        .header("accept", "text/html")
        .send();
    fetched.assert_status(404);
    client.get("/users/7").send().assert_status(404);
    client
        .get("/app.js")
        .header("sec-fetch-mode", "navigate")
        .send()
        .assert_text("run()");
}

#[test]
fn slash_at_the_beginning_of_an_index_or_a_page_is_that_of_the_directory() {
    let client = TestClient::new(App::new(()).routes(routes![
        Files::new(&*SITE).index("/page.custom").single_page("/index.html")
    ]));
    client.get("/").send().assert_text("x");
    let page = client.get("/users/7").header("sec-fetch-mode", "navigate").send();
    page.assert_status(200).assert_text("<h1>home");
}

#[test]
fn hidden_files_are_served_if_enabled_and_parent_directories_never() {
    let client = TestClient::new(App::new(()).routes(routes![Files::new(&*SITE).hidden_files()]));
    client.get("/.env").send().assert_text("secret");
    for path in ["/%2e%2e/other", "/%2e/app.js", "/plain/%2e%2e/app.js"] {
        client.get(path).send().assert_status(404);
    }
}

#[test]
fn layer_compresses_a_file_without_a_compressed_variant() {
    static BIG: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = directory("big");
        write(&path, &[("big.txt", &"text ".repeat(10_000))]);
        path
    });
    use conduit::layer::Compression;
    let client = TestClient::new(
        App::new(())
            .routes(routes![Files::new(&*BIG)])
            .layer(Compression::new()),
    );
    let whole = client.get("/big.txt").header("accept-encoding", "gzip").send();
    whole
        .assert_status(200)
        .assert_header("content-encoding", "gzip")
        .assert_header("vary", "accept-encoding");
    let part = client
        .get("/big.txt")
        .header("accept-encoding", "gzip")
        .header("range", "bytes=0-9")
        .send();
    part.assert_status(206).assert_text("text text ");
    assert_eq!(part.header("content-encoding"), None);
}

#[test]
fn a_large_file_arrives_complete_over_a_socket() {
    static LARGE: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = directory("large");
        fs::write(path.join("large"), vec![7; 3_000_000]).expect("a file");
        path
    });
    let client = TestClient::over_socket(App::new(()).routes(routes![Files::new(&*LARGE)]));
    let whole = client.get("/large").send();
    assert!(whole.bytes().len() == 3_000_000 && whole.bytes().iter().all(|&byte| byte == 7));
    let part = client.get("/large").header("range", "bytes=1000000-2499999").send();
    part.assert_status(206)
        .assert_header("content-range", "bytes 1000000-2499999/3000000");
    assert_eq!(part.bytes().len(), 1_500_000);
    client.head("/large").send().assert_header("content-length", "3000000");
}
