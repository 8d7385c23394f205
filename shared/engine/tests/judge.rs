//! The order of the steps from a picture to an answer, and what of it each way in takes.

#![expect(clippy::expect_used, reason = "a test that cannot continue has failed")]

use engine::{
    Behaviour, DEFAULT_MODEL, Model, ModelCard, Provenance,
    judge::{Input, Judgement, Prepared, admit},
};
use shared::{
    age::{Age, AgeNote, Ages},
    contract::InputContract,
    preprocess::{Channels, Picture, Samples, Window},
    verdict::Refusal,
};

fn model() -> Model {
    Model::from_bytes(DEFAULT_MODEL).expect("a model")
}

fn grey(pixels: &[u8], width: u32, height: u32) -> Picture<'_> {
    Picture::new(Samples::U8(pixels), Channels::Grey, width, height, width as usize).expect("a picture")
}

/// The same model, but nothing is known of its training images.
fn unguarded(card: &ModelCard) -> ModelCard {
    ModelCard { behaviour: Behaviour { guard: None, ..card.behaviour.clone() }, ..card.clone() }
}

fn stripes(length: usize) -> Vec<u8> {
    (0..length).map(|i| if i / 8 % 2 == 0 { 40 } else { 190 }).collect()
}

#[test]
fn the_first_refusal_counts_and_the_score_of_what_is_refused_can_be_had() {
    let model = model();
    let card = model.card();
    // A blank strip: the picture is refused before the input.
    for (pixels, size, without_card, expected) in [
        (vec![70; 500 * 100], [500, 100], Some(Refusal::Elongated), Refusal::Elongated),
        (vec![70; 100 * 100], [100, 100], Some(Refusal::Blank), Refusal::Blank),
        (stripes(128 * 128), [128, 128], None, Refusal::Cropped),
    ] {
        let picture = grey(&pixels, size[0], size[1]);
        assert_eq!(admit(&picture, None, card), Err(expected));
        let sent = Prepared::of(&picture, &card.behaviour.contract).and_then(|prepared| prepared.admit(None));
        assert_eq!(sent.err(), without_card);

        let prepared = Prepared::of_any(&picture, &card.behaviour.contract);
        let judgement = model.judge(&prepared.admit_any(card)).expect("a judgement");
        assert_eq!(judgement.verdict, Err(expected));
        let score = model.classify(&picture.prepare(&card.behaviour.contract)).expect("a score");
        assert_eq!(judgement.examination.score, score);
    }
}

#[test]
fn patients_for_whom_the_model_is_not_meant_are_refused() {
    let model = model();
    let card = unguarded(model.card());
    assert_eq!(card.ages(), Some(Ages { from: 1, to: 5 }));
    let unknown = Provenance { data_digest: "0".into(), ages: None, ..card.provenance.clone() };
    let other = ModelCard { provenance: unknown, ..card.clone() };
    let pixels = stripes(300 * 200);
    let picture = grey(&pixels, 300, 200);
    let contract = &card.behaviour.contract;
    for (months, expected, where_unknown) in [
        (None, None, None),
        (Some(0), Some(Refusal::TooYoung), Some(Refusal::TooYoung)),
        (Some(11), Some(Refusal::TooYoung), Some(Refusal::TooYoung)),
        (Some(12), None, None),
        (Some(71), None, None),
        (Some(72), Some(Refusal::TooOld), None),
        (Some(972), Some(Refusal::TooOld), None),
    ] {
        let age = months.and_then(Age::months);
        assert_eq!(admit(&picture, age, &card).err(), expected, "{months:?}");
        assert_eq!(admit(&picture, age, &other).err(), where_unknown, "{months:?}");
        let prepared = Prepared::of(&picture, contract).expect("a picture").of_age(age);
        assert_eq!(prepared.clone().admit(None).err(), where_unknown, "{months:?}");
        let input = prepared.admit_any(&card).into_pixels();
        let received = Prepared::received(&input, contract, contract, &picture, &picture.judged(contract))
            .expect("of the same picture");
        assert_eq!(received.of_age(age).admit(Some(&card)).err(), expected, "{months:?}");
    }
}

fn two_to_ten(card: &ModelCard) -> ModelCard {
    let ages = Some(Ages { from: 2, to: 10 });
    ModelCard { provenance: Provenance { ages, ..card.provenance.clone() }, ..card.clone() }
}

