//! `#[get]` and the other route attributes.

use conduit_route::Pattern;
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Error, FnArg, Item, ItemFn, Lifetime, Meta, PatType, ReturnType, Safety, Signature, Type, TypeImplTrait,
    TypeReference,
};

use crate::arguments::{Argument, PRIMITIVES, body_checks, classify, owned};
use crate::attribute::RouteArguments;
use crate::client;
use crate::describe::describe;
use crate::extraction::Extraction;
use crate::link;
use crate::tool::{self, ToolOption};

/// The maximum number of arguments with `#[cfg]` in one handler: each combination generates one implementation.
const CONDITION_LIMIT: usize = 4;

/// The maximum number of arguments of one handler: `conduit::route` has a function for each number.
const ARGUMENT_LIMIT: usize = 16;

/// Expands an attribute with the name of a method; its argument is the path.
pub(crate) fn expand(method: &str, arguments: TokenStream, item: TokenStream) -> TokenStream {
    with_generated_items(item, RouteArguments::of_method(method, arguments))
}

/// Expands `#[route(METHOD, "/path")]`.
pub(crate) fn expand_route(arguments: TokenStream, item: TokenStream) -> TokenStream {
    with_generated_items(item, RouteArguments::with_method(arguments))
}

/// Returns the unchanged function, so that its errors keep their spans, followed by the generated items.
///
/// Handlers run on one thread, so the lint that requires `Send` futures does not apply.
fn with_generated_items(item: TokenStream, route: Result<RouteArguments, Error>) -> TokenStream {
    let more = match Function::parse(item.clone()) {
        Ok(function) => match function.second_route() {
            Some(error) => return function.without_second_route(&error),
            None => function.expand(route),
        },
        Err(error) => error.into_compile_error(),
    };
    quote!(#[allow(clippy::future_not_send)] #item #more)
}

/// A function with a route attribute.
struct Function {
    item: ItemFn,
}

impl Function {
    fn parse(item: TokenStream) -> Result<Self, Error> {
        let function = match syn::parse2::<Item>(item.clone()) {
            Ok(Item::Fn(function)) => function,
            // A method is not an `Item`.
            Ok(other) => {
                return Err(Error::new(
                    other.span(),
                    "a route attribute applies only to a `fn` or `async fn`",
                ));
            }
            Err(error) => syn::parse2::<ItemFn>(item).map_err(|_| error)?,
        };
        let Signature {
            generics,
            ident,
            safety,
            inputs,
            ..
        } = &function.sig;
        if let Some(FnArg::Receiver(receiver)) = inputs.first() {
            let message = "a handler cannot be a method, because there is no `self` to call it on: \
                write a function outside of the `impl` and take the data as `State<…>`";
            return Err(Error::new(receiver.span(), message));
        }
        if !generics.params.is_empty() {
            let message = "a handler cannot be generic, because a request cannot choose a type: \
                write one handler for each type, each of which can call a generic function";
            return Err(Error::new(generics.span(), message));
        }
        for input in inputs {
            let mut generic = ImplTrait(None);
            if let FnArg::Typed(input) = input {
                generic.visit_type_mut(&mut input.ty.clone());
            }
            if let Some(span) = generic.0 {
                let message = "an argument of a handler cannot be `impl Trait`, because a request cannot choose a type: write a concrete type";
                return Err(Error::new(span, message));
            }
        }
        let name = ident.to_string();
        if PRIMITIVES.contains(&&*name) || name == "str" {
            let message = format!(
                "a handler cannot be named `{name}`: the attribute adds a type of the same name, which would hide the \
                 primitive type in this module: rename the function"
            );
            return Err(Error::new(ident.span(), message));
        }
        if let Safety::Unsafe(token) = safety {
            return Err(Error::new(
                token.span(),
                "a handler cannot be `unsafe`, because any request can call it: write a safe function",
            ));
        }
        Ok(Function { item: function })
    }

    /// The error for a second route attribute, which would define the type of the handler again.
    fn second_route(&self) -> Option<Error> {
        let attribute = self.item.attrs.iter().find(|attribute| is_route(attribute))?;
        let message = "a function can have only one route: write a second handler that calls this function";
        Some(Error::new(attribute.span(), message))
    }

    /// The function without its other route attributes, so that they report no further errors.
    fn without_second_route(mut self, error: &Error) -> TokenStream {
        self.item.attrs.retain(|attribute| !is_route(attribute));
        let item = &self.item;
        let stub = self.expand(Err(error.clone()));
        quote!(#item #stub)
    }

    /// The generated type, and its implementations of `Route` and `Handler`.
    ///
    /// They are generated after an error too, so that the lists that contain the handler report no further errors.
    fn expand(&self, route: Result<RouteArguments, Error>) -> TokenStream {
        let route = route.and_then(|arguments| match Pattern::parse(&arguments.path.value()) {
            Ok(_) => Ok(arguments),
            Err(error) => Err(Error::new(arguments.path.span(), error)),
        });
        let route = route.and_then(|arguments| self.borrowed_answer().map_or(Ok(arguments), Err));
        let handlers = match &route {
            Ok(arguments) => self.handlers(arguments),
            Err(error) => self.stub(error),
        };
        let ItemFn {
            attrs,
            vis,
            sig: Signature { ident, .. },
            ..
        } = &self.item;
        let copied = attrs
            .iter()
            .filter(|attribute| attribute.path().is_ident("doc") || is_condition(attribute));
        quote! {
            ::conduit::route::a_handler_is_a_function_outside_of_impl_and_adds_a_type_of_its_name! {
                #(#copied)* #vis #ident
            }

            #handlers
        }
    }

    /// The error for a borrowed return type: the arguments are dropped when the function returns.
    fn borrowed_answer(&self) -> Option<Error> {
        let Signature { inputs, output, .. } = &self.item.sig;
        let ReturnType::Type(_, ty) = output else { return None };
        let lends = |input: &PatType| {
            let mut found = Borrowed::default();
            found.visit_type_mut(&mut input.ty.clone());
            found.reference.is_some() || found.has_lifetime
        };
        if inputs.iter().filter_map(typed).any(lends) {
            return None;
        }
        let mut found = Borrowed::default();
        found.visit_type_mut(&mut (**ty).clone());
        let (reference, owned) = found.reference?;
        let message = format!(
            "handlers cannot return borrowed data: write `{owned}`, or `&'static` \
             for constant data"
        );
        Some(Error::new_spanned(reference, message))
    }

    fn name(&self) -> String {
        self.item.sig.ident.unraw().to_string()
    }

    /// The item with the route's method and path.
    fn definition(&self, path: TokenStream, route: Option<&RouteArguments>, of_prefix: &[&str]) -> TokenStream {
        let ident = &self.item.sig.ident;
        let name = self.name();
        let method = route.map_or("GET", |route| &route.method);
        let disconnect = match route.and_then(|route| route.disconnect.as_ref()) {
            Some(variant) => quote!(::core::option::Option::Some(::conduit::Disconnect::#variant)),
            None => quote!(::core::option::Option::None),
        };
        let link = match route.and_then(RouteArguments::link_path) {
            Some(path) => quote!(::core::option::Option::Some(#path)),
            None => quote!(::core::option::Option::None),
        };
        let tool = match route.and_then(|route| route.tool.as_ref()) {
            None => quote!(::core::option::Option::None),
            Some(ToolOption { name, .. }) => {
                let text = match name {
                    Some(name) => quote!(::core::option::Option::Some(#name)),
                    None => quote!(::core::option::Option::None),
                };
                quote!(::core::option::Option::Some(::conduit::route::ToolName { text: #text, prefix_bytes: 0 }))
            }
        };
        quote! {
            impl ::conduit::route::Attributed for #ident {
                const DEFINITION: ::conduit::route::Definition = ::conduit::route::Definition {
                    method: #method,
                    path: #path,
                    handler: ::core::concat!(::core::module_path!(), "::", #name),
                    file: ::core::file!(),
                    line: ::core::line!(),
                    disconnect: #disconnect,
                    of_prefix: &[#(#of_prefix),*],
                    link: #link,
                    tool: #tool,
                };
            }
        }
    }

    /// Implements `Handler` for each combination of the conditions on the arguments; there is usually only one.
    fn handlers(&self, route: &RouteArguments) -> TokenStream {
        let path = &route.path;
        let inputs: Vec<&PatType> = self.item.sig.inputs.iter().filter_map(typed).collect();
        let conditional: Vec<&PatType> = inputs
            .iter()
            .copied()
            .filter(|input| input.attrs.iter().any(is_condition))
            .collect();
        if conditional.len() > CONDITION_LIMIT {
            let message =
                format!("at most {CONDITION_LIMIT} arguments of a handler may have `#[cfg]`: write two handlers");
            return self.stub(&Error::new(conditional[CONDITION_LIMIT].span(), message));
        }
        let mut handlers = TokenStream::new();
        for combination in 0..1_usize << conditional.len() {
            let is_present = |input: &PatType| match conditional.iter().position(|other| std::ptr::eq(*other, input)) {
                Some(index) => combination >> index & 1 == 1,
                None => true,
            };
            let present: Vec<&PatType> = inputs.iter().copied().filter(|input| is_present(input)).collect();
            if let Some(excess) = present.get(ARGUMENT_LIMIT) {
                let message = format!(
                    "a handler has at most {ARGUMENT_LIMIT} arguments: take several parameters of the path in one struct with \
                     `Path<…>`, and fields of the query in one with `Query<…>`"
                );
                return self.stub(&Error::new(excess.span(), message));
            }
            let conditions = conditions(&self.item.attrs);
            let combined = (!conditional.is_empty()).then(|| {
                let each = conditional.iter().map(|input| {
                    let predicates = predicates(&input.attrs);
                    if is_present(input) {
                        quote!(all(#(#predicates),*))
                    } else {
                        quote!(not(all(#(#predicates),*)))
                    }
                });
                quote!(#[cfg(all(#(#each),*))])
            });
            let text = path.value();
            // The caller has parsed the path, so this cannot fail.
            let Ok(pattern) = Pattern::parse(&text) else { continue };
            let tool = |arguments: &[Argument]| match &route.tool {
                Some(option) => tool::assertions(&self.item, option, arguments),
                None => Ok(Vec::new()),
            };
            let arguments = classify(pattern, path.span(), &self.item.sig.ident, &present);
            let items = match arguments.and_then(|arguments| Ok((tool(&arguments)?, arguments))) {
                Ok((mut assertions, arguments)) => {
                    assertions.extend(self.handler(route, pattern.parameters(), &arguments));
                    assertions
                }
                Err(error) => self.stub_items(&error),
            };
            handlers.extend(items.into_iter().map(|item| quote!(#conditions #combined #item)));
        }
        handlers
    }

    /// The items of the `Handler` implementation.
    fn handler(&self, route: &RouteArguments, count: usize, arguments: &[Argument]) -> Vec<TokenStream> {
        let Signature {
            ident,
            asyncness,
            output,
            ..
        } = &self.item.sig;
        let name = self.name();
        let extraction = Extraction::new(arguments, count, &name);
        let Extraction {
            markers,
            bounds,
            sources,
            ..
        } = &extraction;
        let structures = extraction.structures.iter();
        let mut items: Vec<TokenStream> = structures.map(|structure| self.name_check(structure)).collect();
        items.extend(body_checks(&name, arguments));
        let path = route.path.value();
        let of_prefix = arguments.iter().flat_map(Argument::of_prefix);
        let of_prefix: Vec<&str> = of_prefix.map(|parameter| parameter.name.as_str()).collect();
        items.push(self.definition(quote!(#path), Some(route), &of_prefix));
        items.extend(link::functions(&self.item, route, arguments));
        items.extend(client::function(&self.item, route, arguments));
        let span = match output {
            ReturnType::Default => ident.span(),
            ReturnType::Type(_, ty) => ty.span(),
        };
        let span = Span::mixed_site().located_at(span);
        let description = describe(&self.item, count, arguments, route.describe.as_ref());
        let cross_origin = extraction.cross_origin(route.is_cross_origin);
        let function = extraction.function(ident, asyncness.is_some());
        let respond = format_ident!("respond_{}", sources.len());
        let convert = quote_spanned!(span=> |__returned| ::conduit::IntoResponse::into_response(__returned));
        items.push(quote! {
            #[allow(deprecated, unused_mut, unused_variables, clippy::future_not_send)]
            impl<__State: 'static, __Values: 'static, #(#markers),*>
                ::conduit::route::Handler<__State, __Values, (#(#markers,)*)> for #ident
            where
                #(#bounds,)*
            {
                #cross_origin

                fn serve(
                    __state: ::std::rc::Rc<__State>,
                    __call: ::std::rc::Rc<::conduit::route::CallSlot>,
                ) -> ::conduit::route::ServingFuture {
                    ::conduit::route::#respond(__state, __call, || (#(#sources,)* #function, #convert))
                }

                #description
            }
        });
        items
    }

    /// An assertion that the fields of the struct are the parameters of the path.
    fn name_check(&self, structure: &Type) -> TokenStream {
        let ident = &self.item.sig.ident;
        let text = structure.to_token_stream().to_string();
        let span = Span::mixed_site().located_at(structure.span());
        quote_spanned! {span=>
            const _: () = ::conduit::route::require_names(
                &<#ident as ::conduit::route::Route>::DEFINITION,
                #text,
                <#structure as ::conduit::PathParams>::NAMES,
            );
        }
    }

    fn stub(&self, error: &Error) -> TokenStream {
        let conditions = conditions(&self.item.attrs);
        self.stub_items(error)
            .into_iter()
            .map(|item| quote!(#conditions #item))
            .collect()
    }

    /// The error, and a `Handler` that is never called.
    fn stub_items(&self, error: &Error) -> Vec<TokenStream> {
        let ident = &self.item.sig.ident;
        let mut items: Vec<TokenStream> = error.clone().into_iter().map(Error::into_compile_error).collect();
        let name = self.name();
        // The line number makes the path unique, so that no conflict is reported.
        let path = quote!(::core::concat!("/", #name, ":", ::core::line!()));
        items.push(self.definition(path, None, &[]));
        items.push(quote! {
            #[allow(clippy::future_not_send)]
            impl<__State: 'static, __Values: 'static> ::conduit::route::Handler<__State, __Values, ()> for #ident {
                fn serve(
                    _: ::std::rc::Rc<__State>,
                    _: ::std::rc::Rc<::conduit::route::CallSlot>,
                ) -> ::conduit::route::ServingFuture {
                    ::std::boxed::Box::pin(::core::future::pending())
                }
            }
        });
        items
    }
}

fn typed(input: &FnArg) -> Option<&PatType> {
    match input {
        FnArg::Typed(input) => Some(input),
        FnArg::Receiver(_) => None,
    }
}

/// Returns whether an attribute is one of the route attributes of this crate.
fn is_route(attribute: &Attribute) -> bool {
    const ROUTES: [&str; 9] = [
        "get", "post", "put", "patch", "delete", "head", "options", "query", "route",
    ];
    let last = attribute.path().segments.last();
    last.is_some_and(|last| ROUTES.iter().any(|name| last.ident == name))
}

fn is_condition(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
}

/// The `#[cfg]`s among some attributes.
fn conditions(attributes: &[Attribute]) -> TokenStream {
    attributes
        .iter()
        .filter(|attribute| is_condition(attribute))
        .map(ToTokens::to_token_stream)
        .collect()
}

/// The predicate of each `#[cfg]`.
fn predicates(attributes: &[Attribute]) -> Vec<TokenStream> {
    let list = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) => Some(list.tokens.clone()),
        _ => None,
    };
    attributes
        .iter()
        .filter(|attribute| is_condition(attribute))
        .filter_map(list)
        .collect()
}

/// Finds the first reference without a lifetime and its owned counterpart, and whether any lifetime exists.
#[derive(Default)]
struct Borrowed {
    reference: Option<(TypeReference, String)>,
    has_lifetime: bool,
}

impl VisitMut for Borrowed {
    fn visit_lifetime_mut(&mut self, _: &mut Lifetime) {
        self.has_lifetime = true;
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if reference.lifetime.is_none() {
            let found = (reference.clone(), owned(&reference.elem));
            self.reference.get_or_insert(found);
        }
        visit_mut::visit_type_reference_mut(self, reference);
    }
}

/// Finds `impl Trait` in an argument's type.
struct ImplTrait(Option<Span>);

impl VisitMut for ImplTrait {
    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        self.0.get_or_insert(ty.span());
    }
}
