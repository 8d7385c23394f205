//! Figures in words.

use measure::evaluation::{Estimate, Interval};

use crate::document::{Line, NOTHING, Span, range, share};

/// The interval to read.
fn interval(estimate: Estimate) -> Option<String> {
    let (Interval { low, high }, wilson) = estimate.interval()?;
    Some(format!("{}{}", if wilson { "Wilson " } else { "" }, range(low, high)))
}

/// A figure and the interval to read, in a sentence.
pub(super) fn estimate(estimate: Option<Estimate>) -> String {
    let Some(estimate) = estimate else { return NOTHING.to_owned() };
    let value = share(estimate.value);
    interval(estimate).map_or_else(|| value.clone(), |interval| format!("{value} ({interval})"))
}

/// A figure and the interval to read, in a cell.
pub(super) fn cell(estimate: Option<Estimate>) -> Line {
    let Some(estimate) = estimate else { return vec![NOTHING.into()] };
    std::iter::once(share(estimate.value).into()).chain(interval(estimate).map(Span::Small)).collect()
}

/// A figure and both its intervals, in two cells.
pub(super) fn cells(estimate: Option<Estimate>) -> [Line; 2] {
    let Some(Estimate { value, by_patient, wilson, .. }) = estimate else {
        return [vec![NOTHING.into()], vec![NOTHING.into()]];
    };
    let words = |interval: Option<Interval>| interval.map(|Interval { low, high }| range(low, high));
    let first = words(by_patient).unwrap_or_else(|| NOTHING.to_owned());
    let second = words(wilson).map(|words| Span::Small(format!("Wilson {words}")));
    [vec![share(value).into()], std::iter::once(first.into()).chain(second).collect()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_that_knows_no_chance_is_not_shown() {
        let wide = Some(Interval { low: 0.9, high: 1.0 });
        let none = Some(Interval { low: 1.0, high: 1.0 });
        let of = |few, by_patient, wilson| estimate(Some(Estimate { value: 1.0, by_patient, wilson, few }));
        let text = |by_patient, wilson| of(false, by_patient, wilson);
        assert_eq!(of(true, Some(Interval { low: 0.8, high: 1.0 }), wide), "1.0000 (Wilson 0.900–1.000)");
        assert_eq!(text(wide, none), "1.0000 (0.900–1.000)");
        assert_eq!(text(none, wide), "1.0000 (Wilson 0.900–1.000)");
        assert_eq!(text(None, wide), "1.0000 (Wilson 0.900–1.000)");
        assert_eq!(text(none, None), "1.0000");
        assert_eq!(text(None, None), "1.0000");
        assert_eq!(estimate(None), NOTHING);
    }
}
