//! Strings that a visitor rejected.
//!
//! Serde keeps the values of flattened structs and of untagged and internally tagged enums before it knows their types. A
//! number rejects such a string later, and the rejection does not reach the deserializer: an untagged enum even drops the
//! error. The error's constructor therefore records the string here, by its location in memory.

use std::cell::RefCell;

/// The maximum number of recorded rejections; an attempt has few.
const LIMIT: usize = 64;

/// The position of a string in memory: its address and its length.
pub(super) type TextPosition = (usize, usize);

thread_local! {
    static REFUSED: RefCell<Vec<TextPosition>> = const { RefCell::new(Vec::new()) };
}

/// The position of a string.
pub(super) fn position(text: &str) -> TextPosition {
    (text.as_ptr().addr(), text.len())
}

/// Records that a visitor rejected this string.
#[cold]
pub(super) fn note(text: &str) -> TextPosition {
    let position = position(text);
    // An error may be created on a thread that is exiting.
    let _ = REFUSED.try_with(|refused| {
        let mut refused = refused.borrow_mut();
        if refused.len() < LIMIT {
            refused.push(position);
        }
    });
    position
}

/// Removes all earlier records.
pub(super) fn clear() {
    REFUSED.with_borrow_mut(Vec::clear);
}

/// The strings rejected since [`clear`].
pub(super) fn take() -> Vec<TextPosition> {
    REFUSED.take()
}
