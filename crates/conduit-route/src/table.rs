//! Matching a path against a table.

use std::ops::Range;

use crate::definition::Definition;
use crate::key::{Key, Subject, WORD, first_word, first_word_now};
use crate::pattern::PARAMETER_LIMIT;

/// The index that means "none".
pub(crate) const NONE: u32 = u32::MAX;

/// A position in the trie: all paths that reach it match the same sequence of pattern segments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// Set if a literal segment can follow, so that the slots must be searched.
    pub(crate) has_literals: bool,
    /// The node after a whole-segment parameter, if this parameter is the first alternative.
    pub(crate) plain: u32,
    /// The alternative to try when no literal segment matches: the first one of this node, or else the fallback of its
    /// ancestors.
    pub(crate) otherwise: u32,
    /// The first route whose path ends at this node.
    pub(crate) endpoint: u32,
}

/// A literal segment after a node: an entry of a hash table with chaining.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Literal {
    pub(crate) first: u64,
    pub(crate) second: u64,
    /// The [`tag`] of the preceding node and the length of the segment.
    pub(crate) tag: u64,
    /// The node after the segment.
    pub(crate) child: u32,
    /// The next literal in the same slot; 0 ends the chain, because entry 0 has the tag of no segment.
    pub(crate) next: u16,
    /// The start of the segment in the path of its route.
    pub(crate) start: u16,
}

/// A parameter that can follow a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alternative {
    /// The node after the segment.
    pub(crate) child: u32,
    /// The alternative to try when this one fails.
    pub(crate) otherwise: u32,
    /// The number of parameters bound before this one.
    pub(crate) bound: u8,
    pub(crate) shape: Shape,
    /// The start of the segment, relative to the end of the previous parameter, or else to the start of the path. So
    /// backtracking needs no stack: the bound parameters determine the position.
    pub(crate) offset: u16,
    /// The index of the route whose path contains the prefix and the suffix.
    pub(crate) definition: u32,
    pub(crate) prefix: (u16, u16),
    pub(crate) suffix: (u16, u16),
}

/// The literal text around a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A prefix, a suffix, or both.
    Affixed,
    /// The whole segment.
    Plain,
    /// The rest of the path.
    Rest,
}

/// A route at the node where its path ends. Its index is the index of its definition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endpoint {
    /// The first eight bytes of the method, padded with zeros.
    pub(crate) method: u64,
    pub(crate) method_length: u32,
    /// The next route that ends at the same node.
    pub(crate) next: u32,
}

/// The arrays of a [`Table`].
#[derive(Clone, Copy, Debug)]
pub struct Storage<
    const NODES: usize,
    const SLOTS: usize,
    const LITERALS: usize,
    const ALTERNATIVES: usize,
    const ROUTES: usize,
> {
    pub(crate) nodes: [Node; NODES],
    pub(crate) slots: [u16; SLOTS],
    pub(crate) literals: [Literal; LITERALS],
    pub(crate) origins: [u32; LITERALS],
    pub(crate) alternatives: [Alternative; ALTERNATIVES],
    pub(crate) endpoints: [Endpoint; ROUTES],
}

/// A compiled list of routes; [`table!`](crate::table!) builds one in static memory.
///
/// A path is matched as received, without percent-decoding, segment by segment. If several routes match, the most
/// specific one in the first segment where they differ wins: a literal segment, then a parameter with a prefix or
/// suffix (the longer prefix first, then the longer suffix), then `{name}`, then `{*rest}`. The order of the list is
/// irrelevant. A route without the method of the request does not hide a less specific route with it.
///
/// The time of a match is proportional to the length of the path, plus the time for backtracking, which visits each node of the
/// table at most once. Matching does not allocate or recurse.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    definitions: &'static [Definition],
    nodes: &'static [Node],
    /// The first literal of each slot. The length is a power of two, and at least four times the number of literals.
    slots: &'static [u16],
    /// The right shift that reduces a hash to an index into `slots`.
    shift: u32,
    literals: &'static [Literal],
    /// The index of the route that each literal comes from.
    origins: &'static [u32],
    alternatives: &'static [Alternative],
    endpoints: &'static [Endpoint],
}

/// The parameters of a match: ranges of the path's bytes, from left to right.
///
/// The value can be reused for the next match without [`clear`](Parameters::clear).
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters {
    ranges: [(u32, u32); PARAMETER_LIMIT],
    length: usize,
}

