//! The pages of a list, one after the other.

use serde::{Deserialize, Serialize};

use super::error::CallError;

/// The part of a list that a call requests: the argument of a handler's [`Paging`](crate::extract::Paging). The default is the
/// first page with the handler's default limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PageRequest {
    /// The maximum number of items.
    pub limit: Option<u32>,
    /// The `next` of the previous page; `None` for the first page.
    pub cursor: Option<String>,
}

impl PageRequest {
    /// The first page, with the handler's default limit.
    pub fn first() -> Self {
        PageRequest::default()
    }

    /// Sets the maximum number of items.
    pub fn with_limit(self, limit: u32) -> Self {
        PageRequest {
            limit: Some(limit),
            ..self
        }
    }

    /// The page after the one with this `next`.
    pub fn after(self, next: impl Into<String>) -> Self {
        PageRequest {
            cursor: Some(next.into()),
            ..self
        }
    }
}

/// A page of a list: the result of a call whose handler returns [`Paged`](crate::extract::Paged).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReceivedPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// The `cursor` of the next page; `None` in the last one.
    pub next: Option<String>,
}

/// The pages of a list, which a call returns one after the other.
///
/// # Example
///
/// ```
/// use conduit::client::{CallError, Pages, TypedClient};
/// use conduit::extract::{Paged, Paging};
/// use conduit::prelude::*;
/// use conduit::testing::TestClient;
///
/// #[get("/numbers", client)]
/// fn numbers(paging: Paging<u32, 2>) -> Paged<u32> {
///     let first = paging.cursor().map_or(1, |last| last + 1);
///     paging.page((first..=5).take(paging.rows()).collect(), |last| *last)
/// }
///
/// # async fn numbers_of_all_pages() -> Result<(), CallError> {
/// let client = TypedClient::new(TestClient::new(App::new(()).routes(routes![numbers])));
/// let mut pages = Pages::new(async |page| numbers::call(&client, page).await);
/// let mut lengths = Vec::new();
/// while let Some(page) = pages.next().await {
///     lengths.push(page?.items.len());
/// }
/// assert_eq!(lengths, [2, 2, 1]);
/// # let all = Pages::new(async |page| numbers::call(&client, page).await);
/// # assert_eq!(all.items().await?, [1, 2, 3, 4, 5]);
/// # Ok(())
/// # }
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
/// # runtime.block_on(numbers_of_all_pages()).expect("numbers");
/// ```
#[derive(Clone, Debug)]
pub struct Pages<F> {
    load: F,
    /// The request for the next page; `None` after the last one.
    request: Option<PageRequest>,
}

impl<F> Pages<F> {
    /// The pages that a call returns, from the first one.
    pub fn new<T>(load: F) -> Self
    where
        F: AsyncFnMut(PageRequest) -> Result<ReceivedPage<T>, CallError>,
    {
        Pages {
            load,
            request: Some(PageRequest::first()),
        }
    }

    /// Sets the first page, and the maximum number of items of each page.
    pub fn starting_at(mut self, page: PageRequest) -> Self {
        self.request = Some(page);
        self
    }

    /// The next page; `None` after the last one. After an error, the same page is requested again.
    pub async fn next<T>(&mut self) -> Option<Result<ReceivedPage<T>, CallError>>
    where
        F: AsyncFnMut(PageRequest) -> Result<ReceivedPage<T>, CallError>,
    {
        let request = self.request.as_mut()?;
        let page = match (self.load)(request.clone()).await {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        if page.next.is_some() && page.next == request.cursor {
            // A client would request the page without end.
            self.request = None;
            let cause = "the next page has the same cursor as this page, so the list would never end".into();
            let status = http::StatusCode::OK;
            return Some(Err(CallError::Unreadable { status, cause }));
        }
        match &page.next {
            Some(next) => request.cursor = Some(next.clone()),
            None => self.request = None,
        }
        Some(Ok(page))
    }

    /// The items of all pages from the next one on.
    ///
    /// # Errors
    ///
    /// Returns the first error of a call.
    pub async fn items<T>(mut self) -> Result<Vec<T>, CallError>
    where
        F: AsyncFnMut(PageRequest) -> Result<ReceivedPage<T>, CallError>,
    {
        let mut items = Vec::new();
        while let Some(page) = self.next().await {
            items.extend(page?.items);
        }
        Ok(items)
    }
}
