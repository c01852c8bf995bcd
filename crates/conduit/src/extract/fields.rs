//! Fields of a query, a form or the head as serde reads them: repeated ones are lists, `filter[name]` is nested.

use std::any::type_name;
use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};
use std::vec;

use serde::de::value::{MapAccessDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer as _, IntoDeserializer, Visitor};

use super::text::{Error, TextDeserializer};

/// How many brackets a name may have: `a[b][c]` has two.
const DEPTH_LIMIT: usize = 8;

/// The name under which a type asks for an uploaded file.
pub(super) const FILE: &str = "$conduit::UploadedFile";

/// What one field brings.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    /// A file, by its place in the table of those that have come.
    #[cfg_attr(not(feature = "multipart"), allow(dead_code, reason = "no other form has files"))]
    File(u64),
}

/// Whether any name of these fields, urlencoded, may be nested.
pub(super) fn may_be_nested(fields: &[u8]) -> bool {
    // Most have neither, which is seen many bytes at a time.
    if !fields
        .iter()
        .fold(false, |has, byte| has | (*byte == b'[') | (*byte == b'%'))
    {
        return false;
    }
    let is_bracket = |place: usize| match fields[place] {
        b'[' => true,
        b'%' => matches!(fields[place + 1..], [b'5', b'b' | b'B', ..]),
        _ => false,
    };
    (0..fields.len()).any(is_bracket)
}

/// Fields in the order in which they have come.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Fields<'a> {
    #[cfg(feature = "multipart")]
    pub(super) fn new(pairs: Vec<(Cow<'a, str>, Value<'a>)>) -> Self {
        Fields(pairs)
    }

    /// Those of a query or a form, urlencoded.
    pub(super) fn of_form(fields: &'a [u8]) -> Self {
        let pairs = form_urlencoded::parse(fields).map(|(name, value)| (name, Value::Text(value)));
        Fields(pairs.collect())
    }

    fn into_nodes(self) -> Result<Nodes<'a>, Error> {
        let mut nodes = Nodes::new();
        for (name, value) in self.0 {
            let mut way = steps(&name)?;
            let last = way.pop().unwrap_or_default();
            insert(&mut nodes, way, last, value).map_err(|error| error.in_field(&name))?;
        }
        Ok(nodes)
    }
}

/// The steps that a name has: `a[b][c]` three, `a[]` one and an empty one. A name that is not written so is one step.
pub(super) fn steps<'a>(name: &Cow<'a, str>) -> Result<Vec<Cow<'a, str>>, Error> {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    let Some((first, rest)) = name.split_once('[').filter(|(first, _)| !first.is_empty()) else {
        return Ok(vec![name.clone()]);
    };
    let Some(inner) = rest.strip_suffix(']') else {
        return Ok(vec![name.clone()]);
    };
    let mut steps = vec![owned(first)];
    for step in inner.split("][") {
        if step.contains(['[', ']']) {
            return Ok(vec![name.clone()]);
        }
        if steps.len() > DEPTH_LIMIT {
            let message = format!("expected at most {DEPTH_LIMIT} names in brackets, found more");
            return Err(Error::whole(message).in_field(first));
        }
        steps.push(owned(step));
    }
    Ok(steps)
}

type Nodes<'a> = BTreeMap<Cow<'a, str>, Node<'a>>;

