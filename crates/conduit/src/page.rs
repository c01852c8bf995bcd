//! `Page`: a template of askama as a response.

use askama::Template;

use crate::openapi::Operation;
use crate::problem::Problem;
use crate::response::{Html, IntoResponse, Response};

/// A page rendered by a template of [askama](https://docs.rs/askama): 200 with `text/html; charset=utf-8`. Requires the feature
/// `askama`, and `askama` 0.16 as a dependency of the application, for its derive.
///
/// Templates are compiled, and escape the values that they contain. A template that fails results in a 500, and the error is logged.
///
/// # Example
///
/// A page with a link, and a status of 404:
///
/// ```
/// use conduit::Page;
/// use conduit::prelude::*;
///
/// #[derive(askama::Template)]
/// #[template(source = r#"<h1>{{ name }}</h1> <a href="{{ show::path(name) }}">again</a>"#, ext = "html")]
/// struct Greeting<'a> {
///     name: &'a str,
/// }
///
/// #[get("/hello/{name}", link)]
/// async fn show(name: Path<String>) -> Response {
///     let status = if name.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::OK };
///     (status, Page(Greeting { name: &name })).into_response()
/// }
/// # use conduit::testing::TestClient;
/// # let client = TestClient::new(App::new(()).routes(routes![show]));
/// # let page = client.get(&show::path("<b>")).send();
/// # page.assert_text(r#"<h1>&#60;b&#62;</h1> <a href="/hello/%3Cb%3E">again</a>"#);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Page<T>(pub T);

#[diagnostic::do_not_recommend]
impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(page) => Html(page).into_response(),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        Html::<String>::describe(operation);
    }
}
