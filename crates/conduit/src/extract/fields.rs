//! Deserialization of name-value pairs: repeated names are lists, `filter[name]` is a nested field.

use std::borrow::Cow;

use serde::de::{self, DeserializeSeed, IntoDeserializer, Visitor};

use super::error::{Error, Hint, map_error, one_of};
use super::pairs::{Found, Pairs, Scalar, TextForm};
use super::text::TextDeserializer;

/// The name under which a type requests an uploaded file.
pub(super) const FILE: &str = "$conduit::UploadedFile";

/// The first byte of a file's index that serde keeps until it knows the type. No UTF-8 string begins with it, so a string
/// cannot pass for a file.
pub(super) const KEPT_FILE: u8 = 0xff;

fn kept_file(place: u64) -> Vec<u8> {
    let mut kept = vec![KEPT_FILE];
    kept.extend(place.to_le_bytes());
    kept
}

/// All pairs: a struct, a map, an enum with its only name, or a list of pairs in the order of the input.
pub(super) struct Root<'de, 'a>(pub(super) &'de Pairs<'a>);

impl<'de, 'a: 'de> Root<'de, 'a> {
    fn groups(&self) -> Result<Groups<'de, 'a>, Error> {
        self.0.check_depth()?;
        Ok(Groups::new(self.0, 0, self.0.len(), 0))
    }

    /// Returns the groups for a struct with these fields.
    fn groups_of_struct(&self, names: &'static [&'static str]) -> Result<Groups<'de, 'a>, Error> {
        if self.0.has_literal_name(names) {
            return Err(Error::new("the struct is read again with literal names"));
        }
        self.groups()
    }
}

impl<'de, 'a: 'de> de::Deserializer<'de> for Root<'de, 'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self.groups()?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.groups_of_struct(names) {
            Ok(groups) => visitor.visit_map(groups),
            Err(error) => Err(error),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.0;
        let in_order = pairs
            .in_order()
            .into_iter()
            .map(|index| PairDeserializer { pairs, index });
        let mut elements = Elements::new(in_order);
        let list = visitor.visit_seq(&mut elements)?;
        elements.end("fields").map(|()| list)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(OneVariant::of(self.groups()?, variants)?)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf tuple tuple_struct map
        identifier ignored_any
    }
}

/// A name and its value as a list of two elements.
struct PairDeserializer<'de, 'a> {
    pairs: &'de Pairs<'a>,
    index: usize,
}

impl<'de, 'a: 'de> de::Deserializer<'de> for PairDeserializer<'de, 'a> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let PairDeserializer { pairs, index } = self;
        let name = Node::Text(Cow::Borrowed(pairs.name(index)));
        let value = Node::Group(Group::of_value(pairs, index));
        visitor
            .visit_seq(Elements::new([name, value].into_iter()))
            .map_err(|error| error.in_field(pairs.name(index)))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The pairs from `start` to `end`, whose names share their first steps, `taken` bytes long.
#[derive(Clone, Copy)]
pub(super) struct Group<'de, 'a> {
    pairs: &'de Pairs<'a>,
    start: usize,
    end: usize,
    taken: usize,
    /// Set if it is the element of a list that one pair was read as.
    is_element: bool,
}

