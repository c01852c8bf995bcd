//! TLS in the server, with clients of rustls over real sockets: names, resumption, clients' certificates, files that change,
//! failed handshakes, long bodies in both directions.
#![cfg(feature = "tls")]

mod certificates;
mod handshake;
#[cfg(feature = "testing")]
mod records;
#[cfg(feature = "testing")]
mod sends;
mod streams;
#[path = "../support/mod.rs"]
mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use conduit::prelude::*;
use conduit::{ClientCertificate, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned};
use support::{Running, start, wait_for};

const TIMEOUT: Duration = Duration::from_secs(30);

#[get("/")]
async fn hello(request: Request) -> String {
    format!("encrypted: {}", request.is_tls())
}

#[post("/echo")]
async fn echo(body: Body) -> Body {
    body
}

#[get("/long")]
async fn long() -> Vec<u8> {
    pattern(LONG)
}

#[get("/whoami")]
async fn whoami(certificate: Option<ClientCertificate>) -> String {
    certificate.map_or("nobody".to_owned(), |certificate| certificate.dns_names().join(","))
}

#[get("/known")]
async fn known(certificate: ClientCertificate) -> String {
    certificate.der().len().to_string()
}

const LONG: usize = 3_000_000;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

fn app(tls: Tls) -> App<(), Routes<()>> {
    App::new(())
        .routes(routes![hello, echo, long, whoami, known])
        .workers(1)
        .body_limit(LONG as u64)
        .tls(tls)
}

/// An issuer of certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        Authority::named("An Authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for a name, and its key, in PEM.
    fn issue(&self, name: &str) -> (String, String) {
        self.issue_with(name, |_| {})
    }

    fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        change(&mut params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn client(&self) -> ClientConfig {
        self.configure(rustls::ALL_VERSIONS, None)
    }

    fn configure(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        identity: Option<(String, String)>,
    ) -> ClientConfig {
        self.configure_with(rustls::crypto::aws_lc_rs::default_provider(), versions, identity)
    }

    fn configure_with(
        &self,
        provider: rustls::crypto::CryptoProvider,
        versions: &[&'static rustls::SupportedProtocolVersion],
        identity: Option<(String, String)>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM"))
            .expect("an issuer");
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM")],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM"),
                )
                .expect("a key that fits"),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn connect(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Stream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    StreamOwned::new(
        ClientConnection::new(Arc::clone(config), name).expect("a client"),
        stream,
    )
}

/// One request on a new connection.
fn get(address: SocketAddr, config: &Arc<ClientConfig>, name: &str, target: &str) -> std::io::Result<(String, Stream)> {
    let mut stream = connect(address, config, name);
    let answer = ask(&mut stream, target)?;
    Ok((answer, stream))
}

fn ask(stream: &mut Stream, target: &str) -> std::io::Result<String> {
    write!(stream, "GET {target} HTTP/1.1\r\nhost: test\r\n\r\n")?;
    let head = read_head(stream)?;
    let body = read_body(stream, &head)?;
    Ok(format!("{head}{}", String::from_utf8_lossy(&body)))
}

fn read_head(stream: &mut Stream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8(head).expect("text"))
}

fn read_body(stream: &mut Stream, head: &str) -> std::io::Result<Vec<u8>> {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// The names of the certificate that the server has shown.
fn shown(stream: &Stream) -> Vec<u8> {
    stream.conn.peer_certificates().expect("a certificate")[0].to_vec()
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM").to_vec()
}

fn serve(tls: Tls) -> Running {
    start(app(tls).listen("127.0.0.1:0").expect("it listens"))
}

#[test]
fn both_versions_are_supported_and_the_protocol_is_negotiated() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = Arc::new(authority.configure(&[version], None));
        let (answer, mut stream) = get(running.address, &config, "localhost", "/").expect("an answer");
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("encrypted: true"),
            "{answer}"
        );
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        // The connection continues.
        assert!(ask(&mut stream, "/").expect("an answer").ends_with("encrypted: true"));
    }
}

#[test]
fn long_bodies_go_both_ways() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let config = Arc::new(authority.client());
    let mut stream = connect(running.address, &config, "localhost");
    // A client that reads late.
    write!(stream, "GET /long HTTP/1.1\r\nhost: test\r\n\r\n").expect("taken");
    let before = running.handle().statistics().sent_bytes;
    wait_for(|| running.handle().statistics().sent_bytes > before + 64 * 1024);
    let head = read_head(&mut stream).expect("a head");
    assert!(read_body(&mut stream, &head).expect("a body") == pattern(LONG));

    let body = pattern(300_000);
    write!(
        stream,
        "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .expect("taken");
    stream.write_all(&body).expect("taken");
    let head = read_head(&mut stream).expect("a head");
    assert!(read_body(&mut stream, &head).expect("a body") == body);
}

