//! Construction of a table, in `const` evaluation or at run time.
//!
//! Each route is inserted into a trie of segments. Two paths that differ only in parameter names end at the same node,
//! which is how conflicts are detected. A second pass links each node to its fallback, which a search continues with if
//! no literal segment matches: the alternatives of the node from the most specific to the least, then those of its
//! ancestors. The result is copied into arrays of the exact length.

use crate::definition::Definition;
use crate::key::{Key, WORD, first_word, same, same_from};
use crate::pattern::{Braces, Names, PATH_LIMIT, Pattern, Scanned};
use crate::table::{Alternative, Endpoint, Literal, NONE, Node, Shape, Storage, slot_of, tag};
use crate::text::Text;

/// The array lengths that a [`Draft`] requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The number of routes.
    pub routes: usize,
    /// An upper bound of the nodes: one for each segment, and the root.
    pub nodes: usize,
    /// A power of two, at least four times the upper bound of the literal segments.
    pub slots: usize,
}

impl Size {
    /// An upper bound for `definitions`; [`Draft::size`] returns the exact size.
    pub const fn of(definitions: &[Definition]) -> Size {
        let mut nodes = 1;
        let mut route = 0;
        while route < definitions.len() {
            // Each segment has a slash and at least one more byte, except for the last, which may be empty.
            nodes += definitions[route].path.len() / 2 + 1;
            route += 1;
        }
        Size {
            routes: definitions.len(),
            nodes,
            slots: slots_for(nodes),
        }
    }
}

/// The lengths of the arrays that [`Draft::finish`] creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactSize {
    /// The number of nodes.
    pub nodes: usize,
    /// A power of two, at least four times the literal segments.
    pub slots: usize,
    /// The number of literal segments, plus 1 for the unused entry 0.
    pub literals: usize,
    /// The number of parameter alternatives.
    pub alternatives: usize,
}

/// A table under construction, in arrays of at least the length of [`Size`].
#[derive(Clone, Copy)]
pub struct Draft<const ROUTES: usize, const NODES: usize, const SLOTS: usize> {
    nodes: [DraftNode; NODES],
    node_count: usize,
    /// Entry 0 means "no literal".
    literals: [Literal; NODES],
    origins: [u32; NODES],
    literal_count: usize,
    /// The first literal of each slot.
    slots: [u16; SLOTS],
    alternatives: [Alternative; NODES],
    alternative_count: usize,
    endpoints: [Endpoint; ROUTES],
    refusal: Refusal,
}

/// The reason why the routes form no table.
#[derive(Clone, Copy)]
enum Refusal {
    None,
    /// The path of this route is invalid.
    Path(usize),
    /// These two routes match the same paths.
    Conflict(usize, usize),
}

#[derive(Clone, Copy)]
struct DraftNode {
    has_literals: bool,
    /// The most specific alternative; `otherwise` links it to the less specific ones.
    alternative: u32,
    endpoint: u32,
    /// The parent node, and the parent's alternative that leads here, unless it is a literal segment.
    parent: u32,
    through: u32,
    /// The same as in [`Alternative`], for the alternatives of this node.
    bound: u8,
    offset: u16,
}

const BLANK_LITERAL: Literal = Literal {
    first: 0,
    second: 0,
    tag: u64::MAX,
    child: 0,
    next: 0,
    start: 0,
};
const BLANK_ALTERNATIVE: Alternative = Alternative {
    child: 0,
    otherwise: NONE,
    bound: 0,
    shape: Shape::Plain,
    offset: 0,
    definition: 0,
    prefix: (0, 0),
    suffix: (0, 0),
};
const ROOT: DraftNode = DraftNode {
    has_literals: false,
    alternative: NONE,
    endpoint: NONE,
    parent: 0,
    through: NONE,
    bound: 0,
    offset: 1,
};

