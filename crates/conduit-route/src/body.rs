//! The argument that takes the body of a request, or all of it.

use crate::text::Text;

/// Panics if `argument` and one of the arguments `before` it both consume the request body. Each argument of the
/// handler `function` is its source text and its `FromRequest::TAKES_BODY`.
///
/// # Panics
/// Panics if two arguments consume the body; the message contains the text of both. In `const` evaluation this is a compile error.
#[track_caller]
pub const fn require_one_body(function: &str, before: &[(&str, bool)], argument: (&str, bool)) {
    let mut at = 0;
    while at < before.len() {
        let (earlier, takes_body) = before[at];
        if takes_body && argument.1 {
            let text = Text::new()
                .with("two arguments of `")
                .with(function)
                .with("` consume the request body: `")
                .with(earlier)
                .with("` and `")
                .with(argument.0)
                .with("`; remove one");
            panic!("{}", text.as_str());
        }
        at += 1;
    }
}

/// Panics if `argument` of the handler `function` takes the whole request before another argument; `takes_all` is its
/// `FromRequest::TAKES_ALL`.
///
/// # Panics
/// Panics if `takes_all` is true; the message contains the text of the argument. In `const` evaluation this is a compile error.
#[track_caller]
pub const fn require_last(function: &str, argument: &str, takes_all: bool) {
    if takes_all {
        let text = Text::new()
            .with("the argument `")
            .with(argument)
            .with("` of `")
            .with(function)
            .with("` takes the whole request, and leaves nothing to the arguments after it; make it the last argument");
        panic!("{}", text.as_str());
    }
}
