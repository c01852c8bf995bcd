//! The page: forms that sign a user in, and create and remove links. It needs no script.

use askama::Template;
use axum::RequestPartsExt;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, Redirect, Response};
use axum::routing::{get, post};
use tower_sessions::Session;
use utoipa_axum::router::OpenApiRouter;

use crate::Service;
use crate::extract::{FormFields, Submission, ValidQuery};
use crate::layers::CspNonce;
use crate::links::{self, LinkError, Range};
use crate::new_link::NewLink;
use crate::problem::Problem;
use crate::site::asset_path;
use crate::store::{Link, Store};
use crate::users::{self, Credentials, SignUpError, User};

/// The key of the messages for the next page in the session.
const MESSAGES: &str = "messages";

pub(crate) fn router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .route("/", get(home))
        .route("/page/sign-out", post(sign_out))
        .route("/page/links/{slug}/remove", post(remove))
}

/// The routes with passwords.
pub(crate) fn sign_in_router() -> OpenApiRouter<Service> {
    OpenApiRouter::new()
        .route("/page/sign-up", post(sign_up))
        .route("/page/sign-in", post(sign_in))
}

/// The route that creates links.
pub(crate) fn create_router() -> OpenApiRouter<Service> {
    OpenApiRouter::new().route("/page/links", post(create))
}

/// The page of a user, or of a visitor who has not signed in.
#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    css: String,
    js: String,
    nonce: String,
    user: Option<User>,
    links: Vec<Link>,
    /// The link to the page with older links.
    older: Option<String>,
    messages: Vec<String>,
    /// The fields of the form with errors.
    fields: FormFields,
}

/// The next page, or the same one with the errors of its form.
type Outcome = Result<Result<Redirect, (StatusCode, Html<String>)>, Problem>;

/// The parts of a request that the page shows.
struct View {
    user: Option<User>,
    session: Session,
    store: Store,
    nonce: CspNonce,
}

/// The derive of axum would ignore an error while the user is read.
impl FromRequestParts<Service> for View {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<View, Response> {
        let read = parts.extract_with_state::<(Option<User>, Session, State<Store>, CspNonce), _>(service);
        let (user, session, State(store), nonce) = read.await?;
        Ok(View {
            user,
            session,
            store,
            nonce,
        })
    }
}

impl View {
    /// The same page with the errors of its form.
    async fn again(self, fields: FormFields) -> Outcome {
        let page = self.render(fields, &Range::default()).await?;
        Ok(Err((StatusCode::UNPROCESSABLE_ENTITY, page)))
    }

    async fn render(self, fields: FormFields, range: &Range) -> Result<Html<String>, Problem> {
        let (links, next) = match &self.user {
            Some(user) => links::part(&self.store, user, range).await?,
            None => (Vec::new(), None),
        };
        let messages = self.session.remove(MESSAGES).await?;
        let page = Home {
            css: asset_path("page.css"),
            js: asset_path("page.js"),
            nonce: self.nonce.0,
            user: self.user,
            links,
            older: next.map(|after| format!("/?after={after}")),
            messages: messages.unwrap_or_default(),
            fields,
        };
        Ok(Html(page.render()?))
    }
}

/// Adds a message for the next page.
async fn flash(session: &Session, message: String) -> Result<(), Problem> {
    let mut messages: Vec<String> = session.get(MESSAGES).await?.unwrap_or_default();
    messages.push(message);
    Ok(session.insert(MESSAGES, messages).await?)
}

fn to_home() -> Outcome {
    Ok(Ok(Redirect::to("/")))
}

/// The page.
async fn home(ValidQuery(range): ValidQuery<Range>, view: View) -> Result<Html<String>, Problem> {
    view.render(FormFields::default(), &range).await
}

async fn sign_up(view: View, Submission { value, mut fields }: Submission<Credentials>) -> Outcome {
    let Some(credentials) = value else {
        return view.again(fields).await;
    };
    match users::register(&view.store, credentials).await {
        Ok(user) => welcome(&user, &view.session).await,
        Err(error @ SignUpError::NameTaken { .. }) => {
            fields.add_error("name", error.to_string());
            view.again(fields).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn sign_in(view: View, Submission { value, mut fields }: Submission<Credentials>) -> Outcome {
    let Some(credentials) = value else {
        return view.again(fields).await;
    };
    match users::verify(&view.store, credentials).await? {
        Some(user) => welcome(&user, &view.session).await,
        None => {
            fields.add_error("password", users::WRONG.to_owned());
            view.again(fields).await
        }
    }
}

async fn welcome(user: &User, session: &Session) -> Outcome {
    users::begin(session, user).await?;
    flash(session, format!("Welcome, {}.", user.name)).await?;
    to_home()
}

async fn sign_out(session: Session) -> Outcome {
    session.flush().await?;
    to_home()
}

async fn create(view: View, Submission { value, mut fields }: Submission<NewLink>) -> Outcome {
    // The session has ended: the page contains the sign-in form.
    let Some(user) = &view.user else { return to_home() };
    let Some(new) = value else {
        return view.again(fields).await;
    };
    match links::insert(&view.store, user, &new).await {
        Ok(link) => {
            flash(&view.session, format!("Made the link {}.", link.slug)).await?;
            to_home()
        }
        Err(error @ LinkError::SlugTaken { .. }) => {
            fields.add_error("slug", error.to_string());
            view.again(fields).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn remove(Path(slug): Path<String>, user: Option<User>, session: Session, State(store): State<Store>) -> Outcome {
    if let Some(user) = user
        && store.remove(&user, &slug).await?
    {
        flash(&session, format!("Removed the link {slug}.")).await?;
    }
    to_home()
}
