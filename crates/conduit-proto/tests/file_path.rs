//! Paths of requests as paths of files: a corpus of traversals, and a property.

use conduit_proto::file_path::file_path;
use proptest::prelude::*;

#[test]
fn a_path_of_a_file_is_percent_decoded() {
    for (path, expected) in [
        ("", ""),
        ("a", "a"),
        ("a/", "a/"),
        ("a/b.c", "a/b.c"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("%C3%A4", "ä"),
        ("100%25", "100%"),
        ("%2525", "%25"),
        ("a..b", "a..b"),
        ("a.", "a."),
        ("a..", "a.."),
        ("a%0ab", "a\nb"),
        ("a:b", "a:b"),
        ("~", "~"),
        (".well-known/security.txt", ".well-known/security.txt"),
    ] {
        assert_eq!(file_path(path, false).as_deref(), Some(expected.as_bytes()), "{path}");
    }
    assert_eq!(file_path("%ff", false).as_deref(), Some(&b"\xff"[..]));
}

/// Each of these has opened a file outside of the directory, or a hidden file, in some server.
const TRAVERSALS: &[&str] = &[
    "..",
    "../",
    "../etc/passwd",
    "a/../../etc/passwd",
    "a/..",
    ".",
    "./a",
    "a/./b",
    "a/.",
    "/etc/passwd",
    "//etc/passwd",
    "a//b",
    "a//",
    "%2e%2e/etc/passwd",
    "%2E%2E/etc/passwd",
    ".%2e/etc/passwd",
    "%2e./etc/passwd",
    "a/%2e%2e%2fetc/passwd",
    "..%2fetc/passwd",
    "..%2Fetc/passwd",
    "%2fetc/passwd",
    "a%2fb",
    "..\\etc\\passwd",
    "..%5cetc%5cpasswd",
    "%5c..%5c",
    "a\\b",
    "a%5Cb",
    "\\\\host\\share",
    "a%00",
    "a%00.html",
    "%00",
    "%",
    "%2",
    "%zz",
    "%+1",
    "a%2",
    "%u002e%u002e/",
    "%c0%ae%c0%ae%2f",
    ".git/config",
    ".env",
    "a/.htaccess",
    "a/%2ehtaccess",
    "...",
    "..a",
    "a/.well-known/x",
    "a/..%00/",
    "..;/a",
];

#[test]
fn no_traversal_is_a_path_of_a_file() {
    for path in TRAVERSALS {
        assert_eq!(file_path(path, false), None, "{path}");
    }
    // Hidden files may be allowed; parent directories may not.
    assert!(file_path(".git/config", true).is_some());
    for path in TRAVERSALS.iter().filter(|path| path.contains("..")) {
        if let Some(file) = file_path(path, true) {
            assert!(
                !file.split(|&byte| byte == b'/').any(|component| component == b".."),
                "{path}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_component_is_a_name(
        pieces in prop::collection::vec(prop::sample::select(&["/", ".", "..", "a", "%2e", "%2f", "%5c", "%00", "\\", "%", "%25"][..]), 0..10),
        allows_hidden: bool,
    ) {
        let path = pieces.concat();
        if let Some(file) = file_path(&path, allows_hidden) {
            let trimmed = file.strip_suffix(b"/").unwrap_or(&file);
            for component in trimmed.split(|&byte| byte == b'/').filter(|_| !file.is_empty()) {
                prop_assert!(!matches!(component, b"" | b"." | b".."));
                prop_assert!(!component.iter().any(|byte| matches!(byte, 0 | b'\\')));
                prop_assert!(allows_hidden || !component.starts_with(b"."));
            }
        }
    }
}
