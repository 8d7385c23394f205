//! DICOM files: what their pixels are shown as, what is missing in them, and what they may ask for.
//!
//! The files of `tests/dicom` and the pictures beside them are by `tests/dicom/golden.py` of the repository, which computes
//! these with pydicom. `tests/dicom/run.sh` compares more of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod common;

use std::{fs, io::Write, path::Path};

use common::Random;
use decode::{Identity, TRANSFER_SYNTAXES, decode, identity};
use flate2::{Compression, write::DeflateEncoder};
use image::DynamicImage;
use shared::{
    limits::{MAX_DECODED_BYTES, MAX_DECODER_BYTES},
    verdict::Refusal,
};

/// Name and bytes of the files.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dicom");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dcm"))
        .map(|path| (path.with_extension("").to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() > 60);
    files
}

fn file(name: &str) -> Vec<u8> {
    files().into_iter().find(|(path, _)| path.ends_with(&format!("/{name}"))).unwrap().1
}

fn refusal(bytes: &[u8]) -> Refusal {
    decode(bytes).map(|_| ()).unwrap_err()
}

/// What comes of a file, which must not hold more memory than any may.
fn limited(bytes: &[u8]) -> Result<(u32, u32), Refusal> {
    let mut outcome = None;
    let used = allocation_counter::measure(|| outcome = Some(decode(bytes)));
    assert!(used.bytes_max <= MAX_DECODED_BYTES + MAX_DECODER_BYTES, "{} MiB", used.bytes_max >> 20);
    outcome.unwrap().map(|radiograph| (radiograph.image().width(), radiograph.image().height()))
}

fn samples(image: &DynamicImage) -> Vec<u16> {
    match image {
        DynamicImage::ImageLuma16(image) => image.to_vec(),
        DynamicImage::ImageRgb16(image) => image.to_vec(),
        image => image.as_bytes().iter().map(|&sample| sample.into()).collect(),
    }
}

/// An element of explicit representation in little endian.
fn element(tag: u32, vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let head = [&((tag >> 16) as u16).to_le_bytes()[..], &(tag as u16).to_le_bytes(), vr].concat();
    let length = match vr {
        b"OB" | b"OW" | b"SQ" | b"UN" => [&[0, 0][..], &(value.len() as u32).to_le_bytes()].concat(),
        _ => (value.len() as u16).to_le_bytes().to_vec(),
    };
    [&head, &length, value].concat()
}

/// A file of a transfer syntax with these elements.
fn enclosed(syntax: &str, data_set: &[u8]) -> Vec<u8> {
    let mut uid = syntax.as_bytes().to_vec();
    uid.resize(uid.len().next_multiple_of(2), 0);
    [&[0; 128][..], b"DICM", &element(0x0002_0010, b"UI", &uid), data_set].concat()
}

/// Elements of a grey picture of 16 bits, but for its pixels.
fn picture(width: u16, height: u16) -> Vec<u8> {
    let number = |tag, value: u16| element(tag, b"US", &value.to_le_bytes());
    [
        element(0x0008_0060, b"CS", b"DX"),
        number(0x0028_0002, 1),
        element(0x0028_0004, b"CS", b"MONOCHROME2 "),
        number(0x0028_0010, height),
        number(0x0028_0011, width),
        number(0x0028_0100, 16),
        number(0x0028_0101, 12),
        number(0x0028_0102, 11),
        number(0x0028_0103, 0),
    ]
    .concat()
}

const EXPLICIT: &str = "1.2.840.10008.1.2.1";

#[test]
fn pictures_are_those_of_pydicom() {
    for (name, bytes) in files() {
        let radiograph = decode(&bytes).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let expected = decode(&fs::read(format!("{name}.png")).unwrap()).unwrap();
        assert_eq!(radiograph.image().color(), expected.image().color(), "{name}");
        assert_eq!(radiograph.image().width(), expected.image().width(), "{name}");
        let tolerance = u16::from(name.ends_with('~'));
        let pairs = samples(radiograph.image()).into_iter().zip(samples(expected.image()));
        let farthest = pairs.map(|(one, other)| one.abs_diff(other)).max().unwrap();
        assert!(farthest <= tolerance, "{name}: differs by {farthest}");
    }
}

