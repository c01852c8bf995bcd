//! The assignment of path parameters to arguments.

use conduit_route::Pattern;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Error, GenericArgument, Lifetime, ParenthesizedGenericArguments, Pat, PatType, PathArguments, Type, TypeFnPtr,
    TypeReference,
};

/// Types with a single value: an argument of such a type takes one parameter, never all of them.
const SINGLE_VALUES: [&str; 28] = [
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "f32",
    "f64",
    "bool",
    "char",
    "String",
    "str",
    "IpAddr",
    "Ipv4Addr",
    "Ipv6Addr",
    "SocketAddr",
    "Uuid",
    "NonZero",
    "NonZeroU32",
    "NonZeroU64",
    "PathBuf",
    "Cow",
];

/// Primitive types, which are never extractors.
pub(crate) const PRIMITIVES: [&str; 16] = [
    "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64", "bool",
    "char",
];

/// Extractors that a user may try to take by reference, besides those in [`BODIES`].
const BORROWED: [&str; 10] = [
    "Path",
    "Query",
    "Header",
    "State",
    "HeaderMap",
    "Method",
    "Uri",
    "Provided",
    "Extension",
    "Submission",
];

/// Extractors whose content serde deserializes.
const OWNING: [&str; 6] = ["Path", "Query", "Json", "Form", "Header", "MultipartForm"];

/// Extractors with another extractor as their first type argument.
const WRAPPERS: [&str; 4] = ["Option", "Result", "Valid", "Submission"];

/// Types that are not aliases of `Path`.
const EXTRACTORS: [&str; 16] = [
    "Query",
    "Header",
    "State",
    "HeaderMap",
    "Method",
    "Uri",
    "Version",
    "Provided",
    "Extension",
    "Option",
    "Result",
    "Valid",
    "Submission",
    "PeerAddr",
    "Client",
    "Vec",
];

/// The names of the extractors that take the body. Several of them are checked at the definition of the handler, and all other types
/// where the handler is used. A [wrapper](WRAPPERS) takes the body if its content does.
const BODIES: [&str; 9] = [
    "Json",
    "Form",
    "Bytes",
    "String",
    "Body",
    "Request",
    "Multipart",
    "MultipartForm",
    "Upload",
];

/// Returns whether an argument has the type `Request`, which is extracted last because it takes everything.
pub(crate) fn takes_all(ty: &Type) -> bool {
    matches!(unwrapped(ty), Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Request"))
}

/// One argument of a handler, and the source of its value.
pub(crate) struct Argument {
    pub(crate) ty: Type,
    /// The source text, for messages.
    pub(crate) text: String,
    pub(crate) source: Source,
}

/// The source of an argument's value.
pub(crate) enum Source {
    /// `FromRequest::from_request`.
    Request,
    /// Parameters of the path.
    Path {
        wrapper: Wrapper,
        /// Set for a `Valid<Path<T>>`, whose values are validated.
        is_valid: bool,
        parameters: Vec<Parameter>,
        structure: Option<Box<Type>>,
    },
    /// A parameter with the name of an argument whose type is unknown: it may be an alias of `Path`.
    Alias(Parameter),
}

/// A parameter that an argument takes.
pub(crate) struct Parameter {
    pub(crate) name: String,
    span: Span,
    /// The index of the parameter in the handler's path; `None` for a parameter of a prefix in a list.
    pub(crate) place: Option<usize>,
}

/// The type around a `Path` argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wrapper {
    None,
    Option,
    Result,
}