impl<'de, 'a: 'de> Group<'de, 'a> {
    fn of_value(pairs: &'de Pairs<'a>, index: usize) -> Self {
        let taken = pairs.name(index).len();
        Group {
            pairs,
            start: index,
            end: index + 1,
            taken,
            is_element: false,
        }
    }

    fn count(&self) -> usize {
        self.end - self.start
    }

    /// Returns whether the pairs are values of this field rather than nested fields.
    fn has_values(&self) -> Result<bool, Error> {
        // Names are sorted: the shortest is first.
        let has_rest =
            |index| self.taken < self.pairs.name(index).len() && !self.pairs.rest(index, self.taken).is_empty();
        match (has_rest(self.start), has_rest(self.end - 1)) {
            (false, false) => Ok(true),
            (true, _) => Ok(false),
            (false, true) => Err(Error::new("expected a value or fields in brackets, found both")),
        }
    }

    fn groups(&self) -> Groups<'de, 'a> {
        Groups::new(self.pairs, self.start, self.end, self.taken)
    }

    /// Adds the field's only text to an error of the type that received the field.
    fn found(&self, error: Error) -> Error {
        match self.pairs.value(self.start) {
            Found::Text(text) if self.count() == 1 => error.found(text),
            _ => error,
        }
    }

    fn element(&self, index: usize) -> Node<'de, 'a> {
        Node::Group(Group {
            start: index,
            end: index + 1,
            is_element: true,
            ..*self
        })
    }

    /// Returns the elements of a list with their indices: repeated values, or fields with numeric names.
    fn elements(&self) -> Result<Vec<(usize, Node<'de, 'a>)>, Error> {
        if self.has_values()? {
            return Ok((self.start..self.end)
                .map(|index| (index - self.start, self.element(index)))
                .collect());
        }
        let mut elements = Vec::new();
        for (name, group) in self.groups() {
            let Ok(number) = name.parse::<u32>() else {
                return Err(Error::new(
                    "expected a list, found fields in brackets that are not numbers",
                ));
            };
            elements.push((number as usize, Node::Group(group)));
        }
        elements.sort_by_key(|(number, _)| *number);
        Ok(elements)
    }
}

/// The fields of one level, in turn.
struct Groups<'de, 'a> {
    pairs: &'de Pairs<'a>,
    next: usize,
    end: usize,
    taken: usize,
    current: Option<(&'de str, Group<'de, 'a>)>,
}

impl<'de, 'a: 'de> Groups<'de, 'a> {
    fn new(pairs: &'de Pairs<'a>, start: usize, end: usize, taken: usize) -> Self {
        Groups {
            pairs,
            next: start,
            end,
            taken,
            current: None,
        }
    }
}

impl<'de, 'a: 'de> Iterator for Groups<'de, 'a> {
    type Item = (&'de str, Group<'de, 'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let start = self.next;
        let (name, taken) = self.pairs.step(start, self.taken);
        let is_other = |index: &usize| self.pairs.step(*index, self.taken).0 != name;
        self.next = (start + 1..self.end).find(is_other).unwrap_or(self.end);
        let group = Group {
            pairs: self.pairs,
            start,
            end: self.next,
            taken,
            is_element: false,
        };
        Some((name, group))
    }
}

impl<'de, 'a: 'de> de::MapAccess<'de> for Groups<'de, 'a> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.current = self.next();
        match self.current {
            Some((name, _)) => match seed.deserialize(TextDeserializer(Cow::Borrowed(name))) {
                Ok(key) => Ok(Some(key)),
                Err(error) => Err(error.of_rejected_name(name)),
            },
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((name, group)) = self.current.take() else {
            return Err(Error::new("`next_value` was called before `next_key`"));
        };
        map_error!(seed.deserialize(Node::Group(group)), error => group.found(error).in_field(name))
    }
}

/// The elements of a list.
struct Elements<I> {
    rest: I,
    count: usize,
}

impl<I: Iterator> Elements<I> {
    fn new(rest: I) -> Self {
        Elements { rest, count: 0 }
    }

    /// Returns an error if values are left over.
    fn end(self, what: &str) -> Result<(), Error> {
        match self.rest.count() {
            0 => Ok(()),
            more => Err(Error::count(format_args!("{} {what}", self.count), self.count + more)),
        }
    }
}

impl<'de, I, T> de::SeqAccess<'de> for Elements<I>
where
    I: Iterator<Item = T>,
    T: de::Deserializer<'de, Error = Error>,
{
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(element) = self.rest.next() else {
            return Ok(None);
        };
        self.count += 1;
        seed.deserialize(element).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.rest.size_hint().1
    }
}

/// The elements of a list with their indices.
struct Numbered<'de, 'a> {
    rest: std::vec::IntoIter<(usize, Node<'de, 'a>)>,
    count: usize,
}

impl<'de, 'a: 'de> de::SeqAccess<'de> for Numbered<'de, 'a> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((number, node)) = self.rest.next() else {
            return Ok(None);
        };
        self.count += 1;
        let group = match &node {
            Node::Group(group) => Some(*group),
            Node::Lines(_) | Node::Text(_) => None,
        };
        seed.deserialize(node).map(Some).map_err(|error| match group {
            Some(group) => group.found(error).in_element(number),
            None => error.in_element(number),
        })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// An enum from the only field: its name is the variant, its value the content.