#[test]
fn a_file_that_breaks_off_anywhere_is_refused() {
    for (name, bytes) in files() {
        // The last byte may be one that fills up a length.
        let whole = decode(&bytes).unwrap();
        for length in 0..bytes.len() {
            if let Ok(cut) = decode(&bytes[..length]) {
                panic!("{name} cut at {length} of {}: {}", bytes.len(), cut.image() == whole.image());
            }
        }
        let more = [&bytes[..], &[0; 512]].concat();
        assert_eq!(decode(&more).unwrap().image(), whole.image(), "{name}: zeros may follow");
    }
}

#[test]
fn pixels_that_are_too_few_or_too_many_are_refused() {
    let of =
        |bytes: usize| enclosed(EXPLICIT, &[picture(40, 40), element(0x7fe0_0010, b"OW", &vec![7; bytes])].concat());
    assert!(decode(&of(3200)).is_ok());
    for bytes in [0, 2, 3198, 3202, 6400] {
        assert_eq!(refusal(&of(bytes)), Refusal::Corrupt, "{bytes}");
    }
    assert_eq!(refusal(&enclosed(EXPLICIT, &picture(40, 40))), Refusal::Corrupt, "none at all");
}

#[test]
fn compressed_pixels_that_lost_a_part_are_refused() {
    for name in ["rle-8-bits", "rle-12-bits", "rle-16-bits-signed", "rle-rgb", "jpeg2000-8-bits", "jpeg2000-12-bits"] {
        let bytes = file(name);
        // The item that holds the frame, of which the last bytes are taken away with all lengths set right.
        let mark = [0xfe, 0xff, 0x00, 0xe0];
        let start = bytes.windows(4).rposition(|window| window == mark).unwrap();
        let length = u32::from_le_bytes(bytes[start + 4..start + 8].try_into().unwrap()) as usize;
        let frame = &bytes[start + 8..start + 8 + length];
        let end = &bytes[start + 8 + length..];
        for cut in (0..length.saturating_sub(8)).step_by(7) {
            let eoc: &[u8] = if name.starts_with("jpeg") { &[0xff, 0xd9] } else { &[] };
            let frame = [&frame[..cut], eoc].concat();
            let length = (frame.len() as u32).to_le_bytes();
            let file = [&bytes[..start + 4], &length, &frame, end].concat();
            assert!(decode(&file).is_err(), "{name} cut at {cut} of {length:?}");
        }
    }
}

#[test]
fn other_compressions_are_not_called_damaged() {
    let frame = |data: &[u8]| [picture(40, 40), encapsulated(data)].concat();
    let jpeg = |marker: u8, precision: u8| {
        let size = [0, 40, 0, 40, 1, 1, 0x11, 0];
        [&[0xff, 0xd8, 0xff, marker, 0, 11, precision][..], &size, &[0xff, 0xda]].concat()
    };
    for (syntax, data) in [
        ("1.2.840.10008.1.2.4.51", jpeg(0xc1, 12)),
        ("1.2.840.10008.1.2.4.80", jpeg(0xf7, 12)),
        ("1.2.840.10008.1.2.4.201", vec![0xff, 0x4f, 0xff, 0x51, 0, 41, 0x40, 0, 0, 0, 0, 40]),
        ("1.2.840.10008.1.2.4.100", vec![0, 0, 1, 0xb3]),
        ("1.2.840.113619.5.2", vec![0; 3200]),
    ] {
        let refusal = refusal(&enclosed(syntax, &frame(&data)));
        let expected = if syntax.ends_with("201") { Refusal::Corrupt } else { Refusal::UnsupportedCompression };
        assert_eq!(refusal, expected, "{syntax}");
    }
}

#[test]
fn several_frames_and_other_colours_are_refused() {
    let with =
        |more: Vec<u8>| enclosed(EXPLICIT, &[picture(40, 40), more, element(0x7fe0_0010, b"OW", &[7; 3200])].concat());
    assert_eq!(refusal(&with(element(0x0028_0008, b"IS", b"2 "))), Refusal::Animated);
    for one in ["1 ", "", "  ", "01", "0 "] {
        assert!(decode(&with(element(0x0028_0008, b"IS", one.as_bytes()))).is_ok(), "{one:?}");
    }
    for unreadable in ["two ", "1A", "-1", "0x02", "\u{fffd} ", "nan ", "1e999 "] {
        assert_eq!(
            refusal(&with(element(0x0028_0008, b"IS", unreadable.as_bytes()))),
            Refusal::Corrupt,
            "{unreadable}"
        );
    }
    assert_eq!(refusal(&with(element(0x0028_0008, b"IS", &[0xff, 0xfe]))), Refusal::Corrupt);
    assert_eq!(refusal(&with(element(0x0028_0004, b"CS", b"CMYK"))), Refusal::UnsupportedColour);
    assert_eq!(refusal(&with(element(0x0028_0100, b"US", &[32, 0]))), Refusal::UnsupportedCompression);
}

