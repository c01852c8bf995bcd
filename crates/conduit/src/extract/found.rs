//! The value at a place in a JSON text, for the error of a parser that reports only its position.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor};

use super::error::{Kind, OwnedStep, described, shortened};

/// Returns the kind and the description of the value at these steps, innermost first. A text that is malformed after the value does not
/// matter.
pub(super) fn find(text: &[u8], steps: &[OwnedStep]) -> Option<(Kind, String)> {
    let mut found = None;
    let find = Find {
        steps,
        found: &mut found,
    };
    // An error ends the search, and so does the value.
    let _ = find.deserialize(&mut serde_json::Deserializer::from_slice(text));
    found
}

/// A search in one value. It keeps no other values.
struct Find<'f> {
    steps: &'f [OwnedStep],
    found: &'f mut Option<(Kind, String)>,
}

impl Find<'_> {
    fn describe(self, value: Unexpected<'_>) {
        if self.steps.is_empty() {
            *self.found = Some(described(value));
        }
    }
}

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

macro_rules! describe {
    ($($method:ident($value:ident: $type:ty) as $found:expr;)*) => {$(
        fn $method<E>(self, $value: $type) -> Result<(), E> {
            self.describe($found);
            Ok(())
        }
    )*};
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    describe! {
        visit_bool(value: bool) as Unexpected::Bool(value);
        visit_i64(value: i64) as Unexpected::Signed(value);
        visit_u64(value: u64) as Unexpected::Unsigned(value);
        visit_f64(value: f64) as Unexpected::Float(value);
        visit_str(value: &str) as Unexpected::Str(value);
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.describe(Unexpected::Unit);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((OwnedStep::Index(index), steps)) = self.steps.split_last() else {
            self.describe(Unexpected::Seq);
            return Ok(());
        };
        for _ in 0..*index {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        let found = self.found;
        list.next_element_seed(Find { steps, found }).map(drop)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Some((OwnedStep::Key(name), steps)) = self.steps.split_last() else {
            self.describe(Unexpected::Map);
            return Ok(());
        };
        while let Some(key) = object.next_key::<Cow<'de, str>>()? {
            if shortened(&key) == name {
                let found = self.found;
                return object.next_value_seed(Find { steps, found });
            }
            object.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}
