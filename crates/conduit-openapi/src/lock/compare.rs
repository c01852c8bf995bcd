//! The differences between two locks, and their effect on the clients of the earlier one.
//!
//! | part | breaking |
//! | --- | --- |
//! | an operation, a webhook's field, a media type, a successful status, a documented header field of a response | removed |
//! | a parameter or a field of a request | added as required, or removed |
//! | a field of a response | removed, or no longer required |
//! | a value of a request | fewer values are valid: a type, a bound, a choice, the keys of a map, a default |
//! | a value of a response | more values are valid |
//! | a guard | an alternative is removed without another one that needs no more, or the first one is added |
//! | a tool | its name changes, or it is removed |
//! | a limit | it is added, or lower than before |

use super::APPLICATION;
use super::attributes::Attributes;
use super::limits::{BODY, LIMITS, LockedLimit};
use super::nodes::{KEYS, REST};
use super::text::{Line, Lock, LockDifference, Section};

/// The direction of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// The client sends it.
    Request,
    /// The client receives it.
    Response,
}

/// A change of the values that are valid.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    allows_less: bool,
    allows_more: bool,
}

impl Change {
    const LESS: Change = Change {
        allows_less: true,
        allows_more: false,
    };
    const MORE: Change = Change {
        allows_less: false,
        allows_more: true,
    };
    const OTHER: Change = Change {
        allows_less: true,
        allows_more: true,
    };

    fn is_breaking(self, side: Side) -> bool {
        match side {
            Side::Request => self.allows_less,
            Side::Response => self.allows_more,
        }
    }
}

impl Lock {
    /// The differences of this lock from the text of an earlier one, breaking ones first.
    pub fn differences(&self, earlier: &str) -> Vec<LockDifference> {
        // This lock is read from its text too, so that both lack the same details.
        let mut now = Lock::parse(&self.to_string());
        now.sources.clone_from(&self.sources);
        let all = differences(&Lock::parse(earlier), &now);
        let (mut all, compatible): (Vec<_>, Vec<_>) = all.into_iter().partition(|difference| difference.is_breaking);
        all.extend(compatible);
        all
    }
}

fn differences(old: &Lock, new: &Lock) -> Vec<LockDifference> {
    let mut all = Vec::new();
    if !old.has_limits() {
        all.push(LockDifference {
            is_breaking: false,
            operation: APPLICATION.to_owned(),
            change: NO_LIMITS.to_owned(),
        });
    }
    let is_compared = |name: &str| !name.starts_with("schema ");
    for (name, lines) in old.sections.iter().filter(|(name, _)| is_compared(name)) {
        match new.section(name) {
            Some(now) => {
                let mut comparison = Comparison::of(old, new, new.described(name));
                comparison.section(name, lines, now);
                all.append(&mut comparison.found);
            }
            None => all.push(LockDifference {
                is_breaking: name != APPLICATION,
                operation: old.described(name),
                change: "is removed".to_owned(),
            }),
        }
    }
    for (name, _) in new.sections.iter().filter(|(name, _)| is_compared(name)) {
        if old.section(name).is_none() {
            all.push(LockDifference {
                is_breaking: false,
                operation: new.described(name),
                change: "is added".to_owned(),
            });
        }
    }
    all
}

impl Lock {
    /// Returns whether the version that wrote this lock had the limits of layers as a part.
    fn has_limits(&self) -> bool {
        let lines = self.section(APPLICATION);
        lines.is_some_and(|lines| lines.iter().any(|line| line.part == LIMITS))
    }

    /// The limit of a body in bytes, in a section: that of its innermost layer, of the application's, or of its setting.
    fn body_limit(&self, section: &str) -> Option<f64> {
        let own = |name: &str| {
            let limits = of_limits(self.section(name)?);
            let mut bodies = limits
                .words()
                .iter()
                .filter(|limit| LockedLimit::parse(limit).kind == BODY);
            number(bodies.next_back()?)
        };
        let of_setting = || {
            let mut lines = self.section(APPLICATION)?.iter();
            number(&lines.find(|line| line.part == BODY_LIMIT)?.attributes.to_string())
        };
        own(section).or_else(|| own(APPLICATION)).or_else(of_setting)
    }
}

