//! Budgets at the ends of their ranges, which each store accepts.

use std::time::Duration;

use conduit::layer::{Budget, Store};

/// The store must not have the keys `none`, `short`, `a` and `b`.
pub(crate) async fn check_extreme_budgets<S: Store>(store: &S) -> Result<(), S::Error> {
    let budget = |requests, period| Budget { requests, period };
    // Zero counts as 1.
    for accepted in [true, false] {
        let none = budget(0, Duration::from_secs(3600));
        assert_eq!(store.take(b"none", none).await?.is_accepted, accepted);
    }
    assert!(store.take(b"short", budget(1, Duration::ZERO)).await?.is_accepted);
    for (key, requests) in [(b"a", 1), (b"b", u32::MAX)] {
        let taken = store.take(key, budget(requests, Duration::MAX)).await?;
        assert_eq!((taken.is_accepted, taken.left), (true, u64::from(requests) - 1));
    }
    assert!(!store.take(b"a", budget(1, Duration::MAX)).await?.is_accepted);
    Ok(())
}
