//! Matching a path against a table.

use std::ops::Range;

use crate::definition::Definition;
use crate::draft::Storage;
use crate::key::{Key, Subject, WORD, first_word, first_word_now};
use crate::pattern::PARAMETER_LIMIT;

/// Stands for "none" where an index is expected.
pub(crate) const NONE: u32 = u32::MAX;

/// Where a path's next segment is decided: the segments so far, as the routes have them, are the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// Set if a following segment is literal, so that the slots must be searched.
    pub(crate) has_literals: bool,
    /// The node after a parameter that takes the whole segment, if that is the first alternative.
    pub(crate) plain: u32,
    /// What to try when no literal segment follows: this node's own first alternative or else what
    /// comes next for the nodes above it.
    pub(crate) otherwise: u32,
    /// The first route that ends here.
    pub(crate) endpoint: u32,
}

/// One literal segment after one node: an entry of a hash table whose slots each start a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Literal {
    pub(crate) first: u64,
    pub(crate) second: u64,
    /// The [`tag`] of the node before the segment and its length.
    pub(crate) tag: u64,
    /// The node after the segment.
    pub(crate) child: u32,
    /// The next literal of the same slot; 0, which has the tag of no segment, at the chain's end.
    pub(crate) next: u16,
    /// Where the segment starts in the path of the route that it comes from.
    pub(crate) start: u16,
}

/// One way to bind a parameter to a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alternative {
    /// The node after the segment.
    pub(crate) child: u32,
    /// What to try when this leads nowhere.
    pub(crate) otherwise: u32,
    /// The number of parameters that are bound before this one.
    pub(crate) bound: u8,
    pub(crate) shape: Shape,
    /// Where the segment starts, counted from the end of the parameter before it or else from the
    /// path's start. Backtracking needs no stack: the bound parameters give the position.
    pub(crate) offset: u16,
    /// Whose path holds the prefix and the suffix.
    pub(crate) definition: u32,
    pub(crate) prefix: (u16, u16),
    pub(crate) suffix: (u16, u16),
}

/// The literal text around a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text before it, after it, or both.
    Affixed,
    /// The whole segment.
    Plain,
    /// The rest of the path.
    Rest,
}

/// One route at the node where its path ends; the index is that of its definition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    /// The method's first eight bytes, filled up with zeros.
    pub(crate) method: u64,
    pub(crate) method_length: u32,
    /// The next route that ends at the same node.
    pub(crate) next: u32,
}

/// Routes, ready to be matched; [`table!`](crate::table!) makes one in static memory.
///
/// A path is matched as it was sent, percent-encoding included, segment by segment. Of the routes
/// that match, the one wins that is most specific in the first segment where they differ: a literal
/// segment before one with a prefix or suffix (the longer prefix first, then the longer suffix), then
/// `{name}`, then `{*rest}`. The order in which the routes are listed does not matter. A route that
/// lacks the method does not stand in the way of a less specific one that has it.
///
/// A match takes time in proportion to the path's length, plus what backtracking needs: at most one
/// visit to each node of the table. It needs no heap and does not recurse.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    definitions: &'static [Definition],
    nodes: &'static [Node],
    /// The first literal of each slot. A power of two in number, at most a quarter of them taken.
    slots: &'static [u16],
    /// A hash shifted right by this number is an index into `slots`.
    shift: u32,
    literals: &'static [Literal],
    /// The route that each literal comes from.
    origins: &'static [u32],
    alternatives: &'static [Alternative],
    endpoints: &'static [Endpoint],
}

/// The parameters of a match: ranges of the path's bytes, from left to right.
///
/// It can be used again for the next match without being cleared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters {
    ranges: [(u32, u32); PARAMETER_LIMIT],
    length: usize,
}

/// Why no route was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No route matches the path: 404 (RFC 9110, section 15.5.5).
    NotFound,
    /// Routes match the path, but none has the method: 405 (RFC 9110, section 15.5.6).
    MethodNotAllowed,
}

