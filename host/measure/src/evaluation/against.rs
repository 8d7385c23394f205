//! Two models on the same radiographs, such as the int8 and the float one of a training.

use data::Label;
use engine::ModelCard;
use serde::Serialize;
use shared::verdict::{OperatingPoint, Verdict};

use super::{LabelledAnswer, Paired, bootstrap::Estimate};

/// Changes that are listed by name.
const LISTED: usize = 20;

/// How another model answers the same radiographs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Against {
    /// Name of the other model.
    pub model: String,
    /// SHA-256 of its file, hexadecimal.
    pub model_digest: String,
    /// True if it is quantized.
    pub int8: bool,
    /// Radiographs on which the two decide differently, each at its own threshold.
    pub decision_flips: usize,
    /// Of these, how many only this model decides correctly.
    pub only_this_right: usize,
    /// Of these, how many only the other model decides correctly.
    pub only_other_right: usize,
    /// Radiographs on which the verdicts differ, each within its own band.
    pub verdict_flips: usize,
    /// Largest difference of the probabilities.
    pub largest_change: f64,
    /// Mean of the differences without their signs.
    pub mean_change: f64,
    /// Accuracy of this model less that of the other one; the interval is of the pairs.
    pub accuracy_difference: Option<Estimate>,
    /// Area under this model's receiver operating characteristic; `None` with one class only.
    pub auroc: Option<Estimate>,
    /// That of the other model.
    pub other_auroc: Option<Estimate>,
    /// The first less the second; the interval is of the pairs.
    pub auroc_difference: Option<Estimate>,
    /// Share of all radiographs to which the box with this model says *normal* or *pneumonia*, and is wrong.
    pub wrong_verdicts: Option<Estimate>,
    /// That with the other model.
    pub other_wrong_verdicts: Option<Estimate>,
    /// The first less the second; the interval is of the pairs.
    pub wrong_verdicts_difference: Option<Estimate>,
    /// Share of right verdicts among the definite ones of the box with this model.
    pub definite_right: Option<Estimate>,
    /// That with the other model.
    pub other_definite_right: Option<Estimate>,
    /// The first less the second; the interval is of the pairs.
    pub definite_right_difference: Option<Estimate>,
    /// The radiographs whose probabilities differ most, the largest difference first.
    pub changes: Vec<Change>,
}

/// A radiograph on which two models differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Path below the data folder.
    pub name: String,
    /// The truth.
    pub label: Label,
    /// What this model says.
    pub probability: f32,
    /// What the other model says.
    pub other_probability: f32,
    /// This model's verdict.
    pub verdict: Verdict,
    /// The other model's verdict.
    pub other_verdict: Verdict,
    /// True if the decisions at the thresholds differ.
    pub decision_flipped: bool,
}

impl Against {
    /// Compares two models' answers to the same radiographs in the same order; `digest` is that of the other file.
    pub fn of(
        judged: &[LabelledAnswer],
        card: &ModelCard,
        other: &[LabelledAnswer],
        other_card: &ModelCard,
        digest: String,
    ) -> Self {
        let (point, other_point) = (card.behaviour.point, other_card.behaviour.point);
        let pairs = || judged.iter().zip(other);
        let apart =
            |(one, two): (&LabelledAnswer, &LabelledAnswer)| (one.sound_probability() - two.sound_probability()).abs();
        let mut changes: Vec<(f64, Change)> =
            pairs().map(|(one, two)| (apart((one, two)), change(one, point, two, other_point))).collect();
        changes.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let rights = || pairs().map(|(one, two)| (one.right(point.threshold), two.right(other_point.threshold)));
        let only = |this: bool| rights().filter(|(one, two)| one != two && *one == this).count();

        let Paired { accuracy, auroc, wrong_verdicts, definite_right } =
            Paired::of((judged, point), (other, other_point));
        Self {
            model: other_card.name.clone(),
            model_digest: digest,
            int8: other_card.behaviour.int8,
            decision_flips: only(true) + only(false),
            only_this_right: only(true),
            only_other_right: only(false),
            verdict_flips: changes.iter().filter(|(_, change)| change.verdict != change.other_verdict).count(),
            largest_change: pairs().map(apart).fold(0.0, f64::max),
            mean_change: pairs().map(apart).sum::<f64>() / judged.len().max(1) as f64,
            accuracy_difference: accuracy.difference,
            auroc: auroc.one,
            other_auroc: auroc.other,
            auroc_difference: auroc.difference,
            wrong_verdicts: wrong_verdicts.one,
            other_wrong_verdicts: wrong_verdicts.other,
            wrong_verdicts_difference: wrong_verdicts.difference,
            definite_right: definite_right.one,
            other_definite_right: definite_right.other,
            definite_right_difference: definite_right.difference,
            changes: changes.into_iter().take(LISTED).filter(|(apart, _)| *apart > 0.0).map(|(_, c)| c).collect(),
        }
    }
}

