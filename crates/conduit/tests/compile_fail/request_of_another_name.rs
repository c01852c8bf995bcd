use conduit::prelude::*;

type All = Request;

#[get("/{id}")]
async fn before_a_path(all: All, id: Path<u64>) -> String {
    format!("{} {}", all.path(), *id)
}

#[get("/method")]
async fn before_a_method(all: Option<All>, method: Method) -> String {
    format!("{:?} {method}", all.is_some())
}

#[get("/last/{id}")]
async fn last(id: Path<u64>, all: All) -> String {
    format!("{} {}", all.path(), *id)
}

fn main() {
    let _ = App::new(()).routes(routes![before_a_path, before_a_method, last]);
}
