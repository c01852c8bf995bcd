//! The tools as a server of `rmcp`.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CustomRequest, CustomResult, ErrorCode, ErrorData, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool as McpTool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::Value;

use super::call::call;
use super::caller::Caller;
use crate::error::{Error, Result};
use crate::problem::Excerpt;
use conduit_openapi::{Document, Tool};

/// The methods of the requests that a server with tools serves.
const METHODS: [&str; 4] = ["initialize", "ping", "tools/call", "tools/list"];

/// The tools of an application. A clone has the same tools.
#[derive(Clone)]
pub(crate) struct ToolServer {
    tools: Arc<[(Tool, McpTool)]>,
    config: ServerConfig,
    /// The caller of a server over standard input and output; over HTTP each message has its caller.
    local: Option<Caller>,
}

impl ToolServer {
    /// The tools of a document.
    ///
    /// # Errors
    /// Returns an error if a handler with the option `tool` cannot be a tool.
    pub(crate) fn of(document: &Document) -> Result<Self> {
        let tools = document.tools().map_err(|gaps| {
            let gaps: Vec<String> = gaps.iter().map(ToString::to_string).collect();
            Error::system("create the tools", std::io::Error::other(gaps.join("; ")))
        })?;
        let tools = tools.into_iter().map(|tool| {
            let described = described(&tool);
            (tool, described)
        });
        let info = document.info().value();
        let text = |field: &str| info[field].as_str().map(str::to_owned);
        let implementation =
            Implementation::new(text("title").unwrap_or_default(), text("version").unwrap_or_default());
        let mut config =
            ServerConfig::new(ServerCapabilities::builder().enable_tools().build()).with_server_info(implementation);
        if let Some(description) = text("description") {
            config = config.with_instructions(description);
        }
        Ok(ToolServer {
            tools: tools.collect(),
            config,
            local: None,
        })
    }

    /// The same tools for this caller.
    pub(super) fn for_caller(self, caller: Caller) -> Self {
        ToolServer {
            local: Some(caller),
            ..self
        }
    }

    fn find(&self, name: &str) -> Option<&(Tool, McpTool)> {
        self.tools.iter().find(|(tool, _)| tool.name == name)
    }
}

fn described(tool: &Tool) -> McpTool {
    let hints = ToolAnnotations::new()
        .read_only(tool.hints.read_only)
        .destructive(tool.hints.destructive)
        .idempotent(tool.hints.idempotent);
    let mut described = McpTool::new(tool.name.clone(), tool.description.clone(), tool.input_schema.clone());
    described.output_schema = tool.output_schema.clone().map(Arc::new);
    described.annotations = Some(hints);
    described
}

impl ServerHandler for ToolServer {
    fn get_info(&self) -> ServerConfig {
        self.config.clone()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> std::result::Result<ListToolsResult, ErrorData> {
        let tools = self.tools.iter().map(|(_, described)| described.clone());
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    fn get_tool(&self, name: &str) -> Option<McpTool> {
        self.find(name).map(|(_, described)| described.clone())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> std::result::Result<CallToolResponse, ErrorData> {
        let Some((tool, _)) = self.find(&request.name) else {
            let message = format!("no tool has the name {:?}", Excerpt::new(&*request.name));
            return Err(ErrorData::invalid_params(message, None));
        };
        let of_message = context.extensions.get::<http::request::Parts>();
        let of_message = of_message.and_then(|parts| parts.extensions.get::<Caller>());
        let Some(caller) = of_message.or(self.local.as_ref()).cloned() else {
            return Err(ErrorData::internal_error("the message has no caller", None));
        };
        let arguments: serde_json::Map<String, Value> = request.arguments.unwrap_or_default();
        call(tool, arguments, &caller, &context).await.map(Into::into)
    }

    /// Responds to a request that `rmcp` does not know: its method or its parameters.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        _: RequestContext<RoleServer>,
    ) -> std::result::Result<CustomResult, ErrorData> {
        let method = Excerpt::new(&request.method);
        Err(match METHODS.contains(&&*request.method) {
            true => ErrorData::invalid_params(format!("the parameters of {method:?} are invalid"), None),
            false => {
                let message = format!("no method has the name {method:?}");
                ErrorData::new(ErrorCode::METHOD_NOT_FOUND, message, None)
            }
        })
    }
}
