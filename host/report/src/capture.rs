//! The answer to a radiograph as one picture, for an archive whose viewers show nothing but pictures: the film as it was judged,
//! where the model looked, and words below.

use data::lettering;
use image::{ImageFormat, RgbImage, imageops};

use crate::{
    evidence_map::wrapped,
    plots::PlotError,
    view::{INK, LETTER, PANE, PAPER, plain},
};

/// Pixels between the pictures, and around all.
const GAP: u32 = 10;
const WIDTH: u32 = 2 * PANE + 3 * GAP;
/// Greatest height, in pixels.
const HIGHEST: u32 = 1000;
/// Most lines of words: as many as there is room for.
const MOST_LINES: usize = ((HIGHEST - PANE - 3 * GAP) / LETTER[1]) as usize;

/// Draws it: 990 pixels wide, at most 1000 high. The pictures are PNG files of [`crate::view::pictures`]; what there is not is
/// left out.
pub fn draw(film: Option<&[u8]>, evidence: Option<&[u8]>, words: &[String]) -> Result<RgbImage, PlotError> {
    let panes: Vec<RgbImage> = film.into_iter().chain(evidence).map(read).collect::<Result<_, _>>()?;
    let letters = ((WIDTH - 2 * GAP) / LETTER[0]) as usize;
    let lines = words.iter().flat_map(|line| wrapped(&plain(line), letters));
    let lines: Vec<String> = lines.take(MOST_LINES).collect();
    let top = if panes.is_empty() { GAP } else { 2 * GAP + PANE };
    let mut sheet = RgbImage::from_pixel(WIDTH, top + LETTER[1] * lines.len() as u32 + GAP, PAPER);
    // One alone is in the middle.
    let left = (WIDTH - GAP - panes.len() as u32 * (PANE + GAP)) / 2 + GAP;
    for (n, pane) in (0..).zip(&panes) {
        let x = left + n * (PANE + GAP) + PANE.saturating_sub(pane.width()) / 2;
        let y = GAP + PANE.saturating_sub(pane.height()) / 2;
        imageops::replace(&mut sheet, pane, x.into(), y.into());
    }
    for (n, line) in (0..).zip(&lines) {
        lettering::write(&mut sheet, line, [GAP as i32, (top + n * LETTER[1]) as i32], INK);
    }
    Ok(sheet)
}

fn read(png: &[u8]) -> Result<RgbImage, PlotError> {
    let picture = image::load_from_memory_with_format(png, ImageFormat::Png).map_err(PlotError::because)?.into_rgb8();
    let fits = picture.width().max(picture.height()) <= PANE;
    if fits { Ok(picture) } else { Err(PlotError::because("a picture is larger than those that are drawn")) }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::Rgb;

    use super::*;

    fn png(width: u32, height: u32, grey: u8) -> Vec<u8> {
        let mut png = Cursor::new(Vec::new());
        RgbImage::from_pixel(width, height, Rgb([grey; 3])).write_to(&mut png, ImageFormat::Png).unwrap();
        png.into_inner()
    }

    #[test]
    fn film_evidence_and_words_are_in_one_picture_of_bounded_size() {
        let [film, evidence] = [png(480, 300, 200), png(480, 300, 90)];
        let words = vec!["PNEUMONIA".to_owned(), "word ".repeat(100_000)];
        let sheet = draw(Some(&film), Some(&evidence), &words).unwrap();
        assert_eq!(sheet.width(), 990);
        assert!((900..=HIGHEST).contains(&sheet.height()), "{}", sheet.height());
        let middle = GAP + PANE / 2;
        assert_eq!(sheet.get_pixel(middle, middle).0, [200; 3]);
        assert_eq!(sheet.get_pixel(middle + PANE + GAP, middle).0, [90; 3]);
        assert!(sheet.enumerate_pixels().any(|(_, y, pixel)| y > 2 * GAP + PANE && *pixel == INK), "words");
        let alone = draw(Some(&film), None, &words[..1]).unwrap();
        assert_eq!((alone.width(), alone.get_pixel(WIDTH / 2, middle).0), (990, [200; 3]));
        assert_eq!(alone.get_pixel(GAP, middle), &PAPER);
        assert!(draw(None, None, &words[..1]).unwrap().height() < 100);
        assert!(draw(Some(b"no picture"), None, &[]).is_err() && draw(Some(&png(481, 20, 0)), None, &[]).is_err());
    }
}
