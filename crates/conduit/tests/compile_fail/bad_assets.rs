use conduit::prelude::*;
use conduit::{Embedded, Files, embed};

const WITHOUT_PREFIX: Embedded = embed!(".");
const BAD_PREFIX: Embedded = embed!(".", "assets/");
const BAD_OPTION: Embedded = embed!(".", "/assets", never);

mod users {
    use conduit::prelude::*;

    #[get("/")]
    pub async fn show() -> &'static str {
        "user"
    }
}

fn main() {
    let _: Routes = routes!["/users" => users::show()];
    let _: Routes = routes![Files::new("public"), Files::new("other")];
    let directory = String::from("public");
    let _: Routes = routes![Files::new(directory)];
}
