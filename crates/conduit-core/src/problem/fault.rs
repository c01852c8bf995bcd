//! Faults of a request's values: the place of a value, the expectation and the received value.

use std::fmt::{self, Write};

use serde::Serialize;

use super::Problem;
use crate::excerpt::{Excerpt, bounded};

/// The maximum number of faults in the list of a problem.
pub const LISTED_FAULTS: usize = 100;
/// The maximum total length of the listed faults, in bytes; the first fault is listed in any case.
const LISTED_BYTES: usize = 4096;
/// The longest pointer, and the longest name of a field; a shortened one would be that of another value.
const POINTER_BYTES: usize = 256;

/// One fault of a request: the place of a value, the expectation and the received value.
///
/// A problem about a request's values lists its faults as its member `errors`: `body.items[3].price: expected a number,
/// found "12a"`. The constructors shorten path and message to about 480 bytes each, and a name in the path to 40
/// characters, so that a client cannot make a response long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The part of the request, and the way to the value in it, such as `body.items[3].price` or `query.page`. A name that
    /// has a dot, a bracket, a quote or a space in it is quoted: `body["a.b"]`.
    pub path: String,
    /// The location of a value in a JSON body: the same as a JSON pointer in a URI fragment, `#/items/3/price` (RFC 6901, section
    /// 6), as RFC 9457 shows it. Absent if it is longer than 256 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The expectation and the received value: `expected a number, found "12a"`.
    pub message: String,
    /// The location of a value in a form: the name of its field, `items[3][price]`. Empty if it is longer than 256 bytes.
    #[serde(skip)]
    field: Option<String>,
}

/// A step on the way from a part of the request to a value in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A step into the member of an object, or the field, with this name.
    Key(&'a str),
    /// A step into the element of a list, counted from 0.
    Index(usize),
}

impl Fault {
    /// A fault of the value at `path`, which starts with the part of the request: `query`, `header`, `body`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Fault {
            path: bounded(path.into()),
            pointer: None,
            message: bounded(message.into()),
            field: None,
        }
    }

    /// A fault of the value that these steps lead to from a part of the request: `query`, `header`, `body`. Without steps, the
    /// fault concerns the whole part.
    pub fn at<'a>(part: &str, steps: impl IntoIterator<Item = Step<'a>>, message: impl Into<String>) -> Self {
        let mut path = part.to_owned();
        for step in steps {
            // Writing into a string does not fail.
            let _ = match step {
                Step::Key(name) if is_plain(name) => write!(path, ".{}", Excerpt::new(name)),
                Step::Key(name) => write!(path, "[{:?}]", Excerpt::new(name)),
                Step::Index(index) => write!(path, "[{index}]"),
            };
        }
        Fault::new(path, message)
    }

    /// A fault of the value that these steps lead to in a form, with the name of its field for [`Problem::field_errors`].
    pub fn of_form<'a>(steps: impl IntoIterator<Item = Step<'a>, IntoIter: Clone>, message: impl Into<String>) -> Self {
        let steps = steps.into_iter();
        Fault {
            field: Some(field(steps.clone()).unwrap_or_default()),
            ..Fault::at("body", steps, message)
        }
    }

    /// A fault of the value that these steps lead to in a JSON body, with its pointer.
    pub fn of_json<'a>(steps: impl IntoIterator<Item = Step<'a>, IntoIter: Clone>, message: impl Into<String>) -> Self {
        let steps = steps.into_iter();
        Fault {
            pointer: pointer(steps.clone()),
            ..Fault::at("body", steps, message)
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

fn pointer<'a>(steps: impl Iterator<Item = Step<'a>>) -> Option<String> {
    let mut pointer = String::from("#");
    for step in steps {
        pointer.push('/');
        match step {
            Step::Key(name) if name.len() > POINTER_BYTES => return None,
            Step::Key(name) => push_pointer_token(&mut pointer, name),
            Step::Index(index) => drop(write!(pointer, "{index}")),
        }
    }
    (pointer.len() <= POINTER_BYTES).then_some(pointer)
}

/// The name of a field in a form.
fn field<'a>(steps: impl Iterator<Item = Step<'a>>) -> Option<String> {
    let mut field = String::new();
    for step in steps {
        match step {
            Step::Key(name) if name.len() > POINTER_BYTES => return None,
            Step::Key(name) if field.is_empty() => field.push_str(name),
            Step::Key(name) => drop(write!(field, "[{name}]")),
            Step::Index(index) => drop(write!(field, "[{index}]")),
        }
    }
    (field.len() <= POINTER_BYTES).then_some(field)
}

/// Returns whether the end of a name after a dot is unambiguous.
fn is_plain(name: &str) -> bool {
    let is_special =
        |character: char| ".[]\"\\".contains(character) || character.is_whitespace() || character.is_control();
    !name.is_empty() && !name.contains(is_special)
}

/// Appends a name, with the characters escaped that are special in a pointer (RFC 6901, section 3) or not allowed in a URI's
/// fragment (RFC 3986, section 3.5).
fn push_pointer_token(pointer: &mut String, name: &str) {
    for byte in name.bytes() {
        match byte {
            b'~' => pointer.push_str("~0"),
            b'/' => pointer.push_str("~1"),
            _ if byte.is_ascii_alphanumeric() || b"-._!$&'()*+,;=:@?".contains(&byte) => pointer.push(char::from(byte)),
            _ => drop(write!(pointer, "%{byte:02X}")),
        }
    }
}

