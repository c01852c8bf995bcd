use conduit::prelude::*;
use conduit::{Events, WebSocketUpgrade};

#[derive(serde::Deserialize)]
struct Unknown {
    name: String,
}

/// Its content has no schema.
#[post("/a", tool)]
fn no_schema(new: Json<Unknown>) -> String {
    new.0.name
}

#[post("/b", tool)]
fn whole_request(request: Request) -> String {
    request.path().to_owned()
}

#[post("/c", tool)]
fn bytes(body: Option<Bytes>) -> String {
    format!("{body:?}")
}

#[get("/d", tool)]
fn websocket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(async |_| ())
}

#[get("/e", tool)]
fn events() -> Result<Events<String>, Problem> {
    Err(Problem::not_found("no events"))
}

#[get("/f", tool = "find user")]
fn invalid_name() {}

#[get("/g", tool =)]
fn no_name() {}

#[get("/h", tool, tool)]
fn twice() {}

/// Not a part of the document.
#[doc(hidden)]
#[get("/i", tool)]
fn hidden() {}

mod users {
    use conduit::prelude::*;

    #[get("/j", tool)]
    pub fn show() {}

    pub const ROUTES: Routes = routes![show];
}

mod lists {
    use conduit::prelude::*;

    #[get("/k", tool = "users_show")]
    pub fn show() {}
}

mod two_of_a_name {
    use conduit::prelude::*;

    const TWICE: Routes = routes![super::lists::show, super::users::ROUTES];
}

mod twice_mounted {
    use conduit::prelude::*;

    const ROUTES: Routes = routes!["/v1" => super::users::ROUTES, "/v2" => super::users::ROUTES];
}

mod named_by_nothing {
    use conduit::prelude::*;

    #[get("/l", tool = "{prefix}")]
    pub fn show() {}

    const ROUTES: Routes = routes![show];
}

mod größe {
    use conduit::prelude::*;

    #[get("/m", tool)]
    pub fn show() {}

    const ROUTES: Routes = routes![show];
}

#[put("/n", tool)]
async fn upload(upload: conduit::extract::Upload) -> Result<(), Problem> {
    upload.save("file").await.map(drop)
}

fn main() {}
