//! JSON deserialization that records the location and the kind of a rejected value.
//!
//! A wrapper of `serde_json`'s deserializer adds steps to the error as it propagates, and nothing else: a valid body costs no
//! additional allocation. The inner parser has a different error type, so a [`Slot`] stores our error meanwhile.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeOwned, DeserializeSeed, Expected, Unexpected, Visitor};

use super::error::{Error, Hint, Kind, map_error};
use super::text::TextDeserializer;

/// Reads a value from a JSON text (RFC 8259).
pub(super) fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let slot = Slot::default();
    let located = Located {
        inner: &mut parser,
        slot: &slot,
    };
    match T::deserialize(located) {
        Ok(value) => match parser.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(Error::of_parser(error)),
        },
        Err(error) => Err(error),
    }
}

/// Stores our error while the inner parser's error propagates.
#[derive(Default)]
struct Slot(Cell<Option<Error>>);

impl Slot {
    /// Stores our error, and returns an error of the inner parser.
    #[cold]
    fn put<E: de::Error>(&self, error: Error) -> E {
        self.0.set(Some(error));
        E::custom("")
    }

    /// Stores the error of a visitor that rejects a value, and returns an error of the inner parser.
    #[cold]
    fn reject<E: de::Error>(&self, found: Unexpected<'_>, expected: &dyn Expected) -> E {
        self.put(de::Error::invalid_type(found, expected))
    }

    /// Returns the stored error; without one, the inner parser has rejected the value.
    #[cold]
    fn take(&self, error: impl de::Error) -> Error {
        self.0.take().unwrap_or_else(|| Error::of_parser(error))
    }
}

struct Located<'s, D> {
    inner: D,
    slot: &'s Slot,
}

macro_rules! with_hint {
    ($($method:ident($($argument:ident: $type:ty),*) as $inner:ident($($passed:ident),*) by $visitor:ident, $hint:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Error> {
            let slot = self.slot;
            $(let _ = $argument;)*
            map_error!(
                self.inner.$inner($($passed,)* $visitor { visitor, slot }),
                error => slot.take(error).settled($hint)
            )
        }
    )*};
}

/// JSON is self-describing: the parser gets the type only if it needs it, so that a value of another kind reaches the visitor,
/// whose error describes it.
impl<'de, D: de::Deserializer<'de>> de::Deserializer<'de> for Located<'_, D> {
    type Error = Error;

