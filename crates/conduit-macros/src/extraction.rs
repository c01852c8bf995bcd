//! The code of a handler that extracts its arguments from the request.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;

use crate::arguments::{Argument, Source, Static, Wrapper, may_be_alias, parameter_list, takes_all, unwrapped};

/// The parts of an implementation of `Handler` that its arguments determine.
pub(crate) struct Extraction<'a> {
    /// The number of parameters in the path.
    count: usize,
    /// The name of the function.
    handler: &'a str,
    /// The source text of each extractor and its `FromRequest::TAKES_BODY`.
    takers: Vec<TokenStream>,
    /// The type parameters for the markers of the extractors.
    pub(crate) markers: Vec<Ident>,
    pub(crate) bounds: Vec<TokenStream>,
    /// `FromRequest::IS_AMBIENT` of each extractor.
    pub(crate) is_ambient: Vec<TokenStream>,
    /// The assertions that one argument takes the body.
    pub(crate) body_checks: Vec<TokenStream>,
    /// The structs whose fields must be the parameters of the path.
    pub(crate) structures: Vec<&'a Type>,
    /// The sources of the arguments, in the order in which they are taken from the request.
    pub(crate) sources: Vec<TokenStream>,
    /// The index of the argument that each source has.
    pub(crate) order: Vec<usize>,
}

impl<'a> Extraction<'a> {
    pub(crate) fn new(arguments: &'a [Argument], count: usize, handler: &'a str) -> Self {
        let mut extraction = Extraction {
            count,
            handler,
            takers: Vec::new(),
            markers: Vec::new(),
            bounds: Vec::new(),
            is_ambient: Vec::new(),
            body_checks: Vec::new(),
            structures: Vec::new(),
            sources: Vec::new(),
            order: Vec::new(),
        };
        let mut sources: Vec<_> = arguments
            .iter()
            .enumerate()
            .map(|(index, argument)| extraction.source(index, argument))
            .collect();
        // `Request` takes everything, so it is extracted after all other arguments.
        let mut order: Vec<usize> = (0..arguments.len()).collect();
        order.sort_by_key(|&index| takes_all(&arguments[index].ty));
        for &index in order.split_last().map_or(&[][..], |(_, earlier)| earlier) {
            extraction.require_last(index, &arguments[index]);
        }
        extraction.sources = order.iter().map(|&index| std::mem::take(&mut sources[index])).collect();
        extraction.order = order;
        extraction
    }

