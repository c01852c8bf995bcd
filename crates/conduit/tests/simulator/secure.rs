//! The client's end of a connection: plain, or encrypted by rustls.

use std::hash::{DefaultHasher, Hasher as _};
use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use conduit::Tls;
use conduit::testing::{TestClient, TestConnection};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::pace;
use crate::random::Random;

/// The size of one read.
const READ_BYTES: usize = 16 * 1024;

/// A certificate for `localhost`. Signatures of Ed25519 have one length, so that a seed determines the length of a handshake.
struct Certificate {
    chain: String,
    key: String,
    clients: [Arc<ClientConfig>; 2],
}

static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der().clone()).expect("a root");
    let clients = ["http/1.1", "h2"].map(|protocol| {
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.into()];
        // A session of another run would shorten the handshake.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    });
    Certificate {
        chain: certificate.pem(),
        key: key.serialize_pem(),
        clients,
    }
});

/// The certificate of the server.
pub(crate) fn tls() -> Tls {
    Tls::pem(CERTIFICATE.chain.clone(), CERTIFICATE.key.clone())
}

pub(crate) struct Wire {
    connection: TestConnection,
    session: Option<Box<Session>>,
    /// The hash of the bytes that were taken.
    taken: DefaultHasher,
    transferred: Arc<Transferred>,
}

/// The bytes of a client without those of TLS, which outlive its connection.
#[derive(Debug, Default)]
pub(crate) struct Transferred {
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) is_secure: bool,
}

struct Session {
    tls: ClientConnection,
    /// Encrypted bytes that the connection has no room for.
    unsent: Vec<u8>,
    /// Decrypted bytes that are not taken.
    plain: Vec<u8>,
    /// The client's half ends after the unsent bytes.
    is_ending: bool,
    /// The server has sent a close_notify.
    has_ended: bool,
}

impl Wire {
    /// A connection to the server after its handshake, which is encrypted at times, and whose transfers are short at times.
    pub(crate) async fn open(client: &TestClient, http2: bool, random: &mut Random) -> Self {
        let mut wire = match random.chance(25) {
            true => Wire::secure(client.connect_tls(), http2),
            false => Wire::plain(client.connect()),
        };
        while !wire.shake_hands() {
            pace::turns(1).await;
        }
        if random.chance(60) {
            wire.connection.shorten_transfers(random.next());
        }
        wire
    }

    fn plain(connection: TestConnection) -> Self {
        Wire {
            connection,
            session: None,
            taken: DefaultHasher::new(),
            transferred: Arc::default(),
        }
    }

    /// A connection that begins with a handshake.
    fn secure(connection: TestConnection, http2: bool) -> Self {
        let config = Arc::clone(&CERTIFICATE.clients[usize::from(http2)]);
        let name = ServerName::try_from("localhost").expect("a name");
        let session = Session {
            tls: ClientConnection::new(config, name).expect("a session"),
            unsent: Vec::new(),
            plain: Vec::new(),
            is_ending: false,
            has_ended: false,
        };
        Wire {
            session: Some(Box::new(session)),
            transferred: Arc::new(Transferred {
                is_secure: true,
                ..Transferred::default()
            }),
            ..Wire::plain(connection)
        }
    }

    /// Continues the handshake with the bytes that have arrived. Returns whether it is complete.
    fn shake_hands(&mut self) -> bool {
        self.flush();
        self.receive();
        self.flush();
        self.session
            .as_ref()
            .is_none_or(|session| !session.tls.is_handshaking())
    }

    /// The bytes that this connection has transferred.
    pub(crate) fn transferred(&self) -> Arc<Transferred> {
        Arc::clone(&self.transferred)
    }

    /// Takes as many of these bytes as there is room for, and returns their number.
    pub(crate) fn send_now(&mut self, bytes: &[u8]) -> usize {
        let sent = self.put(bytes);
        self.transferred.sent.fetch_add(sent as u64, Relaxed);
        sent
    }

    fn put(&mut self, bytes: &[u8]) -> usize {
        let Some(session) = &mut self.session else {
            return self.connection.send_now(bytes).unwrap_or(0);
        };
        if !session.unsent.is_empty() {
            return 0;
        }
        // More would not fit into the buffer of rustls.
        let bytes = &bytes[..bytes.len().min(READ_BYTES)];
        session
            .tls
            .writer()
            .write_all(bytes)
            .expect("rustls has room for a record");
        self.flush();
        bytes.len()
    }

    /// Sends encrypted bytes that wait for room, and returns their number.
    pub(crate) fn flush(&mut self) -> usize {
        let Some(session) = &mut self.session else { return 0 };
        while session.tls.wants_write() {
            session.tls.write_tls(&mut session.unsent).expect("memory has room");
        }
        let sent = self.connection.send_now(&session.unsent).unwrap_or(0);
        session.unsent.drain(..sent);
        if session.is_ending && session.unsent.is_empty() {
            session.is_ending = false;
            self.connection.end();
        }
        sent
    }

    /// Returns whether no encrypted bytes wait for room.
    pub(crate) fn is_flushed(&self) -> bool {
        let session = self.session.as_ref();
        session.is_none_or(|session| session.unsent.is_empty() && !session.tls.wants_write())
    }

    /// Reads at most this number of received bytes.
    pub(crate) fn read_now(&mut self, most: usize) -> Vec<u8> {
        let bytes = self.take(most);
        self.taken.write(&bytes);
        self.transferred.received.fetch_add(bytes.len() as u64, Relaxed);
        bytes
    }

    /// The hash of the received plaintext: the ciphertext is random.
    pub(crate) fn digest(&self) -> u64 {
        self.taken.finish()
    }

    fn take(&mut self, most: usize) -> Vec<u8> {
        if self.session.is_none() {
            return self.connection.read_now(most);
        }
        while self.session.as_ref().is_some_and(|session| session.plain.is_empty()) && self.receive() {}
        let Some(session) = &mut self.session else {
            return Vec::new();
        };
        let rest = session.plain.split_off(session.plain.len().min(most));
        std::mem::replace(&mut session.plain, rest)
    }

    /// Decrypts bytes that have arrived. Returns whether there were any.
    fn receive(&mut self) -> bool {
        let Some(session) = &mut self.session else { return false };
        let bytes = self.connection.read_now(READ_BYTES);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            session.tls.read_tls(&mut rest).expect("rustls has room for a read");
            if let Err(error) = session.tls.process_new_packets() {
                panic!("the server broke TLS: {error}");
            }
            match session.tls.reader().read_to_end(&mut session.plain) {
                Ok(_) => session.has_ended = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("the client cannot decrypt: {error}"),
            }
        }
        self.flush();
        !bytes.is_empty()
    }

    /// Returns whether the server has ended its half, and all bytes before that are taken.
    pub(crate) fn is_closed(&mut self) -> bool {
        let is_closed = self.connection.is_closed();
        match &self.session {
            None => is_closed,
            Some(session) => {
                let has_ended = session.has_ended || is_closed && self.connection.received().is_empty();
                has_ended && session.plain.is_empty()
            }
        }
    }

    /// Ends the client's half.
    pub(crate) fn end(&mut self) {
        match &mut self.session {
            None => self.connection.end(),
            Some(session) => {
                session.tls.send_close_notify();
                session.is_ending = true;
                self.flush();
            }
        }
    }

    pub(crate) fn reset(self) {
        self.connection.reset();
    }
}

/// The hashes of the bytes that were taken from these connections.
pub(crate) fn digests<'a>(connections: impl Iterator<Item = &'a Option<Wire>>) -> Vec<u64> {
    connections.flatten().map(Wire::digest).collect()
}