impl Problem {
    /// A problem with a request's values: its detail has the faults, `path: message` each, and its member `errors` lists
    /// them.
    ///
    /// It has at most 100 faults with 4 KiB of text; the member `more_errors` counts the others.
    pub fn faults(status: http::StatusCode, faults: &[Fault]) -> Self {
        Problem::first_faults(status, faults, faults.len())
    }

    /// Creates a problem as [`faults`](Problem::faults) does, with the first of `total` faults.
    pub fn first_faults(status: http::StatusCode, faults: &[Fault], total: usize) -> Self {
        let mut detail = String::new();
        let mut listed = 0;
        for fault in faults.iter().take(LISTED_FAULTS) {
            let text = fault.to_string();
            if listed > 0 {
                if detail.len() + text.len() > LISTED_BYTES {
                    break;
                }
                detail.push_str("; ");
            }
            detail.push_str(&text);
            listed += 1;
        }
        let faults = &faults[..listed];
        let mut problem = Problem::new(status)
            .with_detail(detail)
            .with_serialized("errors", &faults);
        let field_error = |fault: &Fault| Some((fault.field.clone()?, fault.message.clone()));
        problem.0.field_errors = faults.iter().filter_map(field_error).collect();
        match total - listed {
            0 => problem,
            more => problem.with("more_errors", more),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{Fault, LISTED_BYTES, Problem, Step};

    #[test]
    fn path_and_pointer_lead_to_the_same_value() {
        for (steps, path, pointer) in [
            (&[][..], "body", "#"),
            (
                &[Step::Key("items"), Step::Index(3), Step::Key("price")],
                "body.items[3].price",
                "#/items/3/price",
            ),
            (
                &[Step::Key("a.b"), Step::Key("c[0]")],
                "body[\"a.b\"][\"c[0]\"]",
                "#/a.b/c%5B0%5D",
            ),
            (&[Step::Key("")], "body[\"\"]", "#/"),
            (&[Step::Key("m~n/o p%")], "body[\"m~n/o p%\"]", "#/m~0n~1o%20p%25"),
            (&[Step::Key("größe")], "body.größe", "#/gr%C3%B6%C3%9Fe"),
        ] {
            let fault = Fault::of_json(steps.iter().copied(), "wrong");
            assert_eq!((&*fault.path, fault.pointer.as_deref()), (path, Some(pointer)));
        }
    }

    #[test]
    fn a_fault_has_the_name_of_its_field_in_a_form() {
        let (long, too_long) = ("n".repeat(256), "n".repeat(257));
        for (steps, name) in [
            (&[][..], ""),
            (&[Step::Key("url")], "url"),
            (
                &[Step::Key("items"), Step::Index(0), Step::Key("price")],
                "items[0][price]",
            ),
            (
                &[Step::Key("filter"), Step::Key("price"), Step::Key("lt")],
                "filter[price][lt]",
            ),
            (
                &[Step::Key("filter"), Step::Key("tags"), Step::Index(1)],
                "filter[tags][1]",
            ),
            (&[Step::Key("address.street")], "address.street"),
            (&[Step::Key(&long)], &long),
            (&[Step::Key(&too_long)], ""),
            (&[Step::Key(&long), Step::Index(0)], ""),
        ] {
            assert_eq!(
                Fault::of_form(steps.iter().copied(), "wrong").field.as_deref(),
                Some(name)
            );
        }
    }

    #[test]
    fn faults_of_long_input_are_short() {
        let long = "n".repeat(1 << 20);
        let deep: Vec<Step<'_>> = (0..128)
            .flat_map(|index| [Step::Key("name"), Step::Index(index)])
            .collect();
        for steps in [&[Step::Key(&long)][..], &deep] {
            let fault = Fault::of_json(steps.iter().copied(), &*long);
            assert!(fault.path.len() < 500 && fault.message.len() < 500, "{fault}");
            assert_eq!(fault.pointer, None);
        }
    }

    #[test]
    fn problem_counts_the_faults_that_it_does_not_list() {
        let problem = |count, message: &str| {
            let faults: Vec<_> = (0..count)
                .map(|index| Fault::at("body", [Step::Index(index)], message))
                .collect();
            let problem = Problem::faults(StatusCode::BAD_REQUEST, &faults);
            let listed = problem
                .member("errors")
                .and_then(|errors| errors.as_array())
                .map_or(0, Vec::len);
            let more = problem.member("more_errors").and_then(|more| more.as_u64());
            assert!(problem.detail().is_some_and(|detail| detail.len() <= LISTED_BYTES));
            (listed, more)
        };
        assert_eq!(problem(100, "wrong"), (100, None));
        assert_eq!(problem(101, "wrong"), (100, Some(1)));
        let (listed, more) = problem(10_000, &"w".repeat(400));
        assert!((8..12).contains(&listed), "{listed}");
        assert_eq!(more, Some(10_000 - listed as u64));
    }
}