    /// `Handler::CROSS_ORIGIN`, whose evaluation also asserts that one argument takes the body; none if it is the default.
    pub(crate) fn cross_origin(&self, is_permitted: bool) -> Option<TokenStream> {
        let Extraction {
            is_ambient,
            body_checks,
            ..
        } = self;
        let value = match is_permitted {
            true => quote!(::conduit::route::CrossOrigin::Permitted),
            false if is_ambient.is_empty() => return None,
            false => quote!(::conduit::route::CrossOrigin::of(&[#(#is_ambient),*])),
        };
        Some(quote! {
            const CROSS_ORIGIN: ::conduit::route::CrossOrigin = {
                #(#body_checks)*
                #value
            };
        })
    }

    /// The handler as a function that takes the arguments in the order of the sources and returns a future.
    pub(crate) fn function(&self, handler: &Ident, is_async: bool) -> TokenStream {
        if is_async && self.order.is_sorted() {
            return quote_spanned!(handler.span()=> #handler);
        }
        let names: Vec<_> = (0..self.order.len())
            .map(|index| format_ident!("__argument_{index}", span = Span::mixed_site()))
            .collect();
        let taken = self.order.iter().map(|&index| &names[index]);
        let call = quote_spanned!(handler.span()=> #handler(#(#names),*));
        match is_async {
            true => quote!(|#(#taken),*| #call),
            false => quote!(|#(#taken),*| ::core::future::ready(#call)),
        }
    }

    /// Asserts that an argument leaves the request to those after it. Types with known names need no assertion.
    fn require_last(&mut self, index: usize, argument: &Argument) {
        if matches!(argument.source, Source::Request) && may_be_alias(unwrapped(&argument.ty)) {
            let mut ty = argument.ty.clone();
            Static.visit_type_mut(&mut ty);
            let span = Span::mixed_site().located_at(ty.span());
            let (handler, text, marker) = (self.handler, &argument.text, marker(index));
            self.body_checks.push(quote_spanned! {span=>
                ::conduit::route::require_last(
                    #handler, #text, <#ty as ::conduit::FromRequest<__State, #marker>>::TAKES_ALL,
                );
            });
        }
    }

    /// The source of an argument: an expression whose type implements `ArgumentSource`.
    fn source(&mut self, index: usize, argument: &'a Argument) -> TokenStream {
        let mut ty = argument.ty.clone();
        Static.visit_type_mut(&mut ty);
        let span = Span::mixed_site().located_at(ty.span());
        match &argument.source {
            Source::Request => {
                let marker = marker(index);
                let extractor = quote_spanned!(span=> ::conduit::FromRequest<__State, #marker>);
                self.bounds.push(quote_spanned!(span=> #ty: #extractor));
                self.bounds.push(quote!(#marker: ::conduit::route::MarkerIn<__Values>));
                let text = &argument.text;
                let taker = quote!((#text, <#ty as #extractor>::TAKES_BODY));
                if !self.takers.is_empty() {
                    let (handler, takers) = (self.handler, &self.takers);
                    self.body_checks.push(quote_spanned! {span=>
                        ::conduit::route::require_one_body(#handler, &[#(#takers),*], #taker);
                    });
                }
                self.takers.push(taker);
                self.is_ambient.push(quote!(<#ty as #extractor>::IS_AMBIENT));
                let source = quote_spanned!(span=> ::conduit::route::Extractor::<#ty, #marker>::NEW);
                self.markers.push(marker);
                source
            }
            Source::Path {
                wrapper,
                is_valid,
                parameters,
                structure,
            } => {
                self.structures.extend(structure.as_deref());
                let list = parameter_list(parameters, self.count);
                path_argument(&ty, *wrapper, *is_valid, &list)
            }
            Source::Alias(parameter) => {
                // No bound here: each list with the handler would report it again.
                let list = parameter_list(std::slice::from_ref(parameter), self.count);
                quote_spanned! {ty.span()=>
                    ::conduit::route::Parameters(|__request: &::conduit::Request| {
                        <#ty as ::conduit::extract::PathArgument>::take(__request, #list)
                    })
                }
            }
        }
    }
}

/// The type parameter of a handler's implementation for the marker of an extractor.
pub(crate) fn marker(index: usize) -> Ident {
    format_ident!("__Marker{index}", span = Span::mixed_site())
}

/// The source of a `Path` argument.
fn path_argument(ty: &Type, wrapper: Wrapper, is_valid: bool, list: &TokenStream) -> TokenStream {
    let span = Span::mixed_site().located_at(ty.span());
    let taken = if is_valid {
        quote!(::conduit::Valid::<::conduit::Path<_>>)
    } else {
        quote!(::conduit::Path)
    };
    // An argument of type `Result` receives the result; for other types an error ends the extraction. The type of the argument
    // determines the inner type, which `Path::<_>` infers.
    let result = match wrapper {
        Wrapper::None => quote_spanned!(span=> <#ty>::from_parameters(__request, #list)),
        Wrapper::Option => quote_spanned! {span=> {
            let __taken: #ty = #taken::from_parameters(__request, #list).ok();
            ::core::result::Result::<_, ::core::convert::Infallible>::Ok(__taken)
        }},
        Wrapper::Result => quote_spanned! {span=> {
            let __taken: #ty = #taken::from_parameters(__request, #list);
            ::core::result::Result::<_, ::core::convert::Infallible>::Ok(__taken)
        }},
    };
    quote_spanned!(span=> ::conduit::route::Parameters(|__request: &::conduit::Request| #result))
}
