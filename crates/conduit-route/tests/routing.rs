//! Rules of matching.

use conduit_route::{Definition, Miss, Parameters, Part, Table, table};

const fn route(method: &'static str, path: &'static str) -> Part {
    Part::Route(definition(method, path))
}

const fn definition(method: &'static str, path: &'static str) -> Definition {
    Definition {
        method,
        path,
        handler: "handler",
        file: "file",
        line: 1,
        disconnect: None,
        of_prefix: &[],
        link: None,
        tool: None,
    }
}

/// The path of the matched route, and the parameters.
fn find<'p>(table: &Table, method: &str, path: &'p str) -> Result<(&'static str, Vec<&'p str>), Miss> {
    let mut parameters = Parameters::new();
    let route = table.find(method, path, &mut parameters)?;
    let values = (0..parameters.len())
        .filter_map(|at| parameters.get(at, path))
        .collect();
    Ok((table.definitions()[route].path, values))
}

#[test]
fn more_specific_segment_wins() {
    const TABLE: &Table = table![
        route("GET", "/{*rest}"),
        route("GET", "/{name}"),
        route("GET", "/{name}.json"),
        route("GET", "/{name}.min.json"),
        route("GET", "/a{name}"),
        route("GET", "/a{name}.json"),
        route("GET", "/ab{name}"),
        route("GET", "/ab"),
    ];
    let found = |path| find(TABLE, "GET", path).expect("a route matches");
    assert_eq!(found("/ab"), ("/ab", vec![]));
    assert_eq!(found("/abc"), ("/ab{name}", vec!["c"]));
    assert_eq!(found("/abc.json"), ("/ab{name}", vec!["c.json"]));
    assert_eq!(found("/ac.json"), ("/a{name}.json", vec!["c"]));
    assert_eq!(found("/ac"), ("/a{name}", vec!["c"]));
    assert_eq!(found("/c.min.json"), ("/{name}.min.json", vec!["c"]));
    assert_eq!(found("/c.json"), ("/{name}.json", vec!["c"]));
    assert_eq!(found("/.json"), ("/{name}", vec![".json"]));
    assert_eq!(found("/a"), ("/{name}", vec!["a"]));
    assert_eq!(found("/c/d"), ("/{*rest}", vec!["c/d"]));
    assert_eq!(found("//"), ("/{*rest}", vec!["/"]));
    assert_eq!(find(TABLE, "GET", "/"), Err(Miss::NotFound));
}

#[test]
fn search_backtracks_to_a_less_specific_route() {
    const TABLE: &Table = table![
        route("GET", "/a/b/c"),
        route("GET", "/a/{x}/d"),
        route("GET", "/{x}/b/{y}/f"),
        route("GET", "/v{n}/b/{y}"),
        route("GET", "/{x}/{*rest}"),
    ];
    let found = |path| find(TABLE, "GET", path).expect("a route matches");
    assert_eq!(found("/a/b/c"), ("/a/b/c", vec![]));
    assert_eq!(found("/a/b/d"), ("/a/{x}/d", vec!["b"]));
    assert_eq!(found("/a/b/e/f"), ("/{x}/b/{y}/f", vec!["a", "e"]));
    assert_eq!(found("/a/b/e"), ("/{x}/{*rest}", vec!["a", "b/e"]));
    assert_eq!(found("/v1/b/e"), ("/v{n}/b/{y}", vec!["1", "e"]));
    assert_eq!(found("/v1/b/e/f"), ("/{x}/b/{y}/f", vec!["v1", "e"]));
}

#[test]
fn route_without_the_method_does_not_hide_a_less_specific_one() {
    const TABLE: &Table = table![
        route("GET", "/users/me"),
        route("DELETE", "/users/{id}"),
        route("PUT", "/{*rest}"),
        route("GET", "/x")
    ];
    assert_eq!(find(TABLE, "DELETE", "/users/me"), Ok(("/users/{id}", vec!["me"])));
    assert_eq!(find(TABLE, "PUT", "/users/me"), Ok(("/{*rest}", vec!["users/me"])));
    assert_eq!(find(TABLE, "POST", "/users/me"), Err(Miss::MethodNotAllowed));
    assert_eq!(TABLE.allow("/users/me"), ["GET", "HEAD", "DELETE", "PUT"]);
    assert_eq!(find(TABLE, "GET", "/users/7"), Err(Miss::MethodNotAllowed));
    assert_eq!(TABLE.allow("/"), [""; 0]);
}