    with_hint! {
        deserialize_any() as deserialize_any() by LocatedVisitor, Hint::Unknown;
        deserialize_bool() as deserialize_any() by LocatedVisitor, Hint::Boolean;
        deserialize_i8() as deserialize_any() by LocatedVisitor, Hint::I8;
        deserialize_i16() as deserialize_any() by LocatedVisitor, Hint::I16;
        deserialize_i32() as deserialize_any() by LocatedVisitor, Hint::I32;
        deserialize_i64() as deserialize_any() by LocatedVisitor, Hint::I64;
        deserialize_i128() as deserialize_i128() by LocatedVisitor, Hint::I128;
        deserialize_u8() as deserialize_any() by LocatedVisitor, Hint::U8;
        deserialize_u16() as deserialize_any() by LocatedVisitor, Hint::U16;
        deserialize_u32() as deserialize_any() by LocatedVisitor, Hint::U32;
        deserialize_u64() as deserialize_any() by LocatedVisitor, Hint::U64;
        deserialize_u128() as deserialize_u128() by LocatedVisitor, Hint::U128;
        deserialize_f32() as deserialize_any() by LocatedVisitor, Hint::Number;
        deserialize_f64() as deserialize_any() by LocatedVisitor, Hint::Number;
        deserialize_char() as deserialize_any() by LocatedVisitor, Hint::Unknown;
        deserialize_str() as deserialize_any() by LocatedVisitor, Hint::Unknown;
        deserialize_string() as deserialize_any() by LocatedVisitor, Hint::Unknown;
        deserialize_bytes() as deserialize_bytes() by LocatedVisitor, Hint::Unknown;
        deserialize_byte_buf() as deserialize_byte_buf() by LocatedVisitor, Hint::Unknown;
        deserialize_option() as deserialize_option() by LocatedVisitor, Hint::Unknown;
        deserialize_unit() as deserialize_any() by LocatedVisitor, Hint::Null;
        deserialize_unit_struct(name: &'static str) as deserialize_any() by LocatedVisitor, Hint::Null;
        deserialize_newtype_struct(name: &'static str) as deserialize_newtype_struct(name) by LocatedVisitor, Hint::Unknown;
        deserialize_seq() as deserialize_any() by LocatedVisitor, Hint::List;
        deserialize_tuple(length: usize) as deserialize_any() by LocatedVisitor, Hint::Elements(length);
        deserialize_tuple_struct(name: &'static str, length: usize) as deserialize_any() by LocatedVisitor, Hint::Elements(length);
        deserialize_map() as deserialize_any() by LocatedVisitor, Hint::Object;
        deserialize_struct(name: &'static str, names: &'static [&'static str]) as deserialize_any() by ObjectVisitor, Hint::Object;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) as deserialize_enum(name, variants) by LocatedVisitor,
            Hint::Variants(variants);
        deserialize_identifier() as deserialize_any() by LocatedVisitor, Hint::Unknown;
        deserialize_ignored_any() as deserialize_ignored_any() by LocatedVisitor, Hint::Unknown;
    }
}

struct LocatedVisitor<'s, V> {
    visitor: V,
    slot: &'s Slot,
}

macro_rules! visit_a_value {
    ($($method:ident $type:ty;)*) => {$(
        fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
            map_error!(self.visitor.$method(value), error => self.slot.put(error))
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for LocatedVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    visit_a_value! {
        visit_bool bool;
        visit_i8 i8;
        visit_i16 i16;
        visit_i32 i32;
        visit_i64 i64;
        visit_i128 i128;
        visit_u8 u8;
        visit_u16 u16;
        visit_u32 u32;
        visit_u64 u64;
        visit_u128 u128;
        visit_f32 f32;
        visit_f64 f64;
        visit_char char;
        visit_str &str;
        visit_borrowed_str &'de str;
        visit_string String;
        visit_bytes &[u8];
        visit_borrowed_bytes &'de [u8];
        visit_byte_buf Vec<u8>;
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        map_error!(self.visitor.visit_none(), error => self.slot.put(error))
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        map_error!(self.visitor.visit_unit(), error => self.slot.put(error))
    }

    fn visit_some<D: de::Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let LocatedVisitor { visitor, slot } = self;
        map_error!(visitor.visit_some(Located { inner, slot }), error => slot.put(error))
    }

    fn visit_newtype_struct<D: de::Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let LocatedVisitor { visitor, slot } = self;
        map_error!(visitor.visit_newtype_struct(Located { inner, slot }), error => slot.put(error))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let LocatedVisitor { visitor, slot } = self;
        visit_list(visitor, inner, slot)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let LocatedVisitor { visitor, slot } = self;
        visit_object(visitor, inner, slot)
    }

    fn visit_enum<A: de::EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let LocatedVisitor { visitor, slot } = self;
        map_error!(
            visitor.visit_enum(LocatedEnum { inner, slot }),
            error => slot.put(error.settled_inside(Kind::Other))
        )
    }
}

fn visit_list<'de, V: Visitor<'de>, A: de::SeqAccess<'de>>(
    visitor: V,
    inner: A,
    slot: &Slot,
) -> Result<V::Value, A::Error> {
    map_error!(
        visitor.visit_seq(LocatedList { inner, slot, index: 0 }),
        error => slot.put(error.settled_inside(Kind::List))
    )
}

fn visit_object<'de, V: Visitor<'de>, A: de::MapAccess<'de>>(
    visitor: V,
    inner: A,
    slot: &Slot,
) -> Result<V::Value, A::Error> {
    let map = LocatedMap {
        inner,
        slot,
        name: Cow::Borrowed(""),
    };
    map_error!(visitor.visit_map(map), error => slot.put(error.settled_inside(Kind::Object)))
}

/// A visitor that requests an object or a list, as every derived struct does. It never receives other values, so that its
/// methods for those are not compiled for each type of a program.
struct ObjectVisitor<'s, V> {
    visitor: V,
    slot: &'s Slot,
}

