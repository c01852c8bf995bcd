//! The table compared with a naive matcher that tries every route.

use std::cmp::Reverse;

use conduit_route::{Definition, Draft, Miss, Parameters, Pattern, Segment, Storage, Table};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Capacity for the largest generated set of routes.
const ROUTES: usize = 24;
const NODES: usize = 1024;
const SLOTS: usize = 4096;

/// A table that is built at run time and leaked, because a table has static lifetime.
fn table(definitions: &'static [Definition]) -> &'static Table {
    let draft = Draft::<ROUTES, NODES, SLOTS>::new(definitions);
    draft.accept(definitions);
    let storage: &'static Storage<NODES, SLOTS, NODES, NODES, ROUTES> = Box::leak(Box::new(draft.finish()));
    Box::leak(Box::new(Table::new(definitions, storage)))
}

fn definition(method: &'static str, path: &str) -> Definition {
    Definition {
        method,
        path: String::leak(path.to_owned()),
        handler: "handler",
        file: "file",
        line: 1,
        disconnect: None,
        of_prefix: &[],
        link: None,
        tool: None,
    }
}

/// The precedence of a route; the lowest is the most specific.
type Rank = Vec<(u8, Reverse<usize>, Reverse<usize>)>;

fn rank(path: &str) -> Rank {
    let pattern = Pattern::parse(path).expect("the path is valid");
    let segments = pattern.segments().map(|segment| match segment {
        Segment::Static(_) => (0, Reverse(0), Reverse(0)),
        Segment::Parameter {
            prefix: "", suffix: "", ..
        } => (2, Reverse(0), Reverse(0)),
        Segment::Parameter { prefix, suffix, .. } => (1, Reverse(prefix.len()), Reverse(suffix.len())),
        Segment::Rest { .. } => (3, Reverse(0), Reverse(0)),
    });
    segments.collect()
}

/// The parameters of `path` if it matches `pattern`.
fn captures<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let pattern = Pattern::parse(pattern).expect("the path is valid");
    let mut left = Some(path.strip_prefix('/')?);
    let mut values = Vec::new();
    for segment in pattern.segments() {
        let here = left?;
        let (text, behind) = match here.split_once('/') {
            Some((text, behind)) => (text, Some(behind)),
            None => (here, None),
        };
        left = behind;
        match segment {
            Segment::Static(literal) if literal == text => {}
            Segment::Static(_) => return None,
            Segment::Parameter { prefix, suffix, .. } => {
                let value = text.strip_prefix(prefix)?.strip_suffix(suffix)?;
                values.push(Some(value).filter(|value| !value.is_empty())?);
            }
            Segment::Rest { .. } => {
                values.push(Some(here).filter(|value| !value.is_empty())?);
                left = None;
            }
        }
    }
    left.is_none().then_some(values)
}

/// All routes that match a path, the most specific first.
fn matching<'p>(definitions: &[Definition], path: &'p str) -> Vec<(usize, Vec<&'p str>)> {
    let mut found: Vec<_> = definitions
        .iter()
        .enumerate()
        .filter_map(|(route, definition)| Some((route, captures(definition.path, path)?)))
        .collect();
    found.sort_by_key(|(route, _)| rank(definitions[*route].path));
    found
}

fn naive_find<'p>(definitions: &[Definition], method: &str, path: &'p str) -> Result<(usize, Vec<&'p str>), Miss> {
    let found = matching(definitions, path);
    if found.is_empty() {
        return Err(Miss::NotFound);
    }
    for (route, values) in &found {
        // The most specific path takes precedence, and a HEAD route of it takes precedence over its GET route.
        let same_path = || found.iter().filter(|other| rank_equal(definitions, other.0, *route));
        let fallback = if method == "HEAD" { "GET" } else { method };
        for method in [method, fallback] {
            if let Some((route, _)) = same_path().find(|other| definitions[other.0].method == method) {
                return Ok((*route, values.clone()));
            }
        }
    }
    Err(Miss::MethodNotAllowed)
}

/// Returns whether two routes that match one path differ only in parameter names.
fn rank_equal(definitions: &[Definition], one: usize, other: usize) -> bool {
    rank(definitions[one].path) == rank(definitions[other].path)
}

fn naive_allow(definitions: &[Definition], path: &str) -> Vec<&'static str> {
    let mut methods: Vec<&str> = Vec::new();
    for (route, _) in matching(definitions, path) {
        methods.push(definitions[route].method);
        if definitions[route].method == "GET" {
            methods.push("HEAD");
        }
    }
    methods.sort_unstable();
    methods.dedup();
    methods
}

fn find<'p>(table: &Table, method: &str, path: &'p str) -> Result<(usize, Vec<&'p str>), Miss> {
    // A search must ignore the parameters of the previous match.
    let mut parameters = Parameters::new();
    let _ = table.find("GET", "/a/b/c/d", &mut parameters);
    let found = table.find(method, path, &mut parameters);
    let values = (0..parameters.len())
        .map(|at| parameters.get(at, path).expect("the path is the same"))
        .collect();
    found.map(|route| (route, values))
}

