//! The schemas of values: bounds, `null`, and where they are.

use conduit::openapi::Info;
use conduit::prelude::*;
use conduit::{Auth, Authenticate, Bearer};
use serde_json::{Value, json};

fn document(routes: &Routes) -> Value {
    let document = routes.openapi(Info::new("schemas", "1"));
    assert_eq!(document.gaps(), []);
    crate::validator::accepts(&document.to_string());
    crate::json(&document)
}

#[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
struct Numbers {
    i8: i8,
    i16: i16,
    i32: i32,
    i64: i64,
    u8: u8,
    u16: u16,
    u32: Option<u32>,
    u64: u64,
    #[schemars(range(max = 7))]
    bounded: u32,
    positive: std::num::NonZeroU32,
}

#[post("/numbers")]
fn numbers(numbers: Json<Numbers>) -> Json<Numbers> {
    numbers
}

#[get("/number/{number}")]
fn number(_number: Path<u32>, _limit: Query<Limit>) {}

#[derive(serde::Deserialize, JsonSchema)]
struct Limit {
    _limit: Option<u32>,
}

#[test]
fn integers_have_both_bounds_where_each_reader_has_them() {
    let document = document(&routes![numbers, number]);
    let properties = &document["components"]["schemas"]["schemas.Numbers"]["properties"];
    let bounds = |schema: &Value| (schema["minimum"].as_i64(), schema["maximum"].as_i64());
    for (name, minimum, maximum) in [
        ("i8", Some(-128), Some(127)),
        ("i16", Some(-32_768), Some(32_767)),
        ("i32", Some(-2_147_483_648), Some(2_147_483_647)),
        ("i64", None, None),
        ("u8", Some(0), Some(255)),
        ("u16", Some(0), Some(65_535)),
        ("u32", Some(0), Some(4_294_967_295)),
        ("u64", Some(0), None),
        ("bounded", Some(0), Some(7)),
        ("positive", Some(1), Some(4_294_967_295)),
    ] {
        assert_eq!(bounds(&properties[name]), (minimum, maximum), "{name}: {properties:#}");
    }
    let parameters = &document["paths"]["/number/{number}"]["get"]["parameters"];
    for place in 0..2 {
        assert_eq!(
            bounds(&parameters[place]["schema"]),
            (Some(0), Some(4_294_967_295)),
            "{parameters:#}"
        );
    }
}

#[derive(serde::Deserialize, JsonSchema)]
enum Kind {
    _Small,
    _Large,
}

#[derive(serde::Deserialize, JsonSchema)]
struct KindRange {
    _from: Option<u32>,
    _kinds: Vec<Option<Kind>>,
    _inner: Option<Inner>,
}

#[derive(serde::Deserialize, JsonSchema)]
struct Inner {
    _deep: Option<Kind>,
    _plain: Kind,
}

#[derive(serde::Deserialize, JsonSchema)]
struct KindSearch {
    _range: Option<KindRange>,
    _plain: Kind,
}

#[get("/search")]
fn search(_: Query<KindSearch>) {}

#[post("/form")]
fn form(_: Form<KindSearch>) {}

#[post("/json")]
fn json_body(_: Json<KindSearch>) {}

/// Returns whether `null` is allowed anywhere in a part of the document, including the targets of its references.
fn allows_null(value: &Value, document: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text == "null",
        Value::Array(items) => items.iter().any(|item| allows_null(item, document)),
        Value::Object(members) => members.iter().any(|(key, member)| match member {
            Value::String(reference) if key == "$ref" => allows_null(&crate::target(document, reference), document),
            member => allows_null(member, document),
        }),
        _ => false,
    }
}

#[test]
fn no_parameter_and_no_field_of_a_form_is_null() {
    let document = document(&routes![search, form, json_body]);
    let query = &document["paths"]["/search"]["get"]["parameters"];
    let form = &document["paths"]["/form"]["post"]["requestBody"];
    let json = &document["paths"]["/json"]["post"]["requestBody"];
    assert!(!allows_null(query, &document), "{query:#}");
    assert!(!allows_null(form, &document), "{form:#}");
    assert!(allows_null(json, &document), "{json:#}");
    let range = query
        .as_array()
        .expect("there are parameters")
        .iter()
        .find(|parameter| parameter["name"] == "_range");
    let range = range.expect("the range is a parameter");
    assert_eq!(range["style"], "deepObject");
    assert_eq!(range["schema"]["properties"]["_from"]["type"], "integer");
    let content = &form["content"]["application/x-www-form-urlencoded"];
    assert_eq!(content["encoding"]["_range"]["style"], "deepObject");
    assert_eq!(
        content["schema"]["properties"]["_plain"]["$ref"],
        "#/components/schemas/schemas.Kind"
    );
}

#[cfg(feature = "multipart")]
#[test]
fn no_field_of_a_form_with_files_is_null() {
    #[derive(serde::Deserialize, JsonSchema)]
    struct KindUpload {
        _kind: Option<Kind>,
        _file: Option<conduit::UploadedFile>,
    }

    #[post("/upload")]
    fn upload(_: conduit::MultipartForm<KindUpload>) {}

    let document = document(&routes![upload]);
    let body = &document["paths"]["/upload"]["post"]["requestBody"];
    assert!(!allows_null(body, &document), "{body:#}");
}