impl<const ROUTES: usize, const NODES: usize, const SLOTS: usize> Draft<ROUTES, NODES, SLOTS> {
    /// Inserts the routes, up to the first invalid one; see [`Draft::accept`].
    ///
    /// # Panics
    /// If an array is shorter than [`Size::of`] returns.
    pub const fn new(definitions: &[Definition]) -> Self {
        let size = Size::of(definitions);
        assert!(size.routes <= ROUTES && size.nodes <= NODES && size.slots <= SLOTS && SLOTS.is_power_of_two());
        let mut draft = Draft {
            nodes: [ROOT; NODES],
            node_count: 1,
            literals: [BLANK_LITERAL; NODES],
            origins: [0; NODES],
            literal_count: 1,
            slots: [0; SLOTS],
            alternatives: [BLANK_ALTERNATIVE; NODES],
            alternative_count: 0,
            endpoints: [Endpoint {
                method: 0,
                method_length: 0,
                next: NONE,
            }; ROUTES],
            refusal: Refusal::None,
        };
        let mut route = 0;
        while route < definitions.len() && matches!(draft.refusal, Refusal::None) {
            draft.add(definitions, route);
            route += 1;
        }
        draft.link();
        draft
    }

    /// Panics if a route was rejected.
    ///
    /// This is a separate step so that in `const` evaluation it is the only one that fails, and the compiler reports
    /// one error at the list of routes.
    ///
    /// # Panics
    /// If a path is invalid, or if two routes with the same method match the same paths.
    // The compiler omits `track_caller` functions from the trace of a `const` error.
    #[track_caller]
    pub const fn accept(&self, definitions: &[Definition]) {
        match self.refusal {
            Refusal::None => {}
            Refusal::Path(route) => {
                let definition = &definitions[route];
                if let Err(error) = Pattern::parse(definition.path) {
                    panic!("{}", in_definition(error.text(), definition).as_str());
                }
            }
            Refusal::Conflict(one, other) => {
                panic!("{}", conflict(&definitions[one], &definitions[other]).as_str());
            }
        }
    }

    /// The exact array lengths.
    pub const fn size(&self) -> ExactSize {
        ExactSize {
            nodes: self.node_count,
            slots: slots_for(self.literal_count),
            literals: self.literal_count,
            alternatives: self.alternative_count,
        }
    }

    /// Copies the finished trie into arrays of at least the length of [`Draft::size`].
    ///
    /// # Panics
    /// If an array is shorter, or `FINAL_SLOTS` is not a power of two.
    pub const fn finish<
        const FINAL_NODES: usize,
        const FINAL_SLOTS: usize,
        const LITERALS: usize,
        const ALTERNATIVES: usize,
    >(
        &self,
    ) -> Storage<FINAL_NODES, FINAL_SLOTS, LITERALS, ALTERNATIVES, ROUTES> {
        let size = self.size();
        assert!(size.slots <= FINAL_SLOTS && FINAL_SLOTS.is_power_of_two());
        let mut nodes = [Node {
            has_literals: false,
            plain: NONE,
            otherwise: NONE,
            endpoint: NONE,
        }; FINAL_NODES];
        let mut at = 0;
        while at < self.node_count {
            let node = &self.nodes[at];
            nodes[at] = Node {
                has_literals: node.has_literals,
                plain: self.plain(node),
                otherwise: self.otherwise(at),
                endpoint: node.endpoint,
            };
            at += 1;
        }
        let mut slots = [0; FINAL_SLOTS];
        let mut literals = [BLANK_LITERAL; LITERALS];
        let mut origins = [0; LITERALS];
        let mut at = 1;
        while at < self.literal_count {
            let literal = self.literals[at];
            let key = Key {
                first: literal.first,
                second: literal.second,
                length: literal.tag as u32,
            };
            let slot = slot_of(literal.tag, key, 64 - FINAL_SLOTS.trailing_zeros());
            literals[at] = Literal {
                next: slots[slot],
                ..literal
            };
            origins[at] = self.origins[at];
            slots[slot] = at as u16;
            at += 1;
        }
        let mut alternatives = [BLANK_ALTERNATIVE; ALTERNATIVES];
        let mut at = 0;
        while at < self.alternative_count {
            alternatives[at] = self.alternatives[at];
            at += 1;
        }
        Storage {
            nodes,
            slots,
            literals,
            origins,
            alternatives,
            endpoints: self.endpoints,
        }
    }

    const fn add(&mut self, definitions: &[Definition], route: usize) {
        let path = definitions[route].path;
        let length = path.len();
        if length == 0 || length > PATH_LIMIT || path.as_bytes()[0] != b'/' {
            self.refusal = Refusal::Path(route);
            return;
        }
        let mut names = Names::new();
        let mut node = 0;
        let mut start = 1;
        while start <= length {
            let Ok(scanned) = Scanned::segment(path, start) else {
                self.refusal = Refusal::Path(route);
                return;
            };
            node = match scanned.parameter {
                None => self.add_literal(definitions, route, node, start, scanned.key),
                Some(braces) => {
                    if names.add(path, &scanned).is_err() {
                        self.refusal = Refusal::Path(route);
                        return;
                    }
                    self.add_alternative(definitions, route, node, start, scanned.end, braces)
                }
            };
            start = scanned.end + 1;
        }
        self.add_endpoint(definitions, route, node);
    }

