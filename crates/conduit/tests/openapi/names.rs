//! Names of schemas: the same whatever the order of the routes.

use conduit::openapi::Info;
use conduit::prelude::*;
use serde_json::Value;

#[derive(serde::Serialize, JsonSchema)]
struct Page<T> {
    items: Vec<T>,
}

mod users {
    use super::*;

    #[derive(serde::Serialize, JsonSchema)]
    pub(super) struct User {
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
    pub(super) fn list() -> Json<Page<User>> {
        let state = State::Active;
        let items = vec![User { state }];
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
            "Order",
            "Page_Order",
            "Page_User",
            "Problem",
            "State",
            "State2",
            "User",
            "names_orders_Summary",
            "names_users_Summary",
        ]
    );
    assert_eq!(
        forwards["Page_User"]["properties"]["items"]["items"]["$ref"],
        "#/components/schemas/User"
    );
    assert!(forwards["names_users_Summary"]["properties"]["users"].is_object());
}

#[test]
fn a_name_that_only_one_type_has_stays_short() {
    let schemas = schemas(routes![users::list, users::summary]);
    let names: Vec<_> = schemas.as_object().expect("there are schemas").keys().collect();
    assert_eq!(names, ["Page_User", "Problem", "State", "Summary", "User"]);
}
