use std::sync::Arc;
use std::time::Duration;

use conduit::BoxError;
use conduit::layer::SecurityHeaders;
use conduit::prelude::*;
use conduit::session::{Session, Sessions};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndSessionUrl, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, IssuerUrl, LogoutRequest, Nonce, OAuth2TokenResponse,
    PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, Scope,
    TokenResponse, url,
};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Visitor {
    attempt: Option<Attempt>,
    user: Option<User>,
}

/// A sign-in in progress. The callback requires it, so that a callback in another browser, or a repeated one, is an error.
#[derive(Clone, Serialize, Deserialize)]
struct Attempt {
    state: CsrfToken,
    nonce: Nonce,
    /// The PKCE code verifier.
    verifier: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct User {
    /// The id of the user at the provider, which never changes, unlike a name or an address.
    subject: String,
}

#[derive(Clone, FromRef)]
pub struct Site {
    pub sessions: Sessions,
    pub provider: Arc<Provider>,
}

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// The identity provider, as described by its metadata document.
pub struct Provider {
    client: Client,
    client_id: ClientId,
    http: reqwest::Client,
    end_session: Option<EndSessionUrl>,
    /// The address of this site.
    site: String,
}

impl Provider {
    pub async fn discover(issuer: String, id: &str, secret: &str, site: String) -> Result<Self, conduit::Error> {
        // A redirect of the provider could lead into the internal network.
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            // A provider that does not respond must not hold requests, nor the start of a worker.
            .timeout(Duration::from_secs(10))
            .build()?;
        let send_request = |request| send(http.clone(), request);
        let metadata = ProviderMetadataWithLogout::discover_async(IssuerUrl::new(issuer)?, &send_request).await?;
        let client_id = ClientId::new(id.to_owned());
        let end_session = metadata.additional_metadata().end_session_endpoint.clone();
        let secret = ClientSecret::new(secret.to_owned());
        let client = CoreClient::from_provider_metadata(metadata, client_id.clone(), Some(secret));
        let callback = RedirectUrl::new(format!("{site}{}", signed_in::path_and_query(Callback::default())))?;
        Ok(Provider {
            client: client.set_redirect_uri(callback),
            client_id,
            http,
            end_session,
            site,
        })
    }
}

async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let mut response = http.execute(request.try_into()?).await?;
    let mut answer = HttpResponse::default();
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    *answer.body_mut() = response.bytes().await?.into();
    Ok(answer)
}

/// Sends the visitor to the provider.
#[get("/sign-in", link)]
async fn sign_in(mut session: Session<Visitor>, provider: State<Arc<Provider>>) -> Result<Redirect, Problem> {
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let flow = CoreAuthenticationFlow::AuthorizationCode;
    let request = provider
        .client
        .authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
    let (url, state, nonce) = request
        .add_scope(Scope::new("profile".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    let verifier = verifier.into_secret();
    let attempt = Attempt { state, nonce, verifier };
    session
        .update(|visitor| visitor.attempt = Some(attempt.clone()))
        .await?;
    Ok(Redirect::to(url.to_string()))
}

#[derive(Default, Serialize, Deserialize, JsonSchema)]
struct Callback {
    code: Option<String>,
    state: Option<String>,
    /// The reason for a missing code, such as `access_denied`.
    error: Option<String>,
}

/// The provider redirects the visitor to this handler.
#[get("/signed-in", link)]
async fn signed_in(
    callback: Query<Callback>,
    mut session: Session<Visitor>,
    provider: State<Arc<Provider>>,
) -> Result<Redirect, Problem> {
    let callback = callback.0;
    let is_of = |attempt: &mut Attempt| callback.state.as_ref() == Some(attempt.state.secret());
    // One atomic step: with a store, an attempt can be used only once. A link of another site does not cancel it.
    let attempt = session.update(|visitor| visitor.attempt.take_if(is_of)).await?;
    let attempt = attempt.ok_or(Problem::bad_request(
        "this sign-in is not in progress in this browser: try again",
    ))?;
    let Some(code) = callback.code else {
        tracing::debug!(error = callback.error, "the provider refused a sign-in");
        return Err(Problem::forbidden("the provider did not sign you in"));
    };
    let subject = verify(&provider, code, attempt).await.map_err(|error| {
        let problem = Problem::forbidden("the provider's response is invalid: try again");
        problem.with_cause(&*error)
    })?;
    session
        .rotate(|visitor| {
            visitor.user = Some(User {
                subject: subject.clone(),
            })
        })
        .await?;
    Ok(Redirect::to(account::path()))
}

/// Exchanges the code for the user's id.
async fn verify(provider: &Provider, code: String, attempt: Attempt) -> Result<String, BoxError> {
    let send_request = |request| send(provider.http.clone(), request);
    let request = provider.client.exchange_code(AuthorizationCode::new(code))?;
    let tokens = request
        .set_pkce_verifier(PkceCodeVerifier::new(attempt.verifier))
        .request_async(&send_request)
        .await?;
    let token = tokens.id_token().ok_or("the response has no id token")?;
    let verifier = provider.client.id_token_verifier();
    let claims = token.claims(&verifier, &attempt.nonce)?;
    if let Some(expected) = claims.access_token_hash() {
        let key = token.signing_key(&verifier)?;
        let hash = AccessTokenHash::from_token(tokens.access_token(), token.signing_alg()?, key)?;
        if hash != *expected {
            return Err("the access token is not that of the id token".into());
        }
    }
    Ok(claims.subject().to_string())
}

#[get("/account", link)]
async fn account(session: Session<Visitor>) -> Result<String, Problem> {
    let user = session.user.as_ref().ok_or(Problem::unauthorized("sign in first"))?;
    Ok(format!("You are {}.", user.subject))
}

/// Ends the session here and, if the provider supports it, at the provider.
#[post("/sign-out", link)]
async fn sign_out(mut session: Session<Visitor>, provider: State<Arc<Provider>>) -> Result<Redirect, Problem> {
    session.end().await?;
    let Some(end_session) = provider.end_session.clone() else {
        return Ok(Redirect::to(home::path()));
    };
    let home = PostLogoutRedirectUrl::new(format!("{}{}", provider.site, home::path()))?;
    let request = LogoutRequest::from(end_session).set_client_id(provider.client_id.clone());
    let url = request.set_post_logout_redirect_uri(home).http_get_url();
    Ok(Redirect::to(url.to_string()))
}

#[get("/", link)]
async fn home() -> Html<String> {
    let (sign_in, sign_out) = (sign_in::path(), sign_out::path());
    Html(format!(
        r#"<a href="{sign_in}">Sign in</a><form method="post" action="{sign_out}"><button>Sign out</button></form>"#
    ))
}

/// The policy of the pages: a browser applies `form-action` to the redirect after the form that signs out as well.
pub fn security_headers(issuer: &str) -> Result<SecurityHeaders, url::ParseError> {
    let provider = url::Url::parse(issuer)?.origin().ascii_serialization();
    Ok(SecurityHeaders::new().content_security_policy(&format!(
        "default-src 'self'; base-uri 'self'; form-action 'self' {provider}; frame-ancestors 'none'; object-src 'none'"
    )))
}

pub const ROUTES: Routes<Site> = routes![home, sign_in, signed_in, account, sign_out];
