//! A text that stands for a value: a parameter of the path, a field of a query, a form or the head.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::de::{self, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::wording::{missing_field, reworded};
use crate::problem::{Excerpt, Fault, Step, bounded};

/// Why a value could not be read, in words, and the way to it.
#[derive(Debug, Default)]
pub(super) struct Error {
    /// The innermost first: they are added on the way out.
    steps: Vec<OwnedStep>,
    message: String,
    /// The message says already what came.
    is_whole: bool,
}

#[derive(Debug)]
enum OwnedStep {
    Key(String),
    Index(usize),
}

impl Error {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Error {
            message: message.into(),
            ..Error::default()
        }
    }

    /// An error whose message says already what came.
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Error {
            is_whole: true,
            ..Error::new(message)
        }
    }

    /// Appends an excerpt of the value that came, unless the message has one.
    pub(super) fn found(mut self, value: &str) -> Self {
        if !self.is_whole {
            self.message = reworded(&self.message);
            if !self.message.contains(", found ") {
                // Writing into a string does not fail.
                let _ = write!(self.message, ", found {:?}", Excerpt::new(value));
            }
            self.is_whole = true;
        }
        self
    }

    /// Says in which field the value is.
    pub(super) fn in_field(mut self, name: &str) -> Self {
        self.steps.push(OwnedStep::Key(name.to_owned()));
        self
    }

    /// Says at which place of a list the value is.
    pub(super) fn in_element(mut self, index: usize) -> Self {
        self.steps.push(OwnedStep::Index(index));
        self
    }

    /// The fault, in a part of the request.
    pub(super) fn fault(self, part: &str) -> Fault {
        let missing = (!self.is_whole).then(|| missing_field(&self.message)).flatten();
        let steps = self.steps.iter().rev().map(|step| match step {
            OwnedStep::Key(name) => Step::Key(name),
            OwnedStep::Index(index) => Step::Index(*index),
        });
        let steps = steps.chain(missing.map(Step::Key));
        let message = if self.is_whole {
            self.message.clone()
        } else {
            reworded(&self.message)
        };
        Fault::at(part, steps, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Error::new(bounded(message))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Error::custom(format_args!(
            "invalid type: {}, expected {expected}",
            Excerpted(unexpected)
        ))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Error::custom(format_args!(
            "invalid value: {}, expected {expected}",
            Excerpted(unexpected)
        ))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let variant = Excerpt::new(variant).to_string();
        de::value::Error::unknown_variant(&variant, expected).into()
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let field = Excerpt::new(field).to_string();
        de::value::Error::unknown_field(&field, expected).into()
    }
}

impl From<de::value::Error> for Error {
    fn from(error: de::value::Error) -> Self {
        Error::new(error.to_string())
    }
}

/// A value that serde did not expect; of a text an excerpt.
struct Excerpted<'a>(Unexpected<'a>);

impl fmt::Display for Excerpted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Str(text) => write!(f, "string {:?}", Excerpt::new(text)),
            other => other.fmt(f),
        }
    }
}

/// Reads a text as whatever is asked for: numbers and such are parsed, an enum is one of its names.
pub(super) struct TextDeserializer<'r>(pub(super) Cow<'r, str>);

impl<'r> TextDeserializer<'r> {
    fn text<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cow::Borrowed(text) => visitor
                .visit_borrowed_str(text)
                .map_err(|error: Error| error.found(text)),
            Cow::Owned(text) => visitor.visit_str(&text).map_err(|error: Error| error.found(&text)),
        }
    }
}

macro_rules! parse {
    ($($method:ident $visit:ident $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse::<$type>() {
                Ok(value) => visitor.$visit(value).map_err(|error: Error| error.found(&self.0)),
                Err(_) => Err(Error::new(concat!("expected ", $expected)).found(&self.0)),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for TextDeserializer<'de> {
    type Error = Error;

    parse! {
        deserialize_bool visit_bool bool, "true or false";
        deserialize_i8 visit_i8 i8, "a whole number from -128 to 127";
        deserialize_i16 visit_i16 i16, "a whole number from -32768 to 32767";
        deserialize_i32 visit_i32 i32, "a whole number of 32 bits";
        deserialize_i64 visit_i64 i64, "a whole number of 64 bits";
        deserialize_i128 visit_i128 i128, "a whole number of 128 bits";
        deserialize_u8 visit_u8 u8, "a whole number from 0 to 255";
        deserialize_u16 visit_u16 u16, "a whole number from 0 to 65535";
        deserialize_u32 visit_u32 u32, "a whole number from 0 up, of 32 bits";
        deserialize_u64 visit_u64 u64, "a whole number from 0 up, of 64 bits";
        deserialize_u128 visit_u128 u128, "a whole number from 0 up, of 128 bits";
        deserialize_f32 visit_f32 f32, "a number";
        deserialize_f64 visit_f64 f64, "a number";
        deserialize_char visit_char char, "one character";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant: de::value::StrDeserializer<'_, Error> = (&*self.0).into_deserializer();
        visitor.visit_enum(variant).map_err(|error| error.found(&self.0))
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
