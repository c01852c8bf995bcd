//! The page that lists a directory.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, UNIX_EPOCH};

use conduit_net::DirectoryEntry;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use http::{HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use crate::response::{Html, IntoResponse, Response};

/// The maximum number of entries of a page.
pub(super) const ENTRIES: usize = 10_000;

/// Forbids the browser to load or run anything, so that a file name cannot inject a script.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the page of a directory with this percent-decoded path. `is_root`: its parent is not served.
pub(super) fn page(
    path: &[u8],
    is_root: bool,
    entries: &[DirectoryEntry],
    is_cut: bool,
    shows_hidden: bool,
) -> Response {
    let mut rows = String::new();
    if !is_root {
        rows.push_str("<tr><td><a href=\"../\">../</a><td><td>\n");
    }
    let visible = || {
        entries
            .iter()
            .filter(|entry| shows_hidden || !entry.name.as_bytes().starts_with(b"."))
    };
    let (directories, files) = (
        visible().filter(|entry| entry.is_directory),
        visible().filter(|entry| !entry.is_directory),
    );
    for entry in directories.chain(files) {
        // Every byte but letters and digits is encoded: a name can neither end the attribute nor look like a scheme.
        let target = percent_encode(entry.name.as_bytes(), NON_ALPHANUMERIC);
        let name = escaped(&String::from_utf8_lossy(entry.name.as_bytes()));
        let slash = if entry.is_directory { "/" } else { "" };
        let length = if entry.is_directory {
            String::new()
        } else {
            entry.length.to_string()
        };
        let date = date(entry.modified);
        let _ = writeln!(
            rows,
            "<tr><td><a href=\"{target}{slash}\">{name}{slash}</a><td>{length}<td>{date}"
        );
    }
    let title = escaped(&String::from_utf8_lossy(path));
    let cut = if is_cut {
        format!("<p>The first {ENTRIES} entries.\n")
    } else {
        String::new()
    };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>/{title}</title>\n<h1>/{title}</h1>\n\
         <table>\n<tr><th>Name<th>Bytes<th>Modified\n{rows}</table>\n{cut}"
    );
    let headers: [(HeaderName, HeaderValue); 2] = [
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, Html(page)).into_response()
}

fn date(seconds: i64) -> String {
    let Ok(seconds) = u64::try_from(seconds) else {
        return String::new();
    };
    // Beyond the year 9999 there is no date.
    let last = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds.min(last)))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters are not allowed in HTML.
            control if control.is_control() => escaped.push('\u{fffd}'),
            // Explicit controls of direction could reorder the text (Unicode Standard Annex #9, section 2).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                escaped.push('\u{fffd}')
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_cannot_end_its_element_or_reorder_its_text() {
        assert_eq!(escaped("<a b='c'>&\"\n"), "&lt;a b=&#39;c&#39;&gt;&amp;&quot;\u{fffd}");
        assert_eq!(escaped("photo\u{202e}gpj.exe\u{2069}"), "photo\u{fffd}gpj.exe\u{fffd}");
        assert_eq!(
            escaped("\u{5e9}\u{5dc}\u{5d5}\u{5dd}.txt"),
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}.txt"
        );
    }
}