struct OneVariant<'de, 'a> {
    name: &'de str,
    group: Group<'de, 'a>,
}

impl<'de, 'a: 'de> OneVariant<'de, 'a> {
    fn of(mut groups: Groups<'de, 'a>, variants: &'static [&'static str]) -> Result<Self, Error> {
        match (groups.next(), groups.count()) {
            (Some((name, group)), 0) => Ok(OneVariant { name, group }),
            (first, more) => {
                let expected = format!("one field, named {}", one_of(variants));
                Err(Error::count(expected, more + usize::from(first.is_some())))
            }
        }
    }
}

impl<'de, 'a: 'de> de::EnumAccess<'de> for OneVariant<'de, 'a> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let variant = seed
            .deserialize(TextDeserializer(Cow::Borrowed(self.name)))
            .map_err(|error| error.of_rejected_name(self.name))?;
        Ok((variant, self))
    }
}

impl<'de, 'a: 'de> de::VariantAccess<'de> for OneVariant<'de, 'a> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(Node::Group(self.group))
            .map_err(|error| error.in_field(self.name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_tuple(Node::Group(self.group), length, visitor)
            .map_err(|error| error.in_field(self.name))
    }

    fn struct_variant<V: Visitor<'de>>(self, names: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_struct(Node::Group(self.group), "", names, visitor)
            .map_err(|error| error.in_field(self.name))
    }
}

/// The values of one field.
#[derive(Clone)]
pub(super) enum Node<'de, 'a> {
    Group(Group<'de, 'a>),
    /// The lines of a header field, each of which may be a list.
    Lines(Vec<Cow<'de, str>>),
    Text(Cow<'de, str>),
}

/// The only value of a field.
enum Single<'de> {
    Text(Cow<'de, str>),
    File(u64),
}

impl<'de, 'a: 'de> Node<'de, 'a> {
    fn single(self) -> Result<Single<'de>, Error> {
        match self {
            Node::Text(text) => Ok(Single::Text(text)),
            Node::Lines(mut lines) => match lines.pop() {
                Some(line) if lines.is_empty() => Ok(Single::Text(line)),
                _ => Err(Error::count("one value", lines.len() + 1)),
            },
            Node::Group(group) => {
                if !group.has_values()? {
                    return Err(Error::new("expected one value, found fields in brackets"));
                }
                if group.count() > 1 {
                    return Err(Error::count("one value", group.count()));
                }
                Ok(match group.pairs.value(group.start) {
                    Found::Text(text) => Single::Text(Cow::Borrowed(text)),
                    Found::File(place) => Single::File(place),
                })
            }
        }
    }

    fn text(self) -> Result<TextDeserializer<'de>, Error> {
        match self.single()? {
            Single::Text(text) => Ok(TextDeserializer(text)),
            Single::File(_) => Err(Error::new("expected a text field, found a file")),
        }
    }

    /// Passes the elements of a list to a visitor, which must consume all of them.
    fn visit_list<V: Visitor<'de>>(self, hint: Hint, visitor: V) -> Result<V::Value, Error> {
        let elements: Vec<(usize, Node<'de, 'a>)> = match self {
            Node::Group(group) => group.elements()?,
            Node::Lines(lines) => {
                let elements = lines.iter().flat_map(|line| list_elements(line)).enumerate();
                elements
                    .map(|(number, text)| (number, Node::Text(Cow::Owned(text))))
                    .collect()
            }
            Node::Text(text) => vec![(0, Node::Text(text))],
        };
        let mut numbered = Numbered {
            rest: elements.into_iter(),
            count: 0,
        };
        let list = visitor
            .visit_seq(&mut numbered)
            .map_err(|error| error.settled_elements(hint))?;
        match numbered.rest.len() {
            0 => Ok(list),
            more => Err(Error::count(
                hint.words().unwrap_or_else(|| "a shorter list".to_owned()),
                numbered.count + more,
            )),
        }
    }

    /// Passes the nested fields to a visitor, or the string if the visitor reads a struct from a string, such as a date.
    fn visit_fields<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Node::Group(group) if !group.has_values()? => visitor.visit_map(group.groups()),
            other => other.text()?.visit(Hint::Object, visitor),
        }
    }
}

