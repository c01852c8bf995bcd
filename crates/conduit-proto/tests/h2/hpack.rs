//! The examples of RFC 7541, appendix C, and the errors of the decoder.

use conduit_proto::h2::hpack::{DecodeError, Decoder, Encoder, TABLE_BYTES};
use http::{HeaderName, HeaderValue, StatusCode, header};
use proptest::prelude::*;

use crate::frames::hex;

type DecodedFields = Vec<(String, String)>;

/// A block, its fields, and the resulting size of the table.
type Example = (&'static str, &'static [(&'static str, &'static str)], usize);

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<DecodedFields, DecodeError> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    decoder.decode(block, |name, value| fields.push((text(name), text(value))))?;
    Ok(fields)
}

fn error(block: &str) -> Option<DecodeError> {
    Decoder::new().decode(&hex(block), |_, _| {}).err()
}

/// Decodes blocks of one connection, and compares the fields and the table size after each.
fn examples(mut decoder: Decoder, blocks: [Example; 3]) {
    for (block, expected, size) in blocks {
        let fields = decode(&mut decoder, &hex(block)).unwrap();
        let expected: DecodedFields = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(fields, expected);
        assert_eq!(decoder.table_size(), size);
    }
}

#[test]
fn c_2_representations() {
    for (block, name, value, size) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key",
            "custom-header",
            55,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", ":path", "/sample/path", 0),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", "password", "secret", 0),
        ("82", ":method", "GET", 0),
    ] {
        let mut decoder = Decoder::new();
        let fields = decode(&mut decoder, &hex(block)).unwrap();
        assert_eq!(fields, [(name.to_owned(), value.to_owned())]);
        assert_eq!(decoder.table_size(), size);
    }
}

const REQUESTS: [&[(&str, &str)]; 3] = [
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
        ("cache-control", "no-cache"),
    ],
    &[
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        (":authority", "www.example.com"),
        ("custom-key", "custom-value"),
    ],
];

#[test]
fn c_3_requests_without_huffman() {
    examples(
        Decoder::new(),
        [
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0], 57),
            ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1], 110),
            (
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
                REQUESTS[2],
                164,
            ),
        ],
    );
}

#[test]
fn c_4_requests_with_huffman() {
    examples(
        Decoder::new(),
        [
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0], 57),
            ("8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1], 110),
            (
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
                REQUESTS[2],
                164,
            ),
        ],
    );
}

const RESPONSES: [&[(&str, &str)]; 3] = [
    &[
        (":status", "302"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "307"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ],
    &[
        (":status", "200"),
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
        ("location", "https://www.example.com"),
        ("content-encoding", "gzip"),
        ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
    ],
];

/// A decoder with a table of 256 bytes, as in C.5 and C.6.
fn small_table() -> Decoder {
    let mut decoder = Decoder::new();
    decoder.decode(&hex("3fe101"), |_, _| {}).unwrap();
    decoder
}

#[test]
fn c_5_responses_without_huffman() {
    examples(
        small_table(),
        [
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 \
             474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                RESPONSES[0],
                222,
            ),
            ("4803 3330 37c1 c0bf", RESPONSES[1], 222),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 \
             666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 \
             3630 303b 2076 6572 7369 6f6e 3d31",
                RESPONSES[2],
                215,
            ),
        ],
    );
}

#[test]
fn c_6_responses_with_huffman() {
    examples(
        small_table(),
        [
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 \
             63c7 8f0b 97c8 e9ae 82ae 43d3",
                RESPONSES[0],
                222,
            ),
            ("4883 640e ffc1 c0bf", RESPONSES[1], 222),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 \
             b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                RESPONSES[2],
                215,
            ),
        ],
    );
}

#[test]
fn integers_have_at_most_32_bits() {
    // Index 15, with five and with six zero bytes after the prefix.
    assert_eq!(error("0f8080808000 00"), None);
    assert_eq!(error("0f808080808000 00"), Some(DecodeError::Integer));
    assert_eq!(error("0f80808080"), Some(DecodeError::Truncated));
    assert_eq!(error("ff8080808080 00"), Some(DecodeError::Integer));
    assert_eq!(error("ffffffffff7f"), Some(DecodeError::Integer));
    assert_eq!(error("007fffffffff7f"), Some(DecodeError::Integer));
    assert_eq!(error("ff"), Some(DecodeError::Truncated));
    assert_eq!(error("ff80"), Some(DecodeError::Truncated));
}

