//! The nearest routes of a request without a route, with the reasons why they do not match, and the nearest of a list of names: for
//! messages to developers.

use std::cmp::Ordering;

use conduit_route::{Definition, Pattern, Segment};
use serde_json::{Value, json};

use crate::excerpt::Excerpt;

/// The maximum number of reported routes.
const LISTED: usize = 3;

/// The longest text of a segment that is compared, in characters: longer than a name that a person types.
const SEGMENT_CHARACTERS: usize = 40;

/// The maximum number of compared segments of a path: routes have fewer.
const SEGMENTS: usize = 64;

/// The cost of a missing segment.
const MISSING_SEGMENT: f32 = 0.8;

/// The cost of an additional or a missing slash at the end.
const TRAILING_SLASH: f32 = 0.1;

/// The largest part of a segment's letters that may be typing errors.
const TYPING_ERRORS: f32 = 0.5;

/// The cost of additional segments before equal ones: a prefix of a list that the request lacks, or that the list does not
/// have.
const PREFIX: f32 = 0.5;

/// The cost of another method.
const OTHER_METHOD: f32 = 0.3;

/// A route that did not match.
struct Near {
    route: &'static Definition,
    /// The distance from the request; 0 is a match.
    cost: f32,
    /// The equal text between slashes.
    agreed: usize,
    /// One of the two has more segments.
    is_longer: bool,
    reasons: Vec<String>,
}

impl Near {
    /// Returns whether the route is near enough to report: one segment may differ entirely, and a second one where others agree.
    fn was_perhaps_meant(&self) -> bool {
        self.cost < 1.0 + 0.25 * self.agreed as f32
    }

    fn add(&mut self, cost: f32, reason: String) {
        self.cost += cost;
        self.reasons.push(reason);
    }

    fn to_json(&self) -> Value {
        let mut summary = route_summary(self.route);
        summary["because"] = self.reasons.join("; ").into();
        summary
    }
}

/// The nearest routes, the nearest first, each with the reason why it does not match.
pub fn nearest(definitions: &'static [Definition], method: &str, path: &str) -> Vec<Value> {
    let mut all: Vec<Near> = definitions
        .iter()
        .map(|route| compare(route, method, path))
        .filter(Near::was_perhaps_meant)
        .collect();
    // Routes with an equal distance keep the order of the list.
    all.sort_by(|one, other| one.cost.partial_cmp(&other.cost).unwrap_or(Ordering::Equal));
    all.truncate(LISTED);
    all.iter().map(Near::to_json).collect()
}

/// The known name that is nearest to `name`, unless each differs in more than half of its letters.
pub fn nearest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let all = known.into_iter().map(|known| (difference(name, known), known));
    let near = all.filter(|(difference, _)| *difference < 1.0);
    near.min_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

/// A route as an error reports it.
pub fn route_summary(route: &Definition) -> Value {
    json!({
        "method": route.method,
        "path": route.path,
        "handler": route.handler,
        "file": route.file,
        "line": route.line,
    })
}

fn compare(route: &'static Definition, method: &str, path: &str) -> Near {
    let mut near = Near {
        route,
        cost: 0.0,
        agreed: 0,
        is_longer: false,
        reasons: Vec::new(),
    };
    if let Ok(pattern) = Pattern::parse(route.path) {
        compare_paths(&mut near, pattern, path);
    }
    if method != route.method && !(method == "HEAD" && route.method == "GET") {
        let reason = format!("the method is {}, the route has {}", Excerpt::new(method), route.method);
        // Another method of another resource is not near: `PUT /items` and `GET /items/old`.
        let cost = if near.is_longer { f32::INFINITY } else { OTHER_METHOD };
        near.add(cost, reason);
    }
    near
}

