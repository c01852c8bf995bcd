//! The document: the operations of all routes, and the schemas that they refer to.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

use conduit_core::internal::error_form::ErrorForm;
use conduit_core::internal::openapi::{BodyExample, Content, NameMap, OperationLink, PROBLEM, Webhook, insert};
use conduit_core::openapi::{Answer, Direction, Info, LayerLimit, Operation, Parameter, SchemaRegistry as _};
use conduit_core::route::{Definition, Descriptions, Package, Routes};
use serde_json::{Map, Value, json};

use super::names::Names;
use super::ordered;
use super::schemas::Schemas;
use super::shared::{DescribedOperation, PathItem, share, unique, without_unused};
use super::version::{Version, has_method, missing_method};

/// An OpenAPI document, of version 3.1 unless [`in_version`](Document::in_version) selects another. `Serialize` and
/// `to_string` write it; the text is indented JSON.
#[derive(Clone, Debug)]
pub struct Document {
    pub(super) version: Version,
    pub(super) info: Info,
    /// The paths, in the order of the routes.
    pub(super) paths: Vec<PathItem>,
    /// The "Path Item Objects" of the webhooks, by name.
    pub(super) webhooks: Map<String, Value>,
    pub(super) components: Value,
    pub(super) gaps: Vec<Gap>,
    /// The gaps of handlers that the document omits and that should be tools.
    pub(super) omitted_tools: Vec<Gap>,
    /// The limits of the layers of the application, from the innermost on.
    #[cfg_attr(not(feature = "lock"), expect(dead_code, reason = "only a lock has limits"))]
    pub(super) limits: Vec<LayerLimit>,
}

/// The parts of an application's document that do not come from its routes.
pub struct DocumentContext<'a> {
    /// Describes the layers of the application.
    pub layers: Box<dyn Fn(&mut Operation) + 'a>,
    /// One of these layers has ambient extractors.
    pub is_ambient: bool,
    /// The application as a whole; by default the package of its routes.
    pub info: Option<&'a Info>,
    /// The form of error responses.
    pub errors: &'a ErrorForm,
}

impl fmt::Debug for DocumentContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentContext")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// A gap of a document: a part whose type has no description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The handler: `app::users::show`.
    pub handler: &'static str,
    /// Its source file.
    pub file: &'static str,
    /// Its line, counted from 1.
    pub line: u32,
    /// The missing part, and its remedy.
    pub what: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{}): {}", self.handler, self.file, self.line, self.what)
    }
}

impl Document {
    /// The document of routes in an application.
    pub fn of<S>(routes: &Routes<S>, context: &DocumentContext<'_>) -> Document {
        let mut descriptions = Descriptions::in_application(context.is_ambient);
        routes.describe_all(&mut descriptions);
        let definitions = routes.definitions();
        assert_eq!(
            definitions.len(),
            descriptions.handler_count(),
            "each route has one description"
        );
        let mut builder = Builder::default();
        builder.describe_errors(context.errors);
        for (index, definition) in definitions.iter().enumerate() {
            let mut operation = builder.operation(definition.method);
            descriptions.describe(index, &mut operation);
            let limits = std::mem::take(&mut operation.parts.limits);
            (context.layers)(&mut operation);
            builder.limits = std::mem::replace(&mut operation.parts.limits, limits);
            builder.add(definition, operation);
        }
        let package = routes.package();
        let info = context.info.cloned().unwrap_or_else(|| of_package(package));
        builder.finish(info, package)
    }

    /// The gaps of the document. A test that asserts an empty list keeps it complete.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The application as a whole: its title, its version and its description.
    pub fn info(&self) -> &Info {
        &self.info
    }

    pub(super) fn title(&self) -> &str {
        self.info.title()
    }

    pub(super) fn paths(&self) -> &[PathItem] {
        &self.paths
    }

    pub(super) fn server_urls(&self) -> impl Iterator<Item = &str> {
        self.info.servers().iter().filter_map(|server| server["url"].as_str())
    }