#[test]
fn a_small_file_cannot_ask_for_much() {
    let pixels = element(0x7fe0_0010, b"OW", &[7; 3200]);
    let with = |more: &[u8]| enclosed(EXPLICIT, &[&picture(40, 40), more, &pixels].concat());
    let largest = [picture(8192, 8192), pixels.clone()].concat();
    assert_eq!(refusal(&enclosed(EXPLICIT, &largest)), Refusal::Corrupt);
    assert_eq!(refusal(&enclosed(EXPLICIT, &picture(40, 20))), Refusal::Corrupt);
    let huge = [picture(40_000, 40_000), pixels.clone()].concat();
    assert_eq!(refusal(&enclosed(EXPLICIT, &huge)), Refusal::TooManyPixels);
    // Sequences within sequences.
    let mut nested = Vec::new();
    for _ in 0..100_000 {
        nested.extend([8, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff]);
        nested.extend([0xfe, 0xff, 0x00, 0xe0, 0xff, 0xff, 0xff, 0xff]);
    }
    assert_eq!(refusal(&with(&nested)), Refusal::TooMuchWork);
    // Elements without end, in the data set and in an item.
    let many = element(0x0009_0010, b"LO", b"").repeat(100_000);
    assert_eq!(refusal(&with(&many)), Refusal::TooMuchWork);
    // Lengths that lead out of the file.
    for vr in [b"OB", b"SQ", b"UN", b"LO"] {
        let mut element = element(0x0009_0010, vr, &[1; 8]);
        element[6..8].fill(0xee);
        if vr != b"LO" {
            element[8..12].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
        }
        assert_eq!(refusal(&with(&element)), Refusal::Corrupt);
    }
    // Zeros before what is none: they are looked at once, not for each element that they are taken for.
    let mut zeros = [&[8, 0, 0x60, 0, 2, 0, 0, 0][..], b"DX", &vec![0; 31 << 20]].concat();
    zeros.push(1);
    assert_eq!(refusal(&enclosed("1.2.840.10008.1.2", &zeros)), Refusal::TooMuchWork);
    // Much that is deflated into little.
    let deflated = |bytes: &[u8], times: usize| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        (0..times).for_each(|_| encoder.write_all(bytes).unwrap());
        encoder.finish().unwrap()
    };
    let bomb = enclosed("1.2.840.10008.1.2.1.99", &deflated(&[0; 1 << 20], 200));
    assert_eq!(refusal(&bomb), Refusal::TooManyPixels);
    let sound = enclosed("1.2.840.10008.1.2.1.99", &deflated(&[picture(40, 40), pixels].concat(), 1));
    assert!(decode(&sound).is_ok());
    for length in 0..sound.len() {
        assert!(decode(&sound[..length]).is_err(), "deflated, cut at {length}");
    }
}

/// The picture in a fragment, after one that says nothing.
fn encapsulated(data: &[u8]) -> Vec<u8> {
    encapsulated_in(&[data])
}

fn encapsulated_in(fragments: &[&[u8]]) -> Vec<u8> {
    let item = |data: &[u8]| [&[0xfe, 0xff, 0x00, 0xe0][..], &(data.len() as u32).to_le_bytes(), data].concat();
    let head = [&[0xe0, 0x7f, 0x10, 0x00][..], b"OB\0\0\xff\xff\xff\xff"].concat();
    let fragments = fragments.iter().flat_map(|fragment| item(fragment)).collect();
    [head, item(&[]), fragments, vec![0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]].concat()
}

