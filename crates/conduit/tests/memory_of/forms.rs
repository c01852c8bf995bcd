//! The memory of forms with files, which are in memory or on the disk.

use std::path::Path as FilePath;

use conduit::{MultipartForm, MultipartLimits, UploadedFile, metrics};
use serde::Deserialize;

use super::*;
use crate::support::Client;

const MIB: usize = 1 << 20;
/// The budget of these tests, of which files take seven eighths.
const BUDGET: usize = 8 * MIB;
const CLIENTS: usize = 8;

#[derive(Deserialize, JsonSchema)]
struct Album {
    files: Vec<UploadedFile>,
}

/// Returns the length of all files, and the number that the first bytes of their contents add up to.
#[post("/album")]
async fn album(form: MultipartForm<Album>) -> Result<String, Problem> {
    let (mut length, mut sum) = (0, 0);
    for file in &form.0.files {
        let content = file.bytes().await?;
        length += content.len();
        sum += content.iter().take(1).map(|byte| usize::from(*byte)).sum::<usize>();
    }
    Ok(format!("{length} {sum}"))
}

fn server(directory: &FilePath) -> Running {
    let app = App::new(()).routes(routes![album, length, metrics::page, health::readyz]);
    let app = app.layer(MultipartLimits::new().directory(directory));
    serve(app.workers(1).body_memory(BUDGET as u64))
}

/// A form of `count` files, each of `bytes` bytes.
fn form(count: usize, bytes: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for number in 0..count {
        body.extend_from_slice(b"--b\r\ncontent-disposition: form-data; name=\"files\"; filename=\"f\"\r\n\r\n");
        body.resize(body.len() + bytes, number as u8);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    post("/album", "content-type: multipart/form-data; boundary=b\r\n", &body)
}

fn used_bytes(server: &Running) -> usize {
    let page = server.get("/metrics");
    let value = page
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("conduit_body_memory_bytes "));
    value.and_then(|value| value.parse().ok()).expect("a number")
}

fn files_in(directory: &FilePath) -> usize {
    std::fs::read_dir(directory).expect("a directory").count()
}

/// The length of the last boundary, at which a form is complete.
const END: usize = "--b--\r\n".len();

/// Sends all of a form but its last boundary on several connections, until the server has read it.
fn unfinished(server: &Running, form: &[u8]) -> Vec<Client> {
    let before = server.handle().statistics().received_bytes;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = server.connect();
            client.send(&form[..form.len() - END]);
            client
        })
        .collect();
    let sent = (CLIENTS * (form.len() - END)) as u64;
    wait_for(|| server.handle().statistics().received_bytes >= before + sent);
    clients
}

#[test]
fn files_of_unfinished_forms_are_in_the_budget_and_on_the_disk_beyond_it() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path());
    let form = form(33, 60_000);
    assert!(CLIENTS * form.len() > BUDGET + 6 * MIB);
    let before = LIVE_BYTES.load(Relaxed);
    let mut clients = unfinished(&server, &form);
    // The last files may still be on their way to the disk.
    wait_for(|| LIVE_BYTES.load(Relaxed) < before + BUDGET + 2 * MIB);
    let used = used_bytes(&server);
    assert!((BUDGET / 2..=BUDGET).contains(&used), "{used} bytes");
    let files = files_in(directory.path());
    assert!(files >= (CLIENTS * 33) / 3, "{files} files on the disk");
    // Files leave a part of the memory to other bodies.
    let other = server.request(post("/length", "", &vec![b'x'; 200_000]));
    assert_eq!(other.text(), "200000");

    for client in &mut clients {
        client.send(&form[form.len() - END..]);
    }
    for client in &mut clients {
        let sum = (0..33).sum::<usize>();
        assert_eq!(client.response().text(), format!("{} {sum}", 33 * 60_000));
    }
    wait_for(|| used_bytes(&server) == 0 && files_in(directory.path()) == 0);
    assert_eq!(server.get("/readyz").status, 200);
}

#[test]
fn small_files_of_a_form_are_in_the_budget_beyond_its_first_4_kib() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a directory");
    let server = server(directory.path());
    let form = form(250, 4000);
    let clients = unfinished(&server, &form);
    let all = CLIENTS * 250 * 4000;
    wait_for(|| used_bytes(&server) >= all.min(BUDGET * 7 / 8) - CLIENTS * 8192);
    drop(clients);
    wait_for(|| used_bytes(&server) == 0);
    // A small form needs no memory of the budget.
    assert_eq!(server.request(self::form(2, 1000)).text(), "2000 1");
}

#[test]
fn memory_of_files_is_released_after_a_rejection_a_reset_and_a_response_with_their_content() {
    #[post("/rejected")]
    async fn rejected(_form: MultipartForm<Named>) {}
    #[derive(Deserialize, JsonSchema)]
    struct Named {
        #[expect(dead_code, reason = "its absence rejects the form")]
        name: String,
    }
    #[post("/echo")]
    async fn echo(form: MultipartForm<Album>) -> Body {
        let mut files = form.0.files;
        files.swap_remove(0).into_body()
    }

    let _alone = alone();
    let app = App::new(()).routes(routes![rejected, echo, metrics::page]);
    let server = serve(app.workers(1).body_memory(BUDGET as u64));
    let to = |path: &str| {
        let request = form(20, 50_000);
        let head = request.windows(6).position(|bytes| bytes == b"/album").expect("a path");
        [&request[..head], path.as_bytes(), &request[head + 6..]].concat()
    };
    assert_eq!(server.request(to("/rejected")).status, 422);
    assert_eq!(used_bytes(&server), 0);
    let echoed = server.request(to("/echo"));
    assert_eq!((echoed.status, echoed.body.len()), (200, 50_000));
    assert_eq!(used_bytes(&server), 0);
    let request = to("/echo");
    let mut client = server.connect();
    client.send(&request[..request.len() / 2]);
    wait_for(|| used_bytes(&server) > 0);
    drop(client);
    wait_for(|| used_bytes(&server) == 0);
}

/// A body takes a buffer that an earlier one has grown.
#[test]
fn buffers_of_earlier_bodies_are_in_the_budget_of_the_bodies_that_take_them() {
    /// Its response takes no buffer.
    #[post("/whole")]
    async fn whole(_body: Bytes) -> &'static str {
        "received"
    }

    let _alone = alone();
    let app = App::new(()).routes(routes![whole, metrics::page]);
    let server = serve(app.workers(1).body_memory(BUDGET as u64));
    let whole = post("/whole", "", &[b'x'; 30_000]);
    let send = |client: &mut Client, part: &[u8]| {
        let before = server.handle().statistics().received_bytes;
        client.send(part);
        wait_for(|| server.handle().statistics().received_bytes >= before + part.len() as u64);
    };
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        // A body that does not arrive at once is in a buffer.
        let mut client = server.connect();
        send(&mut client, &whole[..whole.len() - 15_000]);
        client.send(&whole[whole.len() - 15_000..]);
        assert_eq!(client.response().text(), "received");
        send(&mut client, &whole[..whole.len() - 29_900]);
        clients.push(client);
    }
    let used = used_bytes(&server);
    assert!(used >= CLIENTS * 20_000, "{used} bytes");
    for client in &mut clients {
        client.send(&whole[whole.len() - 29_900..]);
        assert_eq!(client.response().text(), "received");
    }
    wait_for(|| used_bytes(&server) == 0);
}
