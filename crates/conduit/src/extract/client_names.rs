//! The client's names of invalid values: a rule has a field's Rust name, and serde may have renamed it.
//!
//! The input is parsed again, but only along the paths to invalid values, so that the cost does not depend on the number of
//! broken rules, and other values take no memory. The deserializer cannot record the names in the first pass at the cost of invalid
//! requests only: the rules are checked after it, so that each valid request would pay for a record of all names in its input.
//! Such a record has no Rust names either, since serde passes none to a deserializer.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::pairs;
use crate::problem::Step;

/// The client's input, which contains the names of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientInput<'a> {
    /// A JSON text.
    Json(&'a [u8]),
    /// The urlencoded fields of a query or a form.
    Fields(&'a [u8]),
    /// Unknown input: the names are those in Rust.
    Unknown,
}

/// A value on the path to an invalid one.
#[derive(Default)]
struct InputNode<'a> {
    below: Vec<(Step<'a>, InputNode<'a>)>,
    found: NameMatch,
    /// Set if it is neither an object nor a list.
    is_single: bool,
}

/// The presence of a value in the input, and its name.
#[derive(Default)]
enum NameMatch {
    #[default]
    No,
    /// Under the name that the rule has.
    Exactly,
    /// Under a name that differs from it in hyphens, underscores and case.
    As(String),
    /// Under several such names, which is ambiguous.
    Doubtful,
}

/// The names in the input along these paths.
pub(super) struct InputNames<'a>(Option<InputNode<'a>>);

impl<'a> InputNames<'a> {
    pub(super) fn read<'w>(input: ClientInput<'_>, ways: impl Iterator<Item = &'w [Step<'a>]>) -> Self
    where
        'a: 'w,
    {
        let mut root = InputNode::default();
        for way in ways {
            way.iter().fold(&mut root, |place, step| place.make(*step));
        }
        match input {
            ClientInput::Json(text) => {
                // It was parsed before, so it is well-formed.
                let _ = Along(Some(&mut root)).deserialize(&mut serde_json::Deserializer::from_slice(text));
            }
            ClientInput::Fields(text) => {
                for (name, _) in form_urlencoded::parse(text) {
                    let _ = pairs::steps(&name).try_fold(&mut root, |place, step| place.enter(step));
                }
            }
            ClientInput::Unknown => return InputNames(None),
        }
        InputNames(Some(root))
    }

    /// Returns the path with the client's names, and the number of its steps that exist in the input.
    pub(super) fn resolve<'s>(&'s self, way: &[Step<'s>]) -> (Vec<Step<'s>>, usize) {
        let Some(root) = &self.0 else {
            return (way.to_vec(), way.len());
        };
        let mut place = root;
        let mut resolved = Vec::new();
        for (number, step) in way.iter().enumerate() {
            let below = place.below.iter().find(|(known, _)| known == step);
            let (below, name) = match below.map(|(_, below)| (below, &below.found)) {
                Some((below, NameMatch::Exactly)) => (below, *step),
                Some((below, NameMatch::As(name))) => (below, Step::Key(name)),
                _ => {
                    let count = resolved.len();
                    // The only field of a tuple struct appears as the struct itself.
                    let is_shown = |step: &&Step<'_>| !(place.is_single && matches!(step, Step::Index(_)));
                    resolved.extend(way[number..].iter().filter(is_shown));
                    return (resolved, count);
                }
            };
            resolved.push(name);
            place = below;
        }
        let count = resolved.len();
        (resolved, count)
    }
}

impl<'a> InputNode<'a> {
    fn make(&mut self, step: Step<'a>) -> &mut Self {
        let known = self.below.iter().position(|(known, _)| *known == step);
        let index = known.unwrap_or_else(|| {
            self.below.push((step, InputNode::default()));
            self.below.len() - 1
        });
        &mut self.below[index].1
    }

    /// Returns the node of the member with this name, if it is on a path.
    fn member(&mut self, name: &str) -> Option<&mut Self> {
        let exact = self.below.iter().position(|(step, _)| *step == Step::Key(name));
        if let Some(index) = exact {
            return Some(self.below[index].1.found(NameMatch::Exactly));
        }
        // serde's `rename_all`.
        let like = |(step, place): &(Step<'_>, InputNode<'_>)| {
            let is_equivalent = matches!(step, Step::Key(known) if are_equivalent(known, name));
            is_equivalent && !matches!(place.found, NameMatch::Exactly)
        };
        if let Some(index) = self.below.iter().position(like) {
            let place = &mut self.below[index].1;
            return match place.found {
                NameMatch::No => Some(place.found(NameMatch::As(name.to_owned()))),
                _ => {
                    place.found(NameMatch::Doubtful);
                    None
                }
            };
        }
        None
    }

    /// Returns the node of the element with this index, if it is on a path.
    fn element(&mut self, index: usize) -> Option<&mut Self> {
        let known = self.below.iter_mut().find(|(step, _)| *step == Step::Index(index));
        known.map(|(_, place)| place.found(NameMatch::Exactly))
    }

    fn lack(&mut self, index: usize) {
        if let Some(place) = self.element(index) {
            place.found = NameMatch::No;
        }
    }

    /// Returns the node below this one for a step of a field's name.
    fn enter(&mut self, step: &str) -> Option<&mut Self> {
        let index = step.parse().ok().filter(|index| self.has(Step::Index(*index)));
        match index {
            Some(index) => self.element(index),
            None => self.member(step),
        }
    }

    fn has(&self, step: Step<'_>) -> bool {
        self.below.iter().any(|(known, _)| *known == step)
    }

    fn found(&mut self, found: NameMatch) -> &mut Self {
        self.found = found;
        self
    }
}

/// Reads the value of a node; without a node, ignores the value.
struct Along<'p, 'a>(Option<&'p mut InputNode<'a>>);

impl<'de> DeserializeSeed<'de> for Along<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Some(place) => deserializer.deserialize_any(Read(place)),
            None => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
        }
    }
}

struct Read<'p, 'a>(&'p mut InputNode<'a>);

impl Read<'_, '_> {
    fn single<E>(self) -> Result<(), E> {
        self.0.is_single = true;
        Ok(())
    }
}

impl<'de> Visitor<'de> for Read<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            map.next_value_seed(Along(self.0.member(&name)))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for index in 0.. {
            if list.next_element_seed(Along(self.0.element(index)))?.is_none() {
                // The failed read marked an element that does not exist.
                self.0.lack(index);
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.single()
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.single()
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.single()
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.single()
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        self.single()
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.single()
    }
}

/// Returns whether two names differ at most in hyphens, underscores and case, as with serde's `rename_all`.
fn are_equivalent(one: &str, other: &str) -> bool {
    let letters = |name: &str| -> Vec<char> {
        let letters = name.chars().filter(|letter| !"_-".contains(*letter));
        letters.flat_map(char::to_lowercase).collect()
    };
    letters(one) == letters(other)
}
