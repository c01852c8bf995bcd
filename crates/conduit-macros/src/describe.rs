//! The description of a handler's requests and responses for the OpenAPI document: `Handler::describe`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Expr, GenericArgument, ItemFn, Meta, PathArguments, ReturnType, Token, Type, TypeImplTrait};

use crate::arguments::{Argument, Source, Static, Wrapper, parameter_list};
use crate::extraction::marker;

/// Types without a schema whose type arguments may have one.
const CARRIERS: [&str; 10] = [
    "Result", "Json", "Form", "Query", "Path", "Valid", "Created", "Status", "Html", "Pin",
];

/// Types that do not affect the requests and responses of clients.
const UNSEEN: [&str; 5] = ["State", "Provided", "Extension", "Problem", "Infallible"];

/// Generates `Handler::describe` for a handler whose path has `count` parameters, with the function `more` at its end; empty
/// without the feature `openapi`.
pub(crate) fn describe(item: &ItemFn, count: usize, arguments: &[Argument], more: Option<&Expr>) -> TokenStream {
    if !cfg!(feature = "openapi") {
        return TokenStream::new();
    }
    let signature = &item.sig;
    let operation = &Ident::new("__operation", Span::mixed_site());
    let ident = &signature.ident;
    let documentation: Vec<_> = item.attrs.iter().filter_map(documentation).collect();
    let documented = (!documentation.is_empty()).then(|| quote!(#operation.documentation(&[#(#documentation),*]);));
    let deprecated = has(&item.attrs, "deprecated").then(|| quote!(#operation.deprecated();));
    let hidden = item.attrs.iter().any(is_hidden).then(|| quote!(#operation.hide();));
    let mut known = Known::default();
    let mut taken = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        let mut ty = argument.ty.clone();
        Static.visit_type_mut(&mut ty);
        known.look_into(&ty);
        taken.push(described(index, &ty, count, argument, operation));
    }
    if let ReturnType::Type(_, ty) = &signature.output {
        let mut ty = (**ty).clone();
        Static.visit_type_mut(&mut ty);
        known.look_into(&ty);
    }
    let types = known.types.iter().map(|ty| {
        let span = Span::mixed_site().located_at(ty.span());
        quote_spanned!(span=> ::conduit::openapi::SchemaOf::<#ty>::NEW.make_known(#operation);)
    });
    let more = more.map(|more| {
        let span = Span::mixed_site().located_at(more.span());
        quote_spanned!(span=> let __describe: fn(&mut ::conduit::openapi::Operation) = #more; __describe(#operation);)
    });
    let unmade = arguments.iter().map(|_| quote!(::conduit::openapi::never_made()));
    let by = match signature.asyncness {
        Some(_) => quote!(by_future),
        None => quote!(by),
    };
    quote! {
        fn describe(#operation: &mut ::conduit::openapi::Operation) {
            #[allow(unused_imports)]
            use ::conduit::openapi::{HasNoSchema as _, NotAResponse as _};
            #documented
            #deprecated
            #hidden
            #(#types)*
            #(#taken)*
            ::conduit::openapi::Returned::#by(|| #ident(#(#unmade),*)).describe(#operation);
            #more
        }
    }
}

/// The description of an argument's input.
fn described(index: usize, ty: &Type, count: usize, argument: &Argument, operation: &Ident) -> TokenStream {
    let span = Span::mixed_site().located_at(ty.span());
    let list = parameter_list(argument.parameters(), count);
    match &argument.source {
        Source::Request => {
            let marker = marker(index);
            quote_spanned!(span=> <#ty as ::conduit::FromRequest<__State, #marker>>::describe(#operation);)
        }
        // The form and the span of the handler's call: the compiler shows equal errors once.
        Source::Alias(_) => quote_spanned! {ty.span()=>
            <#ty as ::conduit::extract::PathArgument>::schema().make_known(#operation);
            <#ty as ::conduit::extract::PathArgument>::describe(#operation, #list);
        },
        Source::Path { wrapper, .. } => match (wrapper, path_argument(ty, *wrapper)) {
            (Wrapper::None, _) | (_, None) => quote_spanned!(span=> <#ty>::describe_parameters(#operation, #list);),
            (_, Some(inner)) => quote_spanned! {span=>
                #operation.without_responses(|#operation| <#inner>::describe_parameters(#operation, #list));
            },
        },
    }
}

/// The `Path<T>` in an `Option` or `Result`.
fn path_argument(ty: &Type, wrapper: Wrapper) -> Option<&Type> {
    if wrapper == Wrapper::None {
        return Some(ty);
    }
    let Type::Path(path) = ty else { return None };
    type_arguments(&path.path.segments.last()?.arguments).next()
}

fn type_arguments(arguments: &PathArguments) -> impl Iterator<Item = &Type> {
    let list = match arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    list.into_iter().flatten().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// The text of a doc comment or of `#[doc = …]`.
fn documentation(attribute: &Attribute) -> Option<TokenStream> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => {
            let text = &pair.value;
            Some(if is_comment(text) {
                quote!(::conduit::openapi::DocComment::Comment(#text))
            } else {
                quote!(::conduit::openapi::DocComment::Attribute(#text))
            })
        }
        _ => None,
    }
}

/// Returns whether the text was written as `///` or `/**`; the compiler passes both to macros as `#[doc = …]`.
fn is_comment(text: &Expr) -> bool {
    let source = text.span().source_text();
    source.is_some_and(|source| source.starts_with("///") || source.starts_with("/**"))
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident(name))
}

/// `#[doc(hidden)]`, or a list with `hidden`.
pub(crate) fn is_hidden(attribute: &Attribute) -> bool {
    let Meta::List(list) = &attribute.meta else {
        return false;
    };
    let options = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    list.path.is_ident("doc")
        && options.is_ok_and(|options| options.iter().any(|option| option.path().is_ident("hidden")))
}

/// The types in a signature whose schemas an extractor or a response may require.
#[derive(Default)]
struct Known {
    types: Vec<Type>,
}

impl Known {
    /// Adds the types in `ty`, which is itself an extractor or a response.
    fn look_into(&mut self, ty: &Type) {
        match ty {
            Type::Path(path) => {
                let Some(last) = path.path.segments.last() else { return };
                if UNSEEN.iter().any(|name| last.ident == name) {
                    return;
                }
                type_arguments(&last.arguments).for_each(|inner| self.add(inner));
            }
            Type::Tuple(tuple) => tuple.elems.iter().for_each(|inner| self.look_into(inner)),
            Type::Array(array) => self.look_into(&array.elem),
            Type::Reference(reference) => self.look_into(&reference.elem),
            Type::Paren(inner) => self.look_into(&inner.elem),
            Type::Group(inner) => self.look_into(&inner.elem),
            _ => {}
        }
    }

    /// Adds a type and the types in it.
    fn add(&mut self, ty: &Type) {
        let name = match ty {
            Type::Path(path) => path.path.segments.last().map(|last| &last.ident),
            Type::Tuple(_) | Type::Array(_) | Type::Reference(_) => None,
            Type::Paren(inner) => return self.add(&inner.elem),
            Type::Group(inner) => return self.add(&inner.elem),
            _ => return,
        };
        let is_one_of = |names: &[&str]| name.is_some_and(|name| names.iter().any(|known| name == known));
        if is_one_of(&UNSEEN) {
            return;
        }
        let mut unnamed = Unnamed(false);
        unnamed.visit_type_mut(&mut ty.clone());
        if !unnamed.0 && !is_one_of(&CARRIERS) {
            let text = ty.to_token_stream().to_string();
            if self
                .types
                .iter()
                .all(|known| known.to_token_stream().to_string() != text)
            {
                self.types.push(ty.clone());
            }
        }
        // The schema of a list contains the schema of its elements, but only a registered type gets a unique name if
        // another type has the same name.
        match ty {
            Type::Tuple(tuple) => tuple.elems.iter().for_each(|inner| self.add(inner)),
            _ => self.look_into(ty),
        }
    }
}

/// Detects `impl Trait` and other types that cannot be repeated in generated code.
struct Unnamed(bool);

impl VisitMut for Unnamed {
    fn visit_type_impl_trait_mut(&mut self, _: &mut TypeImplTrait) {
        self.0 = true;
    }

    fn visit_type_mut(&mut self, ty: &mut Type) {
        self.0 |= matches!(ty, Type::Infer(_) | Type::Macro(_));
        visit_mut::visit_type_mut(self, ty);
    }
}
