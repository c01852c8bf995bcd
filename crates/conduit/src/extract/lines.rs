//! Header fields and cookies as the fields of a struct.

use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, Visitor};

use super::error::{Error, Hint};
use super::fields::Node;
use super::text::TextDeserializer;

/// Header fields or cookies (`part`), requested with the names of a struct's fields.
pub(super) struct Lines<F> {
    pub(super) part: &'static str,
    pub(super) find: F,
}

/// The fields of a struct that the request contains.
struct Named<'de> {
    rest: std::vec::IntoIter<(&'static str, Vec<Cow<'de, str>>)>,
    current: Option<(&'static str, Vec<Cow<'de, str>>)>,
}

impl<'de> de::MapAccess<'de> for Named<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.current = self.rest.next();
        match &self.current {
            Some((name, _)) => seed
                .deserialize(TextDeserializer(Cow::Borrowed(name)))
                .map(Some)
                .map_err(|error| error.settled_with(Hint::Unknown, name)),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((name, lines)) = self.current.take() else {
            return Err(Error::new("`next_value` was called before `next_key`"));
        };
        seed.deserialize(Node::Lines(lines))
            .map_err(|error| error.in_field(name))
    }
}

impl<'de, F: Fn(&str) -> Result<Vec<Cow<'de, str>>, Error>> de::Deserializer<'de> for Lines<F> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut found = Vec::new();
        for name in names {
            let lines = (self.find)(name)?;
            if !lines.is_empty() {
                found.push((*name, lines));
            }
        }
        visitor.visit_map(Named {
            rest: found.into_iter(),
            current: None,
        })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::new(format_args!(
            "expected a struct with a field for each {}, without `#[serde(flatten)]`, found another type",
            self.part
        )))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}
