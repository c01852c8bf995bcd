//! The limits of layers in a lock: `body 1024 bytes`, `rate 10 in 60 s`, `concurrency 8`, `time 5 s`.

use conduit_core::openapi::LayerLimit;

use super::attributes::Attributes;

/// The part of a section with limits.
pub(super) const LIMITS: &str = "limits";
/// The kind of a limit of a body.
pub(super) const BODY: &str = "body";

/// The attributes of limits, which a description lists from the innermost layer on: the outermost first, as in the part `layers`.
pub(super) fn attributes(limits: &[LayerLimit]) -> Attributes {
    Attributes::list(limits.iter().rev().map(text))
}

fn text(limit: &LayerLimit) -> String {
    match limit {
        LayerLimit::BodyBytes(bytes) => format!("{BODY} {bytes} bytes"),
        LayerLimit::Rate { requests, period } => format!("rate {requests} in {} s", period.as_secs_f64()),
        LayerLimit::ConcurrentRequests(requests) => format!("concurrency {requests}"),
        LayerLimit::ResponseTime(time) => format!("time {} s", time.as_secs_f64()),
    }
}

/// A limit of a lock.
#[derive(Debug)]
pub(super) struct LockedLimit<'t> {
    pub(super) kind: &'t str,
    /// Each measure of a stricter limit is equal or lower.
    measures: Vec<f64>,
}

impl<'t> LockedLimit<'t> {
    /// The limit of an attribute.
    pub(super) fn parse(attribute: &'t str) -> Self {
        let (kind, rest) = attribute.split_once(' ').unwrap_or((attribute, ""));
        let mut measures: Vec<f64> = rest.split(' ').filter_map(|word| word.parse().ok()).collect();
        if let [requests, seconds] = measures[..] {
            // A shorter period permits more requests in a long time.
            measures = vec![requests, requests / seconds];
        }
        LockedLimit { kind, measures }
    }

    /// Returns whether each request within this limit is within the other one.
    pub(super) fn implies(&self, other: &LockedLimit<'_>) -> bool {
        self.kind == other.kind
            && self.measures.len() == other.measures.len()
            && self
                .measures
                .iter()
                .zip(&other.measures)
                .all(|(own, other)| own <= other)
    }
}
