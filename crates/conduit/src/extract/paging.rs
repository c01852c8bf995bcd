//! Pages of a list, and their order.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::LINK;
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{FromRequest, Json, Query};
use crate::openapi::{Operation, Parameter};
use crate::problem::{Excerpt, Fault, Problem};
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Extracts the part of a list that a client requests: `limit`, the maximum number of items, and `cursor`, which is the
/// `next` of the previous response.
///
/// The cursor is a `C`, such as the id of the last item, which a client sees as an opaque text. `DEFAULT` is the limit of a request
/// without one, and a request with a limit of more than `MAX` is rejected with a 422, as is an invalid cursor. Both limits are
/// checked when the program is compiled: `0 < DEFAULT <= MAX`. Filters are the fields of
/// a [`Query`] next to it, and [`Sort`] is the order.
///
/// The response is [`Paged`], and the OpenAPI document has both. The TypeScript client iterates over the pages.
///
/// # Example
///
/// ```
/// use conduit::extract::{Paged, Paging};
/// use conduit::prelude::*;
///
/// /// List the numbers.
/// #[get("/numbers")]
/// fn numbers(paging: Paging<u32, 2, 100>) -> Paged<u32> {
///     let first = paging.cursor().map_or(1, |last| last + 1);
///     // One item more than the limit shows that there is a next page.
///     let numbers = (first..=5).take(paging.rows());
///     paging.page(numbers.collect(), |last| *last)
/// }
///
/// # let client = conduit::testing::TestClient::new(App::new(()).routes(routes![numbers]));
/// # let page = client.get("/numbers").send().assert_status(200).json::<serde_json::Value>();
/// # assert_eq!(page["items"], serde_json::json!([1, 2]));
/// ```
///
/// A default of more than the maximum does not compile:
///
/// ```compile_fail,E0080
/// use conduit::extract::{Paged, Paging};
/// use conduit::prelude::*;
///
/// #[get("/numbers")]
/// fn numbers(paging: Paging<u32, 200, 100>) -> Paged<u32> {
///     paging.page(Vec::new(), |last| *last)
/// }
///
/// let app = App::new(()).routes(routes![numbers]);
/// ```
pub struct Paging<C, const DEFAULT: u32 = 20, const MAX: u32 = 100> {
    limit: u32,
    cursor: Option<C>,
    /// The query of the request.
    query: String,
}

#[derive(Deserialize)]
struct PagingFields {
    limit: Option<u32>,
    cursor: Option<String>,
}

impl<C, const DEFAULT: u32, const MAX: u32> Paging<C, DEFAULT, MAX> {
    /// The maximum number of items in the page.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// The number of items to read: one more than the limit, which shows whether there is a next page.
    pub fn rows(&self) -> usize {
        self.limit() + 1
    }

    /// The cursor of the last item of the previous page; `None` for the first page.
    pub fn cursor(&self) -> Option<&C> {
        self.cursor.as_ref()
    }
}

impl<C: Serialize, const DEFAULT: u32, const MAX: u32> Paging<C, DEFAULT, MAX> {
    /// Creates the page from these items: all of them, or the first [`rows`](Paging::rows). `cursor` returns the cursor of an item,
    /// and is called with the last item of the page.
    ///
    /// # Panics
    ///
    /// Panics if the cursor is not JSON, such as a map whose keys are structs.
    pub fn page<T>(&self, mut items: Vec<T>, cursor: impl FnOnce(&T) -> C) -> Paged<T> {
        let has_more = items.len() > self.limit();
        items.truncate(self.limit());
        let last = items.last().filter(|_| has_more);
        let next = last.map(|last| {
            let text = serde_json::to_vec(&cursor(last)).expect("a cursor is JSON");
            URL_SAFE_NO_PAD.encode(text)
        });
        let link = next
            .as_ref()
            .and_then(|next| HeaderValue::try_from(self.link(next)).ok());
        Paged { items, next, link }
    }

    /// The value of the field `link` with the next page. The reference has no path, so that it is correct if a router, a proxy or
    /// a layer has changed the path: clients resolve it against the target of the request (RFC 8288, section 3.1).
    fn link(&self, next: &str) -> String {
        let mut link = "<?".to_owned();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            if pair.split('=').next() != Some("cursor") {
                link.push_str(pair);
                link.push('&');
            }
        }
        // The letters of the encoding need no escapes.
        link.push_str("cursor=");
        link.push_str(next);
        link.push_str(">; rel=\"next\"");
        link
    }
}

#[diagnostic::do_not_recommend]
impl<S, C: DeserializeOwned, const DEFAULT: u32, const MAX: u32> FromRequest<S> for Paging<C, DEFAULT, MAX> {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        const {
            assert!(
                0 < DEFAULT && DEFAULT <= MAX,
                "`Paging<C, DEFAULT, MAX>`: the default limit is from 1 to the maximum"
            );
        }
        let fields = Query::<PagingFields>::from_request(request, state).await?.0;
        let limit = fields.limit.unwrap_or(DEFAULT);
        if limit == 0 || limit > MAX {
            return Err(invalid(
                "query.limit",
                format!("expected a number from 1 to {MAX}, found {limit}"),
            ));
        }
        let cursor = fields.cursor.map(|text| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok();
            let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            cursor.ok_or_else(|| {
                invalid(
                    "query.cursor",
                    "invalid cursor: send the `next` of the previous response, or none for the first page".to_owned(),
                )
            })
        });
        Ok(Paging {
            limit,
            cursor: cursor.transpose()?,
            query: request.query().unwrap_or_default().to_owned(),
        })
    }

    fn describe(operation: &mut Operation) {
        let limit = json!({ "type": "integer", "format": "uint32", "minimum": 1, "maximum": MAX, "default": DEFAULT });
        operation
            .parameter(
                Parameter::query("limit")
                    .schema(limit)
                    .description("The maximum number of items in the page."),
            )
            .parameter(
                Parameter::query("cursor")
                    .description("The `next` of the previous response; omit it for the first page."),
            )
            .faults(StatusCode::BAD_REQUEST, "The query cannot be read.")
            .faults(StatusCode::UNPROCESSABLE_ENTITY, "The limit or the cursor is invalid.")
            .pages();
    }
}

