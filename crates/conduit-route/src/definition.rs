//! The parts of a route, and the concatenation of lists of routes.

use crate::pattern::Pattern;

/// One route as it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The method, case-sensitive (RFC 9110, section 9.1): `GET`.
    pub method: &'static str,
    /// The path, as the grammar of [`Pattern`] has it.
    pub path: &'static str,
    /// The handler's path, for messages: `app::users::show`.
    pub handler: &'static str,
    /// The source file in which the route was written down.
    pub file: &'static str,
    /// The line in `file`, counted from 1.
    pub line: u32,
    /// The action on a handler whose client disconnects, if the route declares one.
    pub disconnect: Option<Disconnect>,
    /// The parameters that the handler takes from a prefix, because its own path does not have them.
    pub of_prefix: &'static [&'static str],
}

/// The action on a pending handler whose client disconnects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disconnect {
    /// It runs to its end, and its answer is thrown away.
    #[default]
    Finish,
    /// It is dropped where it waits.
    Abort,
}

/// One entry of the list that [`table!`](crate::table!) takes.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// A route.
    Route(Definition),
    /// A list of routes under a prefix, which is empty or obeys [`Pattern::parse_prefix`].
    ///
    /// The prefix is put before each route's path; a route `/` under a prefix is the prefix itself.
    Mount {
        /// The text to put before each path.
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

/// The bytes that [`join`] needs for the paths in `parts` that have a prefix.
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

/// Writes the paths of `parts` that have a prefix one after the other.
///
/// # Panics
/// If `BYTES` is less than [`joined_bytes`], or a prefix is bad.
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

/// The routes of `parts` in the order of the list; `joined` is what [`join`] made of them.
///
/// # Panics
/// If `ROUTES` is not [`count`], or `joined` is not what [`join`] made of `parts`.
pub const fn flatten<const ROUTES: usize>(parts: &[Part], joined: &'static [u8]) -> [Definition; ROUTES] {
    const BLANK: Definition = Definition {
        method: "",
        path: "",
        handler: "",
        file: "",
        line: 0,
        disconnect: None,
        of_prefix: &[],
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
                            Err(_) => panic!("the paths were joined from other parts"),
                        };
                        joined = rest;
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

/// The length of `prefix` followed by `path`; 0 without a prefix, where `path` is used unchanged.
const fn joined_length(prefix: &str, path: &str) -> usize {
    match (prefix.len(), path.len()) {
        (0, _) => 0,
        (prefix, 1) => prefix,
        (prefix, path) => prefix + path,
    }
}
