//! A client in Rust: one file of source for a crate with `reqwest` and `serde`, from the document of an application.

mod comment;
mod types;
mod value_type;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use self::comment::comment;
use self::types::{RustTypes, pascal, snake};
use self::value_type::RustType;
use super::credential::{Credential, alternatives};
use super::document::{Document, rest_parameter};
use super::ordered;
use super::shared::{DescribedOperation, is_json, one_line, resolved, unique};

/// The part that is the same for all applications.
const RUNTIME: &str = include_str!("runtime.rs");

/// The media types of request bodies that the client sends, the preferred one first.
const BODY_TYPES: [&str; 2] = ["application/json", "application/x-www-form-urlencoded"];

/// The functions that the printed source calls by their names alone.
fn runtime_functions() -> impl Iterator<Item = &'static str> {
    let definitions = RUNTIME.lines().filter_map(|line| line.strip_prefix("fn "));
    let names = definitions.filter_map(|definition| definition.split(['(', '<']).next());
    names.chain(["drop"])
}

impl Document {
    /// A client of the application in Rust: the source of a library with the dependencies of
    /// [`rust_manifest`](Self::rust_manifest).
    ///
    /// Each operation is a function that takes a `Client` and the input, and returns an enum with a variant for each status,
    /// each error among them. `program --client rust` prints both.
    pub fn rust(&self) -> String {
        let document = self.complete();
        let empty = Map::new();
        let schemas = document["components"]["schemas"].as_object().unwrap_or(&empty);
        let version = document["info"]["version"].as_str().unwrap_or_default();
        let (title, version) = (one_line(self.title()), one_line(version));
        let head = format!(
            "//! {title} {version}: a client that the program prints with `--client rust`.\n//!\n//! Do not edit it: print it again \
             when the API changes.\n"
        );
        let mut text = RUNTIME.to_owned();
        let schemes = document["components"]["securitySchemes"].as_object().unwrap_or(&empty);
        write_credentials(&mut text, schemes);
        let mut types = RustTypes::of(schemas);
        let mut taken = ordered::set(runtime_functions().map(str::to_owned));
        let mut functions = String::new();
        for item in self.paths() {
            for operation in &item.operations {
                let writer = FunctionWriter {
                    document: &document,
                    path: &item.path,
                    operation,
                };
                writer.write(&mut functions, &mut types, &mut taken);
            }
        }
        text.push_str(&types.text);
        text.push_str(&functions);
        // Not every application has maps.
        let maps = if types.has_maps {
            "\nuse std::collections::BTreeMap;"
        } else {
            ""
        };
        format!("{head}{maps}{text}")
    }

    /// The `Cargo.toml` of the crate with the source of [`rust`](Self::rust) in `src/lib.rs`.
    pub fn rust_manifest(&self) -> String {
        let name = snake(self.title()).trim_matches('_').replace('_', "-");
        format!(
            "[package]\nname = \"{name}-client\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             # Code in the doc comments of the service is not a test of its client.\n[lib]\ndoctest = false\n\n[dependencies]\n\
             # Add the feature `rustls` for addresses with https.\n\
             reqwest = {{ version = \"0.13\", default-features = false }}\n\
             serde = {{ version = \"1\", features = [\"derive\"] }}\nserde_json = \"1\"\n\
             tokio = {{ version = \"1\", features = [\"time\"] }}\n"
        )
    }
}

