//! `#[derive(PathParams)]` and `#[derive(FromRef)]`.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, LitStr, Token, parenthesized};

/// Expands `#[derive(PathParams)]`.
pub(crate) fn path_params(input: TokenStream) -> TokenStream {
    expand_or_error(input, path_params_of)
}

/// Expands `#[derive(FromRef)]`.
pub(crate) fn from_ref(input: TokenStream) -> TokenStream {
    expand_or_error(input, from_ref_of)
}

fn expand_or_error(input: TokenStream, expand: fn(&DeriveInput) -> Result<TokenStream, Error>) -> TokenStream {
    syn::parse2(input)
        .and_then(|input| expand(&input))
        .unwrap_or_else(Error::into_compile_error)
}

fn path_params_of(input: &DeriveInput) -> Result<TokenStream, Error> {
    let fields = named_fields(input, "`PathParams` maps path parameters to fields by name")?;
    for attribute in input
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename_all") {
                return Err(meta.error(
                    "`PathParams` does not support `rename_all`: write `#[serde(rename = \"…\")]` on the fields",
                ));
            }
            skip_value(&meta)
        })?;
    }
    let mut names = Vec::new();
    for field in fields {
        names.extend(parameter(field)?);
    }
    let ident = &input.ident;
    let (generics, arguments, conditions) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::conduit::PathParams for #ident #arguments #conditions {
            const NAMES: &'static [&'static ::core::primitive::str] = &[#(#names),*];
        }
    })
}

/// The parameter name of a field; `None` if the field is skipped.
fn parameter(field: &Field) -> Result<Option<String>, Error> {
    let mut name = field.ident.as_ref().map(|ident| ident.unraw().to_string());
    for attribute in field
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("serde"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("rename") {
                if let Some(renamed) = renamed(&meta)? {
                    name = Some(renamed.value());
                }
                return Ok(());
            }
            if meta.path.is_ident("skip") || meta.path.is_ident("skip_deserializing") {
                name = None;
                return Ok(());
            }
            if meta.path.is_ident("flatten") {
                return Err(meta.error("`PathParams` does not support `flatten`: write the fields into the struct"));
            }
            skip_value(&meta)
        })?;
    }
    Ok(name)
}

/// The new name in `rename = "…"` or `rename(deserialize = "…")`.
fn renamed(meta: &ParseNestedMeta<'_>) -> Result<Option<LitStr>, Error> {
    if meta.input.peek(Token![=]) {
        return Ok(Some(meta.value()?.parse()?));
    }
    let mut name = None;
    meta.parse_nested_meta(|inner| {
        let value: LitStr = inner.value()?.parse()?;
        if inner.path.is_ident("deserialize") {
            name = Some(value);
        }
        Ok(())
    })?;
    Ok(name)
}

/// Skips an attribute of serde that has no effect on parameter names.
fn skip_value(meta: &ParseNestedMeta<'_>) -> Result<(), Error> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<syn::Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let inner;
        parenthesized!(inner in meta.input);
        inner.parse::<TokenStream>()?;
    }
    Ok(())
}

fn from_ref_of(input: &DeriveInput) -> Result<TokenStream, Error> {
    let fields = named_fields(input, "`FromRef` selects a field by its type")?;
    if !input.generics.params.is_empty() {
        let message = "`FromRef` cannot be derived for a generic struct: implement it for the types that you use";
        return Err(Error::new(input.generics.span(), message));
    }
    let state = &input.ident;
    let mut seen: Vec<(String, &Field)> = Vec::new();
    let mut implementations = TokenStream::new();
    for field in fields {
        if is_skipped(field)? {
            continue;
        }
        let (name, ty) = (&field.ident, &field.ty);
        let text = ty.to_token_stream().to_string();
        if let Some((_, first)) = seen.iter().find(|(seen, _)| *seen == text) {
            let message = format!(
                "two fields have the type `{text}`, so `State<{text}>` is ambiguous: \
                 write `#[from_ref(skip)]` on one, or change its type"
            );
            let mut error = Error::new(ty.span(), message);
            error.combine(Error::new(first.ty.span(), "the other field with this type"));
            return Err(error);
        }
        seen.push((text, field));
        implementations.extend(quote_spanned! {ty.span()=>
            impl ::conduit::FromRef<#state> for #ty {
                fn from_ref(__state: &#state) -> Self {
                    ::core::clone::Clone::clone(&__state.#name)
                }
            }
        });
    }
    Ok(implementations)
}

fn is_skipped(field: &Field) -> Result<bool, Error> {
    let mut skipped = false;
    for attribute in field
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("from_ref"))
    {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("skip") {
                skipped = true;
                return Ok(());
            }
            Err(meta.error(format!(
                "unknown option `{}`: write `#[from_ref(skip)]`",
                meta.path.to_token_stream()
            )))
        })?;
    }
    Ok(skipped)
}

fn named_fields<'a>(input: &'a DeriveInput, why: &str) -> Result<impl Iterator<Item = &'a Field>, Error> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter()),
            _ => Err(Error::new(
                input.ident.span(),
                format!("{why}: write a struct with named fields"),
            )),
        },
        _ => Err(Error::new(
            input.ident.span(),
            format!("{why}: write a struct with named fields"),
        )),
    }
}
