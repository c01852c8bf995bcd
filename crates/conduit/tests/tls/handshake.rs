//! Handshakes that fail, and what the client and the log see of them; hellos of any size; session tickets.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use conduit::Tls;
use conduit_net::{Options, option};
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, WebPkiSupportedAlgorithms, aws_lc_rs,
};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, ClientConnection, NamedGroup, SignatureScheme, StreamOwned};

use super::support::{Running, wait_for};
use super::{Authority, TIMEOUT, all_of, get, serve};

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// The alert that ends a handshake with this server.
fn alert(running: &Running, config: ClientConfig) -> Option<AlertDescription> {
    let error = get(running.address, &Arc::new(config), "localhost", "/").err()?;
    match error.downcast().ok()? {
        rustls::Error::AlertReceived(alert) => Some(alert),
        _ => None,
    }
}

/// Waits until the server has counted this number of failed handshakes: the client may read the alert earlier.
fn wait_for_failures(running: &Running, count: u64) {
    wait_for(|| running.handle().statistics().failed_handshakes >= count);
    assert_eq!(running.handle().statistics().failed_handshakes, count);
}

#[test]
fn a_client_without_a_common_protocol_receives_the_alert() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    for version in VERSIONS {
        let mut config = authority.configure(&[version], None);
        config.alpn_protocols = vec![b"h3".to_vec()];
        let expected = Some(AlertDescription::NoApplicationProtocol);
        assert_eq!(alert(&running, config), expected, "{version:?}");
    }
    wait_for_failures(&running, 2);
}

/// A group that the server does not support, so that it requests another key share.
#[derive(Debug)]
struct UnknownGroup;

impl SupportedKxGroup for UnknownGroup {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        Ok(Box::new(UnknownGroup))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for UnknownGroup {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, rustls::Error> {
        Err(rustls::Error::General("never completed".to_owned()))
    }

    fn pub_key(&self) -> &[u8] {
        &[4; 133]
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

fn with_provider(authority: &Authority, change: impl FnOnce(&mut CryptoProvider)) -> ClientConfig {
    let mut provider = aws_lc_rs::default_provider();
    change(&mut provider);
    authority.configure_with(provider, &[&rustls::version::TLS13], None)
}

#[test]
fn an_alert_after_a_request_for_another_key_share_is_received() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let groups = |provider: &mut CryptoProvider| provider.kx_groups.insert(0, &UnknownGroup);
    let config = with_provider(&authority, groups);
    // The second hello is taken; only then there is no common protocol.
    assert!(get(running.address, &Arc::new(config), "localhost", "/").is_ok());
    let mut config = with_provider(&authority, groups);
    config.alpn_protocols = vec![b"h3".to_vec()];
    assert_eq!(alert(&running, config), Some(AlertDescription::NoApplicationProtocol));
}

#[test]
fn a_client_without_a_common_signature_receives_the_alert() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    // Its key is an ECDSA key.
    let running = serve(Tls::pem(chain, key));
    let config = with_provider(&authority, |provider| {
        let all = provider.signature_verification_algorithms;
        let rsa: Vec<_> = all
            .mapping
            .iter()
            .copied()
            .filter(|(scheme, _)| *scheme == SignatureScheme::RSA_PSS_SHA256)
            .collect();
        provider.signature_verification_algorithms = WebPkiSupportedAlgorithms {
            all: all.all,
            mapping: rsa.leak(),
        };
    });
    assert_eq!(alert(&running, config), Some(AlertDescription::HandshakeFailure));
}

#[test]
fn clients_without_a_good_certificate_receive_the_alert() {
    let (authority, stranger) = (Authority::new(), Authority::named("A Stranger"));
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key).require_clients_pem(authority.pem.clone()));
    for version in VERSIONS {
        let missing = AlertDescription::CertificateRequired;
        let config = authority.configure(&[version], None);
        assert_eq!(alert(&running, config), Some(missing), "{version:?}");
        let config = authority.configure(&[version], Some(stranger.issue("mallory.test")));
        assert_eq!(
            alert(&running, config),
            Some(AlertDescription::UnknownCA),
            "{version:?}"
        );
    }
    wait_for_failures(&running, 4);
}

#[test]
fn a_failed_handshake_is_logged_with_its_peer_and_cause() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let running = serve(Tls::self_signed());
    let mut stream = TcpStream::connect(running.address).expect("the server accepts");
    let peer = stream.local_addr().expect("an address");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("taken");
    all_of(&mut stream);
    let text = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    let line = text.lines().find(|line| line.contains(&format!("peer={peer}")));
    let line = line.expect("a line with the peer");
    assert!(
        line.contains("DEBUG") && line.contains("TLS handshake failed"),
        "{line}"
    );
    assert!(line.contains("the peer does not use TLS"), "{line}");
}

