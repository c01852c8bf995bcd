//! The error of a rejected value: its location, the expected kind, and the actual one.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::refusals;
use crate::excerpt::bounded;
use crate::problem::{Excerpt, Fault, Step};

/// The longest name of a step. A fault shows an excerpt of a long name, and has neither pointer nor field for one above 256 bytes.
const STEP_BYTES: usize = 260;

/// An inlined `Result::map_err`: serde's functions are compiled for each type of a program, and the method and its closure
/// would add two more functions for each of them.
macro_rules! map_error {
    ($result:expr, $error:ident => $other:expr) => {
        match $result {
            Ok(value) => Ok(value),
            Err($error) => Err($other),
        }
    };
}

pub(super) use map_error;

/// A rejected value. Boxed, because the `Result` of every deserialized value contains it.
#[derive(Debug)]
pub(super) struct Error(Box<Rejection>);

#[derive(Debug)]
struct Rejection {
    /// The steps to the value, innermost first: each level adds its step as the error propagates.
    steps: Vec<OwnedStep>,
    cause: Cause,
    /// Set if the level that read the value has described it; outer levels then leave it unchanged.
    is_settled: bool,
}

#[derive(Debug)]
enum OwnedStep {
    Key(String),
    Index(usize),
}

#[derive(Debug)]
enum Cause {
    /// A value of another kind or out of range. `expected` is serde's text until the level that reads the value replaces it.
    Mismatch {
        expected: String,
        kind: Kind,
        found: String,
        /// The rejected string, by its location in memory.
        text: Option<refusals::TextPosition>,
    },
    Message(String),
    /// The error of the inner parser: a string that it cannot parse, or a value that it rejects without a visitor.
    Parser {
        message: String,
        expected: Option<String>,
    },
}

/// The kind of a value that a visitor rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Boolean,
    Whole(i128),
    Number,
    Text,
    List,
    /// A list that is too short.
    Short,
    Object,
    Other,
}

/// The kind of value that the type requests, known from the deserializer method.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hint {
    /// The kind is unknown: the visitor alone describes it.
    Unknown,
    Null,
    Boolean,
    Whole {
        words: &'static str,
        least: i128,
        most: i128,
    },
    Number,
    List,
    Elements(usize),
    Object,
    Variants(&'static [&'static str]),
}

macro_rules! whole {
    ($($name:ident $type:ty, $words:literal;)*) => {$(
        pub(super) const $name: Hint = Hint::Whole {
            words: $words,
            least: <$type>::MIN as i128,
            most: if <$type>::MAX as u128 > i128::MAX as u128 { i128::MAX } else { <$type>::MAX as i128 },
        };
    )*};
}

impl Hint {
    whole! {
        I8 i8, "a whole number from -128 to 127";
        I16 i16, "a whole number from -32768 to 32767";
        I32 i32, "a whole number of 32 bits";
        I64 i64, "a whole number of 64 bits";
        I128 i128, "a whole number of 128 bits";
        U8 u8, "a whole number from 0 to 255";
        U16 u16, "a whole number from 0 to 65535";
        U32 u32, "a whole number from 0 up, of 32 bits";
        U64 u64, "a whole number from 0 up, of 64 bits";
        U128 u128, "a whole number from 0 up, of 128 bits";
    }

    /// Describes the expected value; `None` if only the visitor can.
    pub(super) fn words(&self) -> Option<String> {
        Some(match self {
            Hint::Unknown => return None,
            Hint::Null => "null".to_owned(),
            Hint::Boolean => "true or false".to_owned(),
            Hint::Whole { words, .. } => (*words).to_owned(),
            Hint::Number => "a number".to_owned(),
            Hint::List => "a list".to_owned(),
            Hint::Elements(1) => "a list of 1 element".to_owned(),
            Hint::Elements(count) => format!("a list of {count} elements"),
            Hint::Object => "an object".to_owned(),
            Hint::Variants(names) => one_of(names),
        })
    }

    /// Returns whether a rejected value is of the expected kind: then only the visitor knows the reason, as with a `NonZero`
    /// that rejects 0.
    fn fits(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Hint::Unknown, _) => true,
            (Hint::Whole { least, most, .. }, Kind::Whole(value)) => (least..=most).contains(&&value),
            (Hint::Null, Kind::Null)
            | (Hint::Boolean, Kind::Boolean)
            | (Hint::Number, Kind::Number | Kind::Whole(_))
            | (Hint::List, Kind::List)
            | (Hint::Object, Kind::Object) => true,
            _ => false,
        }
    }
}