/// Assigns a source to each argument of a handler.
///
/// # Errors
/// All mismatches between the path and the arguments, combined.
pub(crate) fn classify(
    pattern: Pattern<'_>,
    path: Span,
    function: &Ident,
    inputs: &[&PatType],
) -> Result<Vec<Argument>, Error> {
    let parameters: Vec<&str> = pattern.names().collect();
    let mut errors = None;
    let mut arguments = Vec::new();
    for input in inputs {
        match source(pattern, &parameters, input) {
            Ok(source) => arguments.push(Argument {
                ty: (*input.ty).clone(),
                text: format!("{}: {}", as_written(&input.pat), as_written(&input.ty)),
                source,
            }),
            Err(error) => combine(&mut errors, error),
        }
    }
    // An argument with a wrong name would be reported again as a parameter without an argument.
    if errors.is_none() {
        let misnamed = arguments.iter().flat_map(Argument::of_prefix);
        let misnamed: Vec<(String, Span)> = misnamed
            .map(|parameter| (parameter.name.clone(), parameter.span))
            .collect();
        for (place, name) in parameters.iter().enumerate() {
            if arguments.iter().any(|argument| argument.takes(place)) {
                continue;
            }
            let named = inputs.iter().position(|input| is_named(input, name));
            match named {
                Some(at) if may_be_alias(&inputs[at].ty) => {
                    arguments[at].source = Source::Alias(Parameter {
                        name: (*name).to_owned(),
                        span: inputs[at].pat.span(),
                        place: Some(place),
                    });
                }
                Some(at) => combine(&mut errors, no_path(pattern, name, inputs[at])),
                None if misnamed.is_empty() => combine(&mut errors, not_taken(pattern, path, function, name)),
                None => {}
            }
        }
        // If all parameters of the path are taken, the others belong to a prefix; the list checks them.
        let is_complete = |place| arguments.iter().any(|argument: &Argument| argument.takes(place));
        if !(0..parameters.len()).all(is_complete) {
            for (name, span) in &misnamed {
                combine(&mut errors, no_parameter(pattern, &parameters, name, *span));
            }
        }
    }
    if errors.is_none() {
        for error in inputs.iter().filter_map(|input| no_extractor(input)) {
            combine(&mut errors, error);
        }
    }
    errors.map_or(Ok(arguments), Err)
}

impl Argument {
    fn takes(&self, place: usize) -> bool {
        self.parameters().iter().any(|parameter| parameter.place == Some(place))
    }

    /// The parameters that the argument takes.
    pub(crate) fn parameters(&self) -> &[Parameter] {
        match &self.source {
            Source::Request => &[],
            Source::Path { parameters, .. } => parameters,
            Source::Alias(parameter) => std::slice::from_ref(parameter),
        }
    }

    /// The parameters that the argument takes from a prefix.
    pub(crate) fn of_prefix(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters().iter().filter(|parameter| parameter.place.is_none())
    }
}