/// What has one name.
enum Node<'a> {
    Values(Vec<Value<'a>>),
    /// The lines of a header field, each of which may be a list.
    Lines(Vec<Cow<'a, str>>),
    Nodes(Nodes<'a>),
}

fn insert<'a>(
    nodes: &mut Nodes<'a>,
    way: Vec<Cow<'a, str>>,
    last: Cow<'a, str>,
    value: Value<'a>,
) -> Result<(), Error> {
    let both = || Error::whole("expected a value or fields in brackets, found both");
    // `tags[]` is `tags`, which may come several times.
    let (mut way, mut last) = (way, last);
    if last.is_empty()
        && let Some(name) = way.pop()
    {
        last = name;
    }
    let mut nodes = nodes;
    for step in way {
        match nodes.entry(step).or_insert_with(|| Node::Nodes(Nodes::new())) {
            Node::Nodes(inner) => nodes = inner,
            _ => return Err(both()),
        }
    }
    match nodes.entry(last).or_insert_with(|| Node::Values(Vec::new())) {
        Node::Values(values) => values.push(value),
        _ => return Err(both()),
    }
    Ok(())
}

impl<'de> de::Deserializer<'de> for Fields<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Each::new(self.into_nodes()?))
    }

    /// Pairs of names and values, as they have come.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.0.into_iter().map(|(name, value)| {
            let name = Node::Values(vec![Value::Text(name)]);
            Pair([name, Node::Values(vec![value])])
        });
        visitor.visit_seq(SeqDeserializer::new(pairs))
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
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(MapAccessDeserializer::new(Each::new(self.into_nodes()?)))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf tuple tuple_struct map struct
        identifier ignored_any
    }
}

/// A name and its value.
struct Pair<'a>([Node<'a>; 2]);

impl<'de> IntoDeserializer<'de, Error> for Pair<'de> {
    type Deserializer = SeqDeserializer<std::array::IntoIter<Node<'de>, 2>, Error>;

    fn into_deserializer(self) -> Self::Deserializer {
        SeqDeserializer::new(self.0.into_iter())
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The fields of one level, one after the other.
struct Each<'a> {
    rest: btree_map::IntoIter<Cow<'a, str>, Node<'a>>,
    current: Option<(Cow<'a, str>, Node<'a>)>,
}

impl<'a> Each<'a> {
    fn new(nodes: Nodes<'a>) -> Self {
        Each {
            rest: nodes.into_iter(),
            current: None,
        }
    }
}

impl<'de> de::MapAccess<'de> for Each<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.current = self.rest.next();
        match &self.current {
            Some((name, _)) => seed.deserialize(TextDeserializer(name.clone())).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((name, node)) = self.current.take() else {
            return Err(Error::new("a value was asked for before its name"));
        };
        seed.deserialize(node).map_err(|error| error.in_field(&name))
    }
}

/// The elements of a list.
struct Elements<'a> {
    rest: vec::IntoIter<Node<'a>>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Elements<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.rest.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(node)
            .map(Some)
            .map_err(|error| error.in_element(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

impl<'a> Node<'a> {
    /// The only value.
    fn one(self) -> Result<Value<'a>, Error> {
        let mut values = match self {
            Node::Values(values) => values,
            Node::Lines(lines) => lines.into_iter().map(Value::Text).collect(),
            Node::Nodes(_) => return Err(Error::whole("expected one value, found fields in brackets")),
        };
        match values.pop() {
            Some(value) if values.is_empty() => Ok(value),
            _ => Err(Error::whole(format!("expected one value, found {}", values.len() + 1))),
        }
    }

    fn text(self) -> Result<Cow<'a, str>, Error> {
        match self.one()? {
            Value::Text(text) => Ok(text),
            Value::File(_) => Err(Error::whole("expected a text, found a file")),
        }
    }

    fn elements(self) -> Result<Elements<'a>, Error> {
        let one = |value| Node::Values(vec![value]);
        let rest: Vec<Node<'a>> = match self {
            Node::Values(values) => values.into_iter().map(one).collect(),
            Node::Lines(lines) => {
                let elements = lines.into_iter().flat_map(|line| list_elements(&line));
                elements.map(|text| one(Value::Text(Cow::Owned(text)))).collect()
            }
            Node::Nodes(nodes) => {
                let numbered = nodes
                    .into_iter()
                    .map(|(name, node)| Some((name.parse::<u32>().ok()?, node)))
                    .collect::<Option<Vec<_>>>();
                let Some(mut numbered) = numbered else {
                    return Err(Error::whole(
                        "expected a list, found fields in brackets that are no numbers",
                    ));
                };
                numbered.sort_by_key(|(number, _)| *number);
                numbered.into_iter().map(|(_, node)| node).collect()
            }
        };
        Ok(Elements {
            rest: rest.into_iter(),
            index: 0,
        })
    }
}

