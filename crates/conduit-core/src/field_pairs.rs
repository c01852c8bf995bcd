//! Values as pairs of names and strings, written by serde: parameters of a link, queries and forms.

use std::fmt::{self, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::ser::{self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, SerializeTupleStruct};

/// The bytes that are encoded: all but the unreserved ones (RFC 3986, section 2.3).
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The strings of a value. A single value has one without a name, a struct one for each field. A field of a field has both
/// names, the second in brackets: `a[b]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldPairs(Vec<Pair>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pair {
    /// None of a single value.
    name: Option<FieldName>,
    text: String,
}

/// The name of a field, and those of the fields in it in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FieldName {
    text: String,
    /// The length of the name of the field itself.
    first_bytes: usize,
}

impl FieldName {
    /// The name of a field, or of this field in it.
    fn of(name: &str, inner: Option<FieldName>) -> Self {
        let mut text = name.to_owned();
        if let Some(inner) = inner {
            let (first, rest) = inner.text.split_at(inner.first_bytes);
            text.extend(["[", first, "]", rest]);
        }
        FieldName {
            text,
            first_bytes: name.len(),
        }
    }
}

impl FieldPairs {
    /// Writes a value.
    ///
    /// # Errors
    /// The value, or a part of it, has no text: bytes, the fields of a variant, or a list that is the key of a map.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, NoText> {
        value.serialize(ValueWriter::Outer)
    }

    /// The text of a single value.
    pub fn only(&self) -> Option<&str> {
        match &*self.0 {
            [Pair { name: None, text }] => Some(text),
            _ => None,
        }
    }

    /// The text of a field.
    pub fn of_name(&self, name: &str) -> Option<&str> {
        let is_named = |known: &FieldName| known.first_bytes == known.text.len() && known.text == name;
        let pair = self.0.iter().find(|pair| pair.name.as_ref().is_some_and(is_named))?;
        Some(&pair.text)
    }

    /// The fields with their texts: `a`, `a[b]`.
    pub fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(|pair| Some((pair.name.as_ref()?.text.as_str(), pair.text.as_str())))
    }

    /// The fields as a query, percent-encoded.
    pub fn urlencoded(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.named() {
            let separator = if text.is_empty() { "" } else { "&" };
            let (name, value) = (
                utf8_percent_encode(name, RESERVED),
                utf8_percent_encode(value, RESERVED),
            );
            // A `String` accepts every write.
            let _ = write!(text, "{separator}{name}={value}");
        }
        text
    }

    fn single(text: impl ToString) -> Self {
        FieldPairs(vec![Pair {
            name: None,
            text: text.to_string(),
        }])
    }

    fn push_field(&mut self, name: &str, value: FieldPairs) {
        self.0.extend(value.0.into_iter().map(|pair| Pair {
            name: Some(FieldName::of(name, pair.name)),
            text: pair.text,
        }));
    }

    /// Single values in a list repeat the name of the list; other values have their index.
    fn push_element(&mut self, place: usize, value: FieldPairs) {
        match value.only() {
            Some(_) => self.0.extend(value.0),
            None => self.push_field(&place.to_string(), value),
        }
    }
}

/// Writes a value as a query or a form (`application/x-www-form-urlencoded`), as `Query` and `Form` read it: a list repeats its
/// name, a struct in a struct has its fields in brackets, `None` is omitted. The value is a struct, a map, or a list of pairs of
/// a name and a value. A space is written as `+`.
///
/// # Errors
/// As [`FieldPairs::of`], and if a value has no name.
pub fn urlencoded<T: Serialize + ?Sized>(value: &T) -> Result<String, NoText> {
    let pairs = FieldPairs::of(value)?;
    if pairs.0.iter().any(|pair| pair.name.is_none()) {
        return Err(NoText(
            "a value has no name: use a struct, a map or a list of pairs".to_owned(),
        ));
    }
    // A `%` of the value is encoded.
    Ok(pairs.urlencoded().replace("%20", "+"))
}

