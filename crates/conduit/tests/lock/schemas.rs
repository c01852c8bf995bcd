//! Differences of values whose type is a schema with a name, and of the rest of a path.

use conduit::openapi::{Lock, LockDifference};
use conduit::prelude::*;
use serde::{Deserialize, Serialize};

mod cats {
    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Cat {
        pub(super) lives: u32,
    }
}

mod dogs {
    use super::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Dog {
        pub(super) name: String,
    }
}

/// Returns whether this change of the body, and the same of the response, are breaking.
fn breaking(now: &Lock, earlier: &Lock, change: &str) -> [bool; 2] {
    let differences = now.differences(&earlier.to_string());
    ["body", "200"].map(|part| {
        let of_part = |found: &&LockDifference| found.change.starts_with(part) && found.change.contains(change);
        let found = differences.iter().find(of_part);
        found
            .unwrap_or_else(|| panic!("{part}, {change}: {differences:?}"))
            .is_breaking
    })
}

#[test]
fn schema_that_may_be_null_differs_from_one_that_may_not() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Pet {
        cat: cats::Cat,
    }
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[schemars(rename = "Pet")]
    struct OptionalPet {
        cat: Option<cats::Cat>,
    }
    #[put("/pet")]
    fn always(pet: Json<Pet>) -> Json<Pet> {
        pet
    }
    #[put("/pet")]
    fn optional(pet: Json<OptionalPet>) -> Json<OptionalPet> {
        pet
    }
    let always = App::new(()).routes(routes![always]).lock();
    let optional = App::new(()).routes(routes![optional]).lock();
    assert_eq!(
        breaking(&optional, &always, ".cat: may be null"),
        [false, true],
        "{optional}"
    );
    assert_eq!(breaking(&always, &optional, ".cat: is no longer null"), [true, false]);
}

#[test]
fn alternative_of_a_schema_in_a_module_is_an_alternative() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(untagged)]
    enum Animal {
        Cat(cats::Cat),
    }
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[schemars(rename = "Animal")]
    enum Animals {
        Cat(cats::Cat),
        Dog(dogs::Dog),
    }
    #[put("/animal")]
    fn cat(animal: Json<Animal>) -> Json<Animal> {
        animal
    }
    #[put("/animal")]
    fn cat_or_dog(animal: Json<Animals>) -> Json<Animals> {
        animal
    }
    let cat = App::new(()).routes(routes![cat]).lock();
    let cat_or_dog = App::new(()).routes(routes![cat_or_dog]).lock();
    assert_eq!(
        breaking(&cat_or_dog, &cat, "Dog\" is added"),
        [false, true],
        "{cat_or_dog}"
    );
    assert_eq!(breaking(&cat, &cat_or_dog, "Dog\" is removed"), [true, false]);
}

#[test]
fn rest_of_a_path_differs_from_one_segment() {
    #[get("/files/{*path}")]
    fn rest(path: Path<String>) -> String {
        path.0
    }
    #[get("/files/{path}")]
    fn segment(path: Path<String>) -> String {
        path.0
    }
    let rest = App::new(()).routes(routes![rest]).lock();
    let segment = App::new(()).routes(routes![segment]).lock();
    for (now, earlier, change, is_breaking) in [
        (&segment, &rest, "path path: no longer takes the rest of the path", true),
        (&rest, &segment, "path path: takes the rest of the path", false),
    ] {
        let differences = now.differences(&earlier.to_string());
        let found = differences.iter().find(|difference| difference.change == change);
        let found = found.unwrap_or_else(|| panic!("{change}: {differences:?}"));
        assert_eq!(found.is_breaking, is_breaking, "{change}");
    }
}