/// The setting of the limit of a body, which a layer replaces.
const BODY_LIMIT: &str = "CONDUIT_BODY_LIMIT";

/// The difference of a lock that an earlier version has written.
const NO_LIMITS: &str = "an earlier version wrote the file without the limits of layers, so they are not compared: \
                         write the file again with `CONDUIT_UPDATE_LOCK=1 cargo test`";

/// The comparison of one section, with the schemas that it refers to.
struct Comparison<'l> {
    old: &'l Lock,
    new: &'l Lock,
    operation: String,
    /// The schemas that are compared already.
    open: Vec<(String, String, Side)>,
    found: Vec<LockDifference>,
}

impl<'l> Comparison<'l> {
    fn of(old: &'l Lock, new: &'l Lock, operation: String) -> Self {
        Comparison {
            old,
            new,
            operation,
            open: Vec::new(),
            found: Vec::new(),
        }
    }

    fn add(&mut self, is_breaking: bool, change: String) {
        let difference = LockDifference {
            is_breaking,
            operation: self.operation.clone(),
            change,
        };
        if !self.found.contains(&difference) {
            self.found.push(difference);
        }
    }

    fn section(&mut self, name: &str, old: &Section, new: &Section) {
        if name == APPLICATION {
            self.variables(old, new);
        }
        if self.old.has_limits() {
            let bodies = (self.old.body_limit(name), self.new.body_limit(name));
            let lower_body = matches!(bodies, (Some(before), Some(now)) if now < before);
            self.limits(&of_limits(old), &of_limits(new), lower_body);
        }
        let parts = |lines: &Section| -> Vec<String> {
            let own = lines
                .iter()
                .filter(|line| line.pointer.is_empty() && line.part != LIMITS);
            own.map(|line| line.part.clone()).collect()
        };
        let (before, now) = (parts(old), parts(new));
        for part in &before {
            let lines = of_part(old, part);
            if now.contains(part) {
                self.part(part, &lines, &of_part(new, part), name);
            } else {
                self.removed_part(part);
            }
        }
        for part in now.iter().filter(|part| !before.contains(part)) {
            let attributes = of_part(new, part)
                .first()
                .map(|line| line.attributes.clone())
                .unwrap_or_default();
            self.added_part(part, &attributes, &before);
        }
    }

    fn removed_part(&mut self, part: &str) {
        let is_success = part.starts_with(['1', '2', '3']);
        let is_breaking = match part.split(' ').next().unwrap_or_default() {
            "guards" | "deprecated" | "layers" | "handler" => false,
            // A failure that no longer occurs breaks no client.
            status if status == part && status.parse::<u16>().is_ok() | status.ends_with("XX") => is_success,
            "default" => part != "default",
            status if status.parse::<u16>().is_ok() | status.ends_with("XX") => is_success || part.contains(" header "),
            _ => true,
        };
        self.add(is_breaking, format!("{part} is removed"));
    }

    fn added_part(&mut self, part: &str, attributes: &Attributes, before: &[String]) {
        let kind = part.split(' ').next().unwrap_or_default();
        let is_breaking = match kind {
            "guards" => !attributes.has("anonymous"),
            "path" | "query" | "header" | "cookie" => attributes.has("required"),
            "body" => attributes.has("required") && !before.iter().any(|known| known.starts_with("body ")),
            _ => false,
        };
        self.add(is_breaking, format!("{part} is added{attributes}"));
    }

