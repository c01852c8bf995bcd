//! A real nginx as the reference: both serve a directory of unusual names.
//!
//! The test is skipped with a message where nginx is not installed; with `CI=true` it fails.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use conduit::Files;
use conduit::prelude::*;
use conduit::testing::TestClient;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::directory;

static BASE: LazyLock<PathBuf> = LazyLock::new(|| directory("nginx"));
static TREE: LazyLock<PathBuf> = LazyLock::new(|| tree(&BASE));

/// Names of files; each contains its name.
fn names() -> Vec<Vec<u8>> {
    let texts = [
        "plain.txt",
        "with space",
        "100%",
        "per%41cent",
        "%2e%2e",
        "ä",
        "日本語.html",
        "😀",
        "a+b",
        "a&b",
        "a?b",
        "a#b",
        "a;b",
        "\"",
        "'",
        "<b>",
        "[x]",
        "{x}",
        "dots..txt",
        "trailing.",
        "a..",
        "new\nline",
        "tab\t",
        "~",
        "a:b",
        "http:",
        "*",
        "|",
        "^",
        "`",
        "$",
        "sub/inner.txt",
        "sub/deep/deepest",
        "sub dir/a b",
    ];
    let mut names: Vec<Vec<u8>> = texts.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.extend([
        b"\xff\xfe".to_vec(),
        b"\x01\x7f".to_vec(),
        vec![b'n'; 255],
        "ü".repeat(127).into_bytes(),
    ]);
    names
}

fn tree(base: &Path) -> PathBuf {
    let tree = base.join("tree");
    for name in names() {
        let path = tree.join(OsStr::from_bytes(&name));
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, &name).expect("a file");
    }
    for directory in ["indexed", "bare"] {
        fs::create_dir_all(tree.join(directory)).expect("a directory");
    }
    fs::write(tree.join("indexed/index.html"), "index").expect("a file");
    fs::write(tree.join("empty"), "").expect("a file");
    fs::write(tree.join("digits"), "0123456789").expect("a file");
    let digits = fs::File::options()
        .write(true)
        .open(tree.join("digits"))
        .expect("a file");
    digits
        .set_modified(std::time::UNIX_EPOCH + Duration::from_secs(784_111_777))
        .expect("a time");
    for (target, link) in [
        ("digits", "link"),
        ("sub", "link-to-directory"),
        ("nowhere", "dangling"),
        ("loop", "loop"),
    ] {
        symlink(target, tree.join(link)).expect("a link");
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.join("pipe"),
        rustix::fs::FileType::Fifo,
        0o644.into(),
        0,
    )
    .expect("a pipe");
    // Only root may create a device: that of /dev/null.
    let device = rustix::fs::makedev(1, 3);
    let _ = rustix::fs::mknodat(
        rustix::fs::CWD,
        tree.join("device"),
        rustix::fs::FileType::CharacterDevice,
        0o644.into(),
        device,
    );
    drop(UnixListener::bind(tree.join("socket")));
    tree
}

