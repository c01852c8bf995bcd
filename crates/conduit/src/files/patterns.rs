//! Patterns of paths, as in `.gitignore`.

/// Returns whether a pattern matches a path. `*` is any text without a slash, `**` any text, `?` one character except a slash. A
/// pattern without a slash matches the name of a file in any directory.
///
/// The time is proportional to the product of both lengths.
pub(super) fn is_match(pattern: &str, path: &[u8]) -> bool {
    let path = if pattern.contains('/') {
        path
    } else {
        path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    };
    let mut pattern = pattern.trim_start_matches('/').as_bytes();
    // The prefixes of the path, by their length, that the pattern so far matches.
    let mut matched = vec![false; path.len() + 1];
    matched[0] = true;
    while let [byte, rest @ ..] = pattern {
        pattern = rest;
        match byte {
            b'*' => {
                let crosses_slashes = pattern.first() == Some(&b'*');
                pattern = pattern.strip_prefix(b"*").unwrap_or(pattern);
                for end in 1..=path.len() {
                    matched[end] |= matched[end - 1] && (crosses_slashes || path[end - 1] != b'/');
                }
            }
            byte => {
                for end in (1..=path.len()).rev() {
                    let is_byte = path[end - 1] == *byte || (*byte == b'?' && path[end - 1] != b'/');
                    matched[end] = matched[end - 1] && is_byte;
                }
                matched[0] = false;
            }
        }
    }
    matched[path.len()]
}

#[cfg(test)]
mod tests {
    use super::is_match;

    #[test]
    fn a_pattern_matches_as_in_gitignore() {
        for (pattern, path, expected) in [
            ("*.html", "index.html", true),
            ("*.html", "a/b/index.html", true),
            ("*.html", "index.htm", false),
            ("assets/*", "assets/app.js", true),
            ("assets/*", "assets/js/app.js", false),
            ("assets/**", "assets/js/app.js", true),
            ("/assets/**", "assets/js/app.js", true),
            ("assets/**", "other/assets/app.js", false),
            ("**/vendor/*", "a/vendor/x", true),
            ("*.????????.js", "app.3f2a9c1b.js", true),
            ("*.????????.js", "app.3f2a.js", false),
            ("a/?", "a//", false),
            ("**", "", true),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("*a*", "a", true),
        ] {
            assert_eq!(is_match(pattern, path.as_bytes()), expected, "{pattern} {path}");
        }
    }
}
