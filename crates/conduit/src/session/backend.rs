//! A store without its type.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::layer::{Store, Value};

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, String>> + 'a>>;

/// A [`Store`] whose futures are boxed, and whose errors are strings.
pub(super) trait Backend: Send + Sync {
    fn get<'a>(&'a self, key: &'a [u8]) -> Answer<'a, Option<Bytes>>;

    fn replace<'a>(&'a self, key: &'a [u8], expected: Option<&'a [u8]>, value: Option<Value<'a>>) -> Answer<'a, bool>;
}

impl<T: Store + Sync> Backend for T {
    fn get<'a>(&'a self, key: &'a [u8]) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move { Store::get(self, key).await.map_err(|error| error.to_string()) })
    }

    fn replace<'a>(&'a self, key: &'a [u8], expected: Option<&'a [u8]>, value: Option<Value<'a>>) -> Answer<'a, bool> {
        Box::pin(async move {
            let replaced = Store::replace(self, key, expected, value).await;
            replaced.map_err(|error| error.to_string())
        })
    }
}
