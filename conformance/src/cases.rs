//! The table, with one file per topic.

pub mod bodies;
pub mod chunked;
pub mod connections;
pub mod fields;
pub mod framing;
pub mod hosts;
pub mod limits;
pub mod methods;
pub mod request_lines;
pub mod smuggling;

use crate::case::Case;

/// All rows, by topic.
pub const TOPICS: &[(&str, &[Case])] = &[
    ("request lines", request_lines::CASES),
    ("hosts", hosts::CASES),
    ("fields", fields::CASES),
    ("framing", framing::CASES),
    ("chunked", chunked::CASES),
    ("bodies", bodies::CASES),
    ("connections", connections::CASES),
    ("methods", methods::CASES),
    ("limits", limits::CASES),
    ("smuggling", smuggling::CASES),
];