#[test]
fn each_name_has_its_certificate() {
    let authority = Authority::new();
    let [first, second, wild] = ["first.test", "second.test", "*.wild.test"].map(|name| authority.issue(name));
    let running = serve(
        Tls::pem(first.0.clone(), first.1)
            .host_pem("second.test", second.0.clone(), second.1)
            .host_pem("*.wild.test", wild.0.clone(), wild.1),
    );
    let config = Arc::new(authority.client());
    for (name, certificate) in [
        ("first.test", &first.0),
        ("second.test", &second.0),
        ("a.wild.test", &wild.0),
    ] {
        let (_, stream) = get(running.address, &config, name, "/").expect(name);
        assert!(shown(&stream) == der(certificate), "{name}");
    }
    // Another name gets the first certificate, which its client rejects.
    assert!(get(running.address, &config, "a.b.wild.test", "/").is_err());
}

#[test]
fn a_certificate_for_another_name_than_it_is_given_for_is_refused_at_the_start() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("first.test");
    let tls = Tls::pem(chain.clone(), key.clone()).host_pem("second.test", chain, key);
    let Err(error) = app(tls).listen("127.0.0.1:0") else {
        panic!("it is not for second.test")
    };
    assert!(error.to_string().contains("second.test"), "{error}");
}

#[test]
fn a_client_that_comes_again_resumes_its_session() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let config = Arc::new(authority.configure(&[version], None));
        let (_, first) = get(running.address, &config, "localhost", "/").expect("an answer");
        assert_eq!(first.conn.handshake_kind(), Some(HandshakeKind::Full));
        let (_, second) = get(running.address, &config, "localhost", "/").expect("an answer");
        assert_eq!(
            second.conn.handshake_kind(),
            Some(HandshakeKind::Resumed),
            "{version:?}"
        );
    }
}

#[test]
fn clients_show_certificates_where_they_must_or_may() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let required = serve(Tls::pem(chain.clone(), key.clone()).require_clients_pem(authority.pem.clone()));
    let accepted = serve(Tls::pem(chain, key).accept_clients_pem(authority.pem.clone()));
    let anonymous = Arc::new(authority.client());
    let alice = Arc::new(authority.configure(rustls::ALL_VERSIONS, Some(authority.issue("alice.test"))));
    let mallory = Arc::new(authority.configure(rustls::ALL_VERSIONS, Some(stranger.issue("mallory.test"))));
    for running in [&required, &accepted] {
        for _ in 0..2 {
            // The second connection resumes the session, which identifies the client.
            let (answer, _) = get(running.address, &alice, "localhost", "/whoami").expect("an answer");
            assert!(answer.ends_with("alice.test"), "{answer}");
        }
        assert!(get(running.address, &mallory, "localhost", "/whoami").is_err());
    }
    assert!(get(required.address, &anonymous, "localhost", "/whoami").is_err());
    let (answer, mut stream) = get(accepted.address, &anonymous, "localhost", "/whoami").expect("an answer");
    assert!(answer.ends_with("nobody"), "{answer}");
    assert!(
        ask(&mut stream, "/known")
            .expect("an answer")
            .starts_with("HTTP/1.1 403")
    );
}

/// Files of a test's own, removed at its end.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("conduit-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Files(path)
    }

    fn put(&self, name: &str, text: &str) {
        // As certbot and Kubernetes do: all files at once.
        let new = self.0.join(format!("{name}.new"));
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(new, self.0.join(name)).expect("a name");
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_that_change_are_read_again_and_broken_ones_are_not_used() {
    let files = Files::new("reload");
    let authority = Authority::new();
    let [old, new] = [0, 1].map(|_| authority.issue("localhost"));
    files.put("chain.pem", &old.0);
    files.put("key.pem", &old.1);
    let server = app(Tls::files(files.0.join("chain.pem"), files.0.join("key.pem")))
        .listen("127.0.0.1:0")
        .expect("it listens");
    let handle = server.handle();
    let running = start(server);
    let config = Arc::new(authority.client());
    let (_, mut open) = get(running.address, &config, "localhost", "/").expect("an answer");
    assert!(shown(&open) == der(&old.0));

    // The new chain does not match the old key, and the other text is not PEM.
    for broken in [new.0.as_str(), "nothing"] {
        let failed = handle.statistics().failed_certificate_reloads;
        files.put("chain.pem", broken);
        handle.reload();
        assert!(handle.statistics().failed_certificate_reloads > failed);
        // A client without a session needs a full handshake, which uses the certificate and its key.
        let fresh = Arc::new(authority.client());
        let (_, stream) = get(running.address, &fresh, "localhost", "/").expect("an answer");
        assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Full));
        assert!(shown(&stream) == der(&old.0));
    }

    files.put("key.pem", &new.1);
    files.put("chain.pem", &new.0);
    // No notification of the server: it checks the files once a second.
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let fresh = Arc::new(authority.client());
        let (_, stream) = get(running.address, &fresh, "localhost", "/").expect("an answer");
        if shown(&stream) == der(&new.0) {
            break;
        }
        assert!(Instant::now() < deadline, "the new certificate is not used");
        std::thread::sleep(Duration::from_millis(50));
    }
    // The earlier connection continues, and its session can be resumed.
    assert!(ask(&mut open, "/").expect("an answer").ends_with("true"));
    let (_, again) = get(running.address, &config, "localhost", "/").expect("an answer");
    assert_eq!(again.conn.handshake_kind(), Some(HandshakeKind::Resumed));
}