    /// The URLs from which a client with OAuth 2 or OpenID Connect receives tokens, and its configuration.
    pub(super) fn token_urls(&self) -> impl Iterator<Item = &str> {
        let schemes = self.components["securitySchemes"].as_object().into_iter().flatten();
        schemes.flat_map(|(_, scheme)| {
            let flows = scheme["flows"].as_object().into_iter().flatten();
            let of_flows = flows.flat_map(|(_, flow)| [&flow["tokenUrl"], &flow["refreshUrl"]]);
            of_flows.chain([&scheme["openIdConnectUrl"]]).filter_map(Value::as_str)
        })
    }
}

/// The document of a list of routes; in `conduit::prelude`.
pub trait DescribeRoutes {
    /// The OpenAPI 3.1 document of these routes; no state is needed for it.
    ///
    /// The layers of an application, which are around all of its routes, are not in it:
    /// `App::openapi` describes them too.
    fn openapi(&self, info: Info) -> Document;
}

impl<S> DescribeRoutes for Routes<S> {
    fn openapi(&self, info: Info) -> Document {
        let context = DocumentContext {
            layers: Box::new(|_| ()),
            is_ambient: false,
            info: Some(&info),
            errors: &ErrorForm::default(),
        };
        Document::of(self, &context)
    }
}

fn of_package(package: Package) -> Info {
    let info = Info::new(package.name, package.version);
    if package.description.is_empty() {
        info
    } else {
        info.description(package.description)
    }
}

/// A document under construction.
#[derive(Default)]
struct Builder {
    schemas: Rc<Schemas>,
    paths: Vec<PathItem>,
    security_schemes: Map<String, Value>,
    operation_ids: BTreeSet<String>,
    /// The operation id of each handler; that of the first operation if the handler has several routes.
    ids: NameMap<String>,
    /// The links of each operation, in the order of the routes.
    links: Vec<(&'static Definition, Vec<OperationLink>)>,
    gaps: Vec<Gap>,
    omitted_tools: Vec<Gap>,
    /// The limits of the layers of the application.
    limits: Vec<LayerLimit>,
    /// The content of every error response where the application has an error format.
    errors: Option<Content>,
}

impl Builder {
    fn operation(&self, method: &'static str) -> Operation {
        Operation::new(method, self.schemas.clone())
    }

    /// Takes the content of error responses from the application's error format, if it has one.
    fn describe_errors(&mut self, form: &ErrorForm) {
        let Some(place) = form.place else { return };
        let mut operation = self.operation("GET");
        match &form.description {
            Some(describe) => describe(&mut operation),
            None => {
                operation.gap(
                    "the error format is not described: add `App::describe_errors` with its media types and schemas",
                );
            }
        }
        self.gaps.extend(operation.parts.gaps.into_iter().map(|what| Gap {
            handler: "App::errors",
            file: place.file(),
            line: place.line(),
            what,
        }));
        let mut all = Content::new();
        for (kind, schemas) in operation
            .parts
            .responses
            .into_iter()
            .flat_map(|(_, answer)| answer.content)
        {
            all.or_default(&kind).extend(schemas);
        }
        self.errors = Some(all);
    }

    fn finish(mut self, info: Info, package: Package) -> Document {
        let schema = self.schemas.problem();
        let mut problem = Content::new();
        problem.insert(PROBLEM.to_owned(), vec![schema]);
        in_form(&mut problem, self.errors.as_ref());
        let mut problem = json!({ "description": "Any other response is a problem.", "content": content(problem) });
        if self.errors.as_ref().is_some_and(Content::is_empty) {
            problem = json!({ "description": "Any other response is an error." });
        }
        let mut webhooks = ordered::object(info.webhooks().iter().map(|hook| self.webhook(hook)));
        self.add_links();
        let (schemas, names) = Names::of(self.schemas.take_definitions(), package.crate_name());
        let mut components = json!({ "responses": { "Problem": problem } });
        if !self.security_schemes.is_empty() {
            components["securitySchemes"] = Value::Object(self.security_schemes);
        }
        names.rewrite(&mut components);
        webhooks.values_mut().for_each(|hook| names.rewrite(hook));
        for operation in self.paths.iter_mut().flat_map(|item| &mut item.operations) {
            names.rewrite(&mut operation.value);
        }
        share(&mut self.paths, &mut components);
        let mut parts: Vec<&Value> = webhooks.values().collect();
        parts.push(&components);
        for item in &self.paths {
            parts.extend(item.operations.iter().map(|operation| &operation.value));
        }
        components["schemas"] = without_unused(schemas, &parts);
        Document {
            version: Version::default(),
            info,
            paths: self.paths,
            webhooks,
            components,
            gaps: self.gaps,
            omitted_tools: self.omitted_tools,
            limits: self.limits,
        }
    }

