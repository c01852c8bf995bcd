//! The table of routes, as a value, as text, and as a program prints it.

use conduit::prelude::*;

async fn guard(request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn outermost(request: Request, next: Next) -> Response {
    next.run(request).await
}

mod admin {
    use super::*;

    #[delete("/users/{id}")]
    pub(crate) async fn remove(id: Path<u64>) -> String {
        id.to_string()
    }

    pub(crate) const ROUTES: Routes = routes![remove];
}

#[get("/report", disconnect = "abort")]
async fn report() {}

#[get("/")]
async fn home() -> &'static str {
    "home"
}

fn app() -> App<(), Routes> {
    App::new(())
        .routes(routes![home, #[layer(guard)] "/admin" => admin::ROUTES])
        .layer(outermost)
        .body_limit(5 * 1024)
}

#[test]
fn table_lists_each_route_with_its_place_and_layers() {
    let table = app().routes_table();
    let [home, remove] = table.routes() else {
        panic!("two routes: {table}")
    };
    assert_eq!((home.method, home.path), ("GET", "/"));
    assert!(home.handler.ends_with("home"), "{}", home.handler);
    assert!(home.layers.is_empty());
    assert_eq!((remove.method, remove.path), ("DELETE", "/admin/users/{id}"));
    assert!(remove.file.ends_with("routes_table.rs") && remove.line > home.line - 20);
    assert_eq!(remove.layers, ["guard"]);
    assert_eq!(table.layers(), ["outermost"]);
    assert!(table.limits().contains(&("CONDUIT_BODY_LIMIT", "5KiB".to_owned())));
}

#[test]
fn the_text_is_aligned() {
    let text = app().routes_table().to_string();
    let lines: Vec<&str> = text.lines().collect();
    let place = lines[0].find("HANDLER").expect("a heading");
    for line in &lines[1..3] {
        assert_eq!(line.as_bytes()[place - 1], b' ', "{text}");
        assert_ne!(line.as_bytes()[place], b' ', "{text}");
    }
    assert!(lines.iter().all(|line| line.trim_end() == *line), "{text}");
    assert!(text.contains("outermost first: outermost"), "{text}");
}

#[test]
fn table_shows_the_disconnect_action_of_a_route() {
    let text = app().routes_table().to_string();
    assert!(!text.contains("DISCONNECT"), "no route sets it: {text}");
    let table = App::new(()).routes(routes![home, report]).routes_table();
    assert_eq!(table.routes()[0].disconnect, None);
    assert_eq!(table.routes()[1].disconnect, Some(conduit::Disconnect::Abort));
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].ends_with("DISCONNECT  LAYERS"), "{text}");
    assert!(lines[2].ends_with("abort"), "{text}");
    let value = serde_json::to_value(table).expect("a table is JSON");
    assert_eq!(value["routes"][0]["disconnect"], serde_json::Value::Null);
    assert_eq!(value["routes"][1]["disconnect"], "abort");
}

#[test]
fn table_shows_limits_with_their_layers() {
    use conduit::layer::{BodyLimit, Timeout};
    const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
    let table = App::new(()).routes(routes![
        #[layer(Timeout::new(MINUTE), BodyLimit::new(1024))]
        home
    ]);
    assert_eq!(
        table.routes_table().routes()[0].layers,
        ["Timeout(60s)", "BodyLimit(1024 bytes)"]
    );
}

#[cfg(feature = "openapi")]
#[test]
fn table_contains_the_docs_page() {
    assert!(app().routes_table().pages().is_empty());
    let table = app().docs("/docs").routes_table();
    assert_eq!(table.pages(), ["/docs", "/docs/openapi.json"]);
    let text = table.to_string();
    assert!(text.contains("\nBuilt-in pages: /docs, /docs/openapi.json\n"), "{text}");
}

#[test]
fn table_serialises() {
    let value = serde_json::to_value(app().routes_table()).expect("a table is JSON");
    assert_eq!(value["routes"][1]["path"], "/admin/users/{id}");
    assert_eq!(value["routes"][1]["layers"][0], "guard");
    assert_eq!(value["layers"][0], "outermost");
    assert_eq!(value["limits"]["CONDUIT_BODY_LIMIT"], "5KiB");
}
