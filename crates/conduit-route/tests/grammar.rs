//! Valid paths, and the messages for invalid ones.

use std::panic::catch_unwind;

use conduit_route::{Definition, Draft, Pattern, Segment, require_names};

#[test]
fn valid_paths_are_parsed() {
    for (path, parameters) in [
        ("/", 0),
        ("/users", 0),
        ("/users/", 0),
        ("/users/{id}", 1),
        ("/users/{id}/posts/{_post2}", 2),
        ("/v{n}/{name}.json/a-{x}.b", 3),
        ("/{*rest}", 1),
        ("/a:b/a*b/@me/%C3%A9/a.b/...", 0),
        ("/-_~!$&'()+,;=", 0),
    ] {
        assert_eq!(Pattern::parse(path).map(Pattern::parameters), Ok(parameters), "{path}");
    }
}

#[test]
fn pattern_has_the_kind_of_each_segment() {
    let pattern = Pattern::parse("/a/{b}/c{d}e/{*f}").expect("the path is valid");
    let segments: Vec<_> = pattern.segments().collect();
    let parameter = |prefix, name, suffix| Segment::Parameter { prefix, name, suffix };
    assert_eq!(
        segments,
        [
            Segment::Static("a"),
            parameter("", "b", ""),
            parameter("c", "d", "e"),
            Segment::Rest { name: "f" }
        ]
    );
    assert_eq!(pattern.names().collect::<Vec<_>>(), ["b", "d", "f"]);
}

#[test]
fn invalid_path_error_has_position_and_remedy() {
    for (path, message) in [
        ("", "the leading slash is missing: write `/`"),
        ("users", "the leading slash is missing: write `/users`"),
        ("/a//b", "empty segment at byte 3: write one slash"),
        ("//", "empty segment at byte 1: write one slash"),
        (
            "/a/../b",
            "clients remove the segment `..` before sending a request (RFC 3986, section 5.2.4): remove it",
        ),
        (
            "/.",
            "clients remove the segment `.` before sending a request (RFC 3986, section 5.2.4): remove it",
        ),
        ("/a b", "` ` must be percent-encoded: write `%20`"),
        ("/caf\u{e9}", "`\u{e9}` must be percent-encoded: write `%C3%A9`"),
        (
            "/a?b",
            "`?` starts the query or fragment, which is not part of a path: end the path before it; a handler reads the query as `Query<…>`",
        ),
        (
            "/a%2f",
            "the `%` at byte 2 must be followed by two upper-case hexadecimal digits: write `%25` for a percent sign",
        ),
        (
            "/a%",
            "the `%` at byte 2 must be followed by two upper-case hexadecimal digits: write `%25` for a percent sign",
        ),
        (
            "/:id/x",
            "`:id` is not the syntax of a parameter: write `{id}`, or `%3A` for the character itself",
        ),
        (
            "/*rest",
            "`*rest` is not the syntax of a parameter: write `{*rest}`, or `%2A` for the character itself",
        ),
        ("/{id", "the `{` at byte 1 has no closing `}`: write `{id}`"),
        ("/{id/x}", "the `{` at byte 1 has no closing `}`: write `{id}`"),
        ("/{", "the `{` at byte 1 has no closing `}`: write `{name}`"),
        (
            "/a}",
            "the `}` at byte 2 has no `{` before it: write `{name}` for a parameter, `%7D` for a brace",
        ),
        (
            "/{}",
            "the parameter at byte 1 has no name: write `{name}` or `{*name}`",
        ),
        (
            "/{*}",
            "the parameter at byte 1 has no name: write `{name}` or `{*name}`",
        ),
        (
            "/{1a}",
            "invalid parameter name `1a`: use ASCII letters, digits and `_`, and start with a letter",
        ),
        (
            "/{user-id}",
            "invalid parameter name `user-id`: use ASCII letters, digits and `_`, and start with a letter",
        ),
        (
            "/{_}",
            "invalid parameter name `_`: use ASCII letters, digits and `_`, and start with a letter",
        ),
        ("/{a}/{a}", "two parameters are named `a`: rename one"),
        (
            "/{a}-{b}",
            "the segment `{a}-{b}` has two parameters: separate them by a slash, or use one and split its value in the handler",
        ),
        (
            "/{*a}/b",
            "`{*a}` matches the rest of the path: make it the last segment",
        ),
        (
            "/{*a}/",
            "`{*a}` matches the rest of the path: make it the last segment",
        ),
        (
            "/x{*a}",
            "`{*a}` matches whole segments: separate it from other text by a slash",
        ),
        (
            "/{*a}.b",
            "`{*a}` matches whole segments: separate it from other text by a slash",
        ),
        (
            "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}",
            "`{q}` exceeds the limit of 16 parameters in a path: replace the last ones by `{*rest}`",
        ),
    ] {
        let error = Pattern::parse(path).expect_err(path);
        assert_eq!(error.to_string(), format!("invalid path `{path}`: {message}"));
    }
    let long = format!("/{}", "a".repeat(4096));
    assert!(
        Pattern::parse(&long)
            .expect_err("it is too long")
            .to_string()
            .contains("longer than 4096 bytes")
    );
}

