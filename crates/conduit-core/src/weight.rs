//! The members of `Accept` and `Accept-Encoding`, and their weights (RFC 9110, section 12.4.2).

/// The weight of a member without `q`, in thousandths.
pub const FULL: u16 = 1000;

/// The members of a list with their weights in thousandths, from 0, "not acceptable", to [`FULL`].
///
/// Other parameters are removed from the members, and members with an invalid weight are omitted.
pub fn weighted(list: &str) -> impl Iterator<Item = (&str, u16)> {
    list.split(',').filter_map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let value = parts.find_map(|parameter| {
            let (parameter, value) = parameter.split_once('=')?;
            parameter.eq_ignore_ascii_case("q").then_some(value)
        });
        Some((name, value.map_or(Some(FULL), parse)?))
    })
}

/// Parses a weight: `0` or `1`, with decimal places that do not exceed 1. The RFC permits neither places after the third, which are
/// ignored, nor a missing `0` before the point, but clients send both.
fn parse(value: &str) -> Option<u16> {
    let (whole, places) = value.split_once('.').unwrap_or((value, ""));
    let whole = match whole {
        "" if !places.is_empty() => 0,
        "0" => 0,
        "1" => FULL,
        _ => return None,
    };
    if !places.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = places.bytes().chain(std::iter::repeat(b'0')).take(3);
    let weight = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')) + whole;
    (weight <= FULL).then_some(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_follow_the_grammar() {
        for (value, weight) in [
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.0", Some(0)),
            ("0.000", Some(0)),
            ("0.001", Some(1)),
            ("0.05", Some(50)),
            ("0.5", Some(500)),
            ("0.50", Some(500)),
            ("0.999", Some(999)),
            ("1", Some(1000)),
            ("1.", Some(1000)),
            ("1.000", Some(1000)),
            ("0.33333333333333333", Some(333)),
            ("1.001", None),
            ("1.1", None),
            ("2", None),
            ("10", None),
            ("00.5", None),
            ("", None),
            (".5", Some(500)),
            (".", None),
            ("-0.5", None),
            ("+0.5", None),
            ("0,5", None),
            ("0.5.5", None),
            ("5e-1", None),
            ("0.x", None),
            ("NaN", None),
            ("inf", None),
            ("\"0.5\"", None),
        ] {
            assert_eq!(parse(value), weight, "{value:?}");
        }
    }

    #[test]
    fn members_have_the_weight_of_their_parameter() {
        for (list, members) in [
            // The examples of sections 12.5.1 and 12.5.3.
            (
                "audio/*; q=0.2, audio/basic",
                &[("audio/*", 200), ("audio/basic", 1000)][..],
            ),
            (
                "text/plain; q=0.5, text/html,\ttext/x-dvi; q=0.8, text/x-c",
                &[
                    ("text/plain", 500),
                    ("text/html", 1000),
                    ("text/x-dvi", 800),
                    ("text/x-c", 1000),
                ],
            ),
            (
                "text/plain;format=flowed;q=0.4, */*;q=0.5",
                &[("text/plain", 400), ("*/*", 500)],
            ),
            (
                "gzip;q=1.0, identity; q=0.5, *;q=0",
                &[("gzip", 1000), ("identity", 500), ("*", 0)],
            ),
            ("compress;q=0.5 , gzip ;q=1.0", &[("compress", 500), ("gzip", 1000)]),
            // The name of the parameter is case-insensitive.
            ("br;Q=0.3", &[("br", 300)]),
            // The first weight counts.
            ("br;q=0.3;q=1", &[("br", 300)]),
            // Spaces are permitted around the semicolon only.
            ("br;q= 0.5, gzip", &[("gzip", 1000)]),
            ("br;q=, gzip;q=2, zstd;q=0.1", &[("zstd", 100)]),
            ("br;quality=0.5;q", &[("br", 1000)]),
            ("", &[("", 1000)]),
        ] {
            assert!(weighted(list).eq(members.iter().copied()), "{list:?}");
        }
    }
}