/// The credentials by scheme, and their places in a request.
fn write_credentials(text: &mut String, schemes: &Map<String, Value>) {
    let mut fields = String::new();
    let mut arms = String::new();
    let mut taken = BTreeSet::new();
    for (name, scheme) in schemes {
        let kind = match Credential::of(scheme) {
            Some(Credential::Bearer) => "Scheme::Bearer".to_owned(),
            Some(Credential::Basic) => "Scheme::Basic".to_owned(),
            Some(Credential::Http(scheme)) => format!("Scheme::Http({})", Value::from(scheme)),
            Some(Credential::Header(name)) => format!("Scheme::Header({})", Value::from(name)),
            Some(Credential::Query(name)) => format!("Scheme::Query({})", Value::from(name)),
            Some(Credential::Cookie(name)) => format!("Scheme::Cookie({})", Value::from(name)),
            None => continue,
        };
        let member = unique(&mut taken, snake(name), 'x');
        let words = match &*kind {
            "Scheme::Basic" => "The name and the password with a colon between them.",
            _ => "The value without the name of the scheme.",
        };
        let documented = [scheme["description"].as_str().unwrap_or_default(), words]
            .into_iter()
            .filter(|text| !text.is_empty());
        fields.push_str(&comment(&documented.collect::<Vec<_>>().join("\n\n"), 1));
        let _ = writeln!(fields, "    pub {member}: Option<String>,");
        let _ = writeln!(
            arms,
            "            {} => ({kind}, &self.{member}),",
            Value::from(name.as_str())
        );
    }
    let _ = write!(
        text,
        "\n/// The credentials of the schemes, as far as the client has them.\n#[derive(Clone, Default)]\n\
         pub struct Credentials {{\n{fields}}}\n\n\
         /// Without the values.\nimpl fmt::Debug for Credentials {{\n    \
         fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {{\n        \
         f.debug_struct(\"Credentials\").finish_non_exhaustive()\n    }}\n}}\n\nimpl Credentials {{\n"
    );
    match arms.is_empty() {
        true => text.push_str("    fn find(&self, _: &str) -> Option<(Scheme, String)> {\n        None\n    }\n}\n"),
        false => {
            let _ = write!(
                text,
                "    fn find(&self, name: &str) -> Option<(Scheme, String)> {{\n        let (scheme, value) = match name {{\n{arms}            \
                 _ => return None,\n        }};\n        value.clone().map(|value| (scheme, value))\n    }}\n}}\n"
            );
        }
    }
}

/// Writes the type that iterates over the pages of an operation, and the function that begins.
fn write_pages(
    text: &mut String,
    types: &mut RustTypes<'_>,
    function: &str,
    pages_function: &str,
    of_type: &str,
    [input, reply, page]: [&str; 3],
) {
    let pages = types.name(format!("{of_type}Pages"));
    let _ = write!(
        text,
        "\n/// The pages of a list: [`{pages_function}`] begins them.\n#[derive(Clone, Debug)]\npub struct {pages}<'c> {{\n    \
         client: &'c Client,\n    /// The input for the next page; `None` after the last one.\n    input: Option<{input}>,\n}}\n\n\
         /// The pages of [`{function}`], from the first or the one of `cursor` on.\n\
         pub fn {pages_function}(client: &Client, input: {input}) -> {pages}<'_> {{\n    {pages} {{\n        client,\n        \
         input: Some(input),\n    }}\n}}\n\nimpl {pages}<'_> {{\n    \
         /// The next page; `None` after the last one. After an error, the same page is requested again.\n    ///\n    \
         /// # Errors\n    ///\n    /// As [`{function}`], and for a response without a page.\n    \
         pub async fn next(&mut self) -> Result<Option<{page}>, Error> {{\n        \
         let Some(input) = &mut self.input else {{\n            return Ok(None);\n        }};\n        \
         let reply = self::{function}(self.client, input).await?;\n        \
         let {reply}::Status200(page) = reply.body else {{\n            \
         return Err(unexpected(reply.status, format!(\"no page: {{:?}}\", reply.body)));\n        }};\n        \
         if page.next.is_some() && page.next == input.cursor {{\n            self.input = None;\n            \
         return Err(unexpected(reply.status, \"the next page has the same cursor as this page, so the list would never end\"));\n        }}\n        \
         match &page.next {{\n            Some(next) => input.cursor = Some(next.clone()),\n            \
         None => self.input = None,\n        }}\n        \
         Ok(Some(page))\n    }}\n}}\n"
    );
}

/// Writes the function of one operation.
struct FunctionWriter<'d> {
    document: &'d Value,
    path: &'d str,
    operation: &'d DescribedOperation,
}

/// The body of a response, as the client reads it.
struct ReplyBody {
    of_type: RustType,
    /// The expression that reads it.
    read: String,
}