/// Routes without conflicts, from a small alphabet so that they overlap.
fn routes() -> impl Strategy<Value = Vec<Definition>> {
    let literal = select(vec![
        "a",
        "b",
        "ab",
        "a.b",
        "b.a",
        "users",
        "12345678",
        "123456789",
        "1234567890abcdef",
        "1234567890abcdefg",
        "1234567890xbcdefg",
        "a-very-long-literal-segment",
        "a-very-long-biteral-segment",
        "%2F",
    ]);
    let segment = prop_oneof![
        4 => literal.prop_map(str::to_owned),
        3 => select(vec!["{x}", "{y}"]).prop_map(str::to_owned),
        2 => (select(vec!["", "a", "ab", "a."]), select(vec!["", "b", ".b", "a.b"]))
            .prop_map(|(prefix, suffix)| format!("{prefix}{{x}}{suffix}")),
    ];
    let last = prop_oneof![6 => Just(""), 1 => Just("/{*rest}"), 1 => Just("/")];
    let path = (prop::collection::vec(segment, 0..4), last).prop_map(|(segments, last)| {
        // Parameter names in a path are unique.
        let named = segments.iter().enumerate().map(|(at, segment)| {
            format!(
                "/{}",
                segment
                    .replace("{x}", &format!("{{x{at}}}"))
                    .replace("{y}", &format!("{{y{at}}}"))
            )
        });
        let path = named.collect::<String>() + last;
        if path.is_empty() { "/".to_owned() } else { path }
    });
    let method = select(vec!["GET", "GET", "POST", "HEAD", "PROPPATCH", "PROPPATCX"]);
    prop::collection::vec((method, path), 1..ROUTES).prop_map(|routes| {
        let mut kept: Vec<Definition> = Vec::new();
        for (method, path) in routes {
            let anonymous = |path: &str| path.replace('y', "x").replace(char::is_numeric, "");
            if !kept.iter().any(|other| {
                other.method == method && anonymous(other.path) == anonymous(&path) && rank(other.path) == rank(&path)
            }) {
                kept.push(definition(method, &path));
            }
        }
        kept
    })
}

/// A path that matches a route, or nearly does.
fn path(definitions: &[Definition], route: Index, values: &[&str], changes: &[(Index, char)]) -> String {
    let mut path = String::new();
    for (at, part) in definitions[route.index(definitions.len())].path.split('{').enumerate() {
        match part.split_once('}') {
            Some((_, literal)) => {
                path.push_str(values[at % values.len()]);
                path.push_str(literal);
            }
            None => path.push_str(part),
        }
    }
    for (place, change) in changes {
        let at = place.index(path.len());
        if path.is_char_boundary(at) {
            path.insert(at, *change);
        }
    }
    path
}

fn paths(definitions: Vec<Definition>) -> impl Strategy<Value = (Vec<Definition>, Vec<String>)> {
    let value = select(vec![
        "a",
        "b",
        "ab",
        "a.b",
        "",
        "x",
        "1234567890",
        "users",
        "a/b",
        "é",
        "\0",
        "a-rather-long-value/with-a-slash",
    ]);
    let change = prop_oneof![4 => Just('/'), 1 => Just('a'), 1 => Just('\0'), 1 => Just('é')];
    let one = (
        any::<Index>(),
        prop::collection::vec(value, 1..4),
        prop::collection::vec((any::<Index>(), change), 0..3),
    );
    prop::collection::vec(one, 16).prop_map(move |all| {
        let paths = all
            .iter()
            .map(|(route, values, changes)| path(&definitions, *route, values, changes))
            .collect();
        (definitions.clone(), paths)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn table_and_naive_matcher_agree((definitions, paths) in routes().prop_flat_map(paths)) {
        let definitions: &'static [Definition] = definitions.leak();
        let table = table(definitions);
        for path in &paths {
            for method in ["GET", "HEAD", "POST", "PROPPATCH", "PROPPATCX", "PUT"] {
                prop_assert_eq!(find(table, method, path), naive_find(definitions, method, path), "{} {:?}", method, path);
            }
            let mut methods = table.allow(path);
            methods.sort_unstable();
            prop_assert_eq!(methods, naive_allow(definitions, path), "{:?}", path);
        }
    }

    #[test]
    fn order_of_the_list_is_irrelevant((definitions, paths) in routes().prop_flat_map(paths), seed in any::<u64>()) {
        let mut shuffled = definitions.clone();
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, (seed.rotate_left(last as u32) % (last as u64 + 1)) as usize);
        }
        let (one, other) = (table(definitions.leak()), table(shuffled.leak()));
        for path in &paths {
            let one = find(one, "GET", path).map(|(route, values)| (one.definitions()[route], values));
            let other = find(other, "GET", path).map(|(route, values)| (other.definitions()[route], values));
            prop_assert_eq!(one, other, "{:?}", path);
        }
    }

    #[test]
    fn parsing_arbitrary_text_does_not_panic(path in "/?([a-z./:*%{}_ é?#]|[{]a[}]|[{][*]a[}]){0,24}") {
        if let Err(error) = Pattern::parse(&path) {
            let start = format!("invalid path `{path}`: ");
            prop_assert!(error.to_string().starts_with(&start));
            prop_assert!(path.get(error.range()).is_some());
        }
        let _ = Pattern::parse_prefix(&path);
    }
}
