//! `routes!`.

use std::ffi::OsString;
use std::sync::OnceLock;

use conduit_route::Pattern;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, LitStr, Meta, Path, Token, bracketed, token};

/// The macro that a list is written with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// `routes!`: handlers take only parameters of paths in the list.
    Routes,
    /// `nested_routes!`: handlers may also take parameters of a prefix in another list.
    Nested,
}

/// Expands the list to a call of `Routes::new` with a table and one node for each entry.
pub(crate) fn expand(list: List, input: TokenStream) -> TokenStream {
    let entries = match Punctuated::<Entry, Token![,]>::parse_terminated.parse2(input) {
        Ok(entries) => entries,
        Err(error) => return error.into_compile_error(),
    };
    let mut nodes = Vec::new();
    for entry in entries {
        if let Err(error) = entry.flatten("", &[], &mut nodes) {
            return error.into_compile_error();
        }
    }
    let handlers = Handlers::of(&mut nodes);
    let parts = nodes.iter().flat_map(Conditional::parts);
    let nodes = nodes.iter().map(Conditional::node);
    let table = quote!(::conduit::route::table![#(#parts),*]);
    let (table, list) = match list {
        List::Routes => (
            quote!(const { ::conduit::route::require_prefixes(#table) }),
            quote!(::conduit::route::Routes),
        ),
        List::Nested => (table, quote!(::conduit::route::NestedRoutes)),
    };
    // Each node is coerced in place, in the array. A function with bounds on the state would make the compiler infer another
    // state where the state lacks a part; `route::scope` has none.
    let routes = quote! {
        #list::new(#table, const { &[#(#nodes),*] },
            ::conduit::route::Package::new(
                ::core::option_env!("CARGO_PKG_NAME"),
                ::core::option_env!("CARGO_PKG_VERSION"),
                ::core::option_env!("CARGO_PKG_DESCRIPTION"),
                ::core::module_path!(),
            ))
    };
    handlers.around(&routes)
}

/// The handlers of a list that are imported under an alias because the list names them by a path such as `users::show`.
///
/// The import includes the function and the type that its route attribute generates. Without an attribute there is no
/// such type, and the alias refers to `NotARoute` from the outer block, so that the compiler prints our message instead
/// of a missing type.
///
/// A single identifier is used unchanged. The compiler rejects a generated import of it as ambiguous if an outer scope
/// has the same name: with `use super::*` in a module, in a function, or with the name of a crate.
#[derive(Default)]
struct Handlers {
    paths: Vec<Path>,
    aliases: Vec<Ident>,
    /// The `#[cfg]` attributes of each handler.
    conditions: Vec<TokenStream>,
}

impl Handlers {
    /// Assigns an alias to each handler in `nodes` that needs one.
    fn of(nodes: &mut [Conditional]) -> Self {
        let mut handlers = Handlers::default();
        handlers.add(nodes);
        handlers
    }

    fn add(&mut self, nodes: &mut [Conditional]) {
        for Conditional { conditions, node } in nodes {
            let leaf = match node {
                Node::Leaf(leaf) => leaf,
                Node::Layer { nodes, .. } => {
                    self.add(nodes);
                    continue;
                }
                Node::Mount { .. } => continue,
            };
            if leaf.is_list() || leaf.path.get_ident().is_some() || may_be_crate(&leaf.path) {
                continue;
            }
            let alias = Ident::new(&format!("__entry_{}", self.paths.len()), leaf.span());
            self.paths.push(leaf.path.clone());
            self.aliases.push(alias.clone());
            self.conditions.push(quote!(#(#conditions)*));
            leaf.alias = Some(alias);
        }
    }

    fn around(&self, routes: &TokenStream) -> TokenStream {
        let Handlers {
            paths,
            aliases,
            conditions,
        } = self;
        if paths.is_empty() {
            return routes.clone();
        }
        quote! {{
            #[allow(unused_imports)]
            use ::conduit::route::{#(NotARoute as #aliases),*};
            {
                #(#conditions #[allow(deprecated, unused_imports)] use #paths as #aliases;)*
                #routes
            }
        }}
    }
}

/// Returns whether a path may begin with the name of a crate; true if the compiler's arguments are unknown.
fn may_be_crate(path: &Path) -> bool {
    static CRATES: OnceLock<Option<Vec<String>>> = OnceLock::new();
    let Some(crates) = CRATES.get_or_init(|| crates(std::env::args_os())) else {
        return true;
    };
    let first = path.segments.first().map(|first| first.ident.unraw().to_string());
    first.is_none_or(|first| OWN_CRATES.contains(&&*first) || crates.contains(&first))
}

/// Crates that need no compiler argument.
const OWN_CRATES: [&str; 5] = ["std", "core", "alloc", "test", "proc_macro"];

/// The names of the crates in the compiler's arguments, `--extern bytes=libbytes.rlib`; `None` if there may be others,
/// as in an editor.
fn crates(arguments: impl Iterator<Item = OsString>) -> Option<Vec<String>> {
    let mut arguments = arguments.skip(1);
    let mut crates = Vec::new();
    while let Some(argument) = arguments.next() {
        let argument = argument.into_string().ok()?;
        if argument.starts_with('@') {
            return None;
        }
        let given = match argument.strip_prefix("--extern") {
            Some("") => arguments.next()?.into_string().ok()?,
            Some(rest) => rest.strip_prefix('=')?.to_owned(),
            None => continue,
        };
        // `priv,noprelude:name=path`
        let name = given.split('=').next().unwrap_or_default();
        crates.push(name.rsplit(':').next().unwrap_or_default().to_owned());
    }
    // The crate that uses this macro must be present.
    (!crates.is_empty()).then_some(crates)
}

/// One entry as written in the source.
enum Entry {
    /// `admin::show`, `admin::ROUTES`
    Path(Path),
    /// `Files::new("public")`
    Mount(Box<Expr>),
    /// `"/admin" => …`
    Prefixed(LitStr, Box<Entry>),
    /// `[show, list]`, only after a prefix or a layer
    List(Vec<Entry>),
    /// `#[layer(auth, Timeout::new())] …`
    Layered(Vec<Expr>, Box<Entry>),
    /// `#[cfg(unix)] …`
    Conditional(Vec<Attribute>, Box<Entry>),
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
        let (conditions, attributes) = input
            .call(Attribute::parse_outer)?
            .into_iter()
            .partition::<Vec<_>, _>(|attribute| attribute.path().is_ident("cfg"));
        let layers = layers(attributes)?;
        if !layers.is_empty() || !conditions.is_empty() {
            let mut entry = if input.peek(token::Bracket) {
                input.call(entries)?
            } else {
                input.parse()?
            };
            if !layers.is_empty() {
                entry = Entry::Layered(layers, Box::new(entry));
            }
            if !conditions.is_empty() {
                entry = Entry::Conditional(conditions, Box::new(entry));
            }
            return Ok(entry);
        }
        if !input.peek(LitStr) {
            return input.call(path_or_mount);
        }
        let prefix: LitStr = input.parse()?;
        if let Err(error) = Pattern::parse_prefix(&prefix.value()) {
            return Err(Error::new(prefix.span(), error));
        }
        input.parse::<Token![=>]>()?;
        if !input.peek(token::Bracket) {
            return Ok(Entry::Prefixed(prefix, Box::new(input.call(path_or_mount)?)));
        }
        Ok(Entry::Prefixed(prefix, Box::new(input.call(entries)?)))
    }
}

fn entries(input: ParseStream<'_>) -> Result<Entry, Error> {
    let inner;
    bracketed!(inner in input);
    let entries = Punctuated::<Entry, Token![,]>::parse_terminated(&inner)?;
    Ok(Entry::List(entries.into_iter().collect()))
}

/// The layers before an entry, the outermost first.
fn layers(attributes: Vec<Attribute>) -> Result<Vec<Expr>, Error> {
    let mut layers = Vec::new();
    for attribute in attributes {
        const REMEDY: &str = "write `#[layer(auth)]`, or several as `#[layer(first, second)]`";
        if !attribute.path().is_ident("layer") {
            let message = format!("an entry accepts only the attributes `#[layer(…)]` and `#[cfg(…)]`: {REMEDY}");
            return Err(Error::new(attribute.path().span(), message));
        }
        let Meta::List(list) = &attribute.meta else {
            return Err(Error::new(attribute.span(), format!("the layer is missing: {REMEDY}")));
        };
        let written = list.parse_args_with(Punctuated::<Expr, Token![,]>::parse_terminated)?;
        if written.is_empty() {
            return Err(Error::new(attribute.span(), format!("the layer is missing: {REMEDY}")));
        }
        layers.extend(written);
    }
    Ok(layers)
}

/// An entry that is a name, or an expression that begins with a call of an associated function.
fn path_or_mount(input: ParseStream<'_>) -> Result<Entry, Error> {
    let ahead = input.fork();
    let is_call = ahead
        .call(Path::parse_mod_style)
        .is_ok_and(|path| path.segments.len() > 1)
        && ahead.peek(token::Paren);
    if is_call {
        return Ok(Entry::Mount(Box::new(input.parse()?)));
    }
    Ok(Entry::Path(input.call(entry_path)?))
}

fn entry_path(input: ParseStream<'_>) -> Result<Path, Error> {
    let is_path = input.peek(syn::Ident::peek_any) || input.peek(Token![::]);
    if !is_path {
        return Err(input.error(
            "expected a handler, a list of routes, or either with a prefix: \
             write `show`, `admin::ROUTES`, `\"/admin\" => admin::ROUTES` or `\"/v1\" => [list, find]`",
        ));
    }
    let path = input.call(Path::parse_mod_style)?;
    if input.peek(token::Paren) || input.peek(Token![!]) {
        return Err(input.error("an entry is a name, not a call: remove the part after the name"));
    }
    Ok(path)
}

impl Entry {
    fn flatten(self, prefix: &str, conditions: &[Attribute], nodes: &mut Vec<Conditional>) -> Result<(), Error> {
        let conditional = |node| Conditional {
            conditions: conditions.to_vec(),
            node,
        };
        match self {
            Entry::Path(path) => nodes.push(conditional(Node::Leaf(Leaf {
                prefix: prefix.to_owned(),
                path,
                alias: None,
            }))),
            Entry::Mount(make) => nodes.push(conditional(Node::Mount {
                prefix: prefix.to_owned(),
                make,
            })),
            Entry::Prefixed(own, entry) => {
                let prefix = format!("{prefix}{}", own.value());
                // Two prefixes that are valid alone may have two parameters of one name, or too many, in combination.
                Pattern::parse_prefix(&prefix).map_err(|error| Error::new(own.span(), error))?;
                entry.flatten(&prefix, conditions, nodes)?;
            }
            Entry::List(entries) => {
                for entry in entries {
                    entry.flatten(prefix, conditions, nodes)?;
                }
            }
            Entry::Layered(layers, entry) => {
                let mut inner = Vec::new();
                entry.flatten(prefix, conditions, &mut inner)?;
                for layer in layers.into_iter().rev() {
                    let layer = Box::new(layer);
                    inner = vec![conditional(Node::Layer { layer, nodes: inner })];
                }
                nodes.extend(inner);
            }
            Entry::Conditional(own, entry) => entry.flatten(prefix, &[conditions, &own].concat(), nodes)?,
        }
        Ok(())
    }
}

/// A node with its `#[cfg]` attributes.
struct Conditional {
    conditions: Vec<Attribute>,
    node: Node,
}

impl Conditional {
    /// The parts of the table; the nodes inside of a layer have its conditions too.
    fn parts(&self) -> Vec<TokenStream> {
        let Conditional { conditions, node } = self;
        match node.part() {
            Some(part) => vec![quote!(#(#conditions)* #part)],
            None => node.inner().iter().flat_map(Conditional::parts).collect(),
        }
    }

    fn node(&self) -> TokenStream {
        let Conditional { conditions, node } = self;
        let node = node.node();
        quote!(#(#conditions)* #node)
    }
}

/// One entry, nested only in layers: a layer may change the values that its entries take.
enum Node {
    Leaf(Leaf),
    Mount { prefix: String, make: Box<Expr> },
    Layer { layer: Box<Expr>, nodes: Vec<Conditional> },
}

impl Node {
    /// The nodes inside of a layer.
    fn inner(&self) -> &[Conditional] {
        match self {
            Node::Layer { nodes, .. } => nodes,
            Node::Leaf(_) | Node::Mount { .. } => &[],
        }
    }

    fn part(&self) -> Option<TokenStream> {
        match self {
            Node::Leaf(leaf) => Some(leaf.part()),
            Node::Mount { prefix, make } => {
                let paths = mount_paths(prefix);
                let span = Span::mixed_site().located_at(make.span());
                let place = quote!(::core::file!(), ::core::line!());
                let definitions =
                    quote_spanned!(span=> ::conduit::route::mount_definitions(&|| #make, [#(#paths),*], #place));
                Some(quote!(::conduit::route::Part::Mount { prefix: "", definitions: &#definitions }))
            }
            Node::Layer { .. } => None,
        }
    }

    fn node(&self) -> TokenStream {
        match self {
            Node::Leaf(leaf) => leaf.node(),
            Node::Mount { prefix, make } => {
                let routes = mount_paths(prefix).len();
                let span = Span::mixed_site().located_at(make.span());
                quote_spanned!(span=> &const { ::conduit::route::Mounted::new(|| #make, #routes) })
            }
            Node::Layer { layer, nodes } => {
                let span = Span::mixed_site().located_at(layer.span());
                let nodes = nodes.iter().map(Conditional::node);
                let nodes = quote!(const { &[#(#nodes),*] });
                // A function creates the layer together with the application, because a layer need not be a constant.
                let layer = quote_spanned!(span=> &const { ::conduit::route::Layered::new(|| #layer) });
                quote_spanned!(span=> ::conduit::route::scope(&const { ::conduit::route::Scope::new(#layer, #nodes) }))
            }
        }
    }
}

/// The paths of a mount, in the order of `conduit_core::route::MountEntry`: the prefix with a slash at the end, all paths below it,
/// and the prefix.
fn mount_paths(prefix: &str) -> Vec<String> {
    let mut paths = vec![format!("{prefix}/"), format!("{prefix}/{{*path}}")];
    if !prefix.is_empty() {
        paths.push(prefix.to_owned());
    }
    paths
}

/// One entry with its full prefix.
struct Leaf {
    prefix: String,
    path: Path,
    /// The alias of an imported handler.
    alias: Option<Ident>,
}

impl Leaf {
    /// Returns whether the path names a list, which is a constant, and not a handler, which is a function. The case of
    /// the name decides.
    fn is_list(&self) -> bool {
        self.path.segments.last().is_some_and(|last| {
            let name = last.ident.unraw().to_string();
            name.contains(char::is_uppercase) && !name.contains(char::is_lowercase)
        })
    }

    fn span(&self) -> Span {
        let last = self
            .path
            .segments
            .last()
            .map_or_else(Span::call_site, |last| last.ident.span());
        Span::mixed_site().located_at(last)
    }

    fn name(&self) -> TokenStream {
        match &self.alias {
            Some(alias) => alias.to_token_stream(),
            None => self.path.to_token_stream(),
        }
    }

    fn part(&self) -> TokenStream {
        let Leaf { prefix, path, .. } = self;
        let name = self.name();
        let definition = quote_spanned!(self.span()=> <#name as ::conduit::route::Route>::DEFINITION);
        if self.is_list() {
            quote!(::conduit::route::Part::Mount { prefix: #prefix, definitions: #path.definitions() })
        } else if prefix.is_empty() {
            quote!(::conduit::route::Part::Route(#definition))
        } else {
            quote!(::conduit::route::Part::Mount { prefix: #prefix, definitions: &[#definition] })
        }
    }

    fn node(&self) -> TokenStream {
        let name = self.name();
        if self.is_list() {
            quote_spanned!(self.span()=> &const { ::conduit::route::Included::new(#name) })
        } else {
            quote_spanned!(self.span()=> &::conduit::route::Leaf::<(#name), _>::NEW)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::crates;

    fn of(arguments: &[&str]) -> Option<Vec<String>> {
        crates(arguments.iter().map(Into::into))
    }

    #[test]
    fn crates_are_parsed_from_compiler_arguments() {
        let given = [
            "rustc",
            "--crate-name",
            "app",
            "--extern",
            "conduit=/target/libconduit-1.rmeta",
            "--extern=bytes",
            "--extern",
            "priv,noprelude:time=/target/libtime-1.rlib",
            "src/main.rs",
        ];
        let names = ["conduit", "bytes", "time"].map(str::to_owned);
        assert_eq!(of(&given), Some(names.to_vec()));
    }

    #[test]
    fn incomplete_arguments_yield_no_crates() {
        assert_eq!(of(&["rust-analyzer-proc-macro-srv"]), None);
        assert_eq!(of(&["rustc", "--extern", "conduit", "@more"]), None);
        assert_eq!(of(&["rustc", "--extern"]), None);
    }
}