    fn part(&mut self, part: &str, old: &[&Line], new: &[&Line], section: &str) {
        let is_webhook = section.starts_with("webhook ");
        let (before, now) = (&old[0].attributes, &new[0].attributes);
        match part.split(' ').next().unwrap_or_default() {
            "guards" => self.guards(before, now),
            "layers" => self.layers(before, now),
            // A client finds a tool by its name.
            "tool" if before != now => self.add(true, format!("{part}{before} becomes{now}")),
            "handler" | "pages" if before != now => self.add(false, format!("{part}{before} becomes{now}")),
            variable if variable.starts_with("CONDUIT_") => {}
            "path" | "query" | "header" | "cookie" => self.values(part, old, new, Side::Request),
            "body" if !is_webhook => self.values(part, old, new, Side::Request),
            _ => self.values(part, old, new, Side::Response),
        }
    }

    fn guards(&mut self, before: &Attributes, now: &Attributes) {
        for way in before.words().iter().filter(|way| !now.has(way)) {
            let is_breaking = !now.words().iter().any(|other| satisfies(way, other));
            self.add(is_breaking, format!("the guard {way} is no longer an alternative"));
        }
        for way in now.words().iter().filter(|way| !before.has(way)) {
            self.add(false, format!("the guard {way} is a new alternative"));
        }
    }

    fn layers(&mut self, before: &Attributes, now: &Attributes) {
        for layer in before.words().iter().filter(|layer| !now.has(layer)) {
            let same = now
                .words()
                .iter()
                .find(|other| !before.has(other) && name(other) == name(layer));
            match same {
                Some(other) => self.add(false, format!("the layer {layer} becomes {other}")),
                None => self.add(false, format!("the layer {layer} is removed")),
            }
        }
        for layer in now.words().iter().filter(|layer| !before.has(layer)) {
            if !before
                .words()
                .iter()
                .any(|other| !now.has(other) && name(other) == name(layer))
            {
                self.add(false, format!("the layer {layer} is added"));
            }
        }
    }

    /// Compares the limits of layers, by their kind and their values. Of the limits of a body only the innermost one applies:
    /// `lower_body` means that it is lower than before.
    fn limits(&mut self, before: &Attributes, now: &Attributes, lower_body: bool) {
        let kind = |limit: &str| LockedLimit::parse(limit).kind.to_owned();
        let mut removed: Vec<&String> = before.words().iter().filter(|limit| !now.has(limit)).collect();
        for limit in now.words().iter().filter(|limit| !before.has(limit)) {
            let value = LockedLimit::parse(limit);
            let mut known = before.words().iter().map(|known| LockedLimit::parse(known));
            let is_lower = if value.kind == BODY {
                lower_body
            } else {
                !known.any(|known| known.implies(&value))
            };
            let change = match removed.iter().position(|known| kind(known) == value.kind) {
                Some(index) => format!("the limit {} becomes {limit}", removed.remove(index)),
                None => format!("the limit {limit} is added"),
            };
            self.add(is_lower, change);
        }
        for limit in removed {
            let is_lower = lower_body && kind(limit) == BODY;
            self.add(is_lower, format!("the limit {limit} is removed"));
        }
    }

    /// Compares the limits of the application that variables set.
    fn variables(&mut self, old: &Section, new: &Section) {
        for line in new {
            let before = old
                .iter()
                .find(|known| known.part == line.part && line.part.starts_with("CONDUIT_"));
            if let Some(before) = before.filter(|before| before.attributes != line.attributes) {
                let is_lower = number(&line.attributes.to_string()) < number(&before.attributes.to_string());
                self.add(
                    is_lower,
                    format!("{}{} becomes{}", line.part, before.attributes, line.attributes),
                );
            }
        }
    }

