//! The handlers of an application as tools of language models.

use super::document::page_path;
use super::start::observed;
use super::{App, Routed};
use crate::built_in::BuiltIn;
use crate::dispatch::Plan;
use crate::error::Result;
use crate::mcp::{McpEndpoint, ToolServer, disconnect_of, serve_stdio};
use crate::request::Request;
use crate::server::service::Threads;

impl<S, R> App<S, R> {
    /// Serves the handlers with the option `tool` as tools of language models, by the Model Context Protocol over HTTP
    /// ("streamable HTTP") at this path. Revisions of the protocol: 2026-07-28, and 2025-11-25 without sessions; older ones are
    /// negotiated. With `--mcp` as its only argument, a program that calls [`run`](App::run) serves them over standard input and
    /// output, with or without this call.
    ///
    /// A tool has the name of its handler, its doc comment as the description, and one object as its input, with the parameters
    /// and the members of the body. Each call is a request of this process to the route of the handler, through all layers,
    /// guards and limits, with a line in the access log. It has the header fields and the address of the client that has sent
    /// the message, so its `authorization` and its cookies too. A response with a status of 400 or more is a tool error with the
    /// problem as its text. A handler that starts a [run](mod@crate::runs) and returns `Accepted` sends progress, and the call
    /// ends with the run; a cancelled call cancels the run by `DELETE` at its location. Over HTTP, a client of the revision
    /// 2026-07-28 cancels its call by closing the response. In older revisions a disconnect is not a cancellation, unless
    /// [`App::disconnect`] is [`Disconnect::Abort`](crate::Disconnect::Abort), or the call follows an event stream other than that
    /// of a run: such a stream may have no end, and the response to the call is an event stream.
    ///
    /// A page may send messages only if [`trusted_origin`](App::trusted_origin) permits its origin, or if both its origin and the
    /// requested host are `localhost`, `127.0.0.1` or `[::1]`; other pages receive 403. Requires the feature `mcp`.
    ///
    /// # Panics
    ///
    /// Panics if `path` does not start with a slash, ends with one, or has parameters.
    ///
    /// # Errors
    ///
    /// [`listen`](App::listen) and [`run`](App::run) fail if a route has the same path, and if a handler cannot be a tool
    /// because two parts of its input have one name.
    ///
    /// # Example
    ///
    /// A tool that finds a user:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// #[derive(serde::Serialize, JsonSchema)]
    /// struct User {
    ///     id: u64,
    ///     name: String,
    /// }
    ///
    /// /// Find a user by the number.
    /// #[get("/users/{id}", tool = "find_user")]
    /// async fn show(id: Path<u64>) -> Result<Json<User>, Problem> {
    ///     match *id {
    ///         7 => Ok(Json(User { id: 7, name: "Ada".to_owned() })),
    ///         id => Err(Problem::not_found(format!("no user has the id {id}"))),
    ///     }
    /// }
    ///
    /// let app = App::new(()).routes(routes![show]).mcp("/mcp");
    /// # let client = conduit::testing::TestClient::new(app);
    /// # let message = serde_json::json!({
    /// #     "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "find_user", "arguments": { "id": 7 } },
    /// # });
    /// # let response = client.post("/mcp").header("accept", "application/json, text/event-stream").json(&message).send();
    /// # assert!(response.text().contains("Ada"), "{}", response.text());
    /// ```
    pub fn mcp(mut self, path: &str) -> Self {
        self.mcp = Some(page_path("MCP", path, "/mcp"));
        self
    }
}

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// Adds the endpoint of MCP, if it has a path.
    pub(super) fn add_mcp_endpoint(&mut self) -> Result {
        let Some(path) = self.mcp.clone() else { return Ok(()) };
        let (origins, default) = (self.trusted_origins.clone(), self.config.disconnect);
        let endpoint = McpEndpoint::new(self.tool_server()?, origins, default);
        let answer = move |request| endpoint.clone().answer(request);
        let disconnect = move |request: &Request| disconnect_of(request, default);
        self.stack.pages.push(BuiltIn::endpoint(path, answer, disconnect));
        self.config.takes_internal = true;
        Ok(())
    }

    fn tool_server(&self) -> Result<ToolServer> {
        ToolServer::of(&self.document())
    }

    /// Serves the tools over standard input and output.
    pub(super) fn serve_mcp_over_stdio(mut self) -> Result {
        let server = self.tool_server()?;
        self.add_pages()?;
        let mut config = observed(self.config, self.observer, self.routes.list().definitions())?;
        config.workers = Some(1);
        let (state, runtime) = self.state.settle()?;
        let plan = Plan::new(self.routes.list(), self.stack);
        let threads = Threads::start(plan.with_state(state), config, runtime)?;
        serve_stdio(server, &threads)
    }
}
