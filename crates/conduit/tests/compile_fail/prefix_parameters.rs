use conduit::prelude::*;

mod comments {
    use conduit::prelude::*;

    #[get("/{id}")]
    pub fn show(slug: Path<String>, id: Path<u64>) -> String {
        format!("{slug} {id}")
    }

    #[get("/")]
    pub fn list(slug: Path<String>) -> String {
        slug.0
    }

    #[get("/recent/{id}")]
    pub fn recent(Path((slug, id)): Path<(String, u64)>) -> String {
        format!("{slug} {id}")
    }

    pub const ROUTES: NestedRoutes = nested_routes![show, list, recent];
}

#[get("/{slug}")]
fn article(slug: Path<String>) -> String {
    slug.0
}

#[get("/articles/{a}/comments/{b}")]
fn unlisted(a: Path<u64>, c: Path<u64>) -> String {
    format!("{a} {c}")
}

mod no_prefix {
    use super::comments::list;
    use conduit::prelude::*;

    pub const ROUTES: Routes = routes![list];
}

mod prefix_lacks_it {
    use conduit::prelude::*;

    pub const ROUTES: Routes = routes!["/articles/{article}/comments" => super::comments::ROUTES];
}

mod two_of_a_name {
    use conduit::prelude::*;

    pub const ROUTES: Routes = routes!["/articles/{slug}" => [super::article]];
}

mod two_of_a_name_in_prefixes {
    use conduit::prelude::*;

    pub const ROUTES: Routes = routes!["/{slug}" => ["/articles/{slug}" => super::comments::ROUTES]];
}

mod conflict {
    use conduit::prelude::*;

    #[get("/articles/{a}/comments/{b}")]
    fn other(a: Path<u64>, b: Path<u64>) -> String {
        format!("{a} {b}")
    }

    pub const ROUTES: Routes = routes!["/articles/{slug}/comments" => super::comments::ROUTES, other];
}

fn main() {
    App::new(()).routes(comments::ROUTES);
    App::new(()).routes(routes!["/files/{*rest}" => [article]]);
}
