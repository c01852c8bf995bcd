//! The names of schemas: a function of the type alone.

use conduit::layer::Layer;
use conduit::openapi::{Info, Operation};
use conduit::prelude::*;
use conduit::schemars;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, proptest};
use serde_json::{Value, json};

#[derive(serde::Serialize, JsonSchema)]
struct Page<T> {
    items: Vec<T>,
}

mod users {
    use super::*;

    #[derive(serde::Serialize, JsonSchema)]
    pub(super) struct Visitor {
        state: State,
    }

    #[derive(serde::Serialize, JsonSchema)]
    enum State {
        Active,
    }

    #[derive(serde::Serialize, JsonSchema)]
    pub(super) struct Summary {
        users: u64,
    }

    #[get("/users")]
    pub(super) fn list() -> Json<Page<Visitor>> {
        let state = State::Active;
        let items = vec![Visitor { state }];
        Json(Page { items })
    }

    #[get("/users/summary")]
    pub(super) fn summary() -> Json<Summary> {
        Json(Summary { users: 1 })
    }
}

mod orders {
    use super::*;

    #[derive(serde::Serialize, JsonSchema)]
    pub(super) struct Order {
        state: State,
    }

    #[derive(serde::Serialize, JsonSchema)]
    enum State {
        Paid,
    }

    #[derive(serde::Serialize, JsonSchema)]
    pub(super) struct Summary {
        orders: u64,
    }

    #[get("/orders")]
    pub(super) fn list() -> Json<Page<Order>> {
        let state = State::Paid;
        let items = vec![Order { state }];
        Json(Page { items })
    }

    #[get("/orders/summary")]
    pub(super) fn summary() -> Json<Vec<Summary>> {
        Json(vec![Summary { orders: 1 }])
    }
}

fn schemas(routes: Routes) -> Value {
    let document = routes.openapi(Info::new("names", "1"));
    crate::validator::accepts(&document.to_string());
    crate::json(&document)["components"]["schemas"].clone()
}

#[test]
fn the_order_of_routes_changes_no_name() {
    let forwards = schemas(routes![users::list, users::summary, orders::list, orders::summary]);
    let backwards = schemas(routes![orders::summary, orders::list, users::summary, users::list]);
    assert_eq!(forwards, backwards);
    let names: Vec<_> = forwards.as_object().expect("there are schemas").keys().collect();
    assert_eq!(
        names,
        [
            "Problem",
            "names.Page-names.orders.Order",
            "names.Page-names.users.Visitor",
            "names.orders.Order",
            "names.orders.State",
            "names.orders.Summary",
            "names.users.State",
            "names.users.Summary",
            "names.users.Visitor",
        ]
    );
    assert_eq!(
        forwards["names.Page-names.users.Visitor"]["properties"]["items"]["items"]["$ref"],
        "#/components/schemas/names.users.Visitor"
    );
    assert!(forwards["names.users.Summary"]["properties"]["users"].is_object());
    assert_eq!(forwards["names.users.State"]["enum"], json!(["Active"]));
    assert_eq!(forwards["names.orders.State"]["enum"], json!(["Paid"]));
}

#[test]
fn a_type_that_is_added_changes_no_name() {
    let few = schemas(routes![users::list, users::summary]);
    let all = schemas(routes![orders::summary, orders::list, users::summary, users::list]);
    let few = few.as_object().expect("there are schemas");
    assert!(!few.is_empty() && few.len() < all.as_object().map_or(0, |all| all.len()));
    for (name, schema) in few {
        assert_eq!(all[name], *schema, "{name}");
    }
}

#[test]
fn two_types_of_one_id_are_a_gap() {
    #[get("/a")]
    fn first() -> Json<Vec<schemars_twin::First>> {
        Json(Vec::new())
    }
    #[get("/b")]
    fn second() -> Json<Vec<schemars_twin::Second>> {
        Json(Vec::new())
    }
    let routes: Routes = routes![first, second];
    let document = routes.openapi(Info::new("twins", "1"));
    let [gap] = document.gaps() else {
        panic!("{:?}", document.gaps())
    };
    assert!(
        gap.what.contains("have the id `openapi::names::schemars_twin::Twin`"),
        "{gap}"
    );
}

mod schemars_twin {
    use super::*;

    #[derive(serde::Serialize, JsonSchema)]
    #[schemars(rename = "Twin")]
    pub(super) struct First {
        first: u8,
    }

    #[derive(serde::Serialize, JsonSchema)]
    #[schemars(rename = "Twin")]
    pub(super) struct Second {
        second: u8,
    }
}