    /// Compares the lines of one value: those of a part, or those of a schema that it refers to.
    fn values(&mut self, place: &str, old: &[&Line], new: &[&Line], side: Side) {
        for line in old {
            let place = format!("{place}{}{}", space(&line.pointer), line.pointer);
            match new.iter().find(|now| now.pointer == line.pointer) {
                Some(now) => self.attributes(&place, &line.attributes, &now.attributes, side),
                None if has_ancestor(&line.pointer, |pointer| {
                    old.iter().any(|line| line.pointer == pointer) && !new.iter().any(|line| line.pointer == pointer)
                }) => {}
                None => {
                    let change = if is_choice(&line.pointer) {
                        Change::LESS.is_breaking(side)
                    } else {
                        true
                    };
                    self.add(change, format!("{place} is removed"));
                }
            }
        }
        for line in new {
            if old.iter().any(|known| known.pointer == line.pointer)
                || has_ancestor(&line.pointer, |pointer| {
                    new.iter().any(|line| line.pointer == pointer) && !old.iter().any(|line| line.pointer == pointer)
                })
            {
                continue;
            }
            let is_breaking = match is_choice(&line.pointer) {
                true => Change::MORE.is_breaking(side),
                false => side == Side::Request && line.attributes.has("required"),
            };
            let place = format!("{place}{}{}", space(&line.pointer), line.pointer);
            self.add(is_breaking, format!("{place} is added{}", line.attributes));
        }
    }

    fn attributes(&mut self, place: &str, old: &Attributes, new: &Attributes, side: Side) {
        let mut change = |change: Change, text: String| self.add(change.is_breaking(side), format!("{place}: {text}"));
        match (old.has("required"), new.has("required")) {
            (false, true) => change(Change::LESS, "becomes required".to_owned()),
            (true, false) => change(Change::MORE, "is no longer required".to_owned()),
            _ => {}
        }
        match (old.has("closed"), new.has("closed")) {
            (false, true) => change(Change::LESS, "no longer has further fields".to_owned()),
            (true, false) => change(Change::MORE, "may have further fields".to_owned()),
            _ => {}
        }
        match (old.has(REST), new.has(REST)) {
            (false, true) => change(Change::MORE, "takes the rest of the path".to_owned()),
            (true, false) => change(Change::LESS, "no longer takes the rest of the path".to_owned()),
            _ => {}
        }
        let (before, now) = (types(old), types(new));
        let is_schema = old.reference().is_some();
        if is_schema && new.reference().is_some() {
            match (before.contains(&"null"), now.contains(&"null")) {
                (false, true) => change(Change::MORE, "may be null".to_owned()),
                (true, false) => change(Change::LESS, "is no longer null".to_owned()),
                _ => {}
            }
        } else if before != now && is_schema == new.reference().is_some() {
            let is_any = |types: &[&str]| types.is_empty();
            // Every integer is a number.
            let covers =
                |all: &[&str], kind: &&str| all.contains(kind) || *kind == "integer" && all.contains(&"number");
            let kind = Change {
                allows_less: !is_any(&now) && (is_any(&before) || !before.iter().all(|kind| covers(&now, kind))),
                allows_more: !is_any(&before) && (is_any(&now) || !now.iter().all(|kind| covers(&before, kind))),
            };
            let text = |types: &[&str]| match types {
                [] => "any".to_owned(),
                _ => types.join("|"),
            };
            change(kind, format!("the type {} becomes {}", text(&before), text(&now)));
        }
        self.bounds(place, old, new, side);
        self.choices(place, old, new, side);
        self.references(place, old, new, side);
    }

    /// Compares the bounds and the formats of a value, and the keys of a map.
    fn bounds(&mut self, place: &str, old: &Attributes, new: &Attributes, side: Side) {
        for (keyword, is_lower_bound) in [
            ("minimum", Some(true)),
            ("exclusiveMinimum", Some(true)),
            ("minLength", Some(true)),
            ("minItems", Some(true)),
            ("maximum", Some(false)),
            ("exclusiveMaximum", Some(false)),
            ("maxLength", Some(false)),
            ("maxItems", Some(false)),
            ("format", None),
            ("pattern", None),
            ("multipleOf", None),
            (KEYS, None),
            ("propertyNames", None),
            ("const", None),
        ] {
            let (before, now) = (old.value(keyword), new.value(keyword));
            let kind = match (before, now) {
                (before, now) if before == now => continue,
                (None, _) => Change::LESS,
                (_, None) => Change::MORE,
                (Some(before), Some(now)) => match is_lower_bound {
                    Some(is_lower) if (number(now) > number(before)) == is_lower => Change::LESS,
                    Some(_) => Change::MORE,
                    None if keyword == "format" => change_of_format(before, now),
                    None if keyword == KEYS => change_of_keys(before, now),
                    None => Change::OTHER,
                },
            };
            let text = |value: Option<&str>| value.unwrap_or("none").to_owned();
            let change = format!("{place}: {keyword} {} becomes {}", text(before), text(now));
            self.add(kind.is_breaking(side), change);
        }
    }