/// The source text without the spaces that the compiler inserts between tokens.
fn as_written(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (spaced, close) in [
        (" :: ", "::"),
        (" < ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
    ] {
        text = text.replace(spaced, close);
    }
    text
}

fn combine(errors: &mut Option<Error>, error: Error) {
    match errors {
        Some(errors) => errors.combine(error),
        None => *errors = Some(error),
    }
}

fn not_taken(pattern: Pattern<'_>, path: Span, function: &Ident, name: &str) -> Error {
    let written = pattern.path();
    let message = format!(
        "no argument of `{function}` takes the parameter `{{{name}}}` of the path `{written}`: \
         add the argument `{name}: Path<…>` or remove `{{{name}}}` from the path"
    );
    Error::new(path, message)
}

/// Returns whether a type may be an alias, of `Path<…>` for instance: its name has no other known meaning.
pub(crate) fn may_be_alias(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    let Some(last) = path.path.segments.last() else {
        return false;
    };
    let is_known = |names: &[&str]| names.iter().any(|name| last.ident == name);
    !is_known(&SINGLE_VALUES) && !is_known(&EXTRACTORS) && !is_known(&BODIES)
}

/// Returns whether an argument has the name of a parameter.
fn is_named(input: &PatType, parameter: &str) -> bool {
    match bound(&input.pat) {
        Bound::Name(name) => name.unraw().to_string().trim_start_matches('_') == parameter.trim_start_matches('_'),
        Bound::Names(_) | Bound::Other => false,
    }
}

/// The error for an argument that has the name of a parameter but is not a `Path`.
fn no_path(pattern: Pattern<'_>, name: &str, input: &PatType) -> Error {
    let written = pattern.path();
    let ty = match &*input.ty {
        Type::Reference(_) => "String".to_owned(),
        ty => as_written(ty),
    };
    let message = format!(
        "`{name}` is a parameter of the path `{written}`, but the argument is not a `Path`: write `{name}: Path<{ty}>`"
    );
    Error::new(input.ty.span(), message)
}

/// The error for a type that is not an extractor but is easily mistaken for one.
fn no_extractor(input: &PatType) -> Option<Error> {
    if let Type::Reference(reference) = &*input.ty {
        let name = match &*reference.elem {
            Type::Path(path) => path.path.segments.last()?.ident.to_string(),
            Type::Slice(_) => "[u8]".to_owned(),
            _ => return None,
        };
        let instead = match name.as_str() {
            "str" => "String",
            "[u8]" => "Bytes",
            _ if BODIES.contains(&&*name) || BORROWED.contains(&&*name) => &name,
            _ => return None,
        };
        let message = format!("an argument of a handler cannot be a reference: write `{instead}` without the `&`");
        return Some(Error::new(input.ty.span(), message));
    }
    let Type::Path(path) = &*input.ty else { return None };
    let name = path.path.get_ident()?.to_string();
    PRIMITIVES.contains(&&*name).then(|| {
        let message = format!(
            "`{name}` is not an extractor: write `Path<{name}>` for a parameter of the path, \
             `Json<{name}>` for the body, `State<{name}>` for a part of the state, \
             or `Query<…>` or `Header<…>` of a struct with a field of this type"
        );
        Error::new(input.ty.span(), message)
    })
}

fn source(pattern: Pattern<'_>, parameters: &[&str], input: &PatType) -> Result<Source, Error> {
    if let Some(error) = borrowing(&input.ty) {
        return Err(error);
    }
    let Some(PathType {
        wrapper,
        is_valid,
        inner,
    }) = path_type(&input.ty)
    else {
        return Ok(Source::Request);
    };
    let span = input.pat.span();
    let own = |place: usize, span| Parameter {
        name: parameters[place].to_owned(),
        span,
        place: Some(place),
    };
    let all = || (0..parameters.len()).map(|place| own(place, span)).collect::<Vec<_>>();
    let source = |parameters, structure| {
        Ok(Source::Path {
            wrapper,
            is_valid,
            parameters,
            structure,
        })
    };
    let place = |name: &Ident| {
        let text = name.unraw().to_string();
        let find = |text: &str| parameters.iter().position(|parameter| *parameter == text);
        find(&text).or_else(|| find(text.strip_prefix('_')?))
    };
    let named = |name: &Ident| match place(name) {
        Some(place) => own(place, name.span()),
        None => Parameter {
            name: name.unraw().to_string(),
            span: name.span(),
            place: None,
        },
    };
    match (bound(&input.pat), inner) {
        (Bound::Names(names), Type::Tuple(tuple)) => {
            if names.len() != tuple.elems.len() {
                // The compiler reports the pattern, so this reports nothing: all parameters count as taken.
                return source(all(), None);
            }
            source(names.into_iter().map(named).collect(), None)
        }
        (_, Type::Tuple(tuple)) => {
            if tuple.elems.len() != parameters.len() {
                return Err(wrong_arity(pattern, parameters, inner, tuple.elems.len()));
            }
            source(all(), None)
        }
        (Bound::Name(name), _) if place(name).is_some() || parameters.is_empty() || is_single_value(inner) => {
            source(vec![named(name)], None)
        }
        (_, _) if is_single_value(inner) => {
            let message = format!(
                "an argument without a name cannot take a parameter of the path `{}`, which has {}: \
                 use the name of a parameter, with a leading `_` if the value is unused",
                pattern.path(),
                counted(parameters)
            );
            Err(Error::new(span, message))
        }
        _ => source(all(), Some(Box::new(inner.clone()))),
    }
}

fn no_parameter(pattern: Pattern<'_>, parameters: &[&str], name: &str, span: Span) -> Error {
    let written = pattern.path();
    let remedy = match parameters {
        [] => format!("add `{{{name}}}` to the path or remove the argument"),
        [only] => format!("rename the argument to `{only}` or the parameter to `{{{name}}}`"),
        _ => format!(
            "rename the argument to one of {} or add `{{{name}}}` to the path",
            listed(parameters)
        ),
    };
    Error::new(
        span,
        format!("`{name}` is not a parameter of the path `{written}`: {remedy}"),
    )
}

fn wrong_arity(pattern: Pattern<'_>, parameters: &[&str], ty: &Type, arity: usize) -> Error {
    let written = pattern.path();
    let count = counted(parameters);
    let remedy = "write one element for each parameter, or name the parameters to take: `Path((a, b)): Path<(A, B)>`";
    let message = format!(
        "a tuple of length {arity} cannot take the parameters of the path `{written}`, which has {count}: {remedy}"
    );
    Error::new(ty.span(), message)
}

/// The names in quotes, separated by commas.
fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The number of names, and the names: `2 parameters (`a`, `b`)`.
fn counted(names: &[&str]) -> String {
    match names {
        [] => "no parameters".to_owned(),
        [only] => format!("1 parameter (`{only}`)"),
        _ => format!("{} parameters ({})", names.len(), listed(names)),
    }
}

/// The names that an argument's pattern binds.
enum Bound<'a> {
    /// `id`, `mut id`, `Path(id)`.
    Name(&'a Ident),
    /// `Path((a, b))`.
    Names(Vec<&'a Ident>),
    /// Anything else.
    Other,
}

fn bound(pattern: &Pat) -> Bound<'_> {
    match pattern {
        Pat::Ident(name) => Bound::Name(&name.ident),
        Pat::Paren(inner) => bound(&inner.pat),
        Pat::TupleStruct(outer) if outer.elems.len() == 1 && ends_in(&outer.path, "Valid") => bound(&outer.elems[0]),
        Pat::TupleStruct(outer) if outer.elems.len() == 1 && ends_in(&outer.path, "Path") => match &outer.elems[0] {
            Pat::Tuple(tuple) => {
                let names = tuple.elems.iter().map(|element| match element {
                    Pat::Ident(name) => Some(&name.ident),
                    _ => None,
                });
                names.collect::<Option<Vec<_>>>().map_or(Bound::Other, Bound::Names)
            }
            inner => bound(inner),
        },
        _ => Bound::Other,
    }
}

/// The owned counterpart of a reference to this type.
pub(crate) fn owned(ty: &Type) -> String {
    match ty {
        Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
        Type::Slice(slice) => format!("Vec<{}>", as_written(&*slice.elem)),
        other => as_written(other),
    }
}

fn ends_in(path: &syn::Path, name: &str) -> bool {
    path.segments.last().is_some_and(|last| last.ident == name)
}

/// A `Path<T>`, which may be wrapped in other types.
pub(crate) struct PathType<'a> {
    wrapper: Wrapper,
    is_valid: bool,
    pub(crate) inner: &'a Type,
}

