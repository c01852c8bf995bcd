//! Bodies and files of forms that are saved while they are received: progress, limits, cancelled uploads, and full disks.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use conduit::extract::{SaveOptions, Upload};
use conduit::layer::BodyLimit;
use conduit::openapi::Info;
use conduit::prelude::*;
use conduit::{Multipart, MultipartForm, UploadedFile};
use support::{Running, serve, wait_for};
use tempfile::TempDir;

/// Set in the process whose files are limited; its value is the directory.
const LIMITED: &str = "CONDUIT_TEST_FILES_ARE_LIMITED";

#[derive(Clone, FromRef)]
struct Store {
    directory: PathBuf,
    progress: Arc<Mutex<Vec<u64>>>,
}

#[put("/files/{name}")]
async fn store(name: Path<String>, upload: Upload, store: State<Store>) -> Result<String, Problem> {
    let description = format!("{:?} {:?}", upload.content_type(), upload.declared_bytes());
    let report = |bytes| store.progress.lock().expect("no panic").push(bytes);
    let options = SaveOptions::new().sync().on_progress(report);
    let length = upload.save_with(store.directory.join(&*name), options).await?;
    Ok(format!("{length} {description}"))
}

#[post("/form")]
async fn form(mut form: Multipart, store: State<Store>) -> Result<String, Problem> {
    let mut lengths = String::new();
    while let Some(mut field) = form.next_field().await? {
        let report = |bytes| store.progress.lock().expect("no panic").push(bytes);
        let options = SaveOptions::new().sync().on_progress(report);
        let path = store.directory.join(field.name());
        lengths.push_str(&format!("{} ", field.save_with(path, options).await?));
    }
    Ok(lengths)
}

#[derive(serde::Deserialize, JsonSchema)]
struct Picture {
    picture: UploadedFile,
}

#[post("/save")]
async fn save(form: MultipartForm<Picture>, store: State<Store>) -> Result<(), Problem> {
    form.0.picture.save(store.directory.join("saved")).await
}

#[post("/open")]
async fn open(form: MultipartForm<Picture>) -> Result<(), Problem> {
    form.0.picture.into_file().await.map(drop)
}

const ROUTES: Routes<Store> = routes![
    save,
    open,
    #[layer(BodyLimit::new(4 << 20))]
    store,
    #[layer(BodyLimit::new(4 << 20))]
    form
];

fn new_store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store {
        directory: directory.path().to_owned(),
        progress: Arc::default(),
    };
    (directory, store)
}

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).expect("a directory");
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name().into_string().expect("UTF-8");
    entries.map(name).collect()
}

