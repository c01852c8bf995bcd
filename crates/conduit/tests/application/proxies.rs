//! Servers behind a proxy: the address of the client, and the sources whose forwarding fields are trusted.

use crate::support::{Running, serve, start};
use conduit::Client;
use conduit::prelude::*;

#[get("/")]
fn who(client: Client) -> String {
    let address = client
        .address()
        .map_or("unknown".to_owned(), |address| address.to_string());
    format!("{address} {} {}", client.scheme(), client.host().unwrap_or("-"))
}

fn app() -> App<(), Routes<()>> {
    App::new(()).routes(routes![who])
}

/// The response to a request with these fields, after these bytes.
fn ask(server: &Running, before: &[u8], fields: &str) -> String {
    let mut bytes = before.to_vec();
    bytes.extend(format!("GET / HTTP/1.1\r\nhost: inner\r\n{fields}\r\n").bytes());
    server.request(bytes).text().to_owned()
}

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

#[test]
fn a_proxy_header_names_the_client() {
    let server = serve(app().proxy_protocol(["127.0.0.0/8"]));
    assert_eq!(ask(&server, HEADER, ""), "192.0.2.7 http inner");
    let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    second.extend([192, 0, 2, 8, 127, 0, 0, 1, 1, 2, 3, 4, 9, 0, 0]);
    assert_eq!(ask(&server, &second, ""), "192.0.2.8 http inner");
    assert_eq!(ask(&server, b"PROXY UNKNOWN\r\n", ""), "unknown http inner");
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert_eq!(ask(&server, local, ""), "127.0.0.1 http inner");
    let mut client = server.connect();
    for byte in HEADER {
        client.send([*byte]);
    }
    client.send("GET / HTTP/1.1\r\nhost: inner\r\n\r\n");
    assert_eq!(client.response().text(), "192.0.2.7 http inner", "byte by byte");
}

