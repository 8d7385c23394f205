//! What a model that leaves out frames is measured on: the pixels that the box judges.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use data::{Catalogue, Inputs, Label, Sample, synthetic};
use engine::{CARD_KEY, DEFAULT_MODEL, Model, decode, judge::admit};
use measure::{evaluation, guard};
use prost::Message;
use shared::{
    contract::{Fit, InputContract},
    preprocess::{Channels, Picture, Samples},
    verdict::{Digest, Refusal},
};

/// Pixels of black around each drawing.
const FRAME: usize = 40;

/// The model that ships, as if it left out frames, with or without its guard.
fn model(guarded: bool) -> Model {
    let mut file = decode(DEFAULT_MODEL).unwrap();
    let mut card = engine::card(&file).unwrap();
    card.behaviour.contract.fit = Fit::Unframed;
    if !guarded {
        card.behaviour.guard = None;
    }
    let json = serde_json::to_string(&card).unwrap();
    file.metadata_props.iter_mut().filter(|property| property.key == CARD_KEY).for_each(|p| p.value.clone_from(&json));
    Model::from_bytes(&file.encode_to_vec()).unwrap()
}

/// A drawing in a frame.
struct Framed {
    label: Label,
    width: usize,
    pixels: Vec<u8>,
}

impl Framed {
    fn draw(number: u64) -> Self {
        let drawing = synthetic::draw(3, number);
        let (width, height) = (drawing.width as usize + 2 * FRAME, drawing.height as usize + 2 * FRAME);
        let mut pixels = vec![0; width * height];
        for (row, line) in drawing.pixels.chunks_exact(drawing.width as usize).enumerate() {
            pixels[(row + FRAME) * width + FRAME..][..line.len()].copy_from_slice(line);
        }
        Self { label: drawing.label, width, pixels }
    }

    fn picture(&self) -> Picture<'_> {
        let height = (self.pixels.len() / self.width) as u32;
        Picture::new(Samples::U8(&self.pixels), Channels::Grey, self.width as u32, height, self.width).unwrap()
    }
}

/// Drawings and their inputs.
fn data(contract: &InputContract) -> (Vec<Framed>, Catalogue, Inputs) {
    let framed: Vec<Framed> = (0..20).map(Framed::draw).collect();
    let sample = |(number, one): (usize, &Framed)| Sample {
        digest: Digest::of(&one.pixels),
        ..Sample::new(format!("{number}.png"), one.label, number.to_string())
    };
    let samples = framed.iter().enumerate().map(sample).collect();
    let inputs = Inputs::new(*contract, framed.iter().map(|one| one.picture().prepare(contract)));
    let side = u32::from(contract.side);
    let again = |index: usize| {
        let input = inputs.of(index).unwrap();
        let prepared = Picture::new(Samples::U8(&input), Channels::Grey, side, side, side as usize).unwrap();
        !prepared.judged(contract).is_whole()
    };
    assert!((0..framed.len()).any(again), "preparing a second time changes nothing");
    (framed, Catalogue { samples, synthetic: true, ..Catalogue::default() }, inputs)
}

#[test]
fn radiographs_are_judged_as_the_box_judges_the_whole_pictures() {
    for guarded in [false, true] {
        let model = model(guarded);
        let (framed, catalogue, inputs) = data(&model.card().behaviour.contract);
        let all: Vec<usize> = (0..framed.len()).collect();
        let judged = evaluation::judge(&model, &catalogue, &inputs, &all).unwrap();
        for (one, judged) in framed.iter().zip(&judged) {
            let verdict = match admit(&one.picture(), None, model.card()) {
                Ok(input) => {
                    let judgement = model.judge(&input).unwrap();
                    assert_eq!(judged.scored.probability, judgement.examination.score.probability);
                    judgement.verdict.err()
                }
                Err(refusal) => Some(refusal),
            };
            assert_eq!(judged.refused, verdict.is_some());
        }
    }
}

#[test]
fn radiographs_are_refused_as_the_box_refuses_the_whole_pictures() {
    let model = model(true);
    let (framed, _, inputs) = data(&model.card().behaviour.contract);
    let all: Vec<usize> = (0..framed.len()).collect();
    let measured = guard::refusals(&model, &inputs, &all).unwrap();
    let refusal = |one: &Framed| match admit(&one.picture(), None, model.card()) {
        Ok(input) => model.judge(&input).unwrap().verdict.err(),
        Err(refusal) => Some(refusal),
    };
    let refusals: Vec<Option<Refusal>> = framed.iter().map(refusal).collect();
    assert!(refusals.iter().any(Option::is_some));
    assert_eq!(measured, refusals);
}
