//! The reader of pairs against a naive twin that builds the tree one name at a time.

use conduit::prelude::*;
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::support::serve;

#[get("/tree")]
fn tree(tree: Query<Map<String, Value>>) -> Json<Map<String, Value>> {
    Json(tree.0)
}

/// The tree of a query, built one name at a time; `None` where it is refused.
fn naive_tree(query: &str) -> Option<Map<String, Value>> {
    let mut tree = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (naive_decode(name)?, naive_decode(value)?);
        let mut steps = naive_steps(&name);
        if steps.len() > 1 && steps.last().is_some_and(String::is_empty) {
            steps.pop();
        }
        if steps.len() > 9 {
            return None;
        }
        let last = steps.pop()?;
        let mut level = &mut tree;
        for step in steps {
            let inner = level.entry(step).or_insert_with(|| Value::Object(Map::new()));
            level = inner.as_object_mut()?;
        }
        match level.entry(last).or_insert(Value::Null) {
            Value::Object(_) => return None,
            Value::Array(values) => values.push(Value::String(value)),
            place @ Value::Null => *place = Value::String(value),
            place => *place = Value::Array(vec![place.take(), Value::String(value)]),
        }
    }
    Some(tree)
}

fn naive_decode(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = text
            .get(at + 1..at + 3)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (bytes[at], digits) {
            (b'%', Some(digits)) => {
                decoded.push(u8::from_str_radix(digits, 16).ok()?);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).ok()
}

fn naive_steps(name: &str) -> Vec<String> {
    let mut steps = Vec::new();
    let mut rest = name;
    while let Some((before, inside)) = rest.split_once('[') {
        let is_first = steps.is_empty();
        let Some((step, after)) = inside.split_once(']') else {
            return vec![name.to_owned()];
        };
        if step.contains('[') || is_first == before.is_empty() || !(after.is_empty() || after.starts_with('[')) {
            return vec![name.to_owned()];
        }
        if is_first {
            steps.push(before.to_owned());
        }
        steps.push(step.to_owned());
        rest = after;
    }
    if steps.is_empty() { vec![name.to_owned()] } else { steps }
}

#[test]
fn pairs_are_the_tree_that_a_naive_reader_builds() {
    let server = serve(App::new(()).routes(routes![tree]));
    let client = std::cell::RefCell::new(server.connect());
    let part = prop::sample::select(vec![
        "a", "b", "a-", "ab", "[", "]", "[]", "[a]", "[b]", "[0]", "%5B", "%5Ba%5D", "+", "%2B", "%", "%4", "%C3%A9",
        "%00", "%ff", "=", "&", "&", "&a[b]=", "&a=", "&a[]=", "1",
    ]);
    let query = prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat());
    proptest!(ProptestConfig::with_cases(2_000), |(query in query)| {
        let mut client = client.borrow_mut();
        client.send(format!("GET /tree?{query} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let response = client.response();
        match naive_tree(&query) {
            Some(tree) => {
                prop_assert_eq!(response.status, 200, "{}", query);
                let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
                prop_assert_eq!(answer, Value::Object(tree), "{}", query);
            }
            None => prop_assert_eq!(response.status, 400, "{}", query),
        }
    });
}
