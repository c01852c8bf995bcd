//! The types of values in the printed source.

use std::fmt;

/// The type of a value.
#[derive(Clone, PartialEq)]
pub(super) enum RustType {
    /// A type that has a default without a derive, such as `String`.
    Plain(&'static str),
    /// A type with a definition in the printed source, or of a library.
    Defined(String),
    Optional(Box<RustType>),
    List(Box<RustType>),
    /// An object with members of any names.
    Map(Box<RustType>),
    Boxed(Box<RustType>),
    /// A stream of events.
    Events(Box<RustType>),
}

impl RustType {
    /// Any value of JSON.
    pub(super) fn any() -> Self {
        RustType::Defined("Value".to_owned())
    }

    /// The same type for a value that may be absent.
    pub(super) fn optional(self) -> Self {
        match self {
            RustType::Optional(_) => self,
            _ => RustType::Optional(Box::new(self)),
        }
    }

    /// The same type with a fixed size for a value that may contain itself.
    pub(super) fn sized(self) -> Self {
        match self {
            RustType::List(_) => self,
            RustType::Optional(inner) => RustType::Optional(Box::new(RustType::Boxed(inner))),
            _ => RustType::Boxed(Box::new(self)),
        }
    }

    pub(super) fn is_optional(&self) -> bool {
        matches!(self, RustType::Optional(_))
    }

    /// Returns whether the type has a default without a derive.
    pub(super) fn has_default(&self) -> bool {
        match self {
            RustType::Plain(_) | RustType::Optional(_) | RustType::List(_) | RustType::Map(_) => true,
            RustType::Defined(_) | RustType::Boxed(_) | RustType::Events(_) => false,
        }
    }
}

impl fmt::Display for RustType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RustType::Plain(name) => f.write_str(name),
            RustType::Defined(name) => f.write_str(name),
            RustType::Optional(inner) => write!(f, "Option<{inner}>"),
            RustType::List(item) => write!(f, "Vec<{item}>"),
            RustType::Map(member) => write!(f, "BTreeMap<String, {member}>"),
            RustType::Boxed(inner) => write!(f, "Box<{inner}>"),
            RustType::Events(data) => write!(f, "Events<{data}>"),
        }
    }
}
