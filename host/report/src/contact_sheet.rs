//! Many radiographs on one picture, each small, with the part that was judged and the answer: for looking over them by eye.

use std::io::Cursor;

use data::lettering;
use image::{
    GrayImage, ImageFormat, Rgb, RgbImage,
    imageops::{self, FilterType},
};
use shared::{
    evidence::left_out,
    preprocess::{Picture, Window},
};

use crate::{evidence_map::wrapped, plots::PlotError};

/// Side of the square that each radiograph is fitted into, in pixels.
const SIDE: u32 = 200;

/// Radiographs in a row.
const ROW: usize = 8;

/// Pixels between radiographs, and around all.
const GAP: u32 = 12;

/// Width and height of a letter, in pixels.
const LETTER: [u32; 2] = [9, 18];

/// Lines of words below a radiograph.
const LINES: u32 = 3;

/// Thickness of the line around what was judged, in pixels.
const LINE: u32 = 2;

const PAPER: Rgb<u8> = Rgb([16; 3]);
const INK: Rgb<u8> = Rgb([255; 3]);

/// A radiograph that is small enough to be kept with many others: darker where it was left out, with a line around the rest.
pub struct Small(RgbImage);

impl Small {
    /// Of a radiograph and the part that was judged; `None` if that is the whole.
    pub fn of(picture: &Picture<'_>, judged: Option<Window>) -> Result<Self, PlotError> {
        let size = || PlotError::because("a picture has other pixels than its size says");
        let (pixels, width, height) = picture.preview(SIDE as u16);
        let film = GrayImage::from_raw(width.into(), height.into(), pixels).ok_or_else(size)?;
        let factor = (SIDE / film.width().max(film.height())).max(1);
        let [width, height] = [film.width(), film.height()].map(|side| side * factor);
        let film = imageops::resize(&film, width, height, FilterType::Nearest);
        let window = judged.map(|window| window.on([width, height]));
        Ok(Self(RgbImage::from_fn(width, height, |x, y| {
            let grey = film.get_pixel(x, y).0[0];
            Rgb(window.as_ref().and_then(|window| left_out(grey, [x, y], window, LINE)).unwrap_or([grey; 3]))
        })))
    }
}

/// A place on the sheet.
pub struct Entry {
    /// The radiograph, if its file could be decoded.
    pub film: Option<Small>,
    /// The answer, in a few words of ASCII.
    pub words: String,
}

/// The PNG file of the entries, row by row; they are numbered from 1.
pub fn png(entries: &[Entry]) -> Result<Vec<u8>, PlotError> {
    let cell = [SIDE + GAP, SIDE + LINES * LETTER[1] + GAP];
    let [columns, rows] = [entries.len().clamp(1, ROW), entries.len().div_ceil(ROW).max(1)].map(|count| count as u32);
    let mut sheet = RgbImage::from_pixel(GAP + columns * cell[0], GAP + rows * cell[1], PAPER);
    for (place, entry) in entries.iter().enumerate() {
        let [column, row] = [place % ROW, place / ROW].map(|place| place as u32);
        let [left, top] = [GAP + column * cell[0], GAP + row * cell[1]];
        if let Some(Small(film)) = &entry.film {
            let [x, y] = [left + (SIDE - film.width()) / 2, top + (SIDE - film.height()) / 2];
            imageops::replace(&mut sheet, film, x.into(), y.into());
        }
        let words = wrapped(&format!("{}: {}", place + 1, entry.words), (SIDE / LETTER[0]) as usize);
        for (line, words) in (0..LINES).zip(&words) {
            let y = top + SIDE + line * LETTER[1];
            lettering::write(&mut sheet, words, [left as i32, y as i32], INK);
        }
    }
    let mut png = Cursor::new(Vec::new());
    sheet.write_to(&mut png, ImageFormat::Png).map_err(PlotError::because)?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests {
    use shared::preprocess::{Channels, Samples};

    use super::*;

    fn sheet(entries: &[Entry]) -> RgbImage {
        image::load_from_memory(&png(entries).unwrap()).unwrap().into_rgb8()
    }

    fn entry(width: u32, height: u32, judged: Option<Window>) -> Entry {
        let pixels = vec![200; (width * height) as usize];
        let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, width, height, width as usize).unwrap();
        Entry { film: Some(Small::of(&picture, judged).unwrap()), words: "normal 0.031".to_owned() }
    }

    #[test]
    fn radiographs_lie_in_rows_with_what_was_judged_outlined() {
        let judged = Window { left: 100, width: 100, ..Window::whole(200, 200) };
        let sheet = sheet(&[entry(200, 200, None), entry(200, 200, Some(judged))]);
        assert_eq!(sheet.width(), GAP + 2 * (SIDE + GAP));
        let at = |x: u32, y: u32| sheet.get_pixel(x, y).0;
        let [first, second, middle] = [GAP, 2 * GAP + SIDE, GAP + SIDE / 2];
        assert_eq!([at(first, middle), at(first + SIDE - 1, middle)], [[200; 3]; 2]);
        assert_eq!([at(second + 50, middle), at(second + 150, middle)], [[80; 3], [200; 3]]);
        let line = at(second + 99, middle);
        assert!(line != [80; 3] && line != [200; 3], "{line:?}");
        let below = (first..first + SIDE).any(|x| at(x, GAP + SIDE + LETTER[1] / 2) == INK.0);
        assert!(below, "the answer");
    }

    #[test]
    fn sheets_of_any_number_and_shape_are_drawn() {
        let shapes = [(32, 32), (32, 500), (3000, 100), (40, 960), (201, 199)];
        for count in [0, 1, 8, 9, 40] {
            let entries: Vec<Entry> = shapes.iter().cycle().take(count).map(|&(w, h)| entry(w, h, None)).collect();
            let rows = count.div_ceil(ROW).max(1) as u32;
            assert_eq!(sheet(&entries).height(), GAP + rows * (SIDE + LINES * LETTER[1] + GAP), "{count}");
        }
        let unreadable = Entry { film: None, words: "word ".repeat(1000) };
        assert!(sheet(&[unreadable]).width() < 2 * SIDE);
    }
}