/// A lossless JPEG of one row of samples after the other, each told by its difference from the one before it.
fn lossless(samples: &[u16], width: u16, precision: u8) -> Vec<u8> {
    let height = (samples.len() / usize::from(width)) as u16;
    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
    // A code of five bits for each size of a difference.
    let table = [&[0xff, 0xc4, 0, 36, 0, 0, 0, 0, 0, 17][..], &[0; 11], &(0..17).collect::<Vec<u8>>()].concat();
    let frame = [&[0xff, 0xc3, 0, 11, precision][..], &size, &[1, 1, 0x11, 0]].concat();
    let mut bits = Vec::new();
    for (at, &sample) in samples.iter().enumerate() {
        let expected = match at.checked_sub(1) {
            None => 1 << (precision - 1),
            Some(left) if at % usize::from(width) > 0 => samples[left],
            Some(_) => samples[at - usize::from(width)],
        };
        let difference = i32::from(sample.wrapping_sub(expected) as i16);
        let length = 32 - difference.unsigned_abs().leading_zeros();
        bits.extend((0..5).rev().map(|bit| length >> bit & 1));
        let value = if difference < 0 { difference - 1 } else { difference } as u32;
        bits.extend((0..if length == 16 { 0 } else { length }).rev().map(|bit| value >> bit & 1));
    }
    bits.resize(bits.len().next_multiple_of(8), 1);
    let data = bits.chunks(8).flat_map(|bits| {
        let byte = bits.iter().fold(0_u8, |byte, &bit| byte << 1 | bit as u8);
        if byte == 0xff { vec![byte, 0] } else { vec![byte] }
    });
    let data: Vec<u8> = data.collect();
    [&[0xff, 0xd8][..], &table, &frame, &[0xff, 0xda, 0, 8, 1, 1, 0, 1, 0, 0], &data, &[0xff, 0xd9]].concat()
}

/// The bits of a sample, as the elements say.
#[derive(Clone, Copy)]
struct Bits {
    allocated: u16,
    stored: u16,
    high: u16,
    signed: u16,
}

impl Bits {
    const fn of(allocated: u16, stored: u16, signed: bool) -> Self {
        Self { allocated, stored, high: stored - 1, signed: signed as u16 }
    }