    /// The path item of a webhook, by its name.
    fn webhook(&self, hook: &Webhook) -> (String, Value) {
        let schema = self.schemas.schema(Direction::Output, hook.body);
        let item = json!({
            "post": {
                "summary": hook.description,
                "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } },
                "responses": { "2XX": { "description": "The client has received the event." } },
            },
        });
        (hook.name.clone(), item)
    }

    /// Adds the links of all operations, whose targets are known only now.
    fn add_links(&mut self) {
        for (definition, links) in std::mem::take(&mut self.links) {
            let operations = self.paths.iter_mut().flat_map(|item| &mut item.operations);
            let mut own = operations.filter(|operation| std::ptr::eq(operation.definition, definition));
            let Some(operation) = own.next() else { continue };
            for link in links {
                let Some(id) = self.ids.get(link.handler) else {
                    let missing = format!(
                        "a link leads to `{}`, which the document does not have: add it to the routes, without `#[doc(hidden)]`, \
                         or remove the link",
                        link.handler
                    );
                    self.gaps.push(gap(definition, missing));
                    continue;
                };
                let status = link.status.as_str();
                let Some(response) = operation.value["responses"].get_mut(status) else {
                    let missing = format!(
                        "the response {status}, which has a link to `{}`, is not documented: return a type that describes this status",
                        link.handler
                    );
                    self.gaps.push(gap(definition, missing));
                    continue;
                };
                response["links"][id] = json!({ "operationId": id, "parameters": link.parameters });
            }
        }
    }

    fn add(&mut self, definition: &'static Definition, mut operation: Operation) {
        if operation.parts.hidden {
            return;
        }
        let method = definition.method.to_ascii_lowercase();
        if !has_method(&method) {
            operation.gap(missing_method(definition));
        }
        // OpenAPI has no parameter for the rest of a path, so it is an ordinary one here.
        let path = definition.path.replace("{*", "{");
        let place = self.place_of(&path);
        let same = self.paths[place].operations.iter().find(|known| known.method == method);
        if let Some(known) = same.map(|known| known.definition) {
            let missing = format!(
                "the document has `{method} {path}` already, of `{}`, because OpenAPI has one path for `{}` and `{}`: give one \
                 of the handlers another path, or hide it by `#[doc(hidden)]`",
                known.handler,
                known.path,
                definition.path,
                method = definition.method,
            );
            self.gaps.push(gap(definition, missing.clone()));
            if definition.tool.is_some() {
                self.omitted_tools.push(gap(definition, missing));
            }
            return;
        }
        let gaps = std::mem::take(&mut operation.parts.gaps);
        let has_gaps = !gaps.is_empty();
        self.gaps.extend(gaps.into_iter().map(|what| gap(definition, what)));
        for (name, scheme) in std::mem::take(&mut operation.parts.security_schemes) {
            self.security_schemes.entry(name).or_insert(scheme);
        }
        // A handler need not take the parameters of a prefix.
        for name in names(&path) {
            operation.parameter(Parameter::path(name));
        }
        // Paths that differ only in the names of their parameters are the same path, which has one set of names.
        let names: Vec<(String, String)> = names(&path)
            .zip(names(&self.paths[place].path))
            .map(|(own, known)| (own.to_owned(), known.to_owned()))
            .collect();
        for name in operation
            .parts
            .parameters
            .iter_mut()
            .filter_map(Parameter::path_name_mut)
        {
            if let Some((_, known)) = names.iter().find(|(own, _)| own == name) {
                name.clone_from(known);
            }
        }
        let id = self.operation_id(definition, &path);
        if !self.ids.contains(definition.handler) {
            self.ids.insert(definition.handler.to_owned(), id.clone());
        }
        let links = std::mem::take(&mut operation.parts.links);
        let limits = std::mem::take(&mut operation.parts.limits);
        self.links.push((definition, links));
        let has_open_layers = operation.parts.has_open_layers;
        let open = operation.parts.responses.iter();
        let open = open.filter(|(_, answer)| answer.has_open_headers);
        let open_headers = ordered::set(open.map(|(status, _)| status.clone()));
        let examples = std::mem::take(&mut operation.parts.examples);
        let mut described = value(operation, id, tag(definition.handler), self.errors.as_ref());
        for example in examples {
            if let Some(missing) = add_example(&mut described, example) {
                self.gaps.push(gap(definition, missing));
            }
        }
        self.paths[place].operations.push(DescribedOperation {
            method,
            value: described,
            definition,
            open_headers,
            has_open_layers,
            has_gaps,
            limits,
        });
    }

