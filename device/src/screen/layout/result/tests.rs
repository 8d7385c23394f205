use shared::{
    age::{Age, AgeNote},
    rates::Rates,
};

use super::*;
use crate::{
    sample,
    screen::{
        Language, Scene, ScreenSize, View,
        language::words,
        layout::{Placed, layout},
    },
};

#[test]
fn rounding_never_claims_certainty() {
    let words = words(Language::English);
    let percent = |p| words.percent(p, &OperatingPoint::HALF);
    let shown = [0.0, 0.0049, 0.01, 0.5, 0.994, 0.9951, 1.0, f32::NAN, 1.5].map(percent);
    assert_eq!(shown, ["<1 %", "<1 %", "1 %", "50 %", "99 %", ">99 %", ">99 %", "-", "-"]);
    let rates = Rates {
        of_normal: Outcomes { normal: 207, refer: 0, pneumonia: 0, refused: 0 },
        of_pneumonia: Outcomes { normal: 2, refer: 14, pneumonia: 540, refused: 2 },
    };
    let rates = Some(MeasuredRates { rates, hospitals: None });
    let told = told(&Identity { rates, ..Identity::default() }, words).unwrap();
    assert_eq!(told[0], "Of 100 pneumonias: <1 called normal, 3 referred, 97 called pneumonia");
    assert_eq!(told[1], "Of 100 normal X-rays: >99 called normal, <1 referred, <1 called pneumonia");
    assert_eq!(told[2], "on test images of unknown hospitals");
}

#[test]
fn the_rates_beside_a_verdict_are_those_of_the_three_verdicts() {
    let rates = Rates {
        of_normal: Outcomes { normal: 67, refer: 28, pneumonia: 4, refused: 1 },
        of_pneumonia: Outcomes { normal: 2, refer: 5, pneumonia: 93, refused: 0 },
    };
    for language in Language::ALL {
        let mut layout = Layout::new(ScreenSize::default(), language);
        let side = Area { left: 0.0, top: 0.0, width: 400.0, height: 140.0 };
        layout.rates(side, &MeasuredRates { rates, hospitals: Some(1) });
        let texts: Vec<String> = layout.placed().map(|placed| placed.text).filter(|text| !text.is_empty()).collect();
        let words = words(language);
        let place = (words.measured_on)(Some(1));
        let wanted = [words.of_pneumonia, "2", "5", "93", words.of_normal, "67", "28", "4", &place];
        assert_eq!(texts, wanted, "{language}");
        let symbols = layout.items.iter().filter_map(|item| match item {
            Item::Symbol { symbol, .. } => Some(*symbol),
            _ => None,
        });
        let row = [Symbol::Tick, Symbol::Question, Symbol::Warning];
        assert_eq!(symbols.collect::<Vec<_>>(), [row, row].concat());
    }
}

#[test]
fn a_band_is_told_where_there_is_one() {
    let point = OperatingPoint { threshold: 0.676, refer_from: 0.0496, refer_to: 0.999 };
    let told = |point| words(Language::English).changes(0.5, &point);
    assert_eq!(told(point), "Refer from 5 to >99 %");
    assert_eq!(told(OperatingPoint::unbanded(0.52)), "Threshold 52 %");
}

#[test]
fn symbols_keep_clear_of_the_marker() {
    assert_eq!(widest_free([0.0, 100.0], None), [0.0, 100.0]);
    assert_eq!(widest_free([0.0, 100.0], Some([30.0, 40.0])), [40.0, 100.0]);
    assert_eq!(widest_free([0.0, 100.0], Some([90.0, 95.0])), [0.0, 90.0]);
    assert_eq!(widest_free([0.0, 100.0], Some([-5.0, 20.0])), [20.0, 100.0]);
    let [from, to] = widest_free([0.0, 10.0], Some([-5.0, 20.0]));
    assert!(to <= from, "all of it is taken");
}

