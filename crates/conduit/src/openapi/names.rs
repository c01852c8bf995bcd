//! What the schemas are called in the document.
//!
//! The generator of schemas names a type as it is written, without its modules and arguments, and gives the next one of the
//! same name a number. Here the types that handlers name get names that do not depend on which came first: `Page_User` for
//! `Page<User>`, and where two types have one name the modules before it, `users_Page`. A type that is only a field of
//! another is known by no more than its name, and keeps its number where there are several.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::schemas::{Definitions, INPUT, Identity, OUTPUT, reference_in};

/// What the schemas are called in the document. A type that serde reads and writes in the same form has one schema;
/// otherwise what is read has `Input` behind its name.
pub(super) struct Names {
    input: BTreeMap<String, String>,
    output: BTreeMap<String, String>,
}

impl Names {
    pub(super) fn of(definitions: [Definitions; 2]) -> (Value, Names) {
        let [labels, more] = labels(&definitions);
        let labelled = [(INPUT, &labels), (OUTPUT, &more)];
        let rename = |value: &mut Value| {
            references(value, &mut |place, name| {
                let (_, labels) = labelled.iter().find(|(own, _)| *own == place)?;
                Some(format!("#{place}/{}", escaped(labels.get(name)?)))
            });
        };
        let [input, output] = definitions;
        let relabel = |definitions: Definitions, labels: &BTreeMap<String, String>| -> Map<String, Value> {
            let all = definitions.schemas.into_iter().map(|(name, mut schema)| {
                rename(&mut schema);
                (labels[&name].clone(), schema)
            });
            all.collect()
        };
        let (schemas, names) = Names::of_labelled([relabel(input, &labels), relabel(output, &more)]);
        let behind = |labels: BTreeMap<String, String>, names: &BTreeMap<String, String>| {
            let all = labels
                .into_iter()
                .filter_map(|(name, label)| Some((name, names.get(&label)?.clone())));
            all.collect()
        };
        let names = Names {
            input: behind(labels, &names.input),
            output: behind(more, &names.output),
        };
        (schemas, names)
    }

    /// The names of schemas that have labels, the same for the same type.
    fn of_labelled([input, output]: [Map<String, Value>; 2]) -> (Value, Names) {
        let mut different: BTreeSet<&str> = BTreeSet::new();
        loop {
            let more: Vec<&str> = input
                .iter()
                .filter(|(name, _)| !different.contains(&***name))
                .filter(|(name, read)| {
                    output.get(&**name).is_some_and(|written| {
                        let mut both = [(*read).clone(), written.clone()];
                        both.iter_mut()
                            .for_each(|schema| references(schema, &mut |_, name| Some(name.to_owned())));
                        let mut refers = false;
                        references(&mut (*read).clone(), &mut |_, name| {
                            refers |= different.contains(name);
                            None
                        });
                        both[0] != both[1] || refers
                    })
                })
                .map(|(name, _)| &**name)
                .collect();
            if more.is_empty() {
                break;
            }
            different.extend(more);
        }
        let mut taken = BTreeSet::new();
        let mut fresh = |name: String| {
            let mut name = plain(&name);
            while !taken.insert(name.clone()) {
                name.push('_');
            }
            name
        };
        let written: BTreeMap<String, String> = output.keys().map(|name| (name.clone(), fresh(name.clone()))).collect();
        let read = input.keys().map(|name| {
            let own = match written.get(name) {
                Some(same) if !different.contains(&**name) => same.clone(),
                Some(_) => fresh(format!("{name}Input")),
                None => fresh(name.clone()),
            };
            (name.clone(), own)
        });
        let read: BTreeMap<String, String> = read.collect();
        let mut schemas = Map::new();
        for (names, definitions) in [(&read, &input), (&written, &output)] {
            schemas.extend(
                definitions
                    .iter()
                    .map(|(name, schema)| (names[name].clone(), schema.clone())),
            );
        }
        (
            Value::Object(schemas),
            Names {
                input: read,
                output: written,
            },
        )
    }

    /// Makes references refer to where the schemas are in the document.
    pub(super) fn rewrite(&self, value: &mut Value) {
        references(value, &mut |place, name| {
            let names = if place == INPUT { &self.input } else { &self.output };
            Some(format!("#/components/schemas/{}", names.get(name)?))
        });
    }
}