/// The elements of a list in a header field (RFC 9110, section 5.6.1): between commas, but for those in quoted strings.
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

/// Whether an empty text stands for nothing where this type is asked for: a browser sends an input of numbers that was left
/// empty so.
fn is_nothing_where_empty<T>() -> bool {
    let name = type_name::<T>();
    let inner = name
        .strip_prefix("core::option::Option<")
        .and_then(|rest| rest.strip_suffix('>'));
    let numbers = [
        "bool", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64",
    ];
    inner.is_some_and(|inner| numbers.contains(&inner) || inner.starts_with("core::num::nonzero::NonZero<"))
}

macro_rules! read_the_text {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            TextDeserializer(self.text()?).$method(visitor)
        }
    )*};
}

macro_rules! read_the_elements {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $type,)* visitor: V) -> Result<V::Value, Error> {
            visitor.visit_seq(self.elements()?)
        }
    )*};
}

impl<'de> Node<'de> {
    fn nodes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Node::Nodes(nodes) => visitor.visit_map(Each::new(nodes)),
            // Whatever reads a struct from a text: a date, say.
            other => TextDeserializer(other.text()?).deserialize_any(visitor),
        }
    }
}

impl<'de> de::Deserializer<'de> for Node<'de> {
    type Error = Error;

    read_the_text! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_identifier
    }

    read_the_elements! {
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Node::Nodes(nodes) => visitor.visit_map(Each::new(nodes)),
            Node::Values(values) if values.len() != 1 => visitor.visit_seq(Node::Values(values).elements()?),
            Node::Lines(lines) if lines.len() != 1 => visitor.visit_seq(Node::Lines(lines).elements()?),
            one => match one.one()? {
                Value::Text(text) => TextDeserializer(text).deserialize_any(visitor),
                // Serde keeps what it does not know the type of yet, and asks again.
                Value::File(place) => visitor.visit_u64(place),
            },
        }
    }

    /// A checkbox that is set sends `on`.
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text()? {
            text if text == "on" => visitor.visit_bool(true),
            text => TextDeserializer(text).deserialize_bool(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self {
            Node::Values(values)
                if matches!(&values[..], [Value::Text(text)] if text.is_empty())
                    && is_nothing_where_empty::<V::Value>() =>
            {
                visitor.visit_none()
            }
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name != FILE {
            return visitor.visit_newtype_struct(self);
        }
        match self.one()? {
            Value::File(place) => visitor.visit_u64(place),
            Value::Text(text) => Err(Error::new("expected a file").found(&text)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Node::Nodes(nodes) => visitor.visit_enum(MapAccessDeserializer::new(Each::new(nodes))),
            other => TextDeserializer(other.text()?).deserialize_enum(name, variants, visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.nodes(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.nodes(visitor)
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

/// Header fields or cookies, which the first says, that a struct asks for by its own fields' names.
pub(super) struct Lines<F>(pub(super) &'static str, pub(super) F);

impl<'de, F: Fn(&str) -> Result<Vec<Cow<'de, str>>, Error>> de::Deserializer<'de> for Lines<F> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut nodes = Nodes::new();
        for name in names {
            let lines = (self.1)(name)?;
            if !lines.is_empty() {
                nodes.insert(Cow::Borrowed(*name), Node::Lines(lines));
            }
        }
        visitor.visit_map(Each::new(nodes))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::whole(format!(
            "expected a struct with a field for each {}, without `#[serde(flatten)]`, found another type",
            self.0
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
