use conduit::prelude::*;

struct Own(String);

impl<S> FromRequest<S> for Own {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(Own(String::new()))
    }
}

#[post("/users")]
async fn create(user: Own, text: String) -> String {
    user.0 + &text
}

fn main() {
    App::new(()).routes(routes![create]);
}
