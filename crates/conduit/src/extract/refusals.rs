//! Texts that a visitor refused.
//!
//! Serde keeps the values of flattened structs and of untagged and internally tagged enums before it knows their types. A
//! text that is kept so is refused later by a number, and the refusal does not come back to the deserializer: an untagged enum
//! even drops the error. The error's constructor therefore notes the text here, by its place in memory.

use std::cell::RefCell;

/// The most refusals that are kept; an attempt to read has few.
const LIMIT: usize = 64;

/// The place of a text in memory: its address and its length.
pub(super) type Place = (usize, usize);

thread_local! {
    static REFUSED: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// The place of a text.
pub(super) fn place(text: &str) -> Place {
    (text.as_ptr().addr(), text.len())
}

/// Notes that a visitor refused this text.
#[cold]
pub(super) fn note(text: &str) -> Place {
    let place = place(text);
    // An error may be made by a thread that ends.
    let _ = REFUSED.try_with(|refused| {
        let mut refused = refused.borrow_mut();
        if refused.len() < LIMIT {
            refused.push(place);
        }
    });
    place
}

/// Forgets what was refused before.
pub(super) fn clear() {
    REFUSED.with_borrow_mut(Vec::clear);
}

/// The texts refused since [`clear`].
pub(super) fn take() -> Vec<Place> {
    REFUSED.take()
}
