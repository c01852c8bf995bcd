//! Examples of bodies, and links to other operations.

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Operation;
use super::parts::{BodyExample, OperationLink};

/// Examples.
impl Operation {
    /// Adds an example of the request's body, under a name that is unique in the operation.
    ///
    /// A type has examples with `#[schemars(example = …)]`; this is for an example of one operation. The function that calls
    /// it is the option `describe` of the route:
    ///
    /// ```
    /// use conduit::openapi::Operation;
    /// use conduit::prelude::*;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
    /// struct Link {
    ///     slug: String,
    /// }
    ///
    /// fn example(operation: &mut Operation) {
    ///     let link = Link { slug: "rust".to_owned() };
    ///     operation
    ///         .request_example("short", &link)
    ///         .response_example(StatusCode::CREATED, "short", &link)
    ///         .link_to::<show>(StatusCode::CREATED, &[("slug", "$response.body#/slug")]);
    /// }
    ///
    /// #[post("/links", describe = example)]
    /// async fn create(link: Json<Link>) -> Created<Json<Link>> {
    ///     Created::at(show::path(&link.slug), link)
    /// }
    ///
    /// #[get("/links/{slug}", link)]
    /// async fn show(slug: Path<String>) -> Json<Link> {
    ///     Json(Link { slug: slug.0 })
    /// }
    ///
    /// let document = App::new(()).routes(routes![create, show]).openapi();
    /// assert_eq!(document.gaps(), []);
    /// assert!(document.to_string().contains("$response.body#/slug"));
    /// ```
    pub fn request_example(&mut self, name: &str, value: &impl Serialize) -> &mut Self {
        self.example(None, name, serde_json::to_value(value))
    }

    /// Adds an example of the body of a response, under a name that is unique among the examples of its status.
    pub fn response_example(&mut self, status: StatusCode, name: &str, value: &impl Serialize) -> &mut Self {
        self.example(Some(status), name, serde_json::to_value(value))
    }

    fn example(&mut self, status: Option<StatusCode>, name: &str, value: serde_json::Result<Value>) -> &mut Self {
        match value {
            Ok(value) => self.parts.examples.push(BodyExample {
                status,
                name: name.to_owned(),
                value,
            }),
            Err(error) => {
                self.gap(format!("the example `{name}` cannot be written as JSON: {error}"));
            }
        }
        self
    }

    pub(crate) fn link(&mut self, status: StatusCode, handler: &'static str, parameters: &[(&str, &str)]) -> &mut Self {
        let mut values = Map::new();
        for (name, value) in parameters {
            values.insert((*name).to_owned(), json!(value));
        }
        self.parts.links.push(OperationLink {
            status,
            handler,
            parameters: Value::Object(values),
        });
        self
    }
}

/// Lists.
impl Operation {
    /// Records that the operation responds with pages, so that clients can iterate over them: the response has the members `items` and
    /// `next`, the query the parameter `cursor`. The document has it as `x-pages`.
    pub fn pages(&mut self) -> &mut Self {
        self.parts.is_paged = true;
        self
    }

    /// The names of the variants of an enum, as serde reads them. Empty, with a gap, for another type or one without a schema.
    pub fn names_of<T>(&mut self) -> Vec<String> {
        let Some(schema) = self.input_schema_of::<T>() else {
            return Vec::new();
        };
        let schema = self.schemas.inlined(&schema["$ref"]).unwrap_or(schema);
        let listed = schema["enum"].as_array().into_iter().flatten().cloned();
        // Variants with doc comments have a schema each.
        let documented = schema["oneOf"].as_array().into_iter().flatten();
        let documented = documented.flat_map(|variant| match variant["enum"].as_array() {
            Some(values) => values.clone(),
            None => vec![variant["const"].clone()],
        });
        let values = listed.chain(documented);
        let names: Vec<String> = values.filter_map(|value| value.as_str().map(str::to_owned)).collect();
        if names.is_empty() {
            let name = std::any::type_name::<T>();
            self.gap(format!("`{name}` is not an enum of names: give it unit variants only"));
        }
        names
    }
}
