//! Sign-in with OpenID Connect: the recipe of the guide against the provider `oidc-provider` of npm.

#[path = "../src/application.rs"]
mod application;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../crates/conduit/tests/support/chromium.rs"]
mod chromium;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../../../crates/conduit/tests/support/npm.rs"]
mod npm;
#[path = "../../../crates/conduit/tests/support/packages.rs"]
mod packages;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use application::{Provider, ROUTES, Site, security_headers};
use conduit::session::Sessions;
use conduit::{App, ServerHandle};

/// A provider that ends with its standard input.
struct ProviderProgram {
    child: Child,
    output: BufReader<ChildStdout>,
    issuer: String,
}

impl ProviderProgram {
    fn start(folder: &std::path::Path) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/provider.mjs");
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node.js is installed together with npm");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut provider = ProviderProgram {
            child,
            output,
            issuer: String::new(),
        };
        provider.issuer = provider.read_line();
        provider
    }

    /// Registers the site, and waits until the provider accepts requests.
    fn register(&mut self, site: &str) {
        let mut input = self.child.stdin.as_ref().expect("a pipe");
        writeln!(input, "{site}").expect("the provider runs");
        self.read_line();
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the output is text");
        assert!(line.ends_with('\n'), "the provider does not start");
        line.trim_end().to_owned()
    }
}

impl Drop for ProviderProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that stops with the test.
struct Running {
    handle: ServerHandle,
    thread: Option<JoinHandle<conduit::Result>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.close();
        let ended = self.thread.take().expect("joined once").join();
        if !std::thread::panicking() {
            ended.expect("the server does not panic").expect("the server ends well");
        }
    }
}

/// A complete response of a closed connection.
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Response {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let field = |line: &str| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        };
        Response {
            status: status.parse().expect("a number"),
            headers: lines.filter_map(field).collect(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    fn text(&self) -> &str {
        &self.body
    }
}

/// A browser with the cookies of each address.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    fn request(&mut self, method: &str, url: &str, form: &str) -> Response {
        let (host, target) = parts(url);
        let cookies = self.cookies.iter().filter(|((of, _), _)| *of == host);
        let cookies: Vec<_> = cookies.map(|((_, name), value)| format!("{name}={value}")).collect();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncookie: {}\r\ncontent-type: \
             application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{form}",
            cookies.join("; "),
            form.len()
        );
        let mut stream = TcpStream::connect(&host).expect("a server");
        stream.write_all(request.as_bytes()).expect("the request is taken");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("a response");
        let response = Response::parse(&String::from_utf8_lossy(&answer));
        for (_, cookie) in response.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let pair = cookie.split(';').next().expect("a part");
            let (name, value) = pair.split_once('=').expect("a cookie");
            self.cookies.insert((host.clone(), name.to_owned()), value.to_owned());
        }
        response
    }

    fn get(&mut self, url: &str) -> Response {
        self.request("GET", url, "")
    }

    fn cookie(&self, url: &str, name: &str) -> Option<&String> {
        self.cookies.get(&(parts(url).0, name.to_owned()))
    }

    /// Follows redirects, and signs in at the provider with this name, until the address has this prefix.
    fn follow(&mut self, mut url: String, name: &str, until: &str) -> String {
        for _ in 0..20 {
            if url.starts_with(until) {
                return url;
            }
            let page = self.get(&url);
            url = match page.header("location") {
                Some(location) => absolute(&url, location),
                None => {
                    let prompt = between(page.text(), "name=\"prompt\" value=\"", "\"");
                    let form = format!("prompt={prompt}&login={name}&password=x");
                    let action = between(page.text(), "action=\"", "\"").to_owned();
                    let sent = self.request("POST", &action, &form);
                    absolute(&action, sent.header("location").expect("a redirect"))
                }
            };
        }
        panic!("{until} is not reached: {url}");
    }
}

fn parts(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").expect("an address with http");
    let (host, target) = rest.split_once('/').unwrap_or((rest, ""));
    (host.to_owned(), format!("/{target}"))
}

fn absolute(base: &str, location: &str) -> String {
    match location.starts_with('/') {
        true => format!("http://{}{location}", parts(base).0),
        false => location.to_owned(),
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).expect("an end").0
}

/// The site of the guide, its provider, and its address. `None` if npm cannot install the provider.
fn site() -> Option<(Running, ProviderProgram, String)> {
    let programs = npm::installed("sign-in")?;
    let folder = programs
        .ancestors()
        .nth(2)
        .expect("the folder of the packages")
        .to_owned();
    let mut provider = ProviderProgram::start(&folder);
    let headers = security_headers(&provider.issuer).expect("the issuer is an address");
    let opened: Arc<OnceLock<(String, String)>> = Arc::default();
    let at_the_start = Arc::clone(&opened);
    let app = App::open_per_worker(move || {
        let opened = Arc::clone(&at_the_start);
        async move {
            let (issuer, site) = opened.get().expect("the provider runs before the server").clone();
            let provider = Provider::discover(issuer, "shelf", "a secret of the client", site).await?;
            Ok::<_, conduit::Error>(Site {
                sessions: Sessions::in_memory(),
                provider: Arc::new(provider),
            })
        }
    });
    let server = app
        .routes(ROUTES)
        .layer(headers)
        .development(true)
        .workers(1)
        .listen("127.0.0.1:0")
        .expect("a port");
    let site = format!("http://{}", server.address());
    provider.register(&site);
    opened.set((provider.issuer.clone(), site.clone())).expect("once");
    let running = Running {
        handle: server.handle(),
        thread: Some(std::thread::spawn(move || server.serve())),
    };
    Some((running, provider, site))
}

