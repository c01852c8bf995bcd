//! The routes of an application as a table, for people and for programs.

use std::borrow::Cow;
use std::fmt;

use conduit_route::{Definition, Disconnect};
use serde::Serialize;

/// The column with the `disconnect` value of a handler.
const DISCONNECT_COLUMN: usize = 4;

/// Every route of an application with its layers; returned by [`App::routes_table`](crate::App::routes_table).
///
/// It prints as an aligned table and serialises as an object of `routes`, `layers`, `pages`, `limits` and `tools`. A program that calls
/// [`App::run`](crate::App::run) prints it when it is started with `--routes`.
///
/// # Example
///
/// The table of an application with one route:
///
/// ```
/// use conduit::prelude::*;
///
/// /// Show one user.
/// #[get("/users/{id}")]
/// async fn show(id: Path<u64>) -> String {
///     format!("user {}", *id)
/// }
///
/// let table = App::new(()).routes(routes![show]).routes_table();
/// assert_eq!(table.routes()[0].path, "/users/{id}");
/// assert!(table.to_string().starts_with("METHOD  PATH         HANDLER"));
/// ```
#[derive(Clone, Debug, Serialize)]
pub struct RoutesTable {
    routes: Vec<RouteRow>,
    layers: Vec<Cow<'static, str>>,
    pages: Vec<String>,
    #[serde(serialize_with = "as_map")]
    limits: Vec<(&'static str, String)>,
    tools: Vec<ToolRow>,
}

/// A tool for language models in a [`RoutesTable`]: a route with the option `tool`.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ToolRow {
    /// The name: `users_show`.
    pub name: String,
    /// The method of its route.
    pub method: &'static str,
    /// The path of its route.
    pub path: &'static str,
    /// The names of the security schemes that admit a call: one of the lists. Empty for a tool of all callers.
    pub security: Vec<Vec<String>>,
    /// The names of the layers of the lists around it, the outermost first.
    pub layers: Vec<Cow<'static, str>>,
}

/// One route in a [`RoutesTable`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RouteRow {
    /// The method: `GET`.
    pub method: &'static str,
    /// The whole path as it was written, with the prefixes of its lists: `/users/{id}`.
    pub path: &'static str,
    /// The handler's path: `app::users::show`.
    pub handler: &'static str,
    /// The source file of the handler.
    pub file: &'static str,
    /// The line in `file`, counted from 1.
    pub line: u32,
    /// The names of the layers that the lists put around it, the outermost first. Those of the application are in
    /// [`RoutesTable::layers`]. The name of a limit has its value: `BodyLimit(1024 bytes)`.
    pub layers: Vec<Cow<'static, str>>,
    /// The action on the handler when its client disconnects, if the route declares one: `abort`. The default is
    /// [`App::disconnect`](crate::App::disconnect).
    #[serde(serialize_with = "in_words")]
    pub disconnect: Option<Disconnect>,
}

