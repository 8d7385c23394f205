//! A radiograph with outlines around the evidence of pneumonia, as a PNG file.

use std::io::Cursor;

use data::lettering;
use engine::ModelCard;
use image::{
    GrayImage, ImageFormat, Rgb, RgbImage,
    imageops::{self, FilterType},
};
use shared::{
    evidence::{Evidence, left_out},
    preprocess::{Picture, Window},
};

use crate::{NOT_A_DEVICE, plots::PlotError};

/// Longest side of the picture, in pixels; larger radiographs are reduced.
const LONGEST: u16 = 1024;

/// Smaller ones are enlarged by a whole factor up to this.
const ENLARGED: u32 = 768;

/// Width and height of a letter, in pixels.
const LETTER: [u32; 2] = [9, 20];

/// Pixels around the text.
const MARGIN: u32 = 6;

const SHOWN: &str = "Outlined: where the model looked. It is not a finding.";
const NOTHING: &str = "No place speaks strongly for pneumonia to the model.";
const LEFT_OUT: &str = "Judged: what is within the blue line.";

/// Thickness of the line around what was judged, in pixels.
const LINE: u32 = 3;

const SYNTHETIC: &str = "SYNTHETIC MODEL: NO MEDICAL MEANING";

/// The PNG file: the radiograph, the evidence over it, words below it. What was not judged is darker, with a line around
/// what was.
pub fn png(
    picture: &Picture<'_>,
    evidence: &Evidence,
    judged: Option<Window>,
    card: &ModelCard,
) -> Result<Vec<u8>, PlotError> {
    let (pixels, width, height) = picture.preview(LONGEST);
    let (width, height) = (u32::from(width), u32::from(height));
    let grey = GrayImage::from_raw(width, height, pixels)
        .ok_or_else(|| PlotError::because("the radiograph has other pixels than its size says"))?;
    let factor = (ENLARGED / width.max(height)).max(1);
    let grey = imageops::resize(&grey, width * factor, height * factor, FilterType::Triangle);
    let sheet = Sheet::draw(&grey, evidence, judged, &words(evidence, card, judged));
    let mut png = Cursor::new(Vec::new());
    sheet.0.write_to(&mut png, ImageFormat::Png).map_err(PlotError::because)?;
    Ok(png.into_inner())
}

fn words(evidence: &Evidence, card: &ModelCard, judged: Option<Window>) -> Vec<String> {
    let synthetic = card.provenance.synthetic.then(|| SYNTHETIC.to_owned());
    let said = if evidence.is_shown() { SHOWN } else { NOTHING };
    let left_out = judged.map(|_| LEFT_OUT.to_owned());
    synthetic
        .into_iter()
        .chain([said.to_owned(), format!("Model {}. {NOT_A_DEVICE}", card.name)])
        .chain(left_out)
        .collect()
}

/// The picture, with black below it for the words.
struct Sheet(RgbImage);

impl Sheet {
    fn draw(grey: &GrayImage, evidence: &Evidence, judged: Option<Window>, words: &[String]) -> Self {
        let (width, height) = grey.dimensions();
        let letters = (width.saturating_sub(2 * MARGIN) / LETTER[0]).max(1) as usize;
        let lines: Vec<String> = words.iter().flat_map(|line| wrapped(line, letters)).collect();
        let judged = judged.map(|window| window.on([width, height]));
        let mut sheet = Self(RgbImage::new(width, height + 2 * MARGIN + LETTER[1] * lines.len() as u32));
        let painter = evidence.painter([width, height]);
        for (y, pixels) in grey.enumerate_rows() {
            let row = painter.row(y);
            for (x, _, pixel) in pixels {
                let left_out = judged.as_ref().and_then(|judged| left_out(pixel.0[0], [x, y], judged, LINE));
                let colour = left_out.unwrap_or_else(|| row.paint(pixel.0[0], x));
                sheet.0.put_pixel(x, y, Rgb(colour));
            }
        }
        for (n, line) in (0..).zip(&lines) {
            let top = (height + MARGIN + n * LETTER[1]) as i32;
            lettering::write(&mut sheet.0, line, [MARGIN as i32, top], Rgb([255; 3]));
        }
        sheet
    }
}

/// The words in lines of at most that many letters, unless one word is longer.
pub(crate) fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use data::synthetic::{self, Drawing};
    use shared::{
        contract::InputContract,
        evidence::{Cells, Place},
        preprocess::{Channels, Samples},
    };

    use super::*;

    const CONTRACT: InputContract = InputContract::stretched(64);

    fn evidence(hot: f32) -> Evidence {
        let [first, step] = [16.0, 32.0].map(|pixels| Place { down: pixels, right: pixels });
        let cells = Cells { rows: 2, columns: 2, local: vec![-4.0, -4.0, -4.0, hot], first, step };
        Evidence::new(cells, &CONTRACT, [280, 220]).unwrap()
    }

    #[test]
    fn the_radiograph_is_coloured_where_the_evidence_is() {
        let Drawing { width, height, pixels, .. } = synthetic::draw(1, 1);
        let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, width, height, width as usize).unwrap();
        let grey = GrayImage::from_raw(width, height, picture.preview(LONGEST).0).unwrap();
        let coloured = |hot: f32, left: bool| {
            let Sheet(sheet) = Sheet::draw(&grey, &evidence(hot), None, &["x".to_owned()]);
            assert_eq!(sheet.dimensions(), (width, height + 2 * MARGIN + LETTER[1]));
            let columns = if left { 0..width / 2 } else { width / 2..width };
            let colour = |x, y| sheet.get_pixel(x, y).0.iter().any(|&part| part != sheet.get_pixel(x, y).0[0]);
            (0..height).flat_map(|y| columns.clone().map(move |x| (x, y))).filter(|&(x, y)| colour(x, y)).count()
        };
        assert_eq!(coloured(12.0, true), 0);
        assert!(coloured(12.0, false) > 1000);
        assert_eq!(coloured(-4.0, false), 0);
    }

    #[test]
    fn a_file_is_written_at_any_size() {
        for (width, height) in [(32, 40), (500, 32), (3000, 100)] {
            let pixels = vec![90; (width * height) as usize];
            let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, width, height, width as usize).unwrap();
            let card = engine::Model::from_bytes(engine::DEFAULT_MODEL).unwrap().card().clone();
            let file = png(&picture, &evidence(12.0), None, &card).unwrap();
            let image = image::load_from_memory(&file).unwrap();
            assert!((385..=1024).contains(&image.width().max(image.height().saturating_sub(100))), "{width} {height}");
        }
    }

    #[test]
    fn the_words_tell_what_the_model_is() {
        let mut card = engine::Model::from_bytes(engine::DEFAULT_MODEL).unwrap().card().clone();
        assert_eq!(words(&evidence(12.0), &card, None)[0], SHOWN);
        assert_eq!(words(&evidence(-6.0), &card, None)[0], NOTHING);
        card.provenance.synthetic = true;
        assert_eq!(words(&evidence(12.0), &card, None)[..2], [SYNTHETIC, SHOWN]);
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two three", 2), ["one", "two", "three"]);
    }
}