#[test]
fn visitor_signs_in_and_out_at_the_provider() {
    let Some((_server, provider, site)) = site() else {
        return;
    };
    let mut browser = Browser::default();
    assert_eq!(browser.get(&format!("{site}/account")).status, 401);

    let begun = browser.get(&format!("{site}/sign-in"));
    let url = begun.header("location").expect("a redirect").to_owned();
    assert!(url.starts_with(&provider.issuer), "{url}");
    for parameter in [
        "code_challenge_method=S256",
        "code_challenge=",
        "state=",
        "nonce=",
        "response_type=code",
    ] {
        assert!(url.contains(parameter), "{url}");
    }
    let before = browser.cookie(&site, "session").expect("a session").clone();

    let callback = browser.follow(url, "ada", &format!("{site}/signed-in"));
    let ended = browser.get(&callback);
    assert_eq!((ended.status, ended.header("location")), (303, Some("/account")));
    let after = browser.cookie(&site, "session").expect("a session").clone();
    assert_ne!(before, after, "the id rotates at sign-in");
    assert_eq!(browser.get(&format!("{site}/account")).text(), "You are ada.");

    // The callback works once, in the browser that began the sign-in.
    assert_eq!(browser.get(&callback).status, 400);
    assert_eq!(Browser::default().get(&callback).status, 400);

    let out = browser.request("POST", &format!("{site}/sign-out"), "");
    let out = out.header("location").expect("a redirect").to_owned();
    assert!(out.starts_with(&format!("{}/session/end?", provider.issuer)), "{out}");
    assert_eq!(browser.get(&format!("{site}/account")).status, 401);
    let page = browser.get(&out);
    let xsrf = between(page.text(), "name=\"xsrf\" value=\"", "\"");
    let action = between(page.text(), "action=\"", "\"").to_owned();
    let back = browser.request("POST", &action, &format!("xsrf={xsrf}&logout=yes"));
    assert_eq!(back.header("location"), Some(format!("{site}/").as_str()));
}

#[test]
fn browser_follows_the_form_that_signs_out_to_the_provider() {
    let Some((_server, provider, site)) = site() else {
        return;
    };
    let policy = Browser::default().get(&site);
    let policy = policy.header("content-security-policy").expect("a policy");
    assert!(
        policy.contains(&format!("; form-action 'self' {};", provider.issuer)),
        "{policy}"
    );

    let profile = tempfile::tempdir().expect("a directory");
    let Some(mut browser) = chromium::Browser::start(profile.path()) else {
        return;
    };
    let page = browser.open(&format!("{site}/"));
    browser.value(&page, "document.querySelector('button').click()");
    browser.wait(
        &page,
        &format!("location.href.startsWith('{}/session/end?')", provider.issuer),
    );
}

#[test]
fn callback_of_another_sign_in_is_rejected() {
    let Some((_server, _provider, site)) = site() else {
        return;
    };
    let until = format!("{site}/signed-in");
    let begin = |browser: &mut Browser| {
        let begun = browser.get(&format!("{site}/sign-in"));
        begun.header("location").expect("a redirect").to_owned()
    };
    let (mut ada, mut mallory) = (Browser::default(), Browser::default());
    let url = begin(&mut mallory);
    let of_mallory = mallory.follow(url, "mallory", &until);
    let of_ada = begin(&mut ada);

    // A page of Mallory redirects Ada's browser to the callback of his sign-in.
    assert_eq!(ada.get(&of_mallory).status, 400);
    assert_eq!(ada.get(&format!("{site}/account")).status, 401);

    // Mallory knows the state of Ada's sign-in, but neither the verifier nor the nonce.
    let of_ada_again = begin(&mut ada);
    assert_ne!(of_ada, of_ada_again);
    let state = between(&format!("{of_ada_again}&"), "&state=", "&").to_owned();
    let code = between(&format!("{of_mallory}&"), "code=", "&").to_owned();
    let refused = ada.get(&format!("{site}/signed-in?code={code}&state={state}"));
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert_eq!(ada.get(&format!("{site}/account")).status, 401);

    // Ada cancels at the provider.
    let url = begin(&mut ada);
    let page = ada.get(&url);
    let page = absolute(&url, page.header("location").expect("a redirect"));
    let cancelled = ada.follow(format!("{page}/abort"), "ada", &until);
    assert!(cancelled.contains("error=access_denied"), "{cancelled}");
    assert_eq!(ada.get(&cancelled).status, 403);

    // The callback of another sign-in does not cancel that of Ada.
    let url = begin(&mut ada);
    assert_eq!(ada.get(&of_mallory).status, 400);
    let callback = ada.follow(url, "ada", &until);
    assert_eq!(ada.get(&callback).status, 303);
}

#[test]
fn guide_has_the_tested_application() {
    let guide = include_str!("../../../docs/guide/sign-in.md");
    let application = include_str!("../src/application.rs")
        .replace("pub const", "const")
        .replace("pub ", "");
    let main = include_str!("../src/main.rs");
    let functions = main.split("\n\n").filter(|part| part.contains("fn "));
    for part in application.split("\n\n").chain(functions) {
        assert!(guide.contains(part.trim()), "the guide lacks:\n{part}");
    }
}

#[test]
fn error_of_a_missing_setting_has_its_name() {
    let program = Command::new(env!("CARGO_BIN_EXE_sign-in")).env_clear().output();
    let output = program.expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && text.contains("ISSUER: environment variable not found; export"),
        "{text}"
    );
}
