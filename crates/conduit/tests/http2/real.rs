//! Real clients over real sockets, with TLS and without: curl, nghttp, h2load, Node, httpx of Python, and the crate `h2`.
//!
//! A client that is not installed is skipped, but never in CI.

use std::future::poll_fn;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};

use conduit::prelude::*;

use crate::support::{Running, start};
use crate::{LARGE, packages, pattern};

/// A server with two addresses: the first uses TLS, the second does not.
pub(crate) struct Server {
    _running: Running,
    secure: SocketAddr,
    pub(crate) plain: SocketAddr,
}

pub(crate) fn serve() -> Server {
    let server = crate::app()
        .tls_self_signed()
        .workers(1)
        .listen(["127.0.0.1:0", "http://127.0.0.1:0"])
        .expect("ports of loopback can be listened on");
    let addresses: Vec<SocketAddr> = server.addresses().collect();
    Server {
        _running: start(server),
        secure: addresses[0],
        plain: addresses[1],
    }
}

/// The command of a client; `None` if it is not installed.
pub(crate) fn tool(name: &str) -> Option<Command> {
    let is_there = Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if is_there.is_ok() {
        return Some(Command::new(name));
    }
    assert!(std::env::var_os("CI").is_none(), "{name} is not installed");
    eprintln!("SKIPPED: {name} is not installed");
    None
}

#[track_caller]
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the client runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{command:?}: {errors}\n{}",
        &text[..text.len().min(2000)]
    );
    output
}

#[test]
fn curl() {
    let server = serve();
    let mut upload = tempfile::NamedTempFile::new().expect("a file");
    upload.write_all(&pattern(3 * LARGE)).expect("it is written");
    let upload = format!("@{}", upload.path().display());
    let targets: [(&str, Option<&str>, Vec<u8>); 6] = [
        ("/echo", Some(&upload), pattern(3 * LARGE)),
        ("/", None, b"hello".to_vec()),
        ("/large", None, pattern(LARGE)),
        // curl opens windows of 32 MB, so none of its frames wakes the response.
        ("/late", None, pattern(LARGE)),
        ("/file", None, pattern(LARGE)[10..].to_vec()),
        ("/stream/100", None, vec![b'p'; 1_000_000]),
    ];
    for (version, url) in [
        ("--http2-prior-knowledge", format!("http://{}", server.plain)),
        ("--http2", format!("https://{}", server.secure)),
    ] {
        for (target, upload, expected) in &targets {
            let Some(mut command) = tool("curl") else { return };
            command.args(["--silent", "--show-error", "--insecure", "--max-time", "60", version]);
            command.args(["--write-out", "%{stderr}%{http_version} %{http_code}"]);
            command.args(upload.iter().flat_map(|upload| ["--data-binary", upload]));
            let output = run(command.arg(format!("{url}{target}")));
            assert_eq!(String::from_utf8_lossy(&output.stderr), "2 200", "{url}{target}");
            assert!(output.stdout == *expected, "{url}{target}");
        }
        let Some(mut command) = tool("curl") else { return };
        let output = run(command.args(["--silent", "--insecure", version, "--head", &format!("{url}/large")]));
        let head = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            head.starts_with("HTTP/2 200") && head.contains("content-length: 1048576"),
            "{head}"
        );
    }
    // Without prior knowledge, connections without TLS use HTTP/1.1: `Upgrade: h2c` is ignored.
    let Some(mut command) = tool("curl") else { return };
    let url = format!("http://{}/", server.plain);
    let output = run(command.args(["--silent", "--http2", "--write-out", " %{http_version}", &url]));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello 1.1");
}

#[test]
fn nghttp() {
    let server = serve();
    for url in [format!("http://{}", server.plain), format!("https://{}", server.secure)] {
        let Some(mut command) = tool("nghttp") else { return };
        // With small windows, and many requests at once.
        command.args(["--no-verify-peer", "--window-bits=12", "--multiply=20"]);
        command.args([
            format!("{url}/large"),
            format!("{url}/file"),
            format!("{url}/stream/10"),
        ]);
        let output = run(&mut command);
        let length = 20 * (LARGE + LARGE - 10 + 100_000);
        // nghttp exits with 0 after a failed connection; its errors have the reason.
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.stdout.len(), length, "{url}: {errors}");
    }
}

#[test]
fn h2load() {
    let server = serve();
    let mut body = tempfile::NamedTempFile::new().expect("a file");
    body.write_all(&pattern(100_000)).expect("it is written");
    for url in [format!("http://{}", server.plain), format!("https://{}", server.secure)] {
        for (target, data) in [("/", false), ("/stream/3", false), ("/length", true), ("/echo", true)] {
            let Some(mut command) = tool("h2load") else { return };
            command.args(["--clients=4", "--max-concurrent-streams=50", "--requests=400"]);
            if data {
                command.arg(format!("--data={}", body.path().display()));
            }
            let output = run(command.arg(format!("{url}{target}")));
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                text.contains("400 succeeded, 0 failed, 0 errored"),
                "{url}{target}: {text}"
            );
            assert!(text.contains("status codes: 400 2xx"), "{url}{target}: {text}");
        }
    }
}

