//! The decoder of field blocks.

use super::table::{STATIC, TABLE_BYTES, Table};
use super::{DecodeError, FieldKind, huffman, integer};
use crate::h1::scan::Field;

/// The receiver of decoded fields.
pub(in crate::h2) trait Sink {
    /// Set if the name of a pseudo-header field, which its kind implies, is omitted.
    const OMITS_PSEUDO_NAMES: bool;

    /// Returns whether more fields are wanted. If not, the rest of the block only updates the table, with work in
    /// proportion to its encoded length, independent of the length of the fields.
    fn wants_more(&self) -> bool;

    /// Takes an entry of the static table by its index, if its text is known. The default takes none.
    #[inline]
    fn known(&mut self, _index: usize) -> bool {
        false
    }

    /// Receives a field, whose name and value are at the end of `bytes`.
    fn field(&mut self, bytes: &mut Vec<u8>, kind: FieldKind, field: Field);
}

/// The decoder for the received blocks of one connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
}

/// The kinds of the static table's entries.
static STATIC_KINDS: [FieldKind; STATIC_LENGTH] = {
    let mut kinds = [FieldKind::Other; STATIC_LENGTH];
    let mut at = 0;
    while at < STATIC_LENGTH {
        kinds[at] = FieldKind::of_name(STATIC[at].0.as_bytes());
        at += 1;
    }
    kinds
};
const STATIC_LENGTH: usize = 61;

/// The kinds, by their number in the dynamic table.
const KINDS: [FieldKind; 16] = [
    FieldKind::Method,
    FieldKind::Scheme,
    FieldKind::Authority,
    FieldKind::Path,
    FieldKind::Protocol,
    FieldKind::UnknownPseudo,
    FieldKind::ConnectionSpecific,
    FieldKind::InvalidName,
    FieldKind::InvalidValue,
    FieldKind::Te,
    FieldKind::ContentLength,
    FieldKind::Host,
    FieldKind::Cookie,
    FieldKind::Expect,
    FieldKind::Priority,
    FieldKind::Other,
];

impl Decoder {
    /// A decoder with an empty dynamic table. Allocates at the first entry.
    #[must_use]
    pub const fn new() -> Self {
        Self { table: Table::new() }
    }

    /// Decodes a whole block, and calls `each` with the name and value of each field, without validation.
    ///
    /// A block can refer to an entry of the table once per byte, so the fields together may be 4,000 times longer than
    /// the block.
    ///
    /// # Errors
    ///
    /// The block is malformed. The tables of the two sides may differ, so the connection must end.
    pub fn decode(&mut self, block: &[u8], each: impl FnMut(&[u8], &[u8])) -> Result<(), DecodeError> {
        struct Each<F>(F);
        impl<F: FnMut(&[u8], &[u8])> Sink for Each<F> {
            const OMITS_PSEUDO_NAMES: bool = false;

            fn wants_more(&self) -> bool {
                true
            }

            fn field(&mut self, bytes: &mut Vec<u8>, _: FieldKind, field: Field) {
                self.0(field.name(bytes), field.value(bytes));
                bytes.clear();
            }
        }
        self.decode_into(block, &mut Vec::new(), &mut Each(each))
    }

    /// Decodes a whole block. Appends names and values to `bytes`, and passes each field to the sink.
    pub(in crate::h2) fn decode_into<S: Sink>(
        &mut self,
        block: &[u8],
        bytes: &mut Vec<u8>,
        sink: &mut S,
    ) -> Result<(), DecodeError> {
        let mut input = block;
        let mut is_start = true;
        while let Some(&first) = input.first() {
            match first {
                0x80.. => {
                    let index = integer::decode(&mut input, 7)?;
                    self.indexed(index, bytes, sink)?;
                }
                0x40..0x80 => {
                    let (kind, field) = self.literal(&mut input, 6, false, bytes)?;
                    self.table.insert(field.name(bytes), field.value(bytes), kind as u32);
                    emit(bytes, kind, field, sink);
                }
                0x20..0x40 => {
                    let size = integer::decode(&mut input, 5)?;
                    if !is_start {
                        return Err(DecodeError::LateTableSize);
                    }
                    if size > TABLE_BYTES {
                        return Err(DecodeError::TableSize);
                    }
                    self.table.set_max_size(size);
                    continue;
                }
                // A literal without indexing, or never indexed.
                0..0x20 => {
                    let (kind, field) = self.literal(&mut input, 4, S::OMITS_PSEUDO_NAMES, bytes)?;
                    emit(bytes, kind, field, sink);
                }
            }
            is_start = false;
        }
        Ok(())
    }

