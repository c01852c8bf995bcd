//! TLS over pipes in memory and over sockets, and what its errors say.
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

/// Lets both sides go on in turn until both are done, or have failed: what each says.
fn shake((near, far): &mut Pair) -> (String, String) {
    let (mut client, mut server) = (None, None);
    for _ in 0..20 {
        for (side, said) in [(&mut *near, &mut client), (&mut *far, &mut server)] {
            if said.as_ref().is_none_or(|text| text == "done") {
                // A side that has finished may still receive an alert from the other: a read returns it.
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
fn bytes_and_the_end_go_both_ways_without_blocking() {
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
fn a_full_stream_would_block_and_loses_nothing() {
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

#[test]
fn blocking_streams_shake_hands_by_themselves() {
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
    // The other side is gone without saying so: that is an error, not an end.
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
fn an_expired_certificate_is_named_on_both_sides() {
    let issuer = issuer();
    let expired = identity(&issuer, "localhost", |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let (client, server) = shake(&mut pair(client(&issuer), "localhost", TlsServer::builder(expired)));
    assert_eq!(
        client,
        "we refuse the peer's certificate: it has expired; the peer must renew it (or this machine's clock is wrong)"
    );
    assert_eq!(
        server,
        "the peer refused us: our certificate has expired; renew it (or the peer's clock is wrong) (alert CertificateExpired)"
    );
}

#[test]
fn a_certificate_of_another_host_is_named() {
    let issuer = issuer();
    let (client, server) = shake(&mut pair(client(&issuer), "elsewhere.example", server(&issuer)));
    assert!(
        client.starts_with(
            "we refuse the peer's certificate: it is for another host: we asked for elsewhere.example, it is for"
        ) && client.contains("localhost"),
        "{client}"
    );
    assert!(
        server.starts_with("the peer refused us: our certificate is not good for it"),
        "{server}"
    );
}

#[test]
fn an_unknown_issuer_is_named_on_both_sides() {
    let (ours, theirs) = (issuer(), issuer_named("Another Authority"));
    let (client, server) = shake(&mut pair(client(&ours), "localhost", server(&theirs)));
    assert_eq!(
        client,
        "we refuse the peer's certificate: its issuer is unknown; trust the issuer's certificate, or let the peer send the chain \
         up to one we trust"
    );
    assert!(
        server.starts_with("the peer refused us: the issuer of our certificate is unknown to it"),
        "{server}"
    );
}

#[test]
fn client_certificates_are_checked_and_missing_ones_named() {
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
        "we refuse the peer: it showed no certificate; give it one that this side trusts"
    );
    assert!(
        said.starts_with("the peer refused us: it wants a certificate of us"),
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
fn no_protocol_in_common_is_named_on_both_sides() {
    let issuer = issuer();
    let (client, server) = shake(&mut pair(
        client(&issuer).protocols(&["h3"]),
        "localhost",
        server(&issuer).protocols(&["h2"]),
    ));
    assert!(client.contains("it speaks none of our protocols (ALPN)"), "{client}");
    assert!(server.contains("no protocol (ALPN) that this side speaks"), "{server}");
}

#[test]
fn a_peer_without_tls_is_named() {
    let issuer = issuer();
    let (near, far) = UnixStream::pair().unwrap();
    let mut far = TlsStream::accept(&server(&issuer).build().unwrap(), far).unwrap();
    near.send(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    wait_readable(far.stream(), None).unwrap();
    let error = far.handshake().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the peer does not speak TLS; check that both sides do, and the port"
    );
    assert_eq!(error.side(), Side::Peer);
}

#[test]
fn files_and_names_that_cannot_be_used_are_named() {
    let error = Identity::from_pem_files("/no/such/file.pem", "/no/key.pem").unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot use the file /no/such/file.pem: No such file or directory (os error 2)"
    );
    assert_eq!(error.side(), Side::Local);
    let error = TlsClient::builder().trust_pem(b"not PEM").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it must have a section -----BEGIN CERTIFICATE-----"),
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
fn certificate_errors_name_the_line_or_the_kind_of_the_fault_and_the_remedy() {
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
            &["certificates", "line 1 begins a section that has no end"],
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
fn a_key_that_does_not_match_is_named_with_both_files() {
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
    // Nothing writes into it, so opening it to read would wait.
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
    std::fs::File::create(&large).unwrap().set_len((4 << 20) + 1).unwrap();
    for (path, expected) in [
        (
            std::path::Path::new("/dev/zero"),
            "it is a device; give the path of a regular file",
        ),
        (&directory, "it is a directory; give the path of a regular file"),
        (&pipe, "it is a pipe; give the path of a regular file"),
        (&large, "it is larger than 4 MiB; give a file with PEM text only"),
    ] {
        let error = conduit_net::tls::read_pem_file(path).unwrap_err().to_string();
        assert_eq!(error, format!("cannot use the file {}: {expected}", path.display()));
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn an_identity_has_the_validity_of_its_own_certificate() {
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
