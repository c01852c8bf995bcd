//! The functions of a route with the option `link`: `show::path(7)` and `list::path_and_query(&range)`.

use conduit_route::{Pattern, Segment};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Error, ItemFn, Type};

use crate::arguments::{Argument, Source, Static, generic, path_type, unwrapped};
use crate::attribute::RouteArguments;

/// One argument of a link.
pub(crate) struct LinkArgument {
    pub(crate) name: Ident,
    /// The name of the path's parameter; empty for a struct, whose fields are parameters.
    pub(crate) parameter: String,
    /// The type of the value in the handler's argument.
    pub(crate) ty: TokenStream,
    pub(crate) span: Span,
}

/// The associated functions of a handler, or an error; nothing without the option.
pub(crate) fn functions(item: &ItemFn, route: &RouteArguments, arguments: &[Argument]) -> Option<TokenStream> {
    let (option, path) = (route.link.as_ref()?, route.link_path()?);
    match link_arguments(&path, arguments) {
        Ok(of_path) => Some(with_arguments(item, &path, &of_path, query(arguments))),
        Err(message) => Some(Error::new(option.span, message).into_compile_error()),
    }
}

fn with_arguments(item: &ItemFn, path: &str, of_path: &[LinkArgument], query: Option<Type>) -> TokenStream {
    let (ident, visibility) = (&item.sig.ident, &item.vis);
    let names: Vec<&Ident> = of_path.iter().map(|argument| &argument.name).collect();
    let parameters: Vec<&str> = of_path.iter().map(|argument| argument.parameter.as_str()).collect();
    let inputs: Vec<TokenStream> = of_path
        .iter()
        .map(|LinkArgument { name, ty, span, .. }| quote_spanned!(*span=> #name: impl ::conduit::link::LinkValue<#ty>))
        .collect();
    let made = quote!(::conduit::internal::link_path(
        #path,
        &[#((#parameters, ::conduit::link::LinkValue::pairs(&#names))),*],
    ));
    let panics = match of_path {
        [] => "",
        _ => {
            "\n\n# Panics\n\nPanics if a value makes its segment empty, `.` or `..`, because the link would lead to another route."
        }
    };
    let text = format!("The path of a link to this route, `{path}` with percent-encoded values.{panics}");
    let with_query = query.map(|mut ty| {
        Static.visit_type_mut(&mut ty);
        let query = Ident::new("query", Span::mixed_site());
        let text = format!("The path of a link to this route, `{path}`, and its query.{panics}");
        let input = quote_spanned!(ty.span()=> #query: impl ::conduit::link::LinkValue<#ty>);
        quote! {
            #[doc = #text]
            #[track_caller]
            #visibility fn path_and_query(#(#inputs,)* #input) -> ::std::string::String {
                ::conduit::internal::with_query(#made, &::conduit::link::LinkValue::pairs(&#query))
            }
        }
    });
    quote! {
        #[allow(dead_code, clippy::needless_pass_by_value)]
        impl #ident {
            #[doc = #text]
            #[track_caller]
            #visibility fn path(#(#inputs),*) -> ::std::string::String {
                #made
            }

            #with_query
        }
    }
}

/// One argument for each parameter of the path, in its order, or one for a struct that has all of them.
///
/// # Errors
/// Returns a message if no argument takes a parameter of the prefix.
pub(crate) fn link_arguments(path: &str, arguments: &[Argument]) -> Result<Vec<LinkArgument>, String> {
    // The attribute's parser has checked the path.
    let Ok(pattern) = Pattern::parse(path) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for segment in pattern.segments() {
        let (Segment::Parameter { name, .. } | Segment::Rest { name }) = segment else {
            continue;
        };
        let taker = arguments
            .iter()
            .find(|argument| argument.parameters().iter().any(|parameter| parameter.name == name));
        let Some(taker) = taker else {
            return Err(format!(
                "the path of a link to this route is `{path}`, and no argument takes `{{{name}}}`: add the argument \
                 `{name}: Path<…>`"
            ));
        };
        let span = Span::mixed_site().located_at(taker.ty.span());
        let is_structure = matches!(&taker.source, Source::Path { structure: Some(_), .. });
        let parameter = if is_structure { "" } else { name };
        if is_structure
            && found
                .iter()
                .any(|argument: &LinkArgument| argument.parameter.is_empty())
        {
            continue;
        }
        found.push(LinkArgument {
            name: match is_structure {
                true => Ident::new("parameters", Span::mixed_site()),
                false => argument_name(name),
            },
            parameter: parameter.to_owned(),
            ty: value_type(taker, name),
            span,
        });
    }
    Ok(found)
}

/// The identifier of the argument for a parameter of the path.
fn argument_name(parameter: &str) -> Ident {
    let span = Span::mixed_site();
    match parameter {
        // Keywords without a raw form.
        "crate" | "self" | "super" | "Self" | "_" => Ident::new(&format!("{parameter}_"), span),
        _ => syn::parse_str(parameter).unwrap_or_else(|_| Ident::new_raw(parameter, span)),
    }
}

/// The type of a parameter's value.
fn value_type(argument: &Argument, parameter: &str) -> TokenStream {
    let mut ty = argument.ty.clone();
    Static.visit_type_mut(&mut ty);
    let Source::Path { parameters, .. } = &argument.source else {
        return quote!(<#ty as ::conduit::extract::PathArgument>::Value);
    };
    let Some(inner) = path_type(&ty).map(|path| path.inner) else {
        return ty.to_token_stream();
    };
    let place = parameters.iter().position(|taken| taken.name == parameter);
    match (inner, place) {
        (Type::Tuple(tuple), Some(place)) if place < tuple.elems.len() => tuple.elems[place].to_token_stream(),
        _ => inner.to_token_stream(),
    }
}

/// The `T` of the only `Query<T>`, which may be wrapped in other types.
fn query(arguments: &[Argument]) -> Option<Type> {
    let mut queries = arguments.iter().filter_map(|argument| {
        let (name, content) = generic(unwrapped(&argument.ty))?;
        (name == "Query").then_some(content)
    });
    let query = queries.next()?;
    queries.next().is_none().then(|| query.clone())
}
