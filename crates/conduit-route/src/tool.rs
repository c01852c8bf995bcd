//! The names of handlers as tools.

use crate::definition::{Definition, ToolName};
use crate::text::Text;

/// The part of a name that is the prefix of the route.
const PREFIX: &[u8] = b"{prefix}";

/// The maximum length of a name.
const NAME_BYTES: usize = 128;

impl Definition {
    /// The name of the handler as a tool, if it is one: ASCII letters and digits, `_`, `-` and `.`.
    pub fn tool_name(&self) -> Option<String> {
        let mut bytes = NameBytes::of(self)?;
        let mut name = Vec::new();
        while let Some(byte) = bytes.next_byte() {
            name.push(byte);
        }
        String::from_utf8(name).ok()
    }
}

/// The bytes of a name, in `const` evaluation too.
struct NameBytes {
    text: &'static [u8],
    at: usize,
    /// The text is the path of a handler, in which `::` is `_`.
    is_path: bool,
    /// The prefix of the route.
    prefix: &'static [u8],
    /// The position in the prefix, while that is a part of the name.
    in_prefix: Option<usize>,
}

impl NameBytes {
    const fn of(definition: &Definition) -> Option<Self> {
        let Some(ToolName { text, prefix_bytes }) = definition.tool else {
            return None;
        };
        let (text, is_path) = match text {
            Some(text) => (text.as_bytes(), false),
            None => (definition.handler.as_bytes(), true),
        };
        let mut bytes = NameBytes {
            text,
            at: 0,
            is_path,
            prefix: definition.path.as_bytes().split_at(prefix_bytes).0,
            in_prefix: None,
        };
        if is_path {
            bytes.leave_crate();
        }
        Some(bytes)
    }

    /// Skips the name of the crate at the beginning of a path.
    const fn leave_crate(&mut self) {
        let mut at = 0;
        while at + 1 < self.text.len() {
            if self.text[at] == b':' && self.text[at + 1] == b':' {
                self.at = at + 2;
                self.skip_raw();
                return;
            }
            at += 1;
        }
    }

    /// Skips the beginning of a raw identifier: `r#type` is `type`.
    const fn skip_raw(&mut self) {
        if self.at + 1 < self.text.len() && self.text[self.at] == b'r' && self.text[self.at + 1] == b'#' {
            self.at += 2;
        }
    }

    const fn next_byte(&mut self) -> Option<u8> {
        loop {
            if let Some(byte) = self.next_of_prefix() {
                return Some(byte);
            }
            if self.at >= self.text.len() {
                return None;
            }
            let byte = self.text[self.at];
            if self.is_path && byte == b':' {
                self.at += 2;
                self.skip_raw();
                return Some(b'_');
            }
            if self.is_prefix_at(self.at) {
                self.at += PREFIX.len();
                // Without a prefix, a name does not begin with the separator after it.
                if self.prefix.is_empty()
                    && self.at == PREFIX.len()
                    && self.at < self.text.len()
                    && is_separator(self.text[self.at])
                {
                    self.at += 1;
                }
                self.in_prefix = Some(0);
                continue;
            }
            self.at += 1;
            if self.prefix.is_empty() && is_separator(byte) && self.is_prefix_at(self.at) {
                continue;
            }
            return Some(byte);
        }
    }

    const fn is_prefix_at(&self, at: usize) -> bool {
        if self.is_path || self.text.len() < at + PREFIX.len() {
            return false;
        }
        let mut place = 0;
        while place < PREFIX.len() {
            if self.text[at + place] != PREFIX[place] {
                return false;
            }
            place += 1;
        }
        true
    }

    /// The next byte of the prefix: `/api/v{version}` is `api_vversion`.
    const fn next_of_prefix(&mut self) -> Option<u8> {
        while let Some(at) = self.in_prefix {
            if at >= self.prefix.len() {
                self.in_prefix = None;
                return None;
            }
            self.in_prefix = Some(at + 1);
            match self.prefix[at] {
                b'/' if at == 0 => {}
                b'{' | b'}' => {}
                byte if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' => return Some(byte),
                _ => return Some(b'_'),
            }
        }
        None
    }
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b'.')
}