    /// Compares the listed values, and the default.
    fn choices(&mut self, place: &str, old: &Attributes, new: &Attributes, side: Side) {
        if let (Some(before), Some(now)) = (old.value("enum"), new.value("enum"))
            && before != now
        {
            let values = |text: &str| -> Vec<serde_json::Value> { serde_json::from_str(text).unwrap_or_default() };
            let (before_values, now_values) = (values(before), values(now));
            let kind = Change {
                allows_less: !before_values.iter().all(|value| now_values.contains(value)),
                allows_more: !now_values.iter().all(|value| before_values.contains(value)),
            };
            self.add(
                kind.is_breaking(side),
                format!("{place}: the values {before} become {now}"),
            );
        } else if old.value("enum").is_some() != new.value("enum").is_some() {
            let kind = if new.value("enum").is_some() {
                Change::LESS
            } else {
                Change::MORE
            };
            self.add(kind.is_breaking(side), format!("{place}: the list of values changes"));
        }
        if old.value("default") != new.value("default") {
            let is_breaking = side == Side::Request && old.value("default").is_some();
            let text = |attributes: &Attributes| attributes.value("default").unwrap_or("none").to_owned();
            self.add(
                is_breaking,
                format!("{place}: the default {} becomes {}", text(old), text(new)),
            );
        }
    }

    fn references(&mut self, place: &str, old: &Attributes, new: &Attributes, side: Side) {
        match (old.reference(), new.reference()) {
            (Some(before), Some(now)) => {
                if before != now {
                    self.add(false, format!("{place}: the schema {before} has the name {now}"));
                }
                let compared = (before.to_owned(), now.to_owned(), side);
                if self.open.contains(&compared) {
                    return;
                }
                self.open.push(compared);
                let sections = (
                    self.old.section(&format!("schema {before}")),
                    self.new.section(&format!("schema {now}")),
                );
                if let (Some(old), Some(new)) = sections {
                    let (old, new): (Vec<&Line>, Vec<&Line>) = (old.iter().collect(), new.iter().collect());
                    self.values(&format!("{place} {now}"), &old, &new, side);
                }
            }
            (None, None) => {}
            _ => self.add(true, format!("{place}: the schema has another form")),
        }
    }
}

/// Returns whether a client with the credentials of one alternative of a guard satisfies another one, which has no other scheme and
/// no other scope: `token[read write]` satisfies `token[read]` and `anonymous`.
fn satisfies(way: &str, other: &str) -> bool {
    let schemes = |way: &str| -> Vec<(String, Vec<String>)> {
        let schemes = way.split('+').filter(|scheme| *scheme != "anonymous");
        let parted = schemes.map(
            |scheme| match scheme.strip_suffix(']').and_then(|scheme| scheme.split_once('[')) {
                Some((name, scopes)) => (name.to_owned(), scopes.split(' ').map(str::to_owned).collect()),
                None => (scheme.to_owned(), Vec::new()),
            },
        );
        parted.collect()
    };
    let own = schemes(way);
    schemes(other).iter().all(|(name, scopes)| {
        own.iter()
            .any(|(known, of_known)| known == name && scopes.iter().all(|scope| of_known.contains(scope)))
    })
}

/// The change of the values that a format has. Formats of integers and of floating-point numbers have ranges, of which one may
/// contain the other; `minimum` and `maximum` are compared separately.
fn change_of_format(before: &str, now: &str) -> Change {
    let (Some(before), Some(now)) = (range(before), range(now)) else {
        return Change::OTHER;
    };
    Change {
        allows_less: now.0 > before.0 || now.1 < before.1,
        allows_more: now.0 < before.0 || now.1 > before.1,
    }
}

