//! Name-value pairs: a query, a form, the text fields and files of a multipart form.
//!
//! Pairs are ranges of one text, sorted by the steps of their names, so that nested fields are adjacent:
//! [`fields`](super::fields) reads them in place, without a tree.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::Range;

use http::StatusCode;

use super::error::Error;
use super::refusals;
use crate::problem::{Excerpt, Fault, Problem, Step};

/// The maximum number of pairs in a query or a form. Each costs less than 64 bytes in addition to its text.
const COUNT_LIMIT: usize = 10_000;

/// The maximum number of names in brackets: `a[b][c]` has two.
const DEPTH_LIMIT: usize = 8;

/// Name-value pairs.
pub(super) struct Pairs<'a> {
    text: Cow<'a, str>,
    /// The pairs, sorted by the steps of the names, then by input order.
    all: Vec<Pair>,
    /// Set if a type that accepts any value has received a string.
    was_taken: Cell<bool>,
    /// The pair whose empty string an optional value rejected.
    refused_empty: Cell<Option<usize>>,
    /// The field names of a struct, some of which contain brackets.
    literal_names: Cell<Option<&'static [&'static str]>>,
}

#[derive(Clone)]
struct Pair {
    name: Range<usize>,
    value: PairValue,
    /// Set if the name has brackets that lead to a nested field.
    has_steps: bool,
    /// Set if the name ends in `[]`, which is not a step.
    is_open: bool,
    /// Set if the name has too many brackets.
    is_too_deep: bool,
    reading: TextForm,
    /// Set if a type that accepts any value has received the string.
    was_taken: Cell<bool>,
}

#[derive(Clone)]
enum PairValue {
    Text(Range<usize>),
    /// A file, by its index in the request.
    #[cfg_attr(not(feature = "multipart"), allow(dead_code, reason = "no other form has files"))]
    File(u64),
}

/// The form in which a value is passed to a type that accepts any value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TextForm {
    #[default]
    Text,
    /// No value, for an empty string.
    Nothing,
    /// A number or a boolean.
    Scalar,
    /// A list of one string.
    List,
    /// A list of one number or boolean.
    ScalarList,
}

/// A number or a boolean, parsed from a string.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Boolean(bool),
    Unsigned(u64),
    Signed(i64),
    Number(f64),
}

impl Scalar {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "true" | "on" => return Some(Scalar::Boolean(true)),
            "false" => return Some(Scalar::Boolean(false)),
            _ => {}
        }
        let unsigned = text.parse().map(Scalar::Unsigned);
        let whole = unsigned.or_else(|_| text.parse().map(Scalar::Signed));
        whole.ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            number.is_finite().then_some(Scalar::Number(number))
        })
    }
}

/// A value of a pair.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    Text(&'a str),
    File(u64),
}

/// Pairs that cannot be parsed, regardless of the type.
#[derive(Debug)]
pub(super) enum Malformed {
    TooMany,
    /// An excerpt of the name, and of the part that is not UTF-8.
    NotUtf8 {
        name: String,
        part: String,
    },
}

impl Malformed {
    /// Returns the problem, in a part of the request; `too_many` is the status for too many pairs.
    #[cold]
    pub(super) fn problem(self, part: &str, too_many: StatusCode) -> Problem {
        match self {
            Malformed::TooMany => Problem::new(too_many)
                .with_detail(format!("the {part} has more fields than the limit of {COUNT_LIMIT}")),
            Malformed::NotUtf8 { name, part: sent } => {
                let message = format!("expected UTF-8 once percent-decoded, found {:?}", Excerpt::new(&sent));
                let fault = Fault::at(part, [Step::Key(&name)], message);
                Problem::faults(StatusCode::BAD_REQUEST, &[fault])
            }
        }
    }
}

