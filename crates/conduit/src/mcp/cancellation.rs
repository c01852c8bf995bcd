//! The end of a call that its client cancels.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use rmcp::RoleServer;
use rmcp::model::ErrorData;
use rmcp::service::RequestContext;

/// Awaits a future, which is dropped if the client cancels the call.
pub(super) async fn until_cancelled<T>(
    context: &RequestContext<RoleServer>,
    future: impl Future<Output = T>,
) -> Result<T, ErrorData> {
    unless(context.ct.cancelled(), future).await
}

/// Awaits a future, which is dropped if `end` completes first: the call is cancelled.
pub(super) async fn unless<T>(end: impl Future<Output = ()>, future: impl Future<Output = T>) -> Result<T, ErrorData> {
    let (mut cancelled, mut future) = (pin!(end), pin!(future));
    poll_fn(|polled| match future.as_mut().poll(polled) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => cancelled
            .as_mut()
            .poll(polled)
            .map(|()| Err(ErrorData::internal_error("the call is cancelled", None))),
    })
    .await
}