    /// The index of the item with this path, except for the names of parameters. Adds the item if the path is new.
    fn place_of(&mut self, path: &str) -> usize {
        let mut known = self.paths.iter();
        let place = known.position(|known| without_names(&known.path) == without_names(path));
        place.unwrap_or_else(|| {
            self.paths.push(PathItem {
                path: path.to_owned(),
                operations: Vec::new(),
            });
            self.paths.len() - 1
        })
    }

    /// Module and function, without the crate; a handler with several routes has the path appended.
    fn operation_id(&mut self, definition: &Definition, path: &str) -> String {
        let handler = definition
            .handler
            .split_once("::")
            .map_or(definition.handler, |(_, rest)| rest);
        let mut id = handler.replace("r#", "").replace("::", "_");
        if !self.operation_ids.insert(id.clone()) {
            id.push('_');
            id.extend(path.chars().filter_map(|letter| match letter {
                '/' | '-' | '.' => Some('_'),
                '{' | '}' => None,
                other => Some(other),
            }));
            id = unique(&mut self.operation_ids, id, '_');
        }
        id
    }
}

/// The gap of a route.
pub(super) fn gap(definition: &Definition, what: String) -> Gap {
    Gap {
        handler: definition.handler,
        file: definition.file,
        line: definition.line,
        what,
    }
}

/// Adds an example to the JSON body of its request or response. Returns the gap where there is no such body.
fn add_example(operation: &mut Value, example: BodyExample) -> Option<String> {
    let (body, place) = match &example.status {
        Some(status) => (
            operation["responses"].get_mut(status.as_str()),
            format!("response {}", status.as_str()),
        ),
        None => (operation.get_mut("requestBody"), "request".to_owned()),
    };
    let content = body.and_then(|body| body.get_mut("content")?.as_object_mut());
    let mut media = content.into_iter().flatten();
    let Some((_, media)) = media.find(|(kind, _)| !kind.starts_with("text/") && *kind != PROBLEM) else {
        let name = example.name;
        return Some(format!(
            "the example `{name}` cannot be added: the document has no {place} with content besides texts and problems"
        ));
    };
    media["examples"][example.name] = json!({ "value": example.value });
    None
}

/// The last module of a handler's path; `None` at the root of a crate.
fn tag(handler: &str) -> Option<&str> {
    let mut segments = handler.rsplit("::").skip(1);
    let module = segments.next()?;
    segments.next().map(|_| module.strip_prefix("r#").unwrap_or(module))
}

/// The parameter of a path that is the rest of its route, with slashes. The route has the parameters in the same order.
pub(super) fn rest_parameter<'p>(definition: &Definition, path: &'p str) -> Option<&'p str> {
    names(definition.path)
        .zip(names(path))
        .find_map(|(own, name)| own.starts_with('*').then_some(name))
}

/// The names of a path's parameters.
fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

fn without_names(path: &str) -> String {
    names(path).fold(path.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), "{}"))
}