/// Returns the ranges of the name and the value of each pair in an urlencoded text.
fn split(urlencoded: &[u8]) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        while start < urlencoded.len() {
            let rest = &urlencoded[start..];
            let length = rest.iter().position(|byte| *byte == b'&').unwrap_or(rest.len());
            let pair = start..start + length;
            start = pair.end + 1;
            if length > 0 {
                let equals = rest[..length].iter().position(|byte| *byte == b'=');
                let name_end = pair.start + equals.unwrap_or(length);
                return Some((pair.start..name_end, (name_end + 1).min(pair.end)..pair.end));
            }
        }
        None
    })
}

/// Returns the decoded values of all pairs with this name in a query; `None` for a value that is not UTF-8.
pub(super) fn values<'a>(urlencoded: &'a [u8], name: &'a str) -> impl Iterator<Item = Option<String>> {
    split(urlencoded)
        .filter(move |(sent, _)| plus_decoded(&urlencoded[sent.clone()]).eq(name.bytes()))
        .map(|(_, value)| String::from_utf8(plus_decoded(&urlencoded[value]).collect()).ok())
}

impl<'a> Pairs<'a> {
    /// Returns an empty list with capacity for `count` pairs.
    fn with_capacity(text: Cow<'a, str>, count: usize) -> Self {
        Pairs {
            text,
            all: Vec::with_capacity(count),
            was_taken: Cell::new(false),
            refused_empty: Cell::new(None),
            literal_names: Cell::new(None),
        }
    }

    /// Parses the pairs of a query or a form, `application/x-www-form-urlencoded`, whose decoded bytes must be UTF-8.
    pub(super) fn parse(urlencoded: &'a [u8]) -> Result<Self, Malformed> {
        let most = urlencoded.iter().filter(|byte| **byte == b'&').count() + 1;
        let capacity = if urlencoded.is_empty() { 0 } else { most };
        if most > COUNT_LIMIT && split(urlencoded).nth(COUNT_LIMIT).is_some() {
            return Err(Malformed::TooMany);
        }
        let is_encoded = urlencoded
            .iter()
            .fold(false, |is, byte| is | matches!(byte, b'%' | b'+'));
        let mut pairs = Pairs::with_capacity(Cow::Borrowed(""), capacity.min(64));
        let not_utf8 = |(name, value): (Range<usize>, Range<usize>)| {
            let is_utf8 =
                |range: &Range<usize>| String::from_utf8(plus_decoded(&urlencoded[range.clone()]).collect()).is_ok();
            let part = if is_utf8(&name) { value } else { name.clone() };
            let shown = |range: Range<usize>| Excerpt::new(&urlencoded[range]).to_string();
            Malformed::NotUtf8 {
                name: shown(name),
                part: shown(part),
            }
        };
        if !is_encoded {
            for (name, value) in split(urlencoded) {
                pairs.all.push(Pair::new(name, PairValue::Text(value)));
            }
            match str::from_utf8(urlencoded) {
                Ok(text) => pairs.text = Cow::Borrowed(text),
                Err(error) => {
                    let is_there = |pair: &(Range<usize>, Range<usize>)| pair.1.end > error.valid_up_to();
                    let (name, value) = split(urlencoded).find(is_there).unwrap_or_default();
                    return Err(not_utf8((name, value)));
                }
            }
        } else {
            let mut text = Vec::with_capacity(urlencoded.len() + 1);
            // An ASCII byte after each part prevents characters that span two parts, and gives each empty text a unique
            // position.
            let mut push = |range: Range<usize>| {
                let start = text.len();
                text.extend(plus_decoded(&urlencoded[range]));
                text.push(b'&');
                start..text.len() - 1
            };
            for (name, value) in split(urlencoded) {
                let (name, value) = (push(name), push(value));
                pairs.all.push(Pair::new(name, PairValue::Text(value)));
            }
            match String::from_utf8(text) {
                Ok(text) => pairs.text = Cow::Owned(text),
                Err(error) => {
                    let valid = error.utf8_error().valid_up_to();
                    let is_there = |pair: &Pair| matches!(&pair.value, PairValue::Text(range) if range.end > valid);
                    let index = pairs.all.iter().position(is_there).unwrap_or_default();
                    return Err(not_utf8(split(urlencoded).nth(index).unwrap_or_default()));
                }
            }
        }
        pairs.arrange();
        Ok(pairs)
    }

