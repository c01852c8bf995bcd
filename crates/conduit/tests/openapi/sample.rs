//! An application with a bit of everything.

use conduit::openapi::{Info, Operation, Parameter, SecurityScheme};
use conduit::prelude::*;
use serde::{Deserialize, Serialize};

pub(crate) fn info() -> Info {
    Info::new("Sample", "1.2.3")
        .description("A bit of everything.")
        .server("https://api.example.com", "The one.")
}

pub(crate) const ROUTES: Routes = routes![
    users::list,
    users::show,
    users::replace,
    users::create,
    users::remove,
    upload,
    sign_in,
    file,
    page,
    gone,
    old,
    "/v1" => users::list,
];

/// A token of a user who may write.
pub(crate) struct Writer;

impl<S> FromRequest<S> for Writer {
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(Writer)
    }

    fn describe(operation: &mut Operation) {
        operation
            .security("token", SecurityScheme::bearer(Some("JWT")), &[])
            .parameter(Parameter::header("x-trace").description("Names the request in the log."))
            .problem(StatusCode::UNAUTHORIZED, "The token is missing or not valid.");
    }
}

pub(crate) mod users {
    use super::*;

    /// The role of a user.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    pub(crate) enum Role {
        Reader,
        Writer,
    }

    /// A user.
    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(crate) struct User {
        /// The number of the user.
        id: u64,
        name: String,
        #[serde(default)]
        roles: Vec<Role>,
        email: Option<String>,
    }

    #[derive(Serialize, JsonSchema)]
    pub(crate) struct Part<T> {
        items: Vec<T>,
        next: Option<u64>,
    }

    #[derive(Deserialize, JsonSchema)]
    pub(crate) struct Filter {
        /// Only with this role.
        role: Option<Role>,
        /// Only with one of these names.
        #[serde(default)]
        name: Vec<String>,
        #[serde(flatten)]
        range: Range,
    }

    #[derive(Deserialize, JsonSchema)]
    pub(crate) struct Range {
        after: u64,
        #[serde(default = "twenty")]
        limit: u32,
    }

    fn twenty() -> u32 {
        20
    }

    /// List users.
    ///
    /// The newest first.
    #[get("/users")]
    pub(crate) async fn list(filter: Query<Filter>) -> Json<Part<User>> {
        let next = filter.0.role.is_some() || !filter.0.name.is_empty();
        let next = next.then_some(filter.0.range.after + u64::from(filter.0.range.limit));
        Json(Part {
            items: Vec::new(),
            next,
        })
    }

    /// Show one user.
    #[get("/users/{id}")]
    pub(crate) async fn show(id: Path<u64>) -> Result<Json<User>, Problem> {
        Err(Problem::not_found(format!("no user has the id {id}")))
    }

    /// Replace a user.
    #[put("/users/{user}")]
    pub(crate) async fn replace(
        _user: Path<u64>,
        _: Writer,
        new: Json<User>,
    ) -> Result<(StatusCode, Json<User>), Problem> {
        Ok((StatusCode::OK, new))
    }

    /// Create a user.
    #[post("/users")]
    pub(crate) async fn create(_: Writer, new: Json<User>) -> Result<Created<Json<User>>, Problem> {
        Ok(Created::at("/users/1", new))
    }

    /// Remove a user.
    #[delete("/users/{id}")]
    pub(crate) async fn remove(_id: Path<u64>, _: Option<Writer>) -> Result<StatusCode, Problem> {
        Ok(StatusCode::NO_CONTENT)
    }
}

/// Take any bytes.
#[put("/upload")]
async fn upload(body: Bytes) -> String {
    body.len().to_string()
}

#[derive(Deserialize, JsonSchema)]
struct SignIn {
    name: String,
    password: String,
}

/// Sign in.
#[post("/sign-in")]
async fn sign_in(form: Form<SignIn>) -> Redirect {
    Redirect::to(if form.name == form.password { "/" } else { "/welcome" })
}

/// A file.
#[get("/files/{folder}/{*path}")]
async fn file(Path((_folder, _path)): Path<(u32, String)>) -> Option<Vec<u8>> {
    None
}

/// The page, of a type without a name.
#[get("/")]
async fn page() -> impl IntoResponse {
    ([("cache-control", "no-store")], Html("<h1>Hello</h1>"))
}

#[get("/gone")]
fn gone() -> Result<String, (StatusCode, String)> {
    Err((StatusCode::GONE, "gone".to_owned()))
}

#[deprecated]
#[get("/old")]
fn old() -> &'static str {
    "old"
}
