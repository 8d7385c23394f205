//! What is judged of a file, and why the answer is what it is, on one sheet: the radiograph as it was decoded and windowed,
//! what was left out as a frame, the model's square as the network sees it, the evidence, and words.

use std::io::Cursor;

use data::lettering;
use image::{
    GrayImage, ImageFormat, Rgb, RgbImage,
    imageops::{self, FilterType},
};
use shared::{
    evidence::{Evidence, left_out},
    preprocess::{Picture, Window},
    shown::is_hidden,
};

use crate::{evidence_map::wrapped, plots::PlotError};

/// Side of the square that each picture is fitted into, in pixels.
pub(crate) const PANE: u32 = 480;

/// Pixels between the pictures, and around all.
const GAP: u32 = 16;

/// Width and height of a letter, in pixels.
pub(crate) const LETTER: [u32; 2] = [9, 20];

/// Thickness of the line around what was judged, in pixels.
const LINE: u32 = 2;

/// Most lines of words: more than any file has.
const MOST_LINES: usize = 60;

pub(crate) const PAPER: Rgb<u8> = Rgb([16; 3]);
pub(crate) const INK: Rgb<u8> = Rgb([255; 3]);

/// The radiograph and what was made of it. What there is not has the reason in its place.
pub struct Panes<'a> {
    /// The radiograph.
    pub picture: &'a Picture<'a>,
    /// The part that was judged; `None` if it is the whole.
    pub judged: Option<Window>,
    /// The network's input: rows of as many pixels.
    pub square: &'a [u8],
    /// What is outlined, of a radiograph that was judged.
    pub evidence: Option<Evidence>,
}

/// The PNG file: the panes, if the file could be decoded, and the words below, line by line. What has no letter in the font, or
/// does something else than to be seen, is spelt out.
pub fn png(panes: Option<&Panes<'_>>, words: &[String]) -> Result<Vec<u8>, PlotError> {
    let width = 3 * PANE + 4 * GAP;
    let letters = ((width - 2 * GAP) / LETTER[0]) as usize;
    let lines = words.iter().flat_map(|line| wrapped(&plain(line), letters));
    let lines: Vec<String> = lines.take(MOST_LINES).collect();
    let top = if panes.is_some() { 2 * GAP + PANE + LETTER[1] } else { GAP };
    let height = top + LETTER[1] * lines.len() as u32 + GAP;
    let mut sheet = RgbImage::from_pixel(width, height, PAPER);
    if let Some(panes) = panes {
        draw(&mut sheet, panes)?;
    }
    for (n, line) in (0..).zip(&lines) {
        lettering::write(&mut sheet, line, [GAP as i32, (top + n * LETTER[1]) as i32], INK);
    }
    as_png(&sheet)
}

/// The same pictures as files of their own, PNG: for a page that says the words itself.
pub struct Pictures {
    /// The radiograph, darker where it was left out.
    pub film: Vec<u8>,
    /// The network's input.
    pub square: Vec<u8>,
    /// The radiograph with what is outlined.
    pub evidence: Option<Vec<u8>>,
}

/// Draws each of the panes by itself.
pub fn pictures(panes: &Panes<'_>) -> Result<Pictures, PlotError> {
    let Drawn { film, square, evidence } = Drawn::of(panes)?;
    let evidence = evidence.as_ref().map(as_png).transpose()?;
    Ok(Pictures { film: as_png(&film)?, square: as_png(&square)?, evidence })
}

fn as_png(picture: &RgbImage) -> Result<Vec<u8>, PlotError> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).map_err(PlotError::because)?;
    Ok(png.into_inner())
}

/// The panes, each within [`PANE`] pixels.
struct Drawn {
    film: RgbImage,
    square: RgbImage,
    evidence: Option<RgbImage>,
}

impl Drawn {
    fn of(panes: &Panes<'_>) -> Result<Self, PlotError> {
        let Panes { picture, judged, square, evidence } = panes;
        let size = || PlotError::because("a picture has other pixels than its size says");
        let (pixels, width, height) = picture.preview(PANE as u16);
        let film =
            fitted(&GrayImage::from_raw(width.into(), height.into(), pixels).ok_or_else(size)?, FilterType::Triangle);
        let side = square.len().isqrt() as u32;
        // Each pixel of the network stays a square.
        let square = fitted(&GrayImage::from_raw(side, side, square.to_vec()).ok_or_else(size)?, FilterType::Nearest);
        let size: [u32; 2] = film.dimensions().into();
        let window = judged.map(|window| window.on(size));
        let paint = |image: &GrayImage, colour: &dyn Fn(u8, [u32; 2]) -> [u8; 3]| {
            RgbImage::from_fn(image.width(), image.height(), |x, y| Rgb(colour(image.get_pixel(x, y).0[0], [x, y])))
        };
        let framed = |grey: u8, place: [u32; 2]| {
            window.as_ref().and_then(|window| left_out(grey, place, window, LINE)).unwrap_or([grey; 3])
        };
        let outlined = evidence.as_ref().map(|evidence| {
            let painter = evidence.painter(size);
            let rows: Vec<_> = (0..size[1]).map(|y| painter.row(y)).collect();
            paint(&film, &|grey, [x, y]| rows[y as usize].paint(grey, x))
        });
        Ok(Self { film: paint(&film, &framed), square: paint(&square, &|grey, _| [grey; 3]), evidence: outlined })
    }
}

