//! Handlers as tools of language models (Model Context Protocol), over HTTP and over standard input and output.
//!
//! The crate `rmcp` implements the protocol. Each call is a request of this process to the application, with the credentials of the
//! caller, through the same layers, guards and limits as any other request.

mod call;
mod caller;
mod cancellation;
mod cookies;
mod disconnect;
mod endpoint;
mod message;
mod result;
mod run;
mod server;
mod stdio;

pub(crate) use self::disconnect::disconnect_of;
pub(crate) use self::endpoint::McpEndpoint;
pub(crate) use self::server::ToolServer;
pub(crate) use self::stdio::serve_stdio;
