//! Errors of sockets without `std`.

impl core::error::Error for super::Error {}