#[test]
fn invalid_prefix_error_has_remedy() {
    for (prefix, message) in [
        (
            "/admin/",
            "the trailing slash duplicates the leading slash of its routes: remove it",
        ),
        (
            "/",
            "the trailing slash duplicates the leading slash of its routes: remove it",
        ),
        (
            "/files/{*rest}",
            "`{*rest}` matches the rest of the path: write it in the path of each route",
        ),
    ] {
        let error = Pattern::parse_prefix(prefix).expect_err(prefix);
        assert_eq!(error.to_string(), format!("invalid prefix `{prefix}`: {message}"));
    }
    assert!(Pattern::parse_prefix("/admin").is_ok());
    assert!(Pattern::parse_prefix("/{tenant}/v{version}").is_ok());
    assert!(Pattern::parse_prefix("admin").is_err());
}

/// The panic message of the construction of a table, if it panics.
fn refusal(routes: &[(&'static str, &'static str)]) -> Option<String> {
    let definitions: Vec<Definition> = routes
        .iter()
        .zip(1..)
        .map(|(&(method, path), line)| Definition {
            method,
            path,
            handler: "app::show",
            file: "src/main.rs",
            line,
            disconnect: None,
            of_prefix: &[],
            link: None,
            tool: None,
        })
        .collect();
    let panic = catch_unwind(|| Draft::<4, 64, 256>::new(&definitions).accept(&definitions)).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn conflict_message_has_both_places_and_the_remedy() {
    assert_eq!(
        refusal(&[("GET", "/users/{a}"), ("POST", "/users/{a}"), ("GET", "/users/{b}")]).as_deref(),
        Some(
            "route conflict: GET /users/{a} (app::show, src/main.rs:1) and GET /users/{b} (app::show, src/main.rs:3) \
             match the same paths: remove one or change its path"
        )
    );
}

#[test]
fn paths_that_differ_only_in_names_conflict() {
    for (one, other) in [
        ("/a", "/a"),
        ("/{a}", "/{b}"),
        ("/{a}.json", "/{b}.json"),
        ("/v{a}/x", "/v{b}/x"),
        ("/{*a}", "/{*b}"),
    ] {
        assert!(refusal(&[("GET", one), ("GET", other)]).is_some(), "{one} {other}");
    }
}

#[test]
fn paths_of_different_precedence_do_not_conflict() {
    for (one, other) in [
        ("/a", "/a/"),
        ("/a", "/{a}"),
        ("/{a}.json", "/{a}.xml"),
        ("/a{a}", "/ab{a}"),
        ("/{a}", "/{*a}"),
        ("/a{x}", "/{x}a"),
    ] {
        assert_eq!(refusal(&[("GET", one), ("GET", other)]), None, "{one} {other}");
    }
}

#[test]
fn table_construction_rejects_an_invalid_path() {
    let message = refusal(&[("GET", "/a//b")]).expect("the path is invalid");
    assert_eq!(
        message,
        "invalid path `/a//b`: empty segment at byte 3: write one slash (app::show, src/main.rs:1)"
    );
    assert!(refusal(&[("GET", "")]).is_some());
    assert!(refusal(&[("GET", "/{a}/{a}")]).is_some());
}

#[test]
fn struct_fields_must_equal_the_path_parameters() {
    const SHOW: Definition = Definition {
        method: "GET",
        path: "/{a}/{b}",
        handler: "app::show",
        file: "src/main.rs",
        line: 7,
        disconnect: None,
        of_prefix: &[],
        link: None,
        tool: None,
    };
    let refusal = |fields: &[&str]| {
        let panic = catch_unwind(|| require_names(&SHOW, "Place", fields)).err()?;
        panic.downcast_ref::<String>().cloned()
    };
    assert_eq!(refusal(&["b", "a"]), None);
    assert_eq!(
        refusal(&["a"]).as_deref(),
        Some(
            "the path `/{a}/{b}` of `app::show` (src/main.rs:7) has the parameter `{b}`, but `Place` has no field `b`: \
             add the field to the struct or remove the parameter from the path"
        )
    );
    assert_eq!(
        refusal(&["a", "b", "c"]).as_deref(),
        Some(
            "the path `/{a}/{b}` of `app::show` (src/main.rs:7) has no parameter `{c}`, but `Place` has the field `c`: \
             remove the field from the struct or add the parameter to the path"
        )
    );
}