#[test]
fn node() {
    let server = serve();
    let program = r#"
        const http2 = require("http2"), assert = require("assert");
        function request(client, headers, body) {
            return new Promise((resolve, reject) => {
                const stream = client.request(headers);
                const chunks = [];
                let status;
                stream.on("response", (fields) => { status = fields[":status"]; });
                stream.on("data", (chunk) => chunks.push(chunk));
                stream.on("end", () => resolve([status, Buffer.concat(chunks)]));
                stream.on("error", reject);
                if (body) stream.end(body);
            });
        }
        async function main(url) {
            const client = http2.connect(url, { rejectUnauthorized: false });
            client.on("error", (error) => { throw error; });
            const large = Buffer.alloc(300000, "n");
            const all = [];
            for (let index = 0; index < 100; index++) {
                all.push(request(client, { ":path": "/hello/" + index }).then(([status, body]) => {
                    assert.equal(status, 200);
                    assert.equal(body.toString(), "hello " + index);
                }));
                // Node.js buffers at most 10 MB of a connection, and resets further streams.
                if (index % 5 == 0) all.push(request(client, { ":method": "POST", ":path": "/echo" }, large).then(([status, body]) => {
                    assert.equal(status, 200);
                    assert.ok(body.equals(large));
                }));
            }
            await Promise.all(all);
            // A cancelled stream does not affect the others.
            const cancelled = client.request({ ":path": "/slow" });
            cancelled.on("error", () => {});
            cancelled.close(http2.constants.NGHTTP2_CANCEL);
            const [status, body] = await request(client, { ":path": "/large" });
            assert.equal(status, 200);
            assert.equal(body.length, 1048576);
            client.close();
        }
        main(process.argv[1]).then(() => main(process.argv[2]));
    "#;
    let Some(mut command) = tool("node") else { return };
    run(command.args([
        "-e",
        program,
        &format!("http://{}", server.plain),
        &format!("https://{}", server.secure),
    ]));
}

#[test]
fn httpx_of_python() {
    let server = serve();
    let Some(folder) = packages::installed("httpx") else {
        return;
    };
    let program = r#"
import asyncio, sys, httpx
async def main(url, http1):
    async with httpx.AsyncClient(http2=True, http1=http1, verify=False, timeout=60) as client:
        async def one(index):
            response = await client.post(url + "/echo", content=b"x" * 100_000)
            assert response.http_version == "HTTP/2", response.http_version
            assert response.content == b"x" * 100_000
            response = await client.get(f"{url}/hello/{index}")
            assert response.text == f"hello {index}"
        await asyncio.gather(*(one(index) for index in range(50)))
        assert (await client.get(url + "/missing")).status_code == 404
        assert len((await client.get(url + "/large")).content) == 1048576
asyncio.run(main(sys.argv[1], False))
asyncio.run(main(sys.argv[2], True))
"#;
    let urls = [format!("http://{}", server.plain), format!("https://{}", server.secure)];
    run(Command::new(folder.join("bin/python")).args(["-c", program]).args(urls));
}

#[test]
fn the_crate_h2() {
    let server = serve();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.plain)
            .await
            .expect("the server accepts");
        let (client, connection) = h2::client::handshake(stream).await.expect("the server supports HTTP/2");
        let connection = tokio::spawn(connection);
        let mut requests = Vec::new();
        for index in 0..100_usize {
            let mut client = client.clone().ready().await.expect("a stream");
            requests.push(tokio::spawn(async move {
                let request = http::Request::post("http://a/echo").body(()).expect("a request");
                let (response, mut body) = client.send_request(request, false).expect("it is sent");
                let sent = pattern(index * 1000);
                let sending = async {
                    let mut rest = Bytes::from(sent.clone());
                    while !rest.is_empty() {
                        body.reserve_capacity(rest.len());
                        let room = poll_fn(|context| body.poll_capacity(context)).await;
                        let room = room.expect("the stream is open").expect("the window grows");
                        body.send_data(rest.split_to(room.min(rest.len())), false)
                            .expect("it is sent");
                    }
                    body.send_data(Bytes::new(), true).expect("it is sent");
                };
                let receiving = async {
                    let (head, mut body) = response.await.expect("a response").into_parts();
                    assert_eq!(head.status, StatusCode::OK);
                    let mut received = Vec::new();
                    while let Some(piece) = body.data().await {
                        let piece = piece.expect("the body is whole");
                        body.flow_control()
                            .release_capacity(piece.len())
                            .expect("it was received");
                        received.extend(piece);
                    }
                    received
                };
                let ((), received) = tokio::join!(sending, receiving);
                assert!(received == sent);
            }));
        }
        for request in requests {
            request.await.expect("the request is answered");
        }
        drop(client);
        connection.await.expect("no panic").expect("the connection ends well");
    });
}
