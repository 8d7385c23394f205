//! WebP files as libwebp writes them, those that are refused, and damaged ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod common;

use std::{fs, io::Write, path::Path};

use common::{Random, without, zeroed};
use decode::{Kind, decode, describe};
use image::{DynamicImage, RgbImage, metadata::Orientation};
use proptest::prelude::*;
use shared::{
    limits::{MAX_DECODED_BYTES, MAX_DECODER_BYTES},
    verdict::Refusal,
};

fn drawn(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drawn").join(name)).unwrap()
}

fn refusal(file: &[u8]) -> Refusal {
    decode(file).map(|_| ()).unwrap_err()
}

/// What comes of a file, which never takes more memory than it may; and how much it took.
fn outcome(file: &[u8]) -> (Result<[u32; 2], Refusal>, u64) {
    let mut outcome = None;
    let used = allocation_counter::measure(|| outcome = Some(decode(file)));
    assert!(used.bytes_max <= MAX_DECODED_BYTES + MAX_DECODER_BYTES, "{} MiB", used.bytes_max >> 20);
    let size = outcome.unwrap().map(|radiograph| [radiograph.image().width(), radiograph.image().height()]);
    (size, used.bytes_max)
}

/// A chunk, whose length is made even.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u32).to_le_bytes();
    [&name[..], &length, data, &[0][..data.len() % 2]].concat()
}

fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = [b"WEBP".to_vec(), chunks.concat()].concat();
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// The head of an extended file.
fn extended(flags: u8, [width, height]: [u32; 2]) -> Vec<u8> {
    let [width, height] = [width, height].map(|side| (side - 1).to_le_bytes());
    chunk(b"VP8X", &[&[flags, 0, 0, 0][..], &width[..3], &height[..3]].concat())
}

/// The only chunk of a simple file.
fn picture(file: &[u8]) -> Vec<u8> {
    file[12..].to_vec()
}

#[test]
fn pixels_are_those_of_libwebp() {
    for (name, tolerance) in [
        ("lossless", 0),
        ("lossless-grey", 0),
        ("lossless-alpha", 0),
        ("lossless-13-colours", 0),
        ("lossless-200-colours", 0),
        ("lossless-turned", 0),
        ("lossy", 1),
        ("lossy-alpha", 1),
    ] {
        let file = drawn(&format!("{name}-1.webp"));
        let mut expected = image::load_from_memory(&drawn(&format!("{name}-1.png"))).unwrap();
        let description = describe(&file);
        let size = [expected.width(), expected.height()];
        assert_eq!((description.kind, description.size, description.bits), (Some(Kind::Webp), Some(size), Some(8)));
        if name == "lossless-turned" {
            expected.apply_orientation(Orientation::Rotate180);
        }
        let found = decode(&file).unwrap();
        let DynamicImage::ImageRgb8(found) = found.image() else { panic!("{name}") };
        assert!(differ(found, &expected.to_rgb8()) <= tolerance, "{name}: {}", differ(found, &expected.to_rgb8()));
    }
}