fn change(one: &LabelledAnswer, point: OperatingPoint, two: &LabelledAnswer, other_point: OperatingPoint) -> Change {
    Change {
        name: one.name.clone(),
        label: one.label,
        probability: one.probability,
        other_probability: two.probability,
        verdict: point.verdict(one.probability),
        other_verdict: other_point.verdict(two.probability),
        decision_flipped: one.right(point.threshold) != two.right(other_point.threshold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::tests::{card, labelled};

    const BAND: OperatingPoint = OperatingPoint { threshold: 0.5, refer_from: 0.25, refer_to: 0.75 };

    #[test]
    fn changes_are_counted_and_listed() {
        let one =
            [labelled("a", false, 0.25), labelled("b", false, 0.5), labelled("c", true, 1.0), labelled("d", true, 0.5)];
        let two = [
            labelled("a", false, 0.125),
            labelled("b", false, 0.375),
            labelled("c", true, 1.0),
            labelled("d", true, 0.25),
        ];
        let mut other = ModelCard { name: "other".to_owned(), ..card(BAND) };
        other.behaviour.int8 = false;
        let against = Against::of(&one, &card(BAND), &two, &other, "digest".to_owned());
        assert_eq!((against.decision_flips, against.only_this_right, against.only_other_right), (2, 1, 1));
        // Only a leaves its band.
        assert_eq!((against.verdict_flips, against.largest_change, against.mean_change), (1, 0.25, 0.125));
        let names: Vec<_> = against.changes.iter().map(|change| change.name.as_str()).collect();
        assert_eq!(names, ["d.png", "a.png", "b.png"], "the rest does not change");
        assert!(against.changes[0].decision_flipped && !against.changes[1].decision_flipped);
        assert_eq!(against.accuracy_difference.unwrap().value, 0.0);
        // This one: 1.0 beats both, 0.5 beats 0.25 and ties with 0.5. The other one: 0.25 beats 0.125 alone.
        assert_eq!((against.auroc.unwrap().value, against.other_auroc.unwrap().value), (3.5 / 4.0, 3.0 / 4.0));
        assert_eq!(against.auroc_difference.unwrap().value, 0.125);
        // a is right and c is right; b and d are referred. The other one says a and c, too, and d is referred.
        let value = |estimate: Option<Estimate>| estimate.unwrap().value;
        assert_eq!((value(against.wrong_verdicts), value(against.other_wrong_verdicts)), (0.0, 0.0));
        assert_eq!((value(against.definite_right), value(against.other_definite_right)), (1.0, 1.0));
    }

    #[test]
    fn intervals_are_of_the_pairs() {
        // Two models that agree on nearly everything: their difference is known far better than either.
        let list = |shift: f32| -> Vec<LabelledAnswer> {
            (0..100)
                .map(|i| {
                    labelled(
                        &format!("p{i}"),
                        i % 2 == 0,
                        ((i * 37 % 100) as f32 / 200.0)
                            + if i % 2 == 0 { 0.2 } else { 0.0 }
                            + if i == 7 { shift } else { 0.0 },
                    )
                })
                .collect()
        };
        let against = Against::of(&list(0.0), &card(BAND), &list(0.1), &card(BAND), String::new());
        let width = |estimate: Option<Estimate>| {
            let interval = estimate.unwrap().by_patient.unwrap();
            interval.high - interval.low
        };
        assert!(width(against.auroc_difference) < 0.2 * width(against.auroc));
        assert!(against.auroc_difference.unwrap().value > 0.0);
        let same = Against::of(&list(0.0), &card(BAND), &list(0.0), &card(BAND), String::new());
        assert_eq!((same.decision_flips, same.verdict_flips, same.changes.len()), (0, 0, 0));
        assert_eq!(width(same.auroc_difference), 0.0);
    }

    #[test]
    fn nothing_and_no_answers_are_no_error() {
        let none = Against::of(&[], &card(BAND), &[], &card(BAND), String::new());
        assert_eq!((none.largest_change, none.mean_change, none.auroc), (0.0, 0.0, None));
        let nan = Against::of(
            &[labelled("a", true, f32::NAN)],
            &card(BAND),
            &[labelled("a", true, 1.0)],
            &card(BAND),
            String::new(),
        );
        assert_eq!((nan.decision_flips, nan.only_other_right, nan.largest_change), (1, 1, 1.0));
    }
}
