//! Panics of code of the application outside of a handler: in the error format, in a subscriber, or in the drop of a value of a
//! response. `endpoint` catches those of handlers and layers.
//!
//! A worker serves all its connections on one thread, so an uncaught panic would end all of them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::excerpt::logged_message;

/// Calls a function that may panic. Returns `None` after a panic, and logs its text.
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
///
/// A trait object: the code that catches a panic is compiled once, not for each event.
pub fn emit(event: &dyn Fn()) {
    caught("the subscriber panicked", event);
}

/// Drops a value that contains values of the application.
pub fn discard<T>(value: T) {
    caught("a value of a response panicked when it was dropped", || drop(value));
}

/// The text of a panic that continues, as it is logged.
pub fn logged_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&'static str>().copied());
    logged_message(text.unwrap_or(NOT_TEXT))
}

const NOT_TEXT: &str = "a value that is not text";

/// The text of a panic.
pub fn message(panic: Box<dyn Any + Send>) -> String {
    let text = match panic.downcast::<&'static str>() {
        Ok(text) => return (*text).to_owned(),
        Err(panic) => panic.downcast::<String>(),
    };
    match text {
        Ok(text) => *text,
        Err(other) => {
            // The drop of the payload is code of the application too. A second panic is not examined.
            if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(other))) {
                std::mem::forget(another);
            }
            NOT_TEXT.to_owned()
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
        let none = Err("a value that is not text".to_owned());
        assert_eq!(text(|| std::panic::panic_any(7)), none);
        assert_eq!(text(|| std::panic::panic_any(Again)), none);
        assert_eq!(caught("in a test", || 7), Some(7));
        assert_eq!(caught::<()>("in a test", || panic!("caught")), None);
        discard(Again);
    }
}
