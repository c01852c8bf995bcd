use conduit::prelude::*;

#[get("/")]
async fn home() {}

#[get("/users")]
async fn users() {}

struct Store {
    names: Vec<String>,
}

#[derive(Clone)]
struct Shared {
    names: std::rc::Rc<Vec<String>>,
}

fn twice() -> conduit::Result {
    App::new(()).routes(routes![home]).routes(routes![users]).run()
}

fn without_routes() -> conduit::Result {
    let _ = App::new(()).routes_table();
    App::new(()).listen("127.0.0.1:8080")?;
    App::new(()).run()
}

fn state_without_clone() -> conduit::Result {
    App::new(Store { names: Vec::new() }).routes(routes![home]).run()
}

fn state_of_one_thread() -> conduit::Result {
    App::new(Shared { names: Default::default() }).routes(routes![home]).run()
}

fn main() {}
