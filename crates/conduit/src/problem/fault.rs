//! What is wrong with one value of a request, and where it stands.

use serde::Serialize;

/// One thing that is wrong with a request: where it stands, and what was expected and came instead.
///
/// A problem that a request's values are to blame for lists its faults as its member `errors`, and its detail names the
/// first: `body.items[3].price: expected a number, found "12a"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The part of the request, and the way to the value in it, such as `body.items[3].price` or `query.page`.
    pub path: String,
    /// For a value in a JSON body: the same as a JSON pointer in a URI fragment, `#/items/3/price` (RFC 6901, section
    /// 6), as RFC 9457 shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// What was expected and what came: `expected a number, found "12a"`.
    pub message: String,
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

    /// The fault of a value in a JSON body, with its pointer: `path` is as `items[3].price`, or empty for all of it.
    pub fn of_json(path: &str, message: impl Into<String>) -> Self {
        let mut pointer = String::from("#");
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            pointer.push('/');
            let step = step.strip_suffix(']').unwrap_or(step);
            pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        }
        let separator = if path.is_empty() || path.starts_with('[') {
            ""
        } else {
            "."
        };
        Fault {
            path: format!("body{separator}{path}"),
            pointer: Some(pointer),
            message: message.into(),
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
