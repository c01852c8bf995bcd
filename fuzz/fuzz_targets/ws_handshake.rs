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
    if choose_subprotocol(&headers, ["a", "b.c"]).is_some() {
        assert!(headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL));
    }
    for context_takeover in [false, true] {
        let config = DeflateConfig {
            context_takeover,
            client_max_window_bits: 10,
            ..DeflateConfig::default()
        };
        if let Some((_, response)) = config.negotiate(&headers) {
            // The response is also an offer that this server accepts.
            let mut again = HeaderMap::new();
            let value = HeaderValue::from_str(&response).expect("the response is a valid field value");
            again.insert(header::SEC_WEBSOCKET_EXTENSIONS, value);
            assert!(config.negotiate(&again).is_some(), "{response}");
        }
    }
});
