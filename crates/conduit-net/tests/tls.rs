//! TLS over memory pipes and sockets, and its errors.
#![cfg(all(feature = "tls", target_os = "linux"))]

use conduit_net::tls::{Identity, Side, TlsClient, TlsClientBuilder, TlsServer, TlsServerBuilder, TlsStream};
use conduit_net::{UnixStream, wait_readable};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::io::{ErrorKind, Read, Write};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    issuer_named("An Authority")
}

fn issuer_named(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn identity(issuer: &Issuer, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
}

fn server(issuer: &Issuer) -> TlsServerBuilder {
    TlsServer::builder(identity(issuer, "localhost", |_| {}))
}

fn client(issuer: &Issuer) -> TlsClientBuilder {
    TlsClient::builder().trust_pem(issuer.pem().as_bytes()).unwrap()
}

type Pair = (TlsStream<UnixStream>, TlsStream<UnixStream>);

fn pair(client: TlsClientBuilder, host: &str, server: TlsServerBuilder) -> Pair {
    let (near, far) = UnixStream::pair().unwrap();
    let near = TlsStream::connect(&client.build().unwrap(), host, near).unwrap();
    (near, TlsStream::accept(&server.build().unwrap(), far).unwrap())
}

/// Runs the handshake on both sides in turn until each is done or has failed, and returns both results.
fn shake((near, far): &mut Pair) -> (String, String) {
    let (mut client, mut server) = (None, None);
    for _ in 0..20 {
        for (side, said) in [(&mut *near, &mut client), (&mut *far, &mut server)] {
            if said.as_ref().is_none_or(|text| text == "done") {
                // A finished side may still receive an alert from the other one, which a read returns.
                *said = match side.handshake() {
                    Ok(false) => None,
                    Err(error) => Some(error.to_string()),
                    Ok(true) => match side.read(&mut [0; 16]) {
                        Err(error) if error.kind() != ErrorKind::WouldBlock => Some(error.to_string()),
                        _ => Some("done".to_owned()),
                    },
                };
            }
        }
    }
    (client.unwrap_or_default(), server.unwrap_or_default())
}

#[test]
fn bytes_and_close_notify_are_transferred_both_ways_without_blocking() {
    let issuer = issuer();
    let mut pair = pair(
        client(&issuer).protocols(&["h2", "http/1.1"]),
        "localhost",
        server(&issuer).protocols(&["http/1.1"]),
    );
    assert_eq!(pair.0.read(&mut [0; 4]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(shake(&mut pair), ("done".into(), "done".into()));
    let (mut near, mut far) = pair;
    assert_eq!(
        (near.protocol(), far.protocol()),
        (Some(&b"http/1.1"[..]), Some(&b"http/1.1"[..]))
    );
    assert_eq!((far.host(), near.host()), (Some("localhost"), None));
    assert_eq!(near.peer_certificates().unwrap().len(), 1);
    near.write_all(b"to the server").unwrap();
    let mut bytes = [0; 64];
    assert_eq!(far.read(&mut bytes).unwrap(), 13);
    far.write_all(b"and back").unwrap();
    far.finish().unwrap();
    let mut text = String::new();
    near.read_to_string(&mut text).unwrap();
    assert_eq!(text, "and back");
}

#[test]
fn full_stream_would_block_and_loses_nothing() {
    let issuer = issuer();
    let mut pair = pair(client(&issuer), "localhost", server(&issuer));
    shake(&mut pair);
    let (mut near, mut far) = pair;
    let text: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
    let (mut sent, mut got) = (0, Vec::new());
    let mut buffer = vec![0; 65536];
    let mut blocked = false;
    while got.len() < text.len() {
        if sent < text.len() {
            match near.write(&text[sent..]) {
                Ok(count) => sent += count,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    blocked = true;
                    assert!(near.interest().is_writable());
                }
            }
        }
        let _ = near.flush();
        if blocked || sent == text.len() {
            match far.read(&mut buffer) {
                Ok(count) => got.extend_from_slice(&buffer[..count]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
    }
    assert!(blocked && got == text);
}

/// A stream whose first writes have these results.
struct Scripted {
    stream: UnixStream,
    writes: Vec<Result<usize, ErrorKind>>,
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.writes.pop() {
            Some(result) => Ok(result?),
            None => self.stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn handshake_continues_after_an_interrupted_write_and_fails_at_a_write_of_no_bytes() {
    let issuer = issuer();
    let (client, server) = (client(&issuer).build().unwrap(), server(&issuer).build().unwrap());
    let scripted = |writes| {
        let (near, far) = UnixStream::pair().unwrap();
        let near = Scripted { stream: near, writes };
        let near = TlsStream::connect(&client, "localhost", near).unwrap();
        (near, TlsStream::accept(&server, far).unwrap())
    };

    let (mut near, mut far) = scripted(vec![Err(ErrorKind::Interrupted); 3]);
    let mut done = [false; 2];
    while done != [true; 2] {
        done = [near.handshake().unwrap(), far.handshake().unwrap()];
    }
    assert!(near.stream().writes.is_empty());

    // A handshake that repeats the write does not return, or ends with another error.
    let (mut near, _far) = scripted(vec![Ok(0); 1000]);
    let error = std::io::Error::from(near.handshake().unwrap_err());
    assert_eq!(error.kind(), ErrorKind::WriteZero);
    assert_eq!(near.stream().writes.len(), 999);
}

#[test]
fn blocking_streams_complete_the_handshake_on_first_use() {
    let issuer = issuer();
    let (mut near, mut far) = pair(client(&issuer), "localhost", server(&issuer));
    near.stream().set_blocking(true).unwrap();
    far.stream().set_blocking(true).unwrap();
    let echo = std::thread::spawn(move || {
        let mut bytes = [0; 64];
        let count = far.read(&mut bytes).unwrap();
        far.write_all(&bytes[..count]).unwrap();
    });
    near.write_all(b"echo").unwrap();
    let mut bytes = [0; 4];
    near.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"echo");
    echo.join().unwrap();
    // The peer closed the stream without close_notify, which is an error.
    assert_eq!(near.read(&mut bytes).unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn each_host_has_its_certificate() {
    let issuer = issuer();
    for (host, expected) in [("localhost", "localhost"), ("other.example", "other.example")] {
        let server = server(&issuer).identity_for("other.example", identity(&issuer, "other.example", |_| {}));
        let mut pair = pair(client(&issuer), host, server);
        assert_eq!(shake(&mut pair), ("done".into(), "done".into()), "{expected}");
    }
}

#[test]
fn expired_certificate_is_reported_on_both_sides() {
    let issuer = issuer();
    let expired = identity(&issuer, "localhost", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let (client, server) = shake(&mut pair(client(&issuer), "localhost", TlsServer::builder(expired)));
    assert_eq!(
        client,
        "rejected the peer's certificate: it has expired; renew it, or correct the clock of this machine"
    );
    assert_eq!(
        server,
        "the peer rejected the handshake: the certificate of this side has expired; renew it, or correct the clock of the peer \
         (alert CertificateExpired)"
    );
}

#[test]
fn certificate_for_another_host_is_reported() {
    let issuer = issuer();
    let (client, server) = shake(&mut pair(client(&issuer), "elsewhere.example", server(&issuer)));
    assert!(
        client.starts_with(
            "rejected the peer's certificate: it is not valid for the host: expected elsewhere.example, found "
        ) && client.contains("localhost"),
        "{client}"
    );
    assert!(
        server.starts_with("the peer rejected the handshake: the certificate of this side is not acceptable"),
        "{server}"
    );
}

#[test]
fn unknown_issuer_is_reported_on_both_sides() {
    let (ours, theirs) = (issuer(), issuer_named("Another Authority"));
    let (client, server) = shake(&mut pair(client(&ours), "localhost", server(&theirs)));
    assert_eq!(
        client,
        "rejected the peer's certificate: its issuer is unknown; trust the certificate of the issuer, or add the missing \
         certificates to the peer's chain"
    );
    assert!(
        server.starts_with("the peer rejected the handshake: the issuer of this side's certificate is unknown"),
        "{server}"
    );
}

#[test]
fn client_certificates_are_verified_and_missing_ones_reported() {
    let issuer = issuer();
    let trusting = || {
        server(&issuer)
            .require_client_certificates(issuer.pem().as_bytes())
            .unwrap()
    };
    let known = client(&issuer).identity(identity(&issuer, "a client", |_| {}));
    let mut good = pair(known, "localhost", trusting());
    assert_eq!(shake(&mut good), ("done".into(), "done".into()));
    assert!(good.1.peer_certificates().is_some());

    let (said, server) = shake(&mut pair(client(&issuer), "localhost", trusting()));
    assert_eq!(
        server,
        "rejected the peer: it presented no certificate; configure one that this side trusts"
    );
    assert!(
        said.starts_with("the peer rejected the handshake: a certificate is required"),
        "{said}"
    );

    let accepting = self::server(&issuer)
        .accept_client_certificates(issuer.pem().as_bytes())
        .unwrap();
    assert_eq!(
        shake(&mut pair(client(&issuer), "localhost", accepting)),
        ("done".into(), "done".into())
    );
}

#[test]
fn missing_common_protocol_is_reported_on_both_sides() {
    let issuer = issuer();
    let (client, server) = shake(&mut pair(
        client(&issuer).protocols(&["h3"]),
        "localhost",
        server(&issuer).protocols(&["h2"]),
    ));
    assert!(
        client.contains("it supports none of the offered protocols (ALPN)"),
        "{client}"
    );
    assert!(server.contains("no protocol (ALPN) of this side"), "{server}");
}

#[test]
fn peer_without_tls_is_reported() {
    let issuer = issuer();
    let (near, far) = UnixStream::pair().unwrap();
    let mut far = TlsStream::accept(&server(&issuer).build().unwrap(), far).unwrap();
    near.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    wait_readable(far.stream(), None).unwrap();
    let error = far.handshake().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the peer does not use TLS; check the port, and that both sides use TLS"
    );
    assert_eq!(error.side(), Side::Peer);
}

#[test]
fn errors_contain_the_unusable_file_or_name() {
    let error = Identity::from_pem_files("/no/such/file.pem", "/no/key.pem").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot use the file /no/such/file.pem: No such file or directory (os error 2)"
    );
    assert_eq!(error.side(), Side::Local);
    let garbage = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = TlsClient::builder().trust_pem(garbage).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot use the certificates in the text: none of them is an X.509 certificate; use the certificate of an issuer"
    );
    let some = [&garbage[..], issuer().pem().as_bytes()].concat();
    assert!(
        TlsClient::builder().trust_pem(&some).is_ok(),
        "the first one is skipped"
    );
    let error = TlsClient::builder().trust_pem(b"not PEM").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it must contain a section -----BEGIN CERTIFICATE-----"),
        "{error}"
    );
    let issuer = issuer();
    let (near, _far) = UnixStream::pair().unwrap();
    let error = TlsStream::connect(&client(&issuer).build().unwrap(), "not a name", near).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot use the host name not a name: "),
        "{error}"
    );
}

/// A certificate and its key, in PEM.
fn pem_pair(issuer: &Issuer) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
}

#[test]
fn certificate_errors_have_the_line_or_kind_of_the_fault_and_the_remedy() {
    let issuer = issuer();
    let (chain, key) = pem_pair(&issuer);
    let (_, other_key) = pem_pair(&issuer);
    let damaged = chain.replacen("\nMII", "\nM!I", 1);
    let cut: String = chain.lines().take(4).map(|line| format!("{line}\n")).collect();
    let pkcs8 = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let openssl = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
        -----END RSA PRIVATE KEY-----\n";
    let public = key.replace("PRIVATE", "PUBLIC");
    let der = [0x30, 0x82, 1, 2, 3];
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let decrypt = "decrypt it with `openssl pkey -in KEY -out PLAIN`";
    let cases: [(&[u8], &[u8], &[&str]); 13] = [
        (
            b" \n",
            key.as_bytes(),
            &["certificates", "it is empty", "BEGIN CERTIFICATE"],
        ),
        (
            b"text",
            key.as_bytes(),
            &["certificates", "it is not PEM", "BEGIN CERTIFICATE"],
        ),
        (
            &der,
            key.as_bytes(),
            &["certificates", "it is DER", "openssl x509 -inform der"],
        ),
        (
            key.as_bytes(),
            chain.as_bytes(),
            &["only PRIVATE KEY (line 1)", "not interchanged"],
        ),
        (
            damaged.as_bytes(),
            key.as_bytes(),
            &["certificates", "line 2 is not base64"],
        ),
        (
            cut.as_bytes(),
            key.as_bytes(),
            &["certificates", "line 1 starts a section without an end"],
        ),
        (no_certificate.as_bytes(), key.as_bytes(), &["not an X.509 certificate"]),
        (
            chain.as_bytes(),
            b"",
            &["private key", "it is empty", "BEGIN PRIVATE KEY"],
        ),
        (
            chain.as_bytes(),
            &der,
            &["private key", "it is DER", "openssl pkey -inform der"],
        ),
        (
            chain.as_bytes(),
            pkcs8.as_bytes(),
            &["the key at line 1 is encrypted", decrypt],
        ),
        (
            chain.as_bytes(),
            openssl.as_bytes(),
            &["the key at line 1 is encrypted", decrypt],
        ),
        (
            chain.as_bytes(),
            public.as_bytes(),
            &["private key", "only PUBLIC KEY (line 1)"],
        ),
        (
            chain.as_bytes(),
            other_key.as_bytes(),
            &["private key", "does not belong to the first certificate"],
        ),
    ];
    for (chain, key, expected) in cases {
        let error = Identity::from_pem(chain, key).unwrap_err();
        assert_eq!(error.side(), Side::Local);
        let error = error.to_string();
        assert!(
            expected.iter().all(|part| error.contains(part)),
            "{expected:?}: {error}"
        );
        assert!(error.len() < 400, "{error}");
    }
}

#[test]
fn key_mismatch_error_has_both_files() {
    let issuer = issuer();
    let directory = std::env::temp_dir().join(format!("conduit-net-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| directory.join(name));
    std::fs::write(&chain, pem_pair(&issuer).0).unwrap();
    std::fs::write(&key, pem_pair(&issuer).1).unwrap();
    let error = Identity::from_pem_files(&chain, &key).unwrap_err().to_string();
    std::fs::remove_dir_all(&directory).unwrap();
    let (chain, key) = (chain.display(), key.display());
    let start = format!("cannot use the private key in {key}: it does not belong to the first certificate in {chain};");
    assert!(error.starts_with(&start), "{error}");
}

#[test]
fn only_regular_files_of_bounded_size_are_read() {
    let directory = std::env::temp_dir().join(format!("conduit-net-pem-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let [pipe, large] = ["pipe", "large"].map(|name| directory.join(name));
    // The pipe has no writer, so opening it for reading would block.
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    std::fs::File::create(&large).unwrap().set_len((4 << 20) + 1).unwrap();
    for (path, expected) in [
        (std::path::Path::new("/dev/zero"), "it is a device; use a regular file"),
        (&directory, "it is a directory; use a regular file"),
        (&pipe, "it is a pipe; use a regular file"),
        (
            &large,
            "it is larger than 4 MiB; use a file that contains only PEM text",
        ),
    ] {
        let error = conduit_net::tls::read_pem_file(path).unwrap_err().to_string();
        assert_eq!(error, format!("cannot use the file {}: {expected}", path.display()));
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn identity_has_the_validity_of_its_end_entity_certificate() {
    let issuer = issuer();
    let identity = identity(&issuer, "localhost", |params| {
        params.not_before = date_time_ymd(2020, 2, 29);
        params.not_after = date_time_ymd(2061, 1, 1);
    });
    let seconds = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let validity = identity.validity();
    assert_eq!(
        (seconds(validity.not_before), seconds(validity.not_after)),
        (1_582_934_400, 2_871_763_200)
    );
    assert!(validity.contains(std::time::SystemTime::now()));
}

/// Keeps what is written until it is flushed.
struct Buffering(std::os::unix::net::UnixStream, Vec<u8>);

impl Read for Buffering {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        assert!(self.1.is_empty(), "a read before the bytes that it waits for are sent");
        self.0.read(buffer)
    }
}

impl Write for Buffering {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.write_all(&std::mem::take(&mut self.1))
    }
}

#[test]
fn stream_with_a_buffer_is_flushed() {
    let issuer = issuer();
    let (client, server) = (client(&issuer).build().unwrap(), server(&issuer).build().unwrap());
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let serving = std::thread::spawn(move || {
        let mut stream = TlsStream::accept(&server, Buffering(far, Vec::new())).unwrap();
        let mut text = [0; 5];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text).unwrap();
        stream.finish().unwrap();
    });
    let mut stream = TlsStream::connect(&client, "localhost", Buffering(near, Vec::new())).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
    serving.join().unwrap();
}