/// Describes a choice of names.
pub(super) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match &quoted[..] {
        [] => "no value at all".to_owned(),
        [only] => only.clone(),
        [one, other] => format!("{one} or {other}"),
        all => format!("one of {}", all.join(", ")),
    }
}

impl Error {
    fn of(cause: Cause, is_settled: bool) -> Self {
        Error(Box::new(Rejection {
            steps: Vec::new(),
            cause,
            is_settled,
        }))
    }

    /// Returns an error with a complete message.
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Error::of(Cause::Message(bounded(message)), true)
    }

    /// Returns the error of the inner parser.
    pub(super) fn of_parser(error: impl fmt::Display) -> Self {
        let message = bounded(error);
        Error::of(
            Cause::Parser {
                message,
                expected: None,
            },
            false,
        )
    }

    /// Returns the error of a string that is not of the expected kind.
    pub(super) fn mismatch(hint: Hint, text: &str) -> Self {
        Error::expected(hint.words().unwrap_or_default(), text)
    }

    /// Returns the error of a string in place of the expected value.
    pub(super) fn expected(expected: impl Into<String>, text: &str) -> Self {
        let cause = Cause::Mismatch {
            expected: expected.into(),
            kind: Kind::Text,
            found: format!("{:?}", Excerpt::new(text)),
            text: None,
        };
        Error::of(cause, true)
    }

    /// Returns the error of a wrong number of values.
    pub(super) fn count(expected: impl fmt::Display, found: usize) -> Self {
        Error::new(format_args!("expected {expected}, found {found}"))
    }

    /// Completes the error at the level that requested a value by `hint`.
    pub(super) fn settled(mut self, hint: Hint) -> Self {
        let rejection = &mut *self.0;
        if std::mem::replace(&mut rejection.is_settled, true) {
            return self;
        }
        match &mut rejection.cause {
            Cause::Mismatch { expected, kind, .. } if !hint.fits(*kind) => {
                *expected = hint.words().unwrap_or_default();
            }
            Cause::Parser { expected, .. } => *expected = hint.words(),
            Cause::Mismatch { .. } | Cause::Message(_) => {}
        }
        self
    }

    /// Completes the error at a level that passed a list or an object (`given`) to a visitor. The values inside are described,
    /// or serde kept them for later. Remaining cases: the rejected list or object itself, and a list that is too short.
    pub(super) fn settled_inside(mut self, given: Kind) -> Self {
        let is_whole = match self.0.cause {
            Cause::Mismatch { kind, .. } => self.0.steps.is_empty() && (kind == given || kind == Kind::Short),
            Cause::Message(_) | Cause::Parser { .. } => false,
        };
        self.0.is_settled |= !is_whole;
        self
    }

    /// Completes the error at a level that passed the elements of a list to a visitor.
    pub(super) fn settled_elements(self, hint: Hint) -> Self {
        match self.0.cause {
            Cause::Mismatch { kind: Kind::Short, .. } if self.0.steps.is_empty() => self.settled(hint),
            _ => self,
        }
    }

    /// Moves the error to the location with these names.
    pub(super) fn at<'n>(mut self, names: impl Iterator<Item = &'n str>) -> Self {
        self.0.steps.clear();
        for name in names {
            self = self.in_field(name);
        }
        self.0.steps.reverse();
        self
    }

    /// Adds the text to the error of a type that accepted `text` as a `String` and then rejected it.
    pub(super) fn found(self, text: &str) -> Self {
        match self.0.cause {
            Cause::Message(_) if self.0.steps.is_empty() => self.settled_with(Hint::Unknown, text),
            _ => self,
        }
    }

    /// Completes the error at the level that read `text`, and quotes the text.
    pub(super) fn settled_with(mut self, hint: Hint, text: &str) -> Self {
        if self.0.is_settled {
            return self;
        }
        let quoted = format!("{:?}", Excerpt::new(text));
        match &mut self.0.cause {
            Cause::Mismatch { found, .. } => *found = quoted,
            Cause::Message(message) => {
                message.push_str(", found ");
                message.push_str(&quoted);
            }
            Cause::Parser { .. } => {}
        }
        self.settled(hint)
    }

    /// Adds the name of the field that contains the value.
    pub(super) fn in_field(mut self, name: &str) -> Self {
        self.0.steps.push(OwnedStep::Key(name[..step_length(name)].to_owned()));
        self
    }

    /// Adds the name of the rejected value, unless the error already has one.
    pub(super) fn of_name(self, name: &str) -> Self {
        match self.0.steps.is_empty() {
            true => self.in_field(name),
            false => self,
        }
    }

    /// Completes the error of a visitor that rejected this name.
    pub(super) fn of_rejected_name(self, name: &str) -> Self {
        self.settled_with(Hint::Unknown, name).of_name(name)
    }

    /// Adds the index of the list element that contains the value.
    pub(super) fn in_element(mut self, index: usize) -> Self {
        self.0.steps.push(OwnedStep::Index(index));
        self
    }

    /// Returns the text that a visitor rejected and that no level has described, because serde kept it for later.
    pub(super) fn refused_text(&self) -> Option<refusals::TextPosition> {
        match self.0.cause {
            Cause::Mismatch { text, .. } if !self.0.is_settled => text,
            _ => None,
        }
    }

    /// Returns the kind of value that a visitor rejected and that no level has described.
    pub(super) fn refused_kind(&self) -> Option<Kind> {
        match self.0.cause {
            Cause::Mismatch { kind, .. } if !self.0.is_settled => Some(kind),
            _ => None,
        }
    }

    /// Returns whether this is an error of the inner parser, which may be a syntax error.
    pub(super) fn is_of_parser(&self) -> bool {
        matches!(self.0.cause, Cause::Parser { .. })
    }

    fn steps(&self) -> impl Iterator<Item = Step<'_>> + Clone {
        self.0.steps.iter().rev().map(|step| match step {
            OwnedStep::Key(name) => Step::Key(name),
            OwnedStep::Index(index) => Step::Index(*index),
        })
    }

    /// Returns the fault, in a part of the request.
    pub(super) fn fault(&self, part: &str) -> Fault {
        Fault::at(part, self.steps(), self.to_string())
    }

    /// Returns the fault of a value in a form.
    pub(super) fn form_fault(&self) -> Fault {
        Fault::of_form(self.steps(), self.to_string())
    }

    /// Returns the fault of a value in a JSON body.
    pub(super) fn json_fault(&self) -> Fault {
        Fault::of_json(self.steps(), self.to_string())
    }
}

