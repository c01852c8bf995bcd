//! `routes!`.

use conduit_route::Pattern;
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, LitStr, Path, Token, bracketed, token};

/// Expands the list to a call of `Routes::new` with a table and a node for each entry.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let entries = match Punctuated::<Entry, Token![,]>::parse_terminated.parse2(input) {
        Ok(entries) => entries,
        Err(error) => return error.into_compile_error(),
    };
    let mut leaves = Vec::new();
    for entry in entries {
        entry.flatten("", &mut leaves);
    }
    let parts = leaves.iter().map(Leaf::part);
    let nodes = leaves.iter().map(Leaf::node);
    // Each node is coerced where it stands, in the array. A function that did it would have the state
    // as a parameter, which is inferred wrongly where a part of the state is missing.
    quote! {
        ::conduit::route::Routes::new(::conduit::route::table![#(#parts),*], const { &[#(#nodes),*] })
    }
}

/// One entry as it is written.
enum Entry {
    /// `admin::show`, `admin::ROUTES`
    Path(Path),
    /// `"/admin" => …`
    Prefixed(LitStr, Box<Entry>),
    /// `[show, list]`, only behind a prefix
    List(Vec<Entry>),
}

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> Result<Self, Error> {
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
        let inner;
        bracketed!(inner in input);
        let entries = Punctuated::<Entry, Token![,]>::parse_terminated(&inner)?;
        Ok(Entry::Prefixed(
            prefix,
            Box::new(Entry::List(entries.into_iter().collect())),
        ))
    }
}

fn entry_path(input: ParseStream<'_>) -> Result<Path, Error> {
    let is_path = input.peek(syn::Ident::peek_any) || input.peek(Token![::]);
    if !is_path {
        return Err(input.error(
            "an entry is the name of a handler, the name of another list, or either behind a prefix: \
             write `show`, `admin::ROUTES`, `\"/admin\" => admin::ROUTES` or `\"/v1\" => [list, find]`",
        ));
    }
    let path = input.call(Path::parse_mod_style)?;
    if input.peek(token::Paren) || input.peek(Token![!]) {
        return Err(input.error("an entry is a name and no call: leave out what stands behind the name"));
    }
    Ok(path)
}

impl Entry {
    fn flatten(self, prefix: &str, leaves: &mut Vec<Leaf>) {
        match self {
            Entry::Path(path) => leaves.push(Leaf {
                prefix: prefix.to_owned(),
                path,
            }),
            Entry::Prefixed(own, entry) => entry.flatten(&format!("{prefix}{}", own.value()), leaves),
            Entry::List(entries) => entries.into_iter().for_each(|entry| entry.flatten(prefix, leaves)),
        }
    }
}

/// One entry with all prefixes before it.
struct Leaf {
    prefix: String,
    path: Path,
}

impl Leaf {
    /// Whether the path names a list, which is a constant, and not a handler, which is a function: by
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

    fn part(&self) -> TokenStream {
        let Leaf { prefix, path } = self;
        let definition = quote_spanned!(self.span()=> <#path as ::conduit::route::Route>::DEFINITION);
        if self.is_list() {
            quote!(::conduit::route::Part::Mount { prefix: #prefix, definitions: #path.definitions() })
        } else if prefix.is_empty() {
            quote!(::conduit::route::Part::Route(#definition))
        } else {
            quote!(::conduit::route::Part::Mount { prefix: #prefix, definitions: &[#definition] })
        }
    }

    fn node(&self) -> TokenStream {
        let path = &self.path;
        if self.is_list() {
            quote_spanned!(self.span()=> &#path)
        } else {
            quote_spanned!(self.span()=> &::conduit::route::Leaf::<#path>::NEW)
        }
    }
}
