//! `pumua augment`: draws a contact sheet of what augmentation makes of a radiograph.

use std::{
    io::{self, Cursor, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use base::{
    Shown,
    files::{OutputFile, ReadError, read_radiograph, write_atomically},
};
use data::{
    augment::{Augmentation, Transform},
    lettering,
    synthetic::{self, Drawing},
};
use image::{GrayImage, ImageFormat, Luma, imageops};
use learn::study::{Plan, PlanError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use shared::{
    contract::InputContract,
    limits::MODEL_SIDE,
    preprocess::{Channels, Picture, Samples},
};

use crate::exit::{Exit, Failure, WithExit};

/// Draws of each augmentation.
const DRAWS: u64 = 8;

/// Rows of draws of the augmentation that the options ask for.
const ROWS: u64 = 4;

/// Images are shown at the largest whole multiple of their side up to this many pixels, or pixel by pixel.
const SHOWN: u32 = 128;

/// Pixels between images.
const GAP: u32 = 4;

/// Height of a line of text.
const LINE: u32 = 22;

/// Options of `pumua augment`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// PNG file to write: the radiograph, followed by what comes out of it, eight times in a row
    #[arg(long, value_name = "FILE")]
    preview: OutputFile,
    /// Radiograph (DICOM, JPEG, PNG, TIFF, BMP or WebP) to show it on [default: a synthetic one]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Side of the model's input in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(i64::from(*MODEL_SIDE.start())..=i64::from(*MODEL_SIDE.end())))]
    side: u16,
    /// Seed of the random draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    settings: Settings,
}

/// The augmentation to show; without any, those of the study one by one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Augmentation; without any, those that the study tried, one by one")]
struct Settings {
    /// Exchange left and right in half of the images
    #[arg(long)]
    horizontal_flip: bool,
    /// Range of the factor of all grey values
    #[arg(long, value_name = "LOW,HIGH", value_parser = factors)]
    brightness: Option<[f64; 2]>,
    /// Range of the factor of all distances from the mean grey value
    #[arg(long, value_name = "LOW,HIGH", value_parser = factors)]
    contrast: Option<[f64; 2]>,
    /// Range of the exponent of all grey values
    #[arg(long, value_name = "LOW,HIGH", value_parser = factors)]
    gamma: Option<[f64; 2]>,
    /// Range of the gains of five frequency bands, in seven of ten images
    #[arg(long, value_name = "LOW,HIGH", value_parser = factors)]
    bands: Option<[f64; 2]>,
    /// Largest standard deviation of the bell that blurs half of the images, as a fraction of the side
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    blur: f64,
    /// Largest standard deviation of the noise that half of the images get, as a fraction of 255
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    noise: f64,
    /// Share of the images of which a rectangle is painted over
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    erase: f64,
    /// Largest shift to the left or right, as a fraction of the width
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    width_shift: f64,
    /// Largest shift up or down, as a fraction of the height
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    height_shift: f64,
    /// Largest rotation in either sense
    #[arg(long, value_name = "DEGREES", default_value_t = 0.0)]
    rotation: f64,
    /// Largest difference of the zoom factors from 1; width and height have factors of their own
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0)]
    zoom: f64,
    /// Largest shear in either sense
    #[arg(long, value_name = "DEGREES", default_value_t = 0.0)]
    shear: f64,
}

impl From<Settings> for Augmentation {
    fn from(settings: Settings) -> Self {
        let Settings { horizontal_flip, brightness, contrast, gamma, bands, blur, noise, erase, .. } = settings;
        let Settings { width_shift, height_shift, rotation, zoom, shear, .. } = settings;
        Self {
            horizontal_flip,
            brightness,
            contrast,
            gamma,
            bands,
            blur,
            noise,
            erase,
            width_shift,
            height_shift,
            rotation,
            zoom,
            shear,
        }
    }
}

fn factors(text: &str) -> Result<[f64; 2], String> {
    let numbers = text.split_once(',').map(|(low, high)| (low.trim().parse(), high.trim().parse()));
    match numbers {
        Some((Ok(low), Ok(high))) => Ok([low, high]),
        _ => Err("it must be two factors, such as 0.5,2".to_owned()),
    }
}

/// Writes the contact sheet.
pub fn run(options: Options) -> Result<Exit, Failure> {
    let Options { preview, image, side, seed, settings } = options;
    let asked = Augmentation::from(settings);
    asked.check().exit(Exit::Usage)?;
    super::check_outputs(&Vec::from_iter(image.as_deref()), &[&preview], &[])?;
    let rows: Vec<(Augmentation, u64)> = if asked.is_identity() {
        sweep()?.into_iter().map(|augmentation| (augmentation, 0)).collect()
    } else {
        (0..ROWS).map(|row| (asked.clone(), row)).collect()
    };
    let contract = InputContract::stretched(side);
    let (name, pixels) = match &image {
        Some(path) => (path.file_name().unwrap_or_default().display().to_string(), read(path, &contract)?),
        None => ("SYNTHETIC radiograph".to_owned(), drawn(seed, &contract)?),
    };
    let title = format!("{name} at {side}x{side} pixels. Each row: as it is, then {DRAWS} draws");
    let png = Sheet::draw(&title, &pixels, usize::from(side), &rows, seed).png()?;
    write_atomically(&preview, &png).with_context(|| {
        format!("cannot write {}: name a file in a folder that can be written", Shown(preview.display()))
    })?;
    writeln!(
        io::stdout(),
        "{} augmentations of one radiograph in {}",
        rows.len() as u64 * DRAWS,
        Shown(preview.display())
    )?;
    Ok(Exit::Done)
}

