//! Values as pairs of names and strings, written by serde.

use std::fmt;

use serde::ser::{self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, SerializeTupleStruct};

/// The strings of a value. A single value has one with an empty name, a struct one for each field, and each step into a
/// field adds its name in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPairs(Vec<(String, String)>);

impl LinkPairs {
    #[track_caller]
    pub(super) fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        match value.serialize(ValueWriter) {
            Ok(pairs) => pairs,
            Err(error) => panic!("a link cannot contain this value: {error}"),
        }
    }

    /// The text of a single value.
    pub(crate) fn only(&self) -> Option<&str> {
        match &*self.0 {
            [(name, text)] if name.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The text of a field.
    pub(super) fn of_name(&self, name: &str) -> Option<&str> {
        let is_named = |steps: &str| steps.strip_prefix('[').and_then(|steps| steps.strip_suffix(']')) == Some(name);
        let (_, text) = self.0.iter().find(|(steps, _)| is_named(steps))?;
        Some(text)
    }

    /// The fields of a query: `a`, `a[b]`.
    pub(super) fn named(&self) -> impl Iterator<Item = (String, &str)> {
        self.0.iter().filter_map(|(steps, text)| {
            let (first, rest) = steps.strip_prefix('[')?.split_once(']')?;
            Some((format!("{first}{rest}"), text.as_str()))
        })
    }

    fn single(text: impl ToString) -> Self {
        LinkPairs(vec![(String::new(), text.to_string())])
    }

    fn push_field(&mut self, name: &str, value: LinkPairs) {
        let fields = value.0.into_iter();
        self.0
            .extend(fields.map(|(steps, text)| (format!("[{name}]{steps}"), text)));
    }

    /// Single values in a list repeat the name of the list; other values have their index.
    fn push_element(&mut self, place: usize, value: LinkPairs) {
        match value.only() {
            Some(_) => self.0.extend(value.0),
            None => self.push_field(&place.to_string(), value),
        }
    }
}

/// The reason why a value has no text.
#[derive(Debug)]
pub(super) struct NoText(String);

impl fmt::Display for NoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoText {}

impl ser::Error for NoText {
    fn custom<T: fmt::Display>(message: T) -> Self {
        NoText(message.to_string())
    }
}

struct ValueWriter;

macro_rules! write_as_text {
    ($($method:ident $type:ty;)*) => {$(
        fn $method(self, value: $type) -> Result<LinkPairs, NoText> {
            Ok(LinkPairs::single(value))
        }
    )*};
}

impl ser::Serializer for ValueWriter {
    type Ok = LinkPairs;
    type Error = NoText;
    type SerializeSeq = ListWriter;
    type SerializeTuple = ListWriter;
    type SerializeTupleStruct = ListWriter;
    type SerializeTupleVariant = ser::Impossible<LinkPairs, NoText>;
    type SerializeMap = FieldWriter;
    type SerializeStruct = FieldWriter;
    type SerializeStructVariant = ser::Impossible<LinkPairs, NoText>;

    write_as_text! {
        serialize_bool bool;
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_i128 i128;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
        serialize_u128 u128;
        serialize_f32 f32;
        serialize_f64 f64;
        serialize_char char;
        serialize_str &str;
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<LinkPairs, NoText> {
        Err(NoText("bytes cannot be written as text".to_owned()))
    }

    fn serialize_none(self) -> Result<LinkPairs, NoText> {
        Ok(LinkPairs(Vec::new()))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<LinkPairs, NoText> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<LinkPairs, NoText> {
        Ok(LinkPairs(Vec::new()))
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<LinkPairs, NoText> {
        Ok(LinkPairs(Vec::new()))
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<LinkPairs, NoText> {
        Ok(LinkPairs::single(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<LinkPairs, NoText> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<LinkPairs, NoText> {
        let mut pairs = LinkPairs(Vec::new());
        pairs.push_field(variant, value.serialize(ValueWriter)?);
        Ok(pairs)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListWriter, NoText> {
        Ok(ListWriter::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<ListWriter, NoText> {
        Ok(ListWriter::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<ListWriter, NoText> {
        Ok(ListWriter::default())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoText> {
        Err(NoText(format!("the variant {variant} has fields: use a unit variant")))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<FieldWriter, NoText> {
        Ok(FieldWriter::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<FieldWriter, NoText> {
        Ok(FieldWriter::default())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoText> {
        Err(NoText(format!("the variant {variant} has fields: use a unit variant")))
    }
}

/// A list, a tuple or a tuple struct.
struct ListWriter {
    pairs: LinkPairs,
    place: usize,
}

impl Default for ListWriter {
    fn default() -> Self {
        ListWriter {
            pairs: LinkPairs(Vec::new()),
            place: 0,
        }
    }
}

impl ListWriter {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoText> {
        self.pairs.push_element(self.place, value.serialize(ValueWriter)?);
        self.place += 1;
        Ok(())
    }
}

macro_rules! write_elements {
    ($($trait:ident $method:ident;)*) => {$(
        impl $trait for ListWriter {
            type Ok = LinkPairs;
            type Error = NoText;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoText> {
                self.push(value)
            }

            fn end(self) -> Result<LinkPairs, NoText> {
                Ok(self.pairs)
            }
        }
    )*};
}

write_elements! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
}

/// A struct or a map.
struct FieldWriter {
    pairs: LinkPairs,
    /// The key of a map's next value.
    key: String,
}

impl Default for FieldWriter {
    fn default() -> Self {
        FieldWriter {
            pairs: LinkPairs(Vec::new()),
            key: String::new(),
        }
    }
}

impl SerializeStruct for FieldWriter {
    type Ok = LinkPairs;
    type Error = NoText;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), NoText> {
        self.pairs.push_field(name, value.serialize(ValueWriter)?);
        Ok(())
    }

    fn end(self) -> Result<LinkPairs, NoText> {
        Ok(self.pairs)
    }
}

impl SerializeMap for FieldWriter {
    type Ok = LinkPairs;
    type Error = NoText;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoText> {
        let key = key.serialize(ValueWriter)?;
        let text = key
            .only()
            .ok_or_else(|| NoText("the key of a map is not text".to_owned()))?;
        self.key = text.to_owned();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoText> {
        let key = std::mem::take(&mut self.key);
        self.pairs.push_field(&key, value.serialize(ValueWriter)?);
        Ok(())
    }

    fn end(self) -> Result<LinkPairs, NoText> {
        Ok(self.pairs)
    }
}