#[test]
fn the_mark_of_a_past_result_or_an_overridden_age_covers_nothing() {
    let preview = Preview { width: 1, height: 1, pixels: vec![9].into(), judged: None };
    let age_of_nine = AgeNote::Overridden(Age::months(108).unwrap());
    let record = ResultRecord { point: BANDED, verdict: Verdict::Refer, age: age_of_nine, ..sample::record(1) };
    let rates = Some(MeasuredRates { rates: Rates::default(), hospitals: Some(1) });
    let identity = Identity { synthetic: true, model: "model".to_owned(), rates, ..Identity::default() };
    let identity = Box::new(identity);
    for (minutes, language) in [4, 7].into_iter().flat_map(|minutes| Language::ALL.map(|language| (minutes, language)))
    {
        let (preview, record, identity) = (preview.clone(), record.clone(), identity.clone());
        let view = View::Result { preview, evidence: None, record, identity, nth: 2, minutes };
        let scene = Scene { identity: Identity::default(), view };
        for (width, height) in [(480, 320), (320, 480), (800, 480), (480, 480), (1920, 320), (320, 1920)] {
            let layout = layout(&scene, ScreenSize::new(width, height).unwrap(), language);
            let strips: Vec<Area> = layout
                .items
                .iter()
                .filter_map(|item| match item {
                    Item::Fill { area, colour: AMBER, .. } => Some(*area),
                    _ => None,
                })
                .collect();
            let [strip] = strips[..] else { panic!("{strips:?}") };
            let inside = |placed: &Placed| {
                let [left, top, right, bottom] = placed.bounds;
                left < strip.right() && right > strip.left && top < strip.bottom() && bottom > strip.top
            };
            let covered: Vec<String> = layout.placed().filter(inside).map(|placed| placed.text).collect();
            let [text] = &covered[..] else { panic!("{language}, {width}x{height}: {covered:?}") };
            let words = words(language);
            let past = words.past.replace("{}", &age(minutes, words));
            assert_eq!(*text, if minutes < PAST_AFTER { (words.meant)(None) } else { past });
            let overridden = words.age(age_of_nine).unwrap();
            assert!(layout.placed().any(|placed| placed.text == overridden), "{language}: {overridden}");
        }
    }
}

const BANDED: OperatingPoint = OperatingPoint { threshold: 0.68, refer_from: 0.05, refer_to: 0.7 };

/// The scale alone, 400 pixels wide.
fn drawn(probability: f32, point: OperatingPoint) -> Layout<'static> {
    let mut layout = Layout::new(ScreenSize::default(), Language::English);
    layout.scale_of(Area { left: 0.0, top: 100.0, width: 400.0, height: 30.0 }, probability, &point);
    layout
}

/// Left and right of the marker, first with its halo, then without.
fn markers(probability: f32, point: OperatingPoint) -> Vec<[f32; 2]> {
    let layout = drawn(probability, point);
    let discs = layout.items.iter().filter_map(|item| match item {
        Item::Fill { area, radius, .. } if *radius > 0.0 => Some([area.left, area.right()]),
        _ => None,
    });
    discs.collect()
}

#[test]
fn the_marker_stays_on_the_scale_and_in_the_range_of_its_verdict() {
    for probability in [0.0, 0.02, 0.5, 0.97, 1.0] {
        let [_, [left, right]] = markers(probability, BANDED)[..] else { panic!("halo and disc") };
        assert!(left >= 0.0 && right <= 400.0, "{probability}: {left} to {right}");
    }
    let narrow = OperatingPoint { refer_from: 0.01, refer_to: 0.99, ..BANDED };
    for (probability, range) in [(0.0, 0.0..=4.0), (1.0, 396.0..=400.0)] {
        let [_, [left, right]] = markers(probability, narrow)[..] else { panic!("halo and disc") };
        assert!(range.contains(&((left + right) / 2.0)), "{probability}: {left} to {right}");
    }
    assert!(markers(f32::NAN, BANDED).is_empty());
}

#[test]
fn each_range_that_is_wide_enough_has_its_symbol() {
    let symbols = |probability, point| {
        let layout = drawn(probability, point);
        let symbols = layout.items.iter().filter_map(|item| match item {
            Item::Symbol { symbol, .. } => Some(*symbol),
            _ => None,
        });
        symbols.collect::<Vec<_>>()
    };
    assert_eq!(symbols(0.5, BANDED), [Symbol::Tick, Symbol::Question, Symbol::Warning]);
    assert_eq!(symbols(0.02, BANDED), [Symbol::Question, Symbol::Warning], "the marker takes what room there is");
    assert_eq!(symbols(0.5, OperatingPoint::HALF), [Symbol::Tick, Symbol::Warning]);
}
