// What the blocks of axum's code need to be compiled and asked by themselves.
#[allow(dead_code, unused_imports)]
mod surroundings {
    use conduit::testing::TestClient;

    #[conduit::get("/of-conduit")]
    async fn of_conduit() {}

    /// A client that asks the router, which answers what the application around it has no route for.
    pub fn client(router: axum::Router) -> TestClient {
        let app = conduit::App::new(()).routes(conduit::routes![of_conduit]);
        TestClient::new(app.fallback(conduit::tower::service(router)))
    }
}
#[allow(unused_imports)]
use axum::{Json, extract::Query};
#[allow(unused_imports)]
use surroundings::client;
