//! Every extractor describes its input and its rejections.

use conduit::layer::{Preconditions, RequestId};
use conduit::openapi::Info;
use conduit::prelude::*;
use conduit::{ApiKey, Auth, Authenticate, Basic, Bearer, Client, Extension, Key, KeyPlace, Shutdown, UnixPeer};
use serde_json::{Value, json};

#[derive(serde::Deserialize, JsonSchema)]
struct Fields {
    _name: String,
}

struct Partner;

impl Key for Partner {
    const PLACE: KeyPlace = KeyPlace::Header("x-api-key");
}

struct Administrator;

impl<S> Authenticate<S> for Administrator {
    type Credentials = Bearer;

    async fn authenticate(_: Bearer, _: &S) -> Result<Self, Problem> {
        Ok(Administrator)
    }
}

#[get("/head")]
fn head_only(_: Method, _: Uri, _: conduit::http::Version, _: HeaderMap, _: Preconditions, _: RequestId) {}

#[get("/connection")]
fn connection(_: PeerAddr, _: Client, _: Shutdown, _: UnixPeer) {}

#[post("/read/{id}")]
fn read(
    _id: Path<u64>,
    _: Query<Fields>,
    _: Header<Fields>,
    _: State<()>,
    _: Extension<u64>,
    _: Option<UnixPeer>,
    _: Json<Fields>,
) {
}

#[post("/guards")]
fn guards(_: Auth<Administrator>, _: Option<Basic>, _: ApiKey<Partner>, _: Form<Fields>) {}

#[post("/request")]
fn whole(_: Request) {}

#[post("/body")]
fn stream(_: Body) {}

#[post("/bytes")]
fn bytes(_: Result<Bytes, Problem>) {}

#[post("/text")]
fn text(_: Option<String>) {}

#[test]
fn no_extractor_leaves_a_gap() {
    let routes: Routes = routes![head_only, connection, read, guards, whole, stream, bytes, text];
    assert_eq!(routes.openapi(Info::new("extractors", "1")).gaps(), []);
}

#[cfg(feature = "tls")]
#[test]
fn a_certificate_is_a_security_scheme() {
    #[get("/certificate")]
    fn certificate(_: conduit::ClientCertificate) {}

    #[get("/either")]
    fn either(_: Option<conduit::ClientCertificate>) {}

    let routes: Routes = routes![certificate, either];
    let document = routes.openapi(Info::new("certificates", "1"));
    assert_eq!(document.gaps(), []);
    let document = crate::json(&document);
    let paths = &document["paths"];
    assert_eq!(paths["/certificate"]["get"]["security"], json!([{ "certificate": [] }]));
    assert_eq!(
        paths["/certificate"]["get"]["responses"]["403"]["description"],
        "The client presents no certificate."
    );
    assert_eq!(paths["/either"]["get"]["security"], json!([{ "certificate": [] }, {}]));
    assert_eq!(paths["/either"]["get"]["responses"]["403"], Value::Null);
}

#[cfg(feature = "cookies")]
mod cookies {
    use super::*;

    #[derive(serde::Deserialize, JsonSchema)]
    struct ThemeCookies {
        /// Light or dark.
        _theme: String,
        _size: Option<u8>,
        #[serde(default)]
        _tags: Vec<String>,
    }

    #[get("/")]
    fn look(_: CookieValues<ThemeCookies>, _: conduit::extract::Cookies) {}

    #[test]
    fn the_values_of_cookies_are_parameters() {
        let routes: Routes = routes![look];
        let document = routes.openapi(Info::new("cookies", "1"));
        assert_eq!(document.gaps(), []);
        crate::validator::accepts(&document.to_string());
        assert_eq!(
            crate::json(&document)["paths"]["/"]["get"]["parameters"],
            json!([
                {
                    "in": "cookie",
                    "name": "_size",
                    "schema": { "type": "integer", "format": "uint8", "minimum": 0, "maximum": 255 },
                },
                {
                    "in": "cookie",
                    "name": "_tags",
                    "explode": false,
                    "schema": { "type": "array", "items": { "type": "string" }, "default": [] },
                },
                {
                    "in": "cookie",
                    "name": "_theme",
                    "required": true,
                    "description": "Light or dark.",
                    "schema": { "type": "string" },
                },
            ])
        );
    }
}

