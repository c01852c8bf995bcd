//! The option `tool` of a route: the checks that its input is describable.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Error, ItemFn, LitStr, ReturnType, Type};

use crate::arguments::{Argument, Static, generic, unwrapped};

/// The option `tool`, or `tool = "find_user"`, in which `{prefix}` is the prefix of the list.
pub(crate) struct ToolOption {
    pub(crate) name: Option<LitStr>,
    pub(crate) span: Span,
}

/// Extractors whose input has no schema, or is more than an object of JSON.
const UNDESCRIBED: [&str; 7] = [
    "Request",
    "Body",
    "Bytes",
    "Multipart",
    "MultipartForm",
    "Upload",
    "WebSocketUpgrade",
];

/// Responses without an end.
const STREAMS: [&str; 2] = ["Events", "RunEvents"];

/// Responses whose first type argument is a response.
const RESPONSES: [&str; 4] = ["Option", "Result", "Status", "Created"];

/// Extractors whose content has a schema.
const DESCRIBED: [&str; 5] = ["Path", "Query", "Header", "Json", "Form"];

/// Assertions that the types of the input have schemas.
///
/// # Errors
/// Returns an error for an argument or a return type that a tool cannot have.
pub(crate) fn assertions(item: &ItemFn, tool: &ToolOption, arguments: &[Argument]) -> Result<Vec<TokenStream>, Error> {
    let name = tool
        .name
        .as_ref()
        .map_or_else(|| item.sig.ident.unraw().to_string(), LitStr::value);
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    // The list checks the length with its prefix.
    if !(1..=128).contains(&name.len()) || !name.replace("{prefix}", "").bytes().all(is_valid) {
        let span = tool.name.as_ref().map_or(tool.span, LitStr::span);
        let message = format!(
            "invalid name of a tool `{}`: write 1 to 128 letters, digits, `_`, `-` and `.` of ASCII, as in \
             `tool = \"find_user\"`, and `{{prefix}}` for the prefix of the list",
            name.chars().take(40).collect::<String>()
        );
        return Err(Error::new(span, message));
    }
    if item.attrs.iter().any(crate::describe::is_hidden) {
        let message = "a tool is a part of the API's document: remove `#[doc(hidden)]` or `tool`";
        return Err(Error::new(tool.span, message));
    }
    if let ReturnType::Type(_, ty) = &item.sig.output
        && let Some(found) = named(returned(ty), &STREAMS)
    {
        let message = format!(
            "a handler that returns `{found}` cannot be a tool, because a tool has one result: remove `tool`, or \
             return `Json<…>`; the tool for a run is the handler that starts it and returns `Accepted`"
        );
        return Err(Error::new(ty.span(), message));
    }
    let mut assertions = Vec::new();
    for argument in arguments {
        if let Some(found) = named(unwrapped(&argument.ty), &UNDESCRIBED) {
            let message = format!(
                "a handler that takes `{found}` cannot be a tool, because the schema of its input is unknown: take \
                 `Json<…>`, `Query<…>` or `Path<…>` of a type that derives `JsonSchema`, or remove `tool`"
            );
            return Err(Error::new(argument.ty.span(), message));
        }
        if !cfg!(feature = "openapi") {
            continue;
        }
        if let Some(mut content) = content(&argument.ty) {
            Static.visit_type_mut(&mut content);
            let span = Span::mixed_site().located_at(content.span());
            assertions.push(quote_spanned! {span=>
                const _: () = ::conduit::openapi::require_tool_input::<#content>();
            });
        }
    }
    Ok(assertions)
}

/// The one of these names that a type has. The content of `Json<Events>` is a type of the application.
fn named(ty: &Type, names: &[&str]) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    names
        .iter()
        .any(|name| last.ident == name)
        .then(|| last.ident.to_string())
}

/// The successful response of a handler, without its status.
fn returned(mut ty: &Type) -> &Type {
    while let Some((name, inner)) = generic(ty)
        && RESPONSES.iter().any(|wrapper| name == wrapper)
    {
        ty = inner;
    }
    ty
}

/// The `T` of an extractor with a schema, which may be in other types.
fn content(ty: &Type) -> Option<Type> {
    let (name, inner) = generic(unwrapped(ty))?;
    DESCRIBED
        .iter()
        .any(|described| name == described)
        .then(|| inner.clone())
}
