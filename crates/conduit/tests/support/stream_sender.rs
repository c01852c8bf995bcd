//! A client of HTTP/2 that repeats a request and allocates little.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::Running;

/// A connection of HTTP/2 that repeats the same requests, each on a new stream.
pub(crate) struct StreamSender {
    stream: TcpStream,
    next: u32,
    /// The frames of a request, whose stream is filled in.
    frames: Vec<u8>,
    input: Vec<u8>,
}

impl StreamSender {
    /// A request with this path, and with a body if it is not empty.
    pub(crate) fn new(server: &Running, path: &str, body: &[u8]) -> Self {
        let stream = TcpStream::connect(server.address).expect("the server accepts");
        let mut sender = StreamSender {
            stream,
            next: 1,
            frames: Vec::new(),
            input: Vec::new(),
        };
        let frame = |kind: u8, flags: u8, payload: &[u8]| {
            [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 0], payload].concat()
        };
        // The preface, SETTINGS, and their acknowledgement; and a window for the connection.
        let window = [8, 0, 0, 0, 0, 0, 0x3f, 0xff, 0, 0];
        let start = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &frame(4, 0, &[])[..],
            &frame(4, 1, &[]),
        ]
        .concat();
        sender.stream.write_all(&start).expect("the server takes it");
        sender
            .stream
            .write_all(&[&[0, 0, 4][..], &window].concat())
            .expect("the server takes it");
        let method = if body.is_empty() { 0x82 } else { 0x83 };
        let mut block = vec![method, 0x86, 0x41, 4];
        block.extend(b"test");
        block.extend([0x44, path.len() as u8]);
        block.extend(path.as_bytes());
        if !body.is_empty() {
            block.extend([0x5f, 16]);
            block.extend(b"application/json");
        }
        sender.frames = frame(1, if body.is_empty() { 5 } else { 4 }, &block);
        if !body.is_empty() {
            sender.frames.extend(frame(0, 1, body));
        }
        sender
    }

    /// Sends this number of requests at once, and reads all responses.
    pub(crate) fn exchange(&mut self, count: usize) {
        let mut output = Vec::new();
        for _ in 0..count {
            let start = output.len();
            output.extend_from_slice(&self.frames);
            let mut at = start;
            while at < output.len() {
                output[at + 5..at + 9].copy_from_slice(&self.next.to_be_bytes());
                at += 9 + usize::from(output[at + 2]);
            }
            self.next += 2;
        }
        self.stream.write_all(&output).expect("the server accepts the requests");
        let mut ended = 0;
        let mut at = 0;
        while ended < count {
            while let Some(header) = self.input.get(at..at + 9) {
                let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
                let (kind, flags) = (header[3], header[4]);
                assert!(matches!(kind, 0 | 1 | 4 | 6 | 8), "a frame of kind {kind}");
                if self.input.len() < at + 9 + length {
                    break;
                }
                ended += usize::from(matches!(kind, 0 | 1) && flags & 1 != 0);
                at += 9 + length;
            }
            if ended < count {
                let mut buffer = [0; 16 * 1024];
                let received = self.stream.read(&mut buffer).expect("the server responds");
                assert!(received > 0, "the server has closed");
                self.input.extend_from_slice(&buffer[..received]);
            }
        }
        self.input.drain(..at);
    }
}
