//! Values that satisfy the validation rules of their types.

use std::ops::{Deref, DerefMut};

use garde::Validate;
use http::StatusCode;

#[cfg(feature = "cookies")]
use super::CookieValues;
#[cfg(feature = "multipart")]
use super::MultipartForm;
use super::client_names::{ClientInput, InputNames};
use super::error::step_length;
use super::{Form, FromRequest, Header, Json, Path, Query, Readable};
use crate::openapi::Operation;
use crate::problem::{Fault, LISTED_FAULTS, Problem, Step};
use crate::request::Request;
use crate::route::ParameterPlace;
use conduit_core::openapi::name_in_head;

/// A [`Json`], [`Form`], [`MultipartForm`](crate::MultipartForm), [`Query`], [`Header`], [`CookieValues`](crate::CookieValues) or
/// [`Path`] whose values satisfy the rules that their type declares with `#[garde(…)]`, an attribute of the crate [`garde`].
/// Requires the feature `validate`.
///
/// If the type also derives `JsonSchema`, its schema in the OpenAPI document contains the rules.
///
/// # Errors
///
/// Rejects as the inner extractor does, and with 422 for values that break a rule. The problem's member `errors` lists all of
/// them at once, each with its path such as `body.items[3].price`, up to 100 with 4 KiB of text; its member `more_errors`
/// counts the others.
///
/// Rules name fields as in Rust; paths name them as in the input, if both names agree up to hyphens, underscores and case,
/// as with `#[serde(rename_all = "…")]`. The pointer always refers to a value in the input: if the field is absent, renamed
/// with `#[serde(rename = "…")]` or one level higher because of `#[serde(flatten)]`, to the enclosing object; the path has
/// Rust names from there on. A tuple struct of one field needs `#[garde(transparent)]`, since serde reads it as that field.
///
/// All rules are checked even if an outer one is broken: a violated `length` of a list does not skip the rules of its items.
/// The application's body limit bounds the work.
///
/// # Example
///
/// An order of one to three items, each with a price of at least 1:
///
/// ```
/// use conduit::Valid;
/// use conduit::prelude::*;
/// use garde::Validate;
///
/// #[derive(serde::Deserialize, JsonSchema, Validate)]
/// struct Order {
///     #[garde(length(min = 1, max = 3), dive)]
///     items: Vec<Item>,
/// }
///
/// #[derive(serde::Deserialize, JsonSchema, Validate)]
/// struct Item {
///     #[garde(range(min = 1))]
///     price: u32,
/// }
///
/// #[post("/orders")]
/// async fn order(order: Valid<Json<Order>>) -> String {
///     format!("{} items", order.items.len())
/// }
/// ```
///
/// A page of an archive, with year and month in the path:
///
/// ```
/// use conduit::Valid;
/// use conduit::prelude::*;
/// use garde::Validate;
///
/// #[derive(serde::Deserialize, JsonSchema, PathParams, Validate)]
/// struct Month {
///     #[garde(range(min = 1970))]
///     year: u16,
///     #[garde(range(min = 1, max = 12))]
///     month: u8,
/// }
///
/// #[get("/archive/{year}/{month}")]
/// async fn archive(of: Valid<Path<Month>>) -> String {
///     format!("{}-{:02}", of.year, of.month)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Valid<E>(pub E);

/// A type with rules. Implemented for every type that derives `garde::Validate`; the trait exists for the compiler's messages.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no validation rules",
    label = "`Valid` requires `garde::Validate`",
    note = "write `#[derive(garde::Validate)]` on `{Self}`, and a rule on each field, such as `#[garde(range(min = 1))]` or `#[garde(skip)]`"
)]
pub trait HasRules: Validate<Context: Default> {}

#[diagnostic::do_not_recommend]
impl<T: Validate<Context: Default>> HasRules for T {}

/// An extractor whose content [`Valid`] can check.
#[diagnostic::on_unimplemented(
    message = "`Valid` does not support `{Self}`",
    note = "write `Valid<E>` with a `Json<T>`, `Form<T>`, `MultipartForm<T>`, `Query<T>`, `Header<T>`, `CookieValues<T>` or `Path<T>` as `E`, or implement `Content` for a custom extractor"
)]
pub trait Content {
    /// The type of the inner value.
    type Value;

