//! Any blocks decode or fail within the bounds of the table, and decoded fields survive our encoder.
//!
//! A byte with its length precedes each block of the input.
#![no_main]

use conduit_proto::h2::hpack::{Decoder, Encoder, TABLE_BYTES};
use http::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn decode(decoder: &mut Decoder, block: &[u8]) -> Option<Fields> {
    let mut fields = Vec::new();
    decoder
        .decode(block, |name, value| fields.push((name.to_vec(), value.to_vec())))
        .ok()?;
    Some(fields)
}

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let mut decoder = Decoder::new();
    let (mut encoder, mut twin) = (Encoder::new(), Decoder::new());
    while let Some((&length, after)) = rest.split_first() {
        let (block, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let Some(fields) = decode(&mut decoder, block) else {
            return;
        };
        assert!(decoder.table_size() <= TABLE_BYTES && decoder.heap_bytes() <= 4 * TABLE_BYTES);

        // The length also serves as a setting of the peer, which occasionally changes the table of the encoder.
        if length % 7 == 0 {
            encoder.set_max_size(usize::from(length) * 20);
        }
        let mut encoded = Vec::new();
        encoder.begin(&mut encoded);
        let mut expected = Vec::new();
        for (name, value) in fields {
            if let (Ok(header), Ok(content)) = (HeaderName::from_lowercase(&name), HeaderValue::from_bytes(&value)) {
                encoder.field(&mut encoded, &header, &content);
                expected.push((name, value));
            }
        }
        assert_eq!(decode(&mut twin, &encoded).as_ref(), Some(&expected));
        assert!(encoder.heap_bytes() <= 4 * TABLE_BYTES);
    }
});