    fn indexed<S: Sink>(&self, index: usize, bytes: &mut Vec<u8>, sink: &mut S) -> Result<(), DecodeError> {
        let position = index.checked_sub(1).ok_or(DecodeError::Index)?;
        let start = bytes.len();
        let (kind, name_length) = match STATIC.get(position) {
            Some((name, value)) => {
                if !sink.wants_more() || sink.known(index) {
                    return Ok(());
                }
                let kind = STATIC_KINDS[position];
                let name = if S::OMITS_PSEUDO_NAMES && kind.is_pseudo() {
                    ""
                } else {
                    name
                };
                bytes.extend_from_slice(name.as_bytes());
                bytes.extend_from_slice(value.as_bytes());
                (kind, name.len())
            }
            None => {
                let found = self.table.get(position - STATIC.len()).ok_or(DecodeError::Index)?;
                if !sink.wants_more() {
                    return Ok(());
                }
                let kind = KINDS[found.tag as usize];
                if S::OMITS_PSEUDO_NAMES && kind.is_pseudo() {
                    bytes.extend_from_slice(found.value());
                    (kind, 0)
                } else {
                    bytes.extend_from_slice(found.text);
                    (kind, found.name_length)
                }
            }
        };
        sink.field(bytes, kind, field(start, start + name_length, bytes.len()));
        Ok(())
    }

    /// Decodes a literal field, whose name may be an index into the table. The indexed name of a pseudo-header field is omitted if
    /// `omits_pseudo` is set.
    fn literal(
        &self,
        input: &mut &[u8],
        prefix: u8,
        omits_pseudo: bool,
        bytes: &mut Vec<u8>,
    ) -> Result<(FieldKind, Field), DecodeError> {
        let start = bytes.len();
        let index = integer::decode(input, prefix)?;
        let kind = match index.checked_sub(1) {
            None => {
                string(input, bytes)?;
                FieldKind::of_name(&bytes[start..])
            }
            Some(position) => match STATIC.get(position) {
                Some((name, _)) => {
                    let kind = STATIC_KINDS[position];
                    if !(omits_pseudo && kind.is_pseudo()) {
                        bytes.extend_from_slice(name.as_bytes());
                    }
                    kind
                }
                None => {
                    let found = self.table.get(position - STATIC.len()).ok_or(DecodeError::Index)?;
                    bytes.extend_from_slice(found.name());
                    match KINDS[found.tag as usize] {
                        // The value of the entry is irrelevant.
                        FieldKind::InvalidValue => FieldKind::of_name(found.name()),
                        kind => kind,
                    }
                }
            },
        };
        let name_end = bytes.len();
        string(input, bytes)?;
        let kind = kind.with_value(&bytes[name_end..]);
        Ok((kind, field(start, name_end, bytes.len())))
    }

    /// The size of the dynamic table as defined in RFC 7541, section 4.1.
    #[must_use]
    pub fn table_size(&self) -> usize {
        self.table.size()
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

fn emit(bytes: &mut Vec<u8>, kind: FieldKind, field: Field, sink: &mut impl Sink) {
    if sink.wants_more() {
        sink.field(bytes, kind, field);
    } else {
        bytes.truncate(field.name as usize);
    }
}

/// Decodes a string literal (RFC 7541, section 5.2).
fn string(input: &mut &[u8], bytes: &mut Vec<u8>) -> Result<(), DecodeError> {
    let is_huffman = input.first().ok_or(DecodeError::Truncated)? & 0x80 != 0;
    let length = integer::decode(input, 7)?;
    let (string, rest) = input.split_at_checked(length).ok_or(DecodeError::Truncated)?;
    *input = rest;
    if is_huffman {
        return huffman::decode(string, bytes).ok_or(DecodeError::Huffman);
    }
    bytes.extend_from_slice(string);
    Ok(())
}

fn field(name: usize, name_end: usize, value_end: usize) -> Field {
    Field {
        name: name as u32,
        name_end: name_end as u32,
        value: name_end as u32,
        value_end: value_end as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_convert_to_their_numbers_and_back() {
        for kind in KINDS {
            assert_eq!(KINDS[kind as usize], kind);
        }
    }
}
