//! Numbers and verdicts in words.

use measure::statistics::Proportion;

use super::{
    differences::{ComparisonAnswer, Contrast, ENOUGH_SEEDS, Verdict},
    intervals::{Difference, Spread},
};
use crate::document::{Line, NOTHING, Span};

pub(super) use crate::document::{range, share};

/// A difference of shares in percentage points, with its sign.
pub(super) fn points(difference: f64) -> String {
    let text = format!("{:+.2}", 100.0 * difference).replace('-', "−");
    if matches!(text.as_str(), "+0.00" | "−0.00") { "0.00".to_owned() } else { text }
}

/// An interval of a difference in percentage points.
pub(super) fn points_range(difference: &Difference) -> String {
    format!("{} to {}", points(difference.low), points(difference.high))
}

/// A share and its interval.
pub(super) fn proportion(p: Option<Proportion>) -> Line {
    p.map_or_else(|| vec![NOTHING.into()], |p| vec![share(p.value).into(), Span::Small(range(p.low, p.high))])
}

/// A mean and from where to where the runs go.
pub(super) fn spread(s: Option<Spread>) -> Line {
    s.map_or_else(|| vec![NOTHING.into()], |s| vec![share(s.mean).into(), Span::Small(range(s.min, s.max))])
}

/// A number, if there is one.
pub(super) fn optional(value: Option<f64>) -> Line {
    vec![value.map_or_else(|| NOTHING.to_owned(), share).into()]
}

/// Seconds as minutes, or hours where there are many.
pub(super) fn time(seconds: f64) -> String {
    match seconds / 60.0 {
        minutes if minutes < 120.0 => format!("{minutes:.1} min"),
        minutes => format!("{:.1} h", minutes / 60.0),
    }
}

/// What is said of each of a comparison's experiments, those with the same verdict in one sentence.
pub(super) fn sentences(answer: &ComparisonAnswer<'_>) -> Vec<Line> {
    let baseline = || Span::Link(answer.baseline.to_owned());
    let kinds: [(Verdict, Line); 6] = [
        (
            Verdict::Higher,
            vec![Span::Strong("Higher".to_owned()), " test accuracy than ".into(), baseline(), ": ".into()],
        ),
        (
            Verdict::Lower,
            vec![Span::Strong("Lower".to_owned()), " test accuracy than ".into(), baseline(), ": ".into()],
        ),
        (
            Verdict::Open,
            vec![
                Span::Strong("The data do not show".to_owned()),
                " a difference from ".into(),
                baseline(),
                ": ".into(),
            ],
        ),
        (
            Verdict::SeedsDisagree,
            vec![
                Span::Strong("Not claimed".to_owned()),
                ", because the interval leaves zero out but the seeds do not agree, against ".into(),
                baseline(),
                ": ".into(),
            ],
        ),
        (
            Verdict::FewSeeds,
            vec![
                Span::Strong("Not claimed".to_owned()),
                format!(
                    ", because the interval leaves zero out but fewer than {ENOUGH_SEEDS} seeds can be compared, against "
                )
                .into(),
                baseline(),
                ": ".into(),
            ],
        ),
        (
            Verdict::Missing,
            vec![
                Span::Strong("Not answered".to_owned()),
                ", for want of finished runs, against ".into(),
                baseline(),
                ": ".into(),
            ],
        ),
    ];
    kinds
        .into_iter()
        .filter_map(|(verdict, mut line)| {
            let mut contrasts = answer.others.iter().filter(|contrast| contrast.verdict == verdict).peekable();
            contrasts.peek()?;
            for (i, contrast) in contrasts.enumerate() {
                if i > 0 {
                    line.push("; ".into());
                }
                line.extend(contrast_words(contrast));
            }
            line.push(".".into());
            Some(line)
        })
        .collect()
}

fn contrast_words(contrast: &Contrast<'_>) -> Line {
    let mut words = vec![Span::Link(contrast.experiment.to_owned())];
    if let Some(evidence) = &contrast.evidence {
        let d = &evidence.difference;
        words.push(match contrast.verdict {
            Verdict::Open => format!(" between {} and {} points", points(d.low), points(d.high)).into(),
            _ => format!(" by {} points (95\u{a0}% interval {})", points(d.value), points_range(d)).into(),
        });
    }
    words
}

/// The names of experiments under each verdict that occurs.
pub(super) fn by_verdict(contrasts: &[&Contrast<'_>]) -> Vec<Line> {
    let all =
        [Verdict::Higher, Verdict::Lower, Verdict::Open, Verdict::SeedsDisagree, Verdict::FewSeeds, Verdict::Missing];
    all.into_iter()
        .filter_map(|kind| {
            let mut line = vec![Span::Strong(verdict(kind).to_owned()), ": ".into()];
            let names =
                contrasts.iter().filter(|contrast| contrast.verdict == kind).map(|contrast| contrast.experiment);
            for (i, name) in names.enumerate() {
                line.extend((i > 0).then(|| ", ".into()));
                line.push(Span::Link(name.to_owned()));
            }
            (line.len() > 2).then_some(line)
        })
        .collect()
}

/// A verdict in a table.
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Higher => "higher",
        Verdict::Lower => "lower",
        Verdict::Open => "the data do not show",
        Verdict::SeedsDisagree => "not claimed: seeds disagree",
        Verdict::FewSeeds => "not claimed: few seeds",
        Verdict::Missing => "no finished runs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_signs() {
        assert_eq!([0.0123, -0.0123, -0.000_01, 0.1].map(points), ["+1.23", "−1.23", "0.00", "+10.00"]);
        assert_eq!([90.0, 7200.0].map(time), ["1.5 min", "2.0 h"]);
    }
}