/// Finds the `T` of `Path<T>` and `Valid<Path<T>>`, each of which may be in an `Option` or a `Result`.
pub(crate) fn path_type(ty: &Type) -> Option<PathType<'_>> {
    let (name, inner) = generic(ty)?;
    let (wrapper, ty) = match name.to_string().as_str() {
        "Option" => (Wrapper::Option, inner),
        "Result" => (Wrapper::Result, inner),
        _ => (Wrapper::None, ty),
    };
    let (name, inner) = generic(ty)?;
    let is_valid = name == "Valid";
    let (name, inner) = if is_valid { generic(inner)? } else { (name, inner) };
    (name == "Path").then_some(PathType {
        wrapper,
        is_valid,
        inner,
    })
}

/// The error for an extractor of a borrowed type: serde deserializes only owned values from a request.
fn borrowing(ty: &Type) -> Option<Error> {
    let (name, inner) = generic(unwrapped(ty))?;
    if !OWNING.iter().any(|owning| name == owning) {
        return None;
    }
    let elements = match inner {
        Type::Tuple(tuple) => tuple.elems.iter().collect(),
        inner => vec![inner],
    };
    elements.into_iter().find_map(|element| {
        let Type::Reference(reference) = element else {
            return None;
        };
        let message = format!(
            "`{name}` cannot contain borrowed data: write `{}` instead of `{}`",
            owned(&reference.elem),
            as_written(element)
        );
        Some(Error::new_spanned(element, message))
    })
}

