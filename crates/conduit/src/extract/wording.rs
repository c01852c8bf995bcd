//! What serde says of a value, in the words of a client: `expected a number, found "12a"`.

/// Says what was expected and what came instead, from serde's own message (`invalid type: string "12a", expected f64`).
/// A message of any other shape stays as it is, without the line and column that serde_json adds.
pub(super) fn reworded(message: &str) -> String {
    let message = match message.rsplit_once(" at line ") {
        Some((message, place)) if place.contains(" column ") => message,
        _ => message,
    };
    if missing_field(message).is_some() {
        return "missing".to_owned();
    }
    if let Some((found, expected)) = message
        .strip_prefix("unknown variant `")
        .and_then(|rest| rest.rsplit_once("`, expected "))
    {
        return format!("expected {expected}, found {found:?}");
    }
    // What the standard library says of a text that it cannot parse, in a query or a form.
    match message {
        "invalid digit found in string" => return "expected a whole number".to_owned(),
        "invalid float literal" => return "expected a number".to_owned(),
        "provided string was not `true` or `false`" => return "expected true or false".to_owned(),
        _ => {}
    }
    let mismatch = ["invalid type: ", "invalid value: "];
    let Some(rest) = mismatch.iter().find_map(|prefix| message.strip_prefix(prefix)) else {
        return message.to_owned();
    };
    // What came may be a text of the client's, with anything in it; what was expected comes last.
    match rest.rsplit_once(", expected ") {
        Some((found, expected)) => format!("expected {}, found {}", kind(expected), value(found)),
        None => message.to_owned(),
    }
}

/// The name of a field that is missing, where that is what serde says: the way that is told then ends at what lacks it.
pub(super) fn missing_field(message: &str) -> Option<&str> {
    let name = message.strip_prefix("missing field `")?;
    let (name, rest) = name.rsplit_once('`')?;
    (rest.is_empty() || rest.starts_with(" at line ")).then_some(name)
}

/// A type as serde names it, in words.
fn kind(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 up, of 32 bits",
        "u64" | "usize" => "a whole number from 0 up, of 64 bits",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number of 32 bits",
        "i64" | "isize" => "a whole number of 64 bits",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        _ => expected,
    }
}

/// A value as serde shows it, without the name of its type.
fn value(found: &str) -> &str {
    match found {
        "map" => "an object",
        "sequence" => "a list",
        "unit value" => "null",
        _ => match found.strip_prefix("string ") {
            Some(text) => text,
            None => {
                let quoted = ["integer `", "floating point `", "boolean `"];
                let inner = quoted.iter().find_map(|prefix| found.strip_prefix(prefix));
                inner.map_or(found, |inner| inner.trim_end_matches('`'))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{missing_field, reworded};

    #[test]
    fn the_name_of_a_missing_field_is_found_in_the_message() {
        for (message, name) in [
            ("missing field `age`", Some("age")),
            ("missing field `age` at line 1 column 14", Some("age")),
            ("missing field `a`b`", Some("a`b")),
            ("missing field `age` of a person", None),
            ("missing fields", None),
        ] {
            assert_eq!(missing_field(message), name, "{message}");
        }
    }

    #[test]
    fn a_message_says_what_was_expected_and_what_came() {
        for (message, expected) in [
            (
                "invalid type: string \"12a\", expected f64 at line 1 column 9",
                "expected a number, found \"12a\"",
            ),
            (
                "invalid value: integer `256`, expected u8",
                "expected a whole number from 0 to 255, found 256",
            ),
            (
                "invalid type: string \"a, expected b\", expected struct User",
                "expected an object, found \"a, expected b\"",
            ),
            (
                "invalid type: map, expected a sequence",
                "expected a list, found an object",
            ),
            ("missing field `age` at line 1 column 14", "missing"),
            ("invalid digit found in string", "expected a whole number"),
            (
                "unknown variant `blue`, expected `red` or `green`",
                "expected `red` or `green`, found \"blue\"",
            ),
            ("too many lines", "too many lines"),
        ] {
            assert_eq!(reworded(message), expected);
        }
    }
}
