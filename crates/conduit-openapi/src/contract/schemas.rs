//! The schemas of a document, compiled for the comparison of values (JSON Schema, draft 2020-12).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use boon::{CompileError, Compiler, SchemaIndex, Schemas, ValidationError};
use serde_json::Value;

/// The base URI of the document, for references within it.
const ADDRESS: &str = "https://openapi.invalid/document";

/// The number of characters of a value in a message.
const SHOWN: usize = 160;

/// The schemas of a document by their places in it. Each is compiled when a response first needs it.
pub(super) struct CompiledSchemas {
    document: Value,
    compiled: Mutex<Compiled>,
}

#[derive(Default)]
struct Compiled {
    schemas: Schemas,
    by_pointer: HashMap<String, Result<SchemaIndex, String>>,
}

impl CompiledSchemas {
    pub(super) fn of(document: &Value) -> Self {
        // The document as a whole is not a schema, and its other members could be read as keywords of one.
        let document = serde_json::json!({ "paths": document["paths"], "components": document["components"] });
        CompiledSchemas {
            document,
            compiled: Mutex::default(),
        }
    }

    /// The differences between a body and the schema at this place.
    pub(super) fn check_json(&self, pointer: &str, body: &[u8]) -> Vec<String> {
        match serde_json::from_slice(body) {
            Ok(value) => self.check(pointer, &value),
            Err(error) => vec![format!("the body is not JSON: {error}")],
        }
    }

    fn check(&self, pointer: &str, value: &Value) -> Vec<String> {
        if self.document.pointer(pointer).is_none() {
            return Vec::new();
        }
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        let index = match compiled.index(&self.document, pointer) {
            Ok(index) => index,
            Err(error) => return vec![format!("the schema at {pointer} in the document is invalid: {error}")],
        };
        match compiled.schemas.validate(value, index) {
            Ok(()) => Vec::new(),
            Err(error) => {
                let mut faults = Vec::new();
                collect(&error, &mut faults);
                faults
            }
        }
    }
}

impl Compiled {
    fn index(&mut self, document: &Value, pointer: &str) -> Result<SchemaIndex, String> {
        if let Some(known) = self.by_pointer.get(pointer) {
            return known.clone();
        }
        let index = self.compile(document, pointer);
        self.by_pointer.insert(pointer.to_owned(), index.clone());
        index
    }

    fn compile(&mut self, document: &Value, pointer: &str) -> Result<SchemaIndex, String> {
        let mut compiler = Compiler::new();
        let with_cause = |error: CompileError| format!("{error:#}");
        compiler.add_resource(ADDRESS, document.clone()).map_err(with_cause)?;
        let place = format!("{ADDRESS}#{}", percent_encoded(pointer));
        compiler.compile(&place, &mut self.schemas).map_err(with_cause)
    }
}

/// A pointer as the fragment of a URI (RFC 6901, section 6).
fn percent_encoded(pointer: &str) -> String {
    percent_encoding::utf8_percent_encode(pointer, FRAGMENT).to_string()
}

/// The characters that a fragment cannot have (RFC 3986, section 3.5).
const FRAGMENT: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Adds the faults that have no cause in another one, each with its place in the value (RFC 6901).
fn collect(error: &ValidationError<'_, '_>, faults: &mut Vec<String>) {
    if !error.causes.is_empty() {
        error.causes.iter().for_each(|cause| collect(cause, faults));
        return;
    }
    let kind = error.kind.to_string();
    let shown: String = kind.chars().take(SHOWN).collect();
    let end = if shown.len() < kind.len() { "…" } else { "" };
    faults.push(format!("the value at #{}: {shown}{end}", error.instance_location));
}
