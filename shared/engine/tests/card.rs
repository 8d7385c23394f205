//! What a card says of its operating points, and what is refused of it.

#![expect(clippy::expect_used, reason = "a test that cannot continue has failed")]

use engine::{CardError, Measured, ModelCard, PointRates};
use shared::{
    contract::InputContract,
    rates::{Outcomes, Rates},
    verdict::{OperatingPoint, OperatingPoints},
};

fn point(refer_from: f32, refer_to: f32) -> OperatingPoint {
    OperatingPoint { threshold: 0.5, refer_from, refer_to }
}

/// A card with three operating points, which decides by `point`, and what was measured at some.
fn measured(point: OperatingPoint, rates: &[PointRates]) -> String {
    let mut card = ModelCard::new("tiny", InputContract::stretched(64));
    let [screening, balanced, confirming] = POINTS;
    card.behaviour.point = point;
    card.behaviour.points = Some(OperatingPoints { screening, balanced, confirming });
    card.measured = Some(Measured {
        data_digest: "00ff".to_owned(),
        split: "patient".to_owned(),
        seed: 7,
        fitted_on: 30,
        rates: rates.to_vec(),
    });
    serde_json::to_string(&card).expect("a card")
}

const POINTS: [OperatingPoint; 3] = [
    OperatingPoint { threshold: 0.5, refer_from: 0.1, refer_to: 0.6 },
    OperatingPoint { threshold: 0.5, refer_from: 0.3, refer_to: 0.6 },
    OperatingPoint { threshold: 0.5, refer_from: 0.3, refer_to: 0.9 },
];

fn rates(normal: [u32; 4], pneumonia: [u32; 4]) -> Rates {
    let of = |[normal, refer, pneumonia, refused]: [u32; 4]| Outcomes { normal, refer, pneumonia, refused };
    Rates { of_normal: of(normal), of_pneumonia: of(pneumonia) }
}

#[test]
fn rates_are_those_of_the_point_in_force() {
    let all =
        [rates([5, 3, 1, 1], [0, 2, 18, 0]), rates([6, 2, 1, 1], [1, 1, 18, 0]), rates([6, 3, 0, 1], [1, 4, 15, 0])];
    let each: Vec<PointRates> = POINTS.into_iter().zip(all).map(|(point, rates)| PointRates { point, rates }).collect();
    for (point, rates) in POINTS.into_iter().zip(all) {
        let card = ModelCard::from_json(&measured(point, &each)).expect("a card");
        assert_eq!(card.rates(), Some(rates));
    }
    let card = ModelCard::from_json(&measured(POINTS[0], &each[1..])).expect("a card");
    assert_eq!(card.rates(), None, "not measured at this point");
}

#[test]
fn points_and_rates_that_cannot_be_are_refused() {
    let json = measured(point(0.2, 0.6), &[]);
    assert!(matches!(ModelCard::from_json(&json), Err(CardError::OtherPoint)));
    let at = |point, rates| PointRates { point, rates };
    let good = rates([6, 2, 1, 1], [1, 1, 18, 0]);
    for bad in [
        // At a point that the card does not have.
        vec![at(point(0.2, 0.6), good)],
        // Of no radiograph of a kind.
        vec![at(POINTS[1], rates([0; 4], [1, 1, 18, 0]))],
        // Of other radiographs at another point, or with other refusals.
        vec![at(POINTS[0], good), at(POINTS[1], rates([6, 2, 1, 1], [1, 1, 19, 0]))],
        vec![at(POINTS[0], good), at(POINTS[1], rates([6, 2, 2, 0], [1, 1, 18, 0]))],
        vec![at(POINTS[1], good); 4],
    ] {
        let json = measured(POINTS[1], &bad);
        assert!(matches!(ModelCard::from_json(&json), Err(CardError::Rates)), "{bad:?}");
    }
    assert!(ModelCard::from_json(&measured(POINTS[1], &[at(POINTS[1], good)])).is_ok());
}
