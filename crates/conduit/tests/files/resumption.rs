//! A download in Chromium that a restart of the server interrupts, and that continues from its successor.

use std::path::PathBuf;
use std::sync::LazyLock;

use conduit::prelude::*;
use conduit::{App, Files};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::chromium::Browser;
use crate::directory;
use crate::support::{Running, start};

static TREE: LazyLock<PathBuf> = LazyLock::new(|| {
    let tree = directory("resumption");
    std::fs::write(tree.join("index.html"), "<!doctype html><title>Download</title>").expect("a file");
    let content: Vec<u8> = (0..8_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(tree.join("large"), content).expect("a file");
    tree
});

/// Serves the download, also from the place of an interruption. After the first MiB it waits for `go`.
const DOWNLOAD: &str = "
    window.statuses = [];
    (async () => {
        const parts = [];
        let received = 0, tag = null;
        for (;;) {
            try {
                const headers = received ? { range: `bytes=${received}-`, 'if-range': tag } : {};
                const response = await fetch('/large', { headers, cache: 'no-store' });
                statuses.push(response.status);
                tag ??= response.headers.get('etag');
                const reader = response.body.getReader();
                for (;;) {
                    const { done, value } = await reader.read();
                    if (done) {
                        const hash = await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer());
                        window.hash = [...new Uint8Array(hash)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
                        return;
                    }
                    parts.push(value);
                    received += value.length;
                    if (received > 1 << 20 && !window.go) await new Promise((resume) => { window.go = resume; });
                }
            } catch {
                await new Promise((again) => setTimeout(again, 20));
            }
        }
    })();
    0";

fn serve_at(address: &str) -> Running {
    let app = App::new(()).routes(routes![Files::new(&*TREE)]);
    start(app.workers(1).listen(address).expect("the address is free"))
}

#[test]
fn download_of_a_browser_continues_after_a_restart() {
    let profile = directory("resumption-profile");
    let Some(mut browser) = Browser::start(&profile) else {
        return;
    };
    let server = serve_at("127.0.0.1:0");
    let address = server.address.to_string();
    let page = browser.open(&format!("http://{address}/index.html"));
    browser.value(&page, DOWNLOAD);
    browser.wait(&page, "window.go");
    drop(server);
    let _server = serve_at(&address);
    browser.value(&page, "go(), 0");
    browser.wait(&page, "window.hash");

    let content = std::fs::read(TREE.join("large")).expect("a file");
    let hash: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(browser.value(&page, "hash"), hash);
    assert_eq!(browser.value(&page, "statuses"), json!([200, 206]));
}