fn put(name: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "PUT /files/{name} HTTP/1.1\r\nhost: test\r\ncontent-type: image/png\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn form_of(target: &str, name: &str, content: &[u8]) -> Vec<u8> {
    let part = format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n");
    let body = [part.as_bytes(), content, b"\r\n--b--\r\n"].concat();
    let head = format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

#[test]
fn upload_of_any_length_is_saved_and_reports_its_progress() {
    let (directory, store) = new_store();
    let progress = Arc::clone(&store.progress);
    let server = serve(App::new(store).routes(ROUTES));
    for length in [0, 1, 65_536, 65_537, 1_000_000] {
        let content = content(length);
        let response = server.request(put("a", &content));
        let declared = Some(length).filter(|length| *length > 0);
        assert_eq!(response.text(), format!("{length} Some(\"image/png\") {declared:?}"));
        assert!(
            fs::read(directory.path().join("a")).expect("a file") == content,
            "{length}"
        );
        let reported = std::mem::take(&mut *progress.lock().expect("no panic"));
        assert!(reported.is_sorted());
        assert_eq!(reported.last().copied().unwrap_or_default(), length as u64);

        let response = server.request(form_of("/form", "b", &content));
        assert_eq!(response.text(), format!("{length} "));
        assert!(
            fs::read(directory.path().join("b")).expect("a file") == content,
            "{length}"
        );
        let reported = std::mem::take(&mut *progress.lock().expect("no panic"));
        assert_eq!(reported.last().copied().unwrap_or_default(), length as u64);
    }
    assert_eq!(names(&directory).len(), 2);
}

#[test]
fn chunked_upload_declares_no_length() {
    let (directory, store) = new_store();
    let server = serve(App::new(store).routes(ROUTES));
    let request = "PUT /files/a HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(server.request(request).text(), "5 None None");
    assert_eq!(fs::read(directory.path().join("a")).expect("a file"), b"hello");
}

#[test]
fn upload_over_the_limit_is_rejected_and_keeps_the_old_file() {
    let (directory, store) = new_store();
    fs::write(directory.path().join("a"), "old").expect("a file");
    let server = serve(App::new(store).routes(ROUTES));
    assert_eq!(server.request(put("a", &content(5 << 20))).status, 413);
    let mut client = server.connect();
    client.send("PUT /files/a HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = [b"100000\r\n", content(1 << 20).as_slice(), b"\r\n"].concat();
    for _ in 0..5 {
        client.send_what_is_taken(&chunk);
    }
    assert_eq!(client.response().status, 413);
    wait_for(|| names(&directory) == ["a"]);
    assert_eq!(fs::read(directory.path().join("a")).expect("a file"), b"old");
}

#[test]
fn cancelled_upload_leaves_no_file() {
    let (directory, store) = new_store();
    let progress = Arc::clone(&store.progress);
    let server = serve(App::new(store).routes(ROUTES));
    for request in [put("a", &content(1 << 20)), form_of("/form", "a", &content(1 << 20))] {
        let mut client = server.connect();
        client.send(&request[..300_000]);
        wait_for(|| {
            progress
                .lock()
                .expect("no panic")
                .last()
                .is_some_and(|bytes| *bytes > 200_000)
        });
        assert_eq!(names(&directory).len(), 1, "the temporary file");
        drop(client);
        wait_for(|| names(&directory).is_empty());
        progress.lock().expect("no panic").clear();
    }
}

#[test]
fn upload_to_a_missing_directory_is_500() {
    let (directory, store) = new_store();
    let server = serve(App::new(store).routes(ROUTES));
    drop(directory);
    assert_eq!(server.request(put("a", b"hello")).status, 500);
}

/// Runs a test again, in a process that limits its files to this number of KiB: a write fails as on a full disk.
fn run_with_limit(test: &str, kib: u32) -> TempDir {
    let (directory, _) = new_store();
    // The limit counts blocks of 512 bytes; its signal is ignored.
    let script = format!(
        "trap '' XFSZ; ulimit -f {}; exec \"$0\" --exact {test} --nocapture",
        2 * kib
    );
    let program = std::env::current_exe().expect("the path of the test is known");
    let run = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(program)
        .env(LIMITED, directory.path())
        .output();
    let run = run.expect("a shell");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    directory
}

/// The server of a process whose files are limited.
fn limited() -> Option<Running> {
    let directory = std::env::var_os(LIMITED)?;
    let store = Store {
        directory: directory.into(),
        progress: Arc::default(),
    };
    Some(serve(App::new(store).routes(ROUTES)))
}

#[test]
fn file_without_room_is_507() {
    if let Some(server) = limited() {
        for request in [put("a", &content(2 << 20)), form_of("/form", "a", &content(2 << 20))] {
            let response = server.request(request);
            assert_eq!(response.status, 507);
            assert_eq!(
                response.problem()["detail"],
                "the server's disk has no room for the file"
            );
        }
        assert_eq!(server.request(put("b", &content(1 << 19))).status, 200);
        return;
    }
    assert_eq!(names(&run_with_limit("file_without_room_is_507", 1024)), ["b"]);
}

#[test]
fn received_file_without_room_is_507() {
    if let Some(server) = limited() {
        // It is in memory until the handler saves it.
        for target in ["/save", "/open"] {
            let response = server.request(form_of(target, "picture", &content(32 << 10)));
            assert_eq!(response.status, 507, "{target}");
            assert_eq!(
                response.problem()["detail"],
                "the server's disk has no room for the file"
            );
            assert_eq!(
                server.request(form_of(target, "picture", &content(1 << 10))).status,
                200
            );
        }
        return;
    }
    assert_eq!(
        names(&run_with_limit("received_file_without_room_is_507", 8)),
        ["saved"]
    );
}

#[test]
fn document_has_the_body_and_the_problems() {
    let document = serde_json::to_value(ROUTES.openapi(Info::new("Uploads", "1"))).expect("JSON");
    let operation = &document["paths"]["/files/{name}"]["put"];
    assert!(operation["requestBody"]["content"]["application/octet-stream"].is_object());
    for status in ["413", "507"] {
        assert!(operation["responses"][status].is_object(), "{status}");
    }
}
