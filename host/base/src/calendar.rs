//! Dates from seconds.

use std::time::{SystemTime, UNIX_EPOCH};

use shared::calendar::credible;
pub use shared::calendar::utc;

/// What is written in the place of a time that is not known.
pub const TIME_UNKNOWN: &str = "time unknown";

/// The time now as RFC 3339 in UTC, for a report, or [`TIME_UNKNOWN`] where the clock is plainly wrong.
pub fn date() -> String {
    credible(now()).map_or_else(|| TIME_UNKNOWN.to_owned(), utc)
}

/// Seconds since 1970; 0 where the clock is before it.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// [`utc`] for names of files: `YYYYMMDD-HHMMSS`.
pub fn compact_utc(seconds: u64) -> String {
    utc(seconds).replace('T', "-").replace([':', 'Z'], "").replacen('-', "", 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_hold_the_date() {
        assert_eq!(compact_utc(0), "19700101-000000");
        assert_eq!(compact_utc(1_700_000_000), "20231114-221320");
    }
}
