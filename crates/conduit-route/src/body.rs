//! The argument that takes the body of a request.

use crate::text::Text;

/// Demands that an argument of the handler `function` does not take the request's body if one of those `before` it does.
/// Each is its text and whether it takes the body, which only its type knows.
///
/// # Panics
/// If two take it, with both. In `const` evaluation that is a compile error.
#[track_caller]
pub const fn require_one_body(function: &str, before: &[(&str, bool)], argument: (&str, bool)) {
    let mut at = 0;
    while at < before.len() {
        let (earlier, takes_body) = before[at];
        if takes_body && argument.1 {
            let text = Text::new()
                .with("two arguments of `")
                .with(function)
                .with("` take the request's body, which can be taken once: `")
                .with(earlier)
                .with("` and `")
                .with(argument.0)
                .with("`; remove one");
            panic!("{}", text.as_str());
        }
        at += 1;
    }
}
