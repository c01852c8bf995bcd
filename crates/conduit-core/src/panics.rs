//! Panics of the application's code that is called outside of a handler: in the form of errors, in a subscriber, or when
//! what a response carries is dropped.
//!
//! A worker serves all of its connections on one thread, so a panic that left it would end them all.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::excerpt::logged_message;

/// Calls what may panic. Gives `None` if it did; the panic's text is in the log then.
///
/// The state of an interrupted call must not be used: its caller drops or resets it.
#[inline]
pub fn caught<T>(place: &'static str, call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(value) => Some(value),
        Err(panic) => {
            report(place, panic);
            None
        }
    }
}

/// Emits an event outside of a connection. A subscriber that panics, such as one that cannot write, loses the event only.
pub fn emit(event: impl FnOnce()) {
    caught("the subscriber panicked", event);
}

/// Drops what holds values of the application's.
pub fn discard<T>(value: T) {
    caught("a value of a response panicked when it was dropped", || drop(value));
}

/// The text of a panic.
pub fn message(panic: Box<dyn Any + Send>) -> String {
    let text = match panic.downcast::<&'static str>() {
        Ok(text) => return (*text).to_owned(),
        Err(panic) => panic.downcast::<String>(),
    };
    match text {
        Ok(text) => *text,
        Err(other) => {
            // Its drop is the application's code too. One that panics with what panics again is not followed.
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(other))) {
                std::mem::forget(another);
            }
            "a value that is no text".to_owned()
        }
    }
}

#[cold]
fn report(place: &'static str, panic: Box<dyn Any + Send>) {
    let panic = logged_message(message(panic));
    // The subscriber itself may have panicked, and may panic with each request: the payload must not leak.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| tracing::error!(panic, "{place}"))) {
        drop(message(another));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_any_kind_is_caught_and_has_a_text() {
        struct Again;

        impl Drop for Again {
            fn drop(&mut self) {
                panic!("again");
            }
        }

        let text = |panics: fn()| catch_unwind(panics).map_err(message);
        assert_eq!(text(|| panic!("plain")), Err("plain".to_owned()));
        assert_eq!(text(|| panic!("{} and {}", 1, 2)), Err("1 and 2".to_owned()));
        let none = Err("a value that is no text".to_owned());
        assert_eq!(text(|| std::panic::panic_any(7)), none);
        assert_eq!(text(|| std::panic::panic_any(Again)), none);
        assert_eq!(caught("in a test", || 7), Some(7));
        assert_eq!(caught::<()>("in a test", || panic!("caught")), None);
        discard(Again);
    }
}