#[test]
fn get_route_matches_head_unless_a_head_route_exists() {
    const TABLE: &Table = table![
        route("GET", "/a"),
        route("GET", "/b"),
        route("HEAD", "/b"),
        route("HEAD", "/{x}"),
        route("POST", "/c")
    ];
    let index = |path| TABLE.find("HEAD", path, &mut Parameters::new());
    assert_eq!(index("/a"), Ok(0));
    assert_eq!(index("/b"), Ok(2));
    assert_eq!(index("/c"), Ok(3));
    assert_eq!(TABLE.allow("/c"), ["POST", "HEAD"]);
}

#[test]
fn methods_are_compared_in_full_and_case_sensitive() {
    const TABLE: &Table = table![
        route("VERSION-CONTROL", "/"),
        route("VERSION-", "/long"),
        route("GET", "/get")
    ];
    assert!(find(TABLE, "VERSION-CONTROL", "/").is_ok());
    assert_eq!(find(TABLE, "VERSION-CONTROX", "/"), Err(Miss::MethodNotAllowed));
    assert_eq!(find(TABLE, "VERSION-CONTROL", "/long"), Err(Miss::MethodNotAllowed));
    assert_eq!(find(TABLE, "get", "/get"), Err(Miss::MethodNotAllowed));
    assert_eq!(find(TABLE, "GET\0", "/get"), Err(Miss::MethodNotAllowed));
    assert_eq!(find(TABLE, "", "/get"), Err(Miss::MethodNotAllowed));
}

#[test]
fn trailing_slash_is_significant() {
    const TABLE: &Table = table![
        route("GET", "/a"),
        route("GET", "/b/"),
        route("GET", "/c/{x}"),
        route("GET", "/d/{*x}")
    ];
    assert!(find(TABLE, "GET", "/a").is_ok());
    assert!(find(TABLE, "GET", "/b/").is_ok());
    for path in ["/a/", "/b", "/b//", "/c/", "/c/x/", "/d/", "/d", "//a"] {
        assert_eq!(find(TABLE, "GET", path), Err(Miss::NotFound), "{path}");
    }
}

#[test]
fn target_without_a_leading_slash_matches_no_route() {
    const TABLE: &Table = table![route("GET", "/{*rest}"), route("GET", "/")];
    for path in ["", "*", "a", "é/"] {
        assert_eq!(find(TABLE, "GET", path), Err(Miss::NotFound), "{path}");
        assert_eq!(TABLE.allow(path), [""; 0], "{path}");
    }
    const EMPTY: &Table = table![];
    assert_eq!(find(EMPTY, "GET", "/"), Err(Miss::NotFound));
}

#[test]
fn parameters_are_not_decoded() {
    const TABLE: &Table = table![route("GET", "/{a}/x-{b}.y/{*c}")];
    assert_eq!(
        find(TABLE, "GET", "/é%20/x-ü.y/%2F/ö").map(|found| found.1),
        Ok(vec!["é%20", "ü", "%2F/ö"])
    );
}

#[test]
fn failed_search_clears_parameters() {
    const TABLE: &Table = table![route("GET", "/{a}/{b}/c")];
    let mut parameters = Parameters::new();
    assert!(TABLE.find("GET", "/x/y/c", &mut parameters).is_ok());
    assert_eq!(parameters.get(2, "/x/y/c"), None);
    assert!(TABLE.find("GET", "/x/y/d", &mut parameters).is_err());
    assert!(parameters.is_empty());
    assert_eq!(parameters.get(0, "/x/y/d"), None);
}

#[test]
fn mount_prepends_its_prefix_to_each_path() {
    const INNER: &[Definition] = &[
        definition("GET", "/"),
        definition("GET", "/{id}"),
        definition("GET", "/x/"),
    ];
    const OUTER: &Table = table![
        route("GET", "/a"),
        Part::Mount {
            prefix: "/admin/users",
            definitions: INNER
        },
        Part::Mount {
            prefix: "",
            definitions: INNER
        },
        route("GET", "/b"),
    ];
    let paths: Vec<_> = OUTER.definitions().iter().map(|definition| definition.path).collect();
    assert_eq!(
        paths,
        [
            "/a",
            "/admin/users",
            "/admin/users/{id}",
            "/admin/users/x/",
            "/",
            "/{id}",
            "/x/",
            "/b"
        ]
    );
    assert_eq!(
        find(OUTER, "GET", "/admin/users/7"),
        Ok(("/admin/users/{id}", vec!["7"]))
    );
}

#[test]
fn sixteen_parameters_are_bound() {
    const TABLE: &Table = table![route(
        "GET",
        "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{*p}"
    )];
    let path = "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17";
    let values = find(TABLE, "GET", path).expect("the route matches").1;
    assert_eq!(values.len(), 16);
    assert_eq!(values[15], "16/17");
}
