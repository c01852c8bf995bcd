//! The code of a handler that extracts its arguments from the request.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::Type;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;

use crate::arguments::{Argument, Source, Static, Wrapper, parameter_list, takes_all};

/// The parts of an implementation of `Handler` that its arguments determine.
pub(crate) struct Extraction<'a> {
    /// The number of parameters in the path.
    count: usize,
    /// The name of the function.
    handler: &'a str,
    request: &'a Ident,
    state: &'a Ident,
    /// The source text of each extractor and its `FromRequest::TAKES_BODY`.
    takers: Vec<TokenStream>,
    /// The variables of the arguments, in their order.
    pub(crate) names: Vec<Ident>,
    /// The type parameters for the markers of the extractors.
    pub(crate) markers: Vec<Ident>,
    pub(crate) bounds: Vec<TokenStream>,
    /// `FromRequest::IS_AMBIENT` of each extractor.
    pub(crate) is_ambient: Vec<TokenStream>,
    /// The assertions that one argument takes the body.
    pub(crate) body_checks: Vec<TokenStream>,
    /// The structs whose fields must be the parameters of the path.
    pub(crate) structures: Vec<&'a Type>,
    /// The statements that set the variables.
    pub(crate) steps: Vec<TokenStream>,
}

impl<'a> Extraction<'a> {
    pub(crate) fn new(
        arguments: &'a [Argument],
        count: usize,
        handler: &'a str,
        request: &'a Ident,
        state: &'a Ident,
    ) -> Self {
        let names = (0..arguments.len()).map(|index| format_ident!("__argument_{index}", span = Span::mixed_site()));
        let mut extraction = Extraction {
            count,
            handler,
            request,
            state,
            takers: Vec::new(),
            names: names.collect(),
            markers: Vec::new(),
            bounds: Vec::new(),
            is_ambient: Vec::new(),
            body_checks: Vec::new(),
            structures: Vec::new(),
            steps: Vec::new(),
        };
        // `Request` takes everything, so it is extracted after all other arguments.
        let (last, first): (Vec<_>, Vec<_>) = arguments
            .iter()
            .enumerate()
            .partition(|(_, argument)| takes_all(&argument.ty));
        let mut steps = vec![TokenStream::new(); arguments.len()];
        for (index, argument) in arguments.iter().enumerate() {
            steps[index] = extraction.step(index, argument);
        }
        extraction.steps = [first, last]
            .concat()
            .into_iter()
            .map(|(index, _)| std::mem::take(&mut steps[index]))
            .collect();
        extraction
    }

    /// The statement that sets the variable of an argument.
    fn step(&mut self, index: usize, argument: &'a Argument) -> TokenStream {
        let name = self.names[index].clone();
        let mut ty = argument.ty.clone();
        Static.visit_type_mut(&mut ty);
        let span = Span::mixed_site().located_at(ty.span());
        let taken = self.expression(index, argument, &ty, span);
        // An argument of type `Result` receives the result; for other types an error ends the extraction.
        match &argument.source {
            Source::Path {
                wrapper: Wrapper::Option | Wrapper::Result,
                ..
            } => quote_spanned!(span=> let #name = #taken;),
            _ => quote_spanned! {span=>
                let #name = match #taken {
                    ::core::result::Result::Ok(__value) => __value,
                    ::core::result::Result::Err(__rejection) => return ::conduit::IntoResponse::into_response(__rejection),
                };
            },
        }
    }

    /// The expression that extracts an argument; its value is a `Result` unless the argument is an `Option`.
    fn expression(&mut self, index: usize, argument: &'a Argument, ty: &Type, span: Span) -> TokenStream {
        let Extraction { request, state, .. } = *self;
        match &argument.source {
            Source::Request => {
                let marker = marker(index);
                let extractor = quote_spanned!(span=> ::conduit::FromRequest<__State, #marker>);
                self.bounds.push(quote_spanned!(span=> #ty: #extractor));
                self.bounds.push(quote!(#marker: ::conduit::route::MarkerIn<__Values>));
                self.markers.push(marker);
                let text = &argument.text;
                let taker = quote!((#text, <#ty as #extractor>::TAKES_BODY));
                if !self.takers.is_empty() {
                    let (handler, takers) = (self.handler, &self.takers);
                    self.body_checks.push(quote_spanned! {span=>
                        const { ::conduit::route::require_one_body(#handler, &[#(#takers),*], #taker) };
                    });
                }
                self.takers.push(taker);
                self.is_ambient.push(quote!(<#ty as #extractor>::IS_AMBIENT));
                quote_spanned!(span=> <#ty as #extractor>::from_request(&mut #request, &#state).await)
            }
            Source::Path {
                wrapper,
                is_valid,
                parameters,
                structure,
            } => {
                self.structures.extend(structure.as_deref());
                let list = parameter_list(parameters, self.count);
                path_argument(ty, *wrapper, *is_valid, &list, request)
            }
            Source::Alias(parameter) => {
                // Without a bound, which each list with the handler would report once more.
                let list = parameter_list(std::slice::from_ref(parameter), self.count);
                quote_spanned!(ty.span()=> <#ty as ::conduit::extract::PathArgument>::take(&#request, #list))
            }
        }
    }
}

/// The type parameter of a handler's implementation for the marker of an extractor.
pub(crate) fn marker(index: usize) -> Ident {
    format_ident!("__Marker{index}", span = Span::mixed_site())
}

/// The expression that extracts a `Path` argument from the request.
fn path_argument(ty: &Type, wrapper: Wrapper, is_valid: bool, list: &TokenStream, request: &Ident) -> TokenStream {
    let span = Span::mixed_site().located_at(ty.span());
    let taken = if is_valid {
        quote!(::conduit::Valid::<::conduit::Path<_>>)
    } else {
        quote!(::conduit::Path)
    };
    match wrapper {
        Wrapper::None => quote_spanned!(span=> <#ty>::from_parameters(&#request, #list)),
        // The type of the argument determines the inner type, which `Path::<_>` infers.
        Wrapper::Option => quote_spanned! {span=> {
            let __taken: #ty = #taken::from_parameters(&#request, #list).ok();
            __taken
        }},
        Wrapper::Result => quote_spanned! {span=> {
            let __taken: #ty = #taken::from_parameters(&#request, #list);
            __taken
        }},
    }
}
