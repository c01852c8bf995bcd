//! Guards: bearer tokens, names and passwords, keys, and signed tokens.

use crate::support::{Response as Answer, Running, serve};
use conduit::prelude::*;
use conduit::{ApiKey, Auth, Authenticate, Basic, Bearer, Key, KeyPlace};

struct User(String);

impl<S> Authenticate<S> for User {
    type Credentials = Bearer;

    async fn authenticate(bearer: Bearer, _: &S) -> Result<Self, Problem> {
        if bearer.token.is("right") {
            Ok(User("ada".to_owned()))
        } else {
            Err(Bearer::refused("unknown token"))
        }
    }
}

#[get("/me")]
async fn me(user: Auth<User>) -> String {
    user.0.0
}

#[get("/maybe")]
async fn maybe(user: Option<Auth<User>>) -> String {
    user.map_or("nobody".to_owned(), |user| user.0.0)
}

#[get("/basic")]
async fn basic(basic: Basic) -> Result<String, Problem> {
    if basic.user == "ada" && basic.password.is("pass:word é") {
        Ok(format!("{basic:?}"))
    } else {
        Err(Basic::refused("wrong"))
    }
}

struct Header;
impl Key for Header {
    const PLACE: KeyPlace = KeyPlace::Header("x-api-key");
}

struct Query;
impl Key for Query {
    const PLACE: KeyPlace = KeyPlace::Query("key");
}

struct Cookie;
impl Key for Cookie {
    const PLACE: KeyPlace = KeyPlace::Cookie("key");
}

/// The scheme of Django REST framework and of older APIs.
struct Token;
impl Key for Token {
    const PLACE: KeyPlace = KeyPlace::Authorization("Token");
}

#[get("/token")]
async fn token(key: ApiKey<Token>) -> String {
    key.key.reveal().to_owned()
}

#[get("/header")]
async fn header(key: ApiKey<Header>) -> String {
    key.key.reveal().to_owned()
}

#[get("/query")]
async fn query(key: ApiKey<Query>) -> String {
    key.key.reveal().to_owned()
}

#[get("/cookie")]
async fn cookie(key: ApiKey<Cookie>) -> String {
    key.key.reveal().to_owned()
}

fn server() -> Running {
    serve(App::new(()).routes(routes![me, maybe, basic, header, query, cookie]))
}

/// The response to a request with these header fields.
fn ask(server: &Running, target: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    server.request(format!("GET {target} HTTP/1.1\r\nhost: test\r\n{fields}\r\n"))
}

fn challenge(answer: &Answer) -> &str {
    answer
        .header("www-authenticate")
        .unwrap_or_else(|| panic!("no challenge: {answer:?}"))
}

/// A layer that rejects credentials of these kinds.
async fn without_credentials(mut request: Request, next: Next) -> Response {
    for name in ["authorization", "x-api-key", "cookie"] {
        request.headers_mut().remove(name);
    }
    next.run(request).await
}

#[test]
fn credentials_that_a_layer_removed_do_not_authenticate() {
    let app = App::new(()).routes(routes![me, maybe, header, cookie]);
    let server = serve(app.layer(without_credentials));
    for (target, field) in [
        ("/me", "authorization: Bearer right"),
        ("/header", "x-api-key: k"),
        ("/cookie", "cookie: key=k"),
    ] {
        assert_eq!(ask(&server, target, &[field]).status, 401, "{target}");
    }
    assert_eq!(
        ask(&server, "/maybe", &["authorization: Bearer right"]).text(),
        "nobody"
    );
}

