// The environment in which the blocks of axum's code are compiled and called.
#[allow(dead_code, unused_imports)]
mod surroundings {
    use conduit::testing::TestClient;

    #[conduit::get("/of-conduit")]
    async fn of_conduit() {}

    /// A client of the router, which is the fallback of an application.
    pub fn client(router: axum::Router) -> TestClient {
        let app = conduit::App::new(()).routes(conduit::routes![of_conduit]);
        TestClient::new(app.fallback(conduit::tower::service(router)))
    }
}
#[allow(unused_imports)]
use axum::{Json, extract::Query};
#[allow(unused_imports)]
use surroundings::client;
