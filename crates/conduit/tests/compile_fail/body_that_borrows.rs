use conduit::Upload;
use conduit::extract::Submission;
use conduit::prelude::*;

#[post("/references")]
async fn reference(_file: &Upload) {}

#[post("/borrowed")]
async fn borrowed(_fields: Submission<Form<&str>>) {}

fn main() {
    App::new(()).routes(routes![reference, borrowed]);
}