fn compare_paths(near: &mut Near, pattern: Pattern<'static>, path: &str) {
    let mut given: Vec<&str> = path
        .strip_prefix('/')
        .unwrap_or(path)
        .split('/')
        .take(SEGMENTS)
        .collect();
    let mut wanted: Vec<Segment<'_>> = pattern.segments().collect();
    let has_rest = matches!(wanted.last(), Some(Segment::Rest { .. }));
    // A slash at the end makes a last segment that is empty.
    let ends_in_slash = given.len() > 1 && given.last() == Some(&"");
    let wants_slash = wanted.len() > 1 && wanted.last() == Some(&Segment::Static(""));
    if ends_in_slash && !wants_slash && !has_rest {
        given.pop();
        near.add(
            TRAILING_SLASH,
            "the path ends in a slash, the route does not".to_owned(),
        );
    }
    if wants_slash && !ends_in_slash {
        wanted.pop();
        near.add(
            TRAILING_SLASH,
            "the route ends in a slash, the path does not".to_owned(),
        );
    }
    if let Some(reason) = prefix(&given, &wanted) {
        near.agreed += given.len().min(wanted.len());
        near.is_longer = true;
        near.add(PREFIX, reason);
        return;
    }
    for (place, (&given_here, wanted_here)) in given.iter().zip(&wanted).enumerate() {
        let text = match *wanted_here {
            Segment::Rest { name } if given_here.is_empty() && place + 1 == given.len() => {
                format!("{{*{name}}}, which is not empty")
            }
            Segment::Rest { .. } => return,
            Segment::Static(text) if text == given_here => {
                near.agreed += usize::from(!text.is_empty());
                continue;
            }
            Segment::Static(text) => format!("{text:?}"),
            Segment::Parameter { prefix, suffix, .. } if has_inside(given_here, prefix, suffix) => continue,
            Segment::Parameter { prefix, name, suffix } => format!("{prefix}{{{name}}}{suffix}"),
        };
        let cost = match wanted_here {
            Segment::Static(text) => difference(given_here, text),
            Segment::Parameter { .. } | Segment::Rest { .. } => MISSING_SEGMENT,
        };
        let reason = format!(
            "segment {} is {:?}, the route has {text}",
            place + 1,
            Excerpt::new(given_here)
        );
        near.add(cost, reason);
    }
    let (given, wanted) = (given.len(), wanted.len());
    if given != wanted {
        near.is_longer = true;
        let plural = if given == 1 { "" } else { "s" };
        let cost = MISSING_SEGMENT * given.abs_diff(wanted) as f32;
        near.add(
            cost,
            format!("the path has {given} segment{plural}, the route has {wanted}"),
        );
    }
}