#[test]
fn bearer_token_of_a_known_user_authenticates() {
    let server = server();
    let known = ask(&server, "/me", &["authorization: bearer right"]);
    assert_eq!((known.status, known.text()), (200, "ada"));
    let absent = ask(&server, "/me", &[]);
    assert_eq!((absent.status, challenge(&absent)), (401, "Bearer"));
    let other = ask(&server, "/me", &["authorization: Basic YTpi"]);
    assert_eq!((other.status, challenge(&other)), (401, "Bearer"));
    let wrong = ask(&server, "/me", &["authorization: Bearer left"]);
    assert_eq!(
        (wrong.status, challenge(&wrong)),
        (401, r#"Bearer error="invalid_token""#)
    );
}

#[test]
fn optional_guard_accepts_absent_credentials_and_rejects_wrong_ones() {
    let server = server();
    assert_eq!(ask(&server, "/maybe", &[]).text(), "nobody");
    assert_eq!(ask(&server, "/maybe", &["authorization: Bearer right"]).text(), "ada");
    assert_eq!(ask(&server, "/maybe", &["authorization: Bearer left"]).status, 401);
}

#[test]
fn malformed_and_repeated_credentials_are_a_bad_request() {
    let server = server();
    for fields in [
        &["authorization: Bearer a b"][..],
        &["authorization: Bearer"],
        &["authorization: Bearer ==="],
        &["authorization: Bearer right", "authorization: Bearer right"],
    ] {
        assert_eq!(ask(&server, "/me", fields).status, 400, "{fields:?}");
        assert_eq!(ask(&server, "/maybe", fields).status, 400, "{fields:?}");
    }
    // Not base64, not UTF-8, no colon, a control character.
    for encoded in ["????", "/zo=", "YWRh", "YQA6Yg=="] {
        let field = format!("authorization: Basic {encoded}");
        assert_eq!(ask(&server, "/basic", &[&field]).status, 400, "{encoded}");
    }
}

#[test]
fn a_password_may_have_colons_and_is_never_printed() {
    let server = server();
    // ada:pass:word é
    let known = ask(&server, "/basic", &["authorization: Basic YWRhOnBhc3M6d29yZCDDqQ=="]);
    assert_eq!(known.status, 200, "{known:?}");
    assert!(!known.text().contains("pass:"), "{}", known.text());
    let wrong = ask(&server, "/basic", &["authorization: Basic YWRhOng="]);
    assert_eq!(wrong.status, 401);
    assert!(challenge(&wrong).starts_with("Basic realm="), "{}", challenge(&wrong));
}

#[test]
fn a_key_may_follow_a_scheme_that_the_application_selects() {
    let server = serve(App::new(()).routes(routes![token]));
    for field in ["authorization: Token k+1", "authorization: tOKEN  k+1 "] {
        assert_eq!(ask(&server, "/token", &[field]).text(), "k+1", "{field}");
    }
    for field in [
        "authorization: Bearer k",
        "authorization: Token",
        "authorization: Tokens k",
        "token: k",
    ] {
        let absent = ask(&server, "/token", &[field]);
        assert_eq!((absent.status, challenge(&absent)), (401, "Token"), "{field}");
    }
    let twice = ask(
        &server,
        "/token",
        &["authorization: Token k", "authorization: Bearer k"],
    );
    assert_eq!(twice.status, 400);
    let routes: Routes = routes![token];
    let document = serde_json::to_value(routes.openapi(conduit::openapi::Info::new("keys", "1"))).unwrap();
    assert_eq!(
        document["components"]["securitySchemes"]["Token"],
        serde_json::json!({"type": "http", "scheme": "token"})
    );
}

#[test]
fn a_key_is_read_only_from_its_configured_place() {
    let server = server();
    assert_eq!(ask(&server, "/header", &["X-Api-Key: k 1"]).text(), "k 1");
    assert_eq!(ask(&server, "/query?a=b&key=k%2B1", &[]).text(), "k+1");
    assert_eq!(ask(&server, "/cookie", &["cookie: monkey=1; key=\"k1\""]).text(), "k1");
    for target in ["/header?x-api-key=k", "/query", "/cookie?key=k"] {
        let absent = ask(&server, target, &["cookie: keys=1", "key: 1"]);
        assert_eq!(absent.status, 401, "{target}");
        assert!(challenge(&absent).starts_with("ApiKey in="), "{target}");
    }
    assert_eq!(ask(&server, "/query?key=1&key=2", &[]).status, 400);
    assert_eq!(ask(&server, "/cookie", &["cookie: key=1; key=2"]).status, 400);
}

#[test]
fn key_that_is_not_utf8_once_decoded_is_a_bad_request_in_every_place() {
    let server = server();
    assert_eq!(ask(&server, "/query?%6Bey=%C3%A9+1%", &[]).text(), "é 1%");
    for (target, field, place) in [
        ("/query?key=%FF", "a: b", "the field key of the query"),
        ("/query?a=b&key=k%C3", "a: b", "the field key of the query"),
        ("/cookie", "cookie: key=%FF", "the cookie key"),
    ] {
        let refused = ask(&server, target, &[field]);
        assert_eq!(refused.status, 400, "{target}");
        assert_eq!(refused.problem()["detail"], format!("{place} is not UTF-8"));
    }
    // A name that is not UTF-8 is another name.
    assert_eq!(ask(&server, "/query?%FFkey=1", &[]).status, 401);
}

#[cfg(feature = "jwt")]
mod jwt {
    use std::time::{SystemTime, UNIX_EPOCH};

    use conduit::prelude::*;
    use conduit::{Jwt, JwtSigner, JwtVerifier};
    use jsonwebtoken::jwk::{Jwk, JwkSet};
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::{Running, ask, challenge, serve};

    const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

    #[derive(serde::Deserialize)]
    struct Claims {
        sub: String,
    }

    #[get("/me")]
    async fn me(claims: Jwt<Claims>) -> String {
        claims.0.sub
    }

    fn server(verifier: JwtVerifier) -> Running {
        serve(App::new(verifier).routes(routes![me]))
    }

    fn now() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    fn token(header: &Header, claims: &Value, key: &EncodingKey) -> String {
        encode(header, claims, key).unwrap()
    }

    fn hs256(claims: &Value) -> String {
        token(&Header::default(), claims, &EncodingKey::from_secret(SECRET))
    }

    /// The reason why the token is rejected.
    fn refusal(server: &Running, token: &str) -> String {
        let answer = ask(server, "/me", &[&format!("authorization: Bearer {token}")]);
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(challenge(&answer).starts_with(r#"Bearer error="invalid_token""#));
        answer.problem()["detail"].as_str().unwrap().to_owned()
    }

    fn subject(server: &Running, token: &str) -> String {
        let answer = ask(server, "/me", &[&format!("authorization: Bearer {token}")]);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text().to_owned()
    }

    #[test]
    fn a_token_is_accepted_if_its_signature_time_and_claims_are_valid() {
        let verifier = JwtVerifier::hs256(SECRET).unwrap().issuer("us").audience("orders");
        let server = server(verifier);
        let right = json!({"sub": "ada", "exp": now() + 600, "iss": "us", "aud": ["bills", "orders"]});
        assert_eq!(subject(&server, &hs256(&right)), "ada");

        let with = |name: &str, value: Value| {
            let mut claims = right.clone();
            claims[name] = value;
            hs256(&claims)
        };
        let without = |name: &str| {
            let mut claims = right.clone();
            claims.as_object_mut().unwrap().remove(name);
            hs256(&claims)
        };
        assert!(refusal(&server, &with("exp", json!(now() - 600))).contains("expired"));
        assert!(refusal(&server, &with("nbf", json!(now() + 600))).contains("not valid yet"));
        assert!(refusal(&server, &with("iss", json!("them"))).contains("issuer"));
        assert!(refusal(&server, &with("aud", json!("bills"))).contains("audience"));
        for name in ["exp", "iss", "aud"] {
            assert!(
                refusal(&server, &without(name)).contains("lacks a required claim"),
                "{name}"
            );
        }
        assert!(refusal(&server, &without("sub")).contains("is missing or has an invalid value"));
        let other = EncodingKey::from_secret(b"another secret of more than thirty-two bytes");
        assert!(refusal(&server, &token(&Header::default(), &right, &other)).contains("signature"));
        let longer = Header::new(Algorithm::HS512);
        let secret = EncodingKey::from_secret(SECRET);
        assert!(refusal(&server, &token(&longer, &right, &secret)).contains("no known key"));
        assert!(refusal(&server, "no.token.atall").contains("not a signed"));
    }

    #[test]
    fn a_signer_creates_tokens_that_a_verifier_accepts() {
        let rsa = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let ec = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let ed = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        for (signer, verifier) in [
            (JwtSigner::hs256(SECRET), JwtVerifier::hs256(SECRET)),
            (
                JwtSigner::rs256(&rsa.serialize_pem()),
                JwtVerifier::rs256(&rsa.public_key_pem()),
            ),
            (
                JwtSigner::es256(&ec.serialize_pem()),
                JwtVerifier::es256(&ec.public_key_pem()),
            ),
            (
                JwtSigner::eddsa(&ed.serialize_pem()),
                JwtVerifier::eddsa(&ed.public_key_pem()),
            ),
        ] {
            let signer = signer.unwrap().issuer("us").audience("orders").key_id("1");
            let server = server(verifier.unwrap().issuer("us").audience("orders"));
            assert_eq!(subject(&server, &signer.sign(&json!({"sub": "ada"})).unwrap()), "ada");
            let expired = json!({"sub": "ada", "exp": now() - 600});
            assert!(refusal(&server, &signer.sign(&expired).unwrap()).contains("expired"));
            let other = signer.clone().issuer("them").sign(&json!({"sub": "ada"})).unwrap();
            assert!(refusal(&server, &other).contains("issuer"));
            let short = signer
                .lifetime(std::time::Duration::ZERO)
                .sign(&json!({"sub": "ada"}))
                .unwrap();
            assert_eq!(subject(&server, &short), "ada", "the leeway of a minute");
        }
    }

    #[test]
    fn signer_rejects_invalid_keys_and_claims() {
        let signer = JwtSigner::hs256(SECRET).unwrap();
        let error = signer.sign(&[1, 2]).unwrap_err().to_string();
        assert!(error.contains("not a JSON object"), "{error}");
        assert!(JwtSigner::hs256(b"short").unwrap_err().to_string().contains("5 bytes"));
        for broken in [
            JwtSigner::rs256("no key"),
            JwtSigner::es256("no key"),
            JwtSigner::eddsa("no key"),
        ] {
            broken.unwrap_err();
        }
        assert!(!format!("{signer:?}").contains("secret"));
    }

    #[test]
    fn token_without_signature_or_with_critical_header_is_rejected() {
        let server = server(JwtVerifier::hs256(SECRET).unwrap());
        // {"alg":"none"} . {"sub":"ada","exp":99999999999} .
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjk5OTk5OTk5OTk5fQ.";
        refusal(&server, none);
        let critical = Header {
            crit: Some(vec!["b64".to_owned()]),
            ..Header::default()
        };
        let claims = json!({"sub": "ada", "exp": now() + 600});
        let secret = EncodingKey::from_secret(SECRET);
        assert!(refusal(&server, &token(&critical, &claims, &secret)).contains("critical"));
        // A token with an audience is rejected by a server without one.
        let addressed = json!({"sub": "ada", "exp": now() + 600, "aud": "others"});
        assert!(refusal(&server, &hs256(&addressed)).contains("audience"));
    }

    /// A pair of keys on P-256: the private key, and the public key in a key set.
    fn pair(id: &str) -> (EncodingKey, Jwk) {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let key = EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        (key, jwk)
    }

    fn set(keys: &[&Jwk]) -> String {
        let keys = keys.iter().map(|key| (*key).clone()).collect();
        serde_json::to_string(&JwkSet { keys }).unwrap()
    }

    #[test]
    fn keys_are_selected_by_their_id_and_replaced_while_serving() {
        let ((old, old_jwk), (new, new_jwk)) = (pair("old"), pair("new"));
        let verifier = JwtVerifier::key_set(&set(&[&old_jwk])).unwrap();
        let server = server(verifier.clone());
        let signed = |id: &str, key: &EncodingKey| {
            let mut header = Header::new(Algorithm::ES256);
            header.kid = Some(id.to_owned());
            token(&header, &json!({"sub": id, "exp": now() + 600}), key)
        };
        assert_eq!(subject(&server, &signed("old", &old)), "old");
        assert!(refusal(&server, &signed("new", &new)).contains("no known key"));
        verifier.replace_keys(&set(&[&old_jwk, &new_jwk])).unwrap();
        assert_eq!(subject(&server, &signed("new", &new)), "new");
        assert_eq!(subject(&server, &signed("old", &old)), "old");
        assert!(refusal(&server, &signed("new", &old)).contains("signature"));
        verifier.replace_keys(&set(&[&new_jwk])).unwrap();
        refusal(&server, &signed("old", &old));
        verifier.replace_keys("{}").unwrap_err();
        assert_eq!(subject(&server, &signed("new", &new)), "new");
    }

    #[test]
    fn keys_of_a_set_that_are_unreadable_or_for_another_use_are_ignored() {
        let ((key, jwk), (other, other_jwk)) = (pair("good"), pair("agreement"));
        let mut keys: Value = serde_json::from_str(&set(&[&jwk, &other_jwk, &jwk])).unwrap();
        // A key for the agreement of another key, and one with an invalid coordinate.
        keys["keys"][1]["alg"] = "ECDH-ES".into();
        keys["keys"][2]["x"] = "!".into();
        let server = server(JwtVerifier::key_set(&keys.to_string()).unwrap());
        let signed = |id: &str, key: &EncodingKey| {
            let mut header = Header::new(Algorithm::ES256);
            header.kid = Some(id.to_owned());
            token(&header, &json!({"sub": id, "exp": now() + 600}), key)
        };
        assert_eq!(subject(&server, &signed("good", &key)), "good");
        assert!(refusal(&server, &signed("agreement", &other)).contains("no known key"));
        keys["keys"][1]["alg"] = "ES256".into();
        keys["keys"][1]["key_ops"] = json!(["deriveBits"]);
        let server = super::serve(App::new(JwtVerifier::key_set(&keys.to_string()).unwrap()).routes(routes![me]));
        assert!(refusal(&server, &signed("agreement", &other)).contains("no known key"));
    }

    #[test]
    fn a_public_key_is_no_secret_for_hmac() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let public = pair.public_key_pem();
        let server = server(JwtVerifier::es256(&public).unwrap());
        let claims = json!({"sub": "ada", "exp": now() + 600});
        let forged = token(
            &Header::default(),
            &claims,
            &EncodingKey::from_secret(public.as_bytes()),
        );
        assert!(refusal(&server, &forged).contains("no known key"));
        let key = EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap();
        let right = token(&Header::new(Algorithm::ES256), &claims, &key);
        assert_eq!(subject(&server, &right), "ada");
    }

    #[test]
    fn invalid_key_is_rejected_before_its_use() {
        assert!(
            JwtVerifier::hs256(b"short")
                .unwrap_err()
                .to_string()
                .contains("5 bytes")
        );
        JwtVerifier::rs256("no key").unwrap_err();
        JwtVerifier::eddsa("no key").unwrap_err();
        let symmetric = r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}"#;
        let error = JwtVerifier::key_set(symmetric).unwrap_err().to_string();
        assert!(error.contains("no key of the set"), "{error}");
    }
}
