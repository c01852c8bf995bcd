//! A client in TypeScript: one file without dependencies, from the document of an application.

mod types;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use self::types::{TypeNames, camel, comment, doc, key, pascal, union};
use super::credential::{Credential, alternatives};
use super::document::{Document, rest_parameter};
use super::shared::{DescribedOperation, is_json, is_problem, resolved, unique};

/// The part that is the same for all applications.
const RUNTIME: &str = include_str!("runtime.ts");

/// The media types of request bodies that the client sends, the preferred one first.
const BODY_TYPES: [&str; 3] = [
    "application/json",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
];

/// Names that no function may have: the keywords of the language, of which a module reserves more, and the names that [`RUNTIME`] uses.
const WORDS: [&str; 57] = [
    "arguments",
    "await",
    "break",
    "btoa",
    "case",
    "catch",
    "class",
    "clearTimeout",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "encodeURIComponent",
    "enum",
    "eval",
    "export",
    "exports",
    "extends",
    "false",
    "fetch",
    "finally",
    "for",
    "function",
    "globalThis",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "require",
    "return",
    "setTimeout",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "undefined",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

impl Document {
    /// A client of the application in TypeScript: one file without dependencies, for browsers and for Node.js 18 and newer.
    ///
    /// Each operation is a function that takes a `Client`, the input and options, and returns a union whose `status`
    /// selects the type of the `body`, each error variant among them. `program --client typescript` prints it.
    pub fn typescript(&self) -> String {
        let document = self.complete();
        let empty = Map::new();
        let schemas = document["components"]["schemas"].as_object().unwrap_or(&empty);
        let names = TypeNames::of(schemas);
        let (title, version) = (self.title(), document["info"]["version"].as_str().unwrap_or_default());
        let mut text = comment(
            &[
                format!("{title} {version}: a client that the program prints with `--client typescript`."),
                String::new(),
                "Do not edit it: print it again when the API changes.".to_owned(),
            ],
            0,
        );
        text.push_str(RUNTIME);
        write_schemes(
            &mut text,
            document["components"]["securitySchemes"].as_object().unwrap_or(&empty),
        );
        for (name, schema) in schemas {
            let kind = names.of_value(schema, 0);
            let description = schema.get("description").and_then(Value::as_str);
            let of_type = names.of_schema(name);
            text.push('\n');
            text.push_str(&doc(description, schema, 0));
            let _ = writeln!(text, "export type {of_type} = {kind};");
        }
        if !self.webhooks.is_empty() {
            text.push_str("\n/** The bodies of the requests that the server sends, by the names of its webhooks. */\n");
            text.push_str("export interface Webhooks {\n");
            for (name, item) in &self.webhooks {
                let schema = &item["post"]["requestBody"]["content"]["application/json"]["schema"];
                text.push_str(&doc(item["post"]["summary"].as_str(), &Value::Null, 1));
                let _ = writeln!(text, "  {}: {};", key(name), names.of_value(schema, 1));
            }
            text.push_str("}\n");
        }
        let mut taken = BTreeSet::new();
        for item in self.paths() {
            for operation in &item.operations {
                let writer = OperationWriter {
                    document: &document,
                    names: &names,
                    path: &item.path,
                    operation,
                };
                writer.write(&mut text, &mut taken);
            }
        }
        // Not every application needs each of them, and some settings of the compiler reject unused functions.
        text.push_str("\nvoid [$segment, $rest, $send, $stream];\n");
        text
    }
}

/// The credentials by scheme, and their places in a request.
fn write_schemes(text: &mut String, schemes: &Map<String, Value>) {
    text.push_str(
        "\n/** The credentials of the schemes, as far as the client has them. */\nexport interface Credentials {\n",
    );
    let mut table = "\nconst $schemes: Record<string, Scheme> = {\n".to_owned();
    for (name, scheme) in schemes {
        let (kind, place) = match Credential::of(scheme) {
            Some(Credential::Bearer) => ("bearer", ""),
            Some(Credential::Basic) => ("basic", ""),
            Some(Credential::Http(scheme)) => ("http", scheme),
            Some(Credential::Header(name)) => ("header", name),
            Some(Credential::Query(name)) => ("query", name),
            Some(Credential::Cookie(name)) => ("cookie", name),
            None => continue,
        };
        let of_type = match kind {
            "basic" => "{ username: string; password: string }",
            _ => "string",
        };
        let mut lines: Vec<String> = scheme
            .get("description")
            .and_then(Value::as_str)
            .into_iter()
            .flat_map(str::lines)
            .map(str::to_owned)
            .collect();
        if kind == "cookie" {
            lines.push(format!(
                "The cookie `{place}`, outside of browsers only: they send their own."
            ));
        }
        text.push_str(&comment(&lines, 1));
        let name = key(name);
        let _ = writeln!(text, "  {name}?: Provided<{of_type}>;");
        let _ = writeln!(table, "  {name}: {{ kind: \"{kind}\", name: {} }},", Value::from(place));
    }
    text.push_str("}\n");
    text.push_str(&table);
    text.push_str("};\n");
}

/// Writes the function that iterates over the pages of an operation. No operation has a name that begins with `$`.
fn write_pages(text: &mut String, taken: &mut BTreeSet<String>, function: &str, of_type: &str, default: &str) {
    let pages = unique(taken, format!("{function}Pages"), '_');
    let _ = write!(
        text,
        "\n/** The pages of {{@link {function}}}, from the first or the one of `cursor` on. Another response is a {{@link PageError}}. */\n\
         export async function* {pages}($client: Client, $input: {of_type}Input{default}, $options?: CallOptions): AsyncGenerator<Extract<{of_type}Reply, {{ status: 200 }}>[\"body\"]> {{\n  \
           let $query = $input.query;\n  \
           for (;;) {{\n    \
             const $reply: {of_type}Reply = await {function}($client, $query === undefined ? $input : {{ ...$input, query: $query }}, $options);\n    \
             if ($reply.status !== 200) throw new PageError($reply.status, $reply.body);\n    \
             yield $reply.body;\n    \
             if ($reply.body.next === null) return;\n    \
             $query = {{ ...$query, cursor: $reply.body.next }};\n  \
           }}\n}}\n"
    );
}

/// Writes the function of one operation.
struct OperationWriter<'d> {
    document: &'d Value,
    names: &'d TypeNames,
    path: &'d str,
    operation: &'d DescribedOperation,
}

