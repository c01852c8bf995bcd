//! The requests of the attacks.

use std::io::Write;

use crate::Size;

pub(crate) fn get(path: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: test\r\n{fields}\r\n").into_bytes()
}

pub(crate) fn post(path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\n{fields}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

pub(crate) fn json(path: &str, body: &str) -> Vec<u8> {
    post(path, "content-type: application/json\r\n", body.as_bytes())
}

pub(crate) fn form(body: &str) -> Vec<u8> {
    post(
        "/form",
        "content-type: application/x-www-form-urlencoded\r\n",
        body.as_bytes(),
    )
}

/// A form of 33 files, each of 60 KiB, without the boundary that ends it.
pub(crate) fn album() -> Vec<u8> {
    let part = "--b\r\ncontent-disposition: form-data; name=\"files\"; filename=\"f\"\r\n\r\n";
    let part = [part.as_bytes(), &[b'x'; 60 * 1024], b"\r\n"].concat();
    post(
        "/album",
        "content-type: multipart/form-data; boundary=b\r\n",
        &part.repeat(33),
    )
}

/// A payment of one of many owners, each with another address and other credentials.
pub(crate) fn payment(path: &str, number: usize) -> Vec<u8> {
    let [.., a, b, c] = number.to_be_bytes();
    let fields =
        format!("idempotency-key: {number}\r\nauthorization: Bearer {number}\r\nx-forwarded-for: 198.{a}.{b}.{c}\r\n");
    post(path, &fields, b"")
}

/// The decompressed bytes of a small body: zeros.
fn zeros(size: Size) -> Vec<u8> {
    vec![0; size.of(64, 16) << 20]
}

pub(crate) fn brotli_bomb(window: i32, size: Size) -> Vec<u8> {
    let mut params = brotli::enc::BrotliEncoderParams::default();
    (params.large_window, params.lgwin, params.quality) = (window > 24, window, 1);
    let mut body = Vec::new();
    brotli::BrotliCompress(&mut &zeros(size)[..], &mut body, &params).expect("memory");
    post("/length", "content-encoding: br\r\n", &body)
}

pub(crate) fn gzip_bomb(size: Size) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&zeros(size)).expect("memory");
    post(
        "/length",
        "content-encoding: gzip\r\n",
        &encoder.finish().expect("memory"),
    )
}

/// The length is not declared, so that the frame announces a window of 2 to the power of `window`.
pub(crate) fn zstd_bomb(window: u32, size: Size) -> Vec<u8> {
    let mut encoder = zstd::stream::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.window_log(window).expect("a valid window");
    encoder.write_all(&zeros(size)).expect("memory");
    post(
        "/length",
        "content-encoding: zstd\r\n",
        &encoder.finish().expect("memory"),
    )
}
