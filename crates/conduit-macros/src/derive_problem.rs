//! `#[derive(Problem)]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Expr, Field, Fields, Lit, LitInt, LitStr, Token, Type, parse_quote};

/// Expands `#[derive(Problem)]`.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    syn::parse2(input)
        .and_then(|input| expand_input(&input))
        .unwrap_or_else(Error::into_compile_error)
}

fn expand_input(input: &DeriveInput) -> Result<TokenStream, Error> {
    let ident = &input.ident;
    let derives_error = derives_error(input);
    let implements_error = derives_error || Options::parse(&input.attrs)?.std_error;
    let mut arms = TokenStream::new();
    let mut described = TokenStream::new();
    let mut conversions = TokenStream::new();
    let mut shows_itself = false;
    let is_generic = input.generics.type_params().next().is_some();
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    // A cause must be `'static`, which a borrowing or generic error may not be.
    let is_cause = implements_error && input.generics.params.is_empty();
    let mut each = |attributes: &[Attribute], name: TokenStream, id: String, span: Span, fields: &Fields| {
        let case = Case::parse(attributes, span, fields)?;
        arms.extend(case.arm(&name, is_cause));
        shows_itself |= matches!(case.options.detail, Detail::Display(_));
        described.extend(case.description(&id, is_generic));
        if let Some((place, ty)) = case.from(derives_error) {
            let value = construct(&name, fields, place);
            conversions.extend(quote_spanned! {ty.span()=>
                impl #generics ::core::convert::From<#ty> for #ident #arguments #conditions {
                    fn from(__cause: #ty) -> Self {
                        #value
                    }
                }
            });
        }
        Ok::<(), Error>(())
    };
    match &input.data {
        Data::Struct(data) => {
            let id = ident.unraw().to_string();
            each(&input.attrs, quote!(#ident), id, ident.span(), &data.fields)?;
        }
        Data::Enum(data) => {
            for variant in &data.variants {
                let name = &variant.ident;
                let id = format!("{}_{}", ident.unraw(), name.unraw());
                each(&variant.attrs, quote!(#ident::#name), id, name.span(), &variant.fields)?;
            }
        }
        Data::Union(_) => {
            return Err(Error::new(
                ident.span(),
                "`Problem` cannot be derived for a union: write an enum or a struct",
            ));
        }
    }
    let text = shows_itself.then(|| quote!(let __text = ::std::string::ToString::to_string(&self);));
    let into_problem = if implements_error {
        into_problem_of_an_error(input)
    } else {
        into_box_error(input)
    };
    Ok(quote! {
        impl #generics ::conduit::problem::IntoProblem for #ident #arguments #conditions {
            #[allow(unused_variables, deprecated, clippy::useless_conversion)]
            fn into_problem(self) -> ::conduit::Problem {
                #text
                match self { #arms }
            }
        }

        impl #generics ::conduit::IntoResponse for #ident #arguments #conditions {
            fn into_response(self) -> ::conduit::Response {
                ::conduit::IntoResponse::into_response(::conduit::problem::IntoProblem::into_problem(self))
            }

            #[allow(unused_imports)]
            fn describe(__operation: &mut ::conduit::openapi::Operation) {
                use ::conduit::openapi::HasNoSchema as _;
                #described
            }
        }

        #into_problem

        #conversions
    })
}

/// Generates the conversion that `?` uses for a type that does not implement `std::error::Error`.
fn into_box_error(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    quote! {
        impl #generics ::core::convert::From<#ident #arguments> for ::conduit::BoxError #conditions {
            fn from(__error: #ident #arguments) -> Self {
                ::conduit::Problem::into_error(::conduit::problem::IntoProblem::into_problem(__error))
            }
        }
    }
}

/// Generates the conversion that `?` uses for a type that implements `std::error::Error`.
///
/// Such a type converts into a `BoxError`, so the blanket conversion of errors to problems, which has no status, would
/// apply. That conversion requires `Unpin`. An `Unpin` implementation with an unsatisfiable condition excludes the type
/// from it and permits a separate conversion.
fn into_problem_of_an_error(input: &DeriveInput) -> TokenStream {
    let ident = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    // A condition with a lifetime is not checked at its definition.
    let mut pinned = input.generics.clone();
    pinned.params.insert(0, parse_quote!('__conduit));
    pinned
        .make_where_clause()
        .predicates
        .push(parse_quote!(#ident #arguments: ::conduit::problem::Never<'__conduit>));
    let (pinned_generics, _, pinned_conditions) = pinned.split_for_impl();
    quote! {
        impl #pinned_generics ::core::marker::Unpin for #ident #arguments #pinned_conditions {}

        impl #generics ::core::convert::From<#ident #arguments> for ::conduit::Problem #conditions {
            fn from(__error: #ident #arguments) -> Self {
                ::conduit::problem::IntoProblem::into_problem(__error)
            }
        }
    }
}

/// Returns whether the type derives `thiserror::Error` as well, whose attribute is `#[error(…)]`.
fn derives_error(input: &DeriveInput) -> bool {
    let has_error = |attributes: &[Attribute]| attributes.iter().any(|attribute| attribute.path().is_ident("error"));
    let in_a_variant = match &input.data {
        Data::Enum(data) => data.variants.iter().any(|variant| has_error(&variant.attrs)),
        Data::Struct(_) | Data::Union(_) => false,
    };
    has_error(&input.attrs) || in_a_variant
}

/// The expression that constructs the value from its cause alone.
fn construct(name: &TokenStream, fields: &Fields, place: usize) -> TokenStream {
    match fields {
        Fields::Named(fields) => {
            let field = &fields.named[place].ident;
            quote!(#name { #field: ::core::convert::Into::into(__cause) })
        }
        _ => quote!(#name(::core::convert::Into::into(__cause))),
    }
}

/// A variant, or the struct.
struct Case<'a> {
    options: Options,
    fields: &'a Fields,
    roles: Vec<Role>,
}

/// The options of `#[problem(…)]` on a variant or a struct.
#[derive(Default)]
struct Options {
    status: Option<Expr>,
    title: Option<LitStr>,
    kind: Option<LitStr>,
    detail: Detail,
    transparent: bool,
    /// On the type: `std::error::Error` is implemented by hand.
    std_error: bool,
}

/// The source of the detail, which describes one occurrence of the problem.
#[derive(Default)]
enum Detail {
    #[default]
    None,
    /// `detail = "…"`
    Format(LitStr),
    /// `detail` alone: the `Display` text of the error.
    Display(Span),
}

/// The purpose of a field in the problem.
#[derive(Default)]
struct Role {
    from: Option<Conversion>,
    source: bool,
    member: Option<String>,
}

/// The attribute that requests a conversion from a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conversion {
    /// `#[problem(from)]`
    Problem,
    /// `#[from]`, which `thiserror` also reads if the type derives its `Error`.
    Plain,
}

impl<'a> Case<'a> {
    fn parse(attributes: &[Attribute], span: Span, fields: &'a Fields) -> Result<Self, Error> {
        let options = Options::parse(attributes)?;
        let roles = fields.iter().map(Role::parse).collect::<Result<Vec<_>, _>>()?;
        let case = Case { options, fields, roles };
        if case.options.transparent {
            if fields.len() != 1 {
                let message = "a transparent variant must have exactly one field, the error to convert";
                return Err(Error::new(span, message));
            }
        } else if case.options.status.is_none() {
            let message = "the status is missing: write `#[problem(status = 404)]`, \
                or `#[problem(transparent)]` to use the status of the only field";
            return Err(Error::new(span, message));
        }
        if case.from(false).is_some() && fields.len() != 1 {
            let message = "`?` has only the value of the `from` field: remove the other fields, or remove `from`";
            return Err(Error::new(span, message));
        }
        Ok(case)
    }

    /// The index and type of the field that `?` converts from. If the type `derives_error`, `thiserror` generates the
    /// conversion for a plain `#[from]`.
    fn from(&self, derives_error: bool) -> Option<(usize, &Type)> {
        let place = self.roles.iter().position(|role| match role.from {
            Some(Conversion::Problem) => true,
            Some(Conversion::Plain) => !derives_error,
            None => false,
        })?;
        self.fields.iter().nth(place).map(|field| (place, &field.ty))
    }

    /// The names that the fields are bound to: the names of the fields, or `_0`, `_1`, ….
    fn bindings(&self) -> Vec<Ident> {
        let span = match &self.options.detail {
            Detail::Format(text) => text.span(),
            Detail::None | Detail::Display(_) => Span::call_site(),
        };
        let name = |(place, field): (usize, &Field)| match &field.ident {
            Some(name) => name.clone(),
            None => format_ident!("_{place}", span = span),
        };
        self.fields.iter().enumerate().map(name).collect()
    }

    /// The match arm that constructs the problem. Set `is_cause` if the error itself is the cause, with its own source.
    fn arm(&self, name: &TokenStream, is_cause: bool) -> TokenStream {
        let bindings = self.bindings();
        let pattern = match self.fields {
            Fields::Named(_) => quote!(#name { #(#bindings),* }),
            Fields::Unnamed(_) => quote!(#name(#(#bindings),*)),
            Fields::Unit => quote!(#name),
        };
        if self.options.transparent {
            let inner = &bindings[0];
            let span = self
                .fields
                .iter()
                .next()
                .map_or_else(|| inner.span(), |field| field.ty.span());
            return quote_spanned!(span=> #pattern => <::conduit::Problem as ::core::convert::From<_>>::from(#inner),);
        }
        let problem = self.problem(&bindings);
        if is_cause {
            return quote! {
                __error @ #name { .. } => {
                    let __problem = match &__error {
                        #pattern => #problem,
                        #[allow(unreachable_patterns)]
                        _ => ::core::unreachable!(),
                    };
                    __problem.with_cause(&__error)
                }
            };
        }
        let mut causes = TokenStream::new();
        for ((binding, role), field) in bindings.iter().zip(&self.roles).zip(self.fields) {
            if role.from.is_some() || role.source {
                let span = field.ty.span();
                causes.extend(quote_spanned!(span=> .with_cause(#binding.as_cause())));
            }
        }
        quote! {
            #pattern => {
                #[allow(unused_imports)]
                use ::conduit::problem::Cause as _;
                #problem #causes
            }
        }
    }

    /// The expression for the problem without its cause.
    fn problem(&self, bindings: &[Ident]) -> TokenStream {
        let status = self.options.status_code();
        let mut calls = TokenStream::new();
        if let Some(title) = &self.options.title {
            calls.extend(quote!(.with_title(#title)));
        }
        if let Some(kind) = &self.options.kind {
            calls.extend(quote!(.with_type(#kind)));
        }
        match &self.options.detail {
            Detail::None => {}
            Detail::Format(text) => {
                let text = with_named_places(text);
                calls.extend(quote!(.with_detail(::std::format!(#text))));
            }
            Detail::Display(span) => calls.extend(quote_spanned!(*span=> .with_detail(__text))),
        }
        for (binding, role) in bindings.iter().zip(&self.roles) {
            if let Some(member) = &role.member {
                calls.extend(quote_spanned!(binding.span()=> .with_serialized(#member, &#binding)));
            }
        }
        quote!(::conduit::Problem::new(#status)#calls)
    }
}

impl Case<'_> {
    /// Describes the problem for the OpenAPI document; `id` becomes the name of its schema. A generic type has several
    /// schemas, so they have no name.
    fn description(&self, id: &str, is_generic: bool) -> TokenStream {
        if self.options.transparent {
            return quote!(__operation.any_problem(););
        }
        let status = self.options.status_code();
        let mut calls = TokenStream::new();
        if is_generic {
            calls.extend(quote!(.inline()));
        }
        if let Some(title) = &self.options.title {
            calls.extend(quote!(.title(#title)));
        }
        if let Some(kind) = &self.options.kind {
            calls.extend(quote!(.type_uri(#kind)));
        }
        let mut known = TokenStream::new();
        for (role, field) in self.roles.iter().zip(self.fields) {
            let Some(member) = &role.member else { continue };
            let (ty, span) = (&field.ty, field.ty.span());
            known.extend(quote_spanned!(span=> ::conduit::openapi::SchemaOf::<#ty>::NEW.make_known(__operation);));
            calls.extend(quote_spanned!(span=> .member(#member, __operation.member_schema_of::<#ty>(#member))));
        }
        quote! {
            #known
            let __kind = ::conduit::openapi::ProblemKind::new(::core::concat!(::core::module_path!(), "::", #id))#calls;
            __operation.problem_kind(#status, __kind);
        }
    }
}

impl Options {
    fn parse(attributes: &[Attribute]) -> Result<Self, Error> {
        let mut options = Options::default();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("problem"))
        {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.get_ident().map(|name| name.unraw().to_string()).unwrap_or_default();
                match name.as_str() {
                    "status" => options.status = Some(status(meta.value()?.parse()?)?),
                    "title" => options.title = Some(meta.value()?.parse()?),
                    "type" => options.kind = Some(meta.value()?.parse()?),
                    "detail" if meta.input.peek(Token![=]) => {
                        options.detail = Detail::Format(meta.value()?.parse()?);
                    }
                    "detail" => options.detail = Detail::Display(meta.path.span()),
                    "transparent" => options.transparent = true,
                    "std_error" => options.std_error = true,
                    _ => {
                        return Err(meta.error(format!(
                            "unknown option `{}`: write `status = 404`, `title = \"…\"`, `type = \"…\"`, `detail = \"…\"`, \
                             `detail`, `transparent` or `std_error`",
                            meta.path.to_token_stream()
                        )));
                    }
                }
                Ok(())
            })?;
        }
        Ok(options)
    }

    /// The status as an expression of the type `StatusCode`.
    fn status_code(&self) -> TokenStream {
        match &self.status {
            Some(Expr::Lit(literal)) => {
                let Lit::Int(number) = &literal.lit else {
                    return literal.to_token_stream();
                };
                quote_spanned! {number.span()=>
                    const {
                        match ::conduit::http::StatusCode::from_u16(#number) {
                            ::core::result::Result::Ok(__status) => __status,
                            ::core::result::Result::Err(_) => ::core::unreachable!(),
                        }
                    }
                }
            }
            Some(status) => status.to_token_stream(),
            None => quote!(::conduit::http::StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

/// Checks that a numeric status is an error status.
fn status(status: Expr) -> Result<Expr, Error> {
    if let Expr::Lit(literal) = &status {
        let number = match &literal.lit {
            Lit::Int(number) => LitInt::base10_parse::<u16>(number).ok(),
            _ => None,
        };
        if !number.is_some_and(|number| (400..600).contains(&number)) {
            let message = "invalid status: write a number from 400 to 599, or a constant such as \
                `StatusCode::NOT_FOUND`";
            return Err(Error::new(literal.span(), message));
        }
    }
    Ok(status)
}

impl Role {
    fn parse(field: &Field) -> Result<Self, Error> {
        let name = field.ident.as_ref().map(|name| name.unraw().to_string());
        let mut role = Role {
            source: name.as_deref() == Some("source"),
            ..Role::default()
        };
        for attribute in &field.attrs {
            if attribute.path().is_ident("from") {
                role.from = Some(Conversion::Plain);
            } else if attribute.path().is_ident("source") {
                role.source = true;
            }
            if !attribute.path().is_ident("problem") {
                continue;
            }
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("from") {
                    role.from = Some(Conversion::Problem);
                } else if meta.path.is_ident("source") {
                    role.source = true;
                } else if meta.path.is_ident("member") {
                    role.member = Some(member(&meta, name.as_deref())?);
                } else {
                    return Err(meta.error(format!(
                        "unknown option `{}` of a field: write `from`, `source` or `member`",
                        meta.path.to_token_stream()
                    )));
                }
                Ok(())
            })?;
        }
        Ok(role)
    }
}

/// The name of a member: the value of the attribute, or the name of the field.
fn member(meta: &syn::meta::ParseNestedMeta<'_>, field: Option<&str>) -> Result<String, Error> {
    let name = if meta.input.peek(Token![=]) {
        meta.value()?.parse::<LitStr>()?.value()
    } else {
        match field {
            Some(name) => name.to_owned(),
            None => {
                return Err(meta.error("the member of a field without a name needs a name: write `member = \"limit\"`"));
            }
        }
    };
    if matches!(&*name, "type" | "title" | "status" | "detail" | "instance") {
        let message = format!("`{name}` is a standard member of a problem (RFC 9457, section 3.1): use another name");
        return Err(meta.error(message));
    }
    Ok(name)
}

/// The format string with positional arguments, `{0}`, replaced by names, `{_0}`.
fn with_named_places(text: &LitStr) -> LitStr {
    let value = text.value();
    let mut named = String::with_capacity(value.len() + 4);
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        named.push(character);
        if character != '{' {
            continue;
        }
        match characters.peek() {
            Some('{') => named.extend(characters.next()),
            Some(next) if next.is_ascii_digit() => named.push('_'),
            _ => {}
        }
    }
    LitStr::new(&named, text.span())
}