    /// A file with these in place of what it says.
    fn set(self, file: &[u8]) -> Vec<u8> {
        let mut file = file.to_vec();
        let Self { allocated, stored, high, signed } = self;
        for (number, value) in [(0x00, allocated), (0x01, stored), (0x02, high), (0x03, signed)] {
            let head = [0x28, 0, number, 1, b'U', b'S', 2, 0];
            let at = file.windows(8).position(|window| window == head).unwrap() + 8;
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        file
    }
}

#[test]
fn texts_have_a_length() {
    let pixels = element(0x7fe0_0010, b"OW", &[7; 3200]);
    for tag in [0x0008_0060, 0x0008_103e, 0x0010_1010, 0x0018_0015, 0x0018_5100, 0x0018_5101] {
        let long = element(tag, b"UN", &b"A ".repeat(15 << 20));
        let file = enclosed(EXPLICIT, &[picture(40, 40), long, pixels.clone()].concat());
        assert_eq!(limited(&file), Err(Refusal::Corrupt), "{tag:x}");
    }
    // Of those that nobody asks for, nothing is said.
    let long = element(0x0010_4000, b"UN", &b"A ".repeat(15 << 20));
    assert!(limited(&enclosed(EXPLICIT, &[picture(40, 40), long, pixels].concat())).is_ok());
}

#[test]
fn colours_of_jpeg_2000_come_in_no_other_picture() {
    let file = file("rgb");
    let at = file.windows(12).position(|window| window == b"(\0\x04\0CS\x04\0RGB ").unwrap();
    for photometric in ["YBR_RCT ", "YBR_ICT "] {
        let said = element(0x0028_0004, b"CS", photometric.as_bytes());
        let changed = [&file[..at], &said, &file[at + 12..]].concat();
        assert_eq!(refusal(&changed), Refusal::UnsupportedColour, "{photometric}");
    }
}

#[test]
fn a_code_says_which_view_it_is() {
    let item =
        |elements: &[u8]| [&[0xfe, 0xff, 0x00, 0xe0][..], &(elements.len() as u32).to_le_bytes(), elements].concat();
    let code =
        |meaning: &[u8]| [element(0x0008_0100, b"SH", b"R-10236 "), element(0x0008_0104, b"LO", meaning)].concat();
    let outcome = |view: Vec<u8>| {
        let file = [picture(40, 40), view, element(0x7fe0_0010, b"OW", &[7; 3200])].concat();
        decode(&enclosed(EXPLICIT, &file)).map(|_| ())
    };
    let of = |code: &[u8]| outcome(element(0x0054_0220, b"SQ", &item(code)));
    assert_eq!(of(&code(b"postero-anterior")), Ok(()));
    assert_eq!(of(&code(b"left lateral")), Err(Refusal::SideView));
    // That the view was changed a little says another sequence within.
    let modifier = element(0x0054_0222, b"SQ", &item(&code(b"lateral ")));
    assert_eq!(of(&[code(b"postero-anterior"), modifier].concat()), Ok(()));
    let other = element(0x0008_2218, b"SQ", &item(&code(b"lateral ")));
    assert_eq!(outcome(other), Ok(()), "a code of something else");
}

const LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
/// Samples of 40 × 40 pixels, up to 3,900.
fn steps() -> Vec<u16> {
    (0..1600).map(|place| place % 40 * 100).collect()
}

#[test]
fn a_compressed_picture_has_no_more_bits_than_its_samples() {
    let lossless = enclosed(LOSSLESS, &[picture(40, 40), encapsulated(&lossless(&steps(), 40, 12))].concat());
    for file in [lossless, file("jpeg2000-12-bits")] {
        let shown = |bits: Bits| decode(&bits.set(&file)).map(|radiograph| radiograph.image().clone());
        let right = shown(Bits::of(16, 12, false));
        assert!(right.is_ok());
        assert!(shown(Bits::of(16, 16, false)) == right);
        assert!(shown(Bits { high: 15, ..Bits::of(16, 12, false) }) == right, "no place for other bits");
        for bits in [(8, 8), (16, 8), (16, 10), (16, 11)] {
            assert!(shown(Bits::of(bits.0, bits.1, false)) == Err(Refusal::Corrupt), "{bits:?}");
        }
    }
}

#[test]
fn bits_that_no_sample_needs_are_no_contradiction() {
    let whole = |samples: &[u16], precision| {
        enclosed(LOSSLESS, &[picture(40, 40), encapsulated(&self::lossless(samples, 40, precision))].concat())
    };
    let shown = |bits: Bits, file: &[u8]| decode(&bits.set(file)).map(|radiograph| radiograph.image().clone());
    let unsigned = Bits::of(16, 12, false);
    let right = shown(unsigned, &whole(&steps(), 12));
    assert!(shown(unsigned, &whole(&steps(), 16)) == right);
    let mut one_more = steps();
    one_more[7] = 4096;
    assert!(shown(unsigned, &whole(&one_more, 16)) == Err(Refusal::Corrupt));
    // Numbers with a sign fill all their bits with it.
    let signed = Bits::of(16, 12, true);
    let negative: Vec<u16> = steps().into_iter().map(|sample| sample.wrapping_sub(2048)).collect();
    assert!(shown(signed, &whole(&negative, 16)) == right);
    let without: Vec<u16> = negative.iter().map(|sample| sample & 0xfff).collect();
    assert!(shown(signed, &whole(&without, 12)) == right);
    assert!(shown(signed, &whole(&without, 16)) == Err(Refusal::Corrupt), "2,048, or -2,048");
    assert!(shown(Bits::of(16, 16, true), &whole(&without, 12)) == Err(Refusal::Corrupt), "2,048, or -2,048");
}

#[test]
fn a_jpeg_2000_picture_has_the_sign_of_its_samples() {
    let of = |name: &str, bits: Bits| decode(&bits.set(&file(name))).map(|_| ());
    assert_eq!(of("jpeg2000-12-bits", Bits::of(16, 12, false)), Ok(()));
    assert_eq!(of("jpeg2000-12-bits", Bits::of(16, 12, true)), Err(Refusal::Corrupt));
    assert_eq!(of("jpeg2000-16-bits-signed", Bits::of(16, 16, true)), Ok(()));
    assert_eq!(of("jpeg2000-16-bits-signed", Bits::of(16, 16, false)), Err(Refusal::Corrupt));
}

#[test]
fn behind_a_jpeg_only_zeros_follow() {
    let baseline = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drawn/baseline-grey-1.jpg")).unwrap();
    let progressive =
        fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drawn/progressive-grey-1.jpg")).unwrap();
    let [width, height] = {
        let image = decode(&baseline).unwrap();
        [image.image().width() as u16, image.image().height() as u16]
    };
    for (frame, size) in
        [(baseline, [width, height]), (progressive, [width, height]), (lossless(&steps(), 40, 12), [40, 40])]
    {
        let shown = |fragments: &[&[u8]]| {
            let file = enclosed(LOSSLESS, &[picture(size[0], size[1]), encapsulated_in(fragments)].concat());
            decode(&file).map(|_| ())
        };
        assert_eq!(shown(&[&frame]), Ok(()));
        assert_eq!(shown(&[&frame[..40], &frame[40..]]), Ok(()), "one frame in two fragments");
        assert_eq!(shown(&[&frame, &[0, 0]]), Ok(()));
        assert_eq!(shown(&[&frame, &frame]), Err(Refusal::Corrupt), "two frames");
        assert_eq!(shown(&[&frame, &[0, 1]]), Err(Refusal::Corrupt));
    }
}

#[test]
fn the_largest_pictures_fit() {
    // Run lengths of zeros, for the upper and the lower bytes.
    let plane = [129, 0].repeat(8192 * 8192 / 128);
    let mut head = [2, 64, 64 + plane.len() as u32].map(u32::to_le_bytes).concat();
    head.resize(64, 0);
    let frame = [&head[..], &plane, &plane].concat();
    let file = enclosed("1.2.840.10008.1.2.5", &[picture(8192, 8192), encapsulated(&frame)].concat());
    assert_eq!(limited(&file), Ok((8192, 8192)));
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    let (width, height) = (7000, 6800);
    let length = (2 * u32::from(width) * u32::from(height)).to_le_bytes();
    encoder.write_all(&picture(width, height)).unwrap();
    encoder.write_all(&[&[0xe0, 0x7f, 0x10, 0x00][..], b"OW\0\0", &length].concat()).unwrap();
    (0..height).for_each(|_| encoder.write_all(&vec![0; 2 * usize::from(width)]).unwrap());
    let file = enclosed("1.2.840.10008.1.2.1.99", &encoder.finish().unwrap());
    assert_eq!(limited(&file), Ok((7000, 6800)));
}

#[test]
fn what_a_jpeg_2000_picture_asks_for_is_limited() {
    let bytes = file("jpeg2000-12-bits");
    let find = |mark: [u8; 2]| bytes.windows(2).position(|window| window == mark).unwrap();
    let size = find([0xff, 0x51]);
    let style = find([0xff, 0x52]);
    let changed = |at: usize, values: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + values.len()].copy_from_slice(values);
        limited(&bytes).map(|_| ())
    };
    assert_eq!(changed(size + 6, &[0, 0, 0x80, 0]), Err(Refusal::Corrupt), "another width");
    assert_eq!(changed(size + 22, &[0, 0, 0, 1, 0, 0, 0, 1]), Err(Refusal::Corrupt), "a tile for each pixel");
    assert_eq!(changed(style + 6, &[0xff, 0xff]), Err(Refusal::TooMuchWork), "65,535 layers");
    assert_eq!(changed(style + 9, &[60]), Err(Refusal::Corrupt), "60 levels");
    assert_eq!(changed(size + 4, &[0x40, 0]), Err(Refusal::UnsupportedCompression), "high throughput");
}