    /// Returns the pairs of a multipart form, initially empty.
    #[cfg(feature = "multipart")]
    pub(super) fn of_parts() -> Pairs<'static> {
        Pairs::with_capacity(Cow::Borrowed(""), 0)
    }

    #[cfg(feature = "multipart")]
    pub(super) fn push_text(&mut self, name: &str, value: &str) {
        let (name, value) = (self.push(name), self.push(value));
        self.all.push(Pair::new(name, PairValue::Text(value)));
    }

    /// Adds a file by its index in the request.
    #[cfg(feature = "multipart")]
    pub(super) fn push_file(&mut self, name: &str, place: u64) {
        let name = self.push(name);
        self.all.push(Pair::new(name, PairValue::File(place)));
    }

    #[cfg(feature = "multipart")]
    fn push(&mut self, part: &str) -> Range<usize> {
        let text = self.text.to_mut();
        let start = text.len();
        text.push_str(part);
        text.push('&');
        start..text.len() - 1
    }

    /// Sorts the pairs after the last one is added.
    pub(super) fn arrange(&mut self) {
        let text = &*self.text;
        for pair in &mut self.all {
            let name = &text[pair.name.clone()];
            if let Some(depth) = depth(name) {
                pair.has_steps = true;
                pair.is_open = name.ends_with("[]");
                pair.is_too_deep = depth > DEPTH_LIMIT;
            }
        }
        self.sort();
    }

    fn sort(&mut self) {
        let text = &*self.text;
        self.all.sort_unstable_by(|one, other| one.compare(other, text));
    }

    /// Takes the names of a struct that has to be read again with its brackets taken literally.
    pub(super) fn take_literal_names(&mut self) -> Option<&'static [&'static str]> {
        self.literal_names.take()
    }

    /// Takes the index of the pair whose empty text an optional value rejected.
    pub(super) fn take_refused_empty(&mut self) -> Option<usize> {
        self.refused_empty.take()
    }

    /// Sets the form of these pairs.
    pub(super) fn set_form(&mut self, indices: &[usize], form: TextForm) {
        indices.iter().for_each(|index| self.all[*index].reading = form);
    }

    /// Selects another form for the rejected strings, if there is one, and returns the changed pairs.
    pub(super) fn change_refused(&mut self, has_failed: bool) -> Vec<usize> {
        if !self.was_taken.take() {
            return Vec::new();
        }
        let mut changed = Vec::new();
        for place in refusals::take() {
            let Some(index) = self.index_of(place) else { continue };
            let text = self.text_of(index);
            let reading = match self.all[index].reading {
                TextForm::Text if text.is_empty() => TextForm::Nothing,
                TextForm::Text if Scalar::parse(text).is_some() => TextForm::Scalar,
                TextForm::Text if has_failed => TextForm::List,
                TextForm::List if Scalar::parse(text).is_some() => TextForm::ScalarList,
                _ => continue,
            };
            changed.extend(self.change(index, reading));
        }
        changed
    }

    pub(super) fn is_scalar(&self, changed: &[usize]) -> bool {
        !changed.is_empty() && changed.iter().all(|index| self.all[*index].reading == TextForm::Scalar)
    }

    /// Changes the form of a pair, and of those at the same position in other elements of a list: `items[0][date]` and
    /// `items[1][date]` have the same type.
    pub(super) fn change(&mut self, index: usize, reading: TextForm) -> Vec<usize> {
        let model = self.all[index].clone();
        let before = model.reading;
        let is_equivalent = |pair: &Pair| {
            let fits = match &pair.value {
                PairValue::Text(range) => match reading {
                    TextForm::Nothing => range.is_empty(),
                    TextForm::Scalar | TextForm::ScalarList => Scalar::parse(&self.text[range.clone()]).is_some(),
                    TextForm::Text | TextForm::List => !range.is_empty(),
                },
                PairValue::File(_) => false,
            };
            fits && pair.reading == before && pair.is_equivalent(&model, &self.text)
        };
        let indices: Vec<usize> = (0..self.all.len())
            .filter(|index| is_equivalent(&self.all[*index]))
            .collect();
        self.set_form(&indices, reading);
        indices
    }

    /// Returns the pair whose text is at this position in memory, if a type that accepts any value has received it.
    fn index_of(&self, place: refusals::TextPosition) -> Option<usize> {
        let is_there = |pair: &Pair| match &pair.value {
            PairValue::Text(range) => pair.was_taken.get() && refusals::position(&self.text[range.clone()]) == place,
            PairValue::File(_) => false,
        };
        self.all.iter().position(is_there)
    }

    fn text_of(&self, index: usize) -> &str {
        match &self.all[index].value {
            PairValue::Text(range) => &self.text[range.clone()],
            PairValue::File(_) => "",
        }
    }

    /// Adds the name of the pair to an error about a string that serde had kept.
    pub(super) fn placed(&self, error: Error) -> Error {
        match error.refused_text().and_then(|place| self.index_of(place)) {
            Some(index) => error.at(self.all[index].steps(&self.text)),
            None => error,
        }
    }

    /// Treats the brackets in these names literally.
    pub(super) fn take_literally(&mut self, names: &[&str]) {
        for pair in &mut self.all {
            if names.contains(&&self.text[pair.name.clone()]) {
                (pair.has_steps, pair.is_open, pair.is_too_deep) = (false, false, false);
            }
        }
        self.sort();
    }

    /// Returns whether a name with brackets literally equals one of these field names; the pairs are then read again.
    pub(super) fn has_literal_name(&self, names: &'static [&'static str]) -> bool {
        let has_bracket = |name: &&str| name.contains('[');
        if !names.iter().any(has_bracket) {
            return false;
        }
        let is_literal = |pair: &Pair| pair.has_steps && names.contains(&&self.text[pair.name.clone()]);
        let has = self.all.iter().any(is_literal);
        if has {
            self.literal_names.set(Some(names));
        }
        has
    }

    /// Returns an error if a name has too many brackets.
    pub(super) fn check_depth(&self) -> Result<(), Error> {
        match self.all.iter().find(|pair| pair.is_too_deep) {
            None => Ok(()),
            Some(pair) => {
                let first = pair.steps(&self.text).next().unwrap_or_default();
                let message = format_args!("expected at most {DEPTH_LIMIT} names in brackets, found more");
                Err(Error::new(message).in_field(first))
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns the indices of the pairs in input order.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..self.all.len()).collect();
        indices.sort_unstable_by_key(|index| self.all[*index].name.start);
        indices
    }

    /// Returns the whole name of a pair.
    pub(super) fn name(&self, index: usize) -> &str {
        &self.text[self.all[index].name.clone()]
    }

    /// Returns the part of a pair's name after the first `taken` bytes: empty, a name, or names in brackets.
    pub(super) fn rest(&self, index: usize, taken: usize) -> &str {
        &self.all[index].path(&self.text)[taken..]
    }

    /// Returns the step of a pair's name after the first `taken` bytes, and the offset after it.
    pub(super) fn step(&self, index: usize, taken: usize) -> (&str, usize) {
        let pair = &self.all[index];
        let path = pair.path(&self.text);
        if !pair.has_steps {
            return (&path[taken..], path.len());
        }
        let rest = &path[taken..];
        match rest.strip_prefix('[').filter(|_| taken > 0) {
            Some(inside) => {
                let end = inside.find(']').unwrap_or(inside.len());
                (&inside[..end], (taken + end + 2).min(path.len()))
            }
            None => {
                let end = rest.find('[').unwrap_or(rest.len());
                (&rest[..end], taken + end)
            }
        }
    }

    pub(super) fn value(&self, index: usize) -> Found<'_> {
        match &self.all[index].value {
            PairValue::Text(range) => Found::Text(&self.text[range.clone()]),
            PairValue::File(place) => Found::File(*place),
        }
    }

    pub(super) fn reading(&self, index: usize) -> TextForm {
        self.all[index].reading
    }

    /// Records that a type that accepts any value received the text of this pair.
    pub(super) fn note_taken(&self, index: usize) {
        if !self.was_taken.replace(true) {
            refusals::clear();
        }
        self.all[index].was_taken.set(true);
    }

    /// Records that an optional value rejected the empty text of this pair.
    pub(super) fn note_refused_empty(&self, index: usize) {
        self.refused_empty.set(Some(index));
    }
}

