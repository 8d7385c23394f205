//! Two sets of answers to the same radiographs: of two models, or of one to radiographs that were changed.

use shared::verdict::OperatingPoint;

use super::{
    LabelledAnswer,
    bootstrap::{Estimate, Patients, Value},
    ranked,
};
use crate::weighted::Weighted;

/// How good the ones are beside the others. The same patients are drawn for both, so what is hard for both cancels out of
/// the differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Paired<F = Option<Estimate>> {
    /// Accuracy of the ones less that of the others; `None` without radiographs.
    pub(crate) accuracy_difference: F,
    /// Area under the receiver operating characteristic of the ones; `None` with one class only.
    pub(crate) auroc: F,
    /// That of the others.
    pub(crate) other_auroc: F,
    /// The first less the second.
    pub(crate) auroc_difference: F,
}

impl Paired {
    /// Of answers to the same radiographs in the same order, either decided at an operating point.
    pub(crate) fn of(ones: (&[LabelledAnswer], OperatingPoint), others: (&[LabelledAnswer], OperatingPoint)) -> Self {
        let ranked = [ones, others].map(|(judged, point)| (ranked(judged), point));
        let values = |weights: &[usize]| {
            let [one, other] = ranked.each_ref().map(|(ranked, point)| ranked.weighted(weights, *point));
            Paired::measure(&one, &other)
        };
        let resamples = Patients::of(ones.0).resample(values);
        let all = values(&vec![1; ones.0.len()]);
        let estimate = |figure: fn(&Paired<Option<Value>>) -> Option<Value>| {
            Estimate::of(figure(&all), resamples.iter().map(figure))
        };
        Self {
            accuracy_difference: estimate(|values| values.accuracy_difference),
            auroc: estimate(|values| values.auroc),
            other_auroc: estimate(|values| values.other_auroc),
            auroc_difference: estimate(|values| values.auroc_difference),
        }
    }
}

impl Paired<Option<Value>> {
    fn measure(one: &Weighted<'_>, other: &Weighted<'_>) -> Self {
        let images = one.images();
        let accuracy_difference = (images > 0).then(|| (one.right() as f64 - other.right() as f64) / images as f64);
        let (auroc, other_auroc) = (one.auroc(), other.auroc());
        let auroc_difference = auroc.zip(other_auroc).map(|(one, other)| one - other);
        Self {
            accuracy_difference: accuracy_difference.map(Value::Number),
            auroc: auroc.map(Value::Number),
            other_auroc: other_auroc.map(Value::Number),
            auroc_difference: auroc_difference.map(Value::Number),
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
        assert_eq!(paired.accuracy_difference, Some(Estimate { value: -0.05, by_patient, wilson: None }));
        assert_eq!((paired.auroc, paired.auroc_difference), (None, None), "one class only");
    }
}
