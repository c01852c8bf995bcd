//! Checks of the parameters of a path against the names that a handler takes.

use crate::definition::Definition;
use crate::pattern::{Pattern, Segment};
use crate::table::Table;
use crate::text::Text;
use crate::tool::require_tools;

/// Panics unless `fields`, the fields of the struct `structure`, are the parameters of the route's path, in any order.
///
/// # Panics
/// Panics if a parameter has no field or a field has no parameter; the message contains both source locations and the remedy. In
/// `const` evaluation this is a compile error.
#[track_caller]
pub const fn require_names(definition: &Definition, structure: &str, fields: &[&str]) {
    let pattern = match Pattern::parse(definition.path) {
        Ok(pattern) => pattern,
        Err(error) => panic!("{}", error.text().as_str()),
    };
    let mut segments = pattern.segments();
    while let Some(segment) = segments.next_segment() {
        if let Segment::Parameter { name, .. } | Segment::Rest { name } = segment
            && !contains(fields, name)
        {
            let text = start(definition)
                .with("has the parameter `{")
                .with(name)
                .with("}`, but `")
                .with(structure);
            let text = text
                .with("` has no field `")
                .with(name)
                .with("`: add the field to the struct or remove the parameter from the path");
            panic!("{}", text.as_str());
        }
    }
    let mut at = 0;
    while at < fields.len() {
        if !is_parameter(pattern, fields[at]) {
            let text = start(definition)
                .with("has no parameter `{")
                .with(fields[at])
                .with("}`, but `")
                .with(structure);
            let text = text
                .with("` has the field `")
                .with(fields[at])
                .with("`: remove the field from the struct or add the parameter to the path");
            panic!("{}", text.as_str());
        }
        at += 1;
    }
}

/// Returns the table if each handler takes only parameters of its full path, including all prefixes, and makes links to that
/// path, and if each tool has a unique name.
///
/// # Panics
/// Panics if a handler takes a parameter that its full path lacks, if its links have another path, or if two tools have the same
/// name; the message contains the source location and the remedy. In `const` evaluation this is a compile error.
#[track_caller]
pub const fn require_prefixes(table: &'static Table) -> &'static Table {
    let definitions = table.definitions();
    require_tools(definitions);
    let mut route = 0;
    while route < definitions.len() {
        let definition = &definitions[route];
        require_link(definition);
        let mut at = 0;
        while at < definition.of_prefix.len() {
            let name = definition.of_prefix[at];
            if let Ok(pattern) = Pattern::parse(definition.path)
                && !is_parameter(pattern, name)
            {
                let text = start(definition)
                    .with("has no parameter `{")
                    .with(name)
                    .with(
                        "}`, which an argument of the handler takes: add the parameter to the path or its prefix, or ",
                    )
                    .with(
                        "remove the argument; if another list adds the prefix, write this list with `nested_routes!`",
                    );
                panic!("{}", text.as_str());
            }
            at += 1;
        }
        route += 1;
    }
    table
}

#[track_caller]
const fn require_link(definition: &Definition) {
    if let Some(link) = definition.link
        && !crate::key::same(link.as_bytes(), definition.path.as_bytes())
    {
        let text = start(definition)
            .with("is not the path of its links, `")
            .with(link)
            .with("`: write the prefix of all lists around the handler in its attribute, as in `link = \"/admin\"`; ");
        let text = text.with("if another list adds the prefix, write this list with `nested_routes!`");
        panic!("{}", text.as_str());
    }
}

const fn start(definition: &Definition) -> Text {
    let text = Text::new()
        .with("the path `")
        .with(definition.path)
        .with("` of `")
        .with(definition.handler);
    text.with("` (")
        .with(definition.file)
        .with(":")
        .with_number(definition.line as usize)
        .with(") ")
}

const fn is_parameter(pattern: Pattern<'_>, field: &str) -> bool {
    let mut segments = pattern.segments();
    while let Some(segment) = segments.next_segment() {
        if let Segment::Parameter { name, .. } | Segment::Rest { name } = segment
            && crate::key::same(name.as_bytes(), field.as_bytes())
        {
            return true;
        }
    }
    false
}

const fn contains(names: &[&str], name: &str) -> bool {
    let mut at = 0;
    while at < names.len() {
        if crate::key::same(names[at].as_bytes(), name.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}
