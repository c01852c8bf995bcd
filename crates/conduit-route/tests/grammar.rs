//! Valid paths, and the messages for invalid ones.

use std::panic::catch_unwind;

use conduit_route::{Definition, Draft, Pattern, Segment, require_names};

#[test]
fn good_paths_are_parsed() {
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
fn segments_are_told_apart() {
    let pattern = Pattern::parse("/a/{b}/c{d}e/{*f}").expect("the path is good");
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
fn a_bad_path_is_told_with_its_remedy() {
    for (path, message) in [
        ("", "it does not start with a slash: write `/`"),
        ("users", "it does not start with a slash: write `/users`"),
        ("/a//b", "there is an empty segment at byte 3: write one slash"),
        ("//", "there is an empty segment at byte 1: write one slash"),
        (
            "/a/../b",
            "clients resolve the segment `..` away before they send (RFC 3986, section 5.2.4): leave it out",
        ),
        (
            "/.",
            "clients resolve the segment `.` away before they send (RFC 3986, section 5.2.4): leave it out",
        ),
        ("/a b", "` ` must be percent-encoded: write `%20`"),
        ("/caf\u{e9}", "`\u{e9}` must be percent-encoded: write `%C3%A9`"),
        (
            "/a?b",
            "`?` starts the query or the fragment, which is no part of a path: end the path before it and take a `Query<…>` argument",
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
            "a parameter is not written `:id`: write `{id}` (or `%3A` for the character itself)",
        ),
        (
            "/*rest",
            "a parameter is not written `*rest`: write `{*rest}` (or `%2A` for the character itself)",
        ),
        ("/{id", "the `{` at byte 1 is never closed: write `{id}`"),
        ("/{id/x}", "the `{` at byte 1 is never closed: write `{id}`"),
        ("/{", "the `{` at byte 1 is never closed: write `{name}`"),
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
            "`1a` is no name for a parameter: use ASCII letters, digits and `_`, and start with a letter",
        ),
        (
            "/{user-id}",
            "`user-id` is no name for a parameter: use ASCII letters, digits and `_`, and start with a letter",
        ),
        (
            "/{_}",
            "`_` is no name for a parameter: use ASCII letters, digits and `_`, and start with a letter",
        ),
        ("/{a}/{a}", "there are two parameters of the name `a`: rename one"),
        (
            "/{a}-{b}",
            "the segment `{a}-{b}` has two parameters: put a slash between them, or take one and split it in the handler",
        ),
        ("/{*a}/b", "`{*a}` takes all that is left: make it the last segment"),
        ("/{*a}/", "`{*a}` takes all that is left: make it the last segment"),
        (
            "/x{*a}",
            "`{*a}` takes whole segments: it can have no text before or after it, put a slash between them",
        ),
        (
            "/{*a}.b",
            "`{*a}` takes whole segments: it can have no text before or after it, put a slash between them",
        ),
        (
            "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}",
            "`{q}` is one parameter more than the 16 that a path may have: take a `{*rest}`",
        ),
    ] {
        let error = Pattern::parse(path).expect_err(path);
        assert_eq!(error.to_string(), format!("bad path `{path}`: {message}"));
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
fn a_bad_prefix_is_told_with_its_remedy() {
    for (prefix, message) in [
        (
            "/admin/",
            "it ends in a slash, and the routes under it start with one: leave it out",
        ),
        (
            "/",
            "it ends in a slash, and the routes under it start with one: leave it out",
        ),
        (
            "/files/{*rest}",
            "`{*rest}` takes all that is left of the path: write it in each route's own path",
        ),
    ] {
        let error = Pattern::parse_prefix(prefix).expect_err(prefix);
        assert_eq!(error.to_string(), format!("bad prefix `{prefix}`: {message}"));
    }
    assert!(Pattern::parse_prefix("/admin").is_ok());
    assert!(Pattern::parse_prefix("/{tenant}/v{version}").is_ok());
    assert!(Pattern::parse_prefix("admin").is_err());
}

/// The panic message of building a table of routes, if it panics.
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
        })
        .collect();
    let panic = catch_unwind(|| Draft::<4, 64, 256>::new(&definitions).accept(&definitions)).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn a_conflict_names_both_places_and_the_remedy() {
    assert_eq!(
        refusal(&[("GET", "/users/{a}"), ("POST", "/users/{a}"), ("GET", "/users/{b}")]).as_deref(),
        Some(
            "route conflict: GET /users/{a} (app::show, src/main.rs:1) and GET /users/{b} (app::show, src/main.rs:3) \
             match the same paths: remove one or change its path"
        )
    );
}

#[test]
fn paths_that_differ_in_names_alone_conflict() {
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
fn a_bad_path_is_refused_when_a_table_is_built() {
    let message = refusal(&[("GET", "/a//b")]).expect("the path is bad");
    assert_eq!(
        message,
        "bad path `/a//b`: there is an empty segment at byte 3: write one slash (app::show, src/main.rs:1)"
    );
    assert!(refusal(&[("GET", "")]).is_some());
    assert!(refusal(&[("GET", "/{a}/{a}")]).is_some());
}

#[test]
fn a_struct_must_have_the_parameters_of_the_path() {
    const SHOW: Definition = Definition {
        method: "GET",
        path: "/{a}/{b}",
        handler: "app::show",
        file: "src/main.rs",
        line: 7,
        disconnect: None,
        of_prefix: &[],
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
             add the field to the struct or take the parameter out of the path"
        )
    );
    assert_eq!(
        refusal(&["a", "b", "c"]).as_deref(),
        Some(
            "the path `/{a}/{b}` of `app::show` (src/main.rs:7) has no parameter `{c}`, but `Place` has the field `c`: \
             take the field out of the struct or add the parameter to the path"
        )
    );
}
