//! Forms with files, whole and truncated, within their limits and beyond.

use std::path::Path as FilePath;
use std::process::Command;
use std::time::{Duration, Instant};

use conduit::openapi::Info;
use conduit::prelude::*;
use conduit::{Multipart, MultipartForm, MultipartLimits, UploadedFile};

use crate::support::{Response, Running, serve};

#[post("/stream")]
async fn stream(mut form: Multipart) -> Result<String, Problem> {
    let mut all = String::new();
    while let Some(mut field) = form.next_field().await? {
        if field.name() == "skipped" {
            continue;
        }
        let (name, file) = (field.name().to_owned(), field.file_name().map(str::to_owned));
        let content = field.text().await?;
        all.push_str(&format!("{name} {file:?} {content:?}\n"));
    }
    Ok(all)
}

#[derive(serde::Deserialize, JsonSchema)]
struct Address {
    city: String,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Profile {
    name: String,
    age: Option<u8>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    news: bool,
    address: Option<Address>,
    /// A small image.
    avatar: Option<UploadedFile>,
    #[serde(default)]
    pictures: Vec<UploadedFile>,
}

#[post("/profile")]
async fn profile(profile: MultipartForm<Profile>) -> Result<String, Problem> {
    let profile = profile.0;
    let mut files = String::new();
    for file in profile.avatar.iter().chain(&profile.pictures) {
        let sum: u64 = file.bytes().await?.iter().map(|byte| u64::from(*byte)).sum();
        files.push_str(&format!(
            " {:?} {:?} {} {sum}",
            file.file_name(),
            file.content_type(),
            file.len()
        ));
    }
    let city = profile.address.map(|address| address.city);
    let (name, age, tags, news) = (profile.name, profile.age, profile.tags, profile.news);
    Ok(format!("{name} {age:?} {tags:?} {news} {city:?}{files}"))
}

#[derive(Clone)]
struct Target(std::path::PathBuf);

#[post("/save")]
async fn save(mut form: Multipart, target: State<Target>) -> Result<String, Problem> {
    let mut lengths = Vec::new();
    while let Some(mut field) = form.next_field().await? {
        let path = target.0.0.join(format!("saved-{}", lengths.len()));
        lengths.push(field.save(path).await?);
    }
    Ok(format!("{lengths:?}"))
}

#[post("/keep")]
async fn keep(form: MultipartForm<Profile>, target: State<Target>) -> Result<Body, Problem> {
    let profile = form.0;
    let mut bodies = Vec::new();
    for (index, picture) in profile.pictures.into_iter().enumerate() {
        picture.save(target.0.0.join(format!("kept-{index}"))).await?;
        bodies.push(index);
    }
    match profile.avatar {
        Some(avatar) => Ok(avatar.into_body()),
        None => Ok(format!("{bodies:?}").into()),
    }
}

fn limited(directory: &FilePath) -> Running {
    let limits = MultipartLimits::new()
        .total_bytes(8 << 20)
        .file_bytes(1 << 20)
        .fields(20)
        .field_bytes("avatar", 100 << 10)
        .directory(directory);
    let app = App::new(Target(directory.to_owned())).layer(limits);
    serve(app.routes(routes![stream, profile, save, keep]))
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory for temporary files")
}

/// The number of files, and their total size.
fn usage(directory: &FilePath) -> (usize, u64) {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    let lengths = entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()));
    lengths.fold((0, 0), |(count, bytes), length| (count + 1, bytes + length))
}

fn part(head: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--xyz\r\nContent-Disposition: form-data; {head}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn body(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), b"--xyz--\r\n".to_vec()].concat()
}

fn head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\ncontent-type: multipart/form-data; boundary=xyz\r\n\
         content-length: {length}\r\n\r\n"
    )
}

fn post(server: &Running, path: &str, parts: &[Vec<u8>]) -> Response {
    let body = body(parts);
    let mut client = server.connect();
    client.send(head(path, body.len()));
    // The server may not read an early rejected body to its end.
    client.send_what_is_taken(&body);
    client.response()
}

#[track_caller]
fn assert_refused(response: &Response, status: u16, detail: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.problem()["detail"], detail);
}