impl RoutesTable {
    pub(crate) fn new(
        definitions: &[Definition],
        layers_of_routes: Vec<Vec<Cow<'static, str>>>,
        layers: Vec<Cow<'static, str>>,
        pages: Vec<String>,
        limits: Vec<(&'static str, String)>,
        security: &dyn Fn(&Definition) -> Vec<Vec<String>>,
    ) -> Self {
        let tool = |(definition, layers): (&Definition, &Vec<Cow<'static, str>>)| {
            Some(ToolRow {
                name: definition.tool_name()?,
                method: definition.method,
                path: definition.path,
                security: security(definition),
                layers: layers.clone(),
            })
        };
        let tools = definitions.iter().zip(&layers_of_routes).filter_map(tool).collect();
        let rows = definitions.iter().zip(layers_of_routes);
        RoutesTable {
            routes: rows
                .map(|(definition, layers)| RouteRow::new(definition, layers))
                .collect(),
            layers,
            pages,
            limits,
            tools,
        }
    }

    /// The routes, in the order of their list.
    pub fn routes(&self) -> &[RouteRow] {
        &self.routes
    }

    /// The names of the layers around the whole application, the outermost first.
    pub fn layers(&self) -> &[Cow<'static, str>] {
        &self.layers
    }

    /// The paths of the framework's pages: the [docs](crate::App::docs), their document, and the endpoint of the tools. The page
    /// loads its script and its style from below its own path.
    pub fn pages(&self) -> &[String] {
        &self.pages
    }

    /// The tools for language models, with their guards.
    pub fn tools(&self) -> &[ToolRow] {
        &self.tools
    }

    /// The limits that hold for every route: the environment variable that sets each, and its value.
    pub fn limits(&self) -> &[(&'static str, String)] {
        &self.limits
    }
}

impl RouteRow {
    fn new(definition: &Definition, layers: Vec<Cow<'static, str>>) -> Self {
        RouteRow {
            method: definition.method,
            path: definition.path,
            handler: definition.handler,
            file: definition.file,
            line: definition.line,
            layers,
            disconnect: definition.disconnect,
        }
    }
}

impl fmt::Display for RoutesTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![["METHOD", "PATH", "HANDLER", "SOURCE", "DISCONNECT", "LAYERS"].map(Cow::Borrowed)];
        for row in &self.routes {
            lines.push([
                Cow::Borrowed(row.method),
                Cow::Borrowed(row.path),
                Cow::Borrowed(row.handler),
                Cow::Owned(format!("{}:{}", row.file, row.line)),
                Cow::Borrowed(row.disconnect.map_or("", word)),
                Cow::Owned(row.layers.join(" > ")),
            ]);
        }
        // Most programs set it for no route and need no column for it.
        let says_disconnect = self.routes.iter().any(|row| row.disconnect.is_some());
        let mut widths = [0; 6];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in &lines {
            let mut text = String::new();
            for (column, (width, cell)) in widths.iter().zip(line).enumerate() {
                if column == DISCONNECT_COLUMN && !says_disconnect {
                    continue;
                }
                text.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        if !self.layers.is_empty() {
            writeln!(
                f,
                "\nLayers around the application, the outermost first: {}",
                self.layers.join(" > ")
            )?;
        }
        if !self.pages.is_empty() {
            writeln!(f, "\nBuilt-in pages: {}", self.pages.join(", "))?;
        }
        if !self.tools.is_empty() {
            writeln!(f, "\nTools for language models, with their guards:")?;
            let width = self.tools.iter().map(|tool| tool.name.len()).max().unwrap_or(0);
            for tool in &self.tools {
                let ways: Vec<String> = tool.security.iter().map(|way| way.join(" and ")).collect();
                let guards = match ways.iter().any(String::is_empty) || ways.is_empty() {
                    true if ways.len() < 2 => "no credentials".to_owned(),
                    _ => ways
                        .iter()
                        .map(|way| if way.is_empty() { "none" } else { way })
                        .collect::<Vec<_>>()
                        .join(" or "),
                };
                let layers = match tool.layers.is_empty() {
                    true => String::new(),
                    false => format!("; {}", tool.layers.join(" > ")),
                };
                writeln!(
                    f,
                    "  {:<width$}  {} {}  ({guards}{layers})",
                    tool.name, tool.method, tool.path
                )?;
            }
        }
        if !self.limits.is_empty() {
            writeln!(f, "\nLimits:")?;
            let width = self.limits.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            for (name, value) in &self.limits {
                writeln!(f, "  {name:<width$}  {value}")?;
            }
        }
        Ok(())
    }
}

/// Returns the value in the attribute: `disconnect = "abort"`.
fn word(disconnect: Disconnect) -> &'static str {
    match disconnect {
        Disconnect::Finish => "finish",
        Disconnect::Abort => "abort",
    }
}

fn in_words<S: serde::Serializer>(disconnect: &Option<Disconnect>, serializer: S) -> Result<S::Ok, S::Error> {
    disconnect.map(word).serialize(serializer)
}

fn as_map<S: serde::Serializer>(limits: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(limits.iter().map(|(name, value)| (name, value)))
}
