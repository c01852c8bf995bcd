//! Tokens in forms, for browsers that send neither Fetch Metadata nor an origin.

use conduit::extract::{FormFields, Submission};
use conduit::layer::Next;
use conduit::session::{FormToken, TokenSession, require_token};
use conduit::testing::TestRequest;
use conduit::{Multipart, MultipartLimits};

use crate::*;

#[get("/form")]
async fn form(token: FormToken) -> String {
    token.to_string()
}

#[get("/field")]
async fn field(token: FormToken) -> String {
    token.field()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Name {
    name: String,
}

#[post("/form")]
async fn take(form: Submission<Form<Name>>) -> String {
    match form.into_parts() {
        (Ok(Form(form)), fields) => format!("{} {}", form.name, FormFields::value(&fields, "csrf_token").len()),
        (Err(fields), _) => format!("{:?}", fields.errors().collect::<Vec<_>>()),
    }
}

#[put("/json")]
async fn put_json(body: Json<Name>) -> String {
    body.0.name
}

/// The names of the fields, and the number of bytes in them.
#[post("/files")]
async fn files(mut form: Multipart) -> Result<String, Problem> {
    let (mut names, mut length) = (Vec::new(), 0);
    while let Some(mut field) = form.next_field().await? {
        names.push(field.name().to_owned());
        while let Some(piece) = field.chunk().await? {
            length += piece.len();
        }
    }
    Ok(format!("{} {length}", names.join(",")))
}

const ROUTES: Routes<Sessions> = routes![
    #[layer(require_token)]
    [
        #[layer(MultipartLimits::new().total_bytes(8 << 20))]
        files
    ],
    field,
    sign_in_here,
    form,
    #[layer(require_token)]
    take,
    #[layer(require_token)]
    put_json,
];

/// Requires tokens only of browsers, which send a cookie.
async fn require_token_with_cookie(session: TokenSession, request: Request, next: Next) -> Result<Response, Problem> {
    match request.header("cookie") {
        Some(_) => require_token(session, request, next).await,
        None => Ok(next.run(request).await),
    }
}

#[test]
fn layer_of_the_application_demands_tokens_for_some_requests() {
    for sessions in kinds() {
        let routes: Routes<Sessions> = routes![
            form,
            #[layer(require_token_with_cookie)]
            take
        ];
        let client = TestClient::new(App::new(sessions).routes(routes).development(false));
        let ada = [("name", "ada")];
        client.post("/form").form(&ada).send().assert_text("ada 0");
        let token = client.get("/form").send().text().to_owned();
        client.post("/form").form(&ada).send().assert_status(403);
        let in_header = client.post("/form").form(&ada).header("x-csrf-token", &token);
        in_header.send().assert_text("ada 0");
    }
}

#[post("/sign-in/{name}")]
async fn sign_in_here(name: Path<String>, mut session: Session<Visitor>) -> Result<(), Problem> {
    session.rotate(|visitor| visitor.user = Some(name.0.clone())).await
}

fn client(sessions: Sessions) -> TestClient {
    TestClient::new(App::new(sessions).routes(ROUTES).development(false))
}

fn kinds() -> [Sessions; 2] {
    [Sessions::in_memory(), Sessions::in_cookies(CookieKey::random(), [])]
}

#[test]
fn request_of_unknown_origin_needs_the_token_of_its_session() {
    for sessions in kinds() {
        let client = client(sessions);
        let ada = [("name", "ada")];
        let refused = client.post("/form").form(&ada).send();
        refused.assert_status(403).assert_text_contains(
            "the request has neither sec-fetch-site nor origin, and no token: load the page again and send its field \
             csrf_token, or the header field x-csrf-token",
        );
        assert_eq!(set_cookie(&refused), None, "a rejected request begins no session");

        let token = client.get("/form").send().text().to_owned();
        assert_eq!(token.len(), 86);
        let another = client.get("/form").send().text().to_owned();
        assert_ne!(token, another, "each page has another mask");
        for token in [&token, &another] {
            let form = [("name", "ada"), ("csrf_token", token)];
            client.post("/form").form(&form).send().assert_text("ada 0");
            let in_header = client.post("/form").form(&ada).header("x-csrf-token", token);
            in_header.send().assert_text("ada 0");
            let json = client.put("/json").json(&serde_json::json!({ "name": "ada" }));
            json.header("x-csrf-token", token).send().assert_text("ada");
        }

        let attacker = client.another();
        let of_attacker = attacker.get("/form").send().text().to_owned();
        for wrong in ["", "x", &of_attacker, &token[..85]] {
            let form = [("name", "ada"), ("csrf_token", wrong)];
            let refused = client.post("/form").form(&form).send();
            refused
                .assert_status(403)
                .assert_text_contains("its token belongs to another session");
        }
        let no_session = client.another();
        let refused = no_session
            .post("/form")
            .form(&ada)
            .header("x-csrf-token", &token)
            .send();
        refused.assert_status(403);
    }
}

#[test]
fn request_of_a_known_origin_needs_no_token() {
    let client = client(Sessions::in_memory());
    let post = |name: &str, value: &str| {
        let form = client.post("/form").form(&[("name", "ada"), ("csrf_token", "")]);
        form.header(name, value).send().status()
    };
    assert_eq!(post("sec-fetch-site", "same-origin"), 200);
    assert_eq!(post("sec-fetch-site", "cross-site"), 403);
    assert_eq!(post("origin", "https://evil.example"), 403);
}

#[test]
fn token_from_before_a_sign_in_is_invalid_after_it() {
    for sessions in kinds() {
        let client = client(sessions);
        let before = client.get("/form").send().text().to_owned();
        client.post("/sign-in/ada").send().assert_status(200);
        let post = |token: &str| {
            client
                .post("/form")
                .form(&[("name", "ada"), ("csrf_token", token)])
                .send()
        };
        post(&before).assert_status(403);
        let after = client.get("/form").send().text().to_owned();
        post(&after).assert_text("ada 0");
    }
}

#[test]
fn field_is_hidden() {
    let client = client(Sessions::in_memory());
    let field = client.get("/field").send();
    let value = field
        .text()
        .strip_prefix(r#"<input type="hidden" name="csrf_token" value=""#);
    let value = value.and_then(|rest| rest.strip_suffix("\">")).expect("a field");
    client
        .post("/form")
        .form(&[("csrf_token", value), ("name", "ada")])
        .send()
        .assert_text("ada 0");
}

#[test]
fn page_with_an_old_id_keeps_the_new_cookie() {
    let client = client(Sessions::in_memory());
    client.get("/form").send().assert_status(200);
    let slow = client.another();
    slow.set_cookie(COOKIE, &client.cookie(COOKIE).expect("a cookie"));
    client.post("/sign-in/ada").send().assert_status(200);
    let page = slow.get("/form").send();
    page.assert_text("");
    assert_eq!(set_cookie(&page), None);
}

#[test]
fn layer_of_an_application_demands_tokens_of_all_routes() {
    let routes: Routes<Sessions> = routes![form, take];
    let app = App::new(Sessions::in_memory()).routes(routes).layer(require_token);
    let client = TestClient::new(app.development(false));
    client.post("/form").form(&[("name", "ada")]).send().assert_status(403);
    let token = client.get("/form").send().text().to_owned();
    client
        .post("/form")
        .form(&[("name", "ada"), ("csrf_token", &token)])
        .send()
        .assert_text("ada 0");
}

#[test]
fn large_form_is_rejected_within_the_limit_of_the_body() {
    let client = client(Sessions::in_memory());
    let large = "x".repeat(3 << 20);
    client.post("/form").form(&[("name", &large)]).send().assert_status(413);
}

#[test]
fn first_field_of_a_form_with_files_is_its_token() {
    for sessions in kinds() {
        let client = client(sessions);
        let token = client.get("/form").send().text().to_owned();
        let content = "x".repeat(3 << 20);
        let post = || client.post("/files");
        let file = |request: TestRequest| {
            request
                .field("name", "ada")
                .file("file", "a.txt", "text/plain", &content)
        };

        let sent = file(post().field("csrf_token", &token)).send();
        sent.assert_status(200)
            .assert_text(&format!("name,file {}", content.len() + 3));
        let in_header = file(post()).header("x-csrf-token", &token).send();
        in_header.assert_text(&format!("name,file {}", content.len() + 3));
        file(post().field("csrf_token", ""))
            .header("origin", "https://evil.example")
            .send()
            .assert_status(403);
        let known = file(post().field("csrf_token", ""))
            .header("sec-fetch-site", "same-origin")
            .send();
        known.assert_text(&format!("name,file {}", content.len() + 3));

        file(post())
            .send()
            .assert_status(403)
            .assert_text_contains("and no token");
        file(post().field("csrf_token", "x")).send().assert_status(403);
        file(post()).field("csrf_token", &token).send().assert_status(403);
        let long = "x".repeat(64 << 10);
        file(post().field("csrf_token", &long)).send().assert_status(403);
        // The limits are those of the form, which the handler reads.
        let large = "x".repeat(9 << 20);
        let refused = post()
            .field("csrf_token", &token)
            .file("file", "a.txt", "text/plain", &large);
        refused.send().assert_status(413);
    }
}

#[test]
fn document_has_the_rejection_of_unsafe_methods() {
    let document = serde_json::to_value(ROUTES.openapi(conduit::openapi::Info::new("Site", "1"))).expect("JSON");
    let responses = |method: &str, path: &str| document["paths"][path][method]["responses"]["403"].is_object();
    assert!(responses("post", "/form"));
    assert!(responses("put", "/json"));
    assert!(!responses("get", "/form"));
}
