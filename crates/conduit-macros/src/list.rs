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
    /// `routes!`: handlers take parameters of paths in the list only.
    Routes,
    /// `nested_routes!`: the list is under a prefix of another list, whose parameters handlers may take.
    Nested,
}

/// Expands the list to a call of `Routes::new` with a table and a node for each entry.
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
    let parts = nodes.iter().filter_map(Conditional::part);
    let nodes = nodes.iter().map(Conditional::node);
    let table = quote!(::conduit::route::table![#(#parts),*]);
    let (table, list) = match list {
        List::Routes => (
            quote!(const { ::conduit::route::require_prefixes(#table) }),
            quote!(::conduit::route::Routes),
        ),
        List::Nested => (table, quote!(::conduit::route::NestedRoutes)),
    };
    // Each node is coerced in place, in the array. A function for it would have the state
    // as a parameter, which is inferred wrongly if a part of the state is missing.
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

/// The handlers of a list that are imported under an alias: those that are named by a path such as `users::show`.
///
/// An import includes the function and the type that the route attribute generates. A function without an attribute has
/// no such type, and the alias refers to the import of the outer block, `NotARoute`: so the compiler prints our
/// message, instead of a missing type.
///
/// A single name is used unchanged. The compiler rejects an import of it as ambiguous if an outer scope has the same name,
/// since a macro generated it: with `use super::*` in a module, in a function, with the name of a crate.
#[derive(Default)]
struct Handlers {
    paths: Vec<Path>,
    aliases: Vec<Ident>,
    /// The `#[cfg]`s of each.
    conditions: Vec<TokenStream>,
}

impl Handlers {
    /// Assigns each handler among the nodes its alias.
    fn of(nodes: &mut [Conditional]) -> Self {
        let mut handlers = Handlers::default();
        for Conditional { conditions, node } in nodes {
            let Node::Leaf(leaf) = node else { continue };
            if leaf.is_list() || leaf.path.get_ident().is_some() || may_be_crate(&leaf.path) {
                continue;
            }
            let alias = Ident::new(&format!("__entry_{}", handlers.paths.len()), leaf.span());
            handlers.paths.push(leaf.path.clone());
            handlers.aliases.push(alias.clone());
            handlers.conditions.push(quote!(#(#conditions)*));
            leaf.alias = Some(alias);
        }
        handlers
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

/// Returns whether a path begins with the name of a crate among the compiler's arguments, as far as it is known.
fn may_be_crate(path: &Path) -> bool {
    static CRATES: OnceLock<Option<Vec<String>>> = OnceLock::new();
    let Some(crates) = CRATES.get_or_init(|| crates(std::env::args_os())) else {
        return true;
    };
    let first = path.segments.first().map(|first| first.ident.unraw().to_string());
    first.is_none_or(|first| OWN_CRATES.contains(&&*first) || crates.contains(&first))
}

/// Crates that the compiler knows without an argument.
const OWN_CRATES: [&str; 5] = ["std", "core", "alloc", "test", "proc_macro"];

/// The names of the crates among the compiler's arguments, `--extern bytes=libbytes.rlib`; `None` if it may have others
/// that are not visible, as in an editor.
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
    // At least the user of this crate is among them.
    (!crates.is_empty()).then_some(crates)
}

/// One entry as written.
enum Entry {
    /// `admin::show`, `admin::ROUTES`
    Path(Path),
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
            return Ok(Entry::Path(input.call(entry_path)?));
        }
        let prefix: LitStr = input.parse()?;
        if let Err(error) = Pattern::parse_prefix(&prefix.value()) {
            return Err(Error::new(prefix.span(), error));
        }
        input.parse::<Token![=>]>()?;
        if !input.peek(token::Bracket) {
            return Ok(Entry::Prefixed(prefix, Box::new(Entry::Path(input.call(entry_path)?))));
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
            let message = format!("an entry has only layers and `#[cfg(…)]` before it: {REMEDY}");
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

fn entry_path(input: ParseStream<'_>) -> Result<Path, Error> {
    let is_path = input.peek(syn::Ident::peek_any) || input.peek(Token![::]);
    if !is_path {
        return Err(input.error(
            "an entry is the name of a handler, the name of another list, or either with a prefix: \
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
            Entry::Prefixed(own, entry) => {
                let prefix = format!("{prefix}{}", own.value());
                // Each is right by itself; together they may have two parameters of one name, or too many.
                Pattern::parse_prefix(&prefix).map_err(|error| Error::new(own.span(), error))?;
                entry.flatten(&prefix, conditions, nodes)?;
            }
            Entry::List(entries) => {
                for entry in entries {
                    entry.flatten(prefix, conditions, nodes)?;
                }
            }
            Entry::Layered(layers, entry) => {
                let count = layers.len();
                nodes.extend(
                    layers
                        .into_iter()
                        .map(|layer| conditional(Node::Layer(Box::new(layer)))),
                );
                entry.flatten(prefix, conditions, nodes)?;
                nodes.extend((0..count).map(|_| conditional(Node::EndOfLayer)));
            }
            Entry::Conditional(own, entry) => entry.flatten(prefix, &[conditions, &own].concat(), nodes)?,
        }
        Ok(())
    }
}

/// A node with the `#[cfg]`s that it is compiled under.
struct Conditional {
    conditions: Vec<Attribute>,
    node: Node,
}

impl Conditional {
    fn part(&self) -> Option<TokenStream> {
        let Conditional { conditions, node } = self;
        let part = node.part()?;
        Some(quote!(#(#conditions)* #part))
    }

    fn node(&self) -> TokenStream {
        let Conditional { conditions, node } = self;
        let node = node.node();
        quote!(#(#conditions)* #node)
    }
}

/// One entry without nested ones: the beginning and the end of a layer's scope are in the same list, so that each
/// is coerced to a node of the list's state.
enum Node {
    Leaf(Leaf),
    Layer(Box<Expr>),
    EndOfLayer,
}

impl Node {
    fn part(&self) -> Option<TokenStream> {
        match self {
            Node::Leaf(leaf) => Some(leaf.part()),
            Node::Layer(_) | Node::EndOfLayer => None,
        }
    }

    fn node(&self) -> TokenStream {
        match self {
            Node::Leaf(leaf) => leaf.node(),
            Node::Layer(layer) => {
                let span = Span::mixed_site().located_at(layer.span());
                // Made by a function, when the application is: a layer need not be a constant.
                quote_spanned!(span=> &const { ::conduit::route::Layered::new(|| #layer) })
            }
            Node::EndOfLayer => quote!(&::conduit::route::EndOfLayer),
        }
    }
}

/// One entry with all prefixes before it.
struct Leaf {
    prefix: String,
    path: Path,
    /// The alias of an imported handler.
    alias: Option<Ident>,
}

impl Leaf {
    /// Returns whether the path names a list, which is a constant, and not a handler, which is a function: by
    /// the case of its name.
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
            quote_spanned!(self.span()=> &#name)
        } else {
            quote_spanned!(self.span()=> &::conduit::route::Leaf::<(#name)>::NEW)
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
    fn the_crates_are_those_that_the_compiler_was_given() {
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
    fn unknown_crates_yield_none() {
        assert_eq!(of(&["rust-analyzer-proc-macro-srv"]), None);
        assert_eq!(of(&["rustc", "--extern", "conduit", "@more"]), None);
        assert_eq!(of(&["rustc", "--extern"]), None);
    }
}
