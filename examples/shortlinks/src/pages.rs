//! The page: forms that sign a user in, and create and remove links. It needs no script.

use askama::Template;
use conduit::extract::{FormFields, Submission};
use conduit::layer::CspNonce;
use conduit::prelude::*;
use conduit::session::Session;
use conduit::{Embedded, Files, Page, Valid, asset, embed};

use crate::links::{self, Range, few_new_links};
use crate::new_link::NewLink;
use crate::store::{Link, Store};
use crate::users::{self, Credentials, User, Visitor, few_sign_ins};
use crate::{DOCS, Service};

pub(crate) const ROUTES: Routes<Service> = routes![
    home,
    #[layer(few_sign_ins)]
    [sign_up, sign_in],
    sign_out,
    #[layer(few_new_links)]
    create,
    remove,
    "/assets" => Files::embedded(ASSETS),
];

/// The style and the script of the page.
const ASSETS: Embedded = embed!("assets", "/assets");

/// The page loads resources of the service only, runs no inline script or style, sends forms only to the service, and cannot be
/// framed.
pub(crate) const POLICY: &str = "default-src 'none'; style-src {nonce}; script-src {nonce}; img-src data:; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The page of a user, or of a visitor who has not signed in.
#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    nonce: CspNonce,
    user: Option<User>,
    links: Vec<Link>,
    /// The link to the page with older links.
    older: Option<String>,
    messages: Vec<String>,
    /// The fields of the form with errors.
    fields: FormFields,
}

/// The next page, or the same one with the errors of its form.
type Outcome = Result<Result<Redirect, Status<422, Page<Home>>>, Problem>;

/// The same page with the errors of its form.
async fn again(fields: FormFields, mut session: Session<Visitor>, store: &Store, nonce: CspNonce) -> Outcome {
    let page = render(fields, &mut session, store, nonce, &Range::default()).await?;
    Ok(Err(Status(page)))
}

async fn render(
    fields: FormFields,
    session: &mut Session<Visitor>,
    store: &Store,
    nonce: CspNonce,
    range: &Range,
) -> Result<Page<Home>, Problem> {
    let user = session.user();
    let (links, next) = match &user {
        Some(user) => links::part(store, user, range).await?,
        None => (Vec::new(), None),
    };
    let older = |after| {
        home::path_and_query(Range {
            after: Some(after),
            ..Range::default()
        })
    };
    Ok(Page(Home {
        nonce,
        user,
        links,
        older: next.map(older),
        messages: session.take_flashes().await?,
        fields,
    }))
}

/// Adds an error for a value that is taken; any other problem becomes the response.
fn add_conflict(fields: &mut FormFields, name: &str, problem: Problem) -> Result<(), Problem> {
    if problem.status() != StatusCode::CONFLICT {
        return Err(problem);
    }
    fields.add_error(name, problem.detail().unwrap_or_default());
    Ok(())
}

fn to_home() -> Outcome {
    Ok(Ok(Redirect::to(home::path_and_query(Range::default()))))
}

/// The page.
#[get("/", link)]
#[doc(hidden)]
async fn home(
    range: Valid<Query<Range>>,
    mut session: Session<Visitor>,
    store: State<Store>,
    nonce: CspNonce,
) -> Result<Page<Home>, Problem> {
    render(FormFields::default(), &mut session, &store, nonce, &range).await
}

#[post("/page/sign-up", link)]
#[doc(hidden)]
async fn sign_up(
    form: Submission<Valid<Form<Credentials>>>,
    session: Session<Visitor>,
    store: State<Store>,
    nonce: CspNonce,
) -> Outcome {
    let (outcome, mut fields) = form.into_parts();
    let Valid(Form(credentials)) = match outcome {
        Ok(valid) => valid,
        Err(fields) => return again(fields, session, &store, nonce).await,
    };
    match users::register(&store, credentials).await {
        Ok(user) => welcome(user, session).await,
        Err(error) => {
            add_conflict(&mut fields, "name", error.into())?;
            again(fields, session, &store, nonce).await
        }
    }
}

#[post("/page/sign-in", link)]
#[doc(hidden)]
async fn sign_in(
    form: Submission<Valid<Form<Credentials>>>,
    session: Session<Visitor>,
    store: State<Store>,
    nonce: CspNonce,
) -> Outcome {
    let (outcome, mut fields) = form.into_parts();
    let Valid(Form(credentials)) = match outcome {
        Ok(valid) => valid,
        Err(fields) => return again(fields, session, &store, nonce).await,
    };
    match users::verify(&store, credentials).await? {
        Some(user) => welcome(user, session).await,
        None => {
            fields.add_error("password", users::WRONG);
            again(fields, session, &store, nonce).await
        }
    }
}

async fn welcome(user: User, mut session: Session<Visitor>) -> Outcome {
    users::begin(&mut session, &user).await?;
    session.flash(format!("Welcome, {}.", user.name)).await?;
    to_home()
}

#[post("/page/sign-out", link)]
#[doc(hidden)]
async fn sign_out(mut session: Session<Visitor>) -> Outcome {
    session.end().await?;
    to_home()
}

#[post("/page/links", link)]
#[doc(hidden)]
async fn create(
    form: Submission<Valid<Form<NewLink>>>,
    mut session: Session<Visitor>,
    store: State<Store>,
    nonce: CspNonce,
) -> Outcome {
    // The session has ended: the page contains the sign-in form.
    let Some(user) = session.user() else { return to_home() };
    let (outcome, mut fields) = form.into_parts();
    let Valid(Form(new)) = match outcome {
        Ok(valid) => valid,
        Err(fields) => return again(fields, session, &store, nonce).await,
    };
    match links::insert(&store, &user, &new).await {
        Ok(link) => {
            session.flash(format!("Made the link {}.", link.slug)).await?;
            to_home()
        }
        Err(error) => {
            add_conflict(&mut fields, "slug", error.into())?;
            again(fields, session, &store, nonce).await
        }
    }
}

#[post("/page/links/{slug}/remove", link)]
#[doc(hidden)]
async fn remove(slug: Path<String>, mut session: Session<Visitor>, store: State<Store>) -> Outcome {
    if let Some(user) = session.user()
        && store.remove(&user, &slug).await?
    {
        session.flash(format!("Removed the link {}.", *slug)).await?;
    }
    to_home()
}
