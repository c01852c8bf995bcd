//! Excerpts of a client's input, for messages.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// The longest excerpt, in characters.
const CHARACTERS: usize = 40;
/// The longest message for a client, in bytes.
const MESSAGE_BYTES: usize = 480;
/// The longest text of an error or a panic in the log, in bytes.
const LOGGED_MESSAGE_BYTES: usize = 4096;
/// The longest text of a client in one field of an event, a span or the access log, in bytes.
const LOGGED_BYTES: usize = 1024;
/// The mark of omitted text.
const CUT: char = '…';

/// The first 40 characters of a string or of bytes that a client sent, to quote in a response, a log or a header field.
///
/// A longer input ends in `…`. `{}` writes the characters as they are; `{:?}` quotes them and escapes control characters.
/// Bytes that are not UTF-8 become U+FFFD. Formatting costs the same for an input of any length.
///
/// # Example
///
/// A message that stays short:
///
/// ```
/// use conduit::problem::Excerpt;
///
/// let name = "x".repeat(1_000_000);
/// let message = format!("no user has the name {:?}", Excerpt::new(&name));
/// assert_eq!(message, format!("no user has the name \"{}…\"", "x".repeat(40)));
/// ```
#[derive(Clone, Copy)]
pub struct Excerpt<'a>(&'a [u8]);

impl<'a> Excerpt<'a> {
    /// An excerpt of this text, or of these bytes.
    pub fn new<T: AsRef<[u8]> + ?Sized>(input: &'a T) -> Self {
        Excerpt(input.as_ref())
    }

    /// The excerpt's characters, and whether more input follows them.
    fn parts(&self) -> (String, bool) {
        // A character of UTF-8 has at most four bytes.
        let near = &self.0[..self.0.len().min(4 * CHARACTERS + 4)];
        let text = String::from_utf8_lossy(near);
        let end = text.char_indices().nth(CHARACTERS).map(|(end, _)| end);
        (text[..end.unwrap_or(text.len())].to_owned(), end.is_some())
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, is_cut) = self.parts();
        f.write_str(&text)?;
        if is_cut { f.write_char(CUT) } else { Ok(()) }
    }
}

impl fmt::Debug for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut text, is_cut) = self.parts();
        if is_cut {
            text.push(CUT);
        }
        write!(f, "{text:?}")
    }
}

/// A client's text in a field of an event or a span: complete up to 1 KiB, otherwise its beginning and `…`.
pub fn logged(text: &str) -> Cow<'_, str> {
    match text.len() <= LOGGED_BYTES {
        true => Cow::Borrowed(text),
        false => {
            let end = text.floor_char_boundary(LOGGED_BYTES - CUT.len_utf8());
            Cow::Owned(format!("{}{CUT}", &text[..end]))
        }
    }
}

/// Like [`logged`], for bytes that `escape` writes one by one into a string.
pub fn log_escaped(bytes: &[u8], text: &mut String, escape: impl Fn(u8, &mut String)) {
    let kept = bytes.len().min(LOGGED_BYTES);
    bytes[..kept].iter().for_each(|&byte| escape(byte, text));
    if kept < bytes.len() {
        text.push(CUT);
    }
}

/// The text of a message that may quote a client's input, such as serde's: complete up to 480 bytes, otherwise its
/// beginning and its end. The complete message is never in memory.
pub fn bounded(message: impl fmt::Display) -> String {
    bounded_to(MESSAGE_BYTES, message)
}

/// Like [`bounded`], for the log: returns the text of an error or a panic, complete up to 4 KiB.
pub(crate) fn logged_message(message: impl fmt::Display) -> String {
    bounded_to(LOGGED_MESSAGE_BYTES, message)
}

/// A text for one line of the log: control characters are escaped, so that its line feeds begin no other line.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    Cow::Owned(line)
}

fn bounded_to(limit: usize, message: impl fmt::Display) -> String {
    let tail_bytes = limit / 4;
    let mut text = BoundedText {
        head: String::new(),
        tail: String::new(),
        head_bytes: limit - tail_bytes,
        tail_bytes,
        is_cut: false,
    };
    // A `Display` that fails has written a part, which is the message then.
    let _ = write!(text, "{message}");
    text.finish()
}

/// The beginning and the end of the text that is written to it.
struct BoundedText {
    head: String,
    /// The bytes after a full head; at most twice as long as the end that is kept.
    tail: String,
    head_bytes: usize,
    tail_bytes: usize,
    is_cut: bool,
}

impl BoundedText {
    fn finish(mut self) -> String {
        self.shorten_tail();
        if self.is_cut {
            self.head.push(CUT);
        }
        self.head.push_str(&self.tail);
        self.head
    }