#[test]
fn indices_beyond_the_tables_are_errors() {
    assert_eq!(error("80"), Some(DecodeError::Index));
    assert_eq!(error("be"), Some(DecodeError::Index));
    assert_eq!(error("7e00"), Some(DecodeError::Index));
    assert_eq!(error("0f2f00"), Some(DecodeError::Index));
    assert_eq!(error("bd"), None);
    // One entry, and a reference to a second one.
    assert_eq!(error("4001610162be"), None);
    assert_eq!(error("4001610162bf"), Some(DecodeError::Index));
}

#[test]
fn strings_must_end_within_the_block() {
    for block in ["40", "4001", "400161", "40016101", "4082a8", "00016103ff", "04"] {
        assert_eq!(error(block), Some(DecodeError::Truncated), "{block}");
    }
}

#[test]
fn huffman_padding_must_be_short_and_ones() {
    // `a` is 00011: three bits of padding.
    assert_eq!(error("000161811f"), None);
    assert_eq!(error("000161811e"), Some(DecodeError::Huffman));
    assert_eq!(error("0001618118"), Some(DecodeError::Huffman));
    // Eight ones too many.
    assert_eq!(error("000161821fff"), Some(DecodeError::Huffman));
    assert_eq!(error("00016181ff"), Some(DecodeError::Huffman));
    // EOS.
    assert_eq!(error("00016184ffffffff"), Some(DecodeError::Huffman));
    assert_eq!(error("000161851fffffffff"), Some(DecodeError::Huffman));
}

#[test]
fn table_size_changes_only_at_the_start_and_within_the_limit() {
    assert_eq!(error("20"), None);
    assert_eq!(error("203fe11f82"), None, "two changes");
    assert_eq!(error("3fe11f"), None, "4096");
    assert_eq!(error("3fe21f"), Some(DecodeError::TableSize), "4097");
    assert_eq!(error("8220"), Some(DecodeError::LateTableSize));
    // A smaller table evicts the entry.
    assert_eq!(error("4001610162"), None);
    let mut decoder = Decoder::new();
    assert!(decoder.decode(&hex("4001610162"), |_, _| {}).is_ok());
    assert!(decoder.decode(&hex("20"), |_, _| {}).is_ok());
    assert_eq!(decoder.table_size(), 0);
    assert_eq!(decoder.decode(&hex("be"), |_, _| {}), Err(DecodeError::Index));
}

#[test]
fn table_allocates_at_its_first_entry_and_is_bounded() {
    let mut decoder = Decoder::new();
    decoder.decode(&hex("828684"), |_, _| {}).unwrap();
    assert_eq!(decoder.heap_bytes(), 0);
    for length in (0..100_000_u32).map(|number| number % 127) {
        let mut block = vec![0x40, 1, b'a', length as u8];
        block.extend(vec![b'v'; length as usize]);
        decoder.decode(&block, |_, _| {}).unwrap();
        assert!(decoder.table_size() <= TABLE_BYTES);
    }
    assert!(decoder.heap_bytes() <= 16 * 1024, "{}", decoder.heap_bytes());
}

/// A block of a response with these fields.
fn encode(encoder: &mut Encoder, status: StatusCode, fields: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    encoder.status(&mut block, status);
    for (name, value) in fields {
        encoder.field(&mut block, name, value);
    }
    block
}