#[test]
fn a_stream_of_fields_is_the_same_for_any_split() {
    let server = serve(App::new(()).routes(routes![stream]));
    let form = body(&[
        part("name=\"a\"", b"1 \r\n--xy"),
        part("name=skipped", b"an ignored part"),
        part(
            "name=\"f\"; filename=\"C:\\\\dir/../x.txt\"\r\nContent-Type: text/plain",
            "ß\r\r\n".as_bytes(),
        ),
        part("name=\"\"", b""),
    ]);
    let expected = "a None \"1 \\r\\n--xy\"\nf Some(\"x.txt\") \"ß\\r\\r\\n\"\n None \"\"\n";
    for at in 0..form.len() {
        let mut client = server.connect();
        client.send([head("/stream", form.len()).as_bytes(), &form[..at]].concat());
        client.send(&form[at..]);
        assert_eq!(client.response().text(), expected, "cut at {at}");
    }
}

#[test]
fn a_form_fills_a_struct_with_its_texts_and_files() {
    let directory = directory();
    let server = limited(directory.path());
    let large = vec![1; 300_000];
    let parts = [
        part("name=\"name\"", "Zoë".as_bytes()),
        part("name=\"age\"", b""),
        part("name=\"tags\"", b"a"),
        part("name=\"tags\"", b"b,c"),
        part("name=\"news\"", b"on"),
        part("name=\"address[city]\"", b"Bern"),
        // A file input of a browser in which no file was chosen.
        part(
            "name=\"avatar\"; filename=\"\"\r\nContent-Type: application/octet-stream",
            b"",
        ),
        part(
            "name=\"pictures\"; filename=\"../../etc/passwd\"\r\nContent-Type: image/png",
            b"\x01\x02",
        ),
        part("name=\"pictures\"; filename=\"large\"", &large),
        part("name=\"unknown\"", b"x"),
    ];
    assert_eq!(
        post(&server, "/profile", &parts).text(),
        "Zoë None [\"a\", \"b,c\"] true Some(\"Bern\") Some(\"passwd\") Some(\"image/png\") 2 3 Some(\"large\") None 300000 300000"
    );
    assert_eq!(usage(directory.path()), (0, 0));
}

#[test]
fn files_are_saved_in_the_directory_of_the_server_and_temporary_ones_removed() {
    let directory = directory();
    let server = limited(directory.path());
    std::fs::write(directory.path().join("saved-0"), "before").expect("a file");
    let large = vec![7; 200_000];
    let parts = [
        part("name=a; filename=x", b"small"),
        part("name=b; filename=/tmp/y", &large),
    ];
    assert_eq!(post(&server, "/save", &parts).text(), "[5, 200000]");
    assert_eq!(
        std::fs::read(directory.path().join("saved-0")).expect("a file"),
        b"small"
    );
    assert_eq!(std::fs::read(directory.path().join("saved-1")).expect("a file"), large);
    assert_eq!(usage(directory.path()).0, 2);

    let parts = [
        part("name=name", b"x"),
        part("name=pictures; filename=a", &large),
        part("name=pictures; filename=b", b"b"),
    ];
    assert_eq!(post(&server, "/keep", &parts).text(), "[0, 1]");
    assert_eq!(std::fs::read(directory.path().join("kept-0")).expect("a file"), large);
    assert_eq!(std::fs::read(directory.path().join("kept-1")).expect("a file"), b"b");
    let avatar = vec![b'x'; 90_000];
    let parts = [part("name=name", b"x"), part("name=avatar; filename=a", &avatar)];
    assert_eq!(post(&server, "/keep", &parts).text().len(), avatar.len());
    assert_eq!(usage(directory.path()).0, 4);
}

#[test]
fn part_beyond_a_limit_is_413_with_field_and_limit_and_leaves_no_file() {
    let directory = directory();
    let server = limited(directory.path());
    let name = part("name=name", b"x");
    let refused = |parts: &[Vec<u8>], detail: &str| {
        assert_refused(&post(&server, "/profile", parts), 413, detail);
        assert_eq!(usage(directory.path()), (0, 0));
    };
    refused(
        &[name.clone(), part("name=pictures; filename=x", &vec![0; (1 << 20) + 1])],
        "body.pictures: longer than the limit of 1048576 bytes",
    );
    refused(
        &[name.clone(), part("name=avatar; filename=x", &vec![0; (100 << 10) + 1])],
        "body.avatar: longer than the limit of 102400 bytes",
    );
    refused(
        &[part("name=name", &vec![b'x'; (64 << 10) + 1])],
        "body.name: longer than the limit of 65536 bytes",
    );
    refused(&vec![name.clone(); 21], "the form has more fields than the limit of 20");
    let endless = format!("name=name\r\nX: {}", "x".repeat(9000));
    refused(
        &[part(&endless, b"")],
        "body: the head of a part is longer than the limit of 8192 bytes: shorten the names or the fields",
    );
    let megabyte = part("name=pictures; filename=x", &vec![0; 1 << 20]);
    refused(&vec![megabyte; 9], "the body is longer than the limit of 8388608 bytes");
}

