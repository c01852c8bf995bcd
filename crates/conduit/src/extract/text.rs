//! Values that are read from strings: a parameter of the path, a field of a query, a form or the head, the name of a
//! member.

use std::borrow::Cow;

use serde::de::{self, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::error::{Error, Hint, map_error};

/// Reads a string as the expected type: numbers and similar types are parsed, an enum is one of its names.
pub(super) struct TextDeserializer<'r>(pub(super) Cow<'r, str>);

macro_rules! parse {
    ($($method:ident $visit:ident $type:ty, $hint:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse::<$type>() {
                Ok(value) => map_error!(
                    visitor.$visit(value),
                    error => Error::settled_with(error, Hint::Unknown, &self.0)
                ),
                Err(_) => Err(Error::mismatch($hint, &self.0)),
            }
        }
    )*};
}

/// NaN and infinities are not JSON numbers, and a range rule would let NaN pass.
macro_rules! parse_finite {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse::<$type>() {
                Ok(value) if value.is_finite() => map_error!(
                    visitor.$visit(value),
                    error => Error::settled_with(error, Hint::Unknown, &self.0)
                ),
                _ => Err(Error::mismatch(Hint::Number, &self.0)),
            }
        }
    )*};
}

impl<'de> TextDeserializer<'de> {
    /// Passes the text to a visitor, which may expect another kind of value.
    pub(super) fn visit<V: Visitor<'de>>(self, hint: Hint, visitor: V) -> Result<V::Value, Error> {
        let outcome = match &self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_str(text),
        };
        map_error!(outcome, error => Error::settled_with(error, hint, &self.0))
    }
}

impl<'de> de::Deserializer<'de> for TextDeserializer<'de> {
    type Error = Error;

    parse! {
        deserialize_bool visit_bool bool, Hint::Boolean;
        deserialize_i8 visit_i8 i8, Hint::I8;
        deserialize_i16 visit_i16 i16, Hint::I16;
        deserialize_i32 visit_i32 i32, Hint::I32;
        deserialize_i64 visit_i64 i64, Hint::I64;
        deserialize_i128 visit_i128 i128, Hint::I128;
        deserialize_u8 visit_u8 u8, Hint::U8;
        deserialize_u16 visit_u16 u16, Hint::U16;
        deserialize_u32 visit_u32 u32, Hint::U32;
        deserialize_u64 visit_u64 u64, Hint::U64;
        deserialize_u128 visit_u128 u128, Hint::U128;
    }

    parse_finite! {
        deserialize_f32 visit_f32 f32;
        deserialize_f64 visit_f64 f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(Hint::Unknown, visitor)
    }

    // Compiled for the names of each derived struct, so the caller completes an error: with `of_rejected_name`.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_str(&text),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.parse::<char>() {
            Ok(value) => visitor
                .visit_char(value)
                .map_err(|error: Error| error.settled_with(Hint::Unknown, &self.0)),
            Err(_) => Err(Error::expected("one character", &self.0)),
        }
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
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant: de::value::StrDeserializer<'_, Error> = (&*self.0).into_deserializer();
        visitor
            .visit_enum(variant)
            .map_err(|error| error.settled_with(Hint::Variants(variants), &self.0))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(Hint::List, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(Hint::Object, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit(Hint::Object, visitor)
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }
}
