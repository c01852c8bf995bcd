//! Users: sign-up, sign-in, sign-out, and the guard of an account's data.

use conduit::prelude::*;
use conduit::session::{ActiveSession, Session, Sessions};
use conduit::{Auth, Authenticate, Valid};
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::new_link::has_letters_of_slugs;
use crate::store::Store;
use crate::{Limits, Service, password};

pub(crate) const ROUTES: Routes<Service> = routes![
    #[layer(few_sign_ins)]
    [sign_up, sign_in],
    whoami,
    sign_out
];

/// A user who has signed in. `Auth<User>` guards a handler.
#[derive(Clone, Serialize, JsonSchema)]
pub(crate) struct User {
    #[serde(skip)]
    pub(crate) id: i64,
    pub(crate) name: String,
}

/// The data of a session: id and name of the user who has signed in.
#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Visitor {
    user: Option<(i64, String)>,
}

impl Visitor {
    pub(crate) fn user(&self) -> Option<User> {
        let (id, name) = self.user.clone()?;
        Some(User { id, name })
    }
}

/// The error of a sign-in, which does not reveal the names of users.
pub(crate) const WRONG: &str = "No user has this name and password.";

impl<S> Authenticate<S> for User
where
    Sessions: FromRef<S>,
{
    type Credentials = ActiveSession<Visitor>;

    async fn authenticate(session: ActiveSession<Visitor>, _: &S) -> Result<User, Problem> {
        session.user().ok_or_else(|| refused("sign in first"))
    }
}

fn refused(detail: &'static str) -> Problem {
    ActiveSession::<Visitor>::refused(detail)
}

/// A name and a password.
#[derive(Deserialize, JsonSchema, Validate)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// 2 to 32 characters, each one of a-z, 0-9 and the hyphen.
    #[garde(custom(has_letters_of_slugs(2)))]
    #[schemars(regex(pattern = "^[a-z0-9-]{2,32}$"))]
    name: String,
    /// 10 to 200 characters.
    #[garde(length(chars, min = 10, max = 200))]
    password: String,
}

#[derive(Debug, Problem)]
pub(crate) enum SignUpError {
    #[problem(
        status = 409,
        title = "Name taken",
        detail = "The name {name:?} is taken: choose another."
    )]
    NameTaken { name: String },
    #[problem(transparent)]
    Other(#[problem(from)] Problem),
    #[problem(status = 500)]
    Database(#[problem(from)] sqlx::Error),
}

/// Signs up a user, who can then sign in.
#[post("/api/users")]
async fn sign_up(new: Valid<Json<Credentials>>, store: State<Store>) -> Result<Status<201, Json<User>>, SignUpError> {
    Ok(Status(Json(register(&store, new.0.0).await?)))
}

/// Adds a user.
pub(crate) async fn register(store: &Store, credentials: Credentials) -> Result<User, SignUpError> {
    let Credentials { name, password } = credentials;
    let hash = password::hash(password).await?;
    let user = store.insert_user(&name, &hash).await?;
    user.ok_or(SignUpError::NameTaken { name })
}

/// Signs in: the response sets the cookie of a session. The id of an earlier session is invalid from then on.
#[post("/api/session")]
async fn sign_in(
    credentials: Valid<Json<Credentials>>,
    mut session: Session<Visitor>,
    store: State<Store>,
) -> Result<Created<Json<User>>, Problem> {
    let user = verify(&store, credentials.0.0).await?;
    let user = user.ok_or_else(|| refused(WRONG))?;
    begin(&mut session, &user).await?;
    Ok(Created::at(whoami::path(), Json(user)))
}

/// Returns the user with this name and password.
pub(crate) async fn verify(store: &Store, credentials: Credentials) -> Result<Option<User>, Problem> {
    let Credentials { name, password } = credentials;
    let (user, hash) = store.find_user(&name).await?.unzip();
    let is_right = password::is_right(password, hash).await?;
    Ok(user.filter(|_| is_right))
}

/// Assigns the session to the user, under another id.
pub(crate) async fn begin(session: &mut Session<Visitor>, user: &User) -> Result<(), Problem> {
    session
        .rotate(|visitor| visitor.user = Some((user.id, user.name.clone())))
        .await
}

/// Returns the signed-in user.
#[get("/api/session", link)]
async fn whoami(user: Auth<User>) -> Json<User> {
    Json(user.0)
}

/// Signs out: the session ends, also for clients with a copy of its cookie.
#[delete("/api/session")]
async fn sign_out(_: Auth<User>, mut session: Session<Visitor>) -> Result<NoContent, Problem> {
    session.end().await?;
    Ok(NoContent)
}

/// Guessing passwords takes many attempts, and each attempt is expensive.
pub(crate) async fn few_sign_ins(limits: State<Limits>, request: Request, next: Next) -> Response {
    limits.sign_in.call(request, next).await
}
