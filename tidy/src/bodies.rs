//! The extractors that take the body have three lists, which are equal: the implementations of `FromRequest` that set `TAKES_BODY`, the
//! names that the route attributes check, and the types of `TypeProbe`, which decide.

use std::collections::BTreeSet;

use crate::Finding;
use crate::source::Source;

/// The source with the names that the route attributes check.
const ARGUMENTS: &str = "crates/conduit-macros/src/arguments.rs";
/// A type that takes the body for its content: the attributes check the content.
const WRAPPER: &str = "Submission";

pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(arguments) = sources.iter().find(|source| source.path == ARGUMENTS) else {
        return Vec::new();
    };
    let list = arguments.text.split("const BODIES").nth(1).unwrap_or_default();
    let list = list.split("];").next().unwrap_or_default();
    let listed: BTreeSet<&str> = list.split('"').skip(1).step_by(2).collect();
    let (mut takers, mut probed) = (BTreeSet::new(), BTreeSet::new());
    for source in sources {
        if source.path.starts_with("crates/conduit-core/src/") || source.path.starts_with("crates/conduit/src/") {
            let mut head = "";
            for line in source.text.lines() {
                match line.trim() {
                    "const TAKES_BODY: bool = true;" => takers.extend(name_after(head, " for ")),
                    "pub const TAKES_BODY: bool = true;" => probed.extend(name_after(head, " TypeProbe<")),
                    _ if line.starts_with("impl") => head = line,
                    _ => {}
                }
            }
        }
    }
    takers.remove(WRAPPER);
    let finding = |name: &&str, place: &str| Finding {
        rule: "body",
        path: ARGUMENTS.to_owned(),
        line: 0,
        message: format!("`{name}` takes the body and is not in {place}, or the reverse: add or remove it"),
    };
    let names = listed
        .symmetric_difference(&takers)
        .map(|name| finding(name, "`BODIES`"));
    let types = probed
        .symmetric_difference(&takers)
        .map(|name| finding(name, "the types of `TypeProbe`"));
    names.chain(types).collect()
}

/// The name of a type after a part of a line.
fn name_after<'a>(line: &'a str, part: &str) -> Option<&'a str> {
    let (_, rest) = line.rsplit_once(part)?;
    rest.split(|letter: char| !letter.is_alphanumeric()).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source;

    #[test]
    fn each_list_has_the_extractors_that_take_the_body() {
        let sources = |list: &str, probe: &str| {
            let extractor = format!(
                "impl<T> TypeProbe<{probe}> {{\n    pub const TAKES_BODY: bool = true;\n}}\n\
                 impl<S, T: Read> FromRequest<S> for Json<T> {{\n    const TAKES_BODY: bool = true;\n}}\n\
                 impl<S> FromRequest<S> for Submission<S> {{\n    const TAKES_BODY: bool = true;\n}}\n"
            );
            [
                source(ARGUMENTS, &format!("const BODIES: [&str; 1] = [{list}];\n")),
                source("crates/conduit/src/extract/content.rs", &extractor),
            ]
        };
        assert_eq!(check(&sources("\"Json\"", "Json<T>")), []);
        assert_eq!(check(&sources("", "Json<T>")).len(), 1);
        assert_eq!(check(&sources("\"Json\", \"Form\"", "Json<T>")).len(), 1);
        assert_eq!(check(&sources("\"Json\"", "Form<T>")).len(), 2);
    }
}