    /// The node after the literal segment of `route`'s path that starts at `start`.
    const fn add_literal(
        &mut self,
        definitions: &[Definition],
        route: usize,
        node: usize,
        start: usize,
        key: Key,
    ) -> usize {
        let tag = tag(node as u32, key);
        let slot = slot_of(tag, key, 64 - SLOTS.trailing_zeros());
        let mut at = self.slots[slot] as usize;
        while at != 0 {
            let literal = &self.literals[at];
            if literal.first == key.first
                && literal.tag == tag
                && literal.second == key.second
                && (key.length as usize <= 2 * WORD || self.is_same_middle(definitions, at, route, start, key))
            {
                return literal.child as usize;
            }
            at = literal.next as usize;
        }
        let DraftNode { bound, offset, .. } = self.nodes[node];
        let offset = offset + key.length as u16 + 1;
        let child = self.add_node(DraftNode {
            parent: node as u32,
            bound,
            offset,
            ..ROOT
        });
        self.nodes[node].has_literals = true;
        let place = self.literal_count;
        assert!(
            place < u16::MAX as usize,
            "a table has at most 65,534 literal segments: replace some by parameters"
        );
        self.literals[place] = Literal {
            first: key.first,
            second: key.second,
            tag,
            child: child as u32,
            next: self.slots[slot],
            start: start as u16,
        };
        self.origins[place] = route as u32;
        self.slots[slot] = place as u16;
        self.literal_count += 1;
        child
    }

    /// Returns whether the bytes outside of a segment's key are equal.
    const fn is_same_middle(
        &self,
        definitions: &[Definition],
        literal: usize,
        route: usize,
        start: usize,
        key: Key,
    ) -> bool {
        let held = definitions[self.origins[literal] as usize].path.as_bytes();
        let path = definitions[route].path.as_bytes();
        let held_start = self.literals[literal].start as usize + WORD;
        same_from(path, start + WORD, held, held_start, key.length as usize - 2 * WORD)
    }

    /// The node after a parameter; its alternative is inserted before the less specific ones.
    const fn add_alternative(
        &mut self,
        definitions: &[Definition],
        route: usize,
        node: usize,
        start: usize,
        end: usize,
        braces: Braces,
    ) -> usize {
        let DraftNode {
            bound,
            offset,
            alternative: first,
            ..
        } = self.nodes[node];
        let shape = if braces.is_rest {
            Shape::Rest
        } else if braces.open == start && braces.end == end {
            Shape::Plain
        } else {
            Shape::Affixed
        };
        let new = Alternative {
            child: 0,
            otherwise: NONE,
            bound,
            shape,
            offset,
            definition: route as u32,
            prefix: (start as u16, braces.open as u16),
            suffix: (braces.end as u16, end as u16),
        };
        let mut before = NONE;
        let mut next = first;
        while next != NONE {
            let other = &self.alternatives[next as usize];
            if is_same(definitions, other, &new) {
                return other.child as usize;
            }
            if rank(other) < rank(&new) {
                break;
            }
            before = next;
            next = other.otherwise;
        }
        let place = self.alternative_count;
        let child = self.add_node(DraftNode {
            parent: node as u32,
            through: place as u32,
            bound: bound + 1,
            offset: (end - braces.end) as u16 + 1,
            ..ROOT
        });
        let after = if before == NONE {
            &mut self.nodes[node].alternative
        } else {
            &mut self.alternatives[before as usize].otherwise
        };
        let otherwise = *after;
        *after = place as u32;
        self.alternatives[place] = Alternative {
            child: child as u32,
            otherwise,
            ..new
        };
        self.alternative_count += 1;
        child
    }

    const fn add_node(&mut self, node: DraftNode) -> usize {
        let place = self.node_count;
        self.nodes[place] = node;
        self.node_count += 1;
        place
    }

