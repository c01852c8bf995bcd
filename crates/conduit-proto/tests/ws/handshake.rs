//! The opening handshake: one rule of RFC 6455, section 4.2, per row; and the negotiation of RFC 7692, section 7.1.

use conduit_proto::ws::{DeflateConfig, Handshake, HandshakeError, choose_subprotocol};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

const VALID: [(&str, &str); 5] = [
    ("host", "server.example.com"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

fn headers<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let field = |(name, value): (&str, &str)| {
        let name: HeaderName = name.parse().expect("a name");
        (name, HeaderValue::from_str(value).expect("a value"))
    };
    let mut map = HeaderMap::new();
    for (name, value) in fields.into_iter().map(field) {
        map.append(name, value);
    }
    map
}

/// The valid request, with another value of one field, or without it.
fn with(name: &str, values: &[&str]) -> Result<Handshake, HandshakeError> {
    let rest = VALID.into_iter().filter(|(other, _)| *other != name);
    let map = headers(rest.chain(values.iter().map(|value| (name, *value))));
    Handshake::parse(&Method::GET, Version::HTTP_11, &map)
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let handshake = Handshake::parse(&Method::GET, Version::HTTP_11, &headers(VALID)).expect("it is valid");
    assert_eq!(handshake.accept(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[test]
fn each_rule_of_the_handshake_is_applied() {
    use HandshakeError::{Key, Upgrade, WebSocketVersion};
    for (name, values, error) in [
        ("upgrade", &["WebSocket"][..], None),
        ("upgrade", &["h2c, websocket"], None),
        ("upgrade", &["h2c", "websocket"], None),
        ("upgrade", &[], Some(Upgrade)),
        ("upgrade", &["websockets"], Some(Upgrade)),
        ("connection", &["keep-alive, upgrade"], None),
        ("connection", &["keep-alive", "Upgrade"], None),
        ("connection", &["keep-alive"], Some(Upgrade)),
        ("connection", &[], Some(Upgrade)),
        ("sec-websocket-version", &[], Some(WebSocketVersion)),
        ("sec-websocket-version", &["8"], Some(WebSocketVersion)),
        ("sec-websocket-version", &["13, 8"], Some(WebSocketVersion)),
        ("sec-websocket-version", &["13", "13"], Some(WebSocketVersion)),
        ("sec-websocket-key", &[], Some(Key)),
        ("sec-websocket-key", &[""], Some(Key)),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ"], Some(Key)),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ=a"], Some(Key)),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZ_=="], Some(Key)),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQAA"], Some(Key)),
        (
            "sec-websocket-key",
            &["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="],
            Some(Key),
        ),
    ] {
        assert_eq!(with(name, values).err(), error, "{name}: {values:?}");
    }
    let map = headers(VALID);
    let post = Handshake::parse(&Method::POST, Version::HTTP_11, &map);
    assert_eq!(post.err(), Some(HandshakeError::Method));
    let old = Handshake::parse(&Method::GET, Version::HTTP_10, &map);
    assert_eq!(
        old.err().map(HandshakeError::status),
        Some(StatusCode::UPGRADE_REQUIRED)
    );
}

#[test]
fn the_first_supported_offered_subprotocol_is_selected() {
    let supported = ["v2.chat", "v1.chat"];
    for (offered, chosen) in [
        (&["v1.chat, v2.chat"][..], Some("v2.chat")),
        (&["v1.chat", "v2.chat"], Some("v2.chat")),
        (&["v1.chat"], Some("v1.chat")),
        (&["V1.chat"], None),
        (&["v1"], None),
        (&[], None),
    ] {
        let map = headers(offered.iter().map(|value| ("sec-websocket-protocol", *value)));
        assert_eq!(choose_subprotocol(&map, supported), chosen, "{offered:?}");
    }
}