#[test]
fn repeated_response_head_has_one_byte_per_field() {
    let mut encoder = Encoder::new();
    let date = conduit_proto::http_date(784_111_777);
    let head = |encoder: &mut Encoder, date: &[u8; 29]| {
        let content_type = (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        let server = (header::SERVER, HeaderValue::from_static("conduit"));
        let mut block = encode(encoder, StatusCode::OK, &[content_type, server]);
        encoder.content_length(&mut block, 13);
        encoder.date(&mut block, date);
        block.len()
    };
    let first = head(&mut encoder, &date);
    assert!(first > 50, "{first}");
    assert_eq!(head(&mut encoder, &date), 9);
    // The date changes.
    let later = conduit_proto::http_date(784_111_778);
    assert_eq!(head(&mut encoder, &later), 9 + 24);
    assert_eq!(head(&mut encoder, &later), 9);
}

#[test]
fn secret_and_unique_values_are_not_indexed() {
    let mut encoder = Encoder::new();
    let mut secret = HeaderValue::from_static("0123456789");
    secret.set_sensitive(true);
    for (name, value, first) in [
        (header::SET_COOKIE, HeaderValue::from_static("a=b"), [0x1f, 55 - 15]),
        (header::SERVER, secret, [0x1f, 54 - 15]),
        (header::ETAG, HeaderValue::from_static("\"1\""), [0x0f, 34 - 15]),
    ] {
        for _ in 0..3 {
            let block = encode(&mut encoder, StatusCode::OK, &[(name.clone(), value.clone())]);
            assert_eq!(block[1..3], first, "{name}");
        }
    }
    assert_eq!(encoder.heap_bytes(), 0);
}

#[test]
fn other_field_is_indexed_at_its_second_occurrence() {
    let mut encoder = Encoder::new();
    let field = [(HeaderName::from_static("x-app"), HeaderValue::from_static("seven"))];
    let lengths: Vec<_> = (0..4)
        .map(|_| encode(&mut encoder, StatusCode::OK, &field).len())
        .collect();
    assert_eq!(lengths[0], lengths[1]);
    assert_eq!(lengths[2..], [2, 2]);
}

#[test]
fn table_size_changes_are_announced_smallest_first() {
    let mut encoder = Encoder::new();
    encoder.set_max_size(TABLE_BYTES);
    assert_eq!(encode(&mut encoder, StatusCode::OK, &[]), [0x88], "nothing changes");
    encoder.set_max_size(100_000);
    assert_eq!(encode(&mut encoder, StatusCode::OK, &[]), [0x88], "more than is used");
    encoder.set_max_size(0);
    encoder.set_max_size(64);
    assert_eq!(encode(&mut encoder, StatusCode::OK, &[]), hex("20 3f21 88"));
    assert_eq!(encode(&mut encoder, StatusCode::OK, &[]), [0x88]);
    encoder.set_max_size(30);
    assert_eq!(encode(&mut encoder, StatusCode::OK, &[]), hex("3e 88"));
}

fn fields() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let name = prop_oneof![
        Just("server".to_owned()),
        Just("content-type".to_owned()),
        Just("set-cookie".to_owned()),
        Just("date".to_owned()),
        "[a-z][a-z0-9-]{0,12}",
    ];
    let value = prop_oneof![
        Just(b"text/plain".to_vec()),
        Just(Vec::new()),
        "[!-~]{0,200}".prop_map(String::into_bytes),
        prop::collection::vec(0x80_u8.., 0..20),
    ];
    prop::collection::vec((name, value), 0..12).prop_map(|fields| {
        let field = |(name, value): (String, Vec<u8>)| {
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_bytes(&value).unwrap(),
            )
        };
        fields.into_iter().map(field).collect()
    })
}

proptest! {
    #[test]
    fn encoding_and_decoding_round_trips(
        heads in prop::collection::vec((100_u16..1000, fields(), prop::option::weighted(0.2, 0_usize..5000)), 1..12)
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        for (status, fields, size) in heads {
            if let Some(size) = size {
                encoder.set_max_size(size);
            }
            let status = StatusCode::from_u16(status).unwrap();
            let block = encode(&mut encoder, status, &fields);
            let mut expected = vec![(b":status".to_vec(), status.as_str().as_bytes().to_vec())];
            expected.extend(fields.iter().map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec())));
            let mut decoded = Vec::new();
            decoder.decode(&block, |name, value| decoded.push((name.to_vec(), value.to_vec()))).unwrap();
            prop_assert_eq!(decoded, expected);
        }
    }

    #[test]
    fn decoding_arbitrary_bytes_does_not_panic(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..6)) {
        let mut decoder = Decoder::new();
        for block in blocks {
            if decoder.decode(&block, |_, _| {}).is_err() {
                break;
            }
            prop_assert!(decoder.table_size() <= TABLE_BYTES);
        }
    }
}

/// Blocks of another encoder, with table size changes, all representations, with and without Huffman.
#[test]
fn blocks_of_another_encoder_are_decoded() {
    let (mut decoder, mut fields, mut blocks) = (Decoder::new(), Vec::new().into_iter(), 0);
    for line in include_str!("hpack_vectors.txt").lines().skip(1) {
        if let Some(field) = line.strip_prefix('\t') {
            let (name, value) = field.split_once('\t').unwrap();
            assert_eq!(fields.next(), Some((name.to_owned(), value.to_owned())));
        } else {
            assert_eq!(fields.next(), None);
            fields = decode(&mut decoder, &hex(line)).unwrap().into_iter();
            blocks += 1;
        }
    }
    assert_eq!((fields.next(), blocks), (None, 24));
}
