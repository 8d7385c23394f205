//! Dates from seconds.

use alloc::{format, string::String};
use core::ops::Range;

/// The times that a clock may be right about, in seconds since 1970: from 2024, before which there was no box, to 2050, which
/// none will see. A clock whose battery is empty says 1970 or 2000, and one that was never set often the end of its range.
pub const CREDIBLE: Range<u64> = 1_704_067_200..2_524_608_000;

/// The time, unless the clock that it is from was plainly wrong: then it is not known.
pub fn credible(seconds: u64) -> Option<u64> {
    CREDIBLE.contains(&seconds).then_some(seconds)
}

/// Seconds since 1970 as RFC 3339 in UTC; days to a date as in Hinnant, "chrono-compatible low-level date algorithms".
pub fn utc(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hours, minutes, seconds) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_plainly_wrong_is_not_believed() {
        assert_eq!([CREDIBLE.start, CREDIBLE.end].map(utc), ["2024-01-01T00:00:00Z", "2050-01-01T00:00:00Z"]);
        for seconds in [0, 12, 946_684_800, CREDIBLE.start - 1, CREDIBLE.end, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(credible(seconds), None);
        }
        for seconds in [CREDIBLE.start, 1_800_000_000, CREDIBLE.end - 1] {
            assert_eq!(credible(seconds), Some(seconds));
        }
    }

    #[test]
    fn seconds_become_dates() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), date);
        }
    }
}