impl Parameters {
    /// No parameters.
    pub const fn new() -> Self {
        Parameters {
            ranges: [(0, 0); PARAMETER_LIMIT],
            length: 0,
        }
    }

    /// The number of parameters.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Returns whether the table is empty.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The parameter at `index`, counted from the left of the path from 0.
    ///
    /// `path` must be the path that was matched; of another path it is some other text, or `None`.
    pub fn get<'p>(&self, index: usize, path: &'p str) -> Option<&'p str> {
        path.get(self.range(index)?)
    }

    /// The bytes of the path that the parameter at `index` is, counted as in [`get`](Parameters::get).
    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        let &(start, end) = self.ranges[..self.length].get(index)?;
        Some(start as usize..end as usize)
    }

    /// Forgets the parameters.
    pub const fn clear(&mut self) {
        self.length = 0;
    }
}

/// A node at which a path ends.
struct Found {
    node: u32,
    /// The number of parameters that were bound on the way.
    bound: usize,
}

impl Table {
    /// A table over what a [`Draft`](crate::Draft) was finished into.
    pub const fn new<
        const NODES: usize,
        const SLOTS: usize,
        const LITERALS: usize,
        const ALTERNATIVES: usize,
        const ROUTES: usize,
    >(
        definitions: &'static [Definition],
        storage: &'static Storage<NODES, SLOTS, LITERALS, ALTERNATIVES, ROUTES>,
    ) -> Self {
        Table {
            definitions,
            nodes: &storage.nodes,
            slots: &storage.slots,
            literals: &storage.literals,
            origins: &storage.origins,
            shift: 64 - SLOTS.trailing_zeros(),
            alternatives: &storage.alternatives,
            endpoints: &storage.endpoints,
        }
    }