/// The response to an offer.
fn negotiated(config: DeflateConfig, offers: &[&str]) -> Option<String> {
    let map = headers(offers.iter().map(|value| ("sec-websocket-extensions", *value)));
    config.negotiate(&map).map(|(_, response)| response)
}

#[test]
fn each_parameter_of_permessage_deflate_is_negotiated() {
    let own = DeflateConfig {
        context_takeover: true,
        ..DeflateConfig::default()
    };
    for (offer, response) in [
        ("permessage-deflate", Some("")),
        ("Permessage-Deflate", Some("")),
        ("permessage-deflate; client_max_window_bits", Some("")),
        ("permessage-deflate; client_max_window_bits=15", Some("")),
        (
            "permessage-deflate; client_max_window_bits=10",
            Some("; client_max_window_bits=10"),
        ),
        (
            "permessage-deflate; client_max_window_bits=\"8\"",
            Some("; client_max_window_bits=8"),
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            Some("; server_max_window_bits=10"),
        ),
        (
            "permessage-deflate; server_max_window_bits=15",
            Some("; server_max_window_bits=15"),
        ),
        (
            "permessage-deflate; server_max_window_bits=\"11\"",
            Some("; server_max_window_bits=11"),
        ),
        (
            "permessage-deflate; server_no_context_takeover",
            Some("; server_no_context_takeover"),
        ),
        (
            "permessage-deflate ;client_no_context_takeover",
            Some("; client_no_context_takeover"),
        ),
        // The next offer is considered.
        ("x-webkit-deflate-frame, permessage-deflate", Some("")),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            Some(""),
        ),
        ("permessage-deflate; a=\"x, permessage-deflate\"", None),
        ("x-webkit-deflate-frame", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        (
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            None,
        ),
        ("permessage-deflate; client_max_window_bits=16", None),
        ("permessage-deflate; client_max_window_bits=", None),
        (
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            None,
        ),
        ("permessage-deflate; server_no_context_takeover=1", None),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            None,
        ),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; \"", None),
        ("permessage-deflate;", None),
        ("", None),
    ] {
        let expected = response.map(|parameters| format!("permessage-deflate{parameters}"));
        assert_eq!(negotiated(own, &[offer]), expected, "{offer}");
    }
    assert_eq!(
        negotiated(own, &["x", "permessage-deflate"]),
        Some("permessage-deflate".to_owned())
    );
}

#[test]
fn the_parameters_of_the_server_are_negotiated_if_the_client_permits_them() {
    let shared = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let default = DeflateConfig::default();
    assert_eq!(negotiated(default, &["permessage-deflate"]).as_deref(), Some(shared));
    let small = DeflateConfig {
        server_max_window_bits: 10,
        client_max_window_bits: 11,
        ..default
    };
    for (offer, parameters) in [
        ("permessage-deflate", "; server_max_window_bits=10"),
        (
            "permessage-deflate; server_max_window_bits=9",
            "; server_max_window_bits=9",
        ),
        (
            "permessage-deflate; client_max_window_bits",
            "; server_max_window_bits=10; client_max_window_bits=11",
        ),
        (
            "permessage-deflate; client_max_window_bits=9",
            "; server_max_window_bits=10; client_max_window_bits=9",
        ),
    ] {
        assert_eq!(
            negotiated(small, &[offer]),
            Some(format!("{shared}{parameters}")),
            "{offer}"
        );
    }
}

/// A parser of these fields took quadratic time in another library (RUSTSEC-2023-0065).
#[test]
fn long_lists_are_read_in_one_pass() {
    let long = ",".repeat(200_000);
    let map = headers([
        ("sec-websocket-protocol", &long[..]),
        ("sec-websocket-extensions", &long),
    ]);
    assert_eq!(choose_subprotocol(&map, ["a"]), None);
    assert!(DeflateConfig::default().negotiate(&map).is_none());
    let quotes = "permessage-deflate; a=\"".repeat(20_000);
    assert_eq!(negotiated(DeflateConfig::default(), &[&quotes]), None);
}
