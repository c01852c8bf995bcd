use conduit::prelude::*;

#[get("/users/{id}/posts/{slug}")]
fn too_few(all: Path<(u64,)>) {}

#[get("/teams/{id}")]
fn too_many(Path(all): Path<(u64, String)>) {}

#[get("/users/{id}/notes/{slug}")]
fn wrong_name(Path((id, title)): Path<(u64, String)>) {}

#[get("/users/{id}/files/{slug}")]
fn one_name_too_many(Path((id, slug, more)): Path<(u64, String)>) {}

fn main() {}