/// The extractor in a [wrapper](WRAPPERS), or the type itself.
pub(crate) fn unwrapped(mut ty: &Type) -> &Type {
    while let Some((name, inner)) = generic(ty)
        && WRAPPERS.iter().any(|wrapper| name == wrapper)
    {
        ty = inner;
    }
    ty
}

/// The last segment of a type's path and its first type argument.
pub(crate) fn generic(ty: &Type) -> Option<(&Ident, &Type)> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(inner) => Some((&last.ident, inner)),
        _ => None,
    })
}

fn is_single_value(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path
        .segments
        .last()
        .is_some_and(|last| SINGLE_VALUES.iter().any(|name| last.ident == name))
}

/// Assertions at the definition of a handler that one argument takes the body, if several have the names of extractors that do. The
/// types decide, because an application may have other types of these names.
pub(crate) fn body_checks(handler: &str, arguments: &[Argument]) -> Vec<TokenStream> {
    let mut before = Vec::new();
    let mut checks = Vec::new();
    for argument in arguments {
        let mut ty = unwrapped(&argument.ty).clone();
        if !has_name_of_body(&ty) {
            continue;
        }
        Static.visit_type_mut(&mut ty);
        let span = Span::mixed_site().located_at(argument.ty.span());
        let text = &argument.text;
        let taker = quote_spanned!(span=> (#text, ::conduit::internal::TypeProbe::<#ty>::TAKES_BODY));
        if !before.is_empty() {
            checks.push(quote_spanned! {span=>
                const _: () = {
                    #[allow(unused_imports)]
                    use ::conduit::internal::OtherType as _;
                    ::conduit::route::require_one_body(#handler, &[#(#before),*], #taker);
                };
            });
        }
        before.push(taker);
    }
    checks
}

fn has_name_of_body(ty: &Type) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path
        .segments
        .last()
        .is_some_and(|last| BODIES.iter().any(|name| last.ident == name))
}

/// The names and indices of parameters for a path that has `count` of them.
pub(crate) fn parameter_list(parameters: &[Parameter], count: usize) -> TokenStream {
    let each = parameters.iter().map(|Parameter { name, place, .. }| match place {
        Some(position) => {
            let after = count - 1 - position;
            quote!((#name, ::conduit::route::ParameterPlace::FromEnd(#after)))
        }
        None => quote!((#name, ::conduit::route::ParameterPlace::Prefix)),
    });
    quote!(&[#(#each),*])
}

/// Replaces elided lifetimes by `'static`, except for those of functions: an argument cannot borrow.
pub(crate) struct Static;

impl VisitMut for Static {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = Lifetime::new("'static", lifetime.span());
        }
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        let span = reference.and_token.span;
        reference.lifetime.get_or_insert_with(|| Lifetime::new("'static", span));
        visit_mut::visit_type_reference_mut(self, reference);
    }

    // The lifetimes in `fn(&str)` and `Fn(&str)` are those of each call.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}

    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {}
}
