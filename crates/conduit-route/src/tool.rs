//! The names of handlers as tools.

use crate::definition::{Definition, ToolName};
use crate::text::Text;

impl Definition {
    /// The name of the handler as a tool, if it is one: letters, digits, `_`, `-` and `.`.
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
    /// `::` is `_`.
    is_path: bool,
}

impl NameBytes {
    const fn of(definition: &Definition) -> Option<Self> {
        let (text, is_path) = match definition.tool {
            None => return None,
            Some(ToolName::Named(name)) => (name.as_bytes(), false),
            Some(ToolName::OfHandler) => (definition.handler.as_bytes(), true),
        };
        let mut bytes = NameBytes { text, at: 0, is_path };
        if is_path {
            bytes.leave_crate();
        }
        Some(bytes)
    }

    /// Passes the name of the crate at the begin of a path.
    const fn leave_crate(&mut self) {
        let mut at = 0;
        while at + 1 < self.text.len() {
            if self.text[at] == b':' && self.text[at + 1] == b':' {
                self.at = at + 2;
                return;
            }
            at += 1;
        }
    }

    const fn next_byte(&mut self) -> Option<u8> {
        if self.at >= self.text.len() {
            return None;
        }
        let byte = self.text[self.at];
        if self.is_path && byte == b':' {
            self.at += 2;
            return Some(b'_');
        }
        self.at += 1;
        Some(byte)
    }
}

/// Panics if two of the routes are tools of one name.
#[track_caller]
pub(crate) const fn require_tools(definitions: &[Definition]) {
    let mut one = 0;
    while one < definitions.len() {
        let mut other = one + 1;
        while definitions[one].tool.is_some() && other < definitions.len() {
            if is_same_tool(&definitions[one], &definitions[other]) {
                let text = Text::new().with("two tools have one name: ");
                let text = named(text, &definitions[one]).with(" and ");
                let text = named(text, &definitions[other]);
                panic!(
                    "{}",
                    text.with(": name one of them in its attribute, as in `tool = \"find_user\"`")
                        .as_str()
                );
            }
            other += 1;
        }
        one += 1;
    }
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
