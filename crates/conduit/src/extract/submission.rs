//! `Submission`: a form that is redisplayed with the submitted values and an error next to each invalid field.

use http::StatusCode;

use super::content::require_form;
use super::{Form, FromRequest, TOO_LARGE};
use crate::body::Body;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;

/// A submitted form: `F` is a [`Form<T>`](Form), or a `Valid<Form<T>>`. If the form is invalid, the handler gets its
/// [`FormFields`], so that the page can redisplay the form. After a valid form, redirect with
/// [`Redirect::to`](crate::Redirect::to): a reload of the next page then does not submit the form again.
///
/// # Errors
///
/// Rejects with 413 for a body over the limit, with 415 for a media type other than a form's, and with 400 for one that is not
/// UTF-8.
///
/// # Example
///
/// A form with an invalid age is redisplayed:
///
/// ```
/// use conduit::extract::{FormFields, Submission};
/// use conduit::prelude::*;
///
/// #[derive(serde::Deserialize, JsonSchema)]
/// struct Registration {
///     age: u8,
/// }
///
/// fn page(fields: &FormFields) -> Html<String> {
///     let error = fields.error("age").unwrap_or_default();
///     // `value` is client input: a template escapes it.
///     let value = fields.value("age").replace('&', "&amp;").replace('"', "&quot;");
///     Html(format!(r#"<form method="post"><input name="age" value="{value}"> {error}</form>"#))
/// }
///
/// #[get("/register", link)]
/// async fn show() -> Html<String> {
///     page(&FormFields::default())
/// }
///
/// #[post("/register")]
/// async fn register(form: Submission<Form<Registration>>) -> Result<Redirect, (StatusCode, Html<String>)> {
///     match form.into_result() {
///         Ok(Form(registration)) => Ok(Redirect::to(format!("/welcome?age={}", registration.age))),
///         Err(fields) => Err((StatusCode::UNPROCESSABLE_ENTITY, page(&fields))),
///     }
/// }
/// # let app = App::new(()).routes(routes![show, register]);
/// ```
#[derive(Clone, Debug)]
pub struct Submission<F> {
    /// The form, or the errors of its fields.
    outcome: Result<F, NamedTexts>,
    values: NamedTexts,
}

/// The names of fields, each with a value or an error.
type NamedTexts = Vec<(String, String)>;

impl<F> Submission<F> {
    /// Returns the form, or its fields with the errors.
    ///
    /// # Errors
    ///
    /// Returns an error if a field is invalid.
    pub fn into_result(self) -> Result<F, FormFields> {
        let values = self.values;
        self.outcome.map_err(|errors| FormFields { values, errors })
    }

    /// Returns the form or its errors, and the submitted fields: for a handler that detects further errors, such as a name that
    /// is taken, and adds them to the fields.
    pub fn into_parts(self) -> (Result<F, FormFields>, FormFields) {
        let fields = FormFields::with_values(self.values);
        let outcome = self.outcome.map_err(|errors| FormFields {
            errors,
            ..fields.clone()
        });
        (outcome, fields)
    }
}

/// The fields of a form as submitted by the client, and their errors. The default is an empty form.
///
/// The values are client input: a page has to escape them, as templates do, and should omit passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormFields {
    values: NamedTexts,
    /// Names and messages, in the order of the problem.
    errors: NamedTexts,
}

impl FormFields {
    /// Returns fields with these values, such as those of the object that the form edits.
    pub fn with_values<N: Into<String>, V: Into<String>>(values: impl IntoIterator<Item = (N, V)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.into(), value.into()));
        FormFields {
            values: values.collect(),
            errors: Vec::new(),
        }
    }

    /// Returns the first value of a field; empty without one.
    pub fn value(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// Returns all values of a field.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = self.values.iter().filter(move |(known, _)| known == name);
        of_name.map(|(_, value)| value.as_str())
    }

    /// Returns the first error of a field; the empty name means the form as a whole. The name of a nested field has brackets,
    /// as in the form: `items[0][price]`.
    pub fn error(&self, name: &str) -> Option<&str> {
        let (_, message) = self.errors.iter().find(|(known, _)| known == name)?;
        Some(message)
    }

    /// Returns all errors: the name of the field and the message.
    pub fn errors(&self) -> impl Iterator<Item = (&str, &str)> {
        self.errors
            .iter()
            .map(|(name, message)| (name.as_str(), message.as_str()))
    }

    /// Adds an error of a field, or of the form as a whole if the name is empty.
    pub fn add_error(&mut self, name: impl Into<String>, message: impl Into<String>) {
        self.errors.push((name.into(), message.into()));
    }
}

/// A form in the body: the argument of a [`Submission`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a form that a page can show again",
    note = "write `Submission<Form<…>>`, or `Submission<Valid<Form<…>>>` for a form with rules"
)]
pub trait SubmittedForm {}

impl<T> SubmittedForm for Form<T> {}

#[cfg(feature = "validate")]
impl<T> SubmittedForm for super::Valid<Form<T>> {}

impl<S, F> FromRequest<S> for Submission<F>
where
    F: FromRequest<S, Rejection = Problem> + SubmittedForm,
{
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        require_form(request)?;
        let body = request.take_body().collect().await?;
        request.set_body(Body::from(body.clone()));
        let outcome = match F::from_request(request, state).await {
            Ok(form) => Ok(form),
            Err(problem) if problem.status() == StatusCode::UNPROCESSABLE_ENTITY => {
                let errors = problem.field_errors();
                Err(errors
                    .map(|(name, message)| (name.to_owned(), message.to_owned()))
                    .collect())
            }
            Err(problem) => return Err(problem),
        };
        // Only now is the number of pairs known to be within the limit of a form.
        let values = form_urlencoded::parse(&body).into_owned().collect();
        Ok(Submission { outcome, values })
    }

    fn is_absent(request: &Request) -> bool {
        F::is_absent(request)
    }

    /// The handler responds to invalid forms.
    fn describe(operation: &mut Operation) {
        operation.without_responses(F::describe);
        operation
            .problem(StatusCode::BAD_REQUEST, "The form's fields are not UTF-8.")
            .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
            .problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The media type of the body is not application/x-www-form-urlencoded.",
            );
    }
}