/// The reason why a value has no text.
#[derive(Debug)]
pub struct NoText(String);

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

/// The writer of a value.
#[derive(Clone, Copy)]
enum ValueWriter {
    /// Of the whole value, whose list has pairs of a name and a value.
    Outer,
    /// Of an element of that list.
    Pair,
    /// Of a value in another one.
    Inner,
}

macro_rules! write_as_text {
    ($($method:ident $type:ty;)*) => {$(
        fn $method(self, value: $type) -> Result<FieldPairs, NoText> {
            Ok(FieldPairs::single(value))
        }
    )*};
}

impl ser::Serializer for ValueWriter {
    type Ok = FieldPairs;
    type Error = NoText;
    type SerializeSeq = ListWriter;
    type SerializeTuple = ListWriter;
    type SerializeTupleStruct = ListWriter;
    type SerializeTupleVariant = ser::Impossible<FieldPairs, NoText>;
    type SerializeMap = FieldWriter;
    type SerializeStruct = FieldWriter;
    type SerializeStructVariant = ser::Impossible<FieldPairs, NoText>;

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

    fn serialize_bytes(self, _: &[u8]) -> Result<FieldPairs, NoText> {
        Err(NoText("bytes cannot be written as text".to_owned()))
    }

    fn serialize_none(self) -> Result<FieldPairs, NoText> {
        Ok(FieldPairs::default())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<FieldPairs, NoText> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<FieldPairs, NoText> {
        Ok(FieldPairs::default())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<FieldPairs, NoText> {
        Ok(FieldPairs::default())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<FieldPairs, NoText> {
        Ok(FieldPairs::single(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<FieldPairs, NoText> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<FieldPairs, NoText> {
        let mut pairs = FieldPairs::default();
        pairs.push_field(variant, value.serialize(ValueWriter::Inner)?);
        Ok(pairs)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListWriter, NoText> {
        Ok(ListWriter {
            pairs: FieldPairs::default(),
            name: None,
            place: 0,
            list: self,
        })
    }

    fn serialize_tuple(self, length: usize) -> Result<ListWriter, NoText> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<ListWriter, NoText> {
        self.serialize_seq(Some(length))
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
    pairs: FieldPairs,
    /// The first element of a pair.
    name: Option<String>,
    place: usize,
    /// The place of the list.
    list: ValueWriter,
}

impl ListWriter {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoText> {
        match self.list {
            ValueWriter::Outer => self.pairs.0.extend(value.serialize(ValueWriter::Pair)?.0),
            ValueWriter::Inner => self
                .pairs
                .push_element(self.place, value.serialize(ValueWriter::Inner)?),
            ValueWriter::Pair => {
                let value = value.serialize(ValueWriter::Inner)?;
                match (&self.name, value.only()) {
                    (None, Some(name)) => self.name = Some(name.to_owned()),
                    (Some(name), _) if self.place == 1 => self.pairs.push_field(name, value),
                    _ => {
                        return Err(NoText(
                            "a list without a name has pairs of a name and a value".to_owned(),
                        ));
                    }
                }
            }
        }
        self.place += 1;
        Ok(())
    }
}

macro_rules! write_elements {
    ($($trait:ident $method:ident;)*) => {$(
        impl $trait for ListWriter {
            type Ok = FieldPairs;
            type Error = NoText;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoText> {
                self.push(value)
            }

            fn end(self) -> Result<FieldPairs, NoText> {
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
#[derive(Default)]
struct FieldWriter {
    pairs: FieldPairs,
    /// The key of a map's next value.
    key: String,
}

impl SerializeStruct for FieldWriter {
    type Ok = FieldPairs;
    type Error = NoText;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), NoText> {
        self.pairs.push_field(name, value.serialize(ValueWriter::Inner)?);
        Ok(())
    }

    fn end(self) -> Result<FieldPairs, NoText> {
        Ok(self.pairs)
    }
}

impl SerializeMap for FieldWriter {
    type Ok = FieldPairs;
    type Error = NoText;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoText> {
        let key = key.serialize(ValueWriter::Inner)?;
        let text = key
            .only()
            .ok_or_else(|| NoText("the key of a map is not text".to_owned()))?;
        self.key = text.to_owned();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoText> {
        let key = std::mem::take(&mut self.key);
        self.pairs.push_field(&key, value.serialize(ValueWriter::Inner)?);
        Ok(())
    }

    fn end(self) -> Result<FieldPairs, NoText> {
        Ok(self.pairs)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(serde::Serialize)]
    struct Item {
        id: u32,
        tags: Vec<&'static str>,
    }

    #[derive(serde::Serialize)]
    struct Order {
        name: &'static str,
        item: Item,
        items: Vec<Item>,
        note: Option<&'static str>,
        by_name: BTreeMap<&'static str, Item>,
    }

    fn item(id: u32) -> Item {
        Item {
            id,
            tags: vec!["a", "b c"],
        }
    }

    fn text<T: Serialize + ?Sized>(value: &T) -> String {
        FieldPairs::of(value)
            .expect("the value has a text")
            .named()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&")
    }

    #[test]
    fn fields_of_fields_have_brackets_and_lists_of_structs_an_index() {
        let order = Order {
            name: "x",
            item: item(1),
            items: vec![item(2), item(3)],
            note: None,
            by_name: BTreeMap::from([("q]", item(4))]),
        };
        assert_eq!(
            text(&order),
            "name=x&item[id]=1&item[tags]=a&item[tags]=b c&items[0][id]=2&items[0][tags]=a&items[0][tags]=b c\
             &items[1][id]=3&items[1][tags]=a&items[1][tags]=b c\
             &by_name[q]][id]=4&by_name[q]][tags]=a&by_name[q]][tags]=b c"
        );
    }

    #[test]
    fn list_of_pairs_has_the_names_of_fields() {
        assert_eq!(text(&[("a", "1"), ("a", "2"), ("b[c][0]", "3")]), "a=1&a=2&b[c][0]=3");
        assert_eq!(text(&[("a", None), ("b", Some(1))]), "b=1");
        assert_eq!(text(&vec![("ids", vec![1, 2])]), "ids=1&ids=2");
        assert_eq!(text(&[("item", item(1))]), "item[id]=1&item[tags]=a&item[tags]=b c");
        assert_eq!(text(&(("a", 1), ("b", true))), "a=1&b=true");
        // A list in a field has no names.
        assert_eq!(text(&BTreeMap::from([("points", [(1, 2)])])), "points[0]=1&points[0]=2");
    }

    #[test]
    fn every_byte_with_a_meaning_is_encoded() {
        assert_eq!(
            urlencoded(&[("a b[c]", "d+e&f=g%h\u{e9}")]).expect("text"),
            "a+b%5Bc%5D=d%2Be%26f%3Dg%25h%C3%A9"
        );
        assert_eq!(urlencoded(&()).expect("text"), "");
        assert_eq!(urlencoded(&[("", "")]).expect("text"), "=");
    }

    #[test]
    fn value_without_a_name_is_an_error() {
        for error in [urlencoded(&5), urlencoded("a"), urlencoded(&["a", "b"])] {
            let error = error.expect_err("the value has no name");
            assert_eq!(
                error.to_string(),
                "a value has no name: use a struct, a map or a list of pairs"
            );
        }
        assert_eq!(
            urlencoded(&BTreeMap::from([([1, 2], 3)]))
                .expect_err("a list")
                .to_string(),
            "the key of a map is not text"
        );
    }

    #[test]
    fn list_without_a_name_has_pairs() {
        for error in [urlencoded(&[(1, 2, 3)]), urlencoded(&[([1, 2], 3)])] {
            let error = error.expect_err("the list has no pairs");
            assert_eq!(
                error.to_string(),
                "a list without a name has pairs of a name and a value"
            );
        }
    }
}