/// A label for each definition of what is read and of what is written.
fn labels(definitions: &[Definitions; 2]) -> [BTreeMap<String, String>; 2] {
    let identities = definitions.iter().flat_map(|side| side.identities.values());
    let of_unknown: BTreeSet<String> = definitions
        .iter()
        .flat_map(|side| side.schemas.keys().filter(|name| !side.identities.contains_key(*name)))
        .map(|name| plain(name))
        .collect();
    let mut groups: BTreeMap<String, BTreeSet<&Identity>> = BTreeMap::new();
    for identity in identities {
        groups.entry(label(identity, 0)).or_default().insert(identity);
    }
    let mut taken = of_unknown.clone();
    let mut of_types: BTreeMap<&Identity, String> = BTreeMap::new();
    for group in groups.values() {
        let at = |level: usize| group.iter().map(move |identity| label(identity, level));
        let tells_apart = |level: &usize| {
            let labels: BTreeSet<String> = at(*level).collect();
            labels.len() == group.len() && labels.is_disjoint(&of_unknown)
        };
        let level = (0..LEVELS).find(tells_apart).unwrap_or(LEVELS - 1);
        for (identity, mut label) in group.iter().zip(at(level)) {
            while !taken.insert(label.clone()) {
                label.push('_');
            }
            of_types.insert(identity, label);
        }
    }
    definitions.each_ref().map(|side| {
        let label = |name: &String| match side.identities.get(name) {
            Some(identity) => of_types[identity].clone(),
            None => plain(name),
        };
        side.schemas.keys().map(|name| (name.clone(), label(name))).collect()
    })
}

/// How much of a type's modules may be in its label: none, those of the type without the crate, those of its arguments too,
/// and everything.
const LEVELS: usize = 4;

/// A label for a type.
fn label(identity: &Identity, level: usize) -> String {
    if level == LEVELS - 1 {
        return words(&identity.id, usize::MAX);
    }
    let (path, arguments) = identity.id.split_at(identity.id.find('<').unwrap_or(identity.id.len()));
    let (modules, name) = path.rsplit_once("::").unwrap_or(("", path));
    let mut label = String::new();
    if level > 0
        && let Some((_, modules)) = modules.split_once("::")
    {
        label.push_str(&modules.replace("::", "_"));
        label.push('_');
    }
    label.push_str(&identity.name);
    // A name of the user's own says what it is to say of the arguments.
    if name == identity.name && !arguments.is_empty() {
        let modules = if level == 2 { usize::MAX } else { 0 };
        label.push('_');
        label.push_str(&words(arguments, modules));
    }
    plain(&label)
}

/// The names in a type as it is written, with so many of their modules, and `_` between them.
fn words(text: &str, modules: usize) -> String {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let text = text.replace('[', " List ");
    let names = text.split(|letter| !is_part(letter)).filter(|name| !name.is_empty());
    let short = names.map(|name| {
        let segments: Vec<&str> = name.split("::").collect();
        segments[segments.len().saturating_sub(modules.saturating_add(1))..].join("_")
    });
    let all: Vec<String> = short.collect();
    plain(&all.join("_"))
}

/// A name with nothing in it that one in `components` cannot have.
fn plain(name: &str) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    name.chars()
        .map(|letter| if is_allowed(letter) { letter } else { '_' })
        .collect()
}

/// A name as a token of a JSON pointer; it has no letter that a URI cannot have.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Calls `change` with the place and the name of each reference to a schema, and replaces it by what is returned.
fn references(value: &mut Value, change: &mut dyn FnMut(&'static str, &str) -> Option<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| references(item, change)),
        Value::Object(members) => {
            for (key, member) in members {
                if let (true, Value::String(text)) = (key == "$ref", &mut *member) {
                    for place in [INPUT, OUTPUT] {
                        let Some(name) = reference_in(place, &Value::String(text.clone())) else {
                            continue;
                        };
                        if let Some(new) = change(place, &name) {
                            *text = new;
                        }
                        break;
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

    fn at_levels(id: &str, name: &str) -> [String; LEVELS] {
        let identity = Identity {
            id: id.to_owned(),
            name: name.to_owned(),
        };
        std::array::from_fn(|level| label(&identity, level))
    }

    #[test]
    fn a_label_has_as_much_of_the_modules_as_it_is_told() {
        assert_eq!(
            at_levels("app::users::Page<app::users::User>", "Page"),
            [
                "Page_User",
                "users_Page_User",
                "users_Page_app_users_User",
                "app_users_Page_app_users_User"
            ]
        );
        assert_eq!(at_levels("app::Page<[app::User]>", "Page")[0], "Page_List_User");
        assert_eq!(at_levels("app::a::User", "User")[..2], ["User", "a_User"]);
    }

    #[test]
    fn a_name_of_the_users_own_stays_as_it_is() {
        assert_eq!(at_levels("app::a::Users{T}<app::a::User>", "UsersUser")[0], "UsersUser");
    }
}
