use conduit::Upload;
use conduit::extract::Submission;
use conduit::prelude::*;

#[post("/users")]
async fn create(user: Json<String>, text: String) {}

#[post("/forms")]
async fn form(user: Option<Form<String>>, body: Body, more: Bytes) {}

#[post("/files")]
async fn file(file: Upload, fields: Submission<Form<String>>) {}

#[post("/references")]
async fn reference(file: &Upload) {}

#[post("/borrowed")]
async fn borrowed(fields: Submission<Form<&str>>) {}

fn main() {
    App::new(()).routes(routes![create, form, file, reference, borrowed]);
}
