use conduit::Upload;
use conduit::extract::Submission;
use conduit::prelude::*;

#[post("/users")]
async fn create(_user: Json<String>, _text: String) {}

#[post("/forms")]
async fn form(_user: Option<Form<String>>, _body: Body, _more: Bytes) {}

#[post("/files")]
async fn file(_file: Upload, _fields: Submission<Form<String>>) {}

fn main() {}