fn draw(sheet: &mut RgbImage, panes: &Panes<'_>) -> Result<(), PlotError> {
    let Drawn { film, square, evidence } = Drawn::of(panes)?;
    let whole = "the film; all of it is judged";
    let mut all = vec![
        (film, if panes.judged.is_some() { "the film; judged is what the blue line holds" } else { whole }),
        (square, "what the network sees"),
    ];
    if let (Some(drawn), Some(evidence)) = (evidence, &panes.evidence) {
        let words = if evidence.is_shown() {
            "outlined: where the model looked; no finding"
        } else {
            "no place speaks strongly for pneumonia to it"
        };
        all.push((drawn, words));
    }
    for (n, (pane, words)) in (0..).zip(&all) {
        let left = GAP + n * (PANE + GAP);
        let [x, y] = [left + (PANE - pane.width()) / 2, GAP + (PANE - pane.height()) / 2];
        imageops::replace(sheet, pane, x.into(), y.into());
        lettering::write(sheet, words, [left as i32, (GAP + PANE + GAP / 4) as i32], INK);
    }
    Ok(())
}

/// The picture, as large as a whole factor makes it within the pane.
fn fitted(image: &GrayImage, filter: FilterType) -> GrayImage {
    let factor = (PANE / image.width().max(image.height())).max(1);
    if factor == 1 && image.width().max(image.height()) <= PANE {
        return image.clone();
    }
    let [width, height] = [image.width(), image.height()].map(|side| (side * factor).min(PANE));
    imageops::resize(image, width, height, filter)
}

/// What the font has letters for; the rest is spelt out.
pub(crate) fn plain(text: &str) -> String {
    let known = |c: char| u32::from(c) < 0x100 && !is_hidden(c);
    text.chars().flat_map(|c| if known(c) { vec![c] } else { c.escape_unicode().collect() }).collect()
}

#[cfg(test)]
mod tests {
    use shared::preprocess::{Channels, Samples};

    use super::*;

    fn sheet(panes: Option<&Panes<'_>>, words: &[&str]) -> RgbImage {
        let words: Vec<String> = words.iter().map(|&line| line.to_owned()).collect();
        image::load_from_memory(&png(panes, &words).unwrap()).unwrap().into_rgb8()
    }

    #[test]
    fn what_is_left_out_is_darker_and_the_square_is_shown_pixel_by_pixel() {
        let pixels = vec![200; 300 * 200];
        let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, 300, 200, 300).unwrap();
        let judged = Some(Window { left: 100, width: 200, ..Window::whole(300, 200) });
        let square: Vec<u8> = (0..64 * 64).map(|place| if place % 64 < 32 { 10 } else { 250 }).collect();
        let panes = Panes { picture: &picture, judged, square: &square, evidence: None };
        let sheet = sheet(Some(&panes), &["x"]);
        let at = |x: u32, y: u32| sheet.get_pixel(x, y).0;
        let middle = GAP + PANE / 2;
        // 300 × 200 pixels in the middle of the first pane.
        assert_eq!(at(middle - 140, middle), [80; 3]);
        assert_eq!(at(middle + 100, middle), [200; 3]);
        assert_eq!(at(middle, middle - 110), PAPER.0);
        // 64 × 7 pixels wide in the second one.
        let second = middle + PANE + GAP;
        assert_eq!([at(second - 1, middle), at(second, middle)], [[10; 3], [250; 3]]);
        // No evidence, no third one.
        assert!((0..PANE).all(|y| at(second + PANE + GAP, GAP + y) == PAPER.0));
    }

    #[test]
    fn pictures_of_every_shape_have_a_sheet() {
        for (width, height) in [(32, 32), (32, 500), (481, 480), (3000, 100), (40, 960)] {
            let pixels = vec![90; (width * height) as usize];
            let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, width, height, width as usize).unwrap();
            let panes = Panes { picture: &picture, judged: None, square: &[7; 512 * 512], evidence: None };
            assert_eq!(sheet(Some(&panes), &[]).width(), 3 * PANE + 4 * GAP);
        }
        assert!(sheet(None, &["only words"]).height() < 100);
    }

    #[test]
    fn pictures_by_themselves_are_those_of_the_sheet() {
        let pixels = vec![200; 480 * 240];
        let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, 480, 240, 480).unwrap();
        let panes = Panes { picture: &picture, judged: None, square: &[7; 480 * 480], evidence: None };
        let Pictures { film, square, evidence } = pictures(&panes).unwrap();
        let sheet = sheet(Some(&panes), &[]);
        for (png, [left, top]) in [(film, [GAP, GAP + 120]), (square, [2 * GAP + PANE, GAP])] {
            let alone = image::load_from_memory(&png).unwrap().into_rgb8();
            let [width, height] = [alone.width(), alone.height()];
            assert_eq!(alone, imageops::crop_imm(&sheet, left, top, width, height).to_image());
        }
        assert!(evidence.is_none());
    }

    #[test]
    fn words_are_only_shown_and_do_not_grow_without_end() {
        assert_eq!(plain("Müller\u{202e}\n\u{1b}[2J北"), "Müller\\u{202e}\\u{a}\\u{1b}[2J\\u{5317}");
        let long = "word ".repeat(100_000);
        assert!(sheet(None, &[&long]).height() < 2 * MOST_LINES as u32 * LETTER[1]);
    }
}
