//! The addresses of a server: several listeners at once, Unix sockets and their files.

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path as FilePath, PathBuf};

use conduit::UnixPeer;
use conduit::prelude::*;
use support::{Client, start};

#[get("/peer")]
async fn peer(unix: Option<UnixPeer>, address: PeerAddr) -> String {
    match unix {
        Some(unix) => format!("user {} at {}", unix.user, address.0),
        None => format!("at {}", address.0.ip()),
    }
}

#[get("/only-unix")]
async fn only_unix(peer: UnixPeer) -> String {
    peer.process.to_string()
}

fn app() -> App<(), Routes<()>> {
    App::new(()).routes(routes![peer, only_unix]).workers(2)
}

/// A directory for one test, which is removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("conduit-{name}-{}", std::process::id()));
        // A killed process with this id may have left it.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory can be made");
        Directory(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ask(path: &FilePath, target: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the server listens there");
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"
    )
    .expect("it takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in text");
    answer
}

fn unix(path: &FilePath, mode: &str) -> String {
    format!("unix:{}{mode}", path.display())
}

#[test]
fn a_server_serves_each_of_its_addresses() {
    let directory = Directory::new("several");
    let server = app()
        .listen(["127.0.0.1:0", "[::1]:0", &unix(&directory.socket(), "")])
        .expect("all addresses are available");
    let addresses: Vec<SocketAddr> = server.addresses().collect();
    let _running = start(server);
    assert_eq!(addresses.len(), 2);
    for address in addresses {
        // Enough connections that each worker gets some.
        for _ in 0..8 {
            let mut client = Client::connect(address);
            client.send("GET /peer HTTP/1.1\r\nhost: test\r\n\r\n");
            assert_eq!(client.response().text(), format!("at {}", address.ip()));
        }
    }
    let user = rustix::process::geteuid().as_raw();
    for _ in 0..8 {
        let answer = ask(&directory.socket(), "/peer");
        assert!(answer.ends_with(&format!("user {user} at 0.0.0.0:0")), "{answer}");
    }
}

#[test]
fn both_wildcards_can_share_a_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("it has an address").port();
    drop(free);
    let server = app()
        .listen([format!("0.0.0.0:{port}"), format!("[::]:{port}")])
        .expect("the listeners do not conflict");
    let _running = start(server);
    for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let mut client = Client::connect(address.parse().expect("an address"));
        client.send("GET /peer HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn routes_for_unix_peers_reject_other_peers() {
    let directory = Directory::new("only-unix");
    let running = start(
        app()
            .listen(["127.0.0.1:0", &unix(&directory.socket(), "")])
            .expect("both"),
    );
    assert_eq!(running.get("/only-unix").status, 403);
    let answer = ask(&directory.socket(), "/only-unix");
    assert!(answer.ends_with(&format!("\r\n\r\n{}", std::process::id())), "{answer}");
}

#[test]
fn the_file_of_a_socket_has_its_mode_and_is_removed_with_the_server() {
    let directory = Directory::new("mode");
    let path = directory.socket();
    let server = app().listen(unix(&path, "?mode=600")).expect("it listens");
    let mode = std::fs::metadata(&path)
        .expect("the file is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let handle = server.handle();
    handle.stop();
    server.serve().expect("it ends well");
    assert!(!path.exists());
}

#[test]
fn the_socket_file_of_a_dead_server_is_replaced_and_that_of_a_live_one_is_not() {
    let directory = Directory::new("stale");
    let path = directory.socket();
    // std leaves the file, like a killed server.
    drop(UnixListener::bind(&path).expect("a first server"));
    assert!(path.exists());
    let server = app().listen(unix(&path, "")).expect("the path is free");
    let Err(error) = app().listen(unix(&path, "")) else {
        panic!("the first server listens there");
    };
    assert!(error.to_string().contains("the path or name is in use"), "{error}");
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_not_a_socket_is_not_replaced() {
    let directory = Directory::new("file");
    let path = directory.socket();
    std::fs::write(&path, "precious").expect("a file");
    assert!(app().listen(unix(&path, "")).is_err());
    assert_eq!(std::fs::read(&path).expect("it is there"), b"precious");
}

#[test]
fn a_socket_that_replaced_the_file_is_not_removed_at_the_end() {
    let directory = Directory::new("successor");
    let path = directory.socket();
    let server = app().listen(unix(&path, "")).expect("it listens");
    std::fs::remove_file(&path).expect("the file can be removed");
    let _successor = UnixListener::bind(&path).expect("the place is free");
    drop(server);
    assert!(path.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_listens_on_an_abstract_name() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("conduit-test-{}", std::process::id());
    let _running = start_unix(&format!("unix:@{name}"));
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("a name");
    let mut stream = UnixStream::connect_addr(&address).expect("the server listens there");
    stream
        .write_all(b"GET /peer HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .expect("it takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers in text");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[cfg(target_os = "linux")]
fn start_unix(place: &str) -> support::Running {
    start(app().listen(["127.0.0.1:0", place]).expect("both"))
}

#[test]
fn an_unavailable_address_frees_the_others() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = held.local_addr().expect("it has an address").to_string();
    let directory = Directory::new("frees");
    let Err(error) = app().listen([unix(&directory.socket(), ""), taken.clone()]) else {
        panic!("{taken} is taken");
    };
    assert!(error.to_string().contains(&taken), "{error}");
    assert!(!directory.socket().exists());
    drop(held);
}

#[test]
fn error_inside_of_a_runtime_has_the_remedy_and_binds_nothing() {
    fn run() -> String {
        let error = app().run().expect_err("a runtime runs already");
        let server = app().listen("127.0.0.1:0").expect("it can be listened on");
        let address = server.address();
        assert_eq!(server.run().expect_err("as well").to_string(), error.to_string());
        assert!(std::net::TcpStream::connect(address).is_err(), "it listens still");
        let server = app().listen("127.0.0.1:0").expect("it can be listened on");
        assert_eq!(server.serve().expect_err("as well").to_string(), error.to_string());
        let opened = App::open(async { Ok::<_, std::io::Error>(()) });
        assert_eq!(opened.expect_err("as well").to_string(), error.to_string());
        error.to_string()
    }
    let one = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let error = one.block_on(async { run() });
    assert!(error.contains("write `fn main()` without `async`"), "{error}");
    assert!(error.contains("`App::open(async { … })`"), "{error}");
    let spawned = one.block_on(async { tokio::spawn(async { run() }).await });
    assert_eq!(spawned.expect("no panic"), error);
    // An application with a separate runtime also releases the address.
    let opened = App::open(async { Ok::<_, std::io::Error>(()) })
        .expect("outside of it")
        .routes(routes![peer]);
    one.block_on(async { opened.run().expect_err("a runtime runs already") });
}

#[test]
fn blocking_thread_serves_next_to_a_runtime() {
    fn serve() {
        let server = app().listen("127.0.0.1:0").expect("it can be listened on");
        let handle = server.handle();
        std::thread::spawn(move || handle.stop());
        server.serve().expect("it serves and stops");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let inside = runtime.enter();
    serve();
    drop(inside);
    let blocking = async { tokio::task::spawn_blocking(serve).await };
    runtime.block_on(blocking).expect("no panic");
}
