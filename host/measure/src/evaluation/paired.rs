//! Two sets of answers to the same radiographs: of two models, or of one to radiographs that were changed.

use shared::verdict::OperatingPoint;

use super::{
    LabelledAnswer,
    bootstrap::{Estimate, Patients, Value},
    measurement::{self, Measure},
    ranked,
};
use crate::weighted::Weighted;

/// A figure of the ones and of the others, and the first less the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pair<F = Option<Estimate>> {
    pub(crate) one: F,
    pub(crate) other: F,
    pub(crate) difference: F,
}

/// How good the ones are beside the others. The same patients are drawn for both, so what is hard for both cancels out of
/// the differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paired<F = Option<Estimate>> {
    /// Accuracy; `None` without radiographs.
    pub(crate) accuracy: Pair<F>,
    /// Area under the receiver operating characteristic; `None` with one class only.
    pub(crate) auroc: Pair<F>,
    /// Share of all that get a *wrong verdict* of the box.
    pub(crate) wrong_verdicts: Pair<F>,
    /// Share of right verdicts among the definite ones of the box.
    pub(crate) definite_right: Pair<F>,
}

impl Paired {
    /// Of answers to the same radiographs in the same order, either decided at an operating point.
    pub(crate) fn of(ones: (&[LabelledAnswer], OperatingPoint), others: (&[LabelledAnswer], OperatingPoint)) -> Self {
        let ranked = [ones, others].map(|(judged, point)| (ranked(judged), point));
        let values = |weights: &[usize]| {
            Paired::measure(ranked.each_ref().map(|(ranked, point)| ranked.weighted(weights, *point)))
        };
        let resamples = Patients::of(ones.0).resample(values);
        let all = values(&vec![1; ones.0.len()]);
        let pair = |figure: fn(&Paired<Option<Value>>) -> Pair<Option<Value>>| {
            let estimate = |side: fn(Pair<Option<Value>>) -> Option<Value>| {
                Estimate::of(side(figure(&all)), resamples.iter().map(|values| side(figure(values))))
            };
            Pair {
                one: estimate(|pair| pair.one),
                other: estimate(|pair| pair.other),
                difference: estimate(|pair| pair.difference),
            }
        };
        Self {
            accuracy: pair(|values| values.accuracy),
            auroc: pair(|values| values.auroc),
            wrong_verdicts: pair(|values| values.wrong_verdicts),
            definite_right: pair(|values| values.definite_right),
        }
    }
}

impl Paired<Option<Value>> {
    fn measure(both: [Weighted<'_>; 2]) -> Self {
        let pair = |measure: Measure| {
            let [one, other] = both.each_ref().map(measure);
            let difference = one.zip(other).map(|(one, other)| Value::Number(one.less(other)));
            Pair { one, other, difference }
        };
        Self {
            accuracy: pair(measurement::accuracy),
            auroc: pair(measurement::auroc),
            wrong_verdicts: pair(measurement::wrong_verdicts),
            definite_right: pair(measurement::definite_right),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{Interval, tests::labelled};

    #[test]
    fn interval_of_a_difference_that_one_patient_makes() {
        // Only the image of patient 0 is decided differently; he is missing from about (1 − 1/20)^20 = 36 % of the draws.
        let others: Vec<LabelledAnswer> = (0..20).map(|i| labelled(&format!("p{i}"), true, 0.9)).collect();
        let mut ones = others.clone();
        ones[0].probability = 0.1;
        let paired = Paired::of((&ones, OperatingPoint::HALF), (&others, OperatingPoint::HALF));
        // He is drawn four times or more in fewer than 2.5 % of them (1.6), three times or more in 7.5 %.
        let by_patient = Some(Interval { low: -0.15, high: 0.0 });
        let difference = Some(Estimate { value: -0.05, by_patient, wilson: None, few: false });
        assert_eq!(paired.accuracy.difference, difference);
        assert_eq!((paired.auroc.one, paired.auroc.difference), (None, None), "one class only");
        // Without a band, what is decided wrongly is said wrongly.
        assert_eq!(paired.definite_right.difference, difference);
        assert_eq!(paired.wrong_verdicts.difference.map(|wrong| wrong.value), Some(0.05));
        // What is refused is not said.
        ones[0].refused = true;
        let paired = Paired::of((&ones, OperatingPoint::HALF), (&others, OperatingPoint::HALF));
        assert_eq!(paired.wrong_verdicts.one.map(|wrong| wrong.value), Some(0.0));
    }
}
