//! Forms that the page shows again with their errors.

use conduit::Valid;
use conduit::extract::{FormFields, Submission};
use conduit::prelude::*;
use conduit::testing::TestClient;
use garde::Validate;

#[derive(serde::Deserialize, JsonSchema, Validate)]
struct OrderForm {
    #[garde(length(min = 2))]
    name: String,
    #[garde(range(max = 9))]
    count: u32,
    #[garde(dive)]
    address: DeliveryAddress,
}

#[derive(serde::Deserialize, JsonSchema, Validate)]
struct DeliveryAddress {
    #[garde(length(min = 2))]
    city: String,
}

fn shown(fields: &FormFields) -> String {
    let errors: Vec<String> = fields
        .errors()
        .map(|(name, message)| format!("{name}: {message}"))
        .collect();
    format!(
        "{} {} | {}",
        fields.value("name"),
        fields.value("count"),
        errors.join(", ")
    )
}

#[post("/order")]
async fn order(form: Submission<Valid<Form<OrderForm>>>) -> Result<String, (StatusCode, String)> {
    match form.into_result() {
        Ok(Valid(Form(order))) => Ok(format!("{} {} {}", order.name, order.count, order.address.city)),
        Err(fields) => Err((StatusCode::UNPROCESSABLE_ENTITY, shown(&fields))),
    }
}

#[post("/taken")]
async fn taken(form: Submission<Form<OrderForm>>) -> Status<409, String> {
    let (outcome, mut fields) = form.into_parts();
    assert!(outcome.is_ok());
    fields.add_error("name", "is taken");
    fields.add_error("", "try again");
    Status(shown(&fields))
}

fn client() -> TestClient {
    TestClient::new(App::new(()).routes(routes![order, taken]))
}

#[test]
fn submitted_form_is_parsed() {
    let form = [("name", "ada"), ("count", "7"), ("address[city]", "London")];
    client().post("/order").form(&form).send().assert_text("ada 7 London");
}

#[test]
fn each_broken_rule_is_an_error_of_its_field_and_the_values_stay() {
    let form = [("name", "<"), ("count", "10"), ("address[city]", "")];
    let refused = client().post("/order").form(&form).send();
    refused.assert_status(422);
    for part in [
        "< 10 | ",
        "name: length is lower than 2",
        "count: greater than 9",
        "address[city]: length is lower than 2",
    ] {
        refused.assert_text_contains(part);
    }
}

#[test]
fn value_of_another_type_is_an_error_of_its_field() {
    let form = [("name", "ada"), ("count", "many"), ("address[city]", "London")];
    let refused = client().post("/order").form(&form).send();
    refused
        .assert_status(422)
        .assert_text_contains("ada many | count: expected a whole number");
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
#[expect(dead_code, reason = "its values are invalid")]
struct DottedForm {
    #[serde(rename = "address.city")]
    city: u32,
}

#[derive(Debug, serde::Deserialize, JsonSchema)]
#[expect(dead_code, reason = "its values are invalid")]
struct LongForm {
    the_date_at_which_the_customer_expects_the_delivery: u32,
}

#[post("/dotted")]
async fn dotted(form: Submission<Form<DottedForm>>) -> String {
    let errors = form.into_result().expect_err("the value is invalid");
    errors.error("address.city").unwrap_or_default().to_owned()
}

#[post("/long")]
async fn long(form: Submission<Form<LongForm>>) -> String {
    let errors = form.into_result().expect_err("the value is invalid");
    let name = "the_date_at_which_the_customer_expects_the_delivery";
    errors.error(name).unwrap_or_default().to_owned()
}

#[test]
fn errors_have_the_whole_name_of_their_field() {
    let client = TestClient::new(App::new(()).routes(routes![dotted, long]));
    let sent = |path: &str, name: &str| client.post(path).form(&[(name, "x")]).send();
    sent("/dotted", "address.city").assert_text_contains("expected a whole number");
    sent("/long", "the_date_at_which_the_customer_expects_the_delivery")
        .assert_text_contains("expected a whole number");
}

#[test]
fn handler_adds_errors_to_the_values() {
    let form = [("name", "ada"), ("count", "7"), ("address[city]", "London")];
    client()
        .post("/taken")
        .form(&form)
        .send()
        .assert_status(409)
        .assert_text("ada 7 | name: is taken, : try again");
}

#[test]
fn body_that_is_not_a_form_is_a_problem() {
    let client = client();
    client.post("/order").json(&1).send().assert_status(415);
    let invalid = client
        .post("/order")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("name=%ff".to_owned());
    invalid.send().assert_status(400);
    let long = client
        .post("/order")
        .form(&[("name", "a".repeat(3 * 1024 * 1024))])
        .send();
    long.assert_status(413);
}

#[test]
fn fields_have_all_values_of_a_name() {
    let fields = FormFields::with_values([("tag", "a"), ("tag", "b")]);
    assert_eq!(fields.values("tag").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        (fields.value("tag"), fields.value("other"), fields.error("tag")),
        ("a", "", None)
    );
}

#[post("/optional")]
async fn optional(form: Option<Submission<Valid<Form<OrderForm>>>>) -> &'static str {
    match form {
        Some(_) => "a form",
        None => "none",
    }
}

#[post("/result")]
async fn result(body: Option<Result<Json<u32>, Problem>>) -> String {
    match body {
        Some(Ok(Json(number))) => number.to_string(),
        Some(Err(problem)) => problem.status().to_string(),
        None => "none".to_owned(),
    }
}

#[test]
fn absent_body_of_an_optional_submission_or_result_is_accepted() {
    let client = TestClient::new(App::new(()).routes(routes![optional, result]));
    client.post("/optional").send().assert_text("none");
    client
        .post("/optional")
        .form(&[("count", "7")])
        .send()
        .assert_text("a form");
    client.post("/result").send().assert_text("none");
    client.post("/result").json(&7).send().assert_text("7");
    client
        .post("/result")
        .text("7")
        .send()
        .assert_text("415 Unsupported Media Type");
    let mut chunked = client.connect();
    chunked.send(
        "POST /result HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    assert!(chunked.rest().ends_with(b"\r\n\r\nnone"));
}

#[test]
fn media_type_is_checked_before_the_body_is_read() {
    let client = client();
    let mut connection = client.connect();
    connection.send(
        "POST /order HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: 5\r\n\r\n",
    );
    let response = String::from_utf8(connection.rest()).expect("text");
    assert!(response.starts_with("HTTP/1.1 415 "), "{response}");
}