/// The length of the part of a name that a step keeps.
pub(super) fn step_length(name: &str) -> usize {
    name.floor_char_boundary(STEP_BYTES)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.cause {
            Cause::Mismatch { expected, found, .. } => write!(f, "expected {expected}, found {found}"),
            Cause::Message(message) => f.write_str(message),
            Cause::Parser {
                expected: Some(expected),
                ..
            } => write!(f, "expected {expected}"),
            Cause::Parser { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Error::of(Cause::Message(bounded(message)), false)
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Error::invalid_value(unexpected, expected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let (kind, found) = described(unexpected);
        let text = match unexpected {
            Unexpected::Str(text) => Some(refusals::note(text)),
            _ => None,
        };
        let cause = Cause::Mismatch {
            expected: bounded(expected),
            kind,
            found,
            text,
        };
        Error::of(cause, false)
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let cause = Cause::Mismatch {
            expected: bounded(expected),
            kind: Kind::Short,
            found: format!("{length}"),
            text: None,
        };
        Error::of(cause, false)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let cause = Cause::Mismatch {
            expected: one_of(expected),
            kind: Kind::Text,
            found: format!("{:?}", Excerpt::new(variant)),
            text: Some(refusals::note(variant)),
        };
        Error::of(cause, false)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = match expected {
            [] => "unknown; expected no field".to_owned(),
            names => bounded(format_args!("unknown; expected {}", one_of(names))),
        };
        Error::new(message).in_field(field)
    }

    fn missing_field(field: &'static str) -> Self {
        Error::new("missing").in_field(field)
    }

    fn duplicate_field(field: &'static str) -> Self {
        Error::new("expected one value, found several").in_field(field)
    }
}

/// Returns the kind of a rejected value and its description.
fn described(unexpected: Unexpected<'_>) -> (Kind, String) {
    match unexpected {
        Unexpected::Bool(value) => (Kind::Boolean, value.to_string()),
        Unexpected::Unsigned(value) => (Kind::Whole(i128::from(value)), value.to_string()),
        Unexpected::Signed(value) => (Kind::Whole(i128::from(value)), value.to_string()),
        Unexpected::Float(value) => (Kind::Number, format!("{value:?}")),
        Unexpected::Char(value) => (Kind::Text, format!("{value:?}")),
        Unexpected::Str(text) => (Kind::Text, format!("{:?}", Excerpt::new(text))),
        Unexpected::Bytes(bytes) => (Kind::Other, format!("{} bytes", bytes.len())),
        Unexpected::Unit | Unexpected::Option => (Kind::Null, "null".to_owned()),
        Unexpected::Seq => (Kind::List, "a list".to_owned()),
        Unexpected::Map => (Kind::Object, "an object".to_owned()),
        other => (Kind::Other, bounded(other)),
    }
}