#[test]
fn of_two_ages_that_contradict_each_other_neither_may_be_outside_of_the_models() {
    let model = model();
    let card = two_to_ten(&unguarded(model.card()));
    let pixels = stripes(300 * 200);
    let picture = grey(&pixels, 300, 200);
    for (months, expected) in [
        ([13, 48], Some(Refusal::TooYoung)),
        ([24, 131], None),
        ([36, 132], Some(Refusal::TooOld)),
        ([4, 972], Some(Refusal::TooYoung)),
    ] {
        let [one, other] = months.map(|months| Age::months(months).expect("an age"));
        assert_eq!(admit(&picture, Some(one.either(other)), &card).err(), expected, "{months:?}");
    }
}

#[test]
fn an_age_that_is_overridden_is_noted_and_overrides_nothing_else() {
    let model = model();
    let card = two_to_ten(&unguarded(model.card()));
    let (pixels, blank) = (stripes(300 * 200), vec![70; 100 * 100]);
    let contract = &card.behaviour.contract;
    let prepared = Prepared::of(&grey(&pixels, 300, 200), contract).expect("a picture").of_any_age(true);
    let [child, adult] = [48, 972].map(Age::months);
    let note = |age| {
        let input = prepared.clone().of_age(age).admit(Some(&card)).expect("an input");
        model.judge(&input).expect("a judgement").age
    };
    assert_eq!(note(None), AgeNote::Unknown);
    assert_eq!(Some(note(child)), child.map(AgeNote::Meant), "there is nothing to override");
    assert_eq!(Some(note(adult)), adult.map(AgeNote::Overridden));
    let blank = Prepared::of_any(&grey(&blank, 100, 100), contract).of_age(adult).of_any_age(true);
    assert_eq!(blank.admit(Some(&card)).err(), Some(Refusal::Blank));
}

#[test]
fn every_way_in_shows_the_model_the_same() {
    let model = model();
    let card = unguarded(model.card());
    let pixels = stripes(300 * 200);
    let picture = grey(&pixels, 300, 200);
    let input = admit(&picture, None, &card).expect("an input");
    assert_eq!(input.pixels(), picture.prepare(&card.behaviour.contract));
    let contract = &card.behaviour.contract;
    let whole = picture.judged(contract);
    let received =
        Prepared::received(input.pixels(), contract, contract, &picture, &whole).expect("of the same picture");
    assert_eq!(received.admit(Some(&card)).as_ref(), Ok(&input));
    assert_eq!(Prepared::of_any(&picture, &card.behaviour.contract).admit_any(&card), input);
    assert_eq!(Input::unguarded(input.pixels()), input);
    assert_eq!(input.clone().into_pixels(), input.pixels());

    let examination = model.examine(input.pixels()).expect("an examination");
    let judgement = Judgement::of(examination.clone(), &input, &card);
    assert_eq!(judgement.verdict, Ok(card.behaviour.point.verdict(examination.score.probability)));
    assert_eq!(
        judgement.evidence(&card, [300, 200]),
        examination.map.and_then(|map| map.evidence(&card.behaviour, [300, 200]))
    );
    // The guard knows how far the features of its training images reach.
    assert_eq!(model.judge(&input).expect("a judgement").verdict, Err(Refusal::Unfamiliar));
}

#[test]
fn what_was_prepared_for_another_contract_is_refused_or_prepared_anew() {
    let ours = model().card().behaviour.contract;
    let pixels = vec![9; ours.len()];
    let [square, strip] = [[50; 2], [50, 10]].map(|[width, height]| grey(&[9; 2500], width, height));
    let dark = [0; 2500];
    let other = InputContract { scale: ours.scale * 2.0, ..ours };
    let mismatch = Some(Refusal::ContractMismatch);
    assert_eq!(Prepared::received(&pixels, &ours, &ours, &square, &Window::whole(64, 64)).err(), None);
    assert_eq!(Prepared::received(&pixels, &other, &ours, &square, &Window::whole(64, 64)).err(), mismatch);
    assert_eq!(Prepared::received(&pixels[1..], &ours, &ours, &square, &Window::whole(64, 64)).err(), mismatch);
    // The preview is looked at as well.
    assert_eq!(
        Prepared::received(&pixels, &ours, &ours, &strip, &Window::whole(500, 100)).err(),
        Some(Refusal::Elongated)
    );
    let black = grey(&dark, 50, 50);
    assert_eq!(
        Prepared::received(&pixels, &ours, &ours, &black, &Window::whole(64, 64)).err(),
        Some(Refusal::PreviewMismatch)
    );

    // Pixels are the same whatever they stand for.
    let prepared = Prepared::of_any(&grey(&[9; 32 * 32], 32, 32), &ours);
    assert!(prepared.suits(&other));
    assert!(!prepared.suits(&InputContract { side: ours.side / 2, ..ours }));
}