#[test]
fn a_body_without_a_declared_length_uses_no_more_disk_space_than_its_limit() {
    let directory = directory();
    let server = limited(directory.path());
    let mut client = server.connect();
    client.send(
        "POST /profile HTTP/1.1\r\nhost: test\r\ncontent-type: multipart/form-data; boundary=xyz\r\n\
         transfer-encoding: chunked\r\n\r\n",
    );
    let mut most = 0;
    let piece = part("name=pictures; filename=x", &vec![0; 900 << 10]);
    for _ in 0..20 {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
        let is_taken = client.send_what_is_taken(chunk);
        most = most.max(usage(directory.path()).1);
        if !is_taken {
            break;
        }
    }
    assert!(most <= 8 << 20, "{most} bytes on the disk");
    wait_until_empty(directory.path());
}

fn wait_until_empty(directory: &FilePath) {
    let begun = Instant::now();
    while usage(directory).0 > 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "files are left: {:?}",
            usage(directory)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_client_that_disconnects_leaves_no_file() {
    let directory = directory();
    let server = limited(directory.path());
    let mut client = server.connect();
    client.send(head("/profile", 4 << 20));
    client.send(part("name=pictures; filename=x", &vec![0; 500 << 10]));
    let begun = Instant::now();
    while usage(directory.path()).0 == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nothing was written to the disk"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(client);
    wait_until_empty(directory.path());
}

#[test]
fn invalid_form_is_rejected_with_the_reason() {
    let server = serve(App::new(()).routes(routes![stream, profile]));
    let post_as = |media_type: &str, body: &str| {
        let length = body.len();
        server.request(format!(
            "POST /profile HTTP/1.1\r\nhost: test\r\n{media_type}content-length: {length}\r\n\r\n{body}"
        ))
    };
    assert_refused(
        &post_as("content-type: text/plain\r\n", "x"),
        415,
        "the content-type is \"text/plain\": expected multipart/form-data",
    );
    assert_refused(
        &post_as("", "x"),
        415,
        "the request has no content-type: expected multipart/form-data",
    );
    let typed = "content-type: multipart/form-data; boundary=xyz\r\n";
    assert_refused(
        &post_as("content-type: multipart/form-data\r\n", "x"),
        400,
        "the content-type multipart/form-data has no boundary: add 'boundary=…'",
    );
    let incomplete = "the body ends before its last delimiter: end it with the boundary and two hyphens";
    assert_refused(&post_as(typed, ""), 400, &format!("body: {incomplete}"));
    assert_refused(&post_as(typed, "no boundary"), 400, &format!("body: {incomplete}"));
    assert_refused(
        &post_as(typed, "--xyz\r\nContent-Disposition: form-data; name=name\r\n\r\nx"),
        400,
        &format!("body.name: {incomplete}"),
    );
    assert_refused(
        &post_as(typed, "--xyz\r\nX: y\r\n\r\nx\r\n--xyz--"),
        400,
        "body: the head of a part has no content-disposition, or several: send exactly one",
    );
}

#[test]
fn fields_that_do_not_fit_are_422_with_their_places() {
    let server = serve(App::new(()).routes(routes![profile]));
    let name = part("name=name", b"x");
    let refused = |more: Vec<u8>, detail: &str| {
        assert_refused(&post(&server, "/profile", &[name.clone(), more]), 422, detail);
    };
    refused(
        part("name=age", b"old"),
        "body.age: expected a whole number from 0 to 255, found \"old\"",
    );
    refused(part("name=avatar", b"0"), "body.avatar: expected a file, found \"0\"");
    refused(
        part("name=pictures", b"0"),
        "body.pictures[0]: expected a file, found \"0\"",
    );
    refused(
        part("name=name; filename=x", b"y"),
        "body.name: expected one value, found 2",
    );
    refused(
        part("name=tags; filename=x", b"y"),
        "body.tags[0]: expected a text field, found a file",
    );
    refused(
        part("name=tags", b"\xff"),
        "body.tags: expected UTF-8, found an invalid byte at offset 0",
    );
    refused(part("name=address[street]", b"x"), "body.address.city: missing");
    let response = post(&server, "/profile", &[part("name=other", b"")]);
    assert_refused(&response, 422, "body.name: missing");
}

#[derive(serde::Deserialize)]
struct Outer {
    #[serde(flatten)]
    inner: Inner,
}

#[derive(serde::Deserialize)]
struct Inner {
    title: String,
    picture: UploadedFile,
}

#[post("/flattened")]
fn flattened(form: MultipartForm<Outer>) -> String {
    format!("{} {}", form.inner.title, form.inner.picture.len())
}

#[post("/json")]
fn json(inner: Json<Inner>) -> String {
    inner.title.clone()
}

#[test]
fn a_file_is_read_through_a_flattened_struct_and_only_in_a_form() {
    let server = serve(App::new(()).routes(routes![flattened, json]));
    let title = part("name=title", b"0");
    let parts = [title.clone(), part("name=picture; filename=x", b"1234")];
    assert_eq!(post(&server, "/flattened", &parts).text(), "0 4");
    let parts = [
        title,
        part("name=picture", b"0"),
        part("name=other; filename=x", b"1234"),
    ];
    assert_eq!(post(&server, "/flattened", &parts).status, 422);
    let body = r#"{"title":"x","picture":0}"#;
    let length = body.len();
    let response = server.request(format!(
        "POST /json HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    assert_refused(
        &response,
        422,
        "body.picture: files are accepted only in a form with files, multipart/form-data",
    );
}

#[test]
fn a_form_of_curl_is_parsed() {
    let directory = directory();
    let server = limited(directory.path());
    let file = directory.path().join("a näme.bin");
    std::fs::write(&file, vec![1; 80_000]).expect("a file");
    let output = Command::new("curl")
        .args(["--silent", "--form", "name=it is", "--form", "tags=x", "--form"])
        .arg(format!("avatar=@{};type=image/gif", file.display()))
        .arg(format!("http://{}/profile", server.address))
        .output();
    let Ok(output) = output else {
        eprintln!("curl is not installed");
        return;
    };
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "it is None [\"x\"] false None Some(\"a näme.bin\") Some(\"image/gif\") 80000 80000"
    );
}

#[test]
fn the_document_has_the_form_with_binary_fields() {
    const LIST: Routes = routes![profile, stream];
    let document = LIST.openapi(Info::new("test", "1"));
    assert_eq!(document.gaps(), []);
    let document = serde_json::to_value(&document).expect("a document is JSON");
    let content = &document["paths"]["/profile"]["post"]["requestBody"]["content"]["multipart/form-data"];
    // Its optional fields are `null` in JSON only, so the schema of the form is not the one in the components.
    let schema = &content["schema"];
    assert_eq!(schema["properties"]["avatar"]["format"], "binary");
    assert_eq!(schema["properties"]["avatar"]["type"], "string");
    assert_eq!(schema["properties"]["pictures"]["items"]["format"], "binary");
    assert_eq!(schema["required"], serde_json::json!(["name"]));
    let stream = &document["paths"]["/stream"]["post"]["requestBody"]["content"];
    assert!(stream["multipart/form-data"].is_object());
}

#[cfg(feature = "testing")]
#[test]
fn the_test_client_sends_forms_with_files() {
    let client = conduit::testing::TestClient::new(App::new(()).routes(routes![profile, stream]));
    let request = client.post("/profile").field("name", "Zoë").field("tags", "--");
    let answer = request.file("avatar", "a.png", "image/png", [1, 2]).send();
    answer.assert_text("Zoë None [\"--\"] false None Some(\"a.png\") Some(\"image/png\") 2 3");
    let answer = client.post("/stream").field("a \"b\"", "\r\n").send();
    answer.assert_text("a %22b%22 None \"\\r\\n\"\n");
}
