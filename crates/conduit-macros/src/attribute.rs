//! The arguments of a route attribute.

use conduit_route::Pattern;
use proc_macro2::{Ident, Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, LitStr, Token};

use crate::tool::ToolOption;

/// The arguments of an attribute.
pub(crate) struct RouteArguments {
    pub(crate) method: String,
    pub(crate) path: LitStr,
    /// The variant of `Disconnect`.
    pub(crate) disconnect: Option<Ident>,
    /// Set if pages of other origins may send requests with unsafe methods.
    pub(crate) is_cross_origin: bool,
    /// Set if the route has functions that make its links.
    pub(crate) link: Option<LinkOption>,
    /// A function that adds to the description of the operation.
    pub(crate) describe: Option<Expr>,
    /// Set if the handler is a tool.
    pub(crate) tool: Option<ToolOption>,
    /// The option `client`, if the handler has a function that calls it.
    pub(crate) client: Option<Span>,
}

/// The option `link`, or `link = "/admin"`.
pub(crate) struct LinkOption {
    /// The prefix of all lists around the route, which is empty without one.
    prefix: String,
    pub(crate) span: Span,
}

impl RouteArguments {
    /// The arguments of an attribute with the name of a method.
    pub(crate) fn of_method(method: &str, arguments: TokenStream) -> Result<Self, Error> {
        let parse = |input: ParseStream<'_>| {
            if !input.peek(LitStr) {
                let name = method.to_ascii_lowercase();
                return Err(Error::new(
                    input.span(),
                    format!("the path is missing: write `#[{name}(\"/users/{{id}}\")]`"),
                ));
            }
            Self::path_and_options(method.to_owned(), input)
        };
        parse.parse2(arguments)
    }

    /// The arguments of `#[route(METHOD, "/path")]`.
    pub(crate) fn with_method(arguments: TokenStream) -> Result<Self, Error> {
        method_and_path.parse2(arguments)
    }

    /// The path of a link to this route, if it has functions for links: the prefix and the route's path.
    pub(crate) fn link_path(&self) -> Option<String> {
        let prefix = &self.link.as_ref()?.prefix;
        Some(match (prefix.as_str(), self.path.value()) {
            ("", path) => path,
            (prefix, path) if path == "/" => prefix.to_owned(),
            (prefix, path) => format!("{prefix}{path}"),
        })
    }

    /// The path with the prefix of the links, or the path of the route alone.
    pub(crate) fn link_path_or_own(&self) -> String {
        self.link_path().unwrap_or_else(|| self.path.value())
    }

    fn path_and_options(method: String, input: ParseStream<'_>) -> Result<Self, Error> {
        let mut arguments = RouteArguments {
            method,
            path: input.parse()?,
            disconnect: None,
            is_cross_origin: false,
            link: None,
            describe: None,
            tool: None,
            client: None,
        };
        input.parse::<Option<Token![,]>>()?;
        while !input.is_empty() {
            arguments.option(input)?;
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(arguments)
    }

    fn option(&mut self, input: ParseStream<'_>) -> Result<(), Error> {
        if !input.peek(Ident::peek_any) {
            let message = "a route has only one path: write one handler for each path; they can call a common function";
            return Err(Error::new(input.span(), message));
        }
        let name = input.call(Ident::parse_any)?;
        let is_repeated = match name.to_string().as_str() {
            "disconnect" => self.disconnect.replace(disconnection(&name, input)?).is_some(),
            "cross_origin" => std::mem::replace(&mut self.is_cross_origin, true),
            "link" => self.link.replace(link(&name, &self.path, input)?).is_some(),
            "describe" => self.describe.replace(description(&name, input)?).is_some(),
            "client" => self.client.replace(name.span()).is_some(),
            "tool" => self.tool.replace(tool(&name, input)?).is_some(),
            other => {
                let message = format!(
                    "unknown option `{other}` of a route: write `disconnect = \"abort\"` to drop the handler when its \
                     client disconnects, `cross_origin` to permit requests from pages of other origins, `link` for a \
                     function that makes links to the route, `describe = examples` for a function that adds to its \
                     description, `tool` for a tool of language models, or `client` for a function that calls the \
                     handler at a server"
                );
                return Err(Error::new(name.span(), message));
            }
        };
        if is_repeated {
            return Err(Error::new(
                name.span(),
                format!("`{name}` occurs twice: remove one of them"),
            ));
        }
        Ok(())
    }
}