/// Panics if two of the routes are tools of one name, or a name is empty, too long, or has another character.
#[track_caller]
pub(crate) const fn require_tools(definitions: &[Definition]) {
    let mut one = 0;
    while one < definitions.len() {
        require_name(&definitions[one]);
        let mut other = one + 1;
        while definitions[one].tool.is_some() && other < definitions.len() {
            if is_same_tool(&definitions[one], &definitions[other]) {
                panic!("{}", two_tools(&definitions[one], &definitions[other]).as_str());
            }
            other += 1;
        }
        one += 1;
    }
}

const fn two_tools(one: &Definition, other: &Definition) -> Text {
    let text = named(Text::new().with("two tools have one name: "), one);
    let is_one_handler = one.line == other.line && is_same(one.file, other.file);
    if !is_one_handler {
        let text = named(text.with(" and "), other);
        return text.with(": name one of them in its attribute, as in `tool = \"find_user\"`");
    }
    let text = text
        .with(" has the paths `")
        .with(one.path)
        .with("` and `")
        .with(other.path);
    text.with("`: write `{prefix}` for the prefix of the list in its name, as in `tool = \"{prefix}_find_user\"`")
}

#[track_caller]
const fn require_name(definition: &Definition) {
    let Some(mut bytes) = NameBytes::of(definition) else {
        return;
    };
    let mut length = 0;
    while let Some(byte) = bytes.next_byte() {
        length += 1;
        if !byte.is_ascii_alphanumeric() && !is_separator(byte) {
            let text = named(Text::new().with("the name of the tool "), definition);
            let text =
                text.with(" has a character that is not an ASCII letter, digit, `_`, `-` or `.`: name it in its attribute, as in `tool = \"find_user\"`");
            panic!("{}", text.as_str());
        }
    }
    if length == 0 || length > NAME_BYTES {
        let text = named(Text::new().with("the name of the tool "), definition).with(" has ");
        let text = text
            .with_number(length)
            .with(" bytes with the path `")
            .with(definition.path);
        let text = text.with("`: write one of 1 to 128 bytes, as in `tool = \"find_user\"`");
        panic!("{}", text.as_str());
    }
}

const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

const fn is_same_tool(one: &Definition, other: &Definition) -> bool {
    let (Some(mut one), Some(mut other)) = (NameBytes::of(one), NameBytes::of(other)) else {
        return false;
    };
    loop {
        match (one.next_byte(), other.next_byte()) {
            (None, None) => return true,
            (Some(byte), Some(same)) if byte == same => {}
            _ => return false,
        }
    }
}

const fn named(text: Text, definition: &Definition) -> Text {
    text.with("`")
        .with(definition.handler)
        .with("` (")
        .with(definition.file)
        .with(":")
        .with_number(definition.line as usize)
        .with(")")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(prefix: &'static str, path: &'static str, text: Option<&'static str>) -> String {
        let definition = Definition {
            method: "GET",
            path,
            handler: "app::users::show",
            file: "",
            line: 1,
            disconnect: None,
            of_prefix: &[],
            link: None,
            tool: Some(ToolName {
                text,
                prefix_bytes: prefix.len(),
            }),
        };
        definition.tool_name().expect("a tool")
    }

    #[test]
    fn names_contain_the_prefix_of_the_route() {
        for (prefix, path, text, expected) in [
            ("", "/users", None, "users_show"),
            ("/v1", "/v1/users", None, "users_show"),
            ("/v1", "/v1/users", Some("show"), "show"),
            ("/v1", "/v1/users", Some("{prefix}_show"), "v1_show"),
            ("/v1", "/v1", Some("{prefix}_show"), "v1_show"),
            ("/api/v1", "/api/v1/users", Some("show-{prefix}"), "show-api_v1"),
            ("/v{n}~é", "/v{n}~é/users", Some("a.{prefix}.b"), "a.vn___.b"),
            ("", "/users", Some("{prefix}_show"), "show"),
            ("", "/users", Some("show_{prefix}"), "show"),
            ("", "/users", Some("a_{prefix}_b"), "a_b"),
        ] {
            assert_eq!(name(prefix, path, text), expected, "{path} {text:?}");
        }
    }
}
