//! The part of a document about the application as a whole.

use std::fmt;

use serde_json::{Value, json};

use super::SchemaType;

/// Title, version and servers of an application, for its document (OpenAPI 3.1, "Info Object").
///
/// By default it describes the package that contains the application's `routes!`.
#[derive(Clone, Debug)]
pub struct Info {
    title: String,
    version: String,
    description: Option<String>,
    servers: Vec<Value>,
    webhooks: Vec<Webhook>,
}

/// A request that the application sends to its clients (OpenAPI 3.1, "webhooks").
#[derive(Clone)]
pub struct Webhook {
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The type of the JSON in its body.
    pub body: SchemaType,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Info {
    /// A title and a version, that of the API.
    pub fn new(title: impl Into<String>, version: impl Into<String>) -> Self {
        Info {
            title: title.into(),
            version: version.into(),
            description: None,
            servers: Vec::new(),
            webhooks: Vec::new(),
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

    /// Adds a webhook: a `POST` with a `T` as JSON that the application sends to a URL of a client, on events with this name. The
    /// client responds with any status of success.
    ///
    /// ```
    /// use conduit::openapi::Info;
    /// use conduit::prelude::*;
    ///
    /// #[derive(serde::Serialize, JsonSchema)]
    /// struct Followed {
    ///     slug: String,
    /// }
    ///
    /// let info = Info::new("Links", "1.0.0").webhook::<Followed>("link.followed", "A client has followed a link.");
    /// ```
    #[cfg(feature = "openapi")]
    pub fn webhook<T: schemars::JsonSchema>(mut self, name: impl Into<String>, description: impl Into<String>) -> Self {
        self.webhooks.push(Webhook {
            name: name.into(),
            description: description.into(),
            body: SchemaType::of::<T>(),
        });
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

    /// The webhooks, in the order in which they were added.
    pub fn webhooks(&self) -> &[Webhook] {
        &self.webhooks
    }
}
