//! The differences between two JSON values, by path.

use serde_json::Value;

/// One line for each place where `found` is not what was expected. With `subset`, members that were not expected are
/// allowed.
pub(super) fn differences(expected: &Value, found: &Value, subset: bool) -> Vec<String> {
    let mut lines = Vec::new();
    compare(expected, found, subset, "$", &mut lines);
    lines
}

fn compare(expected: &Value, found: &Value, subset: bool, path: &str, lines: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (name, value) in expected {
                let path = member(path, name);
                match found.get(name) {
                    Some(found) => compare(value, found, subset, &path, lines),
                    None => lines.push(format!("{path}: expected {value}, found nothing")),
                }
            }
            for (name, value) in found
                .iter()
                .filter(|(name, _)| !subset && !expected.contains_key(*name))
            {
                lines.push(format!("{}: expected nothing, found {value}", member(path, name)));
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            for place in 0..expected.len().max(found.len()) {
                let path = format!("{path}[{place}]");
                match (expected.get(place), found.get(place)) {
                    (Some(expected), Some(found)) => compare(expected, found, subset, &path, lines),
                    (Some(expected), None) => lines.push(format!("{path}: expected {expected}, found nothing")),
                    (None, Some(found)) => lines.push(format!("{path}: expected nothing, found {found}")),
                    (None, None) => {}
                }
            }
        }
        _ if expected == found => {}
        _ => lines.push(format!("{path}: expected {expected}, found {found}")),
    }
}

fn member(path: &str, name: &str) -> String {
    let plain = name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    if plain && !name.is_empty() {
        format!("{path}.{name}")
    } else {
        format!("{path}[{name:?}]")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_place_that_differs_is_one_line() {
        let expected = json!({ "id": 1, "items": [{ "price": 2 }, 5], "a-b": true });
        let found = json!({ "id": 1, "items": [{ "price": "2" }], "more": null });
        assert_eq!(
            differences(&expected, &found, false),
            [
                "$[\"a-b\"]: expected true, found nothing",
                "$.items[0].price: expected 2, found \"2\"",
                "$.items[1]: expected 5, found nothing",
                "$.more: expected nothing, found null",
            ]
        );
        assert!(differences(&found, &found, false).is_empty());
    }

    #[test]
    fn a_subset_may_have_more_members() {
        let expected = json!({ "user": { "name": "Ada" } });
        let found = json!({ "user": { "name": "Ada", "id": 7 }, "at": 1 });
        assert!(differences(&expected, &found, true).is_empty());
    }
}
