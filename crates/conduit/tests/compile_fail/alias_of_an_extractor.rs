use conduit::prelude::*;

type Id = Path<u64>;
struct UserId(u64);
type Pool = State<u64>;

#[get("/users/{id}")]
fn alias(id: Id) -> String {
    id.to_string()
}

#[get("/values/{id}")]
fn value(id: UserId) {
    let UserId(_) = id;
}

#[get("/pools/{pool}")]
fn pool(pool: Pool) -> String {
    pool.to_string()
}

fn main() {
    App::new(7_u64).routes(routes![alias, value, pool]);
}