#[test]
fn a_file_that_is_not_there_is_named_at_the_start() {
    let Err(error) = app(Tls::files("/nowhere/chain.pem", "/nowhere/key.pem")).listen("127.0.0.1:0") else {
        panic!("the files do not exist")
    };
    assert!(error.to_string().contains("/nowhere/chain.pem"), "{error}");
}

#[test]
fn close_notify_ends_the_stream() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let config = Arc::new(authority.client());
    let mut stream = connect(running.address, &config, "localhost");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .expect("taken");
    let mut answer = String::new();
    // Without a close_notify this would be an `UnexpectedEof`.
    stream.read_to_string(&mut answer).expect("the end is announced");
    assert!(answer.ends_with("encrypted: true"), "{answer}");
    // The server receives the client's and closes.
    let (_, mut stream) = get(running.address, &config, "localhost", "/").expect("an answer");
    stream.conn.send_close_notify();
    stream.flush().expect("taken");
    assert_eq!(stream.read(&mut [0]).expect("the end is announced"), 0);
}

#[test]
fn a_closing_response_arrives_whole_with_close_notify_although_the_client_sends_more() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let config = Arc::new(authority.client());
    let mut stream = connect(running.address, &config, "localhost");
    stream
        .write_all(b"GET /long HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .expect("taken");
    let head = read_head(&mut stream).expect("the response has begun");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        .expect("taken");
    let body = read_body(&mut stream, &head).expect("the response is whole");
    assert_eq!(body, pattern(body.len()));
    assert_eq!(stream.read(&mut [0]).expect("close_notify came"), 0);
}

/// The bytes that the server sends until it ends the stream.
fn all_of(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .expect("the end of the stream, not a reset");
    answer
}

#[test]
fn plain_http_gets_an_alert_and_an_orderly_end() {
    let running = serve(Tls::self_signed());
    let mut stream = TcpStream::connect(running.address).expect("the server accepts");
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        .expect("taken");
    assert_eq!(all_of(&mut stream)[..6], [21, 3, 3, 0, 2, 2]);
    assert_eq!(running.handle().statistics().failed_handshakes, 1);
}

#[cfg(feature = "testing")]
#[test]
fn a_handshake_that_stalls_is_closed() {
    let app = app(Tls::self_signed()).handshake_timeout(Duration::from_secs(1000));
    let client = conduit::testing::TestClient::new(app);
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut connection = client.connect_tls();
        assert!(connection.send(beginning));
        client.advance(Duration::from_secs(800));
        assert!(connection.received().is_empty() && !connection.is_closed());
        client.advance(Duration::from_secs(201));
        assert_eq!(connection.rest(), b"");
    }
    let statistics = client.handle().statistics();
    assert_eq!(statistics.limit_hits(conduit::Limit::HandshakeTime), 2);
}