    /// Returns the inner value.
    fn value(&self) -> &Self::Value;

    /// Returns the fault of the value at the end of these steps; no steps mean the whole value.
    fn fault(steps: &[Step<'_>], message: &str) -> Fault;

    /// Returns the input that has the client's names of the values. `body` is the input of a [`Json`], a [`Form`] or a
    /// [`MultipartForm`](crate::MultipartForm), the last with names as in a form; it is empty for other extractors. By
    /// default the names are unknown, and the steps have Rust's names.
    fn client_input<'a>(request: &'a Request, body: &'a [u8]) -> ClientInput<'a> {
        let _ = (request, body);
        ClientInput::Unknown
    }
}

impl<T> Content for Json<T> {
    type Value = T;

    fn value(&self) -> &T {
        &self.0
    }

    fn fault(steps: &[Step<'_>], message: &str) -> Fault {
        Fault::of_json(steps.iter().copied(), message)
    }

    fn client_input<'a>(_: &'a Request, body: &'a [u8]) -> ClientInput<'a> {
        ClientInput::Json(body)
    }
}

impl<T> Content for Form<T> {
    type Value = T;

    fn value(&self) -> &T {
        &self.0
    }

    fn fault(steps: &[Step<'_>], message: &str) -> Fault {
        Fault::of_form(steps.iter().copied(), message)
    }

    fn client_input<'a>(_: &'a Request, body: &'a [u8]) -> ClientInput<'a> {
        ClientInput::Fields(body)
    }
}

impl<T> Content for Query<T> {
    type Value = T;

    fn value(&self) -> &T {
        &self.0
    }

    fn fault(steps: &[Step<'_>], message: &str) -> Fault {
        Fault::at("query", steps.iter().copied(), message)
    }

    fn client_input<'a>(request: &'a Request, _: &'a [u8]) -> ClientInput<'a> {
        ClientInput::Fields(request.query().unwrap_or_default().as_bytes())
    }
}

impl<T> Content for Header<T> {
    type Value = T;

    fn value(&self) -> &T {
        &self.0
    }

    fn fault(steps: &[Step<'_>], message: &str) -> Fault {
        let mut fault = Fault::at("header", steps.iter().copied(), message);
        fault.path = name_in_head(&fault.path);
        fault
    }
}

#[cfg(feature = "cookies")]
impl<T> Content for CookieValues<T> {
    type Value = T;

    fn value(&self) -> &T {
        &self.0
    }

    fn fault(steps: &[Step<'_>], message: &str) -> Fault {
        Fault::at("cookie", steps.iter().copied(), message)
    }
}

#[cfg(feature = "multipart")]
impl<T> Content for MultipartForm<T> {
    type Value = T;

    fn value(&self) -> &T {
        &self.0
    }

    fn fault(steps: &[Step<'_>], message: &str) -> Fault {
        Fault::of_form(steps.iter().copied(), message)
    }

    fn client_input<'a>(_: &'a Request, body: &'a [u8]) -> ClientInput<'a> {
        ClientInput::Fields(body)
    }
}

impl<E> Deref for Valid<E> {
    type Target = E;

    fn deref(&self) -> &E {
        &self.0
    }
}

impl<E> DerefMut for Valid<E> {
    fn deref_mut(&mut self) -> &mut E {
        &mut self.0
    }
}

/// The parameters of the path, which only the route attributes know.
impl<T> Valid<Path<T>> {
    /// Reads the parameters with these names and indices in the route's path. The route attributes generate the call.
    ///
    /// # Errors
    ///
    /// Returns an error as [`Path::from_parameters`] does, and if a value breaks a rule: the fault's path is then `path`, the name
    /// of the parameter, and the path inside it.
    pub fn from_parameters(request: &Request, names: &'static [(&'static str, ParameterPlace)]) -> Result<Self, Problem>
    where
        T: Readable + HasRules,
    {
        let taken = Path::<T>::from_parameters(request, names)?;
        match taken.0.validate() {
            Ok(()) => Ok(Valid(taken)),
            Err(report) => Err(broken_rules(&report, ClientInput::Unknown, |steps, message| {
                Fault::at("path", in_parameters(names, steps), message)
            })),
        }
    }

    /// Adds the parameters with these names and positions to the description of an operation. The route attributes generate the
    /// call.
    pub fn describe_parameters(operation: &mut Operation, names: &[(&str, ParameterPlace)]) {
        Path::<T>::describe_parameters(operation, names);
        describe_broken_rules(operation);
    }
}

/// The path of a value in the route's parameters: a struct has their names, a tuple their indices, and a single value
/// has no step.
fn in_parameters<'a>(names: &[(&'a str, ParameterPlace)], steps: &[Step<'a>]) -> Vec<Step<'a>> {
    let name = |place: usize| names.get(place).map(|(name, _)| Step::Key(name));
    let (first, inside) = match steps {
        [Step::Index(place), inside @ ..] => (name(*place), inside),
        [Step::Key(key), inside @ ..] if names.iter().any(|(name, _)| name == key) => (Some(Step::Key(key)), inside),
        // The steps are inside the only parameter.
        _ if names.len() == 1 => (name(0), steps),
        _ => (None, steps),
    };
    first.into_iter().chain(inside.iter().copied()).collect()
}

impl<S, E> FromRequest<S> for Valid<E>
where
    E: FromRequest<S, Rejection = Problem> + Content<Value: HasRules>,
{
    const TAKES_BODY: bool = E::TAKES_BODY;
    const TAKES_ALL: bool = E::TAKES_ALL;
    const IS_AMBIENT: bool = E::IS_AMBIENT;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        request.retain_body();
        let taken = E::from_request(request, state).await?;
        let body = request.take_retained_body();
        match taken.value().validate() {
            Ok(()) => Ok(Valid(taken)),
            Err(report) => Err(broken_rules(&report, E::client_input(request, &body), E::fault)),
        }
    }

    fn describe(operation: &mut Operation) {
        E::describe(operation);
        describe_broken_rules(operation);
    }

    fn is_absent(request: &Request) -> bool {
        E::is_absent(request)
    }
}

fn describe_broken_rules(operation: &mut Operation) {
    operation.faults(
        StatusCode::UNPROCESSABLE_ENTITY,
        "Values violate the rules of their schema; `errors` lists them.",
    );
}

/// Returns a problem that lists broken rules. `fault_of` creates a fault from the steps to a value and the rule's message.
#[cold]
fn broken_rules(
    report: &garde::Report,
    input: ClientInput<'_>,
    fault_of: impl Fn(&[Step<'_>], &str) -> Fault,
) -> Problem {
    let listed = report.iter().take(LISTED_FAULTS);
    let broken: Vec<_> = listed
        .map(|(path, error)| (components(path), error.message()))
        .collect();
    let ways: Vec<Vec<Step<'_>>> = broken.iter().map(|(components, _)| steps(components)).collect();
    let names = InputNames::read(input, ways.iter().map(|way| &way[..]));
    let fault = |(way, (_, message)): (&Vec<Step<'_>>, &(_, &str))| {
        let (way, known) = names.resolve(way);
        let mut fault = fault_of(&way, message);
        if fault.pointer.is_some() {
            fault.pointer = fault_of(&way[..known], "").pointer;
        }
        fault
    };
    let faults: Vec<Fault> = ways.iter().zip(&broken).map(fault).collect();
    Problem::first_faults(StatusCode::UNPROCESSABLE_ENTITY, &faults, report.iter().count())
}

/// The kind of a component of a rule's path, as garde serialises it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum PathComponent {
    None,
    Key,
    Index,
}

/// Returns the components of a rule's path, their names shortened. Only the serialised form separates them: the displayed form of a member `a.b` is
/// the same as that of `b` inside `a`, and the client chooses the keys of a map.
fn components(path: &garde::Path) -> Vec<(PathComponent, String)> {
    let components = serde_json::to_value(path).and_then(serde_json::from_value);
    let mut components: Vec<(PathComponent, String)> = components.unwrap_or_default();
    for (_, name) in &mut components {
        // All listed faults may have the same long name.
        name.truncate(step_length(name));
        name.shrink_to_fit();
    }
    components
}

fn steps(components: &[(PathComponent, String)]) -> Vec<Step<'_>> {
    let steps = components.iter().filter_map(|(kind, component)| match kind {
        PathComponent::None => None,
        PathComponent::Key => Some(Step::Key(component)),
        PathComponent::Index => component.parse().ok().map(Step::Index),
    });
    steps.collect()
}