/// The greatest difference.
fn differ(one: &RgbImage, other: &RgbImage) -> u8 {
    assert_eq!(one.dimensions(), other.dimensions());
    one.iter().zip(other.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or_default()
}

#[test]
fn what_surrounds_a_picture_changes_nothing() {
    for name in ["lossy-1.webp", "lossless-1.webp"] {
        let simple = drawn(name);
        let expected = decode(&simple).unwrap();
        let size = [expected.image().width(), expected.image().height()];
        let picture = picture(&simple);
        let profile = chunk(b"ICCP", &[7; 501]);
        let note = chunk(b"noTe", b"of somebody");
        for file in [
            file(&[extended(0x20, size), profile, picture.clone(), note.clone()]),
            file(&[picture.clone(), note]),
            [&simple[..], b"and more"].concat(),
        ] {
            assert_eq!(decode(&file).unwrap().image(), expected.image(), "{name}");
        }
        let other_size = file(&[extended(0, [size[0] + 1, size[1]]), picture.clone()]);
        let two = file(&[picture.clone(), picture.clone()]);
        let none = file(&[extended(0, size)]);
        for file in [other_size, two, none] {
            assert_eq!(refusal(&file), Refusal::Corrupt, "{name}");
        }
        let frame = chunk(b"ANMF", &[&[0; 16][..], &picture].concat());
        for file in
            [file(&[extended(2, size), chunk(b"ANIM", &[0; 6]), frame.clone()]), file(&[extended(0, size), frame])]
        {
            assert_eq!(refusal(&file), Refusal::Animated, "{name}");
        }
    }
}

#[test]
fn bytes_that_are_left_over_are_of_another_picture() {
    // The length of the data agrees with the file's, but the picture does not take them.
    for name in ["lossy-1.webp", "lossless-1.webp"] {
        let simple = drawn(name);
        let length = u32::from_le_bytes(simple[16..20].try_into().unwrap()) as usize;
        let data = &simple[20..20 + length];
        let kind: &[u8; 4] = simple[12..16].try_into().unwrap();
        assert!(decode(&file(&[chunk(kind, data)])).is_ok());
        let random: Vec<u8> = (0..64).map(|n| 0xa5 ^ n).collect();
        assert_eq!(refusal(&file(&[chunk(kind, &[data, &random].concat())])), Refusal::Corrupt, "{name}");
        assert_eq!(refusal(&file(&[chunk(kind, &data[..length - 16])])), Refusal::Corrupt, "{name}");
    }
}

#[test]
fn a_file_that_breaks_off_anywhere_is_refused() {
    for name in ["lossy-1.webp", "lossless-13-colours-1.webp"] {
        let whole = drawn(name);
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err(), "{name} cut at {length} of {}", whole.len());
            let described = describe(&whole[..length]);
            assert!(described.size.is_none() || described.size == Some([168, 140]), "{name} cut at {length}");
        }
    }
}

#[test]
fn films_that_lost_a_part_are_not_judged() {
    let mut random = Random(8);
    for name in ["lossy", "lossless"] {
        let files = [1, 2].map(|number| drawn(&format!("{name}-{number}.webp")));
        let whole = files.each_ref().map(|file| decode(file).unwrap().image().clone());
        let mut counts = [[0_usize; 2]; 7];
        for round in 0..300 {
            let [one, other] = if round % 2 == 0 { [&files[0], &files[1]] } else { [&files[1], &files[0]] };
            // Somewhere in the data of the picture.
            let mut at = |length: usize| random.within(40..one.len() - length);
            let [place, long, short, begin] = [at(1), at(512), at(16), at(1)];
            let mut changed = one.clone();
            changed[place] ^= 1 << random.below(8);
            let damaged = [
                one[..place].to_vec(),
                without(one, long..long + 512),
                without(one, short..short + 16),
                zeroed(one, begin..one.len()),
                zeroed(one, long..long + 512),
                [&one[..place], &other[place.min(other.len())..]].concat(),
                changed,
            ];
            for (count, file) in counts.iter_mut().zip(damaged) {
                count[0] += 1;
                count[1] += usize::from(decode(&file).is_ok_and(|found| !whole.contains(found.image())));
            }
        }
        let told: Vec<String> = counts.iter().map(|[tried, judged]| format!("{judged:>4}/{tried}")).collect();
        let _ = writeln!(std::io::stderr(), "WebP, {name:9} {}", told.join(" | "));
        let [cut, long_lost, short_lost, tail_zeroed, zeroed, ..] = counts;
        for [_, judged] in [cut, long_lost, short_lost] {
            assert_eq!(judged, 0, "{name}");
        }
        for [tried, judged] in [tail_zeroed, zeroed] {
            assert!(10 * judged <= tried, "{name}");
        }
    }
}

/// A lossless picture of one colour, whose pixels take no bits, with other bits in place of the codes.
fn flat([width, height]: [u32; 2], bits: &[u8]) -> Vec<u8> {
    let size = (width - 1) | (height - 1) << 14;
    file(&[chunk(b"VP8L", &[&[0x2f][..], &size.to_le_bytes(), bits].concat())])
}