fn method_and_path(input: ParseStream<'_>) -> Result<RouteArguments, Error> {
    let example = "write `#[route(PROPFIND, \"/files/{*path}\")]`";
    let (method, span) = if input.peek(LitStr) {
        let method: LitStr = input.parse()?;
        (method.value(), method.span())
    } else if input.peek(Ident::peek_any) {
        let method = input.call(Ident::parse_any)?;
        (method.to_string(), method.span())
    } else {
        return Err(Error::new(input.span(), format!("the method is missing: {example}")));
    };
    if method.starts_with('/') {
        return Err(Error::new(
            span,
            format!("the method is missing before the path: {example}"),
        ));
    }
    // RFC 9110, section 5.6.2.
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if method.is_empty() || !method.bytes().all(is_token) {
        let message =
            format!("invalid method `{method}`: use letters, digits and `-` (RFC 9110, section 9.1): {example}");
        return Err(Error::new(span, message));
    }
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        let upper = method.to_ascii_uppercase();
        return Err(Error::new(
            span,
            format!("methods are case-sensitive (RFC 9110, section 9.1): write `{upper}`"),
        ));
    }
    let comma = input.parse::<Option<Token![,]>>()?;
    if comma.is_none() || !input.peek(LitStr) {
        return Err(Error::new(
            input.span(),
            format!("the path is missing after the method: {example}"),
        ));
    }
    RouteArguments::path_and_options(method, input)
}

/// Parses the value of `disconnect = "abort"`.
fn disconnection(name: &Ident, input: ParseStream<'_>) -> Result<Ident, Error> {
    let remedy = "write `disconnect = \"finish\"` to complete the handler after its client disconnects, \
        or `disconnect = \"abort\"` to drop it";
    let equals = input.parse::<Option<Token![=]>>()?;
    if equals.is_none() || !input.peek(LitStr) {
        return Err(Error::new(name.span(), format!("`disconnect` has no value: {remedy}")));
    }
    let value: LitStr = input.parse()?;
    let variant = match value.value().as_str() {
        "finish" => "Finish",
        "abort" => "Abort",
        other => {
            let message = format!("invalid `disconnect` value `{other}`: {remedy}");
            return Err(Error::new(value.span(), message));
        }
    };
    Ok(Ident::new(variant, Span::mixed_site()))
}

/// Parses the rest of `tool` or `tool = "find_user"`.
fn tool(name: &Ident, input: ParseStream<'_>) -> Result<ToolOption, Error> {
    let mut option = ToolOption {
        name: None,
        span: name.span(),
    };
    if input.parse::<Option<Token![=]>>()?.is_some() {
        if !input.peek(LitStr) {
            let message =
                "`tool` has no value after `=`: write `tool`, or `tool = \"find_user\"` with the name of the tool";
            return Err(Error::new(name.span(), message));
        }
        option.name = Some(input.parse()?);
    }
    Ok(option)
}

/// Parses the rest of `link` or `link = "/admin"`.
fn link(name: &Ident, path: &LitStr, input: ParseStream<'_>) -> Result<LinkOption, Error> {
    let mut option = LinkOption {
        prefix: String::new(),
        span: name.span(),
    };
    if input.parse::<Option<Token![=]>>()?.is_none() {
        return Ok(option);
    }
    if !input.peek(LitStr) {
        let message = "`link` has no value after `=`: write `link`, or `link = \"/admin\"` with the prefix of all lists \
            around the route";
        return Err(Error::new(name.span(), message));
    }
    let prefix: LitStr = input.parse()?;
    option.prefix = prefix.value();
    Pattern::parse_prefix(&option.prefix).map_err(|error| Error::new(prefix.span(), error))?;
    // Both parts may be valid, and have two parameters of one name together. An invalid path is reported elsewhere.
    if Pattern::parse(&path.value()).is_ok() {
        let whole = format!("{}{}", option.prefix, path.value());
        Pattern::parse(&whole).map_err(|error| Error::new(prefix.span(), error))?;
    }
    Ok(option)
}

/// Parses the value of `describe = function`.
fn description(name: &Ident, input: ParseStream<'_>) -> Result<Expr, Error> {
    if input.parse::<Option<Token![=]>>()?.is_none() || input.is_empty() {
        let message =
            "`describe` has no value: write `describe = examples` with a `fn examples(operation: &mut Operation)`";
        return Err(Error::new(name.span(), message));
    }
    input.parse()
}
