use conduit::prelude::*;

#[post("/users")]
async fn create(user: Json<String>, text: String) {}

#[post("/forms")]
async fn form(user: Option<Form<String>>, body: Body, more: Bytes) {}

fn main() {
    App::new(()).routes(routes![create, form]);
}
