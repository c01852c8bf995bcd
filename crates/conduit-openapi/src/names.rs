//! The names of schemas in the document.
//!
//! A name is a function of its type alone: the path of the type without the application's crate, then its arguments, as
//! in `users.User` and `Page-users.User`. So no other type, and no order of routes, changes it.

use std::collections::BTreeSet;

use conduit_core::internal::openapi::NameMap;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::ordered;
use super::schemas::{Definitions, INPUT, OUTPUT, reference_in};

/// Names that Conduit's own schemas have. A type of the application with one of them keeps its crate.
const RESERVED: [&str; 3] = ["Fault", "Problem", "ProblemWithFaults"];

/// The crate of [`RESERVED`] names.
const OWN: &str = "conduit";

/// The suffix of a schema for input where serde reads and writes the type in different forms. No name of a type ends
/// with it: in a name, a hyphen begins an argument.
const INPUT_SUFFIX: &str = "-Input";

/// The names of all definitions in the document, by the generator's names.
pub(super) struct Names {
    input: NameMap<String>,
    output: NameMap<String>,
}

impl Names {
    /// Names the definitions of an application in the crate `package`, and returns the schemas under these names.
    pub(super) fn of([input, output]: [Definitions; 2], package: &str) -> (Map<String, Value>, Names) {
        let different = different(&input, &output);
        let ids = input.ids.iter().chain(&output.ids).map(|(_, id)| id.clone());
        let of_types = of_types(ordered::set(ids), package);
        let name = |definitions: &Definitions, is_input: bool| -> NameMap<String> {
            let mut names = NameMap::new();
            for (key, id) in &definitions.ids {
                let mut name = of_types[id].clone();
                if is_input && different.contains(id) {
                    name.push_str(INPUT_SUFFIX);
                }
                names.insert(key.clone(), name);
            }
            names
        };
        let names = Names {
            input: name(&input, true),
            output: name(&output, false),
        };
        let mut schemas = Map::new();
        for (definitions, names_of) in [(&input, &names.input), (&output, &names.output)] {
            for (key, schema) in &definitions.schemas {
                let mut schema = schema.clone();
                names.rewrite(&mut schema);
                schemas.insert(names_of[key].clone(), schema);
            }
        }
        (schemas, names)
    }

    /// Makes references refer to the places of the schemas in the document.
    pub(super) fn rewrite(&self, value: &mut Value) {
        references(value, &mut |place, key| {
            let names = if place == INPUT { &self.input } else { &self.output };
            Some(format!("#/components/schemas/{}", names.get(key)?))
        });
    }
}

/// The types that serde reads in another form than it writes them, by their ids: in themselves or in a type they refer to.
fn different(input: &Definitions, output: &Definitions) -> BTreeSet<String> {
    let by_id = |definitions: &Definitions| -> Map<String, Value> {
        let mut all = Map::new();
        for (key, id) in &definitions.ids {
            let mut schema = definitions.schemas[key].clone();
            references(&mut schema, &mut |_, key| definitions.ids.get(key).cloned());
            all.insert(id.clone(), schema);
        }
        all
    };
    let (read, written) = (by_id(input), by_id(output));
    let mut different = BTreeSet::new();
    loop {
        let before = different.len();
        let mut more = Vec::new();
        for (id, schema) in &read {
            if !different.contains(id)
                && let Some(written) = written.get(id)
                && (written != schema || refers_to(schema, &different))
            {
                more.push(id.clone());
            }
        }
        different.extend(more);
        if different.len() == before {
            return different;
        }
    }
}

/// Returns whether a schema whose references are ids refers to one of these.
fn refers_to(schema: &Value, ids: &BTreeSet<String>) -> bool {
    match schema {
        Value::Array(items) => items.iter().any(|item| refers_to(item, ids)),
        Value::Object(members) => members.iter().any(|(key, member)| match member {
            Value::String(id) if key == "$ref" => ids.contains(id),
            member => refers_to(member, ids),
        }),
        _ => false,
    }
}

/// A name for each of these ids. Only ids without a path, which schemas written by hand may have, can share a name; then
/// those after the first have a hash.
fn of_types(ids: BTreeSet<String>, package: &str) -> NameMap<String> {
    let mut taken = BTreeSet::new();
    let mut names = NameMap::new();
    for id in ids {
        let mut name = of_type(&id, package);
        if !taken.insert(name.clone()) {
            name = with_hash(name, &id);
        }
        names.insert(id, name);
    }
    names
}

