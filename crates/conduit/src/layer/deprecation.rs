//! The end of an API, announced in header fields.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use http::header::LINK;
use http::{HeaderName, HeaderValue};

use super::{Layer, Next};
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::Response;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Announces that the routes that it wraps are deprecated: with the fields `deprecation` (RFC 9745) and `sunset` (RFC 8594) in each
/// response, and as deprecated operations of the OpenAPI document.
///
/// # Example
///
/// The first version of an API, which ends six months after the release of the second one:
///
/// ```
/// use conduit::layer::Deprecation;
/// use conduit::prelude::*;
///
/// #[get("/links")]
/// fn links() -> &'static str {
///     "[]"
/// }
///
/// const V1: Routes = routes![links];
/// const V2: Routes = routes![links];
///
/// let app = App::new(()).routes(routes![
///     #[layer(Deprecation::since(2026, 12, 1).sunset(2027, 6, 1).link("https://example.com/v2"))]
///     "/v1" => V1,
///     "/v2" => V2,
/// ]);
/// # let client = conduit::testing::TestClient::new(app);
/// # let old = client.get("/v1/links").send();
/// # old.assert_header("deprecation", "@1796083200").assert_header("sunset", "Tue, 01 Jun 2027 00:00:00 GMT");
/// ```
#[derive(Clone, Debug)]
pub struct Deprecation {
    since: HeaderValue,
    sunset: Option<HeaderValue>,
    link: Option<HeaderValue>,
}

impl Deprecation {
    /// Creates a layer for routes that are deprecated from the beginning of this day in UTC, which may be in the future.
    ///
    /// # Panics
    ///
    /// Panics if the date is not a valid day from 1970 to 9999.
    #[track_caller]
    pub fn since(year: u16, month: u8, day: u8) -> Self {
        let seconds = seconds_of(year, month, day);
        Deprecation {
            since: HeaderValue::try_from(format!("@{seconds}")).expect("a number is visible ASCII"),
            sunset: None,
            link: None,
        }
    }

    /// Sets the day, in UTC, from which the routes may no longer exist.
    ///
    /// # Panics
    ///
    /// Panics if the date is not a valid day from 1970 to 9999.
    #[track_caller]
    pub fn sunset(mut self, year: u16, month: u8, day: u8) -> Self {
        let moment = UNIX_EPOCH + Duration::from_secs(seconds_of(year, month, day));
        let text = httpdate::fmt_http_date(moment);
        self.sunset = Some(HeaderValue::try_from(text).expect("a date is visible ASCII"));
        self
    }

    /// Sets the URL of a page about the deprecation, sent in the field `link` with the relation `deprecation`.
    ///
    /// # Panics
    ///
    /// Panics if the URL contains characters that must be percent-encoded.
    #[track_caller]
    pub fn link(mut self, url: &str) -> Self {
        let is_plain = url
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte));
        assert!(
            is_plain,
            "invalid URL {url:?}: percent-encode spaces, quotation marks, `<`, `>` and characters outside ASCII"
        );
        let value = HeaderValue::try_from(format!("<{url}>; rel=\"deprecation\"; type=\"text/html\""));
        self.link = Some(value.expect("the URL is visible ASCII"));
        self
    }
}

/// The seconds from 1970 to the beginning of a day in UTC.
#[track_caller]
fn seconds_of(year: u16, month: u8, day: u8) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let is_leap = |year: u16| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let length = match month {
        2 => 28 + u8::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let is_valid = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=length).contains(&day);
    assert!(
        is_valid,
        "invalid date {year}-{month:02}-{day:02}: expected a day from 1970 to 9999"
    );
    let years: u64 = (1970..year).map(|year| 365 + u64::from(is_leap(year))).sum();
    let leap_day = u64::from(month > 2 && is_leap(year));
    (years + BEFORE[usize::from(month) - 1] + leap_day + u64::from(day) - 1) * 24 * 60 * 60
}

impl Layer for Deprecation {
    async fn call(&self, request: Request, next: Next) -> Response {
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        headers.insert(DEPRECATION, self.since.clone());
        if let Some(sunset) = &self.sunset {
            headers.insert(SUNSET, sunset.clone());
        }
        if let Some(link) = &self.link {
            headers.append(LINK, link.clone());
        }
        response
    }

    fn describe(&self, operation: &mut Operation) {
        operation
            .deprecated()
            .header_of_every_response(DEPRECATION.as_str(), "The time from which the operation is deprecated.");
        if self.sunset.is_some() {
            operation.header_of_every_response(
                SUNSET.as_str(),
                "The time from which the operation may no longer exist.",
            );
        }
        if self.link.is_some() {
            operation.header_of_every_response(LINK.as_str(), "A page about the deprecation.");
        }
    }

    fn name(&self) -> Cow<'static, str> {
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        match &self.sunset {
            Some(sunset) => format!("Deprecation(until {})", text(sunset)).into(),
            None => format!("Deprecation(since {})", text(&self.since)).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_those_of_the_calendar() {
        for (year, month, day) in [
            (1970, 1, 1),
            (2000, 2, 29),
            (2024, 12, 31),
            (2026, 3, 1),
            (2100, 3, 1),
            (9999, 12, 31),
        ] {
            let moment = UNIX_EPOCH + Duration::from_secs(seconds_of(year, month, day));
            let text = httpdate::fmt_http_date(moment);
            let expected = format!("{day:02} ");
            assert!(
                text.contains(&expected) && text.contains(&format!(" {year} 00:00:00")),
                "{text}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "invalid date 2026-02-29")]
    fn a_day_that_is_not_in_the_calendar_is_rejected() {
        let _ = Deprecation::since(2026, 2, 29);
    }
}
