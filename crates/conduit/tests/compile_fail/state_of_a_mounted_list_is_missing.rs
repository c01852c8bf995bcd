use conduit::prelude::*;

#[derive(Clone)]
struct Store;

mod admin {
    use conduit::prelude::*;

    #[derive(Clone)]
    pub struct Database;

    #[get("/users")]
    pub fn list(_database: State<Database>) {}

    pub const ROUTES: Routes<Database> = routes![list];
}

fn main() {
    App::new(Store).routes(routes!["/admin" => admin::ROUTES]);
}