/// The name of a type by its id, such as `app::Page<app::users::User>`.
///
/// A dot follows a module, a hyphen the crate of a type that is of another one than `package`, and a hyphen precedes an
/// argument. Where modules begin with a small letter and types with a capital one, no two ids have one name, since a
/// type has the same number of arguments everywhere; any other id adds its hash.
fn of_type(id: &str, package: &str) -> String {
    let id = without_placeholders(id);
    let (text, mut is_conventional) = separated(&id, package);
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    is_conventional &= text.chars().all(|letter| is_part(letter) || "<> ".contains(letter));
    let mut parts = Vec::new();
    for part in text.split(|letter| !is_part(letter)).filter(|part| !part.is_empty()) {
        let Some((origin, path)) = part.split_once("::") else {
            parts.push(part.to_owned());
            continue;
        };
        let (modules, name) = path
            .rsplit_once("::")
            .map_or((None, path), |(all, name)| (Some(all), name));
        is_conventional &= name.starts_with(|first: char| first.is_ascii_uppercase())
            && modules.is_none_or(|all| {
                all.split("::")
                    .all(|module| !module.starts_with(|c: char| c.is_ascii_uppercase()))
            });
        let path = path.replace("::", ".");
        let is_own = origin == package && !RESERVED.contains(&&*path) || origin == OWN;
        parts.push(if is_own { path } else { format!("{origin}-{path}") });
    }
    let mut name = parts.join("-");
    // A colon that does not separate modules: the names of components have none.
    is_conventional &= !name.contains(':');
    name = name.replace(':', ".");
    if is_conventional && !name.is_empty() {
        name
    } else {
        with_hash(name, &id)
    }
}

/// The id without the parts `{T}` of a name such as `#[schemars(rename = "Page{T}")]`: the arguments follow anyway.
fn without_placeholders(id: &str) -> String {
    let mut rest = id;
    let mut all = String::new();
    while let Some((before, after)) = rest.split_once('{')
        && let Some((_, after)) = after.split_once('}')
    {
        all.push_str(before);
        rest = after;
    }
    all.push_str(rest);
    all
}

/// The id with a space between arguments that follow each other without one, as schemars writes them, as far as they
/// are of this crate; and whether there were none.
fn separated(id: &str, package: &str) -> (String, bool) {
    let path = format!("{package}::");
    let mut text = String::new();
    let mut copied = 0;
    for (place, _) in id.match_indices(&path) {
        if id[..place].ends_with(|last: char| last.is_alphanumeric() || last == '_') {
            text.push_str(&id[copied..place]);
            text.push(' ');
            copied = place;
        }
    }
    text.push_str(&id[copied..]);
    (text, copied == 0)
}

fn with_hash(name: String, id: &str) -> String {
    let hash = Sha256::digest(id);
    let hash = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    format!("{name}-{hash:08x}")
}

/// Calls `change` with the place and the name of each reference to a schema, and replaces it by the result.
fn references(value: &mut Value, change: &mut dyn FnMut(&'static str, &str) -> Option<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| references(item, change)),
        Value::Object(members) => {
            for (key, member) in members {
                if let (true, Value::String(text)) = (key == "$ref", &mut *member) {
                    let found = [INPUT, OUTPUT]
                        .into_iter()
                        .find_map(|place| Some((place, reference_in(place, text)?)));
                    if let Some((place, name)) = found
                        && let Some(new) = change(place, &name)
                    {
                        *text = new;
                    }
                } else {
                    references(member, change);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_path_and_the_arguments_of_its_type() {
        for (id, name) in [
            ("app::User", "User"),
            ("app::users::User", "users.User"),
            ("app::Page<app::users::User>", "Page-users.User"),
            ("app::W<app::W<uint8>>", "W-W-uint8"),
            ("app::Array<3>", "Array-3"),
            ("app::Page<Option<app::User>>", "Page-Option-User"),
            ("models::users::User", "models-users.User"),
            ("conduit::Problem", "Problem"),
            ("app::Problem", "app-Problem"),
            ("app::users::Problem", "users.Problem"),
            ("app::a::Users{T}<app::a::User>", "a.Users-a.User"),
            ("Money", "Money"),
        ] {
            assert_eq!(of_type(id, "app"), name, "{id}");
        }
    }

    #[test]
    fn an_id_that_others_could_be_mistaken_for_has_a_hash() {
        let unconventional = [
            "app::Pair<app::Aapp::b::B>",
            "app::Pair<myapp::A>",
            "app::user",
            "app::Users::User",
            "app::Page<[app::User]>",
            "app::Page<(app::User, app::User)>",
            "app::Ünï",
            "{}",
        ];
        let names: BTreeSet<String> = unconventional.iter().map(|id| of_type(id, "app")).collect();
        assert_eq!(names.len(), unconventional.len());
        for name in names {
            let (_, hash) = name.rsplit_once('-').expect("a hash follows a hyphen");
            assert!(
                hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
                "{name}"
            );
        }
        assert!(of_type("app::Pair<app::Aapp::b::B>", "app").starts_with("Pair-A-b.B-"));
    }

    #[test]
    fn ids_of_one_name_have_different_names() {
        let ids = BTreeSet::from(["Money".to_owned(), "app::Money".to_owned()]);
        let names = of_types(ids, "app");
        assert_ne!(names["Money"], names["app::Money"]);
    }
}
