//! Error messages in `const` evaluation, where there is no allocator.

/// The maximum length of a message in bytes; longer text is truncated.
const CAPACITY: usize = 1024;

/// A message that a `const fn` builds and panics with.
///
/// The first `length` bytes are UTF-8: only whole characters are added.
#[derive(Clone, Copy)]
pub(crate) struct Text {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Text {
    pub(crate) const fn new() -> Self {
        Text {
            bytes: [0; CAPACITY],
            length: 0,
        }
    }

    /// Appends `text`, truncated to the remaining capacity.
    pub(crate) const fn with(mut self, text: &str) -> Self {
        let room = CAPACITY - self.length;
        let mut taken = if text.len() < room { text.len() } else { room };
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        let (_, free) = self.bytes.split_at_mut(self.length);
        free.split_at_mut(taken)
            .0
            .copy_from_slice(text.as_bytes().split_at(taken).0);
        self.length += taken;
        self
    }

    pub(crate) const fn with_number(self, number: usize) -> Self {
        let text = if number >= 10 {
            self.with_number(number / 10)
        } else {
            self
        };
        text.with_byte(b'0' + (number % 10) as u8)
    }

    /// Appends `byte` as `%` and two upper-case hexadecimal digits (RFC 3986, section 2.1).
    pub(crate) const fn with_percent_encoded(self, byte: u8) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        self.with("%")
            .with_byte(DIGITS[(byte >> 4) as usize])
            .with_byte(DIGITS[(byte & 15) as usize])
    }

    /// Appends one ASCII byte.
    const fn with_byte(mut self, byte: u8) -> Self {
        if self.length < CAPACITY {
            self.bytes[self.length] = byte;
            self.length += 1;
        }
        self
    }

    pub(crate) const fn as_str(&self) -> &str {
        match str::from_utf8(self.bytes.split_at(self.length).0) {
            Ok(text) => text,
            Err(_) => "",
        }
    }
}
