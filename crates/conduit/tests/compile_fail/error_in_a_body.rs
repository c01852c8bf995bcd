use conduit::prelude::*;

#[get("/users/{id}")]
async fn show(id: Path<u64>) -> String {
    let text: u64 = "seven";
    id.missing()
}

fn main() {
    App::new(()).routes(routes![show]);
}