/// Puts the content of the application's error format in place of a problem, or next to it if the format keeps problems.
fn in_form(content: &mut Content, errors: Option<&Content>) {
    let Some(errors) = errors else { return };
    let Some(problem) = content.remove(PROBLEM) else { return };
    for (kind, schemas) in errors {
        let schemas = if kind == PROBLEM { &problem } else { schemas };
        let known = content.or_default(kind);
        schemas.iter().for_each(|schema| insert(known, schema.clone()));
    }
}

/// The operation object.
fn value(mut operation: Operation, id: String, tag: Option<&str>, errors: Option<&Content>) -> Value {
    let mut members = Map::new();
    let mut set = |name: &str, value: Value| members.insert(name.to_owned(), value);
    set("operationId", Value::String(id));
    if let Some(tag) = tag {
        set("tags", json!([tag]));
    }
    if let Some(summary) = operation.parts.summary.take() {
        set("summary", Value::String(summary));
    }
    if let Some(description) = operation.parts.description.take() {
        set("description", Value::String(description));
    }
    if operation.parts.deprecated {
        set("deprecated", Value::Bool(true));
    }
    if operation.parts.is_paged {
        set("x-pages", Value::Bool(true));
    }
    let parameters = std::mem::take(&mut operation.parts.parameters);
    if !parameters.is_empty() {
        let parameters = parameters.into_iter().map(Value::from);
        set("parameters", parameters.collect());
    }
    if let Some(body) = operation.parts.body.take() {
        let mut body = json!({ "required": operation.parts.body_is_required, "content": content(body) });
        for (kind, encoding) in std::mem::take(&mut operation.parts.encodings) {
            body["content"][&kind]["encoding"] = encoding;
        }
        set("requestBody", body);
    }
    let alternatives = operation.alternatives();
    if !alternatives.is_empty() {
        set("security", Value::from(alternatives));
    }
    set("responses", responses(operation.parts.responses, errors));
    Value::Object(members)
}

fn responses(mut answers: NameMap<Answer>, errors: Option<&Content>) -> Value {
    let is_any_problem = answers.get("default").is_none_or(|answer| {
        answer.descriptions.is_empty()
            && answer.headers.is_empty()
            && answer.content.keys().all(|kind| kind == PROBLEM)
            && !answer.content.is_empty()
    });
    if is_any_problem {
        answers.remove("default");
    }
    let mut all = ordered::object(answers.into_iter().map(|(status, mut answer)| {
        in_form(&mut answer.content, errors);
        let value = response(&status, answer);
        (status, value)
    }));
    if is_any_problem {
        all.insert(
            "default".to_owned(),
            json!({ "$ref": "#/components/responses/Problem" }),
        );
    }
    Value::Object(all)
}

fn response(status: &str, answer: Answer) -> Value {
    let description = if answer.descriptions.is_empty() {
        meaning(status).to_owned()
    } else {
        sentences(answer.descriptions)
    };
    let mut value = json!({ "description": description });
    if !answer.headers.is_empty() {
        value["headers"] = Value::Object(answer.headers);
    }
    if !answer.content.is_empty() {
        value["content"] = content(answer.content);
    }
    value
}

/// Several descriptions in sequence, each with a mark at its end.
fn sentences(mut descriptions: Vec<String>) -> String {
    if descriptions.len() > 1 {
        for text in &mut descriptions {
            if !text.ends_with(['.', '!', '?']) {
                text.push('.');
            }
        }
    }
    descriptions.join(" ")
}

fn meaning(status: &str) -> &str {
    match status {
        "default" => "The handler's response.",
        "2XX" => "Success.",
        "3XX" => "A redirect.",
        "4XX" => "The request is rejected.",
        "5XX" => "The server failed.",
        code => code
            .parse()
            .ok()
            .and_then(|code| http::StatusCode::from_u16(code).ok()?.canonical_reason())
            .unwrap_or("A response."),
    }
}

fn content(content: Content) -> Value {
    let media = content.into_iter().map(|(kind, mut schemas)| {
        let schema = match schemas.len() {
            1 => schemas.remove(0),
            _ => json!({ "anyOf": schemas }),
        };
        // Some readers of documents reject `true` as a schema.
        let schema = if schema == Value::Bool(true) { json!({}) } else { schema };
        (kind, json!({ "schema": schema }))
    });
    Value::Object(ordered::object(media))
}