/// Describes the text before the segments that path and route share, if the shorter one consists of those.
fn prefix(given: &[&str], wanted: &[Segment<'_>]) -> Option<String> {
    let common = given.len().min(wanted.len());
    let (given_before, given) = given.split_at(given.len() - common);
    let (wanted_before, wanted) = wanted.split_at(wanted.len() - common);
    let is_same = given.iter().zip(wanted).all(|(given, wanted)| match wanted {
        Segment::Static(text) => text == given,
        Segment::Parameter { prefix, suffix, .. } => has_inside(given, prefix, suffix),
        Segment::Rest { .. } => !given.is_empty(),
    });
    // A parameter agrees with anything: some text must be the same too.
    let is_literal = |segment: &Segment<'_>| matches!(segment, Segment::Static(text) if !text.is_empty());
    if !is_same || !wanted.iter().any(is_literal) {
        return None;
    }
    if !given_before.is_empty() {
        let before = given_before.join("/");
        return Some(format!(
            "the path has \"/{}\" before it, the route does not",
            Excerpt::new(&before)
        ));
    }
    // A prefix of a list has no parameters.
    let before = wanted_before.iter().map(|segment| match segment {
        Segment::Static(text) => Some(*text),
        Segment::Parameter { .. } | Segment::Rest { .. } => None,
    });
    let before = before.collect::<Option<Vec<_>>>().filter(|before| !before.is_empty())?;
    let before = before.join("/");
    Some(format!("the route has \"/{before}\" before it, the path does not"))
}

/// Returns whether a segment has this start and end, with at least a character in between.
fn has_inside(segment: &str, prefix: &str, suffix: &str) -> bool {
    let inside = segment.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
    inside.is_some_and(|inside| !inside.is_empty())
}

/// The difference of two segments, from 0 to 1: the Levenshtein distance as a part of the longer one's length. Upper and lower
/// case differ little; segments that differ in more than [`TYPING_ERRORS`] of their letters are different words.
fn difference(one: &str, other: &str) -> f32 {
    if one.eq_ignore_ascii_case(other) {
        return 0.1;
    }
    let beginning = |text: &str| text.chars().take(SEGMENT_CHARACTERS).collect::<String>();
    let part = 1.0 - strsim::normalized_levenshtein(&beginning(one), &beginning(other)) as f32;
    if part > TYPING_ERRORS { 1.0 } else { part }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn route(method: &'static str, path: &'static str) -> Definition {
        Definition {
            method,
            path,
            handler: "app::handler",
            file: "src/main.rs",
            line: 12,
            disconnect: None,
            of_prefix: &[],
            link: None,
            tool: None,
        }
    }

    static ROUTES: [Definition; 9] = [
        route("GET", "/"),
        route("GET", "/users"),
        route("POST", "/users"),
        route("GET", "/users/{id}"),
        route("GET", "/files/v{number}.txt"),
        route("GET", "/static/{*path}"),
        route("GET", "/news/"),
        route("GET", "/internal/v1/jobs"),
        route("GET", "/internal/v1/jobs/{id}"),
    ];

    fn first(method: &str, path: &str) -> Option<(String, String)> {
        let near = nearest(&ROUTES, method, path);
        let text = |name| near.first()?[name].as_str().map(str::to_owned);
        Some((text("path")?, text("because")?))
    }

    fn because(method: &str, path: &str, route: &str, reason: &str) {
        assert_eq!(
            first(method, path),
            Some((route.to_owned(), reason.to_owned())),
            "{method} {path}"
        );
    }

    #[test]
    fn the_nearest_route_is_reported_with_the_reason() {
        because(
            "GET",
            "/user/7",
            "/users/{id}",
            "segment 1 is \"user\", the route has \"users\"",
        );
        because(
            "GET",
            "/Users",
            "/users",
            "segment 1 is \"Users\", the route has \"users\"",
        );
        because(
            "GET",
            "/users/",
            "/users",
            "the path ends in a slash, the route does not",
        );
        because("GET", "/news", "/news/", "the route ends in a slash, the path does not");
        because(
            "DELETE",
            "/users/7",
            "/users/{id}",
            "the method is DELETE, the route has GET",
        );
        because(
            "GET",
            "/users/7/x",
            "/users/{id}",
            "the path has 3 segments, the route has 2",
        );
        because(
            "GET",
            "/files/v1.md",
            "/files/v{number}.txt",
            "segment 2 is \"v1.md\", the route has v{number}.txt",
        );
        because(
            "GET",
            "/static/",
            "/static/{*path}",
            "segment 2 is \"\", the route has {*path}, which is not empty",
        );
        because(
            "GET",
            "/static",
            "/static/{*path}",
            "the path has 1 segment, the route has 2",
        );
    }

    #[test]
    fn a_missing_prefix_is_reported() {
        because(
            "GET",
            "/jobs",
            "/internal/v1/jobs",
            "the route has \"/internal/v1\" before it, the path does not",
        );
        because(
            "GET",
            "/jobs/7",
            "/internal/v1/jobs/{id}",
            "the route has \"/internal/v1\" before it, the path does not",
        );
        because(
            "GET",
            "/api/users/7",
            "/users/{id}",
            "the path has \"/api\" before it, the route does not",
        );
        // A segment that agrees with a parameter only is not equal.
        assert_eq!(first("GET", "/a/b/7"), None);
    }

    #[test]
    fn another_method_of_a_longer_path_is_not_near() {
        let near = nearest(&ROUTES, "PUT", "/users");
        let paths: Vec<_> = near.iter().map(|route| &route["path"]).collect();
        assert_eq!(paths, ["/users", "/users"]);
        assert_eq!(first("POST", "/jobs"), None);
    }

    #[test]
    fn dissimilar_path_has_no_nearest_route() {
        assert_eq!(first("GET", "/wp-login.php"), None);
        assert_eq!(first("GET", "/a/b/c/d/e/f"), None);
    }

    #[test]
    fn long_paths_are_cut() {
        let path = format!("/users/7/{}", "<b>/".repeat(2000));
        assert_eq!(first("GET", &path), None);
        let (_, reason) = first("GET", &format!("/files/{}", "é".repeat(4000))).unwrap();
        assert!(reason.len() < 200, "{reason}");
    }
}
