//! Links to routes: a request for a link reaches its route with the same values.

use conduit::prelude::*;
use conduit::testing::TestClient;
use proptest::prelude::{any, prop, prop_assume, proptest};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
struct LinkedNumber(i64);

type Alias = Path<LinkedNumber>;

#[get("/one/{number}", link)]
async fn alias(number: Alias) -> String {
    number.0.0.to_string()
}

#[get("/texts/{name}.txt/{*rest}", link)]
async fn texts(rest: Path<String>, name: Path<String>) -> Json<(String, String)> {
    Json((name.0, rest.0))
}

#[derive(Deserialize, Serialize, PathParams)]
struct PostPath {
    id: u64,
    #[serde(rename = "slug")]
    title: String,
}

#[get("/users/{id}/posts/{slug}", link)]
async fn structure(place: Path<PostPath>) -> String {
    format!("{} {}", place.id, place.title)
}

#[put("/users/{id}/posts/{slug}", link)]
async fn tuple(Path((slug, id)): Path<(String, u64)>) -> String {
    format!("{id} {slug}")
}

#[derive(Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
struct LinkedSearch {
    text: String,
    #[serde(default)]
    tags: Vec<String>,
    range: Option<LinkedRange>,
}

#[derive(Debug, Deserialize, Serialize, JsonSchema, PartialEq)]
struct LinkedRange {
    from: i32,
    exact: bool,
}

#[get("/search", link)]
async fn search(query: Query<LinkedSearch>) -> Json<LinkedSearch> {
    Json(query.0)
}

mod comments {
    use conduit::prelude::*;

    #[get("/{id}", link = "/articles/{slug}/comments")]
    pub(super) async fn show(id: Path<u64>, slug: Path<String>) -> String {
        format!("{id} on {slug}")
    }

    #[get("/", link = "/articles/{slug}/comments")]
    pub(super) async fn list(slug: Path<String>) -> String {
        slug.0
    }

    pub(super) const ROUTES: NestedRoutes = nested_routes![show, list];
}

fn client() -> TestClient {
    let routes = routes![
        alias,
        texts,
        structure,
        tuple,
        search,
        "/articles/{slug}" => [#[layer(same)] "/comments" => comments::ROUTES],
    ];
    TestClient::new(App::new(()).routes(routes))
}

async fn same(request: Request, next: Next) -> Response {
    next.run(request).await
}

#[test]
fn links_reach_their_routes_with_the_same_values() {
    let client = client();
    client.get(&alias::path(LinkedNumber(-7))).send().assert_text("-7");
    let place = PostPath {
        id: 7,
        title: "a/b".to_owned(),
    };
    client.get(&structure::path(&place)).send().assert_text("7 a/b");
    client.put(&tuple::path(7, "a?b")).send().assert_text("7 a?b");
}

#[test]
fn links_contain_the_prefixes_of_all_lists() {
    let client = client();
    assert_eq!(comments::list::path("a b"), "/articles/a%20b/comments");
    client.get(&comments::list::path("a b")).send().assert_text("a b");
    client.get(&comments::show::path("a", 7)).send().assert_text("7 on a");
}

#[test]
fn redirects_take_links() {
    let redirect = Redirect::to(alias::path(LinkedNumber(1))).into_response();
    assert_eq!(redirect.headers()["location"], "/one/1");
}

#[get("/{slug}/about", link)]
async fn about(slug: Path<String>) -> String {
    slug.0
}

#[get("/redirect")]
async fn redirect_to(search: Query<LinkedSearch>) -> Redirect {
    Redirect::to(about::path(&search.text))
}

#[test]
fn strings_of_a_client_cannot_change_the_route_or_site_of_a_link() {
    let client = TestClient::new(App::new(()).routes(routes![about, redirect_to]));
    for text in ["", ".", ".."] {
        client.get(&format!("/redirect?text={text}")).send().assert_status(500);
    }
    let sent = client.get("/redirect?text=/evil.example").send();
    sent.assert_header("location", "/%2Fevil.example/about");
}

#[test]
fn any_texts_survive_a_link() {
    let client = client();
    proptest!(|(name in "\\PC{1,8}", rest in prop::collection::vec("[./\\\\%a ?#é]{1,3}", 1..4))| {
        let rest = rest.join("/");
        // These have no link.
        prop_assume!(rest != "." && rest != "..");
        let link = texts::path(&name, &rest);
        client.get(&link).send().assert_status(200).assert_json(&serde_json::json!([name, rest]));
    });
}

#[test]
fn any_queries_survive_a_link() {
    let client = client();
    let range = prop::option::of((any::<i32>(), any::<bool>()));
    proptest!(|(text in "\\PC{0,8}", tags in prop::collection::vec("\\PC{0,4}", 0..4), range in range)| {
        let query = LinkedSearch { text, tags, range: range.map(|(from, exact)| LinkedRange { from, exact }) };
        let found: LinkedSearch = client.get(&search::path_and_query(&query)).send().json();
        assert_eq!(found, query);
    });
}
