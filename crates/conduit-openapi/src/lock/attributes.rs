//! The attributes of a line.

use std::fmt;

use serde_json::Value;

/// The attributes of a line, each a word and mostly a value: `required`, `integer|null`, `maximum 100`, `#users.User`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes(pub(super) Vec<String>);

impl Attributes {
    pub(super) fn text(text: &str) -> Self {
        Attributes(vec![text.to_owned()])
    }

    pub(super) fn list(attributes: impl IntoIterator<Item = String>) -> Self {
        Attributes(attributes.into_iter().collect())
    }

    /// Texts with any characters: one that would not be read as it is has quotation marks.
    pub(super) fn texts(texts: impl IntoIterator<Item = String>) -> Self {
        Attributes::list(texts.into_iter().map(|text| match is_attribute(&text) {
            true => text,
            false => Value::from(text).to_string(),
        }))
    }

    pub(super) fn required(is_required: bool) -> Self {
        Attributes(is_required.then(|| "required".to_owned()).into_iter().collect())
    }

    pub(super) fn words(&self) -> &[String] {
        &self.0
    }

    pub(super) fn has(&self, attribute: &str) -> bool {
        self.0.iter().any(|known| known == attribute)
    }

    /// The value of an attribute with this keyword.
    pub(super) fn value(&self, keyword: &str) -> Option<&str> {
        self.0
            .iter()
            .find_map(|attribute| attribute.strip_prefix(keyword)?.strip_prefix(' '))
    }

    /// The name of the schema that the line refers to.
    pub(super) fn reference(&self) -> Option<&str> {
        self.0.iter().find_map(|attribute| attribute.strip_prefix('#'))
    }

    /// The attributes of a line: commas separate them outside of quotation marks and brackets.
    pub(super) fn parse(text: &str) -> Self {
        let mut attributes = vec![String::new()];
        let (mut is_quoted, mut is_escaped, mut depth) = (false, false, 0_usize);
        for letter in text.chars() {
            match letter {
                '"' if !is_escaped => is_quoted = !is_quoted,
                '[' | '{' | '(' if !is_quoted => depth += 1,
                ']' | '}' | ')' if !is_quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
            is_escaped = is_quoted && letter == '\\' && !is_escaped;
            if letter == ',' && !is_quoted && depth == 0 {
                attributes.push(String::new());
            } else if let Some(attribute) = attributes.last_mut() {
                attribute.push(letter);
            }
        }
        let attributes = attributes.into_iter().map(|attribute| attribute.trim().to_owned());
        Attributes(attributes.filter(|attribute| !attribute.is_empty()).collect())
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.0.join(", "))
    }
}

/// Returns whether a text is read as one attribute, also before another one.
fn is_attribute(text: &str) -> bool {
    !text.contains(char::is_control) && Attributes::parse(&format!("{text}, next")).words() == [text, "next"]
}