macro_rules! reject_a_value {
    ($($method:ident($value:ident: $type:ty) as $found:expr;)*) => {$(
        fn $method<E: de::Error>(self, $value: $type) -> Result<V::Value, E> {
            Err(self.slot.reject($found, &self.visitor))
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for ObjectVisitor<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    reject_a_value! {
        visit_bool(value: bool) as Unexpected::Bool(value);
        visit_i64(value: i64) as Unexpected::Signed(value);
        visit_u64(value: u64) as Unexpected::Unsigned(value);
        visit_f64(value: f64) as Unexpected::Float(value);
        visit_str(value: &str) as Unexpected::Str(value);
        visit_borrowed_str(value: &'de str) as Unexpected::Str(value);
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        Err(self.slot.reject(Unexpected::Unit, &self.visitor))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        visit_list(self.visitor, inner, self.slot)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        visit_object(self.visitor, inner, self.slot)
    }
}

struct LocatedSeed<'s, T> {
    seed: T,
    slot: &'s Slot,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for LocatedSeed<'_, T> {
    type Value = T::Value;

    fn deserialize<D: de::Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        let LocatedSeed { seed, slot } = self;
        map_error!(seed.deserialize(Located { inner, slot }), error => slot.put(error))
    }
}

struct LocatedList<'s, A> {
    inner: A,
    slot: &'s Slot,
    index: usize,
}

impl<'de, A: de::SeqAccess<'de>> de::SeqAccess<'de> for LocatedList<'_, A> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let (slot, index) = (self.slot, self.index);
        self.index += 1;
        map_error!(
            self.inner.next_element_seed(LocatedSeed { seed, slot }),
            error => slot.take(error).in_element(index)
        )
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct LocatedMap<'s, 'de, A> {
    inner: A,
    slot: &'s Slot,
    /// The name of the member whose value is next.
    name: Cow<'de, str>,
}

impl<'de, A: de::MapAccess<'de>> LocatedMap<'_, 'de, A> {
    /// Reads the name of the next member. Returns whether there is one.
    fn next_name(&mut self) -> Result<bool, Error> {
        match self.inner.next_key::<Name<'de>>() {
            Ok(Some(Name(name))) => {
                self.name = name;
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(error) => Err(self.slot.take(error)),
        }
    }
}

impl<'de, A: de::MapAccess<'de>> de::MapAccess<'de> for LocatedMap<'_, 'de, A> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.next_name() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(error),
        }
        match seed.deserialize(TextDeserializer(self.name.clone())) {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(error.of_rejected_name(&self.name)),
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let slot = self.slot;
        map_error!(
            self.inner.next_value_seed(LocatedSeed { seed, slot }),
            error => slot.take(error).in_field(&self.name)
        )
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

struct LocatedEnum<'s, A> {
    inner: A,
    slot: &'s Slot,
}

impl<'s, 'de, A: de::EnumAccess<'de>> de::EnumAccess<'de> for LocatedEnum<'s, A> {
    type Error = Error;
    type Variant = LocatedVariant<'s, 'de, A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self::Variant), Error> {
        let LocatedEnum { inner, slot } = self;
        let (Name(name), inner) = inner.variant::<Name<'de>>().map_err(|error| slot.take(error))?;
        let variant = seed
            .deserialize(TextDeserializer(name.clone()))
            .map_err(|error| error.settled_with(Hint::Unknown, &name))?;
        Ok((variant, LocatedVariant { inner, slot, name }))
    }
}

struct LocatedVariant<'s, 'de, A> {
    inner: A,
    slot: &'s Slot,
    name: Cow<'de, str>,
}

impl<'de, A: de::VariantAccess<'de>> de::VariantAccess<'de> for LocatedVariant<'_, 'de, A> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        let error = |error| self.slot.take(error).settled(Hint::Null).in_field(&self.name);
        self.inner.unit_variant().map_err(error)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let slot = self.slot;
        let error = |error| slot.take(error).in_field(&self.name);
        self.inner
            .newtype_variant_seed(LocatedSeed { seed, slot })
            .map_err(error)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let slot = self.slot;
        let error = |error| slot.take(error).settled(Hint::Elements(length)).in_field(&self.name);
        let visitor = LocatedVisitor { visitor, slot };
        self.inner.tuple_variant(length, visitor).map_err(error)
    }

    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        let slot = self.slot;
        let error = |error| slot.take(error).settled(Hint::Object).in_field(&self.name);
        let visitor = LocatedVisitor { visitor, slot };
        self.inner.struct_variant(names, visitor).map_err(error)
    }
}

/// The name of a member, borrowed from the text unless it contains escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor).map(Name)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }

    fn visit_string<E>(self, name: String) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name))
    }
}
