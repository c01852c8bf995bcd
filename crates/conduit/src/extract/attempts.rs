//! The attempts to read a value from pairs, until each string has a form that its type accepts.

use serde::de::DeserializeOwned;

use super::error::{Error, Kind};
use super::fields::Root;
use super::pairs::{Pairs, TextForm};

/// The number of pairs read over all attempts with other text forms, and the minimum number of attempts.
const ATTEMPTED_PAIRS: usize = 100_000;
const ATTEMPTS: usize = 32;

impl Pairs<'_> {
    /// Reads a value from the pairs.
    ///
    /// A type that accepts any value receives strings. If it later rejects one, the pairs are read again with that string
    /// as a number or a boolean, as a list, or as no value.
    pub(super) fn read<T: DeserializeOwned>(mut self) -> Result<T, Error> {
        let mut values = Values::<T> {
            last: None,
            before: None,
        };
        // Without `?` and `expect`, which would be compiled for each type.
        let value = match self.attempts(&mut values) {
            Ok(Attempt::Last) => values.last,
            Ok(Attempt::Before) => values.before,
            Err(error) => return Err(error),
        };
        match value {
            Some(value) => Ok(value),
            None => unreachable!("a successful attempt stores its value"),
        }
    }

    /// Reads a value until no string has another form to try. Compiled once for all value types.
    fn attempts(&mut self, values: &mut dyn Attempts) -> Result<Attempt, Error> {
        // The outcome before the last change, and the pairs that it changed.
        let mut before: Option<Result<(), Error>> = None;
        let mut changed = Vec::new();
        let limit = ATTEMPTS.max(ATTEMPTED_PAIRS / self.len().max(1));
        for _ in 0..limit {
            let outcome = values.read(self);
            if let Some(names) = self.take_literal_names() {
                self.take_literally(names);
            } else if let Some(index) = self.take_refused_empty() {
                self.change(index, TextForm::Nothing);
                before = None;
            } else if outcome.is_err() && matches!(before, Some(Ok(()))) {
                break;
            } else if let indices @ [_, ..] = &*self.change_refused(outcome.is_err()) {
                changed = indices.to_vec();
                values.keep();
                before = Some(outcome.map_err(|error| self.placed(error)));
            } else if is_about_a_reading(outcome.as_ref().err()) && self.is_scalar(&changed) {
                // A list of one number was passed as that number.
                self.set_form(&changed, TextForm::List);
            } else if is_about_a_reading(outcome.as_ref().err()) && before.is_some() {
                break;
            } else {
                return outcome.map(|()| Attempt::Last).map_err(|error| self.placed(error));
            }
        }
        match before {
            Some(outcome) => outcome.map(|()| Attempt::Before),
            None => Err(Error::new(format_args!(
                "more than {limit} of the {} fields have a value that their type rejects as a string: omit empty \
                 fields, or send fewer fields",
                self.len()
            ))),
        }
    }
}

/// The attempt whose value is the result.
enum Attempt {
    Last,
    Before,
}

/// The attempts to read a value, independent of its type.
trait Attempts {
    /// Reads and stores the value.
    fn read(&mut self, pairs: &Pairs<'_>) -> Result<(), Error>;

    /// Keeps the value during the next attempts.
    fn keep(&mut self);
}

/// The values of the last attempt and of the attempt before the last change.
struct Values<T> {
    last: Option<T>,
    before: Option<T>,
}

impl<T: DeserializeOwned> Attempts for Values<T> {
    fn read(&mut self, pairs: &Pairs<'_>) -> Result<(), Error> {
        match T::deserialize(Root(pairs)) {
            Ok(value) => {
                self.last = Some(value);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn keep(&mut self) {
        self.before = self.last.take();
    }
}

/// Returns whether the error is about a value that was parsed from a string, and no level has described it.
fn is_about_a_reading(error: Option<&Error>) -> bool {
    let kind = error.and_then(Error::refused_kind);
    kind.is_some_and(|kind| kind != Kind::Text)
}
