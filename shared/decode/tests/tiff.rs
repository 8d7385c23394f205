//! TIFF files of every kind that is decoded, and those that are refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod common;

use std::io::Write;

use common::{
    Random, pairs,
    tiff::{LONG, SHORT, Tiff},
    without, zeroed,
};
use decode::{Radiograph, decode};
use image::DynamicImage;
use proptest::prelude::*;
use shared::{
    limits::{MAX_DECODED_BYTES, MAX_DECODER_BYTES},
    verdict::Refusal,
};

const SIZE: [usize; 2] = [75, 53];

/// Samples of noise, of so many for each pixel. The first ones have the least and the greatest value.
fn noise(count: usize, bits: usize) -> Vec<u16> {
    let mut random = Random(7);
    let most = (1_u32 << bits) - 1;
    (0..SIZE[0] * SIZE[1] * count)
        .map(|n| if n < 9 { most * (n as u32 % 2) } else { random.next() as u32 & most } as u16)
        .collect()
}

fn grey(bits: usize) -> Tiff {
    Tiff::grey(SIZE, bits, noise(1, bits))
}

fn rgb(bits: usize, count: usize) -> Tiff {
    Tiff { count, photometric: 2, samples: noise(count, bits), ..grey(bits) }
}

fn samples(radiograph: &Radiograph) -> Vec<u16> {
    match radiograph.image() {
        DynamicImage::ImageLuma16(image) => image.to_vec(),
        DynamicImage::ImageRgb16(image) => image.to_vec(),
        image => image.as_bytes().iter().map(|&sample| sample.into()).collect(),
    }
}

fn refusal(tiff: &Tiff) -> Refusal {
    decode(&tiff.write()).map(|_| ()).unwrap_err()
}

