//! The settings of `Files`.

use http::HeaderValue;

use super::patterns;

/// A year: the longest time that caches keep anything.
pub(super) const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// A cache revalidates each time, and receives a 304 while the file is unchanged.
pub(super) const REVALIDATE: &str = "no-cache";

#[derive(Clone, Debug)]
pub(super) struct FilesSettings {
    pub(super) index: Option<String>,
    pub(super) lists: bool,
    pub(super) shows_hidden: bool,
    /// The directory is embedded in release builds.
    pub(super) is_embedded: bool,
    pub(super) has_neighbours: bool,
    /// The page for navigations to other paths.
    pub(super) single_page: Option<String>,
    /// Patterns of paths, the first that matches decides.
    pub(super) cache_control: Vec<(String, HeaderValue)>,
    pub(super) content_types: Vec<(String, HeaderValue)>,
}

impl FilesSettings {
    pub(super) fn cache_control(&self, path: &[u8]) -> HeaderValue {
        first_match(&self.cache_control, path).unwrap_or(HeaderValue::from_static(REVALIDATE))
    }

    pub(super) fn content_type(&self, path: &[u8]) -> Option<HeaderValue> {
        first_match(&self.content_types, path)
    }
}

impl Default for FilesSettings {
    fn default() -> Self {
        FilesSettings {
            index: Some("index.html".to_owned()),
            lists: false,
            shows_hidden: false,
            is_embedded: false,
            has_neighbours: false,
            single_page: None,
            cache_control: Vec::new(),
            content_types: Vec::new(),
        }
    }
}

fn first_match(rules: &[(String, HeaderValue)], path: &[u8]) -> Option<HeaderValue> {
    let rule = rules.iter().find(|(pattern, _)| patterns::is_match(pattern, path));
    rule.map(|(_, value)| value.clone())
}
