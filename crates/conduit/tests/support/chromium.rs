//! Chromium without a window, driven over its DevTools pipe, with several pages.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use base64::Engine;
use serde_json::{Value, json};

/// The method that evaluates an expression.
const EVALUATE: &str = "Runtime.evaluate";

/// Its parameters.
fn evaluation(expression: &str) -> Value {
    json!({ "expression": expression, "awaitPromise": true, "returnByValue": true })
}

pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: BufReader<ChildStdout>,
    count: u64,
}

/// A page of a browser: its session of DevTools.
pub(crate) struct Page(Value);

impl Browser {
    /// A browser with its profile in this directory. Returns `None` where Chromium is not installed; in CI it panics.
    pub(crate) fn start(profile: &Path) -> Option<Self> {
        Browser::start_with(profile, &[])
    }

    /// Starts a browser as [`start`](Self::start) does, with further arguments.
    pub(crate) fn start_with(profile: &Path, arguments: &[&str]) -> Option<Self> {
        let Some(program) = installed() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI needs Chromium: apt-get install chromium"
            );
            eprintln!("SKIPPED: no Chromium is installed (apt-get install chromium)");
            return None;
        };
        // The browser reads commands from descriptor 3 and writes messages to 4: the shell puts our pipes there.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-quic",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            // The page in the background keeps its timers.
            .args([
                "--disable-background-timer-throttling",
                "--disable-renderer-backgrounding",
            ])
            .args(arguments)
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(["--remote-debugging-pipe", "about:blank"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell starts");
        let commands = child.stdin.take().expect("it is piped");
        let messages = BufReader::new(child.stdout.take().expect("it is piped"));
        Some(Browser {
            child,
            commands,
            messages,
            count: 0,
        })
    }

    /// Opens a page and waits until it is loaded.
    pub(crate) fn open(&mut self, address: &str) -> Page {
        let target = self.call(None, "Target.createTarget", json!({ "url": "about:blank" }));
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let page = Page(self.call(None, "Target.attachToTarget", target)["sessionId"].take());
        self.call(Some(&page), "Page.enable", json!({}));
        let record = "window.violations = []; addEventListener('securitypolicyviolation', \
            (event) => violations.push(`${event.violatedDirective} ${event.blockedURI}`));";
        let record = json!({ "source": record });
        self.call(Some(&page), "Page.addScriptToEvaluateOnNewDocument", record);
        self.call(Some(&page), "Page.navigate", json!({ "url": address }));
        self.receive(|message| message["method"] == "Page.loadEventFired" && message["sessionId"] == page.0);
        page
    }

    /// Sends a command and waits for its result.
    pub(crate) fn call(&mut self, page: Option<&Page>, method: &str, params: Value) -> Value {
        let mut response = self.request(page, method, params);
        assert_eq!(response["error"], Value::Null, "{method}");
        response["result"].take()
    }

    /// Sends a command and waits for its response.
    fn request(&mut self, page: Option<&Page>, method: &str, params: Value) -> Value {
        self.count += 1;
        let id = self.count;
        let mut command = json!({ "id": id, "method": method, "params": params });
        if let Some(Page(session)) = page {
            command["sessionId"] = session.clone();
        }
        let sent = self.commands.write_all(format!("{command}\0").as_bytes());
        sent.expect("the browser runs");
        self.receive(|message| message["id"] == id)
    }

    /// The next message of this kind; earlier ones are discarded.
    fn receive(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let mut message = Vec::new();
            self.messages.read_until(0, &mut message).expect("the browser runs");
            assert_eq!(message.pop(), Some(0), "the browser has ended");
            let message = serde_json::from_slice(&message).expect("messages are JSON");
            if is_wanted(&message) {
                return message;
            }
        }
    }

    /// The value of a JavaScript expression, or of its promise.
    pub(crate) fn value(&mut self, page: &Page, expression: &str) -> Value {
        let mut result = self.call(Some(page), EVALUATE, evaluation(expression));
        assert_eq!(result["exceptionDetails"], Value::Null, "{expression}");
        result["result"]["value"].take()
    }

    /// Waits until a condition is true, also of the page that the browser loads next; fails after 30 seconds of the browser's.
    #[track_caller]
    pub(crate) fn wait(&mut self, page: &Page, condition: &str) {
        let wait = format!(
            "new Promise((done) => {{
                const end = Date.now() + 30_000;
                const look = () => {{
                    if ({condition}) done(true);
                    else if (Date.now() > end) done(document.body.innerText);
                    else setTimeout(look, 10);
                }};
                look();
            }})"
        );
        // A navigation ends the script of the page before.
        let response = loop {
            let response = self.request(Some(page), EVALUATE, evaluation(&wait));
            if response["error"]["message"] != "Inspected target navigated or closed" {
                break response;
            }
        };
        let value = &response["result"]["result"]["value"];
        assert_eq!(*value, true, "{condition} is false: {response}");
    }

    /// If this environment variable names a directory, writes images of the page into it: wide, narrow, dark.
    pub(crate) fn screenshot(&mut self, page: &Page, variable: &str, name: &str) {
        let Some(directory) = std::env::var_os(variable) else {
            return;
        };
        for (look, width, scheme) in [
            ("wide", 1200, "light"),
            ("narrow", 390, "light"),
            ("dark", 1200, "dark"),
        ] {
            let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
            self.call(Some(page), "Emulation.setDeviceMetricsOverride", size);
            let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            self.call(Some(page), "Emulation.setEmulatedMedia", scheme);
            let mut image = self.call(Some(page), "Page.captureScreenshot", json!({ "format": "png" }));
            let image = image["data"].take();
            let image = base64::engine::general_purpose::STANDARD.decode(image.as_str().expect("base64"));
            let file = Path::new(&directory).join(format!("{name}-{look}.png"));
            std::fs::write(file, image.expect("base64")).expect("the screenshot can be written");
        }
    }
}

fn installed() -> Option<PathBuf> {
    let programs = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|directory| programs.map(|program| directory.join(program)))
        .find(|program| program.is_file())
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