impl OperationWriter<'_> {
    /// Writes the function and its types, and adds their names to `taken`.
    fn write(&self, text: &mut String, taken: &mut BTreeSet<String>) {
        let value = &self.operation.value;
        let mut function = camel(value["operationId"].as_str().unwrap_or_default());
        while WORDS.contains(&&*function) || !taken.insert(function.clone()) {
            function.push('_');
        }
        let mut of_type = pascal(&function);
        let is_schema = |name: String| self.names.contains(&name);
        while is_schema(format!("{of_type}Input"))
            || is_schema(format!("{of_type}Reply"))
            || !taken.insert(of_type.clone())
        {
            of_type.push('_');
        }
        let (input, is_needed) = self.input();
        let (replies, has_events) = self.replies();
        let _ = write!(
            text,
            "\n/** The input of {{@link {function}}}. */\nexport type {of_type}Input = {input};\n"
        );
        let _ = write!(
            text,
            "\n/** The responses of {{@link {function}}}. */\nexport type {of_type}Reply =\n  | {};\n",
            replies.join("\n  | ")
        );
        text.push('\n');
        text.push_str(&self.comment());
        let default = if is_needed { "" } else { " = {}" };
        // Some settings of the compiler reject an unused parameter unless its name begins so.
        let name = if input.starts_with('{') { "input" } else { "_input" };
        let send = if has_events { "$stream" } else { "$send" };
        let parts = self.parts();
        let _ = write!(
            text,
            "export async function {function}(client: Client, {name}: {of_type}Input{default}, options?: CallOptions): Promise<{of_type}Reply> {{\n  \
             return {send}(client, {{ {parts} }}, options);\n}}\n"
        );
        if self.operation.has_pages(self.document) {
            write_pages(text, taken, &function, &of_type, default);
        }
    }

    fn comment(&self) -> String {
        let value = &self.operation.value;
        let mut lines = Vec::new();
        for field in ["summary", "description"] {
            if let Some(text) = value.get(field).and_then(Value::as_str) {
                if !lines.is_empty() {
                    lines.push(String::new());
                }
                lines.extend(text.lines().map(str::to_owned));
            }
        }
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!(
            "`{} {}`",
            self.operation.method.to_ascii_uppercase(),
            self.path
        ));
        if value.get("deprecated") == Some(&Value::Bool(true)) {
            lines.push("@deprecated".to_owned());
        }
        comment(&lines, 0)
    }

    /// The parameters in one place of the request. Those that are shared are in `components`.
    fn parameters(&self, place: &str) -> Vec<&Value> {
        let all = self.operation.value["parameters"].as_array().into_iter().flatten();
        all.map(|parameter| resolved(self.document, parameter))
            .filter(|parameter| parameter["in"] == place)
            .collect()
    }

    /// The members of the input, and whether the request needs one of them.
    fn input(&self) -> (String, bool) {
        let mut text = "{\n".to_owned();
        let mut is_needed = false;
        let mut is_empty = true;
        for (place, member) in [
            ("path", "path"),
            ("query", "query"),
            ("header", "headers"),
            ("cookie", "cookies"),
        ] {
            let parameters = self.parameters(place);
            if parameters.is_empty() {
                continue;
            }
            is_empty = false;
            let is_required = parameters
                .iter()
                .any(|parameter| parameter["required"] == Value::Bool(true));
            is_needed |= is_required;
            let _ = writeln!(text, "  {member}{}: {{", if is_required { "" } else { "?" });
            for parameter in parameters {
                let schema = &parameter["schema"];
                text.push_str(&doc(parameter["description"].as_str(), parameter, 2));
                let mark = if parameter["required"] == Value::Bool(true) {
                    ""
                } else {
                    "?"
                };
                let name = key(parameter["name"].as_str().unwrap_or_default());
                let _ = writeln!(text, "    {name}{mark}: {};", self.names.of_value(schema, 2));
            }
            text.push_str("  };\n");
        }
        if let Some((kind, schema, is_required)) = self.operation.body(&BODY_TYPES) {
            is_empty = false;
            is_needed |= is_required;
            let of_type = match kind {
                kind if BODY_TYPES.contains(&kind) || is_json(kind) => self.names.of_value(schema, 1),
                kind if kind.starts_with("text/") => "string".to_owned(),
                _ => "BodyInit".to_owned(),
            };
            text.push_str(&comment(&[format!("`{kind}`")], 1));
            let _ = writeln!(text, "  body{}: {of_type};", if is_required { "" } else { "?" });
        }
        text.push('}');
        if is_empty {
            // The argument exists nevertheless, so that a first optional parameter breaks no caller.
            text = "Record<string, never>".to_owned();
        }
        (text, is_needed)
    }

    /// The types of the responses, and whether one of them is an event stream.
    fn replies(&self) -> (Vec<String>, bool) {
        let empty = Map::new();
        let responses = self.operation.value["responses"].as_object().unwrap_or(&empty);
        let codes: Vec<&str> = responses
            .keys()
            .filter(|key| key.parse::<u16>().is_ok())
            .map(|key| &**key)
            .collect();
        let mut has_events = false;
        let mut all = Vec::new();
        for (key, response) in responses {
            let response = resolved(self.document, response);
            let content = response.get("content").and_then(Value::as_object);
            let statuses = self.statuses(key, &codes, responses, content);
            let body = match content {
                _ if !self.operation.has_bodies() => "undefined".to_owned(),
                Some(content) => union(content.iter().map(|(kind, media)| {
                    has_events |= kind == "text/event-stream";
                    self.body_type(kind, &media["schema"])
                })),
                // An exact status without content has no body; of another response nothing is known.
                None if codes.contains(&&**key) => "undefined".to_owned(),
                None => "unknown".to_owned(),
            };
            all.push(format!("Reply<{statuses}, {body}>"));
        }
        (all, has_events)
    }

    /// The statuses of a response that no other one has, so that a status selects one type.
    fn statuses(
        &self,
        key: &str,
        codes: &[&str],
        responses: &Map<String, Value>,
        content: Option<&Map<String, Value>>,
    ) -> String {
        let base = match key {
            "default" => {
                let classes: &[&str] = if content.is_some_and(is_problem) {
                    &["4XX", "5XX"]
                } else {
                    &["1XX", "2XX", "3XX", "4XX", "5XX"]
                };
                let classes = classes.iter().filter(|class| !responses.contains_key(**class));
                union(classes.map(|class| format!("Status{class}")))
            }
            class if class.ends_with("XX") => format!("Status{class}"),
            code => return code.to_owned(),
        };
        if base.is_empty() {
            return "never".to_owned();
        }
        let class = key.strip_suffix("XX");
        let taken = codes
            .iter()
            .filter(|code| class.is_none_or(|class| code.starts_with(class)));
        match union(taken.map(|code| (*code).to_owned())) {
            taken if taken.is_empty() => base,
            taken => format!("Exclude<{base}, {taken}>"),
        }
    }

    /// The type of a body as the client reads it.
    fn body_type(&self, kind: &str, schema: &Value) -> String {
        match kind {
            "text/event-stream" => format!("EventStream<{}>", self.names.of_value(schema, 1)),
            kind if is_json(kind) => self.names.of_value(schema, 1),
            kind if kind.starts_with("text/") => "string".to_owned(),
            "*/*" => "unknown".to_owned(),
            _ => "Blob".to_owned(),
        }
    }

    /// The parts of the request in the function.
    fn parts(&self) -> String {
        let method = self.operation.method.to_ascii_uppercase();
        let mut parts = format!("method: \"{method}\", path: {}", self.path_expression());
        for (place, member) in [("query", "query"), ("header", "headers"), ("cookie", "cookies")] {
            if !self.parameters(place).is_empty() {
                let _ = write!(parts, ", {member}: input.{member}");
            }
        }
        if let Some((kind, ..)) = self.operation.body(&BODY_TYPES) {
            let _ = write!(parts, ", body: input.body, type: {}", Value::from(kind));
        }
        let responses = self.operation.value["responses"].as_object();
        let is_redirect = |status: &String| status.starts_with('3') && status != "304";
        if responses.is_some_and(|responses| responses.keys().any(is_redirect)) {
            parts.push_str(", redirect: \"manual\"");
        }
        let ways = alternatives(self.document, &self.operation.value);
        if !ways.is_empty() {
            let _ = write!(parts, ", security: {}", serde_json::json!(ways));
        }
        parts
    }

    /// The path as a template, with the parameters of the input.
    fn path_expression(&self) -> String {
        let rest = rest_parameter(self.operation.definition, self.path);
        let mut text = "`".to_owned();
        for (place, part) in self.path.split('{').enumerate() {
            let literal = match (place, part.split_once('}')) {
                (1.., Some((name, literal))) => {
                    let function = if rest == Some(name) { "$rest" } else { "$segment" };
                    let _ = write!(text, "${{{function}(input.path[{}])}}", Value::from(name));
                    literal
                }
                _ => part,
            };
            text.push_str(&literal.replace('\\', "\\\\").replace('`', "\\`").replace('$', "\\$"));
        }
        text.push('`');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The identifiers of the runtime outside of comments and quotation marks that are no members of values.
    fn identifiers() -> BTreeSet<&'static str> {
        let code = RUNTIME
            .lines()
            .filter(|line| !line.trim_start().starts_with(['/', '*']));
        let code = code.flat_map(|line| line.split('"').step_by(2));
        let is_end = |letter: char| !letter.is_ascii_alphanumeric() && !"_$.".contains(letter);
        code.flat_map(|code| code.split(is_end)).collect()
    }

    #[test]
    fn no_function_and_no_schema_has_a_name_that_the_runtime_uses() {
        // Type parameters, and words in templates.
        let locals = ["B", "R", "S", "T", "Basic", "Bearer"];
        for name in identifiers() {
            let name = name.trim_start_matches("...").split('.').next().unwrap_or_default();
            let is_type = name.starts_with(|first: char| first.is_ascii_uppercase());
            let is_known = TypeNames::of(&Map::new()).contains(name) || locals.contains(&name);
            assert!(!is_type || is_known, "{name} is missing in RESERVED");
        }
        for global in ["btoa", "clearTimeout", "encodeURIComponent", "fetch", "setTimeout"] {
            assert!(identifiers().contains(global) && WORDS.contains(&global), "{global}");
        }
    }
}