/// What the study tried, one at a time.
fn sweep() -> Result<Vec<Augmentation>, PlanError> {
    let tried = Plan::builtin()?.experiments.into_iter().filter(|experiment| experiment.group == "sweep");
    Ok(tried.map(|experiment| experiment.recipe.augmentation).filter(|a| !a.is_identity()).collect())
}

fn read(path: &Path, contract: &InputContract) -> Result<Vec<u8>, Failure> {
    let bytes = match read_radiograph(path) {
        Ok(bytes) => bytes,
        Err(ReadError::Refused(refusal)) => {
            return Err(refusal).context(Shown(path.display()).to_string()).exit(Exit::Refused);
        }
        Err(ReadError::Io(error)) => {
            let hint = format!("cannot read {}: name a radiograph file that you may read", Shown(path.display()));
            return Err(error).context(hint).exit(Exit::Failed);
        }
    };
    let radiograph = decode::decode(&bytes).with_context(|| Shown(path.display()).to_string()).exit(Exit::Refused)?;
    Ok(radiograph.picture().prepare(contract))
}

fn drawn(seed: u64, contract: &InputContract) -> anyhow::Result<Vec<u8>> {
    let Drawing { width, height, pixels, .. } = synthetic::draw(seed, 0);
    let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, width, height, width as usize)?;
    Ok(picture.prepare(contract))
}

/// The sheet: a title; below it for each row of images its augmentation in words.
struct Sheet(GrayImage);

impl Sheet {
    /// Draws all images. Those below each other come from equal random numbers, so that they can be compared.
    fn draw(title: &str, pixels: &[u8], side: usize, rows: &[(Augmentation, u64)], seed: u64) -> Self {
        let scale = (SHOWN / side as u32).max(1);
        let (column, row) = (side as u32 * scale + GAP, side as u32 * scale + GAP + LINE);
        let (width, height) = (column * (DRAWS as u32 + 1) + GAP, LINE + row * rows.len() as u32);
        let mut sheet = Self(GrayImage::new(width, height));
        sheet.text(title, 0);
        let mut out = vec![0.0; pixels.len()];
        for (index, (augmentation, series)) in rows.iter().enumerate() {
            let top = LINE + row * index as u32;
            sheet.text(&augmentation.to_string(), top);
            Transform::IDENTITY.apply(pixels, side, &mut out);
            sheet.image(&out, side, scale, [GAP, top + LINE]);
            for draw in 0..DRAWS {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(series * DRAWS + draw);
                augmentation.draw(&mut rng).apply(pixels, side, &mut out);
                sheet.image(&out, side, scale, [GAP + column * (draw as u32 + 1), top + LINE]);
            }
        }
        sheet
    }

    fn text(&mut self, text: &str, top: u32) {
        lettering::write(&mut self.0, text, [GAP as i32, top as i32 + 5], Luma([255]));
    }

    fn image(&mut self, values: &[f32], side: usize, scale: u32, [left, top]: [u32; 2]) {
        let shown = side as u32 * scale;
        let image = GrayImage::from_fn(shown, shown, |x, y| {
            Luma([values[(y / scale) as usize * side + (x / scale) as usize].round() as u8])
        });
        imageops::replace(&mut self.0, &image, i64::from(left), i64::from(top));
    }

    fn png(&self) -> anyhow::Result<Vec<u8>> {
        let mut png = Cursor::new(Vec::new());
        self.0.write_to(&mut png, ImageFormat::Png).context("the sheet cannot be made a PNG file")?;
        Ok(png.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_with_the_radiograph_and_are_drawn_alike() {
        let side = 64;
        let pixels: Vec<u8> = (0..side * side).map(|i| (i % 251) as u8).collect();
        let rotation = Augmentation { rotation: 40.0, ..Augmentation::default() };
        let rows = [(rotation.clone(), 0), (rotation, 0), (Augmentation::default(), 0)];
        let Sheet(sheet) = Sheet::draw("title", &pixels, side, &rows, 1);
        let image = |column: u32, row: u32| {
            let (left, top) = (GAP + column * (SHOWN + GAP), LINE + row * (LINE + SHOWN + GAP) + LINE);
            imageops::crop_imm(&sheet, left, top, SHOWN, SHOWN).to_image()
        };
        let original = GrayImage::from_fn(SHOWN, SHOWN, |x, y| Luma([pixels[(y / 2 * 64 + x / 2) as usize]]));
        for column in 0..=DRAWS as u32 {
            assert_eq!(image(column, 2), original);
            assert_eq!(image(column, 0), image(column, 1));
            assert_eq!(image(column, 0) == original, column == 0);
        }
    }

    #[test]
    fn the_study_tried_fourteen() {
        assert_eq!(sweep().unwrap().len(), 14);
    }

    #[test]
    fn factors_are_two_numbers() {
        assert_eq!(factors("0.5, 2"), Ok([0.5, 2.0]));
        for text in ["", "1", "1,x", "1,2,3"] {
            assert!(factors(text).is_err(), "{text}");
        }
    }
}