#[test]
fn the_beginning_of_a_data_set_says_what_it_is() {
    let class = "1.2.840.10008.5.1.4.1.1.1";
    let uids = [element(0x0008_0016, b"UI", format!("{class}\0").as_bytes()), element(0x0008_0018, b"UI", b"1.2.3\0")];
    let data_set = [element(0x0008_0005, b"CS", b"ISO_IR 100"), uids.concat(), picture(40, 40)].concat();
    let expected = Ok(Identity { class: Some(class.to_owned()), instance: Some("1.2.3".to_owned()) });
    assert_eq!(identity(&data_set, EXPLICIT), expected);
    let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
    deflate.write_all(&data_set).unwrap();
    let deflated = "1.2.840.10008.1.2.1.99";
    assert!(TRANSFER_SYNTAXES.contains(&deflated));
    assert_eq!(identity(&deflate.finish().unwrap(), deflated), expected);
    // What comes later than the beginning is not known; what is no data set is no radiograph.
    assert_eq!(identity(&data_set[..20], EXPLICIT), Ok(Identity::default()));
    for other in [&b"GET / HTTP/1.1"[..], b"", &[0; 100]] {
        assert_eq!(identity(other, EXPLICIT), Err(Refusal::Corrupt), "{other:?}");
    }
}

#[test]
fn changed_files_neither_panic_nor_hold_more() {
    let mut random = Random(11);
    for (_, file) in files() {
        // Mostly what comes before the pixels.
        let head = file.len() - file.len().min(2000);
        for round in 0..300 {
            let mut changed = file.clone();
            let from = if round % 3 == 0 { head } else { 132 };
            for _ in 0..=random.below(4) {
                let at = random.within(from..file.len());
                changed[at] = match random.below(3) {
                    0 => random.next() as u8,
                    1 => changed[at] ^ 1 << random.below(8),
                    _ => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                };
            }
            let _ = limited(&changed);
        }
    }
}