#[test]
fn every_kind_gives_its_samples() {
    let mut tried = 0;
    let kinds =
        [grey(8), grey(16), rgb(8, 3), rgb(16, 3), rgb(8, 4), Tiff { count: 2, samples: noise(2, 16), ..grey(16) }];
    for kind in kinds {
        let colours = if kind.photometric == 2 { 3 } else { 1 };
        let expected: Vec<u16> = kind.samples.chunks(kind.count).flat_map(|pixel| pixel[..colours].to_vec()).collect();
        for (compression, predictor) in [(1, 1), (5, 1), (5, 2), (8, 1), (8, 2), (32_946, 2), (32_773, 1)] {
            for tile in [None, Some([16, 16]), Some([80, 16]), Some([96, 64])] {
                for (big_endian, planar, directory_first, rows) in [
                    (false, false, false, 16),
                    (true, false, true, 1),
                    (true, true, false, 53),
                    (false, true, true, 1000),
                ] {
                    let tiff = Tiff {
                        compression,
                        predictor,
                        tile,
                        big_endian,
                        planar,
                        directory_first,
                        rows,
                        ..kind.clone()
                    };
                    let radiograph = decode(&tiff.write()).unwrap();
                    let image = radiograph.image();
                    let what =
                        format!("{} bits, {compression}, {predictor}, {tile:?}, {big_endian}, {planar}", kind.bits);
                    assert_eq!([image.width(), image.height()], [75, 53], "{what}");
                    assert!(samples(&radiograph) == expected, "{what}");
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 6 * 7 * 4 * 4);
}

#[test]
fn white_as_zero_is_inverted() {
    for bits in [8, 16] {
        let tiff = Tiff { photometric: 0, ..grey(bits) };
        let expected: Vec<u16> = tiff.samples.iter().map(|&sample| ((1_u32 << bits) - 1) as u16 - sample).collect();
        assert_eq!(samples(&decode(&tiff.write()).unwrap()), expected);
    }
}

#[test]
fn twelve_bits_in_sixteen_are_spread_before_they_are_inverted() {
    let twelve = Tiff { samples: noise(1, 12), ..grey(16) };
    let spread: Vec<u16> = twelve.samples.iter().map(|&v| ((u32::from(v) * 65_535 + 2047) / 4095) as u16).collect();
    assert_eq!(samples(&decode(&twelve.write()).unwrap()), spread);
    let inverted = Tiff { photometric: 0, ..twelve };
    let expected: Vec<u16> = spread.iter().map(|sample| !sample).collect();
    assert_eq!(samples(&decode(&inverted.write()).unwrap()), expected);
}

#[test]
fn palettes_are_resolved() {
    let map: Vec<u32> = (0..768).map(|n| (n % 256 * 257) ^ (n / 256 * 0x1f00)).collect();
    let tiff = Tiff { photometric: 3, fields: vec![(320, SHORT, map.clone())], ..grey(8) };
    let expected: Vec<u16> = tiff
        .samples
        .iter()
        .flat_map(|&place| [0, 256, 512].map(|colour| (map[usize::from(place) + colour] >> 8) as u16))
        .collect();
    assert_eq!(samples(&decode(&tiff.write()).unwrap()), expected);
    assert_eq!(refusal(&Tiff { photometric: 3, ..grey(8) }), Refusal::Corrupt);
    let short = vec![(320, SHORT, map[..767].to_vec())];
    assert_eq!(refusal(&Tiff { photometric: 3, fields: short, ..grey(8) }), Refusal::Corrupt);
}

#[test]
fn the_orientation_is_made() {
    let turned = Tiff { fields: vec![(274, SHORT, vec![6])], ..grey(8) };
    let radiograph = decode(&turned.write()).unwrap();
    assert_eq!((radiograph.image().width(), radiograph.image().height()), (53, 75));
    assert_eq!(samples(&radiograph)[52], turned.samples[0], "the first pixel is at the upper right");
}

#[test]
fn one_page_is_judged_and_small_copies_of_it_are_passed_over() {
    let copy = || vec![(254, LONG, vec![1])];
    let page = || vec![(254, LONG, vec![0])];
    assert_eq!(samples(&decode(&Tiff { others: vec![copy(), copy()], ..grey(8) }.write()).unwrap()), grey(8).samples);
    for others in [vec![vec![]], vec![page()], vec![copy(), page()], vec![copy(); 17]] {
        assert_eq!(refusal(&Tiff { others, ..grey(8) }), Refusal::Animated);
    }
    assert_eq!(refusal(&Tiff { fields: copy(), ..grey(8) }), Refusal::UnsupportedKind, "as in cameras' raw files");
    // The next directory is the same one, and so on; or lies beyond the end.
    let tiff = Tiff { directory_first: true, fields: vec![(254, LONG, vec![0])], ..grey(8) };
    let file = tiff.write();
    let next = 8 + 2 + 12 * usize::from(file[8]);
    for (offset, expected) in [(8_u32, Refusal::Animated), (1 << 20, Refusal::Corrupt)] {
        let mut file = file.clone();
        file[next..next + 4].copy_from_slice(&offset.to_le_bytes());
        assert_eq!(decode(&file).map(|_| ()).unwrap_err(), expected);
    }
}

#[test]
fn what_is_not_decoded_is_not_called_damaged() {
    let with = |tag: u16, number: u32| Tiff { fields: vec![(tag, SHORT, vec![number])], ..grey(8) };
    for (tag, number) in
        [(258, 1), (258, 4), (258, 12), (258, 32), (259, 2), (259, 7), (259, 34_712), (266, 2), (339, 2), (339, 3)]
    {
        assert_eq!(refusal(&with(tag, number)), Refusal::UnsupportedKind, "{tag} {number}");
    }
    assert_eq!(refusal(&Tiff { compression: 5, predictor: 3, ..grey(8) }), Refusal::UnsupportedKind);
    assert_eq!(refusal(&with(262, 32_803)), Refusal::UnsupportedKind, "a sensor's grid of colours");
    for photometric in [4, 5, 6, 8] {
        assert_eq!(refusal(&with(262, photometric)), Refusal::UnsupportedColour, "{photometric}");
    }
    assert_eq!(
        refusal(&Tiff { count: 4, photometric: 5, samples: noise(4, 8), ..grey(8) }),
        Refusal::UnsupportedColour
    );
    let mut big = grey(8).write();
    big[2] = 43;
    assert_eq!(decode(&big).map(|_| ()).unwrap_err(), Refusal::UnsupportedKind);
}

/// What is done to offsets and lengths.
type Change = fn(&mut Vec<u32>, &mut Vec<u32>);

#[test]
fn strips_must_be_there_once_and_apart() {
    let whole = grey(8);
    let strips = whole.parts();
    let lengths: Vec<u32> = strips.iter().map(|strip| strip.len() as u32).collect();
    let offsets: Vec<u32> = lengths.iter().scan(8, |at, length| Some(std::mem::replace(at, *at + length))).collect();
    let others = |change: Change| {
        let (mut offsets, mut lengths) = (offsets.clone(), lengths.clone());
        change(&mut offsets, &mut lengths);
        let tiff = Tiff { fields: vec![(273, LONG, offsets), (279, LONG, lengths)], ..whole.clone() };
        decode(&tiff.write()).map(|radiograph| samples(&radiograph))
    };
    assert_eq!(others(|_, _| {}), Ok(whole.samples.clone()));
    let changes: [Change; 10] = [
        |offsets, _| offsets[1] = offsets[0],
        |offsets, _| offsets[1] -= 1,
        |offsets, _| offsets[0] = 0,
        |offsets, _| offsets[2] = 1 << 30,
        |offsets, _| offsets.truncate(3),
        |_, lengths| lengths.truncate(3),
        |_, lengths| lengths[3] = 0,
        |_, lengths| lengths[0] -= 1,
        |_, lengths| lengths[3] = u32::MAX,
        |offsets, lengths| {
            offsets.clear();
            lengths.clear();
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(others(change), Err(Refusal::Corrupt), "change {number}");
    }
    // A field that is there twice.
    let mut file = whole.write();
    let directory = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize + 2;
    file.copy_within(directory..directory + 12, directory + 12);
    assert_eq!(decode(&file).map(|_| ()).unwrap_err(), Refusal::Corrupt);
}

/// Two films of a kind, as large as the drawings of other tests.
fn films(kind: impl Fn(Tiff) -> Tiff) -> [Vec<u8>; 2] {
    let pair = pairs().into_iter().find(|pair| pair.name == "baseline-grey").unwrap();
    pair.files.map(|file| {
        let image = image::load_from_memory(&file).unwrap().into_luma8();
        let size = [image.width() as usize, image.height() as usize];
        kind(Tiff::grey(size, 8, image.iter().map(|&sample| sample.into()).collect())).write()
    })
}

/// Of a file that was damaged at any place, nothing else is judged than what was in one of the whole ones; but for damages
/// that keep its length, of ways to compress that have no checksum.
#[test]
fn films_that_lost_a_part_are_not_judged() {
    let mut random = Random(3);
    for (name, compression) in [("plain", 1), ("LZW", 5), ("Deflate", 8), ("PackBits", 32_773)] {
        let mut counts = [[0_usize; 2]; 7];
        for (predictor, tile, directory_first) in
            [(1, None, false), (2, None, true), (1, Some([64, 64]), true), (2, Some([64, 64]), false)]
        {
            let files = films(|film| Tiff { compression, predictor, tile, directory_first, ..film });
            let whole = files.each_ref().map(|file| samples(&decode(file).unwrap()));
            for round in 0..500 {
                let [one, other] = if round % 2 == 0 { [&files[0], &files[1]] } else { [&files[1], &files[0]] };
                let mut at = |length: usize| random.below(one.len() - length);
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
                    count[1] += usize::from(decode(&file).is_ok_and(|found| !whole.contains(&samples(&found))));
                }
            }
        }
        let told: Vec<String> = counts.iter().map(|[tried, judged]| format!("{judged:>4}/{tried}")).collect();
        let _ = writeln!(std::io::stderr(), "TIFF, {name:9} {}", told.join(" | "));
        let [cut, long_lost, short_lost, ..] = counts;
        for [_, judged] in [cut, long_lost, short_lost] {
            assert_eq!(judged, 0, "{name}");
        }
        // With a checksum only the directory can be changed without notice: it says whether white is zero.
        assert!(compression != 8 || counts[3..6].iter().all(|[_, judged]| *judged == 0), "{name}");
        assert!(compression != 8 || 100 * counts[6][1] <= counts[6][0], "{name}");
    }
}

#[test]
fn no_file_asks_for_more_than_the_limits() {
    let outcome = |tiff: &Tiff| {
        let file = tiff.write();
        let mut outcome = None;
        let used = allocation_counter::measure(|| outcome = Some(decode(&file)));
        assert!(used.bytes_max <= MAX_DECODED_BYTES + MAX_DECODER_BYTES, "{} MiB", used.bytes_max >> 20);
        outcome.unwrap().map(|radiograph| radiograph.image().width())
    };
    let zeros = |size: [usize; 2], rows: usize| Tiff {
        compression: 8,
        rows,
        ..Tiff::grey(size, 8, vec![0; size[0] * size[1]])
    };
    assert_eq!(outcome(&zeros([8192, 8192], 8192)), Ok(8192));
    assert_eq!(outcome(&zeros([8192, 8192], 16)), Ok(8192));
    assert_eq!(outcome(&Tiff { tile: Some([4096, 4096]), ..zeros([8192, 8192], 0) }), Ok(8192));
    // The fields say more than there is.
    let says = |fields: &[(u16, u32)]| Tiff {
        fields: fields.iter().map(|&(tag, number)| (tag, LONG, vec![number])).collect(),
        ..grey(8)
    };
    assert_eq!(outcome(&says(&[(256, u32::MAX), (257, u32::MAX)])), Err(Refusal::TooManyPixels));
    assert_eq!(outcome(&says(&[(322, u32::MAX), (323, u32::MAX)])), Err(Refusal::TooManyPixels));
    assert_eq!(outcome(&says(&[(256, 8193), (257, 8192)])), Err(Refusal::TooManyPixels));
    // A tile that is larger than the picture takes memory, and many take time.
    let tile = |side: u32, offsets: Vec<u32>| Tiff {
        fields: vec![
            (322, LONG, vec![side]),
            (323, LONG, vec![side]),
            (325, LONG, vec![1; offsets.len()]),
            (324, LONG, offsets),
        ],
        compression: 8,
        ..grey(8)
    };
    assert_eq!(outcome(&tile(32_768, vec![8])), Err(Refusal::TooMuchWork));
    assert_eq!(outcome(&tile(24_000, vec![8])), Err(Refusal::TooManyPixels));
    assert_eq!(outcome(&tile(8192, vec![8])), Err(Refusal::Corrupt));
    // A tile for each pixel would take more to list than the picture has.
    for [width, height] in [[1, 1], [1, 16], [16, 8]] {
        let fields = vec![(322, LONG, vec![width]), (323, LONG, vec![height])];
        assert_eq!(outcome(&Tiff { fields, ..grey(8) }), Err(Refusal::UnsupportedKind), "{width} x {height}");
    }
    let thin = Tiff { fields: vec![(256, LONG, vec![32_768]), (257, LONG, vec![32])], ..grey(8) };
    let tall = (0..2048).map(|n| n + 8).collect::<Vec<u32>>();
    let mut fields = thin.fields.clone();
    fields.extend([(322, LONG, vec![16]), (323, LONG, vec![32_768]), (325, LONG, vec![1; 2048]), (324, LONG, tall)]);
    assert_eq!(outcome(&Tiff { fields, ..thin }), Err(Refusal::TooMuchWork));
}

proptest! {
    #[test]
    fn changed_files_neither_panic_nor_hold_more(seed: u64, changes in 1_usize..5, first: bool, compression in 0_usize..4) {
        let mut random = Random(seed);
        let compression = [1, 5, 8, 32_773][compression];
        let mut file = Tiff { compression, directory_first: first, tile: (seed % 3 == 0).then_some([32, 32]), ..rgb(8, 3) }.write();
        let directory = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
        for _ in 0..changes {
            let at = if random.below(4) == 0 { random.below(file.len()) } else { directory + random.below(180) };
            let at = at.min(file.len() - 1);
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
