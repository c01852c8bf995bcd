//! The types of arguments, for the code that the route attributes generate.

use std::marker::PhantomData;

use bytes::Bytes;

use crate::body::Body;
use crate::request::Request;

/// The type of an argument. `TypeProbe::<T>::TAKES_BODY` is `true` for each extractor of the framework that takes the body, and the
/// constant of [`OtherType`] for all other types: a constant of the type takes precedence over one of a trait.
///
/// An attribute has only the name of a type, and `FromRequest::TAKES_BODY` depends on a state, which the definition of a handler does
/// not have.
pub struct TypeProbe<T: ?Sized>(PhantomData<T>);

/// A type that is not an extractor of the framework that takes the body.
pub trait OtherType {
    /// The type is not a known extractor that takes the body.
    const TAKES_BODY: bool = false;
}

impl<T: ?Sized> OtherType for TypeProbe<T> {}

impl TypeProbe<Request> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}

impl TypeProbe<Body> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}

impl TypeProbe<Bytes> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}

impl TypeProbe<String> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}
