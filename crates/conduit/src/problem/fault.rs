//! What is wrong with one value of a request, and where it stands.

use std::fmt::Write;

use serde::Serialize;

/// One thing that is wrong with a request: where it stands, and what was expected and came instead.
///
/// A problem that a request's values are to blame for lists its faults as its member `errors`, and its detail names the
/// first: `body.items[3].price: expected a number, found "12a"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The part of the request, and the way to the value in it, such as `body.items[3].price` or `query.page`. A name that
    /// has a dot, a bracket, a quote or a space in it is quoted: `body["a.b"]`.
    pub path: String,
    /// For a value in a JSON body: the same as a JSON pointer in a URI fragment, `#/items/3/price` (RFC 6901, section
    /// 6), as RFC 9457 shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What was expected and what came: `expected a number, found "12a"`.
    pub message: String,
}

/// A step on the way from a part of the request to a value in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into what has this name: the member of an object, a field.
    Key(&'a str),
    /// Into the element of a list, counted from 0.
    Index(usize),
}

impl Fault {
    /// A fault of the value at `path`, which starts with the part of the request: `query`, `header`, `body`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Fault {
            path: path.into(),
            pointer: None,
            message: message.into(),
        }
    }

    /// A fault of the value that these steps lead to from a part of the request: `query`, `header`, `body`. No step is all
    /// of the part.
    pub fn at<'a>(part: &str, steps: impl IntoIterator<Item = Step<'a>>, message: impl Into<String>) -> Self {
        let mut path = part.to_owned();
        for step in steps {
            match step {
                Step::Key(name) if is_plain(name) => {
                    path.push('.');
                    path.push_str(name);
                }
                // Writing into a string does not fail.
                Step::Key(name) => drop(write!(path, "[{name:?}]")),
                Step::Index(index) => drop(write!(path, "[{index}]")),
            }
        }
        Fault::new(path, message)
    }

    /// A fault of the value that these steps lead to in a JSON body, with its pointer.
    pub fn of_json<'a>(steps: impl IntoIterator<Item = Step<'a>, IntoIter: Clone>, message: impl Into<String>) -> Self {
        let steps = steps.into_iter();
        let mut pointer = String::from("#");
        for step in steps.clone() {
            pointer.push('/');
            match step {
                Step::Key(name) => push_pointer_token(&mut pointer, name),
                Step::Index(index) => drop(write!(pointer, "{index}")),
            }
        }
        Fault {
            pointer: Some(pointer),
            ..Fault::at("body", steps, message)
        }
    }
}

/// Whether a name can stand behind a dot without a doubt where it ends.
fn is_plain(name: &str) -> bool {
    let is_special =
        |character: char| ".[]\"\\".contains(character) || character.is_whitespace() || character.is_control();
    !name.is_empty() && !name.contains(is_special)
}

/// Escapes what a pointer gives a meaning to (RFC 6901, section 3) and what a URI's fragment cannot have (RFC 3986, section
/// 3.5).
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

impl super::Problem {
    /// A problem of a request's values: its detail says the faults, `path: message` each, and they are listed as the
    /// member `errors`.
    pub fn faults(status: http::StatusCode, faults: &[Fault]) -> Self {
        let mut detail = String::new();
        for fault in faults {
            if !detail.is_empty() {
                detail.push_str("; ");
            }
            detail.push_str(&fault.path);
            detail.push_str(": ");
            detail.push_str(&fault.message);
        }
        super::Problem::new(status)
            .with_detail(detail)
            .with_serialized("errors", &faults)
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Step};

    #[test]
    fn a_path_and_a_pointer_lead_to_one_value_whatever_its_name_is() {
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
}
