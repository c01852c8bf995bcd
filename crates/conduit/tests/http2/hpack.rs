//! HPACK compared with the Python package `hpack` in both directions: each decodes the blocks of the other.

use std::fs::File;
use std::process::{Command, Stdio};

use conduit_proto::h2::hpack::{Decoder, Encoder};
use conduit_proto::http_date;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::{judges, packages};

const BLOCKS: usize = 500;

/// Decodes each block and compares its fields, then encodes them again: with and without Huffman, with changes of the table's size.
const PROGRAM: &str = r#"
import sys
from hpack import Decoder, Encoder
decoder, encoder = Decoder(), Encoder()
for number, line in enumerate(sys.stdin):
    block, *texts = (bytes.fromhex(part) for part in line.strip().split(","))
    fields = list(zip(texts[::2], texts[1::2]))
    decoded = [tuple(field) for field in decoder.decode(block, raw=True)]
    assert decoded == fields, (number, decoded, fields)
    if number % 50 == 49:
        encoder.header_table_size = [0, 100, 4096][number // 50 % 3]
    print(encoder.encode(fields, huffman=number % 2 == 0).hex())
"#;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// A value: often one of a few, so that the tables get entries, or bytes of any length.
    fn value(&mut self) -> Vec<u8> {
        if self.below(2) == 0 {
            return ["", "text/plain", "a", "no-cache"][self.below(4)].into();
        }
        let most = [4, 40, 1500][self.below(3)];
        let length = self.below(most);
        let byte = |random: &mut Random| match random.below(8) {
            0 => 0x80 + random.below(0x80) as u8,
            _ => 0x21 + random.below(0x5e) as u8,
        };
        (0..length).map(|_| byte(self)).collect()
    }
}

/// A response head as a block, and its fields.
fn encode(encoder: &mut Encoder, random: &mut Random) -> (Vec<u8>, Fields) {
    const NAMES: [&str; 8] = [
        "content-type",
        "cache-control",
        "server",
        "set-cookie",
        "etag",
        "vary",
        "x-request",
        "x-other",
    ];
    let mut block = Vec::new();
    if random.below(40) == 0 {
        encoder.set_max_size(random.below(4097));
    }
    encoder.begin(&mut block);
    let status = StatusCode::from_u16(200 + random.below(300) as u16).expect("a status");
    encoder.status(&mut block, status);
    let mut fields: Fields = vec![(b":status".into(), status.as_str().into())];
    for _ in 0..random.below(6) {
        let (name, value) = (NAMES[random.below(NAMES.len())], random.value());
        let mut field = HeaderValue::from_bytes(&value).expect("a value");
        field.set_sensitive(random.below(10) == 0);
        encoder.field(&mut block, &HeaderName::from_static(name), &field);
        fields.push((name.into(), value));
    }
    let (length, date) = (random.below(100_000), http_date(random.below(3) as u64));
    encoder.content_length(&mut block, length as u64);
    encoder.date(&mut block, &date);
    fields.push((b"content-length".into(), length.to_string().into()));
    fields.push((b"date".into(), date.into()));
    (block, fields)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn hpack_of_python_decodes_our_blocks_and_vice_versa() {
    let Some(folder) = packages::installed("hpack") else {
        return;
    };
    let (mut encoder, mut random) = (Encoder::new(), Random(1));
    let heads: Vec<_> = (0..BLOCKS).map(|_| encode(&mut encoder, &mut random)).collect();
    let line = |(block, fields): &(Vec<u8>, Fields)| {
        let texts = fields.iter().flat_map(|(name, value)| [name, value]);
        let parts: Vec<_> = std::iter::once(block).chain(texts).map(|bytes| hex(bytes)).collect();
        parts.join(",") + "\n"
    };
    let input = folder.join("blocks");
    std::fs::write(&input, heads.iter().map(line).collect::<String>()).expect("a file");
    let output = Command::new(folder.join("bin/python"))
        .args(["-c", PROGRAM])
        .stdin(Stdio::from(File::open(&input).expect("the file")))
        .output()
        .expect("Python runs");
    judges::assert_success(&output);
    let (mut decoder, mut blocks) = (Decoder::new(), 0);
    let text = String::from_utf8(output.stdout).expect("text");
    for (line, (_, fields)) in text.lines().zip(&heads) {
        let mut decoded = Fields::new();
        let each = |name: &[u8], value: &[u8]| decoded.push((name.to_vec(), value.to_vec()));
        decoder.decode(&bytes(line), each).expect("a block");
        assert_eq!(decoded, *fields, "block {blocks}");
        blocks += 1;
    }
    assert_eq!(blocks, BLOCKS);
}