macro_rules! read_the_text {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.text()?.$method(visitor)
        }
    )*};
}

impl<'de, 'a: 'de> de::Deserializer<'de> for Node<'de, 'a> {
    type Error = Error;

    read_the_text! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier
    }

    /// The type accepts any value: the text is passed in the form that its pair selects.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let group = match self {
            Node::Group(group) => group,
            Node::Lines(lines) if lines.len() != 1 => return Node::Lines(lines).visit_list(Hint::Unknown, visitor),
            other => return other.text()?.deserialize_any(visitor),
        };
        if !group.has_values()? {
            return visitor.visit_map(group.groups());
        }
        if group.count() > 1 {
            return Node::Group(group).visit_list(Hint::Unknown, visitor);
        }
        let text = match group.pairs.value(group.start) {
            Found::Text(text) => text,
            Found::File(place) => return visitor.visit_byte_buf(kept_file(place)),
        };
        match (group.pairs.reading(group.start), group.is_element) {
            (TextForm::Nothing, _) => visitor.visit_none(),
            (TextForm::Scalar, _) | (TextForm::ScalarList, true) => match Scalar::parse(text) {
                Some(Scalar::Boolean(value)) => visitor.visit_bool(value),
                Some(Scalar::Unsigned(value)) => visitor.visit_u64(value),
                Some(Scalar::Signed(value)) => visitor.visit_i64(value),
                Some(Scalar::Number(value)) => visitor.visit_f64(value),
                None => visitor.visit_borrowed_str(text),
            },
            (TextForm::List | TextForm::ScalarList, false) => Node::Group(group).visit_list(Hint::Unknown, visitor),
            (TextForm::Text, _) | (TextForm::List, true) => {
                group.pairs.note_taken(group.start);
                visitor.visit_borrowed_str(text)
            }
        }
    }

    /// A checked checkbox sends `on`.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.text()?;
        if text.0 == "on" {
            return visitor.visit_bool(true);
        }
        text.deserialize_bool(visitor)
    }

    /// A browser sends an empty input as an empty string, which counts as absent if the type rejects it.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Node::Group(group) = self else {
            return visitor.visit_some(self);
        };
        let is_empty = group.count() == 1 && matches!(group.pairs.value(group.start), Found::Text(""));
        if !is_empty || !group.has_values()? {
            return visitor.visit_some(self);
        }
        if group.pairs.reading(group.start) == TextForm::Nothing {
            return visitor.visit_none();
        }
        visitor
            .visit_some(self)
            .inspect_err(|_| group.pairs.note_refused_empty(group.start))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        // The name is an internal marker, not the name of a user's type.
        if name != FILE {
            return visitor.visit_newtype_struct(self);
        }
        match self.single()? {
            Single::File(place) => visitor.visit_u64(place),
            Single::Text(text) => Err(Error::expected("a file", &text)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Node::Group(group) if !group.has_values()? => visitor.visit_enum(OneVariant::of(group.groups(), variants)?),
            other => other.text()?.deserialize_enum(name, variants, visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_list(Hint::Unknown, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.visit_list(Hint::Elements(length), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_list(Hint::Elements(length), visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_fields(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.visit_fields(visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

impl<'de, 'a: 'de> IntoDeserializer<'de, Error> for Node<'de, 'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Splits a list in a header field (RFC 9110, section 5.6.1) at commas outside quoted strings.
fn list_elements(line: &str) -> Vec<String> {
    let mut elements = vec![String::new()];
    let mut is_quoted = false;
    let mut is_escaped = false;
    for character in line.chars() {
        if character == ',' && !is_quoted {
            elements.push(String::new());
            continue;
        }
        is_quoted ^= character == '"' && !is_escaped;
        is_escaped = is_quoted && character == '\\' && !is_escaped;
        if let Some(last) = elements.last_mut() {
            last.push(character);
        }
    }
    let trimmed = elements.iter().map(|element| element.trim_matches([' ', '\t']));
    trimmed
        .filter(|element| !element.is_empty())
        .map(str::to_owned)
        .collect()
}