    /// The routes, in the order in which they were listed.
    pub const fn definitions(&self) -> &'static [Definition] {
        self.definitions
    }

    /// The route for `method` and `path`, as an index into [`Table::definitions`]; its parameters
    /// are left in `parameters`.
    ///
    /// A `GET` route answers `HEAD` too, unless there is a `HEAD` route of just the same path.
    ///
    /// # Errors
    /// [`Miss`] distinguishes a path that has a route for another method; `parameters` is then empty.
    #[inline]
    pub fn find(&self, method: &str, path: impl AsRef<[u8]>, parameters: &mut Parameters) -> Result<usize, Miss> {
        parameters.length = 0;
        let mut short = [0; 8];
        let Some(path) = subject(path.as_ref(), &mut short) else {
            return Err(Miss::NotFound);
        };
        let Some(mut found) = self.first(path, parameters) else {
            return Err(Miss::NotFound);
        };
        let key = match method {
            "GET" => const { first_word(b"GET") },
            _ => first_word_now(method.as_bytes()),
        };
        loop {
            if let Some(route) = self.endpoint(found.node, method, key) {
                parameters.length = found.bound;
                return Ok(route as usize);
            }
            match self.next(path, found.node, parameters) {
                Some(next) => found = next,
                None => return Err(Miss::MethodNotAllowed),
            }
        }
    }

    /// The methods that would find a route for `path`, each once; empty if no route matches it.
    ///
    /// `HEAD` is among them where `GET` is. This is for the `Allow` field of an answer
    /// (RFC 9110, section 10.2.1), and allocates.
    pub fn allow(&self, path: &str) -> Vec<&'static str> {
        let mut methods = Vec::new();
        let mut add = |method| {
            if !methods.contains(&method) {
                methods.push(method);
            }
        };
        let mut short = [0; 8];
        let Some(path) = subject(path.as_bytes(), &mut short) else {
            return methods;
        };
        let mut parameters = Parameters::new();
        let mut found = self.first(path, &mut parameters);
        while let Some(Found { node, .. }) = found {
            let mut route = self.nodes[node as usize].endpoint;
            while route != NONE {
                let method = self.definitions[route as usize].method;
                add(method);
                if method == "GET" {
                    add("HEAD");
                }
                route = self.endpoints[route as usize].next;
            }
            found = self.next(path, node, &mut parameters);
        }
        methods
    }

    /// The most specific node at which the path ends.
    #[inline(always)]
    fn first(&self, path: Subject<'_>, parameters: &mut Parameters) -> Option<Found> {
        match self.descend(path, 0, 1, 0, parameters) {
            Ok(found) => Some(found),
            Err(otherwise) => self.go_back(path, otherwise, parameters),
        }
    }

    /// The next node after `node` at which the path ends.
    #[cold]
    fn next(&self, path: Subject<'_>, node: u32, parameters: &mut Parameters) -> Option<Found> {
        self.go_back(path, self.nodes[node as usize].otherwise, parameters)
    }

    /// Follows literal segments, and parameters that take a whole one, from `start` on: the node at
    /// the path's end if routes end there, or else the alternative to try.
    #[inline(always)]
    fn descend(
        &self,
        path: Subject<'_>,
        mut node: u32,
        mut start: usize,
        mut bound: usize,
        parameters: &mut Parameters,
    ) -> Result<Found, u32> {
        let mut record = &self.nodes[node as usize];
        loop {
            if start == path.len() {
                return self.empty(path, record, node, bound);
            }
            let segment = path.segment(start);
            let end = segment.end;
            let literal = if record.has_literals {
                self.literal(path, node, start, path.key(segment))
            } else {
                None
            };
            node = match literal {
                Some(child) => child,
                None if record.plain != NONE && end > start => {
                    parameters.ranges[bound] = (start as u32, end as u32);
                    bound += 1;
                    record.plain
                }
                None => return Err(record.otherwise),
            };
            record = &self.nodes[node as usize];
            if end == path.len() {
                return if record.endpoint == NONE {
                    Err(record.otherwise)
                } else {
                    Ok(Found { node, bound })
                };
            }
            start = end + 1;
        }
    }

    /// Follows the empty segment at the end of a path, which no parameter takes.
    #[cold]
    fn empty(&self, path: Subject<'_>, record: &Node, node: u32, bound: usize) -> Result<Found, u32> {
        let key = Key {
            first: 0,
            second: 0,
            length: 0,
        };
        let Some(node) = self.literal(path, node, path.len(), key) else {
            return Err(record.otherwise);
        };
        let record = &self.nodes[node as usize];
        if record.endpoint == NONE {
            Err(record.otherwise)
        } else {
            Ok(Found { node, bound })
        }
    }

    /// Tries alternatives, from `next` on, until one leads to the path's end.
    #[inline(never)]
    fn go_back(&self, path: Subject<'_>, mut next: u32, parameters: &mut Parameters) -> Option<Found> {
        while next != NONE {
            let alternative = &self.alternatives[next as usize];
            let Some(end) = self.bind(path, alternative, parameters) else {
                next = alternative.otherwise;
                continue;
            };
            let bound = alternative.bound as usize + 1;
            let node = alternative.child;
            if end < path.len() {
                match self.descend(path, node, end + 1, bound, parameters) {
                    Ok(found) => return Some(found),
                    Err(otherwise) => next = otherwise,
                }
            } else if self.nodes[node as usize].endpoint != NONE {
                return Some(Found { node, bound });
            } else {
                next = self.nodes[node as usize].otherwise;
            }
        }
        None
    }

    /// The node after the literal segment at `start` whose key is `key`.
    #[inline(always)]
    fn literal(&self, path: Subject<'_>, node: u32, start: usize, key: Key) -> Option<u32> {
        let tag = tag(node, key);
        let mut at = self.slots[slot_of(tag, key, self.shift)] as usize;
        loop {
            let literal = &self.literals[at];
            let differs = (literal.first ^ key.first) | (literal.second ^ key.second) | (literal.tag ^ tag);
            if differs == 0 && (key.length as usize <= 2 * WORD || self.is_same_middle(path, at, start, key)) {
                return Some(literal.child);
            }
            at = literal.next as usize;
            if at == 0 {
                return None;
            }
        }
    }

    /// Returns whether the bytes outside of a segment's key are equal.
    #[cold]
    fn is_same_middle(&self, path: Subject<'_>, literal: usize, start: usize, key: Key) -> bool {
        let pattern = self.definitions[self.origins[literal] as usize].path.as_bytes();
        let (held, length) = (self.literals[literal].start as usize, key.length as usize);
        path.slice(start + WORD, start + length - WORD) == &pattern[held + WORD..held + length - WORD]
    }

    /// Binds a parameter as `alternative` has it: where the segment ends.
    fn bind(&self, path: Subject<'_>, alternative: &Alternative, parameters: &mut Parameters) -> Option<usize> {
        let bound = alternative.bound as usize;
        let before = if bound == 0 {
            0
        } else {
            parameters.ranges[bound - 1].1 as usize
        };
        let start = before + alternative.offset as usize;
        // The path may have ended at the node whose alternative this is.
        if start >= path.len() {
            return None;
        }
        let end = match alternative.shape {
            Shape::Rest => path.len(),
            Shape::Plain | Shape::Affixed => path.segment(start).end,
        };
        let (from, to) = match alternative.shape {
            Shape::Affixed => self.affixed(path, start, end, alternative)?,
            Shape::Plain | Shape::Rest => (start, end),
        };
        if from == to {
            return None;
        }
        parameters.ranges[bound] = (from as u32, to as u32);
        Some(end)
    }

    /// The text between the prefix and the suffix of `alternative`, if the segment has both.
    fn affixed(
        &self,
        path: Subject<'_>,
        start: usize,
        end: usize,
        alternative: &Alternative,
    ) -> Option<(usize, usize)> {
        let pattern = self.definitions[alternative.definition as usize].path.as_bytes();
        let text = |(start, end): (u16, u16)| &pattern[start as usize..end as usize];
        let segment = path.slice(start, end);
        let within = segment.strip_prefix(text(alternative.prefix))?;
        let inner = within.strip_suffix(text(alternative.suffix))?;
        let from = end - within.len();
        Some((from, from + inner.len()))
    }

    /// The route for `method`, whose first bytes are `key`, among those that end at `node`.
    #[inline(always)]
    fn endpoint(&self, node: u32, method: &str, key: u64) -> Option<u32> {
        let first = self.nodes[node as usize].endpoint;
        let route = self.endpoint_of(first, method, key);
        if route.is_none() && method == "HEAD" {
            return self.endpoint_of(first, "GET", const { first_word(b"GET") });
        }
        route
    }

    #[inline(always)]
    fn endpoint_of(&self, first: u32, method: &str, key: u64) -> Option<u32> {
        let mut route = first;
        while route != NONE {
            let endpoint = &self.endpoints[route as usize];
            if endpoint.method == key
                && endpoint.method_length as usize == method.len()
                && (method.len() <= 8 || self.definitions[route as usize].method == method)
            {
                return Some(route);
            }
            route = endpoint.next;
        }
        None
    }
}

/// The matchable part of a path: empty for a path without a leading slash (RFC 9112, section 3.2),
/// or too long for its positions to be stored.
#[inline(always)]
fn subject<'a>(path: &'a [u8], short: &'a mut [u8; 8]) -> Option<Subject<'a>> {
    (path.first() == Some(&b'/') && path.len() < NONE as usize).then(|| Subject::new(path, short))
}

/// A node and the length of a literal segment after it.
#[inline(always)]
pub(crate) const fn tag(node: u32, key: Key) -> u64 {
    (node as u64) << 32 | key.length as u64
}

/// Where to look first for a literal segment, whose tag comes from [`tag`].
#[inline(always)]
pub(crate) const fn slot_of(tag: u64, key: Key, shift: u32) -> usize {
    let hash = key.hash().wrapping_add(tag.wrapping_mul(0xD1B5_4A32_D192_ED03));
    (hash >> shift) as usize
}