impl FunctionWriter<'_> {
    fn write(&self, text: &mut String, types: &mut RustTypes<'_>, taken: &mut BTreeSet<String>) {
        let value = &self.operation.value;
        let function = snake(value["operationId"].as_str().unwrap_or_default());
        let function = unique(taken, function, '_');
        let of_type = pascal(&function);
        let input = types.name(format!("{of_type}Input"));
        let reply = types.name(format!("{of_type}Reply"));
        let (fields, steps) = self.input(&input, types);
        let (variants, arms, page) = self.replies(&reply, types);
        let method = self.operation.method.to_ascii_uppercase();
        let (declared, passed) = match fields.is_empty() {
            true => (String::new(), String::new()),
            false => {
                let derives = match fields.iter().all(|(_, of_type, _)| of_type.has_default()) {
                    true => "Clone, Debug, Default",
                    false => "Clone, Debug",
                };
                let mut declared =
                    format!("\n/// The input of [`{function}`].\n#[derive({derives})]\npub struct {input} {{\n");
                for (name, of_type, documented) in &fields {
                    let _ = writeln!(declared, "{documented}    pub {name}: {of_type},");
                }
                declared.push_str("}\n");
                (declared, format!(", input: &{input}"))
            }
        };
        text.push_str(&declared);
        let _ = write!(
            text,
            "\n/// The responses of [`{function}`].\n#[derive(Debug)]\npub enum {reply} {{\n{variants}}}\n"
        );
        text.push('\n');
        text.push_str(&self.comment(&method));
        if value.get("deprecated") == Some(&Value::Bool(true)) {
            text.push_str("#[deprecated]\n");
        }
        let ways: Vec<String> = alternatives(self.document, value)
            .into_iter()
            .map(|way| {
                let names: Vec<String> = way.into_iter().map(|name| Value::from(name).to_string()).collect();
                format!("&[{}]", names.join(", "))
            })
            .collect();
        let mutable = if steps.is_empty() { "" } else { "mut " };
        let _ = write!(
            text,
            "pub async fn {function}(client: &Client{passed}) -> Result<Reply<{reply}>, Error> {{\n    \
             let {mutable}parts = Parts::new({}, {})?;\n{steps}    \
             let response = parts.send(client, &[{}]).await?;\n    \
             let (status, headers) = (response.status(), response.headers());\n    \
             let body = match status {{\n{arms}    }};\n    Ok(Reply {{ status, headers, body }})\n}}\n",
            Value::from(method.as_str()),
            Value::from(self.path),
            ways.join(", "),
        );
        let text_or_none = RustType::Plain("String").optional();
        let is_cursor = |(name, of_type, _): &(String, RustType, String)| name == "cursor" && *of_type == text_or_none;
        if self.operation.has_pages(self.document)
            && fields.iter().any(is_cursor)
            && let Some(page) = &page
        {
            let pages = unique(taken, format!("{function}_pages"), '_');
            let page = page.to_string();
            write_pages(text, types, &function, &pages, &of_type, [&input, &reply, &page]);
        }
    }

    fn comment(&self, method: &str) -> String {
        let value = &self.operation.value;
        let texts = ["summary", "description"].map(|field| value.get(field).and_then(Value::as_str));
        let mut text: Vec<String> = texts.into_iter().flatten().map(str::to_owned).collect();
        text.push(format!("`{method} {}`", self.path));
        text.push(
            "# Errors\n\nReturns an error if the request fails, or if the response is not documented.".to_owned(),
        );
        comment(&text.join("\n\n"), 0)
    }

    /// The fields of the input with their types and comments, and the statements that put them into the request.
    fn input(&self, name: &str, types: &mut RustTypes<'_>) -> (Vec<(String, RustType, String)>, String) {
        let mut fields = Vec::new();
        let mut steps = String::new();
        let mut taken = BTreeSet::from(["body".to_owned()]);
        let parameters = self.operation.value["parameters"].as_array().into_iter().flatten();
        let rest = rest_parameter(self.operation.definition, self.path);
        for parameter in parameters.map(|parameter| resolved(self.document, parameter)) {
            let key = parameter["name"].as_str().unwrap_or_default();
            let field = unique(&mut taken, snake(key), 'x');
            let quoted = Value::from(key);
            let is_rest = rest == Some(key);
            let step = match parameter["in"].as_str() {
                Some("path") => format!("path({quoted}, &input.{field}, {is_rest})"),
                Some("query") => format!("query({quoted}, &input.{field})"),
                Some("header") => format!("header({quoted}, &input.{field})"),
                Some("cookie") => format!("cookie({quoted}, &input.{field})"),
                _ => continue,
            };
            let mut of_type = types.of_value(&parameter["schema"], &format!("{name}{}", pascal(key)));
            if parameter["required"] != true {
                of_type = of_type.optional();
            }
            let _ = writeln!(steps, "    parts.{step}?;");
            fields.push((
                field,
                of_type,
                comment(parameter["description"].as_str().unwrap_or(key), 1),
            ));
        }
        if let Some((of_type, step, documented)) = self.body(name, types) {
            steps.push_str(&step);
            fields.push(("body".to_owned(), of_type, documented));
        }
        (fields, steps)
    }

    /// The type of the body of the request, the statement that writes it, and its comment.
    fn body(&self, name: &str, types: &mut RustTypes<'_>) -> Option<(RustType, String, String)> {
        let (kind, schema, is_required) = self.operation.body(&BODY_TYPES)?;
        let (of_type, call) = match kind {
            kind if is_json(kind) => {
                let of_type = types.of_value(schema, &format!("{name}Body"));
                (of_type, format!("parts.json({}, body)?;", Value::from(kind)))
            }
            "application/x-www-form-urlencoded" => {
                let of_type = types.of_value(schema, &format!("{name}Body"));
                (of_type, "parts.form(body)?;".to_owned())
            }
            "multipart/form-data" => (RustType::Plain("FormParts"), "parts.form_parts(body)?;".to_owned()),
            _ => (RustType::Plain("RawBody"), "parts.raw(body)?;".to_owned()),
        };
        let documented = comment(&format!("`{kind}`"), 1);
        Some(match is_required || of_type.is_optional() {
            true => (
                of_type,
                format!("    let body = &input.body;\n    {call}\n"),
                documented,
            ),
            false => (
                of_type.optional(),
                format!("    if let Some(body) = &input.body {{\n        {call}\n    }}\n"),
                documented,
            ),
        })
    }

    /// The variants of the responses, the arms that select them, and the type of the body of a 200.
    fn replies(&self, reply: &str, types: &mut RustTypes<'_>) -> (String, String, Option<RustType>) {
        let empty = Map::new();
        let responses = self.operation.value["responses"].as_object().unwrap_or(&empty);
        let (mut variants, mut arms, mut ranges, mut last) =
            (String::new(), String::new(), String::new(), String::new());
        let mut page = None;
        for (status, response) in responses {
            let response = resolved(self.document, response);
            let text = response["description"].as_str().unwrap_or(status);
            let body = self.reply_body(reply, status, response, types);
            let documented = comment(text, 1);
            if let Ok(code) = status.parse::<u16>() {
                match body {
                    None => {
                        let _ = writeln!(variants, "{documented}    Status{code},");
                        let _ = writeln!(arms, "        {code} => {reply}::Status{code},");
                    }
                    Some(ReplyBody { of_type, read }) => {
                        let _ = writeln!(variants, "{documented}    Status{code}({of_type}),");
                        let _ = writeln!(arms, "        {code} => {reply}::Status{code}({read}),");
                        if code == 200 {
                            page = Some(of_type);
                        }
                    }
                }
                continue;
            }
            let (variant, pattern) = match status.strip_suffix("XX") {
                Some(class) => (format!("Status{class}xx"), format!("status @ {class}00..={class}99")),
                None => ("Other".to_owned(), "status".to_owned()),
            };
            let (types, values) = match body {
                Some(ReplyBody { of_type, read }) => (format!("u16, {of_type}"), format!("status, {read}")),
                None if self.operation.has_bodies() => ("u16, RawBody".into(), "status, response.raw().await?".into()),
                None => ("u16".to_owned(), "status".to_owned()),
            };
            let _ = writeln!(variants, "{documented}    {variant}({types}),");
            let arm = format!("        {pattern} => {reply}::{variant}({values}),\n");
            if status == "default" {
                last = arm
            } else {
                ranges.push_str(&arm)
            }
        }
        if last.is_empty() {
            last = "        status => return Err(unexpected(status, \"the status is not documented\")),\n".to_owned();
        }
        (variants, arms + &ranges + &last, page)
    }

    /// The body of a response; `None` if it has none.
    fn reply_body(&self, reply: &str, status: &str, response: &Value, types: &mut RustTypes<'_>) -> Option<ReplyBody> {
        let content = response.get("content").filter(|_| self.operation.has_bodies());
        let content = content?.as_object()?;
        let (kind, media) = content.iter().next()?;
        let name = format!("{reply}{}", pascal(status));
        let (of_type, read) = match &**kind {
            _ if content.len() > 1 => (RustType::Plain("RawBody"), "response.raw().await?"),
            kind if is_json(kind) => (types.of_value(&media["schema"], &name), "response.json().await?"),
            "text/event-stream" => (
                RustType::Events(Box::new(types.of_value(&media["schema"], &name))),
                "response.events()",
            ),
            kind if kind.starts_with("text/") => (RustType::Plain("String"), "response.text().await?"),
            _ => (RustType::Plain("RawBody"), "response.raw().await?"),
        };
        Some(ReplyBody {
            of_type,
            read: read.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::types::RESERVED;
    use super::*;

    /// The code of the runtime, without comments, attributes and texts.
    fn code() -> String {
        let mut code = String::new();
        for line in RUNTIME.lines().filter(|line| !line.trim_start().starts_with("#[")) {
            let line = line.replace("\\\"", "").replace("'\"'", "");
            let texts: Vec<&str> = line.split('"').step_by(2).collect();
            let line = texts.join("\"\"");
            code.push_str(line.split("//").next().unwrap_or_default());
            code.push('\n');
        }
        code
    }

    fn is_part(letter: char) -> bool {
        letter.is_ascii_alphanumeric() || letter == '_'
    }

    /// The identifiers of the runtime without a path, each with the text before and after it.
    fn identifiers(code: &str) -> impl Iterator<Item = (&str, &str, &str)> {
        let starts = code.char_indices().filter(|&(start, letter)| {
            let before = code[..start].chars().next_back();
            is_part(letter) && !before.is_some_and(|before| is_part(before) || ".:'!".contains(before))
        });
        starts.map(|(start, _)| {
            let end = code[start..]
                .find(|letter| !is_part(letter))
                .map_or(code.len(), |end| start + end);
            (&code[start..end], &code[..start], &code[end..])
        })
    }

    #[test]
    fn no_function_has_the_name_of_one_that_the_runtime_calls() {
        let code = code();
        let mut found = BTreeSet::new();
        for (name, before, after) in identifiers(&code) {
            let is_call = after.starts_with('(') && name.starts_with(|first: char| first.is_ascii_lowercase());
            let is_definition = before.ends_with("fn ");
            let is_local = code.contains(&format!("let {name} = |"));
            let is_keyword = ["pub", "if", "match", "matches", "fn"].contains(&name);
            if is_call && !is_definition && !is_local && !is_keyword {
                assert!(runtime_functions().any(|known| known == name), "{name} is not reserved");
                found.insert(name);
            }
        }
        assert_eq!(found, runtime_functions().collect());
    }

    #[test]
    fn no_schema_has_the_name_of_a_type_that_the_runtime_uses() {
        // Type parameters and variants.
        let locals = [
            "B",
            "T",
            "Self",
            "Basic",
            "Bearer",
            "Cookie",
            "Header",
            "Http",
            "Input",
            "Query",
            "Unexpected",
        ];
        for (name, ..) in identifiers(&code()) {
            let is_type = name.starts_with(|first: char| first.is_ascii_uppercase());
            let is_constant = name.len() > 1 && name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
            let is_known = RESERVED.contains(&name) || locals.contains(&name);
            assert!(!is_type || is_constant || is_known, "{name} is missing in RESERVED");
        }
    }

    #[test]
    fn function_of_pages_has_the_given_name_and_calls_that_of_its_list() {
        let mut text = String::new();
        let schemas = Map::new();
        write_pages(
            &mut text,
            &mut RustTypes::of(&schemas),
            "input",
            "input_pages_",
            "Input",
            ["InputInput", "InputReply", "InputPage"],
        );
        assert!(text.contains("pub fn input_pages_(client: &Client"), "{text}");
        assert!(text.contains("self::input(self.client, input)"), "{text}");
    }
}
