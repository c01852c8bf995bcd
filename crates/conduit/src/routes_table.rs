//! The routes of an application as a table, for people and for programs.

use std::borrow::Cow;
use std::fmt;

use conduit_route::Definition;
use serde::Serialize;

/// Every route of an application, with what stands around it; made by [`App::routes_table`](crate::App::routes_table).
///
/// It prints as an aligned table and serialises as an object of `routes`, `layers` and `limits`. A program that calls
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
    #[serde(serialize_with = "as_map")]
    limits: Vec<(&'static str, String)>,
}

/// One route in a [`RoutesTable`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct RouteRow {
    /// The method: `GET`.
    pub method: &'static str,
    /// The whole path as it was written, with the prefixes of the lists that it stands in: `/users/{id}`.
    pub path: &'static str,
    /// The handler's path: `app::users::show`.
    pub handler: &'static str,
    /// The source file of the handler.
    pub file: &'static str,
    /// The line in `file`, counted from 1.
    pub line: u32,
    /// The names of the layers that the lists put around it, the outermost first. Those of the application are in
    /// [`RoutesTable::layers`].
    pub layers: Vec<Cow<'static, str>>,
}

impl RoutesTable {
    pub(crate) fn new(
        definitions: &[Definition],
        layers_of_routes: Vec<Vec<Cow<'static, str>>>,
        layers: Vec<Cow<'static, str>>,
        limits: Vec<(&'static str, String)>,
    ) -> Self {
        let rows = definitions.iter().zip(layers_of_routes);
        RoutesTable {
            routes: rows
                .map(|(definition, layers)| RouteRow::new(definition, layers))
                .collect(),
            layers,
            limits,
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
        }
    }
}

impl fmt::Display for RoutesTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![["METHOD", "PATH", "HANDLER", "SOURCE", "LAYERS"].map(Cow::Borrowed)];
        for row in &self.routes {
            lines.push([
                Cow::Borrowed(row.method),
                Cow::Borrowed(row.path),
                Cow::Borrowed(row.handler),
                Cow::Owned(format!("{}:{}", row.file, row.line)),
                Cow::Owned(row.layers.join(" > ")),
            ]);
        }
        let mut widths = [0; 5];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in &lines {
            let mut text = String::new();
            for (width, cell) in widths.iter().zip(line) {
                text.push_str(&format!("{cell:<width$}  "));
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        if !self.layers.is_empty() {
            writeln!(
                f,
                "\nLayers around all of it, the outermost first: {}",
                self.layers.join(" > ")
            )?;
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

fn as_map<S: serde::Serializer>(limits: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(limits.iter().map(|(name, value)| (name, value)))
}