impl Pair {
    fn new(name: Range<usize>, value: PairValue) -> Self {
        Pair {
            name,
            value,
            has_steps: false,
            is_open: false,
            is_too_deep: false,
            reading: TextForm::default(),
            was_taken: Cell::new(false),
        }
    }

    /// Returns the name without a trailing `[]`.
    fn path<'t>(&self, text: &'t str) -> &'t str {
        let end = if self.is_open { self.name.end - 2 } else { self.name.end };
        &text[self.name.start..end]
    }

    fn steps<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> + use<'t> {
        let path = self.path(text);
        let (first, rest) = match path.find('[').filter(|_| self.has_steps) {
            Some(end) => (&path[..end], &path[end + 1..path.len() - 1]),
            None => (path, ""),
        };
        let inside = (first.len() < path.len()).then(|| rest.split("]["));
        std::iter::once(first).chain(inside.into_iter().flatten())
    }

    fn compare(&self, other: &Pair, text: &str) -> Ordering {
        let names = match self.has_steps || other.has_steps {
            true => self.steps(text).cmp(other.steps(text)),
            false => text[self.name.clone()].cmp(&text[other.name.clone()]),
        };
        names.then(self.name.start.cmp(&other.name.start))
    }

    /// Returns whether two names differ only in element indices.
    fn is_equivalent(&self, other: &Pair, text: &str) -> bool {
        let is_number = |step: &str| !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit());
        let are_equivalent = |(one, other): (&str, &str)| one == other || is_number(one) && is_number(other);
        self.steps(text).count() == other.steps(text).count()
            && self.steps(text).zip(other.steps(text)).all(are_equivalent)
    }
}

