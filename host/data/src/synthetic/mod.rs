//! Synthetic chest radiographs: something to learn from, and to try the box with, without anybody's data.
//!
//! They are drawings, deterministic by seed: a figure measured on them says whether the program works and nothing about
//! medicine. Every file name, report and model made from them says `synthetic`.

mod anatomy;
mod noise;

use std::{
    fs,
    io::{self, Cursor},
    path::Path,
};

use base::{files::write_new_unsynced, progress};
use image::{ColorType, ImageFormat};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use shared::{
    contract::InputContract,
    preprocess::{Channels, Picture, PictureError, Samples},
    verdict::Digest,
};

use self::anatomy::Chest;
use crate::{Catalogue, Inputs, Label, Sample, metadata};

/// A drawn radiograph: 8-bit grey, `width * height` bytes in rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawing {
    /// What is drawn.
    pub label: Label,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Grey values.
    pub pixels: Vec<u8>,
}

/// Draws radiograph number `number` of the series `seed`. Even numbers are normal, odd ones show pneumonia.
pub fn draw(seed: u64, number: u64) -> Drawing {
    let label = Label::ALL[(number % 2) as usize];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    let width = rng.random_range(208..=304);
    let height = rng.random_range(192..=256);
    let pixels = Chest::random(label, &mut rng).render(width, height);
    Drawing { label, width, height, pixels }
}

/// The first `count` radiographs of the series `seed`, brought to the input of `contract`.
pub fn radiographs(count: u64, seed: u64, contract: &InputContract) -> Result<(Catalogue, Inputs), PictureError> {
    let bar = progress::bar(count as usize, "drawing");
    let mut drawn = (0..count)
        .into_par_iter()
        .map(|number| {
            let Drawing { label, width, height, pixels } = draw(seed, number);
            let picture = Picture::new(Samples::U8(&pixels), Channels::Grey, width, height, width as usize)?;
            let name = metadata::synthetic(number, label);
            bar.inc(1);
            let sample = Sample { digest: Digest::of(&pixels), ..Sample::new(name.clone(), label, name) };
            Ok((sample, picture.prepare(contract)))
        })
        .collect::<Result<Vec<_>, PictureError>>()?;
    bar.finish_and_clear();
    drawn.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let (samples, inputs): (_, Vec<_>) = drawn.into_iter().unzip();
    Ok((Catalogue { samples, synthetic: true, ..Catalogue::default() }, Inputs::new(*contract, inputs)))
}

/// Writes the first `count` radiographs of the series `seed` as PNG files into `NORMAL/` and `PNEUMONIA/` below
/// `folder`.
///
/// # Errors
/// They cannot be written, or one of these two folders holds anything already ([`io::ErrorKind::AlreadyExists`]): there would be
/// more radiographs than were asked for.
pub fn write(folder: &Path, count: u64, seed: u64) -> io::Result<()> {
    for label in Label::ALL {
        let folder = folder.join(label.folder());
        fs::create_dir_all(&folder)?;
        if fs::read_dir(&folder)?.next().is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
    }
    let bar = progress::bar(count as usize, "drawing");
    (0..count).into_par_iter().try_for_each(|number| {
        let Drawing { label, width, height, pixels } = draw(seed, number);
        let path = folder.join(label.folder()).join(metadata::synthetic(number, label));
        let mut png = Cursor::new(Vec::new());
        image::write_buffer_with_format(&mut png, &pixels, width, height, ColorType::L8, ImageFormat::Png)
            .map_err(io::Error::other)?;
        bar.inc(1);
        write_new_unsynced(&path, png.get_ref())
    })?;
    bar.finish_and_clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: InputContract = InputContract::stretched(64);

    #[test]
    fn a_seed_gives_the_same_again() {
        assert_eq!(draw(1, 3), draw(1, 3));
        assert_ne!(draw(1, 3), draw(2, 3));
        assert_ne!(draw(1, 3).pixels, draw(1, 5).pixels);
    }

    #[test]
    fn brightness_alone_does_not_separate_the_labels() {
        let (catalogue, inputs) = radiographs(400, 1, &CONTRACT).unwrap();
        let mean = |i: usize| inputs.of(i).unwrap().iter().map(|&p| u64::from(p)).sum();
        let mut means: Vec<(u64, bool)> = (0..400).map(|i| (mean(i), catalogue.samples[i].label.positive())).collect();
        means.sort_unstable();
        // Right decisions with the cut below every place in turn: those above it are called pneumonia.
        let mut right = means.iter().filter(|m| m.1).count();
        let mut best = right;
        for &(_, positive) in &means {
            right = if positive { right - 1 } else { right + 1 };
            best = best.max(right);
        }
        assert!(best < 300, "a threshold on the mean is right on {best} of 400");
    }

    #[test]
    fn nothing_is_drawn_among_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 4, 9).unwrap();
        assert_eq!(write(folder.path(), 2, 9).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn written_files_are_the_same_radiographs() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 4, 9).unwrap();
        let path = folder.path().join("PNEUMONIA/synthetic-0003-pneumonia.png");
        let radiograph = decode::decode(&std::fs::read(path).unwrap()).unwrap();
        let (_, drawn) = radiographs(4, 9, &CONTRACT).unwrap();
        assert_eq!(radiograph.picture().prepare(&CONTRACT), &*drawn.of(3).unwrap());
    }
}