    const fn add_endpoint(&mut self, definitions: &[Definition], route: usize, node: usize) {
        let method = definitions[route].method.as_bytes();
        assert!(
            !method.is_empty(),
            "the method of a route is empty: write one, such as `GET`"
        );
        let mut last = NONE;
        let mut other = self.nodes[node].endpoint;
        while other != NONE {
            if same(definitions[other as usize].method.as_bytes(), method) {
                self.refusal = Refusal::Conflict(other as usize, route);
                return;
            }
            last = other;
            other = self.endpoints[other as usize].next;
        }
        self.endpoints[route] = Endpoint {
            method: first_word(method),
            method_length: method.len() as u32,
            next: NONE,
        };
        if last == NONE {
            self.nodes[node].endpoint = route as u32;
        } else {
            self.endpoints[last as usize].next = route as u32;
        }
    }

    /// Links the last alternative of each node to the fallback of its ancestors.
    ///
    /// A node follows its parent in `nodes`, so the links of the parent are complete.
    const fn link(&mut self) {
        let mut node = 0;
        while node < self.node_count {
            let mut last = self.nodes[node].alternative;
            while last != NONE && self.alternatives[last as usize].otherwise != NONE {
                last = self.alternatives[last as usize].otherwise;
            }
            if last != NONE {
                self.alternatives[last as usize].otherwise = self.otherwise_above(node);
            }
            node += 1;
        }
    }

    /// The node after a whole-segment parameter, if this parameter is the first alternative of `node`.
    const fn plain(&self, node: &DraftNode) -> u32 {
        if node.alternative == NONE {
            return NONE;
        }
        let Alternative { shape, child, .. } = self.alternatives[node.alternative as usize];
        if matches!(shape, Shape::Plain) { child } else { NONE }
    }

    /// The alternative to try when no literal segment of `node` matches.
    const fn otherwise(&self, node: usize) -> u32 {
        let own = self.nodes[node].alternative;
        if own == NONE { self.otherwise_above(node) } else { own }
    }

    /// The alternative of an ancestor to try when nothing in `node` matches.
    const fn otherwise_above(&self, node: usize) -> u32 {
        let mut node = node;
        while node != 0 {
            let DraftNode { through, parent, .. } = self.nodes[node];
            if through != NONE {
                return self.alternatives[through as usize].otherwise;
            }
            node = parent as usize;
            if self.nodes[node].alternative != NONE {
                return self.nodes[node].alternative;
            }
        }
        NONE
    }
}

/// The number of slots. A slot has only two bytes, so a low load factor is cheap and keeps the chains short.
const fn slots_for(literals: usize) -> usize {
    (4 * literals).next_power_of_two()
}

/// The specificity of an alternative, higher first: by shape, then length of prefix, then length of suffix.
const fn rank(alternative: &Alternative) -> u64 {
    let shape = match alternative.shape {
        Shape::Affixed => 2,
        Shape::Plain => 1,
        Shape::Rest => 0,
    };
    let (prefix, suffix) = (alternative.prefix, alternative.suffix);
    shape << 32 | ((prefix.1 - prefix.0) as u64) << 16 | (suffix.1 - suffix.0) as u64
}

const fn is_same(definitions: &[Definition], one: &Alternative, other: &Alternative) -> bool {
    if rank(one) != rank(other) || !matches!(one.shape, Shape::Affixed) {
        return rank(one) == rank(other);
    }
    let one_path = definitions[one.definition as usize].path.as_bytes();
    let other_path = definitions[other.definition as usize].path.as_bytes();
    is_same_text(one_path, one.prefix, other_path, other.prefix)
        && is_same_text(one_path, one.suffix, other_path, other.suffix)
}

/// Returns whether two strings of the same length are equal.
const fn is_same_text(one: &[u8], (start, end): (u16, u16), other: &[u8], (other_start, _): (u16, u16)) -> bool {
    same_from(one, start as usize, other, other_start as usize, (end - start) as usize)
}

const fn conflict(one: &Definition, other: &Definition) -> Text {
    let text = Text::new().with("route conflict: ");
    let text = named(text, one).with(" and ");
    named(text, other).with(" match the same paths: remove one or change its path")
}

const fn named(text: Text, definition: &Definition) -> Text {
    let text = text.with(definition.method).with(" ").with(definition.path);
    in_definition(text, definition)
}

/// The text followed by the handler and its position.
const fn in_definition(text: Text, definition: &Definition) -> Text {
    text.with(" (")
        .with(definition.handler)
        .with(", ")
        .with(definition.file)
        .with(":")
        .with_number(definition.line as usize)
        .with(")")
}