impl<C: fmt::Debug, const DEFAULT: u32, const MAX: u32> fmt::Debug for Paging<C, DEFAULT, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paging")
            .field("limit", &self.limit)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

fn invalid(path: &str, message: String) -> Problem {
    Problem::faults(StatusCode::UNPROCESSABLE_ENTITY, &[Fault::new(path, message)])
}

/// A page of a list, as the JSON `{"items": […], "next": "…"}`; [`Paging::page`] makes it. `next` is the `cursor` of the next page,
/// and `null` in the last one. The header field `link` has the next page too, as a reference relative to the URL of the request:
/// `<?cursor=Mg>; rel="next"` (RFC 8288).
#[derive(Clone, Debug)]
pub struct Paged<T> {
    items: Vec<T>,
    next: Option<String>,
    link: Option<HeaderValue>,
}

#[derive(Serialize)]
struct PageBody<T> {
    items: Vec<T>,
    next: Option<String>,
}

#[diagnostic::do_not_recommend]
impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let Paged { items, next, link } = self;
        let mut response = Json(PageBody { items, next }).into_response();
        if let Some(link) = link {
            response.headers_mut().insert(LINK, link);
        }
        response
    }

    fn describe(operation: &mut Operation) {
        let item = operation.output_schema_of::<T>().unwrap_or_else(|| json!({}));
        let next = json!({ "type": ["string", "null"], "description": "The `cursor` of the next page; `null` in the last one." });
        let page = json!({
            "type": "object",
            "properties": { "items": { "type": "array", "items": item }, "next": next },
            "required": ["items", "next"],
        });
        operation
            .response("application/json", page)
            .response_header(LINK.as_str(), "The next page, with the relation `next`.");
    }
}

/// Extracts the order of a list from the query: `sort=-created,name` is by `created`, descending, then by `name`.
///
/// `F` is an enum of unit variants, whose names by serde are those that clients may use; other names result in a 422 that lists
/// them. The parameter can be repeated too, as generated clients do: `sort=-created&sort=name`. A field that occurs twice, in
/// either direction, results in a 422, so that the list is at most as long as the enum has names.
///
/// # Example
///
/// ```
/// use conduit::extract::Sort;
/// use conduit::prelude::*;
///
/// #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
/// #[serde(rename_all = "snake_case")]
/// enum Column {
///     Created,
///     Name,
/// }
///
/// #[get("/links")]
/// fn links(sort: Sort<Column>) -> String {
///     format!("{:?}", sort.0)
/// }
///
/// # let client = conduit::testing::TestClient::new(App::new(()).routes(routes![links]));
/// # client.get("/links?sort=-created,name").send().assert_text("[(Created, Descending), (Name, Ascending)]");
/// # client.get("/links?sort=size").send().assert_status(422);
/// # client.get("/links?sort=name,-name").send().assert_status(422);
/// ```
pub struct Sort<F>(
    /// The fields, the most significant first; empty if the client has no preference.
    pub Vec<(F, Direction)>,
);

/// The direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The least value first.
    Ascending,
    /// The greatest value first: the name has a minus sign.
    Descending,
}

#[derive(Deserialize)]
struct SortFields {
    #[serde(default)]
    sort: Vec<String>,
}

#[diagnostic::do_not_recommend]
impl<S, F: DeserializeOwned> FromRequest<S> for Sort<F> {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Problem> {
        let query = Query::<SortFields>::from_request(request, state).await?.0;
        let names = query.sort.iter().flat_map(|names| names.split(','));
        let (mut known, mut fields) = (HashSet::new(), Vec::new());
        for name in names.filter(|name| !name.is_empty()) {
            let (name, direction) = match name.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (name, Direction::Ascending),
            };
            let field = F::deserialize(StrDeserializer::<ValueError>::new(name))
                .map_err(|error| invalid("query.sort", error.to_string()))?;
            if !known.insert(name) {
                let name = Excerpt::new(name);
                return Err(invalid(
                    "query.sort",
                    format!("the field {name:?} occurs twice: send it once"),
                ));
            }
            fields.push((field, direction));
        }
        Ok(Sort(fields))
    }

    fn describe(operation: &mut Operation) {
        let names = operation.names_of::<F>();
        let directed = names.iter().flat_map(|name| [name.clone(), format!("-{name}")]);
        let item = match names.is_empty() {
            true => json!({ "type": "string" }),
            false => json!({ "type": "string", "enum": directed.collect::<Vec<_>>() }),
        };
        operation
            .parameter(
                Parameter::query("sort")
                    .schema(json!({ "type": "array", "items": item, "uniqueItems": true }))
                    .description(
                        "The fields to sort by, the most significant first, with a minus sign for descending order; each at most once.",
                    ),
            )
            .faults(StatusCode::BAD_REQUEST, "The query cannot be read.")
            .faults(StatusCode::UNPROCESSABLE_ENTITY, "The order has an unknown field, or one twice.");
    }
}

impl<F: fmt::Debug> fmt::Debug for Sort<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sort").field(&self.0).finish()
    }
}
