//! `Path`: the parameters of the route's path, deserialized with serde.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Visitor};
use serde::forward_to_deserialize_any;

use super::Readable;
use super::error::Error;
use super::text::TextDeserializer;
use crate::openapi::{Operation, TypeKey};
use crate::problem::Problem;
use crate::request::Request;
use crate::route::ParameterPlace;

/// Parameters of the route's path, percent-decoded and parsed.
///
/// Each parameter is a separate argument with the parameter's name; or one argument takes several as a tuple or a struct. A
/// handler that omits a parameter of its path, or takes one that the path does not have, is a compile error.
///
/// # Errors
///
/// Rejects with 400 when a value is not UTF-8 once decoded, or not a `T`: `path.id: expected a whole number from
/// 0 up, of 64 bits, found "x"`.
///
/// # Example
///
/// One parameter, two as arguments, two as a tuple, and two as a struct:
///
/// ```
/// use conduit::prelude::*;
///
/// #[get("/users/{id}")]
/// async fn user(id: Path<u64>) -> String {
///     format!("user {id}")
/// }
///
/// #[get("/users/{id}/posts/{slug}")]
/// async fn post(id: Path<u64>, slug: Path<String>) -> String {
///     format!("post {slug} of user {id}")
/// }
///
/// #[delete("/users/{id}/posts/{slug}")]
/// async fn remove(Path((id, slug)): Path<(u64, String)>) -> String {
///     format!("removed {slug} of user {id}")
/// }
///
/// #[derive(serde::Deserialize, PathParams)]
/// struct PostPath {
///     id: u64,
///     slug: String,
/// }
///
/// #[put("/users/{id}/posts/{slug}")]
/// async fn replace(post: Path<PostPath>) -> String {
///     format!("replaced {} of user {}", post.slug, post.id)
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<T: fmt::Display> fmt::Display for Path<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A struct that takes all parameters of a path by name. Derive it together with serde's `Deserialize`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot take parameters of the path by their names",
    label = "neither the name of a parameter nor a struct of parameters",
    note = "name the argument after the parameter, or use a struct that derives `serde::Deserialize` and `conduit::PathParams`",
    note = "for a parameter of a prefix with a custom type, write `Path((slug,)): Path<(Slug,)>`"
)]
pub trait PathParams {
    /// The names of the parameters, which are the names of the struct's fields.
    const NAMES: &'static [&'static str];
}

impl<T> Path<T> {
    /// Reads the parameters with these names and positions in the route's path. The route attributes generate the call.
    ///
    /// # Errors
    ///
    /// Returns an error if a decoded value is not UTF-8, or not valid for `T`.
    pub fn from_parameters(request: &Request, names: &'static [(&'static str, ParameterPlace)]) -> Result<Self, Problem>
    where
        T: Readable,
    {
        match T::deserialize(ParametersDeserializer { request, names }) {
            Ok(value) => Ok(Path(value)),
            Err(error) => Err(rejected(request, names, error)),
        }
    }

    /// Adds the parameters with these names and positions to the description of an operation. The route attributes generate the
    /// call.
    pub fn describe_parameters(operation: &mut Operation, names: &[(&str, ParameterPlace)]) {
        describe_path(operation, TypeKey::of::<T>(), names);
    }
}

fn describe_path(operation: &mut Operation, of: TypeKey, names: &[(&str, ParameterPlace)]) {
    operation
        .path_parameters_of(of, names)
        .faults(StatusCode::BAD_REQUEST, "A parameter of the path has an invalid value.");
}

/// Returns the rejection of a parameter that its type does not accept.
#[cold]
fn rejected(request: &Request, names: &'static [(&'static str, ParameterPlace)], error: Error) -> Problem {
    let error = match names {
        // The deserializer does not notice a type that accepts a string and rejects it afterwards.
        [(name, place)] => error
            .found(request.parameter_at(name, *place).unwrap_or_default())
            .of_name(name),
        _ => error,
    };
    Problem::faults(StatusCode::BAD_REQUEST, &[error.fault("path")])
}

