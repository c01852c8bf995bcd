//! The text of a lock.

use std::fmt::{self, Write as _};

use conduit_core::internal::openapi::NameMap;

use super::attributes::Attributes;

const NOTE: &str = "# A summary of the API, which a test compares with the program. `CONDUIT_UPDATE_LOCK=1 cargo test` writes it again.";

/// The summary of an API. Its text (`to_string`) is the content of `api.lock`.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    pub(super) title: String,
    /// In the order of the document.
    pub(super) sections: Vec<(String, Section)>,
    /// The source of each operation's handler, by section.
    pub(super) sources: NameMap<String>,
}

/// The lines of a section: the name of a part, the place of a value in it, and its attributes.
pub(super) type Section = Vec<Line>;

/// A line of a section.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// `query limit`, `200 application/json`; empty for a schema.
    pub(super) part: String,
    /// `.links[]`; empty for the part itself.
    pub(super) pointer: String,
    pub(super) attributes: Attributes,
}

/// A difference between two locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockDifference {
    /// Set if a client of the old API may fail with the new one.
    pub is_breaking: bool,
    /// The operation, with its handler and the handler's location where they are known: `GET /links (links::list, src/links.rs:7)`.
    pub operation: String,
    /// The change.
    pub change: String,
}

impl fmt::Display for LockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_breaking { "breaking" } else { "compatible" };
        write!(f, "{kind}: {}: {}", self.operation, self.change)
    }
}

impl Line {
    pub(super) fn of(part: &str, attributes: Attributes) -> Self {
        Line {
            part: part.to_owned(),
            pointer: String::new(),
            attributes,
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{NOTE}\n\n# {}", self.title)?;
        for (name, lines) in &self.sections {
            let (head, lines) = match lines.split_first() {
                Some((first, rest)) if first.part.is_empty() && first.pointer.is_empty() => (Some(first), rest),
                _ => (None, &lines[..]),
            };
            let mut text = format!("\n{name}");
            head.into_iter()
                .try_for_each(|line| write!(text, "{}", line.attributes))?;
            writeln!(f, "{text}")?;
            for line in lines {
                let (indent, name) = match (line.part.is_empty(), line.pointer.is_empty()) {
                    (_, true) => ("  ", &line.part),
                    (true, false) => ("  ", &line.pointer),
                    (false, false) => ("    ", &line.pointer),
                };
                writeln!(f, "{indent}{name}{}", line.attributes)?;
            }
        }
        Ok(())
    }
}

impl Lock {
    /// The lock in the content of `api.lock`. Lines of another form are ignored, because the file may be edited.
    pub(super) fn parse(text: &str) -> Lock {
        let mut lock = Lock::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, attributes) = line.split_once(": ").unwrap_or((line, ""));
            let attributes = Attributes::parse(attributes);
            if !line.starts_with(' ') {
                let section = match name.starts_with("schema ") {
                    true => vec![Line::of("", attributes)],
                    false => Vec::new(),
                };
                lock.sections.push((name.to_owned(), section));
                continue;
            }
            let Some((section, lines)) = lock.sections.last_mut() else {
                continue;
            };
            let is_schema = section.starts_with("schema ");
            let (name, is_nested) = (name.trim_start(), name.starts_with("    "));
            lines.push(match lines.last() {
                Some(last) if is_nested || is_schema => Line {
                    part: last.part.clone(),
                    pointer: name.to_owned(),
                    attributes,
                },
                _ => Line::of(name, attributes),
            });
        }
        lock
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section> {
        self.sections
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, lines)| lines)
    }

    /// A section's name with its handler and source.
    pub(super) fn described(&self, name: &str) -> String {
        let handler = self
            .section(name)
            .and_then(|lines| lines.iter().find(|line| line.part == "handler"))
            .map(|line| line.attributes.words().join(" "));
        match (handler, self.sources.get(name)) {
            (Some(handler), Some(source)) => format!("{name} ({handler}, {source})"),
            (Some(handler), None) => format!("{name} ({handler})"),
            _ => name.to_owned(),
        }
    }
}
