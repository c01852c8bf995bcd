use conduit::prelude::*;

#[derive(serde::Deserialize)]
struct Slug(String);

#[derive(serde::Deserialize, JsonSchema)]
struct Range {
    after: Option<u32>,
}

#[get("/users/{id}", link)]
fn show(id: Path<u64>) -> String {
    format!("{id}")
}

#[get("/links/{slug}", link)]
fn follow(slug: Path<Slug>, range: Query<Range>) -> String {
    format!("{} {:?}", slug.0.0, range.after)
}

#[get("/unlinked")]
fn unlinked() {}

#[get("/{id}", link = "/articles/{slug}")]
fn prefix_parameter_is_not_taken(id: Path<u64>) -> String {
    format!("{id}")
}

#[get("/{id}", link = "/articles/{id}")]
fn two_of_a_name(id: Path<u64>) -> String {
    format!("{id}")
}

#[get("/a", link = "/articles/")]
fn invalid_prefix() {}

#[get("/a", link =)]
fn no_value() {}

#[get("/a", link, link)]
fn twice() {}

#[get("/a", link, "/b")]
fn two_paths() {}

mod prefix_is_missing {
    use conduit::prelude::*;

    pub const ROUTES: Routes = routes!["/admin" => [super::show]];
}

mod prefix_is_in_another_list {
    use conduit::prelude::*;

    #[get("/", link = "/admin")]
    pub fn home() {}

    pub const ROUTES: Routes = routes![home];
}

mod prefix_is_outdated {
    use conduit::prelude::*;

    #[get("/", link = "/old")]
    pub fn home() {}

    const INNER: NestedRoutes = nested_routes![home];
    pub const ROUTES: Routes = routes!["/new" => INNER];
}

fn main() {
    show::path("seven");
    show::path();
    show::path(7, 8);
    show::path_and_query(7);
    follow::path(Slug(String::new()));
    follow::path_and_query("a", Range { after: None });
    unlinked::path();
}
