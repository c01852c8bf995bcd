use conduit::prelude::*;

struct Users;

impl Users {
    #[get("/users")]
    async fn list() -> &'static str {
        "all"
    }
}

fn main() {}