/// Returns the steps of a name: `a[b][c]` has three, `a[]` one.
#[cfg(feature = "validate")]
pub(super) fn steps(name: &str) -> impl Iterator<Item = &str> {
    let mut pair = Pair::new(0..name.len(), PairValue::Text(0..0));
    pair.has_steps = depth(name).is_some();
    pair.is_open = pair.has_steps && name.ends_with("[]");
    pair.steps(name)
}

/// Returns the number of names in brackets, if any: `a[b][c]` has two and `a[b][]` one. In any other notation, such as `[a]`,
/// `a[b` or `a[b]c`, the brackets are part of the name.
fn depth(name: &str) -> Option<usize> {
    let (first, rest) = name.split_once('[')?;
    let inside = rest.strip_suffix(']')?;
    let is_one = |step: &str| !step.contains(['[', ']']);
    if first.is_empty() || !inside.split("][").all(is_one) {
        return None;
    }
    Some(inside.split("][").count() - usize::from(name.ends_with("[]")))
}

/// Decodes a part of an urlencoded text.
fn plus_decoded(part: &[u8]) -> impl Iterator<Item = u8> {
    // Replace `+` with spaces first: an encoded `+` is literal.
    let spaced = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte });
    let mut rest = spaced.enumerate();
    let digit = move |at: usize| part.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    std::iter::from_fn(move || {
        let (at, byte) = rest.next()?;
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2))
        {
            rest.nth(1);
            return u8::try_from(high * 16 + low).ok();
        }
        Some(byte)
    })
}
