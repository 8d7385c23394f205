//! What a file says of itself: true of every file that is decoded, of refused ones as far as it goes, in known words only.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod common;

use std::{fs, path::Path};

use common::{encode, pairs, tiff::Tiff};
use decode::{Kind, Shades, decode, describe};
use image::{DynamicImage, ImageFormat};
use shared::verdict::Refusal;

fn dicom_files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dicom");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "dcm"));
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

fn dicom_file(name: &str) -> Vec<u8> {
    dicom_files().into_iter().find(|(other, _)| other == name).unwrap().1
}

/// The file with other bytes in place of the only ones that are like these.
fn with(file: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = file.windows(old.len()).position(|window| window == old).unwrap();
    [&file[..at], new, &file[at + old.len()..]].concat()
}

#[test]
fn of_files_that_are_decoded_all_is_said() {
    for (name, file) in dicom_files() {
        let Ok(radiograph) = decode(&file) else { continue };
        let description = describe(&file);
        let image = radiograph.image();
        assert_eq!(description.kind, Some(Kind::Dicom), "{name}");
        assert_eq!(description.size, Some([image.width(), image.height()]), "{name}");
        let dicom = description.dicom.unwrap();
        assert!(dicom.photometric.is_some_and(|photometric| photometric != "another"), "{name}");
        assert_eq!(dicom.shown.is_some(), dicom.photometric.unwrap().starts_with("MONOCHROME"), "{name}");
        assert_eq!(dicom.age, radiograph.facts().age, "{name}");
        assert!(description.bits.is_some_and(|bits| (1..=16).contains(&bits)), "{name}");
    }
    for pair in pairs() {
        for file in &pair.files {
            let description = describe(file);
            let kind = if pair.name.starts_with("png") { Kind::Png } else { Kind::Jpeg };
            let image = image::load_from_memory(file).unwrap();
            assert_eq!(description.kind, Some(kind), "{}", pair.name);
            assert_eq!(description.size, Some([image.width(), image.height()]), "{}", pair.name);
            assert_eq!(description.bits, Some(if pair.name == "png-16-bit" { 16 } else { 8 }), "{}", pair.name);
            assert!(description.dicom.is_none());
        }
    }
}

#[test]
fn tiff_and_bmp_are_described() {
    let of = |file: &[u8]| {
        let description = describe(file);
        (description.kind, description.size, description.bits)
    };
    for (bits, count) in [(8, 1), (16, 1), (16, 3)] {
        let samples = vec![7; 40 * 50 * count];
        let photometric = if count == 3 { 2 } else { 1 };
        let file = Tiff { count, photometric, ..Tiff::grey([40, 50], bits, samples) }.write();
        assert_eq!(of(&file), (Some(Kind::Tiff), Some([40, 50]), Some(bits as u32)));
    }
    let image = DynamicImage::new_rgb8(40, 50);
    let bmp = encode(&image, ImageFormat::Bmp);
    assert_eq!(of(&bmp), (Some(Kind::Bmp), Some([40, 50]), Some(24)));
    // From the top down.
    let turned = with(&bmp, &50_i32.to_le_bytes(), &(-50_i32).to_le_bytes());
    assert_eq!(of(&turned), of(&bmp));
    // An older header has numbers of two bytes.
    let older = with(&bmp, &40_u32.to_le_bytes(), &12_u32.to_le_bytes());
    assert_eq!(of(&older), (Some(Kind::Bmp), None, None));
}

#[test]
fn what_is_behind_the_pixels_says_nothing() {
    let mut file = dicom_file("monochrome1");
    let before = describe(&file);
    file.extend(b"\x08\0\x60\0CS\x02\0CT\x10\0\x10\x10AS\x04\x00001M");
    assert_eq!(describe(&file), before);
    assert_eq!(decode(&file).map(|radiograph| radiograph.facts().age), Ok(before.dicom.unwrap().age));
}

#[test]
fn what_shows_the_pixels_is_told() {
    let of = |name: &str| describe(&dicom_file(name)).dicom.unwrap().shown.unwrap();
    assert!(matches!(of("rescale-window~"), Shades::Window { width, .. } if width > 1.0));
    assert!(matches!(of("range-12-bits"), Shades::Range { least, most } if least < most));
    assert_eq!(of("rle-8-bits"), Shades::AsStored);
    assert_eq!(describe(&dicom_file("rle-8-bits")).dicom.unwrap().transfer_syntax, Some("run lengths"));
    assert_eq!(describe(&dicom_file("jpeg2000-12-bits")).bits, Some(12));
}

#[test]
fn refused_files_are_described_in_known_words() {
    let file = dicom_file("monochrome1");
    for (modality, said) in [(b"CT", "CT"), (b"ZQ", "another")] {
        let other = with(&file, b"\x08\0\x60\0CS\x02\0DX", &[b"\x08\0\x60\0CS\x02\0", &modality[..]].concat());
        assert_eq!(decode(&other).map(|_| ()), Err(Refusal::OtherModality));
        let dicom = describe(&other).dicom.unwrap();
        assert_eq!((dicom.modality, dicom.photometric, dicom.shown), (Some(said), Some("MONOCHROME1"), None));
    }
}

#[test]
fn damaged_files_are_described_as_far_as_they_go() {
    let jpeg_and_png = pairs().into_iter().map(|pair| pair.files[0].clone());
    let tiff_and_bmp =
        [Tiff::grey([40, 50], 8, vec![7; 2000]).write(), encode(&DynamicImage::new_rgb8(40, 50), ImageFormat::Bmp)];
    let dicom = ["monochrome1", "rle-8-bits"].map(dicom_file);
    for file in jpeg_and_png.chain(tiff_and_bmp).chain(dicom) {
        let whole = describe(&file);
        for length in (0..file.len().min(3000)).step_by(7).chain([file.len() - 1]) {
            let cut = describe(&file[..length]);
            assert!(cut.size.is_none() || cut.size == whole.size, "{length}");
        }
    }
    assert_eq!(describe(b"").kind, None);
    let gif = describe(b"GIF89a");
    assert_eq!((gif.kind, gif.size, gif.bits, gif.dicom), (Some(Kind::Gif), None, None, None));
}
