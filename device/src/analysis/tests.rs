use std::io::Cursor;

use engine::{Behaviour, Examination, Score};
use image::{GrayImage, ImageFormat, Luma};
use shared::{
    contract::InputContract,
    guard::{Cloud, Guard, Levels, View},
    preprocess::{Channels, Picture, Samples},
};

use super::*;
use crate::decoder;

const CONTRACT: InputContract = InputContract::stretched(16);

/// Has learnt from [`chest`] alone; its one feature is the first pixel.
struct Narrow {
    card: ModelCard,
    /// Whether its weights are those that were loaded, and whether it gives the answers of then.
    intact: [bool; 2],
}

impl Classifier for Narrow {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn digest(&self) -> Digest {
        Digest::of(b"narrow")
    }

    fn execution(&self) -> String {
        "nothing".to_owned()
    }

    fn trust(&self) -> Option<Trust> {
        None
    }

    fn judge(&self, input: &Input<'_>) -> Result<Judgement, ModelError> {
        let score = Score { logit: 0.0, probability: 0.5 };
        let examination = Examination { score, features: vec![f32::from(input.pixels()[0])], map: None };
        Ok(Judgement::of(examination, input, &self.card))
    }

    fn verify(&self) -> Result<(), ModelError> {
        if self.intact[0] { Ok(()) } else { Err(ModelError::SelfTest) }
    }

    fn self_test(&self) -> Result<(), ModelError> {
        if self.intact[1] { Ok(()) } else { Err(ModelError::SelfTest) }
    }
}

fn chest(first: u8) -> GrayImage {
    GrayImage::from_fn(64, 64, |x, y| match (x / 4, y / 4) {
        (0, 0) => Luma([first]),
        (1..6, 0..7) => Luma([220]),
        (_, 12..) => Luma([150]),
        _ => Luma([60]),
    })
}

fn narrow() -> Narrow {
    let near = |centre: Vec<f32>, limit| Cloud {
        centres: vec![centre],
        directions: Vec::new(),
        weights: Vec::new(),
        rest: 1.0,
        limit,
    };
    let pixels = chest(60).into_raw();
    let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, 64, 64, 64).unwrap();
    let guard = Guard {
        images: 1,
        levels: Levels { dark: 0, bright: 255, contrast: 0 },
        views: near(View::of(&picture).values().to_vec(), 60_000.0),
        lead: 0.0,
        crops: Vec::new(),
        mirrored: None,
        features: Some(near(vec![60.0], 100.0)),
        style: None,
    };
    let behaviour = Behaviour { guard: Some(guard), ..Behaviour::new(CONTRACT) };
    Narrow { card: ModelCard { behaviour, ..ModelCard::new("narrow", CONTRACT) }, intact: [true; 2] }
}

fn decode() -> Decode {
    Box::new(|file, contract| Ok(decoder::prepare(file, contract)?))
}

#[test]
fn both_forms_of_an_image_are_refused_for_the_same_reason() {
    let turned = |quarters: u8| (0..quarters).fold(chest(60), |image, _| image::imageops::rotate90(&image));
    let mut negative = chest(60);
    image::imageops::invert(&mut negative);
    let stripes = GrayImage::from_fn(64, 64, |_, y| Luma([if y / 4 % 2 == 0 { 30 } else { 200 }]));
    for (picture, expected) in [
        (chest(60), None),
        (turned(1), Some(Refusal::OnItsSide)),
        (turned(2), Some(Refusal::UpsideDown)),
        (turned(3), Some(Refusal::OnItsSide)),
        (negative, Some(Refusal::Negative)),
        (stripes, Some(Refusal::NotAChest)),
        (GrayImage::from_pixel(64, 64, Luma([70])), Some(Refusal::Blank)),
        (chest(100), Some(Refusal::Unfamiliar)),
    ] {
        let mut png = Cursor::new(Vec::new());
        picture.write_to(&mut png, ImageFormat::Png).unwrap();
        let png = png.into_inner();
        let radiograph = decode::decode(&png).unwrap();
        let exam = ExamId::default();
        let picture = radiograph.picture();
        let prepared = Image::prepared(picture.prepare(&CONTRACT), &picture, &CONTRACT, Digest::of(&png), exam.clone());
        for image in [Image::file(png, exam).unwrap(), prepared] {
            let refused = judge(&narrow(), &image, &mut decode(), &|_| ()).err();
            assert_eq!(refused, expected.map(Unjudged::Refused));
        }
    }
}

fn png(picture: &GrayImage) -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).unwrap();
    png.into_inner()
}

/// What an analyst reports of a chest that it is asked to judge, in words, to the end of its thread or of the image.
fn reports(intact: [bool; 2], self_test_every: Duration) -> Vec<&'static str> {
    let (sender, reported) = channel();
    let model = Arc::new(Narrow { intact, ..narrow() });
    let install = Box::new(|_: &ModelFile| Err(ModelRefusal::NotStored));
    let analyst = Analyst::start_with(model, install, decode(), self_test_every, move |report| {
        let _ = sender.send(match report {
            Report::Phase(_) => return,
            Report::Done(judged) => match *judged {
                Ok(_) => "judged",
                Err(Unjudged::Failed(Fault::Internal)) => "failed",
                Err(_) => "other",
            },
            Report::Installed(_) => "installed",
            Report::Altered => "altered",
        });
    });
    analyst.judge(Image::file(png(&chest(60)), ExamId::default()).unwrap());
    let first = reported.recv().unwrap();
    // With the analyst its thread ends, if it has not ended before.
    drop(analyst);
    [first].into_iter().chain(reported).collect()
}

#[test]
fn a_model_that_has_changed_in_memory_gives_no_answer_and_ends() {
    assert_eq!(reports([true, true], SELF_TEST_EVERY), ["judged"]);
    assert_eq!(reports([false, true], SELF_TEST_EVERY), ["failed", "altered"]);
    // Where a self-test is due it comes before the image.
    assert_eq!(reports([true, true], Duration::ZERO), ["judged"]);
    assert_eq!(reports([true, false], Duration::ZERO), ["altered"]);
}