struct Nginx {
    process: Child,
    socket: PathBuf,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Nginx {
    /// Starts nginx on a Unix socket; `None` if it is not installed.
    fn start(base: &Path, tree: &Path) -> Option<Self> {
        // The length of a socket's path is limited, so it is relative to the prefix, which is the working directory.
        let socket = std::env::temp_dir().join(format!("conduit-nginx-{}", std::process::id()));
        let _ = fs::remove_file(&socket);
        let (tree, socket_path) = (tree.display(), socket.display());
        let configuration = format!(
            "daemon off; master_process off; pid nginx.pid; error_log error.log crit; events {{}}\n\
             http {{ access_log off; if_modified_since before; default_type application/octet-stream;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             server {{ listen unix:{socket_path}; root {tree}; absolute_redirect off; }} }}\n"
        );
        fs::write(base.join("nginx.conf"), configuration).expect("a file");
        let programs = ["nginx", "/usr/sbin/nginx"];
        let process = programs.iter().find_map(|program| {
            let mut command = Command::new(program);
            command
                .arg("-p")
                .arg(base)
                .args(["-c", "nginx.conf", "-e", "error.log"]);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::inherit())
                .spawn()
                .ok()
        });
        let Some(process) = process else {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nginx is not installed");
            eprintln!("skipped: nginx is not installed (Debian: apt-get install nginx-light)");
            return None;
        };
        let mut nginx = Nginx { process, socket };
        // nginx does not report that it listens.
        while UnixStream::connect(&nginx.socket).is_err() {
            assert!(
                nginx.process.try_wait().expect("a process").is_none(),
                "nginx has ended"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(nginx)
    }

    fn request(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
        for (name, value) in fields {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut stream = UnixStream::connect(&self.socket).expect("nginx listens");
        stream
            .write_all(format!("{request}\r\n").as_bytes())
            .expect("nginx reads");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).expect("nginx responds");
        let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&all[..end]).into_owned();
        Answer {
            status: head
                .get(9..12)
                .and_then(|status| status.parse().ok())
                .expect("a status"),
            head,
            body: all[end + 4..].to_vec(),
        }
    }
}

/// Maps statuses of the same meaning to one: permanent redirects, and a directory without a page.
fn meaning(status: u16) -> u16 {
    match status {
        301 => 308,
        403 => 404,
        other => other,
    }
}

fn encoded(name: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b'/' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.iter().map(encode).collect()
}

#[test]
fn nginx_and_files_agree() {
    let Some(nginx) = Nginx::start(&BASE, &TREE) else {
        return;
    };
    let client = TestClient::new(App::new(()).routes(routes![Files::new(&*TREE)]));
    let ours = |method: &str, target: &str, fields: &[(&str, &str)]| {
        let request = client.request(method, target);
        fields
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value))
            .send()
    };
    let compare = |method: &str, target: &str, fields: &[(&str, &str)]| {
        let (reference, own) = (nginx.request(method, target, fields), ours(method, target, fields));
        let context = format!("{method} {target} {fields:?}: nginx {}", reference.head);
        assert_eq!(own.status().as_u16(), meaning(reference.status), "{context}");
        if reference.status < 300 {
            assert_eq!(own.bytes(), reference.body, "{context}");
            for name in ["content-length", "content-range", "last-modified", "accept-ranges"] {
                // nginx has `Accept-Ranges` in 200 only.
                if reference.field(name).is_some() {
                    assert_eq!(own.header(name), reference.field(name), "{name}: {context}");
                }
            }
        }
    };
    // Every unusual name: the whole file, its head, a range, and as a directory.
    let special = [
        "empty",
        "digits",
        "link",
        "link-to-directory/inner.txt",
        "dangling",
        "loop",
        "pipe",
        "device",
    ];
    // nginx responds with 500 for a socket.
    ours("GET", "/socket", &[]).assert_status(404);
    let directories = ["indexed", "bare", "sub", "link-to-directory", "sub dir"];
    let all = names()
        .into_iter()
        .chain(special.iter().chain(&directories).map(|name| name.as_bytes().to_vec()));
    for name in all {
        let target = format!("/{}", encoded(&name));
        for method in ["GET", "HEAD"] {
            compare(method, &target, &[]);
            compare(method, &format!("{target}?query=%00/.."), &[]);
            compare(method, &format!("{target}/"), &[]);
        }
        if name != b"empty" {
            compare("GET", &target, &[("range", "bytes=0-0")]);
            compare("GET", &target, &[("range", "bytes=-1")]);
        }
        // The route rejects the method before the path is checked.
        assert_eq!(ours("POST", &target, &[]).status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    for fields in [
        &[("range", "bytes=2-4")][..],
        &[("range", "bytes=2-")],
        &[("range", "bytes=-4")],
        &[("range", "bytes=-40")],
        &[("range", "bytes=5-500")],
        &[("range", "bytes=10-")],
        &[("range", "bytes=10-20")],
        &[("range", "lines=1-2")],
        &[("range", "bytes=2-4"), ("if-range", DATE)],
        &[("range", "bytes=2-4"), ("if-range", "Sun, 06 Nov 1994 08:49:36 GMT")],
        &[("range", "bytes=2-4"), ("if-range", "\"other\"")],
        &[("if-modified-since", DATE)],
        &[("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")],
        &[("if-modified-since", "Mon, 07 Nov 1994 08:49:37 GMT")],
        &[("if-unmodified-since", DATE)],
        &[("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT")],
        &[("if-match", "*")],
        &[("if-match", "\"other\"")],
        &[("if-none-match", "*")],
        &[("if-none-match", "\"other\"")],
        &[("if-none-match", "\"other\""), ("if-modified-since", DATE)],
    ] {
        compare("GET", "/digits", fields);
    }

    // Any target: a body is served only if nginx serves the same one. nginx merges slashes and resolves dots, `Files` does not.
    let pieces = [
        "/",
        "/",
        "..",
        ".",
        "%2e",
        "%2f",
        "%5c",
        "%00",
        "\\",
        "%",
        "sub",
        "digits",
        "inner.txt",
        "link-to-directory",
        "%64igits",
    ];
    let targets = prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..7);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let result = runner.run(&targets, |pieces| {
        let target = format!("/{}", pieces.concat());
        let own = ours("GET", &target, &[]);
        if own.status().is_success() {
            let reference = nginx.request("GET", &target, &[]);
            prop_assert_eq!(own.status().as_u16(), reference.status, "{}", target);
            prop_assert_eq!(own.bytes(), &reference.body[..], "{}", target);
        } else {
            prop_assert!(
                matches!(own.status().as_u16(), 308 | 400 | 404),
                "{} {}",
                target,
                own.status()
            );
        }
        Ok(())
    });
    result.expect("both agree");
}
