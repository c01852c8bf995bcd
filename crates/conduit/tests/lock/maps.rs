//! Differences between the keys and the values of maps.

use std::collections::BTreeMap;

use conduit::openapi::Operation;
use conduit::prelude::*;

#[test]
fn changed_value_of_a_map_with_numbers_as_keys_is_found() {
    #[get("/names")]
    fn names() -> Json<BTreeMap<u32, bool>> {
        Json(BTreeMap::new())
    }
    let lock = App::new(()).routes(routes![names]).lock();
    let text = lock.to_string();
    let earlier = text.replace(r#".*: keys "^\\d+$", boolean"#, r#".*: keys "^\\d+$", string"#);
    let [difference] = &lock.differences(&earlier)[..] else {
        panic!("one difference is expected: {text}");
    };
    assert!(difference.is_breaking, "{difference}");
    assert!(
        difference.change.contains(".*: the type string becomes boolean"),
        "{difference}"
    );
}

#[test]
fn changed_keys_of_a_map_are_found_and_classified() {
    #[put("/names")]
    fn unsigned(names: Json<BTreeMap<u32, bool>>) -> Json<BTreeMap<u32, bool>> {
        names
    }
    #[put("/names")]
    fn signed(names: Json<BTreeMap<i32, bool>>) -> Json<BTreeMap<i32, bool>> {
        names
    }
    #[put("/names")]
    fn text(names: Json<BTreeMap<String, bool>>) -> Json<BTreeMap<String, bool>> {
        names
    }
    let unsigned = App::new(()).routes(routes![unsigned]).lock();
    let signed = App::new(()).routes(routes![signed]).lock();
    let text = App::new(()).routes(routes![text]).lock();
    let [of_unsigned, of_signed, of_text] = [r#""^\\d+$""#, r#""^-?\\d+$""#, "none"];
    for (earlier, before, lock, now, permits_more) in [
        (&unsigned, of_unsigned, &signed, of_signed, true),
        (&signed, of_signed, &unsigned, of_unsigned, false),
        (&unsigned, of_unsigned, &text, of_text, true),
        (&text, of_text, &unsigned, of_unsigned, false),
    ] {
        let differences = lock.differences(&earlier.to_string());
        for (part, is_breaking) in [("body", !permits_more), ("200", permits_more)] {
            let change = format!("{part} application/json .*: keys {before} becomes {now}");
            let found = differences.iter().find(|difference| difference.change == change);
            let found = found.unwrap_or_else(|| panic!("{change}: {differences:?}"));
            assert_eq!(found.is_breaking, is_breaking, "{change}");
        }
    }
}

#[test]
fn constraint_of_the_keys_of_an_object_is_in_the_lock() {
    fn short_keys(operation: &mut Operation) {
        let schema = serde_json::json!({ "type": "object", "propertyNames": { "maxLength": 3, "pattern": "a: b, c" } });
        operation.response("application/json", schema);
    }
    #[get("/keys", describe = short_keys)]
    fn keys() -> NoContent {
        NoContent
    }
    let lock = App::new(()).routes(routes![keys]).lock();
    let text = lock.to_string();
    assert_eq!(lock.differences(&text), []);
    let [difference] = &lock.differences(&text.replace("\"maxLength\":3", "\"maxLength\":2"))[..] else {
        panic!("one difference is expected: {text}");
    };
    assert!(difference.is_breaking, "{difference}");
}