    fn shorten_tail(&mut self) {
        if let Some(surplus) = self.tail.len().checked_sub(self.tail_bytes)
            && surplus > 0
        {
            let end = self.tail.ceil_char_boundary(surplus);
            self.tail.drain(..end);
            self.is_cut = true;
        }
    }
}

impl fmt::Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = match self.tail.is_empty() {
            true => self.head_bytes.saturating_sub(self.head.len()),
            false => 0,
        };
        let (head, rest) = text.split_at(text.floor_char_boundary(room));
        self.head.push_str(head);
        // All but the end of a long piece is dropped without a copy.
        let surplus = rest.len().saturating_sub(self.tail_bytes);
        let kept = rest.ceil_char_boundary(surplus);
        if kept > 0 {
            self.tail.clear();
            self.is_cut = true;
        }
        self.tail.push_str(&rest[kept..]);
        if self.tail.len() > 2 * self.tail_bytes {
            self.shorten_tail();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_is_whole_up_to_its_limit_and_cut_beyond_it() {
        let limit = "é".repeat(CHARACTERS);
        assert_eq!(Excerpt::new(&limit).to_string(), limit);
        assert_eq!(Excerpt::new(&format!("{limit}x")).to_string(), format!("{limit}…"));
        assert_eq!(format!("{:?}", Excerpt::new("a\"\n")), "\"a\\\"\\n\"");
        assert_eq!(Excerpt::new(b"\xff\xfea").to_string(), "\u{fffd}\u{fffd}a");
        assert_eq!(
            Excerpt::new(&"🦀".repeat(1000)).to_string().chars().count(),
            CHARACTERS + 1
        );
        assert!(format!("{:?}", Excerpt::new(&"\u{1}".repeat(1 << 20))).len() < 400);
    }

    #[test]
    fn logged_text_is_cut_between_characters_and_marked() {
        assert_eq!(logged("short"), "short");
        let limit = "x".repeat(LOGGED_BYTES);
        assert_eq!(logged(&limit), limit);
        for (text, length) in [
            (format!("{limit}x"), 1024),
            ("é".repeat(513), 1023),
            ("é".repeat(512), 1024),
        ] {
            let shown = logged(&text);
            assert_eq!((shown.len(), shown.ends_with(CUT)), (length, text.len() > LOGGED_BYTES));
        }
        let mut text = String::new();
        log_escaped(&[b'a'; LOGGED_BYTES + 1], &mut text, |byte, text| {
            text.push(byte.into())
        });
        assert_eq!(text, format!("{}{CUT}", "a".repeat(LOGGED_BYTES)));
        assert_eq!(
            logged_message("x".repeat(1 << 20)).len(),
            LOGGED_MESSAGE_BYTES + CUT.len_utf8()
        );
    }

    #[test]
    fn message_keeps_its_beginning_and_its_end() {
        let short = "invalid type: string \"é\", expected u8";
        assert_eq!(bounded(short), short);
        let exact = "x".repeat(MESSAGE_BYTES);
        assert_eq!(bounded(&exact), exact);
        for filler in ["x", "é", "\u{1}"] {
            for count in [1, 479, 480, 481, 5000] {
                let message = bounded(format_args!("first {:?}, expected u8", filler.repeat(count)));
                assert!(message.starts_with("first \""), "{message}");
                assert!(message.ends_with("\", expected u8"), "{message}");
                assert!(message.len() <= MESSAGE_BYTES + '…'.len_utf8());
            }
        }
    }

    #[test]
    fn message_in_many_pieces_keeps_their_order() {
        struct Pieces;

        impl fmt::Display for Pieces {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (0..1000).try_for_each(|number| write!(f, "{number} é "))
            }
        }

        let whole = Pieces.to_string();
        let (head, tail) = {
            let message = bounded(Pieces);
            let (head, tail) = message.split_once('…').expect("a cut");
            (head.to_owned(), tail.to_owned())
        };
        assert!(whole.starts_with(&head) && whole.ends_with(&tail));
        assert!(head.len() > MESSAGE_BYTES / 4 * 3 - 4 && tail.len() > MESSAGE_BYTES / 4 - 4);
    }

    #[test]
    fn text_of_one_line_has_no_control_characters() {
        assert!(matches!(one_line("no such caf\u{e9}: \"x\""), Cow::Borrowed(_)));
        assert_eq!(
            one_line("a\nb\r\tc\u{1b}[31m\u{9b}\u{e9}\0"),
            "a\\nb\\r\\tc\\u{1b}[31m\\u{9b}\u{e9}\\u{0}"
        );
    }
}
