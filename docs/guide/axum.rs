// What the blocks of axum's code need to be compiled and asked by themselves. `Json` and `Query` stand for those of
// axum, which are in its features `json` and `query`: a handler writes the same with them.
#[allow(dead_code, unused_imports)]
mod surroundings {
    use axum::extract::{FromRequest, FromRequestParts, Request};
    use axum::http::request::Parts;
    use axum::http::{StatusCode, header};
    use axum::response::{IntoResponse, Response};
    use conduit::testing::TestClient;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    pub struct Json<T>(pub T);

    impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
        type Rejection = StatusCode;

        async fn from_request(request: Request, state: &S) -> Result<Self, StatusCode> {
            let text = String::from_request(request, state)
                .await
                .map_err(|_| StatusCode::BAD_REQUEST)?;
            serde_json::from_str(&text)
                .map(Json)
                .map_err(|_| StatusCode::UNPROCESSABLE_ENTITY)
        }
    }

    impl<T: Serialize> IntoResponse for Json<T> {
        fn into_response(self) -> Response {
            let text = serde_json::to_string(&self.0).expect("a value that serde can write");
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
    }

    pub struct Query<T>(pub T);

    impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
        type Rejection = StatusCode;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
            let query = parts.uri.query().unwrap_or_default();
            let fields: serde_json::Map<_, _> = query
                .split('&')
                .filter_map(|field| field.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            serde_json::from_value(fields.into())
                .map(Query)
                .map_err(|_| StatusCode::BAD_REQUEST)
        }
    }

    #[conduit::get("/of-conduit")]
    async fn of_conduit() {}

    /// A client that asks the router, which answers what the application around it has no route for.
    pub fn client(router: axum::Router) -> TestClient {
        let app = conduit::App::new(()).routes(conduit::routes![of_conduit]);
        TestClient::new(app.fallback(conduit::tower::service(router)))
    }
}
#[allow(unused_imports)]
use surroundings::{Json, Query, client};
