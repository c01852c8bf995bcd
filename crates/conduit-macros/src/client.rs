//! The function of a route with the option `client`: `show::call(&client, 7)`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Error, ItemFn, ReturnType, Type};

use crate::arguments::{Argument, Source, Static, unwrapped};
use crate::attribute::RouteArguments;
use crate::link::{LinkArgument, link_arguments};

/// Extractors whose value is an argument of a call, with the name of the argument. `CallArgument` defines the argument's type; all
/// other extractors implement `NoArgument`.
const ARGUMENTS: [(&str, &str); 14] = [
    ("Query", "query"),
    ("Paging", "page"),
    ("Sort", "order"),
    ("Header", "headers"),
    ("CookieValues", "cookies"),
    ("Json", "body"),
    ("Form", "body"),
    ("Submission", "body"),
    ("String", "body"),
    ("Bytes", "body"),
    ("Body", "body"),
    ("Upload", "body"),
    ("Multipart", "body"),
    ("MultipartForm", "body"),
];

/// The associated function, or an error; nothing without the option.
pub(crate) fn function(item: &ItemFn, route: &RouteArguments, arguments: &[Argument]) -> Option<TokenStream> {
    let span = route.client?;
    let path = route.link_path_or_own();
    Some(match link_arguments(&path, arguments) {
        Ok(mut of_path) => {
            for argument in of_path.iter_mut().filter(|argument| argument.name == "client") {
                // The call has an argument of this name.
                argument.name = Ident::new("client_", Span::mixed_site());
            }
            with_arguments(item, route, &path, &of_path, arguments)
        }
        Err(message) => Error::new(span, message).into_compile_error(),
    })
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
    let (other_inputs, steps) = parts(arguments, &call);
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
        "Calls this handler at a server: `{method} {path}`.\n\n# Errors\n\nReturns an error if the response has a status \
         other than success, or if no response arrives."
    );
    quote! {
        #[allow(dead_code, clippy::needless_pass_by_value, clippy::future_not_send, clippy::too_many_arguments)]
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
                let mut #call = ::conduit::internal::CallParts::new(
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

/// The arguments for the extractors besides those of the path, and the statements that add them to the request. An extractor
/// without an argument has an assertion instead, so that no input is omitted silently.
fn parts(arguments: &[Argument], call: &Ident) -> (Vec<TokenStream>, Vec<TokenStream>) {
    let (mut inputs, mut steps) = (Vec::new(), Vec::new());
    let mut taken: Vec<&str> = Vec::new();
    for argument in arguments {
        if !matches!(argument.source, Source::Request) {
            continue;
        }
        let mut ty = argument.ty.clone();
        Static.visit_type_mut(&mut ty);
        let span = Span::mixed_site().located_at(ty.span());
        let Some(name) = name(&argument.ty) else {
            // The message names the extractor, because an implementation for its wrapper is impossible.
            let inner = unwrapped(&ty);
            let span = Span::mixed_site().located_at(inner.span());
            steps.push(quote_spanned!(span=> ::conduit::internal::has_no_argument::<#inner>();));
            continue;
        };
        let count = taken.iter().filter(|other| **other == name).count();
        taken.push(name);
        let variable = match count {
            0 => Ident::new(name, Span::mixed_site()),
            _ => format_ident!("{name}_{}", count + 1, span = Span::mixed_site()),
        };
        inputs.push(quote_spanned!(span=> #variable: <#ty as ::conduit::client::CallArgument>::Input<'_>));
        steps.push(quote_spanned! {span=>
            <#ty as ::conduit::client::CallArgument>::write(#variable, &mut #call)?;
        });
    }
    (inputs, steps)
}

/// The name of the argument for an extractor.
fn name(ty: &Type) -> Option<&'static str> {
    let Type::Path(path) = unwrapped(ty) else { return None };
    let last = &path.path.segments.last()?.ident;
    let known = ARGUMENTS.iter().find(|(extractor, _)| last == extractor);
    known.map(|(_, name)| *name)
}
