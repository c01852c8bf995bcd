use conduit::prelude::*;

#[derive(serde::Deserialize, PathParams)]
struct TooFew {
    id: u64,
}

#[derive(serde::Deserialize, PathParams)]
struct TooMany {
    id: u64,
    slug: String,
    page: u64,
}

#[derive(serde::Deserialize)]
struct NotDerived {
    id: u64,
    slug: String,
}

#[get("/a/{id}/{slug}")]
fn too_few(all: Path<TooFew>) -> String {
    all.id.to_string()
}

#[get("/b/{id}/{slug}")]
fn too_many(all: Path<TooMany>) -> String {
    format!("{} {} {}", all.id, all.slug, all.page)
}

#[get("/c/{id}/{slug}")]
fn not_derived(all: Path<NotDerived>) -> String {
    format!("{} {}", all.id, all.slug)
}

fn main() {
    App::new(()).routes(routes![too_few, too_many, not_derived]);
}