#[test]
fn http_redirects_to_https_with_hsts() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let tls = Tls::pem(chain, key).redirect_http().hsts(Duration::from_secs(60));
    let server = app(tls).listen(["http://127.0.0.1:0", "127.0.0.1:0"]).expect("both");
    let addresses: Vec<SocketAddr> = server.addresses().collect();
    let running = start(server);
    let response = running.request("GET /a?b=c HTTP/1.1\r\nhost: example.test:8080\r\n\r\n");
    assert_eq!(response.status, 308);
    let place = format!("https://example.test:{}/a?b=c", addresses[1].port());
    assert_eq!(response.header("location"), Some(&*place));
    assert_eq!(response.header("strict-transport-security"), None);
    // If the target names the host, `Host` is ignored (RFC 9112, section 3.2.2); the server as a whole has no path.
    let port = addresses[1].port();
    for (line, status, place) in [
        (
            "GET http://other.test/a?b HTTP/1.1",
            308,
            Some(format!("https://other.test:{port}/a?b")),
        ),
        (
            "GET /[a]|{b}?^`c HTTP/1.1",
            308,
            Some(format!("https://example.test:{port}/[a]|{{b}}?^`c")),
        ),
        ("GET /admin/`x HTTP/1.1", 400, None),
        (
            "GET http://other.test:81 HTTP/1.1",
            308,
            Some(format!("https://other.test:{port}/")),
        ),
        ("OPTIONS * HTTP/1.1", 308, Some(format!("https://example.test:{port}"))),
        (
            "OPTIONS http://other.test HTTP/1.1",
            308,
            Some(format!("https://other.test:{port}")),
        ),
        ("CONNECT other.test:443 HTTP/1.1", 501, None),
    ] {
        let response = running.request(format!("{line}\r\nhost: example.test\r\n\r\n"));
        assert_eq!(
            (response.status, response.header("location")),
            (status, place.as_deref()),
            "{line}"
        );
    }
    let nowhere = running.request("GET / HTTP/1.1\r\nhost: :80\r\n\r\n");
    assert_eq!(nowhere.problem()["status"], 400);
    let config = Arc::new(authority.client());
    let (answer, _) = get(addresses[1], &config, "localhost", "/").expect("an answer");
    assert!(answer.contains("strict-transport-security: max-age=60\r\n"), "{answer}");
}

#[test]
fn records_with_any_split_are_assembled() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(authority.client()), name).expect("a client");
    let mut stream = TcpStream::connect(running.address).expect("the server accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    client
        .writer()
        .write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        .expect("buffered");
    let mut answer = Vec::new();
    while !answer.ends_with(b"encrypted: true") {
        while client.wants_write() {
            let mut records = Vec::new();
            client.write_tls(&mut records).expect("into memory");
            for byte in records {
                stream.write_all(&[byte]).expect("taken");
            }
        }
        assert!(client.read_tls(&mut stream).expect("bytes") > 0);
        client.process_new_packets().expect("TLS");
        match client.reader().read_to_end(&mut answer) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
            _ => {}
        }
    }
    assert_eq!(client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn client_that_reads_nothing_is_closed_in_spite_of_kernel_buffers() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let server = app(Tls::pem(chain, key))
        .minimum_rate(1024, Duration::from_secs(1))
        .listen("127.0.0.1:0");
    let running = start(server.expect("it listens"));
    let config = Arc::new(authority.client());
    let (_, mut stream) = get(running.address, &config, "localhost", "/").expect("an answer");
    // Far more than the kernel buffers.
    let requests = "GET /long HTTP/1.1\r\nhost: test\r\n\r\n".repeat(20);
    stream.write_all(requests.as_bytes()).expect("taken");
    wait_for(|| running.handle().statistics().limit_hits(conduit::Limit::WriteRate) > 0);
}

#[test]
fn a_message_of_the_handshake_may_come_in_many_records() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let config = Arc::new(authority.client());
    let name = ServerName::try_from("localhost").expect("a name");
    for pieces in [2, 7, 60] {
        let mut client = ClientConnection::new(Arc::clone(&config), name.clone()).expect("a client");
        let mut stream = TcpStream::connect(running.address).expect("the server accepts");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        let mut record = Vec::new();
        client.write_tls(&mut record).expect("into memory");
        let (head, hello) = record.split_at(5);
        for piece in hello.chunks(hello.len() / pieces) {
            let length = u16::try_from(piece.len()).expect("short").to_be_bytes();
            stream.write_all(&[&head[..3], &length, piece].concat()).expect("taken");
            // The server then usually reads them one by one, which must have no effect.
            std::thread::yield_now();
        }
        let mut stream = StreamOwned::new(client, stream);
        assert!(ask(&mut stream, "/").expect("an answer").ends_with("true"), "{pieces}");
    }
    // A handshake that is aborted affects no other connection.
    let mut stream = TcpStream::connect(running.address).expect("the server accepts");
    stream
        .write_all(b"\x16\x03\x01\x00\x06\x01\x00\x02\x00\x03\x03")
        .expect("taken");
    drop(stream);
    let (answer, _) = get(running.address, &config, "localhost", "/").expect("an answer");
    assert!(answer.ends_with("true"));
}