/// Types of one name in two modules, nested generics, recursion, and forms that differ when they are read and written.
mod shapes {
    use super::*;

    #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
    pub(super) struct W<T> {
        inner: T,
    }

    #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
    pub(super) struct Pair<A, B> {
        a: A,
        b: Option<B>,
    }

    #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
    pub(super) struct Outer<T> {
        page: a::Page<T>,
        other: b::Page<T>,
        doubled: W<W<T>>,
    }

    #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
    pub(super) struct Tree<T> {
        value: T,
        children: Vec<Tree<T>>,
    }

    #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
    pub(super) struct Numbered<const N: usize> {
        state: a::State,
    }

    #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
    pub(super) struct UserInput {
        plain: bool,
    }

    macro_rules! module {
        ($name:ident, $field:ident, $variant:ident) => {
            pub(in crate::names) mod $name {
                use super::*;

                #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
                pub(in crate::names) enum State {
                    $variant,
                }

                #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
                pub(in crate::names) struct Visitor {
                    $field: State,
                    friend: Option<Box<Visitor>>,
                    #[serde(default)]
                    level: u32,
                }

                #[derive(JsonSchema, serde::Serialize, serde::Deserialize)]
                pub(in crate::names) struct Page<T> {
                    $field: Vec<T>,
                    #[serde(default)]
                    next: u8,
                }
            }
        };
    }

    module!(a, first, First);
    module!(b, second, Second);
}

/// A type that a document can have a schema of.
#[derive(Clone, Copy, Debug)]
struct Shape {
    input: fn(&mut Operation) -> Value,
    output: fn(&mut Operation) -> Value,
    expected: fn(bool) -> Value,
}

impl Shape {
    const fn of<T: JsonSchema + 'static>() -> Self {
        Shape {
            input: Operation::input_schema::<T>,
            output: Operation::output_schema::<T>,
            expected: |is_input| {
                let settings = schemars::generate::SchemaSettings::draft2020_12();
                let settings = if is_input {
                    settings.for_deserialize()
                } else {
                    settings.for_serialize()
                };
                let mut generator = settings.into_generator();
                let schema = generator.subschema_for::<T>().to_value();
                expanded(&schema, &json!({ "$defs": generator.definitions() }), DEPTH)
            },
        }
    }
}

const SHAPES: [Shape; 20] = {
    use shapes::{Numbered, Outer, Pair, Tree, UserInput, W, a, b};
    [
        Shape::of::<a::Visitor>(),
        Shape::of::<b::Visitor>(),
        Shape::of::<a::State>(),
        Shape::of::<b::State>(),
        Shape::of::<a::Page<a::Visitor>>(),
        Shape::of::<a::Page<b::Visitor>>(),
        Shape::of::<b::Page<a::Visitor>>(),
        Shape::of::<Outer<a::Visitor>>(),
        Shape::of::<Outer<b::Visitor>>(),
        Shape::of::<Outer<W<u8>>>(),
        Shape::of::<W<u8>>(),
        Shape::of::<W<W<u8>>>(),
        Shape::of::<W<a::Page<W<b::Visitor>>>>(),
        Shape::of::<Pair<a::Visitor, b::Visitor>>(),
        Shape::of::<Pair<b::Visitor, a::Visitor>>(),
        Shape::of::<Pair<W<Vec<a::Visitor>>, Tree<W<String>>>>(),
        Shape::of::<Tree<a::State>>(),
        Shape::of::<Tree<Tree<Option<b::State>>>>(),
        Shape::of::<Vec<Numbered<3>>>(),
        Shape::of::<UserInput>(),
    ]
};

/// The depth of references to which schemas are compared.
const DEPTH: usize = 7;

/// A schema with the schemas in place of its references, so deep.
fn expanded(schema: &Value, document: &Value, depth: usize) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| expanded(item, document, depth)).collect(),
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let Some(depth) = depth.checked_sub(1) else {
                    return Value::Null;
                };
                return expanded(&crate::target(document, reference), document, depth);
            }
            let is_added = |name: &String| members.get("format") == Some(&json!("uint32")) && *name == "maximum";
            let members = members.iter().filter(|(name, _)| !is_added(name));
            members
                .map(|(name, member)| (name.clone(), expanded(member, document, depth)))
                .collect()
        }
        other => other.clone(),
    }
}

/// A layer that describes itself with these shapes, each to be read or not.
#[derive(Clone)]
struct Shapes(Vec<(usize, bool)>);

impl Layer for Shapes {
    async fn call(&self, request: Request, next: conduit::Next) -> Response {
        next.run(request).await
    }