#[test]
fn a_proxy_header_comes_over_a_unix_socket_too() {
    use std::io::{Read, Write};
    let path = std::env::temp_dir().join(format!("conduit-proxied-{}", std::process::id()));
    let place = format!("unix:{}", path.display());
    let server = app()
        .workers(1)
        .proxy_protocol(["unix"])
        .listen(["127.0.0.1:0", &place]);
    let server = start(server.expect("both"));
    let ask_unix = |before: &[u8]| {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("the server accepts");
        // The server may find the fault in the header, and close the connection, before all bytes are written.
        let _ = stream.write_all(before);
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: inner\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    assert!(ask_unix(HEADER).ends_with("\r\n\r\n192.0.2.7 http inner"));
    assert_eq!(ask_unix(b""), "", "it must begin with a header");
    assert_eq!(
        ask(&server, b"", ""),
        "127.0.0.1 http inner",
        "other peers have no header"
    );
}

#[cfg(feature = "tls")]
#[test]
fn proxy_header_precedes_the_tls_handshake() {
    use std::io::{Read, Write};
    use std::sync::Arc;

    let made = rcgen::generate_simple_self_signed(["inner".to_owned()]).expect("a certificate");
    let tls = conduit::Tls::pem(made.cert.pem(), made.signing_key.serialize_pem());
    let server = serve(app().tls(tls).proxy_protocol(["127.0.0.1"]));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let request = b"GET / HTTP/1.1\r\nhost: inner\r\nconnection: close\r\n\r\n";
    // In one piece with the hello, in a piece before it, and byte by byte.
    for pieces in [0, 1, HEADER.len()] {
        let name = "inner".try_into().expect("a name");
        let mut session = rustls::ClientConnection::new(Arc::clone(&config), name).expect("a session");
        let mut socket = std::net::TcpStream::connect(server.address).expect("the server accepts");
        socket.set_nodelay(true).expect("TCP_NODELAY can be set");
        let mut first = HEADER.to_vec();
        if pieces == 0 {
            session.write_tls(&mut first).expect("memory takes all");
        }
        for piece in first.chunks(first.len().div_ceil(pieces.max(1))) {
            socket.write_all(piece).expect("taken");
        }
        let mut stream = rustls::StreamOwned::new(session, socket);
        stream.write_all(request).expect("taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("a whole answer");
        assert!(answer.ends_with("\r\n\r\n192.0.2.7 https inner"), "{answer}");
    }
    // Without one, the hello is not a prefix of a header.
    let name = "inner".try_into().expect("a name");
    let session = rustls::ClientConnection::new(config, name).expect("a session");
    let socket = std::net::TcpStream::connect(server.address).expect("the server accepts");
    let mut stream = rustls::StreamOwned::new(session, socket);
    stream.write_all(request).expect_err("the server closes");
}

#[test]
fn proxy_without_its_header_is_closed_and_headers_of_other_peers_are_ignored() {
    let server = serve(app().proxy_protocol(["127.0.0.1"]));
    for wrong in [
        "GET / HTTP/1.1\r\nhost: inner\r\n\r\n",
        "PROXY TCP4 x\r\n",
        "\r\n\r\nGET",
    ] {
        let mut client = server.connect();
        client.send(wrong);
        assert!(client.is_closed(), "{wrong:?}");
    }
    let server = serve(app().proxy_protocol(["192.0.2.0/24"]));
    let mut stranger = server.connect();
    stranger.send(HEADER);
    assert_eq!(stranger.response().status, 400);
    assert_eq!(ask(&server, b"", ""), "127.0.0.1 http inner");
}

#[test]
fn fields_of_a_stranger_are_not_read() {
    let fields = "x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\nx-forwarded-host: evil\r\n\
                  forwarded: for=192.0.2.7;proto=https;host=evil\r\n";
    for app in [
        app(),
        app().trusted_proxies(["192.0.2.0/24"]),
        app().trusted_proxies(["192.0.2.0/24"]).forwarded(),
        app().forwarded(),
    ] {
        assert_eq!(ask(&serve(app), b"", fields), "127.0.0.1 http inner");
    }
}

#[test]
fn hops_are_walked_from_the_right_over_trusted_ones() {
    let server = serve(app().trusted_proxies(["127.0.0.1", "10.0.0.0/8"]));
    #[rustfmt::skip]
    let cases = [
        ("", "127.0.0.1 http inner"),
        ("x-forwarded-for: 192.0.2.7\r\n", "192.0.2.7 http inner"),
        ("x-forwarded-for: 192.0.2.7:8080\r\n", "192.0.2.7 http inner"),
        ("x-forwarded-for: [2001:db8::7]:8080\r\n", "2001:db8::7 http inner"),
        ("x-forwarded-for: ::ffff:192.0.2.7\r\n", "192.0.2.7 http inner"),
        ("x-forwarded-for: 192.0.2.7, 10.0.0.1, 10.0.0.2\r\n", "192.0.2.7 http inner"),
        ("x-forwarded-for: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1 http inner"),
        // The client's value is on the left, in the same line or in another one.
        ("x-forwarded-for: 127.0.0.1, 203.0.113.9, 192.0.2.7, 10.0.0.1\r\n", "192.0.2.7 http inner"),
        ("x-forwarded-for: 203.0.113.9\r\nx-forwarded-for: 192.0.2.7\r\n", "192.0.2.7 http inner"),
        ("x-forwarded-for: 203.0.113.9,,\r\nx-forwarded-for: ,192.0.2.7,\r\n", "192.0.2.7 http inner"),
        ("x-forwarded-for: 10.0.0.9, nonsense, 10.0.0.1\r\n", "unknown http inner"),
        ("x-forwarded-for: unknown\r\n", "unknown http inner"),
        ("x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: https\r\nx-forwarded-host: outer:8443\r\n", "192.0.2.7 https outer:8443"),
        ("x-forwarded-for: 192.0.2.7, 10.0.0.1\r\nx-forwarded-proto: https\r\n", "192.0.2.7 https inner"),
        ("x-forwarded-for: 203.0.113.9, 192.0.2.7\r\nx-forwarded-proto: https, http\r\n", "192.0.2.7 http inner"),
        ("x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: javascript\r\nx-forwarded-host: a@b\r\n", "192.0.2.7 http inner"),
        // Only one kind of field is read.
        ("forwarded: for=203.0.113.9\r\nx-forwarded-for: 192.0.2.7\r\n", "192.0.2.7 http inner"),
    ];
    for (fields, wanted) in cases {
        assert_eq!(ask(&server, b"", fields), wanted, "{fields}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_has_it() {
    let server = serve(app().forwarded().trusted_proxies(["127.0.0.1", "10.0.0.0/8"]));
    #[rustfmt::skip]
    let cases = [
        ("for=192.0.2.7;proto=https;host=outer", "192.0.2.7 https outer"),
        ("For=\"[2001:db8::7]:4711\"", "2001:db8::7 http inner"),
        ("for=\"192.0.2.7:80\" ; by=10.0.0.1;PROTO=HTTPS", "192.0.2.7 https inner"),
        ("for=203.0.113.9;host=evil, for=192.0.2.7;host=outer, for=10.0.0.1;host=middle", "192.0.2.7 http outer"),
        ("for=192.0.2.7, , for=\"10.0.0.1\"", "192.0.2.7 http inner"),
        ("for=unknown;proto=https", "unknown https inner"),
        ("for=_hidden, for=10.0.0.1", "unknown http inner"),
        ("proto=https", "unknown https inner"),
        // Malformed: ignored, so that a client cannot hide the proxy's value.
        ("for=\", for=192.0.2.7", "unknown http inner"),
        ("for=\", for=\"192.0.2.7\"", "unknown http inner"),
        ("for=192.0.2.7;for=203.0.113.9", "unknown http inner"),
        ("nonsense", "unknown http inner"),
    ];
    for (value, wanted) in cases {
        assert_eq!(ask(&server, b"", &format!("forwarded: {value}\r\n")), wanted, "{value}");
    }
    assert_eq!(
        ask(&server, b"", "x-forwarded-for: 203.0.113.9\r\n"),
        "127.0.0.1 http inner"
    );
}

#[test]
fn forwarding_fields_after_a_proxy_header_are_trusted_only_from_its_source() {
    let server = serve(app().proxy_protocol(["127.0.0.1"]).trusted_proxies(["127.0.0.1"]));
    let fields = "x-forwarded-for: 203.0.113.9\r\n";
    assert_eq!(ask(&server, HEADER, fields), "192.0.2.7 http inner");
    let server = serve(app().proxy_protocol(["127.0.0.1"]).trusted_proxies(["192.0.2.7"]));
    assert_eq!(ask(&server, HEADER, fields), "203.0.113.9 http inner");
}

#[test]
fn the_limit_of_a_peer_is_that_of_the_client_behind_a_proxy() {
    let server = serve(app().peer_connection_limit(1).proxy_protocol(["127.0.0.1"]));
    let request = "GET / HTTP/1.1\r\nhost: inner\r\n\r\n";
    let mut first = server.connect();
    first.send([HEADER, request.as_bytes()].concat());
    assert_eq!(first.response().status, 200);
    let mut second = server.connect();
    second.send(HEADER);
    assert!(second.is_closed(), "the same client");
    let other = b"PROXY TCP4 192.0.2.8 198.51.100.1 1 2\r\n";
    assert_eq!(ask(&server, other, ""), "192.0.2.8 http inner");
    let server = serve(app().peer_connection_limit(1).trusted_proxies(["127.0.0.1"]));
    let (mut first, mut second) = (server.connect(), server.connect());
    for client in [&mut first, &mut second] {
        client.send(request);
        assert_eq!(client.response().status, 200, "a trusted proxy is not counted");
    }
}
