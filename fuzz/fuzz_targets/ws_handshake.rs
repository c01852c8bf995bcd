//! The handshake of any fields is checked without a panic, and the negotiated values are among the offers.
//!
//! The lines of the input are fields.
#![no_main]

use conduit_proto::ws::{DeflateConfig, Handshake, choose_subprotocol};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|&byte| byte == b'\n') {
        let (name, value) = line.split_at(line.iter().position(|&byte| byte == b':').unwrap_or(0));
        let name = match name {
            b"e" => header::SEC_WEBSOCKET_EXTENSIONS,
            b"p" => header::SEC_WEBSOCKET_PROTOCOL,
            b"k" => header::SEC_WEBSOCKET_KEY,
            b"u" => header::UPGRADE,
            b"c" => header::CONNECTION,
            b"v" => header::SEC_WEBSOCKET_VERSION,
            name => match HeaderName::from_bytes(name) {
                Ok(name) => name,
                Err(_) => continue,
            },
        };
        if let Ok(value) = HeaderValue::from_bytes(value.get(1..).unwrap_or_default()) {
            headers.append(name, value);
        }
    }
    if let Ok(handshake) = Handshake::parse(&Method::GET, Version::HTTP_11, &headers) {
        assert_eq!(handshake.accept().map(str::len), Some(28));
        assert_eq!(headers.get_all(header::SEC_WEBSOCKET_KEY).iter().count(), 1);
    }
    if let Some(chosen) = choose_subprotocol(&headers, ["a", "b.c"]) {
        let offers = elements(&headers, header::SEC_WEBSOCKET_PROTOCOL);
        assert!(offers.iter().any(|offer| offer == chosen.as_bytes()), "{chosen}");
    }
    for context_takeover in [false, true] {
        let config = DeflateConfig {
            context_takeover,
            client_max_window_bits: 10,
            ..DeflateConfig::default()
        };
        if let Some((_, response)) = config.negotiate(&headers) {
            let offers = elements(&headers, header::SEC_WEBSOCKET_EXTENSIONS).join(&b',');
            let offers = String::from_utf8_lossy(&offers).to_ascii_lowercase();
            assert!(offers.contains("permessage-deflate"), "{response}");
            // A server limits only the window of a client that offers it (RFC 7692, section 7.1.2.2).
            assert!(
                !response.contains("client_max_window_bits") || offers.contains("client_max_window_bits"),
                "{response}"
            );
            // The response is also an offer that this server accepts.
            let mut again = HeaderMap::new();
            let value = HeaderValue::from_str(&response).expect("the response is a valid field value");
            again.insert(header::SEC_WEBSOCKET_EXTENSIONS, value);
            assert!(config.negotiate(&again).is_some(), "{response}");
        }
    }
});

/// The elements of a list in the fields with this name; a comma in a quoted string is also a separator here.
fn elements(headers: &HeaderMap, name: HeaderName) -> Vec<Vec<u8>> {
    let values = headers.get_all(name).into_iter();
    let elements = values.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    elements.map(|element| element.trim_ascii().to_vec()).collect()
}