    fn describe(&self, operation: &mut Operation) {
        for (index, is_input) in &self.0 {
            let media_type = format!("application/vnd.{index}");
            if *is_input {
                let schema = (SHAPES[*index].input)(operation);
                operation.body(&media_type, schema);
            } else {
                let schema = (SHAPES[*index].output)(operation);
                operation.response(&media_type, schema);
            }
        }
    }
}

#[post("/")]
fn shaped() {}

/// The document of these shapes, and the schema of each.
fn document_of(shapes: &[(usize, bool)]) -> (Value, Vec<Value>) {
    let app = App::new(()).routes(routes![shaped]).layer(Shapes(shapes.to_vec()));
    let document = crate::json(&app.openapi());
    crate::assert_references_resolve(&document);
    let operation = &document["paths"]["/"]["post"];
    let schemas = shapes.iter().map(|(index, is_input)| {
        let place = if *is_input {
            &operation["requestBody"]
        } else {
            &operation["responses"]["200"]
        };
        place["content"][format!("application/vnd.{index}")]["schema"].clone()
    });
    let schemas = schemas.collect();
    (document, schemas)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_schema_describes_its_type_under_a_name_that_no_other_type_changes(
        shapes in Just((0..SHAPES.len()).collect::<Vec<_>>()).prop_shuffle(),
        sides in proptest::collection::vec(any::<bool>(), SHAPES.len()),
        count in 1..SHAPES.len(),
    ) {
        let shapes: Vec<(usize, bool)> = shapes.into_iter().zip(sides).take(count).collect();
        let (document, schemas) = document_of(&shapes);
        for (shape, schema) in shapes.iter().zip(&schemas) {
            let (alone, own) = document_of(&[*shape]);
            assert_eq!(*schema, own[0], "{shape:?}");
            assert_eq!(expanded(schema, &document, DEPTH), (SHAPES[shape.0].expected)(shape.1), "{shape:?}");
            for (name, schema) in alone["components"]["schemas"].as_object().expect("there are schemas") {
                assert_eq!(document["components"]["schemas"][name], *schema, "{name}");
            }
        }
    }
}

#[derive(serde::Serialize, JsonSchema)]
#[schemars(rename = "hal:Link")]
struct HalLink {
    href: String,
}

#[get("/link")]
fn hal_link() -> Json<HalLink> {
    let href = "/".to_owned();
    Json(HalLink { href })
}

mod r#type {
    use super::*;

    #[get("/raw")]
    pub(super) fn r#match() {}
}

#[test]
fn names_have_only_the_letters_that_openapi_permits() {
    let names = schemas(routes![hal_link]);
    let names: Vec<&String> = names.as_object().expect("schemas").keys().collect();
    let is_permitted = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    assert!(names.iter().any(|name| name.contains("hal.Link")), "{names:?}");
    assert!(names.iter().all(|name| name.chars().all(is_permitted)), "{names:?}");

    let routes: Routes = routes![r#type::r#match];
    let document = crate::json(&routes.openapi(Info::new("names", "1")));
    let operation = &document["paths"]["/raw"]["get"];
    assert_eq!(operation["operationId"], "names_type_match");
    assert_eq!(operation["tags"], json!(["type"]));
}

mod places {
    use super::*;

    #[get("/files/{id}")]
    pub(super) fn show(_id: Path<u64>) -> NoContent {
        NoContent
    }

    #[get("/files/{*path}", tool)]
    pub(super) fn open(_path: Path<String>) -> String {
        String::new()
    }

    #[put("/files/{*path}")]
    pub(super) fn write(_path: Path<String>) {}
}

#[test]
fn two_routes_with_one_path_of_the_document_are_a_gap() {
    let routes: Routes = routes![places::show, places::open, places::write];
    let document = routes.openapi(Info::new("names", "1"));
    let [gap] = document.gaps() else {
        panic!("{:?}", document.gaps())
    };
    assert!(
        gap.what.contains("`GET /files/{path}` already, of `") && gap.what.contains("places::show"),
        "{gap}"
    );
    let omitted = document.tools().expect_err("a tool is not in the document");
    assert!(omitted[0].handler.ends_with("places::open"), "{}", omitted[0]);
    let text = document.to_string();
    assert_eq!(text.matches("\"get\":").count(), 1, "{text}");
    let item = &crate::json(&document)["paths"]["/files/{id}"];
    assert!(item["get"]["responses"]["204"].is_object(), "{item}");
    assert_eq!(item["put"]["parameters"][0]["name"], "id", "{item}");
}
