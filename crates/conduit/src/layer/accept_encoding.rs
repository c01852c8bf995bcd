//! The codings that a client accepts (RFC 9110, section 12.5.3).

use std::cmp::Reverse;

use http::header::ACCEPT_ENCODING;

use crate::request::Request;
use conduit_core::internal::weight::weighted;

/// The indices in `names` of the codings that a client accepts, in order of preference; ties keep the order of `names`.
/// Excludes codings that the client ranks below `identity`. Empty if the request has no `accept-encoding`. The lines of a repeated
/// field are one list (RFC 9110, section 5.3).
pub(crate) fn accepted<const N: usize>(request: &Request, names: [&str; N]) -> impl Iterator<Item = usize> + use<N> {
    let lines = request.header_all(ACCEPT_ENCODING.as_str());
    let lines = lines.filter_map(|line| str::from_utf8(line).ok());
    let weights = weights(lines.flat_map(weighted), names);
    let mut places: [usize; N] = std::array::from_fn(|place| place);
    places.sort_by_key(|&place| Reverse(weights[place]));
    places.into_iter().take_while(move |&place| weights[place] > 0)
}

/// The weight of each coding; 0 if it is not accepted.
fn weights<'a, const N: usize>(codings: impl Iterator<Item = (&'a str, u16)>, names: [&str; N]) -> [u16; N] {
    let mut weights = [None; N];
    let (mut any, mut plain) = (None, None);
    for (name, weight) in codings {
        match name {
            "*" => any = Some(weight),
            name if name.eq_ignore_ascii_case("identity") => plain = Some(weight),
            name => {
                let name = if name.eq_ignore_ascii_case("x-gzip") {
                    "gzip"
                } else {
                    name
                };
                if let Some(place) = names.iter().position(|known| name.eq_ignore_ascii_case(known)) {
                    weights[place] = Some(weight);
                }
            }
        }
    }
    weights.map(|weight| {
        let weight = weight.or(any).unwrap_or(0);
        // A coding that ranks below `identity` is not used.
        if plain.is_some_and(|plain| plain > weight) {
            0
        } else {
            weight
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_in_the_order_of_the_client() {
        const NAMES: [&str; 3] = ["zstd", "br", "gzip"];
        for (value, expected) in [
            ("", &[][..]),
            ("gzip", &[2]),
            ("GZIP", &[2]),
            ("x-gzip", &[2]),
            ("gzip, deflate, br, zstd", &[0, 1, 2]),
            ("gzip, deflate, br", &[1, 2]),
            ("gzip;q=0.9, br;q=0.5", &[2, 1]),
            ("br;q=0", &[]),
            ("br;q=0, gzip", &[2]),
            ("*", &[0, 1, 2]),
            ("*;q=0.1, gzip", &[2, 0, 1]),
            ("zstd;q=0, *", &[1, 2]),
            ("identity", &[]),
            ("identity, gzip;q=0.5", &[]),
            ("identity;q=0.5, gzip", &[2]),
            ("gzip;q=2, BR;Q=0.3", &[1]),
            ("gzip;q=x", &[]),
            ("gzip;q=NaN", &[]),
            ("compress", &[]),
            (",,;q=", &[]),
        ] {
            let mut request = Request::blank();
            let value = http::HeaderValue::from_static(value);
            request.headers_mut().insert(ACCEPT_ENCODING, value.clone());
            assert!(accepted(&request, NAMES).eq(expected.iter().copied()), "{value:?}");
        }
    }
}