/// The change of the keys in a map that match a pattern. Every number without a sign is one that may have a sign.
fn change_of_keys(before: &str, now: &str) -> Change {
    const UNSIGNED: &str = r#""^\\d+$""#;
    const SIGNED: &str = r#""^-?\\d+$""#;
    match (before, now) {
        (UNSIGNED, SIGNED) => Change::MORE,
        (SIGNED, UNSIGNED) => Change::LESS,
        _ => Change::OTHER,
    }
}

/// The exponents of the least and the largest value of a format of numbers, base 2: -31 and 31 of `int32`.
fn range(format: &str) -> Option<(i32, i32)> {
    let bits = |text: &str| text.parse::<i32>().ok();
    match format {
        "float" => Some((-128, 128)),
        "double" => Some((-1024, 1024)),
        _ => match format.strip_prefix("uint") {
            Some("") => Some((0, 64)),
            Some(text) => Some((0, bits(text)?)),
            None => match format.strip_prefix("int")? {
                "" => Some((-63, 63)),
                text => Some((1 - bits(text)?, bits(text)? - 1)),
            },
        },
    }
}

/// The limits of a section.
fn of_limits(lines: &Section) -> Attributes {
    let line = lines.iter().find(|line| line.part == LIMITS);
    line.map(|line| line.attributes.clone()).unwrap_or_default()
}

fn of_part<'s>(lines: &'s Section, part: &str) -> Vec<&'s Line> {
    lines.iter().filter(|line| line.part == part).collect()
}

fn space(pointer: &str) -> &'static str {
    if pointer.is_empty() { "" } else { " " }
}

/// Returns whether a pointer before the end of this one satisfies a condition.
fn has_ancestor(pointer: &str, is_found: impl Fn(&str) -> bool) -> bool {
    steps(pointer).skip(1).map(|end| &pointer[..end]).any(is_found)
}

/// Returns whether the last step of a pointer is one of several alternatives.
fn is_choice(pointer: &str) -> bool {
    steps(pointer)
        .last()
        .is_some_and(|last| pointer[last..].starts_with('?'))
}

/// The positions at which the steps of a pointer begin. A name in quotation marks may contain the marks of other steps.
fn steps(pointer: &str) -> impl Iterator<Item = usize> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let begins = move |(at, letter): (usize, char)| {
        let is_step = !is_quoted && ".[?&".contains(letter);
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = is_quoted && letter == '\\' && !is_escaped;
        is_step.then_some(at)
    };
    pointer.char_indices().filter_map(begins)
}

/// The names of JSON types in a line, in alphabetical order.
fn types(attributes: &Attributes) -> Vec<&'static str> {
    const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];
    let is_named = |kind: &&str| {
        let mut words = attributes.words().iter();
        words.any(|attribute| attribute.split('|').any(|word| word == *kind))
    };
    TYPES.into_iter().filter(is_named).collect()
}

/// The name of a layer without its value, `BodyLimit` of `BodyLimit(1024 bytes)`, which pairs a changed layer with the earlier one.
fn name(layer: &str) -> &str {
    layer.split('(').next().unwrap_or(layer)
}

/// The first number in a value, in bytes where it has such a unit.
fn number(text: &str) -> Option<f64> {
    let start = text.find(|letter: char| letter.is_ascii_digit())?;
    let sign = if text[..start].ends_with('-') { -1.0 } else { 1.0 };
    let rest = &text[start..];
    let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (digits, unit) = rest.split_at(end.unwrap_or(rest.len()));
    let unit: String = unit.chars().take_while(|letter| letter.is_alphabetic()).collect();
    let factor = match &*unit {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    digits
        .trim_end_matches('.')
        .parse::<f64>()
        .ok()
        .map(|number| sign * number * factor)
}