#[test]
fn a_type_whose_fields_are_parameters_is_no_component() {
    let document = document(&routes![number, search]);
    let names = document["components"]["schemas"]
        .as_object()
        .expect("there are schemas")
        .keys();
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["Fault", "Problem", "ProblemWithFaults", "schemas.Kind"]);
}

#[cfg(feature = "validate")]
#[test]
fn the_length_of_a_text_is_published_in_characters() {
    #[derive(serde::Deserialize, JsonSchema, garde::Validate)]
    struct Texts {
        #[garde(length(chars, min = 2, max = 5))]
        _counted: String,
        #[garde(length(max = 100))]
        #[schemars(length(max = 25))]
        _replaced: String,
    }

    #[post("/texts")]
    fn texts(_: conduit::Valid<Json<Texts>>) {}

    let document = document(&routes![texts]);
    let properties = &document["components"]["schemas"]["schemas.Texts"]["properties"];
    assert_eq!(
        properties["_counted"],
        json!({ "type": "string", "minLength": 2, "maxLength": 5 })
    );
    assert_eq!(properties["_replaced"], json!({ "type": "string", "maxLength": 25 }));
}

struct Inspector;

impl<S> Authenticate<S> for Inspector {
    type Credentials = Bearer;

    async fn authenticate(_: Bearer, _: &S) -> Result<Self, Problem> {
        Ok(Inspector)
    }
}

#[get("/required")]
fn required(_: Auth<Inspector>) {}

#[get("/optional")]
fn optional(_: Option<Auth<Inspector>>) {}

#[get("/handled")]
fn handled(_: Result<Auth<Inspector>, Problem>) {}

#[test]
fn operation_with_optional_credentials_has_an_empty_alternative() {
    let document = document(&routes![required, optional, handled]);
    let security = |path: &str| &document["paths"][path]["get"]["security"];
    assert_eq!(*security("/required"), json!([{ "bearer": [] }]));
    assert_eq!(*security("/optional"), json!([{ "bearer": [] }, {}]));
    assert_eq!(*security("/handled"), json!([{ "bearer": [] }, {}]));
    assert_eq!(document["security"], json!([]));
    assert_eq!(document["servers"], json!([{ "url": "/" }]));
}

/// One API in two versions of its source.
mod plain {
    use super::*;

    #[derive(serde::Deserialize, JsonSchema)]
    #[schemars(rename = "Search")]
    pub(super) struct PlainSearch {
        _kind: PlainKind,
        #[serde(default = "any")]
        _order: Option<PlainOrder>,
    }

    #[derive(serde::Deserialize, JsonSchema)]
    #[schemars(rename = "Kind")]
    enum PlainKind {
        _Zip,
        _Any,
        _Cut,
    }

    #[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
    #[schemars(rename = "Order")]
    enum PlainOrder {
        Any,
        _Least,
    }

    fn any() -> Option<PlainOrder> {
        Some(PlainOrder::Any)
    }

    #[post("/searches")]
    pub(super) fn search(_search: Json<PlainSearch>) {}
}

mod documented {
    use super::*;

    #[derive(serde::Deserialize, JsonSchema)]
    #[schemars(rename = "Search")]
    pub(super) struct DocumentedSearch {
        _kind: DocumentedKind,
        #[serde(default)]
        _order: Option<DocumentedOrder>,
    }

    #[derive(serde::Deserialize, JsonSchema)]
    #[schemars(rename = "Kind")]
    enum DocumentedKind {
        /// Compressed.
        _Zip,
        _Any,
        /// Shortened.
        _Cut,
    }

    #[derive(serde::Deserialize, JsonSchema)]
    #[schemars(rename = "Order")]
    enum DocumentedOrder {
        /// In any order.
        #[serde(rename = "Any")]
        _Any,
        /// The least first.
        _Least,
    }

    #[post("/searches")]
    pub(super) fn search(_search: Json<DocumentedSearch>) {}
}

#[test]
fn doc_comments_of_variants_change_nothing_and_the_default_of_a_nullable_field_counts() {
    let plain = App::new(()).routes(routes![plain::search]).lock();
    let documented = App::new(()).routes(routes![documented::search]).lock();
    let text = documented.to_string();
    assert!(text.contains("enum [\"_Any\",\"_Cut\",\"_Zip\"]"), "{text}");
    let differences = documented.differences(&plain.to_string());
    let (breaking, others): (Vec<_>, Vec<_>) = differences.iter().partition(|difference| difference.is_breaking);
    let [default] = breaking[..] else {
        panic!("{breaking:#?}")
    };
    assert!(
        default.change.ends_with("._order: the default \"Any\" becomes none"),
        "{default}"
    );
    // The other differences are the names of the modules.
    let is_name =
        |change: &str| change.contains(" has the name schemas.documented.") || change.starts_with("handler: ");
    assert!(
        others.iter().all(|difference| is_name(&difference.change)),
        "{others:#?}"
    );
}
