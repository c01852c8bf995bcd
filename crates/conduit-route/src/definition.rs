//! The parts of a route, and the concatenation of lists of routes.

use crate::pattern::Pattern;

/// One route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The method, case-sensitive (RFC 9110, section 9.1): `GET`.
    pub method: &'static str,
    /// The path, in the grammar of [`Pattern`].
    pub path: &'static str,
    /// The handler's path, for messages: `app::users::show`.
    pub handler: &'static str,
    /// The source file that contains the route.
    pub file: &'static str,
    /// The line in `file`, counted from 1.
    pub line: u32,
    /// The action on a handler whose client disconnects, if the route declares one.
    pub disconnect: Option<Disconnect>,
    /// The parameters that the handler takes and that only a prefix of its path contains.
    pub of_prefix: &'static [&'static str],
    /// The path that the links of the handler have, if it makes any: that of the route with all prefixes.
    pub link: Option<&'static str>,
    /// The name of the handler as a tool of language models, if it is one.
    pub tool: Option<ToolName>,
}

/// The name of a handler as a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToolName {
    /// The name in the attribute, in which `{prefix}` is the prefix of the route. Without one, the name is module and function of
    /// the handler without its crate: `users_show`.
    pub text: Option<&'static str>,
    /// The number of bytes at the beginning of the path that are the prefixes of lists.
    pub prefix_bytes: usize,
}

/// The action on a pending handler whose client disconnects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disconnect {
    /// The handler runs to completion, and its response is discarded. The default.
    #[default]
    Finish,
    /// The handler's future is dropped.
    Abort,
}

/// The position of a parameter among those of the path that a route has in the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterPlace {
    /// In the handler's own path, counted from the last one, which is 0: so prefixes do not change it.
    FromEnd(usize),
    /// In a prefix, found by its name.
    Prefix,
}

/// One entry of the list that [`table!`](crate::table!) takes.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// A route.
    Route(Definition),
    /// A list of routes under a prefix, which is empty or valid for [`Pattern::parse_prefix`].
    ///
    /// Each path is the prefix followed by the route's path; a route `/` has the prefix alone as its path.
    Mount {
        /// The prefix.
        prefix: &'static str,
        /// The routes.
        definitions: &'static [Definition],
    },
}

/// The number of routes in `parts`.
pub const fn count(parts: &[Part]) -> usize {
    let mut total = 0;
    let mut at = 0;
    while at < parts.len() {
        total += match parts[at] {
            Part::Route(_) => 1,
            Part::Mount { definitions, .. } => definitions.len(),
        };
        at += 1;
    }
    total
}

/// The total length in bytes of the paths in `parts` that have a prefix, for [`join`].
pub const fn joined_bytes(parts: &[Part]) -> usize {
    let mut total = 0;
    let mut at = 0;
    while at < parts.len() {
        if let Part::Mount { prefix, definitions } = parts[at] {
            let mut route = 0;
            while route < definitions.len() {
                total += joined_length(prefix, definitions[route].path);
                route += 1;
            }
        }
        at += 1;
    }
    total
}

/// Concatenates the paths of `parts` that have a prefix.
///
/// # Panics
/// If `BYTES` is less than [`joined_bytes`], or a prefix is invalid.
#[track_caller]
pub const fn join<const BYTES: usize>(parts: &[Part]) -> [u8; BYTES] {
    let mut text = [0; BYTES];
    let mut free: &mut [u8] = &mut text;
    let mut at = 0;
    while at < parts.len() {
        if let Part::Mount { prefix, definitions } = parts[at] {
            if !prefix.is_empty()
                && let Err(error) = Pattern::parse_prefix(prefix)
            {
                panic!("{}", error.text().as_str());
            }
            let mut route = 0;
            while route < definitions.len() {
                let path = definitions[route].path.as_bytes();
                let length = joined_length(prefix, definitions[route].path);
                if length > 0 {
                    let (joined, rest) = free.split_at_mut(length);
                    let (head, tail) = joined.split_at_mut(prefix.len());
                    head.copy_from_slice(prefix.as_bytes());
                    tail.copy_from_slice(path.split_at(tail.len()).0);
                    free = rest;
                }
                route += 1;
            }
        }
        at += 1;
    }
    text
}

/// The routes of `parts` in the order of the list; `joined` is the result of [`join`] for the same parts.
///
/// # Panics
/// If `ROUTES` is not [`count`], or `joined` is not the result of [`join`] for `parts`.
pub const fn flatten<const ROUTES: usize>(parts: &[Part], joined: &'static [u8]) -> [Definition; ROUTES] {
    const BLANK: Definition = Definition {
        method: "",
        path: "",
        handler: "",
        file: "",
        line: 0,
        disconnect: None,
        of_prefix: &[],
        link: None,
        tool: None,
    };
    let mut all = [BLANK; ROUTES];
    let mut next = 0;
    let mut joined = joined;
    let mut at = 0;
    while at < parts.len() {
        match parts[at] {
            Part::Route(definition) => {
                all[next] = definition;
                next += 1;
            }
            Part::Mount { prefix, definitions } => {
                let mut route = 0;
                while route < definitions.len() {
                    all[next] = definitions[route];
                    let length = joined_length(prefix, definitions[route].path);
                    if length > 0 {
                        let (path, rest) = joined.split_at(length);
                        all[next].path = match str::from_utf8(path) {
                            Ok(path) => path,
                            Err(_) => panic!("`joined` does not contain the paths of these parts"),
                        };
                        joined = rest;
                    }
                    if let Some(tool) = &mut all[next].tool {
                        tool.prefix_bytes += prefix.len();
                    }
                    next += 1;
                    route += 1;
                }
            }
        }
        at += 1;
    }
    assert!(next == ROUTES, "ROUTES is not the number of routes in the parts");
    all
}

/// The length of `prefix` followed by `path`; 0 without a prefix, because `path` is then used unchanged.
const fn joined_length(prefix: &str, path: &str) -> usize {
    match (prefix.len(), path.len()) {
        (0, _) => 0,
        (prefix, 1) => prefix,
        (prefix, path) => prefix + path,
    }
}