/// The log of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_damaged_record_on_an_open_connection_is_answered_with_an_alert() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let config = Arc::new(authority.client());
    let (_, mut stream) = get(running.address, &config, "localhost", "/").expect("an answer");
    let mut record = b"\x17\x03\x03\x00\x20".to_vec();
    record.resize(record.len() + 32, 7);
    // More of them than one read takes: a close would reset the connection.
    stream.sock.write_all(&record.repeat(2000)).expect("taken");
    let error = stream.read(&mut [0]).expect_err("an alert");
    let error = error.downcast::<rustls::Error>().expect("an error of TLS");
    assert_eq!(error, rustls::Error::AlertReceived(AlertDescription::BadRecordMac));
    assert_eq!(running.handle().statistics().failed_handshakes, 0);
}

#[test]
fn a_client_of_http_1_0_is_served() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let mut config = authority.client();
    config.alpn_protocols = vec![b"http/1.0".to_vec()];
    let (answer, stream) = get(running.address, &Arc::new(config), "localhost", "/").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.0"[..]));
}

#[test]
fn http_2_over_tls_must_be_negotiated() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    for protocols in [vec![], vec![b"http/1.1".to_vec()]] {
        let mut config = authority.client();
        config.alpn_protocols = protocols;
        let mut stream = super::connect(running.address, &Arc::new(config), "localhost");
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
            .expect("taken");
        let mut response = Vec::new();
        stream.read_to_end(&mut response).expect("a response");
        let response = String::from_utf8_lossy(&response);
        assert!(response.starts_with("HTTP/1.1 505"), "{response}");
    }
}

#[test]
fn a_client_hello_of_up_to_64_kib_is_accepted() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    for protocols in [100, 160, 250] {
        let mut config = authority.client();
        let long = std::iter::repeat_n(vec![b'x'; 255], protocols);
        config.alpn_protocols = long.chain([b"http/1.1".to_vec()]).collect();
        let (answer, _) = get(running.address, &Arc::new(config), "localhost", "/").expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn a_client_hello_beyond_the_limit_is_answered_with_an_alert() {
    let running = serve(Tls::self_signed());
    let alert = [21, 3, 3, 0, 2, 2, 50];
    // A message that declares a length of a megabyte.
    let mut stream = TcpStream::connect(running.address).expect("the server accepts");
    stream
        .write_all(b"\x16\x03\x01\x00\x04\x01\x10\x00\x00")
        .expect("taken");
    assert_eq!(all_of(&mut stream), alert);
    // One of 60,000 bytes in records of one byte each.
    let mut stream = TcpStream::connect(running.address).expect("the server accepts");
    let mut records = b"\x16\x03\x01\x00\x04\x01\x00\xea\x60".to_vec();
    for _ in 0..14_000 {
        records.extend_from_slice(b"\x16\x03\x01\x00\x01x");
    }
    stream.write_all(&records).expect("taken");
    assert_eq!(all_of(&mut stream), alert);
    assert_eq!(running.handle().statistics().failed_handshakes, 2);
}

type Connection = StreamOwned<ClientConnection, conduit_net::TcpStream>;

fn connect(running: &Running, config: &Arc<ClientConfig>) -> Connection {
    let stream = conduit_net::TcpStream::connect(running.address).expect("the server accepts");
    stream.set_blocking(true).expect("a mode");
    stream.set_option(option::RECEIVE_TIMEOUT, TIMEOUT).expect("a time-out");
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(
        ClientConnection::new(Arc::clone(config), name).expect("a client"),
        stream,
    )
}

#[test]
fn a_client_without_a_request_receives_its_tickets() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("localhost");
    let running = serve(Tls::pem(chain, key));
    let config = Arc::new(authority.configure(&[&rustls::version::TLS13], None));
    let mut stream = connect(&running, &config);
    stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    while stream.conn.tls13_tickets_received() < 2 {
        assert!(
            stream.conn.read_tls(&mut stream.sock).expect("tickets") > 0,
            "no tickets came"
        );
        stream.conn.process_new_packets().expect("TLS");
    }
    // One that ends the connection at once receives them with the end of TLS.
    let mut stream = connect(&running, &config);
    stream.conn.complete_io(&mut stream.sock).expect("a handshake");
    stream.conn.send_close_notify();
    stream.flush().expect("taken");
    stream.read_to_end(&mut Vec::new()).expect("the end of TLS");
    assert_eq!(stream.conn.tls13_tickets_received(), 2);
}