/// An argument that takes a parameter of the path. A route attribute requires the trait if an argument has the name of a
/// parameter and its type may be an alias of [`Path`].
#[diagnostic::on_unimplemented(
    message = "an argument with the name of a path parameter must be a `Path`, and `{Self}` is not",
    label = "not a `Path`",
    note = "rename the argument if it is another extractor; if `{Self}` is the type of the parameter, write `Path<{Self}>`"
)]
pub trait PathArgument: Sized {
    /// The type of the parameter's value.
    type Value;

    /// Extracts the parameter.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Path::from_parameters`] does.
    fn take(request: &Request, names: &'static [(&'static str, ParameterPlace)]) -> Result<Self, Problem>;

    /// Like [`Path::describe_parameters`].
    fn describe(operation: &mut Operation, names: &[(&str, ParameterPlace)]);

    /// Returns the schema of the value, and registers it.
    #[cfg(feature = "openapi")]
    fn schema() -> crate::openapi::SchemaOf<Self::Value> {
        crate::openapi::SchemaOf::NEW
    }
}

impl<T: Readable> PathArgument for Path<T> {
    type Value = T;

    fn take(request: &Request, names: &'static [(&'static str, ParameterPlace)]) -> Result<Self, Problem> {
        Path::from_parameters(request, names)
    }

    fn describe(operation: &mut Operation, names: &[(&str, ParameterPlace)]) {
        Path::<T>::describe_parameters(operation, names);
    }
}

/// The parameters of an argument: a scalar takes the first, a tuple each in turn, a struct each by name.
struct ParametersDeserializer<'r> {
    request: &'r Request,
    names: &'static [(&'static str, ParameterPlace)],
}

impl<'r> ParametersDeserializer<'r> {
    fn value(&self, place: usize) -> Result<ValueDeserializer<'r>, Error> {
        let Some(&(name, in_path)) = self.names.get(place) else {
            return Err(Error::new(format_args!("the path has no parameter at index {place}")));
        };
        let raw = self.request.parameter_at(name, in_path).unwrap_or_default();
        let text = if raw.bytes().any(|byte| byte == b'%') {
            let Ok(text) = percent_decode_str(raw).decode_utf8() else {
                return Err(Error::expected("UTF-8 once percent-decoded", raw).in_field(name));
            };
            text
        } else {
            Cow::Borrowed(raw)
        };
        Ok(ValueDeserializer {
            name,
            text: TextDeserializer(text),
        })
    }
}

macro_rules! read_the_first {
    ($($method:ident),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.value(0)?.$method(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for ParametersDeserializer<'de> {
    type Error = Error;

    read_the_first! {
        deserialize_any, deserialize_bool, deserialize_i8, deserialize_i16, deserialize_i32, deserialize_i64,
        deserialize_i128, deserialize_u8, deserialize_u16, deserialize_u32, deserialize_u64, deserialize_u128,
        deserialize_f32, deserialize_f64, deserialize_char, deserialize_str, deserialize_string, deserialize_bytes,
        deserialize_byte_buf, deserialize_option, deserialize_identifier
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.value(0)?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Each {
            parameters: self,
            place: 0,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Each {
            parameters: self,
            place: 0,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// The parameters in turn, as the elements of a tuple or the fields of a struct.
struct Each<'r> {
    parameters: ParametersDeserializer<'r>,
    place: usize,
}

impl<'r> Each<'r> {
    fn next_value<T: DeserializeSeed<'r>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let value = self.parameters.value(self.place)?;
        self.place += 1;
        seed.deserialize(value)
    }
}

impl<'de> de::SeqAccess<'de> for Each<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.place == self.parameters.names.len() {
            return Ok(None);
        }
        self.next_value(seed).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Each<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        match self.parameters.names.get(self.place) {
            Some((name, _)) => seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.next_value(seed)
    }
}

/// One parameter, decoded.
struct ValueDeserializer<'r> {
    name: &'static str,
    text: TextDeserializer<'r>,
}

macro_rules! read_the_text {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Error> {
            self.text.$method($($argument,)* visitor).map_err(|error| error.in_field(self.name))
        }
    )*};
}

impl<'de> de::Deserializer<'de> for ValueDeserializer<'de> {
    type Error = Error;

    read_the_text! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_option();
        deserialize_newtype_struct(name: &'static str);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
    }

    forward_to_deserialize_any! {
        str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
