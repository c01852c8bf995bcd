//! The part of a document about the application as a whole.

use serde_json::{Value, json};

/// Title, version and servers of an application, for its document (OpenAPI 3.1, "Info Object").
///
/// By default it describes the package that contains the application's `routes!`.
#[derive(Clone, Debug)]
pub struct Info {
    title: String,
    version: String,
    description: Option<String>,
    servers: Vec<Value>,
}

impl Info {
    /// A title and a version, that of the API.
    pub fn new(title: impl Into<String>, version: impl Into<String>) -> Self {
        Info {
            title: title.into(),
            version: version.into(),
            description: None,
            servers: Vec::new(),
        }
    }

    /// Sets the description of the API, in CommonMark.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Adds the URL of a server. The default is the server that serves the document.
    pub fn server(mut self, url: impl Into<String>, description: impl Into<String>) -> Self {
        let (url, description): (String, String) = (url.into(), description.into());
        self.servers.push(json!({ "url": url, "description": description }));
        self
    }

    /// The title of the API.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The object in a document, without the servers.
    pub fn value(&self) -> Value {
        let mut value = json!({ "title": self.title, "version": self.version });
        if let Some(text) = &self.description {
            value["description"] = Value::from(text.as_str());
        }
        value
    }

    /// The "Server Objects" of a document, in the order in which they were added.
    pub fn servers(&self) -> &[Value] {
        &self.servers
    }
}