/// No transforms, no memory of colours, one set of codes: for each of five the symbol 0 alone.
const ONE_SET: [u8; 3] = [0x88, 0x88, 0x08];

/// Bits, the first one in the lowest of the first byte.
#[derive(Default)]
struct Bits(Vec<bool>);

impl Bits {
    fn put(&mut self, number: u32, count: u32) {
        self.0.extend((0..count).map(|bit| number >> bit & 1 == 1));
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
    }
}

#[test]
fn no_file_asks_for_more_than_the_limits() {
    assert_eq!(outcome(&flat([8192, 6000], &ONE_SET)).0, Ok([8192, 6000]));
    for size in [[8192, 6144], [8192, 8192], [16_384, 16_384]] {
        let (refusal, held) = outcome(&flat(size, &ONE_SET));
        assert_eq!(refusal, Err(Refusal::TooManyPixels), "{size:?}");
        assert!(held < 1 << 20, "refused before anything is decoded: {held}");
    }
    assert_eq!(outcome(&flat([16, 64], &ONE_SET)).0, Err(Refusal::TooSmall));
    assert_eq!(outcome(&flat([64, 64], &[0x88, 0x88])).0, Err(Refusal::Corrupt), "the data end");
    // 65,536 sets of codes, in a few kilobytes for each kind of pixel.
    let mut bits = Bits::default();
    bits.put(0, 2);
    // Several sets, for blocks of 4 pixels; the last one for all of them.
    bits.put(0b0001, 4);
    bits.put(0, 1);
    for _ in 0..2 {
        bits.put(0b101, 3);
        bits.put(255, 8);
    }
    for _ in 0..3 {
        bits.put(0b0001, 4);
    }
    for _ in 0..5 * 65_536 {
        bits.put(0b0001, 4);
    }
    let bits = bits.bytes();
    assert_eq!(outcome(&flat([64, 64], &bits)).0, Ok([64, 64]));
    assert_eq!(outcome(&flat([8192, 4096], &bits)).0, Err(Refusal::TooManyPixels));
    // A lossy one that says that it is larger.
    let lossy = drawn("lossy-1.webp");
    for (size, expected) in [
        ([8192_u16, 4096], Refusal::Corrupt),
        ([8192, 6144], Refusal::TooManyPixels),
        ([16_383, 16_383], Refusal::TooManyPixels),
        ([8, 64], Refusal::TooSmall),
    ] {
        let mut larger = lossy.clone();
        larger[26..30].copy_from_slice(&size.map(u16::to_le_bytes).concat());
        assert_eq!(outcome(&larger).0, Err(expected), "{size:?}");
    }
}

#[test]
fn other_versions_are_not_called_damaged() {
    let mut newer = flat([64, 64], &ONE_SET);
    newer[24] |= 0x20;
    assert_eq!(refusal(&newer), Refusal::UnsupportedKind);
    let mut frame = drawn("lossy-1.webp");
    frame[20] |= 1;
    assert_eq!(refusal(&frame), Refusal::Corrupt, "a frame that needs others before it");
}

proptest! {
    #[test]
    fn changed_files_neither_panic_nor_hold_more(seed: u64, changes in 1_usize..5, which in 0_usize..4) {
        let names = ["lossy-1", "lossy-alpha-1", "lossless-1", "lossless-200-colours-1"];
        let mut random = Random(seed);
        let mut file = drawn(&format!("{}.webp", names[which]));
        for _ in 0..changes {
            // Mostly what comes first: it says how large the picture is, and how it is coded.
            let among = if random.below(4) == 0 { file.len() } else { 200 };
            let at = random.below(among);
            file[at] = match random.below(3) {
                0 => random.next() as u8,
                1 => file[at] ^ 1 << random.below(8),
                _ => [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            };
        }
        let used = allocation_counter::measure(|| { let _ = decode(&file); });
        prop_assert!(used.bytes_max <= MAX_DECODED_BYTES + MAX_DECODER_BYTES);
    }
}
