//! The bound of values that a request contains.

use serde::de::DeserializeOwned;

/// A type that serde can deserialize from a request. Implemented for every type that implements `serde::Deserialize` and
/// borrows nothing; it replaces [`DeserializeOwned`] in bounds for the sake of the compiler's messages.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be deserialized from a request",
    label = "`{Self}` does not implement `serde::Deserialize` for owned data",
    note = "write `#[derive(serde::Deserialize)]` on `{Self}`; replace fields that borrow, such as `&str`, by owned ones, such as `String`"
)]
pub trait Readable: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> Readable for T {}