#[test]
fn conditions_are_header_fields_and_412() {
    let routes: Routes = routes![head_only];
    let document = crate::json(&routes.openapi(Info::new("conditions", "1")));
    let operation = &document["paths"]["/head"]["get"];
    let parameters = operation["parameters"].as_array().expect("there are parameters");
    let names: Vec<_> = parameters
        .iter()
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    assert_eq!(names, ["if-match", "if-none-match", "if-unmodified-since"]);
    assert!(operation["responses"]["412"].is_object(), "{operation:#}");
}

/// An extractor that does not describe itself.
struct SilentExtractor;

impl<S> FromRequest<S> for SilentExtractor {
    type Rejection = Problem;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(SilentExtractor)
    }
}

#[get("/status")]
fn status(_: SilentExtractor) -> StatusCode {
    StatusCode::OK
}

#[get("/pair")]
fn pair(_: SilentExtractor) -> (StatusCode, &'static str) {
    (StatusCode::OK, "pair")
}

#[get("/anything")]
fn anything(_: SilentExtractor) -> Response {
    "anything".into_response()
}

#[test]
fn rejection_with_any_problem_keeps_the_success_response() {
    let routes: Routes = routes![status, pair, anything];
    let document = routes.openapi(Info::new("mute", "1"));
    let gaps: Vec<_> = document.gaps().iter().map(|gap| &*gap.what).collect();
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    assert!(
        gaps.iter().all(|gap| gap.contains("implement `FromRequest::describe`")),
        "{gaps:?}"
    );
    let document = crate::json(&document);
    let responses = |path: &str| &document["paths"][path]["get"]["responses"];
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    assert_eq!(
        *responses("/status"),
        json!({ "2XX": { "description": "Success." }, "default": problem })
    );
    assert_eq!(
        responses("/pair")["2XX"]["content"]["text/plain"]["schema"]["type"],
        "string"
    );
    assert_eq!(responses("/pair")["default"], problem);
    assert_eq!(
        *responses("/anything"),
        json!({ "default": { "description": "The handler's response." } })
    );
}

#[get("/none")]
fn none() -> Result<NoContent, Problem> {
    Ok(NoContent)
}

#[post("/later")]
fn later() -> Status<202, Json<u64>> {
    Status(Json(7))
}

#[test]
fn a_status_in_a_type_is_in_the_document() {
    let routes: Routes = routes![none, later];
    let document = routes.openapi(Info::new("statuses", "1"));
    assert_eq!(document.gaps(), []);
    let document = crate::json(&document);
    let statuses = |path: &str, method: &str| -> Vec<String> {
        let responses = document["paths"][path][method]["responses"].as_object();
        responses.expect("there are responses").keys().cloned().collect()
    };
    assert_eq!(statuses("/none", "get"), ["204", "default"]);
    assert_eq!(statuses("/later", "post"), ["202", "default"]);
    assert_eq!(later().into_response().status(), StatusCode::ACCEPTED);
    assert_eq!(NoContent.into_response().status(), StatusCode::NO_CONTENT);
}

#[test]
fn a_parameter_of_a_prefix_is_described_whether_a_handler_takes_it_or_not() {
    #[get("/{id}")]
    fn taken(tenant: Path<u16>, id: Path<u64>) {
        let _ = (tenant, id);
    }

    #[put("/{id}")]
    fn left_alone(id: Path<u64>) {
        let _ = id;
    }

    let routes: Routes = routes!["/{tenant}/items" => [taken, left_alone]];
    let document = routes.openapi(Info::new("prefixes", "1"));
    assert_eq!(document.gaps(), []);
    let document = serde_json::to_value(&document).unwrap();
    let types = |method: &str| -> Vec<(Value, Value)> {
        let parameters = document["paths"]["/{tenant}/items/{id}"][method]["parameters"]
            .as_array()
            .unwrap();
        let mut types: Vec<_> = parameters
            .iter()
            .map(|parameter| (parameter["name"].clone(), parameter["schema"]["type"].clone()))
            .collect();
        types.sort_by_key(|(name, _)| name.to_string());
        types
    };
    let of = |tenant: &str| vec![(json!("id"), json!("integer")), (json!("tenant"), json!(tenant))];
    assert_eq!(types("get"), of("integer"));
    assert_eq!(types("put"), of("string"));
}