/// The reason why no route was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No route matches the path: 404 (RFC 9110, section 15.5.5).
    NotFound,
    /// Routes match the path, but not the method: 405 (RFC 9110, section 15.5.6).
    MethodNotAllowed,
}

impl Parameters {
    /// Creates an empty list of parameters.
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

    /// Returns whether there are no parameters.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The parameter at `index`, counted from 0 from the left.
    ///
    /// `path` must be the path that was matched. With another path the result is unspecified text or `None`.
    pub fn get<'p>(&self, index: usize, path: &'p str) -> Option<&'p str> {
        path.get(self.range(index)?)
    }

    /// The byte range of the parameter at `index`, counted as in [`get`](Parameters::get).
    pub fn range(&self, index: usize) -> Option<Range<usize>> {
        let &(start, end) = self.ranges[..self.length].get(index)?;
        Some(start as usize..end as usize)
    }

    /// Removes all parameters.
    pub const fn clear(&mut self) {
        self.length = 0;
    }
}

/// A node where the path ends.
struct Found {
    node: u32,
    /// The number of bound parameters.
    bound: usize,
}

impl Table {
    /// A table that uses the arrays of a finished [`Draft`](crate::Draft).
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

    /// The routes, in the order of the list.
    pub const fn definitions(&self) -> &'static [Definition] {
        self.definitions
    }

    /// Returns the index in [`Table::definitions`] of the route for `method` and `path`, and stores its parameters in
    /// `parameters`.
    ///
    /// A `GET` route also matches `HEAD`, unless a `HEAD` route has the same path.
    ///
    /// # Errors
    /// [`Miss`] distinguishes an unknown path from a path with routes for other methods; `parameters` is then empty.
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

    /// Returns the methods of the routes that match `path`, without duplicates; empty if no route matches.
    ///
    /// It contains `HEAD` if it contains `GET`. Use it for the `Allow` field of a response (RFC 9110, section 10.2.1).
    /// It allocates.
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

    /// The most specific node where the path ends.
    #[inline(always)]
    fn first(&self, path: Subject<'_>, parameters: &mut Parameters) -> Option<Found> {
        match self.descend(path, 0, 1, 0, parameters) {
            Ok(found) => Some(found),
            Err(otherwise) => self.go_back(path, otherwise, parameters),
        }
    }

    /// The next node after `node` where the path ends.
    #[cold]
    fn next(&self, path: Subject<'_>, node: u32, parameters: &mut Parameters) -> Option<Found> {
        self.go_back(path, self.nodes[node as usize].otherwise, parameters)
    }

    /// Follows literal segments and whole-segment parameters from `start`. Returns the node at the end of the path if a
    /// route ends there, or else the alternative to try.
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

    /// Follows the empty segment at the end of a path, which no parameter matches.
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

    /// Tries alternatives, starting with `next`, until one reaches the end of the path.
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

    /// The node after the literal segment at `start` with the key `key`.
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

    /// Binds the parameter of `alternative` and returns the end of its segment.
    fn bind(&self, path: Subject<'_>, alternative: &Alternative, parameters: &mut Parameters) -> Option<usize> {
        let bound = alternative.bound as usize;
        let before = if bound == 0 {
            0
        } else {
            parameters.ranges[bound - 1].1 as usize
        };
        let start = before + alternative.offset as usize;
        // The path may end at the node of this alternative.
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

    /// The route for `method`, whose first bytes are `key`, among the routes that end at `node`.
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

/// Returns the path for matching; `None` without a leading slash (RFC 9112, section 3.2) or if positions in it do not
/// fit into their type.
#[inline(always)]
fn subject<'a>(path: &'a [u8], short: &'a mut [u8; 8]) -> Option<Subject<'a>> {
    (path.first() == Some(&b'/') && path.len() < NONE as usize).then(|| Subject::new(path, short))
}

/// A hash key of a node and the length of a literal segment after it.
#[inline(always)]
pub(crate) const fn tag(node: u32, key: Key) -> u64 {
    (node as u64) << 32 | key.length as u64
}

/// The slot of a literal segment; `tag` is the result of [`tag`].
#[inline(always)]
pub(crate) const fn slot_of(tag: u64, key: Key, shift: u32) -> usize {
    let hash = key.hash().wrapping_add(tag.wrapping_mul(0xD1B5_4A32_D192_ED03));
    (hash >> shift) as usize
}
