//! The function of a route with the option `client`: `show::call(&client, 7)`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Error, ItemFn, ReturnType, Type};

use crate::arguments::{Argument, Static, generic, unwrapped};
use crate::attribute::RouteArguments;
use crate::link::{LinkArgument, link_arguments};

/// The associated function, or an error; nothing without the option.
pub(crate) fn function(item: &ItemFn, route: &RouteArguments, arguments: &[Argument]) -> Option<TokenStream> {
    let span = route.client?;
    let path = route.link_path_or_own();
    Some(match link_arguments(&path, arguments) {
        Ok(of_path) => with_arguments(item, route, &path, &of_path, arguments),
        Err(message) => Error::new(span, message).into_compile_error(),
    })
}

/// One part of the request: the argument of the function, and the statement that adds it.
struct CallArgument {
    input: TokenStream,
    step: TokenStream,
}

fn with_arguments(
    item: &ItemFn,
    route: &RouteArguments,
    path: &str,
    of_path: &[LinkArgument],
    arguments: &[Argument],
) -> TokenStream {
    let (ident, visibility) = (&item.sig.ident, &item.vis);
    let method = &route.method;
    let names: Vec<&Ident> = of_path.iter().map(|argument| &argument.name).collect();
    let parameters: Vec<&str> = of_path.iter().map(|argument| argument.parameter.as_str()).collect();
    let inputs = of_path
        .iter()
        .map(|LinkArgument { name, ty, span, .. }| quote_spanned!(*span=> #name: impl ::conduit::link::LinkValue<#ty>));
    let call = Ident::new("__call", Span::mixed_site());
    let others: Vec<CallArgument> = arguments
        .iter()
        .filter_map(|argument| part(&argument.ty, &call))
        .collect();
    let other_inputs = others.iter().map(|other| &other.input);
    let steps = others.iter().map(|other| &other.step);
    let mut returned = match &item.sig.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, ty) => {
            let mut ty = (**ty).clone();
            Static.visit_type_mut(&mut ty);
            ty.to_token_stream()
        }
    };
    let span = Span::mixed_site().located_at(item.sig.output.span());
    returned = quote_spanned!(span=> #returned);
    let text = format!(
        "Calls this handler at a server: `{method} {path}`.\n\n# Errors\n\nA response with another status than those of success, and a \
         request without a response."
    );
    quote! {
        #[allow(dead_code, clippy::needless_pass_by_value, clippy::future_not_send)]
        impl #ident {
            #[doc = #text]
            #visibility async fn call<__Transport: ::conduit::client::Transport>(
                client: &::conduit::client::TypedClient<__Transport>,
                #(#inputs,)*
                #(#other_inputs,)*
            ) -> ::core::result::Result<
                <#returned as ::conduit::client::FromReply>::Value,
                ::conduit::client::CallError,
            > {
                let mut #call = ::conduit::client::CallParts::new(
                    #method,
                    #path,
                    &[#((#parameters, ::conduit::link::LinkValue::pairs(&#names))),*],
                )?;
                #(#steps)*
                client.call::<#returned>(#call).await
            }
        }
    }
}

/// The part of the request that an extractor reads; nothing for those that the server or the credentials provide.
fn part(ty: &Type, call: &Ident) -> Option<CallArgument> {
    let ty = unwrapped(ty);
    let span = Span::mixed_site().located_at(ty.span());
    let argument = |name: &str, of_type: TokenStream, step: TokenStream| {
        let name = Ident::new(name, Span::mixed_site());
        Some(CallArgument {
            input: quote_spanned!(span=> #name: #of_type),
            step: quote_spanned!(span=> #call.#step(#name)?;),
        })
    };
    if let Type::Path(path) = ty
        && path.path.segments.last().is_some_and(|last| last.ident == "String")
    {
        return argument("body", quote!(&::core::primitive::str), quote!(text));
    }
    let (name, inner) = generic(ty)?;
    let mut inner = inner.clone();
    Static.visit_type_mut(&mut inner);
    match name.to_string().as_str() {
        "Query" => argument("query", quote!(&#inner), quote!(query)),
        "Header" => argument("headers", quote!(&#inner), quote!(headers)),
        "Json" => argument("body", quote!(&#inner), quote!(json)),
        "Form" => argument("body", quote!(&#inner), quote!(form)),
        _ => None,
    }
}
