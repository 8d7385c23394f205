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
struct Narrow(ModelCard);

impl Classifier for Narrow {
    fn card(&self) -> &ModelCard {
        &self.0
    }

    fn digest(&self) -> Digest {
        Digest::of(b"narrow")
    }

    fn execution(&self) -> String {
        "nothing".to_owned()
    }

    fn judge(&self, input: &Input<'_>) -> Result<Judgement, ModelError> {
        let score = Score { logit: 0.0, probability: 0.5 };
        let examination = Examination { score, features: vec![f32::from(input.pixels()[0])], map: None };
        Ok(Judgement::of(examination, input, &self.0))
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
    };
    let behaviour = Behaviour { guard: Some(guard), ..Behaviour::new(CONTRACT) };
    Narrow(ModelCard { behaviour, ..ModelCard::new("narrow", CONTRACT) })
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
